// The groups of a map, each to be hidden or shown.

import { element } from "./base.js";

export class Legend {
  constructor(changed) {
    this.changed = changed;
    this.hidden = new Set();
    this.labels = [];
    this.node = element("div", { className: "legend", aria: { role: "group", label: "Groups" } });
  }

  update({ labels, counts, palette }) {
    if (JSON.stringify(this.labels) !== JSON.stringify(labels)) this.hidden.clear();
    this.labels = labels;
    this.node.replaceChildren(...labels.map((label, i) => {
      const dot = element("span", { className: "dot" });
      dot.style.background = palette[i];
      const entry = element("button", { className: "quiet", title: label, aria: { pressed: !this.hidden.has(label) } }, dot,
        element("span", { className: "label", textContent: label }),
        element("span", { className: "soft", textContent: counts[i].toLocaleString("en-US") }));
      entry.onclick = (event) => this.toggle(label, event.altKey);
      return entry;
    }));
    this.node.hidden = labels.length < 2;
  }

  get hiddenNumbers() {
    return this.labels.map((label, i) => (this.hidden.has(label) ? i : -1)).filter((i) => i >= 0);
  }

  toggle(label, alone) {
    const others = this.labels.filter((one) => one !== label);
    const already = alone && !this.hidden.has(label) && others.every((one) => this.hidden.has(one));
    if (alone) this.hidden = new Set(already ? [] : others);
    else if (!this.hidden.delete(label)) this.hidden.add(label);
    [...this.node.children].forEach((entry, i) => entry.setAttribute("aria-pressed", !this.hidden.has(this.labels[i])));
    this.changed();
  }
}
