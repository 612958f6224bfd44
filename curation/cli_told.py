"""What a shell tells people of splits and their files; with `--json` a program gets the whole."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 60
_EXPORTS = ("split", "images", "files", "bytes", "newer_revision", "out")


def made(found: dict[str, Any]) -> dict[str, Any]:
    """A split that was made."""
    told = {key: value for key, value in found.items() if key != "other_inputs"}
    return told | _others("made from other", found["other_inputs"])


def listed(found: dict[str, Any]) -> dict[str, Any]:
    """The splits of a workspace, a line each."""
    lines = []
    for row in found["splits"]:
        parts = ", ".join(f"{name} {count:,}" for name, count in row["splits"].items())
        lines.append(
            f"{row['name']} ({row['recipe']}): {row['images']:,} images of {row['classes']:,} classes: {parts}"
        )
    return {"splits": lines}


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """What differs between two splits: counts, where images of each went, and what was asked."""
    names = ("kept", "added", "dropped", "relabelled")
    ends, moved = found["splits"], found["moved"]
    told = {"compared": " → ".join(found["names"])} | {"moved": found["changed"]} | {n: found[n] for n in names}
    told["classes of another label"] = found["renumbered"] or None
    told["images"] = [
        {"from": start, **{f"to {end}": count for end, count in zip(ends[1], row, strict=True)}}
        for start, row in zip(ends[0], moved, strict=True)
    ]
    for key in ("parameters", "recipe"):
        pairs = [f"{name} {_short(a)} → {_short(b)}" for name, (a, b) in found[key].items()]
        told |= {f"other {key}": pairs} if pairs else {}
    return told | _others("other inputs", found["inputs"])


def exported(found: dict[str, Any]) -> dict[str, Any]:
    """An export, or a row for each of several."""
    if "exports" not in found:
        return found
    keys = [key for key in _EXPORTS if any(key in each for each in found["exports"])]
    told = {"exports": [{key: each.get(key) for key in keys} for each in found["exports"]]}
    refused = [{"split": each["split"], **row} for each in found["exports"] for row in each.get("refused", ())]
    return told | ({"refused": refused} if refused else {}) | {"set_aside": found["set_aside"]}


def converted(found: dict[str, Any]) -> dict[str, Any]:
    """A conversion, what was lost with it, and what its readers will miss."""
    told = {key: value for key, value in found.items() if key not in ("lost", "lacks")}
    said = {"cannot hold": _columns(found["lost"]), "readers will miss": _columns(found["lacks"])}
    return told | {key: text for key, text in said.items() if text}


def _columns(rows: list[dict[str, Any]]) -> str:
    """Columns with how many rows or names of theirs it is about."""
    units = {"meta": None, "about": "classes", "classes": "names", "splits": "names"}
    parts = ((row["column"], row["rows"], units.get(row["column"], "rows")) for row in rows)
    return ", ".join(f"{column} ({count:,} {unit})" if unit else column for column, count, unit in parts)


def checked(found: dict[str, Any]) -> dict[str, Any]:
    """An export that was made again and compared."""
    told = {key: found[key] for key in ("export", "split", "out") if found.get(key)}
    if isinstance(found["files"], list):
        lost = [row["path"] for row in found["files"] if row["status"] == "missing"]
        told |= {"files as the manifest says": found["ok"]} | ({"were missing": lost} if lost else {})
    else:
        told["files as the manifest says"] = found["files"]
    without = found["without_pictures"]
    return told | ({"not checked": f"{without:,} files with pictures, which are not here"} if without else {})


def _others(key: str, names: list[str]) -> dict[str, list[str]]:
    """Tables that are others; the number of rows is none."""
    tables = [name for name in names if name != "rows"]
    return {key: tables} if tables else {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
