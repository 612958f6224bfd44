// What the pair viewer and the group viewer have in common: buttons with their key, a place that fills the window, and
// short messages.

import { element } from "./base.js";

const SHOWN = 7000; // ms that a message stays

export function press(key, label, act) {
  const made = element("button", { className: "quiet", onclick: act }, label, element("kbd", { textContent: key }));
  made.onmousedown = (event) => event.preventDefault(); // the pictures keep the focus
  return made;
}

export function helpButton(help) {
  return element("button", { className: "quiet", aria: { label: "Keys" }, onclick: () => help.showModal() },
    element("kbd", { textContent: "?" }));
}

// Keeps a part as high as the window has room below what is above it.
export class Fitted {
  constructor(host, part) {
    this.fit = () => {
      const scroller = host.closest("[data-testid=stMain]");
      const top = host.getBoundingClientRect().top + (scroller?.scrollTop ?? 0);
      part.style.height = `${Math.max(360, window.innerHeight - top - 20)}px`;
    };
    window.addEventListener("resize", this.fit);
    this.placed = new ResizeObserver(this.fit);
    this.placed.observe(document.body);
  }

  stop() {
    window.removeEventListener("resize", this.fit);
    this.placed.disconnect();
  }
}

export class Message {
  constructor() {
    this.node = element("span", { className: "message", aria: { role: "status" } });
  }

  tell(text) {
    this.node.textContent = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.clear(), SHOWN);
  }

  clear() {
    clearTimeout(this.timer);
    this.node.textContent = "";
  }
}
