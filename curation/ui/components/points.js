// Points map: every picture a dot, drawn by WebGL2 from 5 bytes each. Lasso, pan, zoom, hover, groups on and off.
// Positions run from 0 to 1 on both axes; Python gets the lasso's corners and looks for itself what lies inside.

import { count, element, helpDialog, life, pictureUrl, sheet } from "./base.js";
import { Drawing } from "./drawing.js";
import { mark, nearest } from "./hits.js";
import { Legend } from "./legend.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("points.css")]);
const CLOSE = 10; // px within which a dot is found under the pointer
const STEP = 4; // px between corners of a lasso
const KEYS = [
  ["Drag", "lasso"],
  ["Shift Drag", "move the map"],
  ["Wheel", "zoom (also + and -)"],
  ["0", "whole map"],
  ["Esc", "clear the lasso (also a double click)"],
  ["Click", "on a group: hide or show it; with Alt: this group alone"],
];
const number = (n) => n.toLocaleString("en-US");

class Points {
  constructor(root) {
    this.root = root;
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.help = helpDialog("The map by pointer and key", KEYS);
    this.said = element("span", { className: "soft", aria: { live: "polite" } });
    const quiet = (label, act) => element("button", { className: "quiet", textContent: label, onclick: act });
    this.clearing = quiet("Clear lasso", () => this.clear());
    const tools = element("span", { className: "tools" }, this.clearing, quiet("Whole map", () => this.whole()),
      element("button", { className: "quiet", aria: { label: "Help" }, onclick: () => this.help.showModal() }, element("kbd", { textContent: "?" })));
    this.canvas = element("canvas", { className: "dots" });
    this.over = element("canvas", { className: "over", tabIndex: 0, aria: { role: "img", label: "Map of pictures" } });
    this.picture = element("img", { alt: "" });
    this.tipLabel = element("span");
    this.tip = element("div", { className: "tip", hidden: true }, this.picture, this.tipLabel);
    this.trouble = element("div", { className: "trouble", hidden: true, aria: { role: "alert" } });
    this.stage = element("div", { className: "field" }, this.canvas, this.over, this.tip, this.trouble);
    this.legend = new Legend(() => this.regrouped());
    this.part = element("div", { className: "part points" },
      element("div", { className: "bar" }, this.said, element("span", { className: "fill" }), tools),
      element("div", { className: "body" }, this.stage, this.legend.node), this.help);
    root.append(this.part);
    this.listen();
    this.start();
  }

  start() {
    this.seen = "";
    try {
      this.drawing = new Drawing(this.canvas);
    } catch (error) {
      this.complain(error.message);
    }
  }

  complain(text) {
    this.trouble.textContent = text;
    this.trouble.hidden = !text;
  }

  // -- what Python says ---------------------------------------------------------------------------------------------

  update(data) {
    const known = this.data;
    this.data = data;
    this.stage.style.height = `${data.height}px`;
    if (known?.map !== data.map) {
      this.view = { x: 0.5, y: 0.5, zoom: 1 };
      this.lasso = null;
      this.ids = null;
    }
    this.legend.update(data);
    if (this.loaded !== data.points) this.load();
    else this.refresh();
  }

  async load() {
    const url = (this.loaded = this.data.points);
    this.part.setAttribute("aria-busy", "true");
    if (!this.dots) this.said.textContent = `Loading ${count(this.data.count, "picture")}…`;
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw Error((await answer.json()).error);
      const buffer = await answer.arrayBuffer();
      if (url !== this.loaded) return; // overtaken
      const n = buffer.byteLength / 5;
      this.dots = { n, at: new Uint16Array(buffer, 0, 2 * n), group: new Uint8Array(buffer, 4 * n, n), chosen: new Uint8Array(n) };
      this.ids = null;
      this.drawing?.load(this.dots);
      if (this.drawing) this.complain("");
      if (this.lasso) this.choose();
      this.refresh();
    } catch (error) {
      this.loaded = null;
      this.complain(`The points could not be loaded: ${error.message}`);
    }
    this.part.setAttribute("aria-busy", "false");
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  refresh() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !this.data) return;
    this.size = { width, height, side: 0.96 * Math.min(width, height) * this.view.zoom };
    // A million dots are only drawn anew when they look different; a growing lasso or a rerun is no reason.
    const seen = JSON.stringify([this.size, this.view, this.data.palette, [...this.legend.hidden], Boolean(this.lasso), this.drawing?.changes, devicePixelRatio]);
    if (seen !== this.seen) this.drawing?.paint(this.size, this.view, this.data.palette, this.legend.hiddenNumbers, Boolean(this.lasso));
    this.seen = seen;
    this.paintLasso();
    this.say();
  }

  paintLasso() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const { width, height } = this.size;
    if (this.over.width !== Math.round(width * scale)) this.over.width = Math.round(width * scale);
    if (this.over.height !== Math.round(height * scale)) this.over.height = Math.round(height * scale);
    const pen = this.over.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const corners = this.path || this.lasso;
    if (!corners) return;
    pen.beginPath();
    for (const corner of corners) pen.lineTo(...this.toPixels(corner));
    pen.closePath();
    pen.lineWidth = 2;
    pen.strokeStyle = getComputedStyle(this.part).getPropertyValue("--st-primary-color");
    pen.stroke();
    pen.globalAlpha = 0.08;
    pen.fillStyle = pen.strokeStyle;
    pen.fill();
    pen.globalAlpha = 1;
  }

  toPixels([u, v]) {
    const { width, height, side } = this.size;
    return [width / 2 + (u - this.view.x) * side, height / 2 - (v - this.view.y) * side];
  }

  toUnits(event) {
    const { left, top } = this.over.getBoundingClientRect();
    const { width, height, side } = this.size;
    return [this.view.x + (event.clientX - left - width / 2) / side, this.view.y - (event.clientY - top - height / 2) / side];
  }

  say() {
    const chosen = this.lasso ? `${number(this.chosenCount)} of ` : "";
    if (this.dots) this.said.textContent = `${chosen}${count(this.dots.n, "picture")}${this.lasso ? " in the lasso" : ""}`;
    this.clearing.hidden = !this.lasso;
  }

  regrouped() {
    if (this.lasso) this.finish(this.lasso);
    this.refresh();
  }

  // -- lasso --------------------------------------------------------------------------------------------------------

  finish(corners) {
    this.lasso = corners;
    this.choose();
    const polygon = corners.map((corner) => corner.map((u) => Math.round(u * 1e6) / 1e6));
    this.context.setStateValue("lasso", { map: this.data.map, polygon, hidden: [...this.legend.hidden] });
    this.refresh();
  }

  clear() {
    if (!this.lasso) return;
    this.lasso = null;
    this.dots?.chosen.fill(0);
    this.drawing?.choose(this.dots);
    this.context.setStateValue("lasso", null);
    this.refresh();
  }

  choose() {
    this.chosenCount = mark(this.dots, this.lasso, this.legend.hiddenNumbers);
    this.drawing?.choose(this.dots);
  }

  // -- pointer and keys ---------------------------------------------------------------------------------------------

  listen() {
    const { over } = this;
    over.addEventListener("pointerdown", (event) => this.down(event));
    over.addEventListener("pointermove", (event) => this.moved(event));
    over.addEventListener("pointerup", () => this.up());
    over.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    over.addEventListener("dblclick", () => this.clear());
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), this.toUnits(event));
    }, { passive: false });
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.complain("The graphics processor was taken away. The map comes back by itself; if not, reload the page.");
    });
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.complain("");
      this.start();
      if (this.dots) this.drawing?.load(this.dots);
      this.refresh();
    });
    this.resized = new ResizeObserver(() => this.refresh());
    this.resized.observe(this.stage);
  }

  down(event) {
    if (!this.dots || !this.size) return;
    this.over.setPointerCapture(event.pointerId);
    this.tip.hidden = true;
    if (event.shiftKey || event.button === 1) this.panning = true;
    else if (event.button === 0) {
      this.path = [this.toUnits(event)];
      this.last = [event.clientX, event.clientY];
    }
  }

  moved(event) {
    if (!this.size) return;
    if (this.panning) {
      this.view.x -= event.movementX / this.size.side;
      this.view.y += event.movementY / this.size.side;
      this.refresh();
    } else if (this.path) {
      if (Math.hypot(event.clientX - this.last[0], event.clientY - this.last[1]) < STEP) return;
      this.last = [event.clientX, event.clientY];
      this.path.push(this.toUnits(event));
      this.refresh();
    } else if (!this.hovering) {
      this.hovering = requestAnimationFrame(() => {
        this.hovering = 0;
        this.hover(event);
      });
    }
  }

  up() {
    const path = this.path;
    this.panning = this.path = null;
    if (path?.length > 3) this.finish(path);
    this.refresh();
  }

  hover(event) {
    if (!this.dots || this.path || this.panning) return;
    const best = nearest(this.dots, this.toUnits(event), CLOSE / this.size.side, this.legend.hiddenNumbers);
    this.point(best, event);
  }

  async point(i, event) {
    this.pointed = i;
    if (i < 0) {
      this.tip.hidden = true;
      return;
    }
    this.ids ||= fetch(this.data.ids).then(async (answer) => new Int32Array(await answer.arrayBuffer()));
    const ids = await this.ids.catch(() => null);
    if (!ids || this.pointed !== i) return;
    const url = pictureUrl(this.data.urls, ids[i], "thumb");
    if (this.picture.getAttribute("src") !== url) this.picture.src = url;
    this.tipLabel.textContent = this.data.labels[this.dots.group[i]];
    const { left, top } = this.over.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - left + 16, this.size.width - 150)}px`;
    this.tip.style.top = `${Math.min(event.clientY - top + 16, this.size.height - 180)}px`;
    this.tip.hidden = false;
  }

  zoom(factor, [u, v] = [this.view.x, this.view.y]) {
    const zoom = Math.min(400, Math.max(0.5, this.view.zoom * factor));
    const kept = this.view.zoom / zoom; // the place under the pointer stays
    this.view = { x: u + (this.view.x - u) * kept, y: v + (this.view.y - v) * kept, zoom };
    this.refresh();
  }

  whole() {
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.refresh();
  }

  key(event) {
    if (this.help.open) {
      if (event.key === "Escape") this.help.close();
      return event.key === "Escape";
    }
    const act = {
      Escape: this.lasso && (() => this.clear()),
      "+": () => this.zoom(1.3),
      "-": () => this.zoom(1 / 1.3),
      0: () => this.whole(),
    }[event.key];
    if (!act) return false;
    act();
    return true;
  }

  unmount() {
    cancelAnimationFrame(this.frame);
    this.resized.disconnect();
    this.drawing?.end();
    this.part.remove();
  }
}

export default life(Points, styleSheets);
