// The pairs of one sitting: those seen stay where they are, those to come are as Python says.

export class Sitting {
  constructor() {
    this.restart();
  }

  restart(list = []) {
    this.list = list;
    this.at = 0;
    this.reached = -1; // the last place that was on the screen
  }

  get pair() {
    return this.list[this.at];
  }

  get left() {
    return this.list.length - this.at;
  }

  // Seen and not decided.
  get open() {
    return this.list.slice(0, this.reached + 1).filter((pair) => !this.history.of(pair.subject));
  }

  reach() {
    this.reached = Math.max(this.reached, Math.min(this.at, this.list.length - 1));
  }

  // Python lists a pair only while it is ours to decide; answers how many of those seen are not any more. `position`: of
  // the ledger, before the list was made.
  merge(pairs, position) {
    const given = new Map(pairs.map((pair) => [pair.subject, pair]));
    this.history.forget(position, given); // undone elsewhere: it is to be decided again
    const ours = ({ subject, bare }) => bare || given.has(subject) || this.history.touched.has(subject);
    const before = this.list.slice(0, this.reached + 1);
    const seen = before.filter(ours);
    this.at -= before.slice(0, this.at).filter((pair) => !ours(pair)).length;
    this.reached = seen.length - 1;
    const known = new Set(seen.map((pair) => pair.subject));
    const coming = pairs.filter((pair) => !known.has(pair.subject) && !this.history.of(pair.subject));
    this.list = [...seen.map((pair) => given.get(pair.subject) || pair), ...coming];
    return before.length - seen.length;
  }

  // A pair that was decided before the page was loaded is put before the one on the screen.
  bring(pair) {
    this.list.splice(this.at, 0, pair);
    this.reached++;
  }

  find(subject) {
    return this.list.findIndex((pair) => pair.subject === subject);
  }
}
