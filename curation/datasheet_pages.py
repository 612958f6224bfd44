"""A datasheet's facts as a page of Markdown and as a page of HTML: both from the same sections."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.datasheet_pictures import plain
from curation.markdown import escaped

_NUMBER = re.compile(r"[0-9,.]*%?")
_HASH = re.compile(r"[0-9a-f]{64}")
_NAMED = 30  # classes that are listed by name
_LISTED = 6  # entries of a list that are shown
_KINDS = {
    "cluster.merge": "clusters merged",
    "cluster.move": "images moved between clusters",
    "cluster.name": "clusters named",
    "cluster.split": "clusters split",
    "exclude": "images excluded or brought back",
    "flag": "images flagged or cleared",
    "import": "verdicts brought in from published files",
    "pair": "verdicts on pairs",
    "pair.final": "adjudications",
    "policy": "rules changed",
}
_DUPLICATES = {
    "decided": "Of near duplicates one image is kept, by the rule and by verdicts of people.",
    "verdicts": "Of near duplicates one image is kept where people called them so.",
    "together": "Near duplicates are kept, all on one side.",
    "ignore": "Near duplicates were not looked at.",
}


@dataclass(frozen=True)
class Table:
    """Rows of cells, columns of numbers right-aligned; `head` may be empty."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Code:
    """Lines for a shell."""

    text: str


Section = tuple[str, list[str | Table | Code]]


def sections(facts: Mapping[str, Any]) -> list[Section]:
    """Titles and contents of what is known, in the order of reading; what is not known is not among them."""
    found = [
        ("Splits", _splits(facts)),
        ("Attributes", _attributes(facts)),
        ("Classes", _classes(facts)),
        ("Recipe", _recipe(facts)),
        ("From images to splits", _funnel(facts)),
        ("Decisions", _decisions(facts)),
        ("Known leaks", _leaks(facts)),
        ("Features and clusters", _made_from(facts)),
        ("Licences", [Table((), [(f"{row['root']}/{row['file']}", row["line"]) for row in facts["licences"]])]),
        ("Inputs, SHA-256", [Table((), list(facts["inputs"].items()))]),
        ("Rebuild and verify", _verify(facts)),
    ]
    return [(title, kept) for title, parts in found if (kept := [p for p in parts if _says(p)])]


def markdown(facts: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page as Markdown; `pictures` are their addresses by name."""
    lines = [f"# {escaped(facts['name'])}", _markdown(_subtitle(facts))]
    lines += [f"![Images by class of every split]({address})" for address in pictures.values()]
    for title, parts in sections(facts):
        lines += [f"## {title}", *(_markdown(part) for part in parts)]
    return "\n\n".join(lines) + "\n"


def html(facts: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page as one HTML file; `pictures` are SVG texts by name."""
    blocks = "".join(
        f"<section><h2>{title}</h2>{''.join(map(_html, parts))}</section>" for title, parts in sections(facts)
    )
    drawn = "".join(f"<figure>{text}</figure>" for text in pictures.values())
    title = plain(facts["name"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: datasheet</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<style>{_STYLE}</style></head>\n<body><main><header><h1>{title}</h1><p>{plain(_subtitle(facts), 200)}</p>"
        f'</header>{drawn}<div class="grid">{blocks}</div></main></body></html>\n'
    )


# -- below: what each section says ------------------------------------------------------------------------------------


def _subtitle(facts: Mapping[str, Any]) -> str:
    revision = f", revision {facts['revision']}" if facts["revision"] > 1 else ""
    return (
        f"{facts['recipe']['title']}{revision}, from workspace {facts['workspace']}: {facts['images']:,} images of "
        f"{len(facts['classes']):,} classes in {sum(s['images'] > 0 for s in facts['splits'].values())} splits"
    )


def _splits(facts: Mapping[str, Any]) -> list[Table]:
    grouped = any(group is not None for group in facts["frequency"])
    head = ["Split", "Images", "Classes", *(("Head", "Medium", "Tail") if grouped else ())]
    rows = []
    for name, found in facts["splits"].items():
        ratio = "" if found["imbalance"] is None else f"{found['imbalance']:,.1f}"
        groups = [found["groups"][group] for group in ("head", "medium", "tail")] if grouped else []
        rows.append((name, found["images"], found["classes"], *groups, ratio, f"{found['gini']:.3f}"))
    return [Table([*head, "Imbalance", "Gini"], rows)]


def _attributes(facts: Mapping[str, Any]) -> list[str | Table]:
    counts = {name: found["per_attribute"] for name, found in facts["splits"].items() if found["images"]}
    many = max((len(row) for row in counts.values()), default=0)
    if not any(map(sum, counts.values())):
        return []
    if many > 8:
        return [f"{many:,} attributes; see the picture."]
    return [Table(["Split", *map(str, range(many))], [(name, *row) for name, row in counts.items()])]


def _classes(facts: Mapping[str, Any]) -> list[str | Table]:
    if len(facts["classes"]) > _NAMED:
        return []
    return [", ".join(f"{label} {name}" for label, name in enumerate(facts["classes"]))]


def _recipe(facts: Mapping[str, Any]) -> list[str | Table]:
    found = facts["recipe"]
    rows = [(name.replace("_", " "), _value(value)) for name, value in found["changed"].items()]
    seeds = [(f"seed of the {name}" if name != "recipe" else "seed", str(s)) for name, s in found["seeds"].items()]
    note = "All other parameters are as they are by default." if found["changed"] else "All parameters by default."
    about = f"{found['title']}: {found['about']}".strip(": ")
    duplicates = _DUPLICATES.get(facts["duplicates"], "")
    return [about, Table((), [*rows, *seeds]), f"{note} {duplicates}".strip()]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name}: {entry}" for name, entry in value.items()]
    if isinstance(value, list):
        more = f" and {len(value) - _LISTED:,} more" if len(value) > _LISTED else ""
        return ", ".join(str(entry) for entry in value[:_LISTED]) + more
    return value if isinstance(value, str) else json.dumps(value)


def _funnel(facts: Mapping[str, Any]) -> list[Table]:
    funnel = facts["funnel"]
    out: dict[str, int] = {}
    for reason, count in funnel["left_out"].items():
        # Who excluded an image is nobody's business here.
        shown = "excluded by people" if reason.startswith("excluded by ") else reason
        out[shown] = out.get(shown, 0) + count
    total = max(1, funnel["images"])
    rows = [("in the workspace", funnel["images"])]
    rows += [(f"left out: {reason}", count) for reason, count in out.items()]
    rows += [("in the splits", sum(funnel["splits"].values()))]
    return [Table((), [(text, count, f"{count / total:.1%}") for text, count in rows])]


def _decisions(facts: Mapping[str, Any]) -> list[str | Table]:
    found = facts["decisions"]
    if found is None:
        return []
    people = "1 person" if found["people"] == 1 else f"{found['people']:,} people"
    rows = [(_KINDS.get(kind, kind), count) for kind, count in found["kinds"].items()]
    return [Table((), rows), f"By {people}, up to position {found['position']:,} of the ledger."]


def _leaks(facts: Mapping[str, Any]) -> list[str | Table]:
    found = facts["leaks"]
    if found is None:
        return ["Near duplicates were not searched for."]
    if not found["compared"]:
        return []
    rest = "" if found["searched"] else " Not all sets were searched against each other."
    if not found["cells"]:
        return [f"No pair between different splits is known to be a near duplicate, and none is open.{rest}"]
    rows = [
        (cell["set_a"], cell["set_b"], cell["duplicates"], cell["undecided"], cell["contested"])
        for cell in found["cells"]
    ]
    head = ("Between", "and", "Pairs", "Undecided", "Contested")
    return [Table(head, rows), f"Pairs of near duplicates between different sets.{rest}"]


def _made_from(facts: Mapping[str, Any]) -> list[Table]:
    features, clusters = (facts["made_from"].get(name, {}) for name in ("features", "clusters"))
    rows = [
        ("backbone", features.get("backbone")),
        ("weights", features.get("weights")),
        ("weights, SHA-256", features.get("weights_sha256")),
        ("dimensions", features.get("dim")),
        ("clusters", facts["recipe"]["clusters"]),
        ("clusters a class", clusters.get("clusters")),
        ("attributes a class", clusters.get("attributes")),
    ]
    return [Table((), [(name, value) for name, value in rows if value not in (None, "")])]


def _verify(facts: Mapping[str, Any]) -> list[str | Table | Code]:
    text = "An export of this split holds its inputs and a manifest. This makes again what follows from them, and "
    text += "compares every file with its SHA-256:"
    tools = ", ".join(f"{name} {version}" for name, version in facts["tools"].items())
    return [text, Code("python -m curation rebuild manifest.json"), f"Made with {tools}."]


def _says(part: str | Table | Code) -> bool:
    return bool(part.rows) if isinstance(part, Table) else bool(part)


# -- below: two ways to write them ------------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _right(table: Table) -> list[bool]:
    """Which columns hold numbers only."""
    columns = zip(*table.rows, strict=True)
    return [all(_NUMBER.fullmatch(_shown(value)) for value in column) for column in columns]


def _markdown(part: str | Table | Code) -> str:
    if isinstance(part, Code):
        return f"```sh\n{part.text}\n```"
    if isinstance(part, str):
        return escaped(part) if len(part) <= 120 else " ".join(escaped(word) for word in part.split())
    rows = [[f"`{c}`" if _HASH.fullmatch(_shown(c)) else escaped(_shown(c)) for c in row] for row in part.rows]
    rule = ["---:" if right else "---" for right in _right(part)]
    head = part.head or [""] * len(rule)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _html(part: str | Table | Code) -> str:
    if isinstance(part, Code):
        return f"<pre>{plain(part.text, 200)}</pre>"
    if isinstance(part, str):
        return f"<p>{plain(part, 400)}</p>"
    right = _right(part)
    kinds = [' class="n"' if number else "" for number in right]
    head = "".join(f"<th{kind}>{plain(cell)}</th>" for kind, cell in zip(kinds, part.head, strict=False))
    rows = ""
    for row in part.rows:
        rows += f"<tr>{''.join(f'<td{kind}>{_cell(c, part)}</td>' for kind, c in zip(kinds, row, strict=True))}</tr>"
    keys = "" if head or right[-1] else ' class="k"'
    return f"<table{keys}>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{rows}</tbody></table>"


def _cell(value: Any, table: Table) -> str:
    """A cell; of a hash the beginning, and the whole where the pointer rests."""
    text = _shown(value)
    if _HASH.fullmatch(text):
        return f'<code title="{text}">{text[:16]}…</code>'
    return plain(text, 40 if table.head else 120)


_STYLE = """
:root{--ink:#1c2025;--quiet:#5c636d;--rule:#dcdfe4;--page:#fff;--soft:#f3f4f6;--accent:#2456c7}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e6e8eb;--quiet:#989fa9;--rule:#33383f;--page:#141619;--soft:#1f2227;--accent:#7ea5ec}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.45 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 24px 40px}
h1{margin:0;font-size:22px;font-weight:600;overflow-wrap:anywhere}
header p{margin:2px 0 18px;color:var(--quiet)}
h2{margin:0 0 4px;font-size:13px;font-weight:600;color:var(--accent)}
figure{margin:0 0 20px}svg{display:block;width:100%;height:auto}
.grid{columns:2;column-gap:40px}
section{break-inside:avoid;margin:0 0 20px}
p{margin:4px 0;color:var(--quiet)}
table{border-collapse:collapse;width:100%}
th,td{padding:3px 0 3px 12px;text-align:left;font-weight:400;vertical-align:top;overflow-wrap:break-word}
th:first-child,td:first-child{padding-left:0}
th{color:var(--quiet);font-size:12px;white-space:nowrap}
tr+tr td,thead+tbody td{border-top:1px solid var(--rule)}
.k td{overflow-wrap:anywhere}.k td:first-child{width:42%}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font:12px/1.5 ui-monospace,monospace}
pre{margin:4px 0;padding:6px 10px;background:var(--soft);border-radius:6px;overflow-x:auto}
@media screen and (max-width:760px){.grid{columns:1}}
@page{size:A4;margin:10mm 12mm}
@media print{
body{font-size:7.5pt;line-height:1.25}main{max-width:none;padding:0}h1{font-size:13pt}header p{margin:0 0 6pt}
h2{font-size:7.5pt;margin:0}th{font-size:7pt}code,pre{font-size:6.5pt}p{margin:1pt 0}pre{padding:2pt 5pt}
figure{margin-bottom:8pt}svg{max-height:86mm}section{margin-bottom:7pt}th,td{padding:.8pt 0 .8pt 6pt}
.grid{column-gap:8mm}}
"""
