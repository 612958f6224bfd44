// What a gallery is made of: tiles, and titled groups of them.

import { element, nameElement, pictureUrl } from "./base.js";

const LARGE = 200; // px of a tile from which the larger picture is fetched

export function tile(data, id, i, caption) {
  const picture = element("img", { loading: "lazy", decoding: "async", alt: "" });
  picture.src = pictureUrl(data.urls, id, data.tile > LARGE ? "mid" : "thumb");
  const frame = element("div", { className: "frame" }, picture);
  const made = element("div", { className: "tile", id: `t${i}`, dataset: { i }, aria: { role: "option" } }, frame);
  if (caption) made.append(nameElement(caption));
  made.caption = caption;
  return made;
}

export function section(group, acts) {
  group.grid = element("div", { className: "blocks" });
  const made = element("section", { aria: { role: "group", label: group.title || "pictures" } }, group.grid);
  if (group.title) made.prepend(header(group, acts));
  return made;
}

function header(group, { all, open }) {
  const head = element("header");
  if (group.colour) {
    const dot = element("span", { className: "dot" });
    dot.style.background = group.colour;
    head.append(dot);
  }
  head.append(nameElement(group.title, "name title"), element("span", { className: "soft", textContent: group.subtitle || "" }));
  head.append(element("span", { className: "fill" }));
  const press = (label, act) => element("button", { className: "quiet", textContent: label, onclick: () => act(group) });
  if (all) head.append(press("Select all", all));
  if (group.action) head.append(press(group.action, open));
  return head;
}

export function nothing([title, hint]) {
  return element("div", { className: "empty" }, element("b", { textContent: title }), hint);
}
