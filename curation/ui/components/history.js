// Verdicts given here, and what undo takes back. They outlive the viewer: Streamlit may take it down and put up another
// while some of them are still on their way, and the new one must not ask for those again.

const histories = new Map();

export function historyOf(box, kind, reviewer) {
  const key = JSON.stringify([box.url, kind, reviewer]);
  if (!histories.has(key)) {
    const made = new History();
    box.addEventListener("saved", (event) => made.saved(event.detail));
    histories.set(key, made);
  }
  return histories.get(key);
}

class History {
  constructor() {
    this.told = 0; // position of the ledger that Python told last
    this.verdicts = new Map(); // subject: {verdict, note, event, position}; the position is known once the ledger has it
    this.done = []; // what undo takes back, last one last
    this.undone = new Set(); // events that were undone here
    this.touched = new Set(); // subjects that were decided or undone here
  }

  of(subject) {
    return this.verdicts.get(subject)?.verdict;
  }

  note(subject) {
    return this.verdicts.get(subject)?.note || "";
  }

  // Verdicts that the ledger did not have at a position.
  since(position) {
    return [...this.verdicts.values()].filter((one) => !(one.position <= position)).length;
  }

  add(pair, verdict, event, note = "") {
    const { subject } = pair;
    this.touched.add(subject);
    this.done.push({ subject, event, pair, before: this.verdicts.get(subject) });
    this.verdicts.set(subject, { verdict, note, event });
  }

  // What undo takes back next: after a reload, the person's last verdict that stands, as Python found it.
  next(last) {
    const known = last && !this.undone.has(last.event_id);
    return this.done.at(-1) || (known ? { subject: last.subject, event: last.event_id, pair: last.pair } : undefined);
  }

  undo({ subject, event, before }, by) {
    this.touched.add(subject);
    this.done = this.done.filter((one) => one.event !== event);
    this.undone.add(event);
    if (before) this.verdicts.set(subject, { ...before, event: by });
    else this.verdicts.delete(subject);
  }

  saved({ ids, position }) {
    const kept = new Set(ids);
    for (const one of [...this.verdicts.values(), ...this.done]) if (kept.has(one.event)) one.position = position;
  }

  // What the ledger had at a position is Python's to say: a pair undone elsewhere comes back without a verdict.
  forget(position, subjects) {
    const gone = (subject, one) => one.position <= position && (!subjects || subjects.has(subject));
    this.done = this.done.filter((one) => !gone(one.subject, one));
    this.verdicts = new Map([...this.verdicts].filter(([subject, one]) => !gone(subject, one)));
  }
}
