// Zoom and pan of several frames in step.

const MOST = 12;
const STEP = 1.5;
const PAN = 0.12; // of a frame

export class Zoom {
  constructor(stage) {
    this.stage = stage;
    this.reset();
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.to(this.scale * Math.exp(-event.deltaY * 0.002), this.point(event));
    }, { passive: false });
    stage.addEventListener("pointermove", (event) => this.drag(event));
    stage.addEventListener("pointerdown", (event) => this.scale > 1 && stage.setPointerCapture(event.pointerId));
    stage.addEventListener("dblclick", (event) => this.toggle(this.point(event)));
  }

  // Where in its frame the pointer is, from -0.5 to 0.5.
  point(event) {
    const frame = event.target.closest?.(".frame") || this.stage;
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [(event.clientX - left) / width - 0.5, (event.clientY - top) / height - 0.5];
  }

  // The point under the pointer stays where it is.
  to(scale, [px, py] = [0, 0]) {
    const next = Math.min(MOST, Math.max(1, scale));
    this.x = px - ((px - this.x) * next) / this.scale;
    this.y = py - ((py - this.y) * next) / this.scale;
    this.scale = next;
    this.apply();
  }

  toggle(point) {
    this.to(this.scale > 1 ? 1 : 3, point);
  }

  step(direction) {
    this.to(this.scale * STEP ** direction);
  }

  // What is looked at moves by a part of the frame: to the right, the picture goes left.
  pan(right, down) {
    this.x -= PAN * right;
    this.y -= PAN * down;
    this.apply();
  }

  drag(event) {
    if (event.buttons !== 1 || this.scale === 1) return;
    const { width, height } = (this.stage.querySelector(".frame") || this.stage).getBoundingClientRect();
    this.x += event.movementX / width;
    this.y += event.movementY / height;
    this.apply();
  }

  reset() {
    this.scale = 1;
    this.apply();
  }

  apply() {
    const most = (this.scale - 1) / 2; // the picture never leaves its frame
    this.x = Math.min(most, Math.max(-most, this.x || 0));
    this.y = Math.min(most, Math.max(-most, this.y || 0));
    this.scale = Math.round(this.scale * 1000) / 1000;
    this.stage.style.setProperty("--zoom", this.scale);
    this.stage.style.setProperty("--x", `${100 * this.x}%`);
    this.stage.style.setProperty("--y", `${100 * this.y}%`);
    this.stage.classList.toggle("zoomed", this.scale > 1);
  }
}
