"""What the server answers besides the pages: pictures, decisions, points of maps, scripts, downloads."""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import stat
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from curation import files, judgements, leases, policies, references
from curation.errors import CurationError
from curation.images import thumbnails
from curation.ledger import Event
from curation.ui import recent
from curation.ui.components import base, decisions, scatter
from curation.workspace import Workspace

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
BRIEFLY = {"Cache-Control": "private, max-age=30"}
# Said, so that nobody compresses it on the way: points do not shrink, and it would take longer than sending them.
AS_IT_IS = {"Content-Encoding": "identity"}
TOLD_OF_PROBES = ("image_id", "class_name", "width", "height", "bytes", "status")
INTERNAL = ("modified", "pixels", "phash", "phash_mirror")
MOST_BODY = 1_000_000
MOST_KEPT = 256 * 2**20

PLACEHOLDER = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 192 192" role="img"><title>cannot be shown</title>'
    '<rect width="192" height="192" fill="#8883"/><path d="M66 66l60 60M126 66l-60 60" stroke="#888" stroke-width="3" '
    'stroke-linecap="round"/><text x="96" y="160" text-anchor="middle" font-family="sans-serif" font-size="14" '
    'fill="#888">cannot be shown</text></svg>'
)


class Kept:
    """The bytes used last, up to a total size. Safe in threads."""

    def __init__(self, most: int) -> None:
        self.most, self.size = most, 0
        self._items: OrderedDict[Any, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> bytes | None:
        with self._lock:
            if (value := self._items.get(key)) is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: Any, value: bytes) -> None:
        with self._lock:
            self.size += len(value) - len(self._items.pop(key, b""))
            self._items[key] = value
            while self.size > self.most:
                self.size -= len(self._items.popitem(last=False)[1])


pictures = Kept(MOST_KEPT)


async def image(request: Request) -> Response:
    """A thumbnail as WebP; a grey picture that says so, and 404, when there is none."""
    workspace, size, number = (request.path_params[k] for k in ("workspace", "size", "image"))
    reference = request.path_params.get("reference", "")
    key = (workspace, reference, size, number, request.query_params.get("v"))
    data = pictures.get(key)  # answered on the spot; only what must be read or made takes a thread
    if data is None:
        try:
            data = await run_in_threadpool(_thumbnail, workspace, reference, number, size)
        except (CurationError, OSError):
            return Response(PLACEHOLDER, 404, media_type="image/svg+xml", headers=BRIEFLY)
        pictures.put(key, data)
    return Response(data, media_type="image/webp", headers=FOREVER if key[-1] else BRIEFLY)


def _thumbnail(key: str, reference: str, number: int, size: str) -> bytes:
    workspace = recent.open_workspace(key)
    source = references.open_image_source(workspace, reference)
    return thumbnails.thumbnail(source, number, size, cache=workspace)


def details(request: Request) -> Response:
    """All that is known about one image, as JSON; of a planted probe only what does not betray it."""
    reference = request.path_params.get("reference", "")
    try:
        workspace = recent.open_workspace(request.path_params["workspace"])
        row = _row(references.open_image_source(workspace, reference), request.path_params["image"])
        if reference == references.PROBES:
            row = {name: row[name] for name in TOLD_OF_PROBES}
    except (CurationError, OSError) as error:
        return JSONResponse({"error": str(error)}, 404)
    return JSONResponse(row, headers={"Cache-Control": "no-store"})


def _row(workspace: Workspace, number: int) -> dict[str, Any]:
    if not workspace.images_path.is_file():
        workspace.images()  # raises, saying what to do
    with pq.ParquetFile(workspace.images_path) as file:
        first = 0
        for group in range(file.num_row_groups):  # reads only the group that holds the row
            rows = file.metadata.row_group(group).num_rows
            if number < first + rows:
                row = file.read_row_group(group).slice(number - first, 1).to_pylist()[0]
                return {k: v for k, v in row.items() if k not in INTERNAL} | _meaning(workspace, row["class_name"])
            first += rows
    raise CurationError(f"there is no image {number}: {workspace.path} has {first:,} images")


def _meaning(workspace: Workspace, class_name: str) -> dict[str, str]:
    """WNID, lemmas and definition of a class where they are known."""
    path = workspace.path / "classes.parquet"
    if not path.is_file():
        return {}
    columns = ("wnid", "lemmas", "definition")
    rows = files.read_table(path, columns=columns, filters=[("class_name", "=", class_name)]).to_pylist()
    return rows[0] if rows else {}


async def post_events(request: Request) -> Response:
    """Append decisions to the ledger and answer `{"ack": highest seq, "position"}`; a batch is kept whole or not.

    Others are refused with a status of 400 to 499 and `{"error", "seq"}`, where `seq` names the decision at fault.
    """
    if not _same_site(request):
        return JSONResponse({"error": "decisions are only taken from this program's own pages"}, 403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return JSONResponse({"error": "decisions must be sent as application/json"}, 415)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            return JSONResponse({"error": f"a batch may have {MOST_BODY:,} bytes: send fewer decisions"}, 413)
    return await run_in_threadpool(_keep, request.path_params["workspace"], bytes(body))


def _keep(key: str, body: bytes) -> Response:
    try:
        batch = json.loads(body)
    except (ValueError, RecursionError):
        return JSONResponse({"error": "the batch is not JSON"}, 400)
    try:
        workspace = recent.open_workspace(key)
        images = pq.read_metadata(workspace.images_path).num_rows
        sets = {name: count for name, count in judgements.counts(workspace).items() if name}
    except (CurationError, OSError) as error:
        return JSONResponse({"error": str(error)}, 404)
    try:
        events, last = decisions.parse(batch, images, sets, partial(policies.source_splits, workspace))
    except decisions.Refused as refused:
        return JSONResponse({"error": str(refused), "seq": refused.seq}, 422)
    position = workspace.ledger.append(events)
    _lease(workspace, events)
    return JSONResponse({"ack": last, "position": position})


def _lease(workspace: Workspace, events: list[Event]) -> None:
    """Give judged pairs back, and keep those whose verdict was undone for the person who has them before the eyes."""
    reviewer = events[0].reviewer
    if judged := [event.subject for event in events if event.kind in judgements.KINDS]:
        leases.release(workspace, reviewer, judged)
    if undone := [event.subject for event in events if event.kind == "undo"]:
        again = [event for event in workspace.ledger.named(undone) if event.kind in judgements.KINDS]
        if subjects := sorted({event.subject for event in again if event.reviewer == reviewer}):
            minutes = policies.number(workspace, "lease")
            leases.take(workspace, reviewer, subjects, len(subjects), minutes=minutes)


def _same_site(request: Request) -> bool:
    """Whether a page of this server asks. Browsers leave Sec-Fetch-Site out on plain HTTP, but not Origin."""
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    hosts = (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    return origin is None or urlsplit(origin).netloc in hosts


def points(request: Request) -> Response:
    """Positions and groups of a map (`scatter.Scatter.points`), or with `?ids` its image ids as int32."""
    colour = request.query_params.get("colour", "class")
    try:
        workspace = recent.open_workspace(request.path_params["workspace"])
        drawn = scatter.scatter(workspace, request.path_params["map"], colour)
    except (CurationError, OSError) as error:
        return JSONResponse({"error": str(error)}, 404)
    data = drawn.ids.astype("<i4").tobytes() if "ids" in request.query_params else drawn.points()
    cached = FOREVER if "v" in request.query_params else BRIEFLY
    return Response(data, media_type="application/octet-stream", headers=cached | AS_IT_IS)


def asset(request: Request) -> Response:
    """A component's script or style sheet; kept forever under the version that is being served."""
    name = request.path_params["name"]
    if name not in base.FILES:  # never a path of the caller's making
        return Response(status_code=404)
    kind = base.SUFFIXES[Path(name).suffix]
    current = request.path_params["version"] == base.VERSION
    return Response((base.ASSETS / name).read_bytes(), media_type=kind, headers=FOREVER if current else BRIEFLY)


def download(request: Request) -> Response:
    """A finished export as ZIP."""
    return _exported(request, "{name}.zip", "application/zip")


async def datasheet(request: Request) -> Response:
    """The datasheet of an export, which can load and run nothing."""
    found = _exported(request, "datasheet.html", "text/html")
    found.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return found


def _exported(request: Request, pattern: str, kind: str) -> Response:
    try:
        name = files.check_name(request.path_params["name"], "export")
        folder = recent.open_workspace(request.path_params["workspace"]).path / "exports" / name
    except CurationError as error:
        return JSONResponse({"error": str(error)}, 404)
    path = folder / pattern.format(name=name)
    if not path.is_file():
        return JSONResponse({"error": f"{path} does not exist"}, 404)
    return FileResponse(path, filename=path.name if kind != "text/html" else None, media_type=kind)


routes = [
    Route("/img/{workspace}/{size}/{image:int}.webp", image),
    Route("/img/{workspace}/{reference}/{size}/{image:int}.webp", image),
    Route("/details/{workspace}/{image:int}.json", details),
    Route("/details/{workspace}/{reference}/{image:int}.json", details),
    Route("/api/{workspace}/events", post_events, methods=["POST"]),
    Route("/points/{workspace}/{map}.bin", points),
    Route("/assets/{version}/{name}", asset),
    Route("/exports/{workspace}/{name}.zip", download),
    Route("/exports/{workspace}/{name}/datasheet.html", datasheet),
]


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    """Make answers prompt: no delayed packets, pages' packages loaded, and left out of garbage collection."""
    _send_at_once()
    threading.Thread(target=_warm, daemon=True).start()
    yield {}


def _warm() -> None:
    """Load what pages need (not torch), so that the first visit to a page does not pay for it; then spare the GC."""
    for name in (
        "pandas",
        "pyarrow.compute",
        "plotly.graph_objects",
        "plotly.subplots",
        "sklearn.cluster",
        "sklearn.metrics",
    ):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _send_at_once() -> None:
    """Set TCP_NODELAY on the listening socket, from which connections inherit it.

    Streamlit hands asyncio a socket without a protocol number, for which asyncio leaves Nagle's algorithm on: 40 ms
    for each answer on a kept connection (uvicorn issue 3149). uvloop does not need this.
    """
    descriptors = Path("/proc/self/fd")
    for path in list(descriptors.iterdir()) if descriptors.is_dir() else ():
        try:
            if not stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as connection:
                if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            continue  # closed in between
