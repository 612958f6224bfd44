// One picture large, with all that is known about it.

import { count, element, pictureUrl } from "./base.js";

const bytes = (n) => (n < 1e6 ? `${Math.round(n / 1e3).toLocaleString("en-US")} kB` : `${(n / 1e6).toFixed(1)} MB`);
const FACTS = [
  ["class", (d) => d.class_name],
  ["WNID", (d) => d.wnid],
  ["lemmas", (d) => d.lemmas],
  ["definition", (d) => d.definition],
  ["path", (d) => d.path],
  ["root", (d) => d.root],
  ["found in", (d) => d.source_split],
  ["size", (d) => d.width && `${d.width.toLocaleString("en-US")} × ${d.height.toLocaleString("en-US")} px`],
  ["file", (d) => d.bytes && bytes(d.bytes)],
  ["brightness", (d) => d.brightness != null && `${Math.round(d.brightness)} of 255${d.flat ? ", one colour only" : ""}`],
  ["status", (d) => d.status !== "ok" && `${d.status}: ${d.reason}`],
  ["image id", (d) => String(d.image_id)],
  ["SHA-256", (d) => d.sha256],
];

export class Lightbox {
  constructor(gallery) {
    this.gallery = gallery;
    this.picture = element("img", { alt: "" });
    this.title = element("h2");
    this.marks = element("p", { className: "soft" });
    this.facts = element("dl");
    const hint = element("p", { className: "soft hint" });
    for (const [key, label] of [["←", ""], ["→", "move"], ["F", "flag"], ["X", "exclude"], ["U", "undo"], ["Esc", "close"]]) {
      hint.append(element("kbd", { textContent: key }), ` ${label} `);
    }
    const stage = element("div", { className: "stage" }, this.picture);
    stage.onclick = () => this.close();
    this.dialog = element("dialog", { className: "lightbox", aria: { label: "Large view" } }, stage,
      element("aside", {}, this.title, this.marks, this.facts, element("span", { className: "fill" }), hint));
  }

  get isOpen() {
    return this.dialog.open;
  }

  open() {
    if (!this.gallery.data.ids.length || this.isOpen) return;
    this.dialog.showModal();
    this.refresh();
  }

  close() {
    this.dialog.close();
    this.id = undefined;
  }

  refresh() {
    if (!this.isOpen) return;
    const { data, cursor, marks: { flag, exclude }, selection } = this.gallery;
    const id = data.ids[cursor];
    const marks = [selection.has(id) && "selected", flag.has(id) && "flagged", exclude.has(id) && "excluded"];
    this.marks.textContent = [`${(cursor + 1).toLocaleString("en-US")} of ${count(data.ids.length, "picture")}`,
      ...marks.filter(Boolean)].join(" · ");
    if (id === this.id) return;
    this.id = id;
    this.picture.src = pictureUrl(data.urls, id, "mid");
    this.title.textContent = this.gallery.tiles[cursor].caption || `Image ${id}`;
    for (const step of [1, -1]) {
      const beside = data.ids[cursor + step];
      if (beside !== undefined) new Image().src = pictureUrl(data.urls, beside, "mid");
    }
    this.describe(id);
  }

  async describe(id) {
    let known;
    try {
      const answer = await fetch(this.gallery.data.urls.details.replace("{id}", id));
      known = await answer.json();
    } catch {
      known = { error: "The server does not answer" };
    }
    if (id !== this.id) return;
    const rows = known.error ? [["", known.error]] : FACTS.map(([name, say]) => [name, say(known)]).filter(([, v]) => v);
    this.facts.replaceChildren(...rows.flatMap(([name, value]) => [
      element("dt", { textContent: name }), element("dd", { textContent: value }),
    ]));
  }
}
