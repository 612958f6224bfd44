// The pairs seen last, each with its verdict; a press goes back to it.

import { element, pictureUrl } from "./base.js";
import { VERDICTS } from "./verdicts.js";

const KEPT = 50;

export class Strip {
  constructor(go) {
    this.go = go;
    this.entries = new Map(); // subject: its button, so that pictures are not loaded again and again
    this.list = element("ol", { className: "strip", aria: { label: "Pairs seen last" } });
  }

  show(pairs, verdictOf, images) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.paint(pairs, verdictOf, images), 100); // never in the way of the next pair
  }

  paint(pairs, verdictOf, images) {
    const latest = pairs.map((pair) => {
      const verdict = verdictOf(pair.subject) || "skipped";
      if (!this.entries.has(pair.subject)) this.entries.set(pair.subject, this.entry(pair, images));
      const entry = this.entries.get(pair.subject);
      entry.lastChild.textContent = VERDICTS.find(([name]) => name === verdict)?.[1] || "–";
      entry.title = verdict;
      entry.setAttribute("aria-label", `${verdict}: go back`);
      return entry;
    });
    // The latest comes first, so that it stays in sight where there is room for few.
    this.list.replaceChildren(...latest.reverse().map((entry) => element("li", {}, entry)));
    for (const subject of [...this.entries.keys()].slice(0, -KEPT)) this.entries.delete(subject);
  }

  entry(pair, images) {
    const small = (side) => element("img", { src: pictureUrl({ image: images[side.source] }, side.id, "thumb"), alt: "" });
    const made = element("button", { className: "quiet" }, small(pair.left), small(pair.right), element("span"));
    made.onclick = () => this.go(pair);
    made.onmousedown = (event) => event.preventDefault();
    return made;
  }

  stop() {
    clearTimeout(this.timer);
  }
}
