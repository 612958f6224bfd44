// The pictures of a group as a grid that fills its place; of a long one only the rows in sight exist.

import { element, nameElement, pictureUrl } from "./base.js";

const GAP = 12;
const CAPTION = 22;
const SMALLEST = 128; // px; below that the grid scrolls
const LARGEST = 620;
const LARGE = 200; // px of a tile from which the larger picture is fetched
const SPARE = 2; // rows drawn out of sight on either side
const FEW = 6; // members up to which links are drawn

export class Wall {
  // `mark(i)`: classes and words of a member; `hover(i)`, `press(i)`: what the pointer does.
  constructor({ mark, hover, press }) {
    this.mark = mark;
    this.tiles = new Map();
    this.lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.field = element("div", { className: "field" });
    this.node = element("div", { className: "wall", tabIndex: -1, aria: { role: "listbox", label: "Pictures of the group" } }, this.field);
    this.node.addEventListener("scroll", () => this.draw());
    const index = (event) => Number(event.target.closest(".tile")?.dataset.i ?? -1);
    this.node.addEventListener("pointermove", (event) => hover(index(event)));
    this.node.addEventListener("pointerleave", () => hover(-1));
    this.node.addEventListener("click", (event) => index(event) >= 0 && press(index(event), event));
    this.resized = new ResizeObserver(() => this.lay());
    this.resized.observe(this.node);
  }

  show(members, images, urls) {
    Object.assign(this, { members, images, urls });
    this.tiles.clear();
    this.field.replaceChildren(this.lines);
    this.node.scrollTop = 0;
    this.lay();
  }

  // As large as all of them fit; otherwise small, and the grid scrolls.
  lay() {
    const { clientWidth: width, clientHeight: height } = this.node;
    const n = this.members?.length;
    if (!n || !width) return;
    const side = (columns) => Math.min((width + GAP) / columns - GAP, (height + GAP) / Math.ceil(n / columns) - GAP - CAPTION);
    let best = 1;
    for (let columns = 2; columns <= Math.min(n, width / SMALLEST); columns++) if (side(columns) > side(best)) best = columns;
    this.scrolls = side(best) < SMALLEST;
    this.columns = this.scrolls ? Math.max(1, Math.floor((width - 12 + GAP) / (SMALLEST + GAP))) : best;
    this.side = Math.min(LARGEST, this.scrolls ? (width - 12 + GAP) / this.columns - GAP : side(best));
    const used = Math.min(n, this.columns) * (this.side + GAP) - GAP;
    this.left = this.scrolls ? 0 : (width - used) / 2;
    const rows = Math.ceil(n / this.columns);
    const tall = rows * (this.side + CAPTION + GAP) - GAP;
    this.top = Math.max(0, (height - tall) / 2);
    this.field.style.height = `${tall}px`;
    this.field.style.setProperty("--side", `${this.side}px`);
    for (const [i, tile] of this.tiles) this.put(tile, i);
    this.draw();
    this.link(this.links || [], this.focus);
  }

  at(i) {
    const step = this.side + GAP;
    return [this.left + (i % this.columns) * step, this.top + Math.floor(i / this.columns) * (step + CAPTION)];
  }

  put(tile, i) {
    const [x, y] = this.at(i);
    tile.style.transform = `translate(${x}px, ${y}px)`;
  }

  draw() {
    if (!this.side) return;
    const step = this.side + CAPTION + GAP;
    const first = Math.max(0, Math.floor(this.node.scrollTop / step) - SPARE) * this.columns;
    const end = Math.min(this.members.length, (Math.ceil((this.node.scrollTop + this.node.clientHeight) / step) + SPARE) * this.columns);
    for (const [i, tile] of this.tiles) {
      if (i >= first && i < end) continue;
      tile.remove();
      this.tiles.delete(i);
    }
    for (let i = first; i < end; i++) if (!this.tiles.has(i)) this.add(i);
  }

  add(i) {
    const member = this.members[i];
    const picture = element("img", { decoding: "async", alt: "", draggable: false });
    picture.src = pictureUrl({ image: this.images[member.source] }, member.id, this.side > LARGE ? "mid" : "thumb");
    const badge = element("span", { className: "badge" });
    const made = element("div", { className: "tile", dataset: { i }, aria: { role: "option" } },
      element("div", { className: "frame" }, picture, badge),
      element("div", { className: "under" }, element("b", { className: "word" }), nameElement(member.name.split("/").at(-1))));
    made.title = member.name;
    this.tiles.set(i, made);
    this.put(made, i);
    this.field.append(made);
    this.paint(i);
  }

  paint(i) {
    const tile = this.tiles.get(i);
    if (!tile) return;
    const { classes, word, badge, label } = this.mark(i);
    tile.className = ["tile", ...classes].join(" ");
    tile.querySelector(".word").textContent = word;
    tile.querySelector(".badge").textContent = badge;
    tile.setAttribute("aria-label", label);
    tile.setAttribute("aria-selected", classes.includes("chosen"));
  }

  paintAll() {
    for (const i of this.tiles.keys()) this.paint(i);
  }

  reveal(i) {
    const [, y] = this.at(i);
    const { scrollTop, clientHeight } = this.node;
    const below = y + this.side + CAPTION;
    if (y < scrollTop) this.node.scrollTop = y - GAP;
    else if (below > scrollTop + clientHeight) this.node.scrollTop = below - clientHeight + GAP;
    this.draw();
  }

  // Links from border to border, so that no line crosses the pictures that it joins; among many they would cover
  // the others, and the frames of the linked pictures have to do.
  link(links, focus) {
    Object.assign(this, { links, focus });
    if (!this.side) return;
    const drawn = this.members.length <= FEW ? links : [];
    this.lines.replaceChildren(...drawn.map((link) => this.line(link, link.a === focus || link.b === focus)));
  }

  line({ a, b, kind }, strong) {
    const half = this.side / 2;
    const [[ax, ay], [bx, by]] = [this.at(a), this.at(b)].map(([x, y]) => [x + half, y + half]);
    const [dx, dy] = [bx - ax, by - ay];
    const out = half / Math.max(Math.abs(dx), Math.abs(dy), 1);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const places = { x1: ax + dx * out, y1: ay + dy * out, x2: bx - dx * out, y2: by - dy * out };
    for (const [name, value] of Object.entries(places)) line.setAttribute(name, value.toFixed(1));
    line.setAttribute("class", `${kind}${strong ? " strong" : ""}`);
    return line;
  }

  stop() {
    this.resized.disconnect();
  }
}
