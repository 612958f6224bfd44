// Where a gallery's tiles lie: groups in columns, which of them are shown, and what is beside or below a tile.
// A tile is known by its position in the list of all, since a picture may be in several groups.

import { element } from "./base.js";

const GAP = 8;
const CAPTION = 22; // height of a caption
const BLOCK = 6; // rows

export class Arrangement {
  constructor(groups, tiles) {
    this.groups = groups.map((group) => ({ ...group, shown: group.start })); // tiles from start to shown are drawn
    this.tiles = tiles;
    this.columns = 0;
  }

  // Columns fill the width; with `rows`, each group shows only so many rows. Tiles lie in blocks of a few rows, and the
  // browser skips whole blocks that are out of sight: their height is told, so that the scroll bar stays true.
  lay(width, part, { tile, captions, rows }) {
    const columns = Math.max(1, Math.floor((width + GAP) / (tile + GAP)));
    const side = (width + GAP) / columns - GAP + (captions ? CAPTION : 0);
    part.style.setProperty("--row", `${side}px`);
    if (columns === this.columns) return false;
    this.columns = columns;
    part.style.setProperty("--columns", columns);
    for (const group of this.groups) this.fill(group, rows);
    return true;
  }

  fill(group, rows) {
    group.shown = Math.min(group.end, rows ? group.start + this.columns * rows : group.end);
    const blocks = [];
    for (let i = group.start; i < group.shown; i += this.columns * BLOCK) {
      const tiles = this.tiles.slice(i, Math.min(i + this.columns * BLOCK, group.shown));
      const block = element("div", { className: "grid" }, ...tiles);
      block.style.setProperty("--rows", Math.ceil(tiles.length / this.columns));
      blocks.push(block);
    }
    group.grid.replaceChildren(...blocks);
  }

  groupOf = (i) => this.groups.findIndex((group) => i >= group.start && i < group.end);

  isShown = (i) => i < (this.groups[this.groupOf(i)]?.shown ?? 0);

  beside(from, step) {
    let to = from + step;
    while (this.tiles[to] && !this.isShown(to)) to += step;
    return to;
  }

  below(from, step) {
    const at = this.groupOf(from);
    const { start, shown } = this.groups[at] || {};
    const column = (from - start) % this.columns;
    const to = from + step * this.columns;
    if (to >= start && to < shown) return to;
    // From a row that is not the last, down leads to the last picture even where the last row is short.
    const lastRow = start + Math.floor((shown - 1 - start) / this.columns) * this.columns;
    if (step > 0 && from < lastRow) return shown - 1;
    let next = at + step;
    while (this.groups[next] && this.groups[next].shown === this.groups[next].start) next += step;
    const group = this.groups[next];
    if (!group) return -1;
    const rows = Math.floor((group.shown - 1 - group.start) / this.columns);
    return Math.min(group.start + (step > 0 ? 0 : rows * this.columns) + column, group.shown - 1);
  }
}
