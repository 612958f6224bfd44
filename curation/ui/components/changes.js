// What was decided about groups here and Python has not seen yet, and what undo takes back.

export class Changes {
  constructor() {
    this.kept = new Map(); // "source:id": {value: {by, note} or null, event, position}
    this.cut = new Map(); // subject of a link: {value: true or false, event, position}
    this.done = []; // {events, before: [map, key, value], anchor}
    this.undone = new Set();
  }

  did(events, steps, anchor) {
    this.done.push({ events, anchor, before: steps.map(([map, key, , was]) => [map, key, was]) });
    steps.forEach(([map, key, value]) => this[map].set(key, { value, event: events.at(-1) }));
  }

  // What undo takes back next: after a reload the last decision that stands, as Python found it.
  next(last) {
    if (this.done.length) return this.done.at(-1);
    if (!last || this.undone.has(last.event_id)) return undefined;
    return { events: [...last.released, last.event_id], before: [], anchor: ["", Number.parseInt(last.subject, 10)] };
  }

  undo(action, by) {
    this.done = this.done.filter((one) => one !== action);
    for (const event of action.events) this.undone.add(event);
    for (const [map, key, value] of action.before) this[map].set(key, { value, event: by });
  }

  saved({ ids, position }) {
    const kept = new Set(ids);
    for (const map of [this.kept, this.cut]) for (const one of map.values()) if (kept.has(one.event)) one.position = position;
  }

  settle(position) {
    for (const map of [this.kept, this.cut]) {
      for (const [key, one] of map) if (one.position <= position) map.delete(key);
    }
  }
}
