"""How a command talks to a shell: progress, the last line, exit codes; and how it runs as a job."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from curation import jobs
from curation.engine import Progress
from curation.errors import Cancelled, CurationError
from curation.workspace import Workspace

Folder = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="The workspace folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON at the end.")]
JobId = Annotated[int | None, typer.Option("--job", hidden=True)]
Workers = Annotated[int | None, typer.Option(help="Worker processes; all processors by default.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; the account's name by default.")]
Seed = Annotated[int, typer.Option(help="Every random draw comes from it.")]

Tell = Callable[[dict[str, Any]], dict[str, Any]]
"""What people are told of a result."""

_LINE, _SHORT = 100, 30  # characters of a list that stands on one line, and of each of its items
_INTERRUPTED = 130  # what Typer makes of Ctrl-C
_arguments: ContextVar[list[str]] = ContextVar("arguments")


class Printer:
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.said = (-1, "")

    def __call__(self, done: int, total: int, message: str) -> None:
        if sys.stderr.isatty():
            from tqdm import tqdm

            if self.bar is None or self.bar.total != total:
                self.close()
                self.bar = tqdm(total=total, unit="", file=sys.stderr)
            self.bar.set_description(message, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        now = (int(20 * done / max(total, 1)), message)
        if now != self.said:
            self.said = now
            print(f"{message}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@contextmanager
def as_job(workspace: Workspace, job: int | None) -> Iterator[tuple[Progress, dict[str, Any]]]:
    """Run a stage as a job: the page shows what the shell does, and the other way round."""
    kind, *argv = [a for a in _arguments.get() if a != "--json"]
    printer = Printer()
    with jobs.track(workspace, kind, argv, job) as running:

        def progress(done: int, total: int, message: str) -> None:
            printer(done, total, message)
            running(done, total, message)

        try:
            yield progress, running.result
        finally:
            printer.close()


def finish(result: dict[str, Any], as_json: bool, tell: Tell | None = None) -> None:
    """Print a stage's summary; exit code 3 says that some inputs were set aside.

    Args:
        result: the whole, which JSON has.
        as_json: print it as one line of JSON.
        tell: gives what people are told instead, for a result that has more.
    """
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        for key, value in (tell(result) if tell else result).items():
            if value is not None:
                print("\n".join(_lines(str(key).replace("_", " "), value)))
    if result.get("set_aside"):
        raise typer.Exit(3)


def _lines(key: str, value: Any) -> list[str]:
    """A key and its value: on one line, or a list below it, that of dictionaries as a table."""
    if not isinstance(value, list) or not value:
        return [f"{key}: {_plain(value)}"]
    if all(isinstance(item, dict) and item.keys() == value[0].keys() for item in value):
        return [f"{key}:", *(f"  {line}" for line in _aligned(value))]
    texts = [_plain(item) for item in value]
    if max(map(len, texts)) <= _SHORT and len(", ".join(texts)) <= _LINE:
        return [f"{key}: {', '.join(texts)}"]
    return [f"{key}:", *(f"  {text}" for text in texts)]


def _plain(value: Any) -> str:
    """A value in words: of a dictionary every entry, inner dictionaries and lists in brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{str(k).replace('_', ' ')} {_inner(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_inner, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _inner(value: Any) -> str:
    return f"({_plain(value)})" if isinstance(value, dict | list) and len(value) else _plain(value)


def _aligned(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Dictionaries of the same keys as lines of a table, numbers to the right."""
    cells = [[str(key).replace("_", " ") for key in rows[0]]]
    cells += [["" if value is None else _plain(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    columns = zip(*(row.values() for row in rows), strict=True)
    right = [all(isinstance(value, int | float | None) for value in column) for column in columns]
    for line in cells:
        padded = (f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(line, widths, right, strict=True))
        yield "  ".join(padded).rstrip()


def run_stage(
    folder: Path,
    job: int | None,
    as_json: bool,
    stage: Callable[..., dict[str, Any]],
    *,
    tell: Tell | None = None,
    **options: Any,
) -> None:
    """Run a stage of a workspace as a job, and print its summary as `finish` does."""
    workspace = Workspace(folder)
    with as_job(workspace, job) as (progress, result):
        result.update(stage(workspace, progress=progress, **options))
    finish(result, as_json, tell)


def main(app: typer.Typer, argv: list[str] | None = None) -> int:
    """Run a command line; exit codes: 0 done, 1 failed, 2 wrong arguments, 3 finished but inputs were set aside."""
    arguments = sys.argv[1:] if argv is None else argv
    token = _arguments.set(arguments)
    try:
        app(args=arguments, prog_name="curation")
    except SystemExit as end:  # how Typer says an exit code
        if end.code != _INTERRUPTED:
            return int(end.code or 0)
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 1
    except CurationError as error:
        return _failed(error, arguments)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(CurationError(f"{place}{error.strerror or error}"), arguments)
    except (Cancelled, KeyboardInterrupt) as stop:
        print(f"stopped {stop}".rstrip() + ": run the same command again to go on", file=sys.stderr)
        return 1
    finally:
        _arguments.reset(token)
    return 0


def _failed(error: CurationError, arguments: list[str]) -> int:
    print(f"error: {error}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": str(error)} | getattr(error, "report", {}), ensure_ascii=False))
    return error.exit_code
