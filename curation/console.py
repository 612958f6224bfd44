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


def finish(result: dict[str, Any], as_json: bool) -> None:
    """Print a stage's summary; exit code 3 says that some inputs were set aside."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        for key, value in result.items():
            if isinstance(value, list):
                for item in value:
                    print("  " + ("  ".join(map(str, item.values())) if isinstance(item, dict) else str(item)))
            elif value is not None:
                print(f"{key.replace('_', ' ')}: {_plain(value)}")
    if result.get("set_aside"):
        raise typer.Exit(3)


def _plain(value: Any) -> str:
    """A value in words: of a dictionary every entry, those of an inner one in brackets."""
    if isinstance(value, dict):
        inner = ((k, f"({_plain(v)})" if isinstance(v, dict) else _plain(v)) for k, v in value.items())
        return ", ".join(f"{str(k).replace('_', ' ')} {text}" for k, text in inner) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def run_stage(
    folder: Path, job: int | None, as_json: bool, stage: Callable[..., dict[str, Any]], **options: Any
) -> None:
    workspace = Workspace(folder)
    with as_job(workspace, job) as (progress, result):
        result.update(stage(workspace, progress=progress, **options))
    finish(result, as_json)


def main(app: typer.Typer, argv: list[str] | None = None) -> int:
    """Run a command line; exit codes: 0 done, 1 failed, 2 wrong arguments, 3 finished but inputs were set aside."""
    arguments = sys.argv[1:] if argv is None else argv
    token = _arguments.set(arguments)
    try:
        app(args=arguments, prog_name="curation")
    except SystemExit as end:  # how Typer says an exit code
        return int(end.code or 0)
    except CurationError as error:
        print(f"error: {error}", file=sys.stderr)
        if "--json" in arguments:
            print(json.dumps({"error": str(error)} | getattr(error, "report", {}), ensure_ascii=False))
        return error.exit_code
    except (Cancelled, KeyboardInterrupt) as stop:
        print(f"stopped {stop}".rstrip() + ": run the same command again to go on", file=sys.stderr)
        return 1
    finally:
        _arguments.reset(token)
    return 0
