// Gallery: any number of pictures, in groups or not; move, select, flag, exclude and undo by keyboard or pointer.
// What is marked is known here first and sent on by decisions.js; Python learns the selection.

import { count, element, helpDialog, life, sheet } from "./base.js";
import { outbox, StatusLine } from "./decisions.js";
import { Lightbox } from "./lightbox.js";
import { nothing, section, tile } from "./tiles.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("gallery.css")]);
const GAP = 8;
const CAPTION = 22; // height of a caption
const BLOCK = 6; // rows
const UNDONE = { flag: "clear", clear: "flag", exclude: "include", include: "exclude" };
const MARK = { flag: "flagged", exclude: "excluded" };

const KEYS = [
  ["← ↑ ↓ →", "move"],
  ["Space", "select (also a click; Shift-click selects a range)"],
  ["A", "select all of the group"],
  ["F", "flag the selected pictures, or the one under the cursor"],
  ["X", "exclude them from splits"],
  ["U", "undo"],
  ["Enter", "large view (also a double click)"],
  ["Esc", "close the large view, or select nothing"],
  ["?", "this help"],
];

class Gallery {
  constructor(root) {
    this.root = root;
    this.cursor = 0;
    this.anchor = 0;
    this.selection = new Set();
    this.flagged = new Set();
    this.excluded = new Set();
    this.local = new Map(); // "flag 12": what was decided here and Python has not seen yet
    this.done = []; // actions that u undoes, last one last
    this.stage = element("div", { className: "groups", tabIndex: 0 });
    this.status = new StatusLine(element("span"));
    this.help = helpDialog("Keys of the gallery", KEYS);
    this.box = new Lightbox(this);
    this.part = element("div", { className: "part gallery" }, this.bar(), this.stage, this.help, this.box.dialog);
    root.append(this.part);
    this.stage.addEventListener("click", (event) => this.click(event));
    this.stage.addEventListener("dblclick", (event) => this.indexOf(event) >= 0 && this.box.open());
    this.stage.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
    this.resized = new ResizeObserver(() => this.layout());
    this.resized.observe(this.stage);
    this.onsaved = (event) => this.saved(event.detail);
  }

  bar() {
    const button = (label, key, press) => {
      const made = element("button", { className: "quiet", onclick: press }, label, element("kbd", { textContent: key }));
      made.onmousedown = (event) => event.preventDefault(); // the pictures keep the focus
      return made;
    };
    this.total = element("span");
    this.buttons = {
      flag: button("Flag", "F", () => this.mark("flag")),
      exclude: button("Exclude", "X", () => this.mark("exclude")),
      undo: button("Undo", "U", () => this.undo()),
      help: element("button", { className: "quiet", aria: { label: "Keys" }, onclick: () => this.help.showModal() },
        element("kbd", { textContent: "?" })),
    };
    return element("div", { className: "bar" }, this.total, element("span", { className: "fill" }), this.status.node,
      element("span", { className: "tools" }, ...Object.values(this.buttons)));
  }

  // -- what Python says ---------------------------------------------------------------------------------------------

  update(data) {
    const known = this.data;
    this.data = data;
    const box = outbox(data.urls.events);
    if (this.outbox !== box) {
      this.outbox?.removeEventListener("saved", this.onsaved);
      (this.outbox = box).addEventListener("saved", this.onsaved);
    }
    this.status.follow(box);
    this.part.style.setProperty("--tile", `${data.tile}px`);
    this.stage.style.maxHeight = data.height ? `${data.height}px` : "";
    this.buttons.flag.hidden = !data.decide.includes("flag");
    this.buttons.exclude.hidden = !data.decide.includes("exclude");
    this.buttons.undo.hidden = !data.decide.length;
    this.marks(data);
    const shape = JSON.stringify([data.ids, data.groups, data.urls.image, data.captions, data.tile]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(known);
    } else this.paintAll();
    if (known && known.cleared !== data.cleared && this.selection.size) this.select([]);
    this.say();
  }

  // Python's marks, with what was decided here since it looked.
  marks({ flagged, excluded, position }) {
    this.flagged = new Set(flagged);
    this.excluded = new Set(excluded);
    for (const [key, { kind, id, on, position: kept }] of this.local) {
      if (kept !== undefined && kept <= position) this.local.delete(key);
      else this[MARK[kind]][on ? "add" : "delete"](id);
    }
  }

  build(known) {
    const { ids, groups, captions, words } = this.data;
    const at = known?.ids[this.cursor];
    this.place = new Map(ids.map((id, i) => [id, i]));
    this.cursor = this.anchor = this.place.get(at) ?? Math.max(0, Math.min(this.cursor, ids.length - 1));
    this.groups = groups.map((group) => ({ ...group }));
    this.tiles = ids.map((id, i) => tile(this.data, id, i, captions ? words[captions[i]] : ""));
    const acts = {
      all: this.data.selectable && ((group) => this.selectAll(group)),
      open: (group) => this.context.setTriggerValue("group", group.id),
    };
    this.stage.replaceChildren(...this.groups.map((group) => section(group, acts)));
    if (!ids.length) this.stage.append(nothing(this.data.empty));
    this.stage.setAttribute("role", "listbox");
    this.stage.setAttribute("aria-multiselectable", "true");
    this.stage.setAttribute("aria-label", count(ids.length, "picture"));
    const kept = [...this.selection].filter((id) => this.place.has(id));
    if (kept.length !== this.selection.size) this.select(kept);
    this.columns = 0;
    this.layout();
    this.paintAll();
  }

  // Columns fill the width; with `rows`, each group shows only so many rows. Tiles lie in blocks of a few rows, and the
  // browser skips whole blocks that are out of sight: their height is told, so that the scroll bar stays true.
  layout() {
    const width = this.stage.clientWidth - 8;
    if (!this.data || width <= 0) return;
    const columns = Math.max(1, Math.floor((width + GAP) / (this.data.tile + GAP)));
    const side = (width + GAP) / columns - GAP + (this.data.captions ? CAPTION : 0);
    this.part.style.setProperty("--row", `${side}px`);
    if (columns === this.columns) return;
    this.columns = columns;
    this.part.style.setProperty("--columns", columns);
    for (const group of this.groups) {
      group.shown = Math.min(group.end, this.data.rows ? group.start + columns * this.data.rows : group.end);
      const blocks = [];
      for (let i = group.start; i < group.shown; i += columns * BLOCK) {
        const tiles = this.tiles.slice(i, Math.min(i + columns * BLOCK, group.shown));
        const block = element("div", { className: "grid" }, ...tiles);
        block.style.setProperty("--rows", Math.ceil(tiles.length / columns));
        blocks.push(block);
      }
      group.grid.replaceChildren(...blocks);
    }
  }

  isShown = (i) => i < (this.groups[this.groupOf(i)]?.shown ?? 0);

  // -- what is on the screen ----------------------------------------------------------------------------------------

  paint(i) {
    const tile = this.tiles[i];
    if (!tile) return;
    const id = this.data.ids[i];
    const marks = { selected: this.selection.has(id), flagged: this.flagged.has(id), excluded: this.excluded.has(id) };
    for (const [name, on] of Object.entries(marks)) tile.classList.toggle(name, on);
    tile.classList.toggle("cursor", i === this.cursor);
    tile.setAttribute("aria-selected", marks.selected);
    const spoken = [tile.caption, `image ${id}`, marks.flagged && "flagged", marks.excluded && "excluded"];
    tile.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
  }

  paintAll() {
    this.tiles.forEach((_, i) => this.paint(i));
    this.stage.setAttribute("aria-activedescendant", `t${this.cursor}`);
    this.box.refresh();
  }

  say() {
    const { ids, decide } = this.data;
    const parts = [count(ids.length, "picture")];
    const here = (set) => ids.reduce((n, id) => n + set.has(id), 0);
    if (this.selection.size) parts.push(`${this.selection.size.toLocaleString("en-US")} selected`);
    if (decide.includes("flag")) parts.push(`${here(this.flagged).toLocaleString("en-US")} flagged`);
    if (decide.includes("exclude")) parts.push(`${here(this.excluded).toLocaleString("en-US")} excluded`);
    this.total.textContent = parts.join(" · ");
    this.buttons.undo.disabled = !this.done.length;
  }

  move(to) {
    if (to < 0 || !this.isShown(to)) return;
    const from = this.cursor;
    this.cursor = to;
    this.paint(from);
    this.paint(to);
    this.stage.setAttribute("aria-activedescendant", `t${to}`);
    this.tiles[to].scrollIntoView({ block: "nearest" });
    this.box.refresh();
  }

  groupOf = (i) => this.groups.findIndex((group) => i >= group.start && i < group.end);

  beside(step) {
    let to = this.cursor + step;
    while (this.tiles[to] && !this.isShown(to)) to += step;
    return to;
  }

  below(step) {
    const at = this.groupOf(this.cursor);
    const { start, shown } = this.groups[at] || {};
    const column = (this.cursor - start) % this.columns;
    const to = this.cursor + step * this.columns;
    if (to >= start && to < shown) return to;
    // From a row that is not the last, down leads to the last picture even where the last row is short.
    const lastRow = start + Math.floor((shown - 1 - start) / this.columns) * this.columns;
    if (step > 0 && this.cursor < lastRow) return shown - 1;
    let next = at + step;
    while (this.groups[next] && this.groups[next].shown === this.groups[next].start) next += step;
    const group = this.groups[next];
    if (!group) return -1;
    const rows = Math.floor((group.shown - 1 - group.start) / this.columns);
    return Math.min(group.start + (step > 0 ? 0 : rows * this.columns) + column, group.shown - 1);
  }

  // -- selecting ----------------------------------------------------------------------------------------------------

  indexOf(event) {
    const tile = event.target.closest(".tile");
    return tile ? Number(tile.dataset.i) : -1;
  }

  click(event) {
    const i = this.indexOf(event);
    if (i < 0) return;
    const from = this.anchor;
    this.move(i);
    if (!this.data.selectable) this.box.open();
    else if (event.shiftKey) this.selectRange(from, i);
    else this.toggle();
  }

  toggle() {
    const id = this.data.ids[this.cursor];
    if (id === undefined || !this.data.selectable) return;
    this.anchor = this.cursor;
    const next = new Set(this.selection);
    if (!next.delete(id)) next.add(id);
    this.select(next);
  }

  selectRange(from, to) {
    const visible = this.data.ids.slice(Math.min(from, to), Math.max(from, to) + 1)
      .filter((id) => this.isShown(this.place.get(id)));
    this.select([...this.selection, ...visible]);
  }

  selectAll(group = this.groups[this.groupOf(this.cursor)]) {
    if (!group || !this.data.selectable) return;
    const ids = this.data.ids.slice(group.start, group.shown); // never what cannot be seen
    const all = ids.every((id) => this.selection.has(id));
    this.select(all ? [...this.selection].filter((id) => !ids.includes(id)) : [...this.selection, ...ids]);
  }

  select(ids) {
    const before = this.selection;
    this.selection = new Set(ids);
    for (const id of new Set([...before, ...this.selection])) {
      if (before.has(id) !== this.selection.has(id)) this.paint(this.place.get(id));
    }
    this.say();
    this.box.refresh();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.context.setStateValue("selection", this.data.ids.filter((id) => this.selection.has(id)));
    }, 250);
  }

  // -- deciding -----------------------------------------------------------------------------------------------------

  mark(kind) {
    if (!this.data.decide.includes(kind) || !this.data.ids.length) return;
    const chosen = this.box.isOpen || !this.selection.size ? [this.data.ids[this.cursor]] : [...this.selection];
    const set = this[MARK[kind]];
    const on = !chosen.every((id) => set.has(id));
    const changed = chosen.filter((id) => set.has(id) !== on);
    const verdict = on ? kind : UNDONE[kind];
    const ids = this.outbox.add(this.data.reviewer, changed.map((id) => ({ kind, subject: String(id), verdict, shown: this.shown(id) })));
    this.done.push(changed.map((id, k) => ({ kind, id, on, event: ids[k] })));
    changed.forEach((id, k) => this.set(kind, id, on, ids[k]));
    this.say();
    this.box.refresh();
  }

  shown(id) {
    const i = this.place.get(id);
    const group = this.groups[this.groupOf(i)];
    const view = this.box.isOpen ? "large" : "gallery";
    return { view, caption: this.tiles[i].caption, ...(group?.title && { group: group.title }), ...this.data.shown };
  }

  undo() {
    const last = this.done.pop();
    if (!last) return;
    const ids = this.outbox.add(this.data.reviewer, last.map(({ event }) => ({ kind: "undo", subject: event })));
    last.forEach(({ kind, id, on }, k) => this.set(kind, id, !on, ids[k]));
    if (this.place.has(last[0].id)) this.move(this.place.get(last[0].id));
    this.say();
    this.box.refresh();
  }

  set(kind, id, on, event) {
    this[MARK[kind]][on ? "add" : "delete"](id);
    this.local.set(`${kind} ${id}`, { kind, id, on, event });
    if (this.place.has(id)) this.paint(this.place.get(id));
  }

  // The server has them; Python is asked to look again once the hand rests.
  saved({ ids, position }) {
    const kept = new Set(ids);
    for (const one of this.local.values()) if (kept.has(one.event)) one.position = position;
    clearTimeout(this.hinting);
    if (this.data.notify) this.hinting = setTimeout(() => this.context.setTriggerValue("saved", position), 600);
  }

  // -- keys ---------------------------------------------------------------------------------------------------------

  key(event) {
    if (this.help.open) return this.closeHelp(event);
    const keys = {
      ArrowLeft: () => this.move(this.beside(-1)),
      ArrowRight: () => this.move(this.beside(1)),
      ArrowUp: () => this.move(this.box.isOpen ? this.beside(-1) : this.below(-1)),
      ArrowDown: () => this.move(this.box.isOpen ? this.beside(1) : this.below(1)),
      " ": () => event.repeat || this.toggle(),
      Enter: () => (this.box.isOpen ? this.box.close() : this.box.open()),
      Escape: () => (this.box.isOpen ? this.box.close() : this.select([])),
      a: () => this.selectAll(),
      f: () => event.repeat || this.mark("flag"),
      x: () => event.repeat || this.mark("exclude"),
      u: () => this.undo(),
      "?": () => this.box.isOpen || this.help.showModal(),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (!this.data.ids.length && event.key !== "?")) return false;
    act();
    return true;
  }

  closeHelp(event) {
    if (event.key !== "Escape" && event.key !== "?") return false;
    this.help.close();
    return true;
  }

  unmount() {
    clearTimeout(this.telling);
    clearTimeout(this.hinting);
    this.outbox?.removeEventListener("saved", this.onsaved);
    this.outbox?.send();
    this.status.stop();
    this.resized.disconnect();
    this.part.remove();
  }
}

export default life(Gallery, styleSheets);
