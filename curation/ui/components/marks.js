// Which pictures are flagged and excluded: as Python said, with what was decided here since it looked.

export class Marks {
  constructor() {
    this.flag = new Set();
    this.exclude = new Set();
    this.local = new Map(); // "flag 12": what was decided here and Python has not seen yet
    this.done = []; // actions that undo takes back, last one last
    this.undone = new Set(); // events that were undone here
  }

  update({ flagged, excluded, position, last }) {
    this.flag = new Set(flagged);
    this.exclude = new Set(excluded);
    this.last = last;
    for (const [key, { kind, id, on, position: kept }] of this.local) {
      if (kept !== undefined && kept <= position) this.local.delete(key);
      else this[kind][on ? "add" : "delete"](id);
    }
  }

  set(kind, id, on, event) {
    this[kind][on ? "add" : "delete"](id);
    this.local.set(`${kind} ${id}`, { kind, id, on, event });
  }

  did(changes) {
    this.done.push(changes);
    for (const { kind, id, on, event } of changes) this.set(kind, id, on, event);
  }

  // After a reload: the person's last decision that stands, as Python found it, unless it was undone since.
  standing() {
    const { last } = this;
    if (!last || this.undone.has(last.event_id)) return undefined;
    const kind = last.kind;
    return [{ kind, id: Number(last.subject), on: last.verdict === kind, event: last.event_id }];
  }

  get canUndo() {
    return Boolean(this.done.length || this.standing());
  }

  // What undo takes back next.
  pop() {
    const changes = this.done.pop() || this.standing();
    for (const { event } of changes || []) this.undone.add(event);
    return changes;
  }

  saved({ ids, position }) {
    const kept = new Set(ids);
    for (const one of this.local.values()) if (kept.has(one.event)) one.position = position;
  }
}
