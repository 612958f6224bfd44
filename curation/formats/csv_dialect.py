"""How a list of pictures and labels is written down as CSV, so that it can be written down again to the byte."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import files
from curation.errors import CurationError

COLUMNS = ("img", "label")
NEWLINES = ("\r\n", "\n", "\r")
QUOTINGS = ("minimal", "text", "all")  # which cells are in quotes: where needed, texts, all
MAX_LABEL = 10_000_000
Row = tuple[str, int]
_QUOTED = re.compile('[,"\r\n\ufeff]')  # the last so that a path at the start is not taken for a byte order mark


@dataclass(frozen=True)
class Dialect:
    """Header (None: the first line is a row), line ends, byte order mark, whether the last line has an end, quotes."""

    header: tuple[str, ...] | None = COLUMNS
    newline: str = "\r\n"
    bom: bool = False
    end: bool = True
    quoting: str = "minimal"

    def texts(self, rows: Iterable[Row]) -> Iterator[str]:
        """The file in pieces."""
        yield "\ufeff" if self.bom else ""
        before = ""
        for line in self._lines(rows):
            yield before + line
            before = self.newline
        yield before if self.end else ""

    def known(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def _lines(self, rows: Iterable[Row]) -> Iterator[str]:
        swapped = self.header == COLUMNS[::-1]
        if self.header is not None:
            yield ",".join(self._cell(name, True) for name in self.header)
        for path, label in rows:
            cells = (self._cell(path, True), self._cell(str(label), False))
            yield f"{cells[1]},{cells[0]}" if swapped else f"{cells[0]},{cells[1]}"

    def _cell(self, cell: str, text: bool) -> str:
        if self.quoting == "all" or (text and self.quoting == "text") or _QUOTED.search(cell):
            return '"' + cell.replace('"', '""') + '"'
        return cell


@dataclass(frozen=True)
class Parsed:
    """Rows of a file with the line of each, and its dialect; `text` where the dialect would not give the same file."""

    rows: list[Row]
    lines: list[int]
    dialect: Dialect
    text: str | None


def dialect_of(known: Any, default: Dialect) -> Dialect:
    """A dialect from what `known` gave; the default where that makes no sense."""
    fields = known if isinstance(known, dict) else {}
    header = fields.get("header", default.header)
    header = tuple(header) if isinstance(header, list | tuple) else None
    found = Dialect(
        header if header in (None, COLUMNS, COLUMNS[::-1]) else default.header,
        *(fields.get(name, getattr(default, name)) for name in ("newline", "bom", "end", "quoting")),
    )
    return found if found.newline in NEWLINES and found.quoting in QUOTINGS else default


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 of rows, whatever the dialect."""
    found = hashlib.sha256()
    for text in Dialect().texts(rows):
        found.update(text.encode())
    return found.hexdigest()


def parse(path: Path) -> Parsed:
    """Read `img,label` rows, with or without a header.

    Raises:
        CurationError: a line is something else; names it.
    """
    text = decoded(path)
    rows, lines, header = [], [], None
    for line, cells in _cells(path, text.removeprefix("\ufeff")):
        if not rows and header is None and tuple(cells) in (COLUMNS, COLUMNS[::-1]):
            header = tuple(cells)
        else:
            rows.append(_row(path, line, cells if header != COLUMNS[::-1] else cells[::-1]))
            lines.append(line)
    if (row := files.first_outside(pa.array([name for name, _ in rows], pa.string()), rooted=True)) is not None:
        raise CurationError(f"{path}, line {lines[row]}: the path {rows[row][0]!r:.200} {files.fault(rows[row][0])}")
    newline = next((end for end in NEWLINES if end in text), NEWLINES[0])
    guess = Dialect(header, newline, text.startswith("\ufeff"), text.endswith(("\r", "\n")) or not text)
    fitting = (d for q in QUOTINGS if _same(d := replace(guess, quoting=q), rows, text))
    dialect = next(fitting, None)
    return Parsed(rows, lines, dialect or guess, None if dialect else text)


def decoded(path: Path) -> str:
    """The text of a UTF-8 file. Raises CurationError when it is none; names the line."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CurationError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None


def _same(dialect: Dialect, rows: list[Row], text: str) -> bool:
    """Whether the dialect gives this text; stops at the first difference."""
    place = 0
    for piece in dialect.texts(rows):
        if not text.startswith(piece, place):
            return False
        place += len(piece)
    return place == len(text)


def _cells(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""))
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CurationError(f"{path}, line {line}: not CSV: {error}") from None


def _row(path: Path, line: int, cells: list[str]) -> Row:
    if len(cells) != 2:
        raise CurationError(f"{path}, line {line}: {len(cells)} cells, and there should be 2, img and label")
    name, label = cells[0], cells[1].strip()
    if not re.fullmatch("[0-9]{1,9}", label) or int(label) > MAX_LABEL:
        raise CurationError(f"{path}, line {line}: label {label!r:.80} is no whole number from 0 to {MAX_LABEL:,}")
    return name, int(label)
