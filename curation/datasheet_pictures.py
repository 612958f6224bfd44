"""The pictures of a datasheet as SVG: light and dark, without scripts, fonts or anything else from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

WIDTH = 1000
_LEFT, _ATTRIBUTES, _GAP = 52, 150, 36
_MOST_COLUMNS = 800  # beyond, bars are narrower than a pixel: neighbours share one
_MOST_NAMED = 200  # classes whose bars tell their name
_STYLE = """
.c0{fill:#1b4fae}.c1{fill:#5d8fe6}.c2{fill:#a9c6f7}.c{fill:#2456c7}
.t{font:13px system-ui,sans-serif;fill:#1c2025}.q{font-size:11px;fill:#69707a}.r{stroke:#c9cdd4}
@media screen and (prefers-color-scheme:dark){
.c0{fill:#3f74dc}.c1{fill:#7ea5ec}.c2{fill:#c4d8fa}.c{fill:#4d7fe0}
.t{fill:#e6e8eb}.q{fill:#989fa9}.r{stroke:#3d434c}}
"""


def plain(text: Any, longest: int = 60) -> str:
    """Text for XML or HTML: markup escaped, no control characters, the middle of a long one cut out."""
    shown = "".join(char if char.isprintable() else " " for char in str(text))
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[len(shown) - longest // 2 + 1 :]}"
    return escape(shown)


def histograms(
    per_class: Mapping[str, Sequence[int]],
    per_attribute: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    frequency: Sequence[int | None],
) -> str:
    """Images by class of every split, one panel below the other, aligned by label; beside them images by attribute.

    Args:
        per_class: by split, images of every label.
        per_attribute: by split, images of every attribute; no panels where all are empty.
        classes: names by label.
        frequency: 0 head, 1 medium, 2 tail or None, by label.
    """
    attributes = any(sum(counts) for counts in per_attribute.values())
    width = WIDTH - _LEFT - (_ATTRIBUTES + _GAP if attributes else 0)
    height = 78 if len(per_class) <= 6 else 44
    step = height + 34
    parts = [*_legend(frequency, _LEFT + width)]
    for row, (name, counts) in enumerate(per_class.items()):
        top = 40 + row * step
        parts += _panel(name, np.asarray(counts), classes, frequency, top, width, height)
        if attributes:
            parts += _attributes(np.asarray(per_attribute[name]), top, height)
    total = 40 + len(per_class) * step
    parts += _axis(classes, total - 30, width, attributes)
    label = "Images by class of every split, classes in the order of their labels"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" role="img" aria-label="{label}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _panel(
    name: str,
    counts: np.ndarray,
    classes: Sequence[str],
    frequency: Sequence[int | None],
    top: int,
    width: float,
    height: int,
) -> Iterator[str]:
    present = counts[counts > 0]
    said = f"{counts.sum():,} images, {len(present):,} classes"
    if len(present):
        said += f", {present.max():,} to {present.min():,} images a class"
    yield _text(_LEFT, top - 8, f"{plain(name)} <tspan class='q' dx='8'>{said}</tspan>")
    yield _text(_LEFT - 8, top + 9, f"{counts.max(initial=0):,}", "t q", "end")
    bars, groups, each = _columns(counts, frequency)
    scale = height / max(1.0, float(bars.max(initial=0)))
    step = width / max(1, len(bars))
    gap = min(2.0, step * 0.15) if step >= 4 else 0.0
    titled = each == 1 and len(bars) <= _MOST_NAMED
    paths: dict[int | None, list[str]] = {}
    for i in np.flatnonzero(bars):
        x, tall = _LEFT + i * step, bars[i] * scale
        if titled:
            yield (
                f'<rect class="{_class(groups[i])}" x="{x:.2f}" y="{top + height - tall:.2f}" '
                f'width="{step - gap:.2f}" height="{tall:.2f}"><title>{plain(classes[i])}: {counts[i]:,}</title></rect>'
            )
        else:
            bar = f"M{x:.2f} {top + height}v{-tall:.2f}h{step - gap:.2f}v{tall:.2f}z"
            paths.setdefault(groups[i], []).append(bar)
    yield from (f'<path class="{_class(group)}" d="{"".join(bars)}"/>' for group, bars in paths.items())
    yield f'<path class="r" d="M{_LEFT} {top + height}.5h{width:.0f}"/>'


def _columns(counts: np.ndarray, frequency: Sequence[int | None]) -> tuple[np.ndarray, list[int | None], int]:
    """Heights and groups of the bars, and how many classes share one (their mean)."""
    each = -(-len(counts) // _MOST_COLUMNS) if len(counts) else 1
    starts = np.arange(0, len(counts), each)
    sizes = np.diff(starts, append=len(counts))
    means = np.add.reduceat(counts, starts) / sizes if len(counts) else counts
    return means, [frequency[start] for start in starts], each


def _attributes(counts: np.ndarray, top: int, height: int) -> Iterator[str]:
    left = WIDTH - _ATTRIBUTES
    step = _ATTRIBUTES / max(1, len(counts))
    gap = min(6.0, step * 0.15)
    for i, count in enumerate(counts.tolist()):
        tall = count * height / max(1, int(counts.max()))
        yield (
            f'<rect class="c" x="{left + i * step:.2f}" y="{top + height - tall:.2f}" width="{step - gap:.2f}" '
            f'height="{tall:.2f}"><title>attribute {i}: {count:,}</title></rect>'
        )
        if len(counts) <= 4:
            yield _text(left + (i + 0.5) * step - gap / 2, top - 8, f"{count:,}", "t q", "middle")
    yield f'<path class="r" d="M{left} {top + height}.5h{_ATTRIBUTES}"/>'


def _axis(classes: Sequence[str], y: int, width: float, attributes: bool) -> Iterator[str]:
    step = width / max(1, len(classes))
    fit = int(step / 6.5)
    if classes and max(len(name) for name in classes) <= fit:
        for i, name in enumerate(classes):
            yield _text(_LEFT + (i + 0.5) * step, y + 16, plain(name), "t q", "middle")
    elif classes:
        yield _text(_LEFT, y + 16, "label 0", "t q")
        yield _text(_LEFT + width, y + 16, f"label {len(classes) - 1:,}", "t q", "end")
    if attributes:
        yield _text(WIDTH - _ATTRIBUTES, y + 16, "by attribute", "t q")


def _legend(frequency: Sequence[int | None], right: float) -> Iterator[str]:
    there = [group for group in (0, 1, 2) if group in frequency]
    for place, group in enumerate(there):
        x = right - 72 * (len(there) - place)
        yield f'<rect class="c{group}" x="{x}" y="3" width="10" height="10"/>'
        yield _text(x + 15, 12, ("head", "medium", "tail")[group], "t q")


def _class(group: int | None) -> str:
    return "c" if group is None else f"c{group}"


def _text(x: float, y: float, text: str, kind: str = "t", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
