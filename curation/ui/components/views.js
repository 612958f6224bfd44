// Ways to look at two pictures: side by side, or laid over each other as blink, difference and onion skin.

import { element } from "./base.js";
import { placed, tells } from "./register.js";
import { VIEWS } from "./verdicts.js";

const HOLD = 300; // ms after which a pressed view key counts as held
const STEP = 10; // percent of the onion skin
const SURE = 8; // matching points from which a transform is used unasked

export class Views {
  constructor(frames, press) {
    this.frames = frames;
    this.view = "side";
    this.buttons = Object.fromEntries(VIEWS.map(([name, key, label]) => [name, press(key, label, () => this.look(name))]));
    this.align = press("A", "Aligned", () => this.register());
    this.onion = element("input", { type: "range", min: 0, max: 100, value: 50, aria: { label: "Right picture" } });
    this.onion.oninput = () => frames.style.setProperty("--onion", this.onion.value / 100);
  }

  // Another pair; what was chosen for the last one's mirroring and alignment is forgotten.
  next(pair) {
    const { phash = 64, phash_mirror: mirrored = 64 } = pair.measures;
    this.pair = pair;
    this.closer = mirrored < phash;
    this.mirror = this.alignment = undefined;
    this.paint();
  }

  look(view) {
    this.view = this.view === view ? "side" : view;
    this.paint();
  }

  side() {
    this.view = "side";
    this.mirror = undefined;
    this.paint();
  }

  // Laid over each other, mirror images are compared as such.
  get mirrored() {
    return this.mirror ?? (this.view !== "side" && !this.aligned && Boolean(this.closer));
  }

  get aligned() {
    const { transform, measures } = this.pair || {};
    const wanted = this.alignment ?? (measures?.inliers >= SURE && tells(transform));
    return this.view !== "side" && Boolean(transform) && wanted;
  }

  flip() {
    const mirrored = !this.mirrored;
    if (this.aligned) this.alignment = false; // the transform mirrors by itself
    this.mirror = mirrored;
    this.paint();
  }

  register() {
    if (!this.pair?.transform) return;
    if (this.view === "side") this.view = "onion";
    else this.alignment = !this.aligned;
    if (this.aligned) this.mirror = undefined;
    this.paint();
  }

  fade(step) {
    if (this.view !== "onion") this.look("onion");
    this.onion.value = Number(this.onion.value) + step * STEP;
    this.onion.oninput();
  }

  paint() {
    this.frames.dataset.view = this.view;
    this.frames.classList.toggle("mirrored", this.mirrored);
    this.frames.classList.toggle("aligned", this.aligned);
    this.onion.hidden = this.view !== "onion";
    this.align.hidden = !this.pair?.transform;
    this.align.setAttribute("aria-pressed", this.aligned);
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", name === this.view);
    this.place();
  }

  // The left picture is drawn where it lies in the right one; also after the frames changed their size.
  place() {
    const [left, right] = [...this.frames.querySelectorAll(".layer")];
    const [first, second] = [left?.firstChild, right?.firstChild];
    for (const node of [left, right, first, second]) node?.removeAttribute("style");
    if (!this.aligned || !first || !second) return;
    const frame = { width: right.offsetWidth, height: right.offsetHeight };
    const size = (side, image) => (side.width ? side : { width: image.naturalWidth || 1, height: image.naturalHeight || 1 });
    const lies = placed(this.pair.transform, size(this.pair.left, first), size(this.pair.right, second), frame);
    Object.assign(first.style, { width: `${lies.width}px`, height: `${lies.height}px`, transform: lies.matrix });
    if (this.view !== "difference") return;
    left.style.clipPath = lies.right; // a difference is told only where both are
    right.style.clipPath = lies.left;
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
