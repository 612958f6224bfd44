"""A certificate as a page of Markdown that a person can read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from curation.markdown import LONGEST, escaped


def markdown(found: dict[str, Any]) -> str:
    """The page for what `certificate.certificate` gives; whatever is not known is said so.

    Names in it are escaped, so that none is taken for markup.
    """
    parts = [_head(found), _leaks(found), _search(found), _recall(found), _people(found), _not_known(found)]
    return "\n\n".join(line for part in parts for line in part) + "\n"


def _head(found: dict[str, Any]) -> list[str]:
    images, split = found["images"], found["split"]
    about = f"the saved split {escaped(split['name'])}" if split["name"] is not None else "the splits found on disk"
    tool = found["tool"]
    digest = f"`{images['sha256']}`" if images["sha256"] else "none"
    lines = [
        ("Workspace", f"{escaped(found['workspace']['name'])} ({escaped(found['workspace']['id'])})"),
        ("Images", f"{images['ok']:,} usable of {images['rows']:,}, {images['flat']:,} of them flat"),
        ("Digest of the images", digest),
        ("Sets", about + (f", `{split['sha256']}`" if split["sha256"] else "")),
        ("Decisions", f"up to position {found['ledger_position']:,} of the ledger"),
        ("Made by", f"{escaped(tool['name'])} {escaped(tool['version'])}"),
    ]
    return ["# Near duplicates: certificate", _table(("", ""), lines), _verdict(found)]


def _verdict(found: dict[str, Any]) -> str:
    """What it comes to, in a sentence or two."""
    if found["search"] is None:
        return "**No search was made: this certifies nothing.**"
    apart = [cell for cell in found["leaks"] if cell["set_a"] != cell["set_b"] or cell["reference"]]
    sums = {name: sum(cell[name] for cell in apart) for name in ("duplicates", "undecided", "contested")}
    if not apart:
        return "There is one set only: nothing can leak from one into another."
    text = "Between different sets no pair is known to be a duplicate, and none is open."
    if any(sums.values()):
        text = f"Between different sets: {', '.join(f'{number:,} {name}' for name, number in sums.items())}."
    rest = "" if all(cell["searched"] for cell in apart) else " Not all of them were searched; see the end."
    return f"**{text}**{rest}"


def _leaks(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            _set(cell["set_a"], False),
            _set(cell["set_b"], cell["reference"]),
            *(f"{cell[name]:,}" for name in ("duplicates", "images_a", "images_b", "undecided", "contested")),
            {True: "yes", False: "no", None: "not known"}[cell["searched"]],
        )
        for cell in found["leaks"]
    ]
    head = ("Set A", "Set B", "Duplicates", "Images of A", "Images of B", "Undecided", "Contested", "Searched")
    return ["## Leaks", "Pairs, and images that are in duplicate pairs.", _table(head, rows, numbers=range(2, 7))]


def _search(found: dict[str, Any]) -> list[str]:
    search = found["search"]
    if search is None:
        return ["## Search", "No search was made."]
    rows = [
        (
            escaped(row["measure"]),
            escaped(row["reference"]) or "this workspace",
            escaped(row["scope"]),
            "not known" if row["pairs"] is None else f"{row['pairs']:,}",
            escaped(row["note"]),
        )
        for row in found["searched"]
    ]
    head = ("Measure", "Against", "Scope", "Pairs compared exactly", "")
    pairs = found["pairs"]
    said = (
        f"{pairs['all']:,} pairs were kept; the rule calls {pairs['duplicate']:,} duplicates, {pairs['candidate']:,} "
        f"candidates and {pairs['different']:,} different."
    )
    shown = {key: value for key, value in search.items() if key != "tables"}
    settings = [(escaped(key), escaped(value)) for key, value in _flat(shown)]
    return ["## Search", _table(head, rows, numbers=(3,)), said, "### Settings", _table(("Setting", "Value"), settings)]


def _flat(value: Any, above: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested settings, with their keys joined by dots."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{above}.{key}" if above else key)
    elif isinstance(value, list | tuple) and value:
        yield above, ", ".join(map(str, value))
    else:
        yield above, "none" if value in (None, {}, [], "") else value


def _recall(found: dict[str, Any]) -> list[str]:
    lines = ["## Recall by planted probes"]
    probes = found["probes"]
    if probes is None or probes[-1]["recall"] is None:
        return [*lines, "Not known."]
    names = ("planted", "proposed", "duplicates")
    rows = [
        (escaped(row["edit"]), *(f"{row[name]:,}" for name in names), _share(row, "recall"), _alarms(row))
        for row in probes
    ]
    head = ("Edit", "Planted", "Proposed", "Called duplicate", "Recall (95 % interval)", "False alarms")
    text = (
        "Of edited copies of the workspace's own images, how many the search found; and of pairs of a copy with a "
        "look-alike of its original, how many it took for duplicates."
    )
    return [*lines, text, _table(head, rows, numbers=range(1, 6))]


def _alarms(row: dict[str, Any]) -> str:
    return f"{row['alarms']:,} of {row['lookalikes']:,}"


def _people(found: dict[str, Any]) -> list[str]:
    said, right, agree, unseen = (found[name] for name in ("verdicts", "reviewers", "agreement", "unseen"))
    names = ("duplicate", "related", "different", "unsure", "contested", "adjudicated")
    rows = [("Pairs judged", f"{said['judged']:,}")] + [(f"of those {name}", f"{said[name]:,}") for name in names]
    rows.append(("Reviewers", f"{said['reviewers']:,}"))
    share = said["double_review_share"]
    rows.append(("Judged by two or more", f"{said['judged_by_two']:,}" + ("" if share is None else f" ({share:.1%})")))
    rows.append(("Agreement (Cohen's kappa)", "not known" if agree is None else _agreement(agree)))
    known = "not known" if right is None else f"{right['right']:,} of {right['judged']:,}, {_share(right, 'rate')}"
    rows.append(("Right about planted pairs", known))
    rows.append(("Duplicates among unseen pairs", "not known" if unseen is None else _unseen(unseen)))
    return ["## Decisions", _table(("", ""), rows, numbers=(1,))]


def _agreement(agree: dict[str, Any]) -> str:
    kappa = "not defined" if agree["kappa"] is None else f"{agree['kappa']:.2f}"
    lowest = f", lowest of {agree['couples']:,} couples {agree['lowest']:.2f}" if agree["couples"] > 1 else ""
    return f"{kappa} ({agree['agreed']:,} of {agree['pairs']:,} alike{lowest if agree['kappa'] is not None else ''})"


def _unseen(unseen: dict[str, Any]) -> str:
    text = f"{unseen['estimated']:,.1f} ({unseen['low']:,.0f} to {unseen['high']:,.0f}) of {unseen['undecided']:,}"
    return f"{text}, from {unseen['verdicts']:,} verdicts; {unseen['tolerated']:g} are tolerated"


def _not_known(found: dict[str, Any]) -> list[str]:
    if not found["not_known"]:
        return []
    return ["## What is not known", "\n".join(f"- {escaped_sentence(text)}" for text in found["not_known"])]


def escaped_sentence(text: str) -> str:
    """As `escaped`, of any length."""
    return "".join(escaped(text[start : start + LONGEST]) for start in range(0, len(text), LONGEST))


def _set(name: str, reference: bool) -> str:
    return f"{escaped(name)} (reference)" if reference else escaped(name) or "all images"


def _share(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "not known"
    return f"{row[name]:.1%} ({row['low']:.1%} to {row['high']:.1%})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    right = set(numbers)
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
