// What is told of a pair: names, sets and sizes of its pictures, all measures on one line, who said what, the note.

import { element, nameElement } from "./base.js";
import { HINTS, MEASURES, TOGETHER, VERDICTS } from "./verdicts.js";

export class Card {
  constructor(note) {
    this.captions = [element("figcaption"), element("figcaption")];
    this.line = element("div", { className: "measures" });
    this.said = element("div", { className: "said" });
    this.node = element("div", { className: "card" }, element("div", { className: "captions" }, ...this.captions),
      element("div", { className: "told" }, this.line, note.input), this.said);
  }

  show(pair, note) {
    const { left, right, measures, said } = pair;
    this.captions[0].replaceChildren(...caption(left));
    this.captions[1].replaceChildren(...caption(right));
    const near = new Set(pair.near.map((name) => TOGETHER[name] || name));
    const parts = MEASURES.filter(([name]) => name in measures).map(([name, say]) => [name, say(measures[name], measures)]);
    const line = parts.filter(([, words]) => words).map(([name, [label, value]]) => measure(name, label, value, near.has(name)));
    if (left.class !== right.class) line.unshift(element("b", { className: "apart", textContent: "two classes" }));
    if (note) line.push(element("span", { className: "noted", textContent: `“${note}”`, title: note }));
    this.line.replaceChildren(...line);
    this.said.replaceChildren(...said.map(opinion));
    this.said.hidden = !said.length;
  }
}

function caption({ class: className, set, name, width, height }) {
  const file = nameElement(name.split("/").at(-1), "name file");
  file.title = name;
  const size = width ? `${width.toLocaleString("en-US")} × ${height.toLocaleString("en-US")}` : "";
  return [nameElement(className || "", "name class"), set && nameElement(set, "name set"), file,
    element("span", { className: "soft", textContent: size })].filter(Boolean);
}

function measure(name, label, value, near) {
  return element("span", { className: near || name === "exact" ? "near" : "", title: HINTS[name] || "" }, `${label} `,
    element("b", { textContent: value }));
}

function opinion({ reviewer, verdict, note }) {
  const label = VERDICTS.find(([name]) => name === verdict)?.[2] || verdict;
  return element("span", { title: note }, `${reviewer} `, element("b", { textContent: label }), note && element("i", { textContent: `“${note}”` }));
}
