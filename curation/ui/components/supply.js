// Keeps the pair viewer in pairs that are ours: asks Python for more before they run out, and again before the time is
// over for which they were promised to us. Python's answer renews that time.

const RESERVE = 20; // pairs left when more are asked for
const PATIENCE = 3000; // ms after which a question is asked again
const POLL = 10_000; // ms between questions when others have what is left

export class Supply {
  constructor(viewer) {
    this.viewer = viewer;
    this.asked = -Infinity; // when; never answered so far
    this.back = () => !document.hidden && viewer.data && this.late(0.5) && this.ask();
    document.addEventListener("visibilitychange", this.back);
  }

  // Nobody has anything more for us at this moment.
  get exhausted() {
    const { pairs, rows } = this.viewer.data;
    return pairs.length < rows;
  }

  // Whether a part of the promised time has gone by since Python last looked.
  late(part) {
    return performance.now() - this.answered > part * this.viewer.data.lease * 60_000;
  }

  arrived() {
    this.answered = performance.now();
    this.asked = -Infinity;
    if (this.checking) this.viewer.tell("");
    this.checking = false;
  }

  look() {
    clearTimeout(this.timer);
    const { sitting, data } = this.viewer;
    const low = sitting.left <= RESERVE && !this.exhausted;
    const waiting = !sitting.pair && this.exhausted && data.pending > 0;
    if (low || this.late(0.5)) this.ask();
    if (!low && !waiting) return;
    this.timer = setTimeout(() => {
      if (waiting) this.ask();
      this.look();
    }, waiting ? POLL : PATIENCE + 100);
  }

  // The pairs that were skipped stay ours, so they come on top of a batch.
  ask() {
    if (performance.now() - this.asked < PATIENCE || !this.viewer.part.isConnected) return;
    this.asked = performance.now();
    const { sitting, data, context } = this.viewer;
    context.setStateValue("want", { rows: data.batch + sitting.open.length, at: Date.now() });
  }

  // Whether the pair on the screen may be decided: after a long pause Python is asked first, since it may have been
  // given to somebody else. When no answer comes, the next key decides all the same.
  ours() {
    if (!this.late(0.9) || this.checking === "unanswered") return true;
    if (!this.checking) {
      this.viewer.tell("Looking whether these pairs are still yours: decide again in a moment");
      this.checking = "asked";
      setTimeout(() => { if (this.checking === "asked") this.checking = "unanswered"; }, PATIENCE);
      this.ask();
    }
    return false;
  }

  stop() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.back);
  }
}
