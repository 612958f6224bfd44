// Gallery: any number of pictures, in groups or not; move, select, flag, exclude and undo by keyboard or pointer.
// What is marked is known here first and sent on by decisions.js; Python learns the selection.

import { Arrangement } from "./arrangement.js";
import { count, element, helpDialog, life, sheet } from "./base.js";
import { join, leave, StatusLine } from "./decisions.js";
import { Lightbox } from "./lightbox.js";
import { Marks } from "./marks.js";
import { nothing, section, tile } from "./tiles.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("gallery.css")]);
const OPPOSITE = { flag: "clear", exclude: "include" };

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
    this.marks = new Marks();
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
    join(this, data.urls.events);
    this.part.style.setProperty("--tile", `${data.tile}px`);
    this.stage.style.maxHeight = data.height ? `${data.height}px` : "";
    this.part.classList.toggle("boxed", Boolean(data.height));
    this.buttons.flag.hidden = !data.decide.includes("flag");
    this.buttons.exclude.hidden = !data.decide.includes("exclude");
    this.buttons.undo.hidden = !data.decide.length;
    this.marks.update(data);
    const shape = JSON.stringify([data.ids, data.groups, data.urls.image, data.captions, data.words, data.tile, data.rows]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(known);
    } else this.paintAll();
    if (known && known.cleared !== data.cleared && this.selection.size) this.select([]);
    this.say();
  }

  build(known) {
    const { ids, groups, captions, words } = this.data;
    const at = known?.ids[this.cursor];
    this.places = new Map(); // image id: its positions, since it may be in several groups
    ids.forEach((id, i) => this.places.set(id, [...(this.places.get(id) || []), i]));
    const same = ids[this.cursor] === at ? this.cursor : this.places.get(at)?.[0];
    this.cursor = this.anchor = same ?? Math.max(0, Math.min(this.cursor, ids.length - 1));
    this.tiles = ids.map((id, i) => tile(this.data, id, i, captions ? words[captions[i]] : ""));
    this.lies = new Arrangement(groups, this.tiles);
    this.drawn = this.places.size;
    const acts = {
      all: this.data.selectable && ((group) => this.selectAll(group)),
      open: (group) => this.context.setTriggerValue("group", group.id),
    };
    this.stage.replaceChildren(...this.lies.groups.map((group) => section(group, acts)));
    if (!ids.length) this.stage.append(nothing(this.data.empty));
    this.stage.setAttribute("role", "listbox");
    this.stage.setAttribute("aria-multiselectable", "true");
    this.stage.setAttribute("aria-label", count(this.places.size, "picture"));
    const kept = [...this.selection].filter((id) => this.places.has(id));
    if (kept.length !== this.selection.size) this.select(kept);
    this.layout();
    this.paintAll();
  }

  layout() {
    const width = this.stage.clientWidth - 8;
    if (!this.lies || width <= 0 || !this.lies.lay(width, this.part, this.data)) return;
    this.drawn = new Set(this.lies.groups.flatMap(({ start, shown }) => this.data.ids.slice(start, shown))).size;
    this.say();
  }

  // -- what is on the screen ----------------------------------------------------------------------------------------

  paint(i) {
    const tile = this.tiles[i];
    if (!tile) return;
    const id = this.data.ids[i];
    const { flag, exclude } = this.marks;
    const marks = { selected: this.selection.has(id), flagged: flag.has(id), excluded: exclude.has(id) };
    for (const [name, on] of Object.entries(marks)) tile.classList.toggle(name, on);
    tile.classList.toggle("cursor", i === this.cursor);
    tile.setAttribute("aria-selected", marks.selected);
    const spoken = [tile.caption, `image ${id}`, marks.flagged && "flagged", marks.excluded && "excluded"];
    tile.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
  }

  paintImage(id) {
    for (const i of this.places.get(id) || []) this.paint(i);
  }

  paintAll() {
    this.tiles.forEach((_, i) => this.paint(i));
    this.stage.setAttribute("aria-activedescendant", `t${this.cursor}`);
    this.box.refresh();
  }

  say() {
    const { decide } = this.data;
    const all = count(this.places.size, "picture");
    const parts = [this.drawn < this.places.size ? `${this.drawn.toLocaleString("en-US")} of ${all}` : all];
    const here = (set) => [...this.places.keys()].reduce((n, id) => n + set.has(id), 0).toLocaleString("en-US");
    if (this.selection.size) parts.push(`${this.selection.size.toLocaleString("en-US")} selected`);
    if (decide.includes("flag")) parts.push(`${here(this.marks.flag)} flagged`);
    if (decide.includes("exclude")) parts.push(`${here(this.marks.exclude)} excluded`);
    this.total.textContent = parts.join(" · ");
    this.buttons.undo.disabled = !this.marks.canUndo;
  }

  move(to) {
    if (to < 0 || !this.lies.isShown(to)) return;
    const from = this.cursor;
    this.cursor = to;
    this.paint(from);
    this.paint(to);
    this.stage.setAttribute("aria-activedescendant", `t${to}`);
    this.tiles[to].scrollIntoView({ block: "nearest" });
    this.box.refresh();
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
    const first = Math.min(from, to);
    const visible = this.data.ids.slice(first, Math.max(from, to) + 1).filter((_, k) => this.lies.isShown(first + k));
    this.select([...this.selection, ...visible]);
  }

  selectAll(group = this.lies.groups[this.lies.groupOf(this.cursor)]) {
    if (!group || !this.data.selectable) return;
    const ids = this.data.ids.slice(group.start, group.shown); // never what cannot be seen
    const all = ids.every((id) => this.selection.has(id));
    this.select(all ? [...this.selection].filter((id) => !ids.includes(id)) : [...this.selection, ...ids]);
  }

  select(ids) {
    const before = this.selection;
    this.selection = new Set(ids);
    for (const id of new Set([...before, ...this.selection])) {
      if (before.has(id) !== this.selection.has(id)) this.paintImage(id);
    }
    this.say();
    this.box.refresh();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.context.setStateValue("selection", [...this.places.keys()].filter((id) => this.selection.has(id)));
    }, 250);
  }

  // -- deciding -----------------------------------------------------------------------------------------------------

  mark(kind) {
    if (!this.data.decide.includes(kind) || !this.data.ids.length) return;
    const chosen = this.box.isOpen || !this.selection.size ? [this.data.ids[this.cursor]] : [...this.selection];
    const set = this.marks[kind];
    const on = !chosen.every((id) => set.has(id));
    const changed = chosen.filter((id) => set.has(id) !== on);
    const verdict = on ? kind : OPPOSITE[kind];
    const ids = this.outbox.add(this.data.reviewer, changed.map((id) => ({ kind, subject: String(id), verdict, shown: this.shown(id) })));
    this.marks.did(changed.map((id, k) => ({ kind, id, on, event: ids[k] })));
    changed.forEach((id) => this.paintImage(id));
    this.say();
    this.box.refresh();
  }

  shown(id) {
    const i = this.data.ids[this.cursor] === id ? this.cursor : this.places.get(id)[0];
    const group = this.lies.groups[this.lies.groupOf(i)];
    const view = this.box.isOpen ? "large" : "gallery";
    return { view, caption: this.tiles[i].caption, ...(group?.title && { group: group.title }), ...this.data.shown };
  }

  undo() {
    const last = this.marks.pop();
    if (!last) return;
    const ids = this.outbox.add(this.data.reviewer, last.map(({ event }) => ({ kind: "undo", subject: event })));
    last.forEach(({ kind, id, on }, k) => {
      this.marks.set(kind, id, !on, ids[k]);
      this.paintImage(id);
    });
    const places = this.places.get(last[0].id) || [];
    if (!places.includes(this.cursor)) this.move(places.find(this.lies.isShown) ?? -1);
    this.say();
    this.box.refresh();
  }

  // The server has them; Python is asked to look again once the hand rests.
  saved({ ids, position }) {
    this.marks.saved({ ids, position });
    clearTimeout(this.hinting);
    if (this.data.notify) this.hinting = setTimeout(() => this.context.setTriggerValue("saved", position), 600);
  }

  // -- keys ---------------------------------------------------------------------------------------------------------

  key(event) {
    if (this.help.open) return this.closeHelp(event);
    const keys = {
      ArrowLeft: () => this.move(this.lies.beside(this.cursor, -1)),
      ArrowRight: () => this.move(this.lies.beside(this.cursor, 1)),
      ArrowUp: () => this.move(this.lies[this.box.isOpen ? "beside" : "below"](this.cursor, -1)),
      ArrowDown: () => this.move(this.lies[this.box.isOpen ? "beside" : "below"](this.cursor, 1)),
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
    leave(this);
    this.resized.disconnect();
    this.part.remove();
  }
}

export default life(Gallery, styleSheets);
