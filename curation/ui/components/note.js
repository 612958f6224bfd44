// A line to write a note in; while it is open, keys are letters.

import { element } from "./base.js";

export class NoteField {
  // `keep` gets the text; `closed` is called whenever the field goes away.
  constructor(keep, closed = () => {}) {
    this.keep = keep;
    this.closed = closed;
    this.input = element("input", { type: "text", className: "note", maxLength: 4000, hidden: true, aria: { label: "Note" } });
    this.input.placeholder = "Note: Enter keeps it, Escape does not";
    for (const name of ["keydown", "keyup", "keypress"]) this.input.addEventListener(name, (event) => this.press(event));
    this.input.addEventListener("blur", () => this.close(this.input.value)); // what was written is not lost
  }

  get isOpen() {
    return !this.input.hidden;
  }

  open(text = "") {
    this.before = text;
    this.input.value = text;
    this.input.hidden = false;
    this.input.focus();
  }

  press(event) {
    event.stopPropagation(); // Streamlit has keys of its own, and sees no field behind the shadow
    if (event.type !== "keydown" || event.isComposing) return;
    if (event.key === "Enter") this.close(this.input.value);
    if (event.key === "Escape") this.close(this.before);
  }

  close(text) {
    if (!this.isOpen) return;
    this.input.hidden = true;
    if (text.trim() !== this.before.trim()) this.keep(text.trim());
    this.closed();
  }
}
