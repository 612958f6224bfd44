// Ways to look at two pictures: side by side, or laid over each other as blink, difference and onion skin.

import { element } from "./base.js";
import { VIEWS } from "./verdicts.js";

const HOLD = 300; // ms after which a pressed view key counts as held

export class Views {
  constructor(frames, press) {
    this.frames = frames;
    this.view = "side";
    this.buttons = Object.fromEntries(VIEWS.map(([name, key, label]) => [name, press(key, label, () => this.look(name))]));
    this.onion = element("input", { type: "range", min: 0, max: 100, value: 50, aria: { label: "Right picture" } });
    this.onion.oninput = () => frames.style.setProperty("--onion", this.onion.value / 100);
  }

  // Another pair; what was chosen for the last one's mirroring is forgotten.
  next({ phash = 64, phash_mirror: mirrored = 64 }) {
    this.closer = mirrored < phash;
    this.mirror = undefined;
    this.paint();
  }

  look(view) {
    this.view = this.view === view ? "side" : view;
    this.paint();
  }

  side() {
    this.view = "side";
    this.paint();
  }

  // Laid over each other, mirror images are compared as such.
  get mirrored() {
    return this.mirror ?? (this.view !== "side" && Boolean(this.closer));
  }

  flip() {
    this.mirror = !this.mirrored;
    this.paint();
  }

  paint() {
    this.frames.dataset.view = this.view;
    this.frames.classList.toggle("mirrored", this.mirrored);
    this.onion.hidden = this.view !== "onion";
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", name === this.view);
  }

  // A key that is held shows its view only as long.
  keyDown(name, key) {
    this.held = { key, since: performance.now(), from: this.view };
    this.look(name);
  }

  keyUp(key) {
    const held = this.held;
    if (!held || key !== held.key) return false;
    this.held = null;
    if (performance.now() - held.since > HOLD) {
      this.view = held.from;
      this.paint();
    }
    return true;
  }
}
