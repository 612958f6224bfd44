// Decisions on their way to the ledger: numbered, sent in batches, sent again until the server says it has them.
// They wait in memory and in the browser's storage, so that neither a page switch, a reload nor a stopped server loses
// any; a decision that arrives twice is kept once.

const PAUSE = 250; // ms in which further decisions join a batch
const SLOWEST = 5000; // ms between attempts when the server does not answer
const MOST = 200; // decisions in a batch
const BEACON = 60_000; // a beacon may carry 64 KiB
const PREFIX = "curation.decisions.";

const outboxes = new Map();

export function outbox(url) {
  if (!outboxes.has(url)) outboxes.set(url, new Outbox(url));
  return outboxes.get(url);
}

const random = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("").padEnd(12, "0");

class Outbox extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.client = random();
    this.seq = 0;
    this.failures = 0;
    this.trouble = "";
    this.waiting = []; // {client, reviewer, since, event}
    this.adopt();
    window.addEventListener("pagehide", () => this.last());
    window.addEventListener("online", () => this.send());
    document.addEventListener("visibilitychange", () => document.hidden && this.send());
  }

  // Take decisions; answers the event id of each, by which it can be undone.
  add(reviewer, events) {
    const since = performance.now();
    const ids = events.map((event) => {
      const seq = ++this.seq;
      this.waiting.push({ client: this.client, reviewer, since, event: { seq, ...event } });
      return `${this.client}:${seq}`;
    });
    this.store();
    this.later(PAUSE);
    this.tell("change");
    return ids;
  }

  later(pause) {
    if (this.timer) return;
    this.timer = setTimeout(() => this.send(), pause);
  }

  batch(most = MOST) {
    const first = this.waiting[0];
    const events = [];
    for (const { client, reviewer, event } of this.waiting) {
      if (client !== first.client || reviewer !== first.reviewer || events.length === most) break;
      events.push(event);
    }
    return { client: first.client, reviewer: first.reviewer, events };
  }

  async send() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.busy || !this.waiting.length) return;
    this.busy = true;
    const batch = this.batch(this.trouble ? 20 : MOST);
    try {
      const answer = await fetch(this.url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(15_000),
      });
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) this.acknowledged(batch, said);
      else this.refused(batch, said, answer.status);
    } catch {
      this.failures++;
      this.trouble = "The server does not answer";
    }
    this.busy = false;
    this.store();
    this.tell("change");
    if (this.waiting.length) this.later(this.failures ? Math.min(SLOWEST, PAUSE * 2 ** this.failures) : 0);
  }

  acknowledged(batch, { ack, position }) {
    const kept = new Set(batch.events.filter((event) => event.seq <= ack).map((event) => event.seq));
    this.waiting = this.waiting.filter((w) => w.client !== batch.client || !kept.has(w.event.seq));
    this.failures = 0;
    this.trouble = "";
    this.tell("saved", { ids: batch.events.map((event) => `${batch.client}:${event.seq}`), position });
  }

  // Only a decision that the server names as impossible is given up; anything else is tried again.
  refused(batch, { seq, error }, status) {
    this.failures++;
    this.trouble = error || `The server answered ${status}`;
    if (status !== 422 || !seq) return;
    this.waiting = this.waiting.filter((w) => w.client !== batch.client || w.event.seq !== seq);
    this.tell("refused", { id: `${batch.client}:${seq}`, error });
  }

  last() {
    this.store();
    for (let rest = this.waiting.slice(); rest.length; ) {
      const batch = { client: rest[0].client, reviewer: rest[0].reviewer, events: [] };
      let size = 200;
      while (rest.length && rest[0].client === batch.client && rest[0].reviewer === batch.reviewer) {
        size += 3 * JSON.stringify(rest[0].event).length; // at most three bytes a character
        if (batch.events.length && size > BEACON) break;
        batch.events.push(rest.shift().event);
      }
      navigator.sendBeacon(this.url, new Blob([JSON.stringify(batch)], { type: "application/json" }));
    }
  }

  // -- the browser's storage: what an earlier page could not deliver -------------------------------------------------

  store() {
    const rows = this.waiting.filter((w) => w.client === this.client).map(({ reviewer, event }) => ({ reviewer, event }));
    try {
      if (rows.length) localStorage.setItem(PREFIX + this.client, JSON.stringify({ url: this.url, rows }));
      else localStorage.removeItem(PREFIX + this.client);
      for (const [client, highest] of this.adopted) {
        if (this.waiting.some((w) => w.client === client)) continue;
        this.adopted.delete(client);
        // Another window may still be adding to it.
        const stored = JSON.parse(localStorage.getItem(PREFIX + client));
        if (stored && stored.rows.at(-1).event.seq <= highest) localStorage.removeItem(PREFIX + client);
      }
    } catch {
      // no storage (full, or forbidden): memory and the beacon have to do
    }
  }

  adopt() {
    this.adopted = new Map(); // client of an earlier page: its highest number that we know of
    try {
      for (const key of Object.keys(localStorage).filter((k) => k.startsWith(PREFIX))) {
        const { url, rows } = JSON.parse(localStorage.getItem(key));
        if (url !== this.url) continue;
        const client = key.slice(PREFIX.length);
        this.adopted.set(client, rows.at(-1).event.seq);
        for (const { reviewer, event } of rows) this.waiting.push({ client, reviewer, since: performance.now(), event });
      }
    } catch {
      // unreadable storage holds nothing of ours
    }
    if (this.waiting.length) this.later(0);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

// A viewer joins the outbox of its door: `onsaved` hears of it, its status line too; leaving sends what is left.
export function join(viewer, url) {
  const box = outbox(url);
  if (viewer.outbox !== box) {
    viewer.outbox?.removeEventListener("saved", viewer.onsaved);
    (viewer.outbox = box).addEventListener("saved", viewer.onsaved);
  }
  viewer.status.follow(box);
}

export function leave(viewer) {
  viewer.outbox?.removeEventListener("saved", viewer.onsaved);
  viewer.outbox?.send();
  viewer.status.stop();
}

// A line that stays empty while all goes well: it speaks when saving takes over a second, or does not work.
export class StatusLine {
  constructor(node) {
    this.node = node;
    node.className = "status";
    node.setAttribute("role", "status");
    this.show = () => {
      const waiting = this.box.waiting;
      const old = waiting.length && performance.now() - waiting[0].since > 1000;
      clearTimeout(this.timer);
      if (waiting.length) this.timer = setTimeout(this.show, 500);
      const bad = old && this.box.trouble;
      node.classList.toggle("trouble", Boolean(bad || this.lost));
      node.textContent = bad ? `${this.box.trouble}: ${waiting.length} unsaved, kept here and tried again`
        : this.lost || (old ? `saving ${waiting.length}…` : "");
    };
    this.refuse = (event) => {
      this.lost = `Not saved: ${event.detail.error}`;
      this.show();
    };
  }

  follow(box) {
    if (this.box === box) return;
    this.stop();
    this.box = box;
    box.addEventListener("change", this.show);
    box.addEventListener("refused", this.refuse);
    this.show();
  }

  stop() {
    clearTimeout(this.timer);
    this.box?.removeEventListener("change", this.show);
    this.box?.removeEventListener("refused", this.refuse);
  }
}
