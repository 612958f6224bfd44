"""A real Chromium, and the program served to it on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from curation.ledger import Event
from curation.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """A running Chromium (playwright's Browser); make pages with `chromium.new_page(viewport=…)`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine: install the package chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


class Server:
    """A Streamlit server of its own process; `stop` and `start` keep its port."""

    def __init__(self, app: Path, environment: Mapping[str, str], log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.app, self.environment, self.log = app, environment, log
        self.start()

    def start(self) -> None:
        options = {
            "server.port": self.port,
            "server.address": "127.0.0.1",
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
        }
        command = [sys.executable, "-m", "streamlit", "run", str(self.app)]
        command += [f"--{name}={value}" for name, value in options.items()]
        paths = filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | dict(self.environment)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """Kill the server as a crash would."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def serve(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """`serve(app, {"NAME": "value"})` starts a server that ends with the module's last test.

    It gets the environment of the moment: called in a test, `$CURATION_HOME` is that test's own.
    """
    servers: list[Server] = []

    def start(app: Path, environment: Mapping[str, str] | None = None) -> Server:
        log = tmp_path_factory.mktemp("server") / "log.txt"
        servers.append(Server(Path(app), environment or {}, log))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def workspace(home) -> Workspace:
    """The workspace in the folder `home` of a module that puts up a page of its own (`stage.put_up`)."""
    return Workspace(home / "workspace")


@pytest.fixture(scope="module")
def server(serve, home) -> Server:
    """A server of that page."""
    return serve(home / "app.py", {"CURATION_HOME": str(home / "home")})


@pytest.fixture
def visit(chromium, workspace, request):
    """`visit(server, "gallery")` opens a page as a reviewer of the test's own name; it must not log an error.

    `workspace` is a fixture of the test's module; what tests find in the pages' windows as `broken` fails them.
    """
    pages, errors = [], []
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    who = request.node.name

    def open_page(server: Server, part: str, **asked):
        page = context.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        query = "&".join(f"{k}={v}" for k, v in {"w": workspace.key, "who": who, "part": part, **asked}.items())
        page.goto(f"{server.url}/?{query}")
        return page

    yield open_page
    broken = [page.evaluate("window.broken") for page in pages if not page.is_closed()]
    context.close()
    assert not errors
    assert not any(broken)


@pytest.fixture
def kept(workspace, request):
    """`kept(3)` waits for three events of this test's reviewer and gives (kind, subject, verdict) of each."""

    def events(count: int, seconds: float = 15) -> list[tuple[str, str, str]]:
        until = time.monotonic() + seconds
        while True:
            mine = [e for e in workspace.ledger.events(undone=True) if e.reviewer == request.node.name]
            if len(mine) >= count or time.monotonic() > until:
                assert len(mine) == count
                return [(e.kind, e.subject, e.verdict) for e in mine]
            time.sleep(0.05)

    return events


@pytest.fixture
def undone(workspace):
    """What a test decided is taken back after it, since all of its module share one workspace."""
    yield
    standing = workspace.ledger.events()
    workspace.ledger.append([Event(reviewer="tidy", kind="undo", subject=e.event_id) for e in standing])
