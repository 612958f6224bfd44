// Pair viewer: two pictures, one key a verdict. Pairs come in batches and their pictures are decoded ahead, so that the
// next pair is drawn in the frame after the key. Verdicts go out by decisions.js.

import { count, element, helpDialog, life, sheet } from "./base.js";
import { Fitted, helpButton, Message, press } from "./bench.js";
import { Card } from "./card.js";
import { join, leave, StatusLine } from "./decisions.js";
import { historyOf } from "./history.js";
import { meaning } from "./pairkeys.js";
import { NoteField } from "./note.js";
import { Pictures } from "./pictures.js";
import { Sitting } from "./sitting.js";
import { Strip } from "./strip.js";
import { Supply } from "./supply.js";
import { KEYS, VERDICTS } from "./verdicts.js";
import { Views } from "./views.js";
import { Zoom } from "./zoom.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("pairs.css")]);
const AHEAD = 20; // pairs whose pictures are decoded in advance

class Pairs {
  constructor(root) {
    this.root = root;
    this.sitting = new Sitting();
    this.notes = new Map(); // subject: what goes with the verdict that is to come
    this.times = [];
    this.pictures = new Pictures(3 * AHEAD);
    this.status = new StatusLine(element("span"));
    this.help = helpDialog("Keys of the pair viewer", KEYS);
    this.supply = new Supply(this);
    this.onsaved = (event) => this.saved(event.detail);
    this.message = new Message();
    this.draw();
    this.zoom = new Zoom(this.frames);
    this.fitted = new Fitted(root.host, this.part);
    this.framed = new ResizeObserver(() => this.views.place());
    this.framed.observe(this.frames);
  }

  draw() {
    this.progress = element("span", { className: "progress" });
    this.buttons = Object.fromEntries(VERDICTS.map(([name, key, label]) => [name, press(key, label, () => this.decide(name))]));
    this.undoButton = press("U", "Undo", () => this.undo());
    this.noteButton = press("N", "Note", () => this.openNote());
    this.layers = [element("div", { className: "layer" }), element("div", { className: "layer" })];
    this.frames = element("div", { className: "frames" }, ...this.layers.map((layer) => element("div", { className: "frame" }, layer)));
    this.views = new Views(this.frames, press);
    this.note = new NoteField((text) => this.keepNote(text), () => this.stage.focus({ preventScroll: true }));
    this.card = new Card(this.note);
    this.strip = new Strip((pair) => this.go(this.sitting.find(pair.subject)));
    this.nothing = element("div", { className: "empty" });
    this.stage = element("div", { className: "pair", tabIndex: -1 }, this.frames, this.card.node);
    const others = element("span", { className: "others" }, this.noteButton, press("S", "Skip", () => this.skip()), this.undoButton);
    this.foot = element("div", { className: "bar foot" }, this.strip.list,
      element("span", { className: "verdicts" }, ...Object.values(this.buttons)), others);
    const tools = element("span", { className: "tools" }, this.views.onion, this.views.align, ...Object.values(this.views.buttons), helpButton(this.help));
    this.part = element("div", { className: "part pairs" },
      element("div", { className: "bar" }, this.progress, element("span", { className: "fill" }), this.status.node, tools),
      this.stage, this.nothing, this.foot, this.message.node, this.help);
    this.root.append(this.part);
  }

  // -- what Python says ---------------------------------------------------------------------------------------------

  update(data) {
    join(this, data.urls.events);
    const other = this.data && (this.data.urls.events !== data.urls.events || this.data.queue !== data.queue || this.data.kind !== data.kind);
    this.history = this.sitting.history = historyOf(this.outbox, data.kind, data.reviewer);
    // What Python gives was certainly made after the position that it told before.
    const position = this.history.told;
    this.history.told = data.position;
    this.data = data;
    if (other) {
      this.history.forget(position);
      this.restart();
    }
    const gone = this.sitting.merge(data.pairs, position);
    if (gone) this.tell(`${count(gone, "pair was", "pairs were")} decided or taken by others meanwhile; no verdict of yours is lost`);
    this.supply.arrived();
    this.fitted.fit();
    const { pair } = this.sitting;
    if (this.shown !== pair?.subject || !pair) this.show();
    else this.refresh(pair);
  }

  restart(list = []) {
    this.sitting.restart(list);
    this.shown = undefined;
    delete this.root.host.dataset.pair;
  }

  tell(text) {
    this.message.tell(text);
  }

  // -- showing ------------------------------------------------------------------------------------------------------

  show() {
    const { pair } = this.sitting;
    this.shown = pair?.subject;
    this.sitting.reach();
    if (this.note.isOpen) this.note.close(this.note.input.value);
    if (!pair) return this.end();
    const both = [pair.left, pair.right].map((side) => this.pictures.get(this.data.images, side, true));
    const place = () => this.shown === pair.subject && this.place(pair, both.map((one) => one.image));
    if (both.every((one) => one.done)) place();
    else Promise.all(both.map((one) => one.ready)).then(place);
    clearTimeout(this.preparing);
    this.preparing = setTimeout(() => this.prepare(), 20); // after this pair is drawn
    return undefined;
  }

  place(pair, images) {
    this.part.classList.remove("ended");
    this.zoom.reset();
    this.layers.forEach((layer, i) => layer.replaceChildren(images[i]));
    images.forEach((image, i) => { image.alt = [pair.left, pair.right].map((side) => `${side.class}, ${side.name}`)[i]; });
    this.since = performance.now();
    this.views.next(pair);
    this.refresh(pair);
    this.root.host.dataset.pair = pair.subject; // what is on the screen now
  }

  // What is said of the pair on the screen, whose pictures stay.
  refresh(pair) {
    if (this.views.pair?.bare && this.root.host.dataset.pair === pair.subject) this.views.next(pair);
    this.card.show(pair, this.noteOf(pair));
    this.say();
  }

  // The next pictures are decoded while this pair is looked at.
  prepare() {
    const { list, at } = this.sitting;
    const next = list.slice(at + 1, at + 1 + AHEAD);
    if (at > 0) next.unshift(list[at - 1]);
    for (const pair of next) {
      this.pictures.get(this.data.images, pair.left);
      this.pictures.get(this.data.images, pair.right);
    }
    this.supply.look();
  }

  end() {
    delete this.root.host.dataset.pair;
    this.part.classList.add("ended");
    const skipped = this.sitting.open;
    const elsewhere = this.data.pending - this.history.since(this.data.position) - skipped.length;
    const again = element("button", { className: "quiet again", textContent: "Look at them again", onclick: () => this.again(skipped) });
    const lines = !this.supply.exhausted ? ["Loading more pairs", ""]
      : skipped.length ? [`${skipped.length.toLocaleString("en-US")} skipped`, again]
        : elsewhere > 0 ? [`${count(elsewhere, "pair")} with other reviewers`, "Those that they leave undecided come here by themselves."]
          : !this.data.total ? this.data.empty
            : ["Every pair is decided", `${count(this.data.total, "pair")}. U takes the last verdict back.`];
    this.nothing.replaceChildren(element("b", { textContent: lines[0] }), lines[1]);
    this.supply.look();
    this.say();
  }

  again(skipped) {
    this.restart(skipped);
    this.show();
  }

  say() {
    const { total, pending, position } = this.data;
    const done = Math.min(total, total - pending + this.history.since(position));
    const recent = this.times.filter((t) => t > performance.now() - 180_000);
    const minutes = (performance.now() - recent[0]) / 60_000;
    const rate = recent.length > 4 ? ` · ${Math.round((recent.length - 1) / minutes)} a minute` : "";
    this.progress.textContent = total ? `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}${rate}` : "";
    const { pair, list, at } = this.sitting;
    const verdict = this.history.of(pair?.subject);
    for (const [name, button] of Object.entries(this.buttons)) {
      button.setAttribute("aria-pressed", name === verdict);
      button.disabled = !pair;
    }
    this.noteButton.disabled = !pair;
    this.undoButton.disabled = !this.history.next(this.data.last);
    this.strip.show(list.slice(Math.max(0, at - 8), at), (subject) => this.history.of(subject), this.data.images);
  }

  // -- deciding -----------------------------------------------------------------------------------------------------

  go(to) {
    if (to < 0 || to > this.sitting.list.length) return;
    this.sitting.at = to;
    this.show();
  }

  decide(verdict) {
    const { pair, at } = this.sitting;
    if (!pair || this.root.host.dataset.pair !== pair.subject) return; // not on the screen yet
    if (!this.supply.ours()) return;
    if (this.note.isOpen) this.note.close(this.note.input.value);
    this.post(pair, verdict, this.noteOf(pair));
    this.times.push(performance.now());
    this.go(at + 1);
  }

  post(pair, verdict, note) {
    const event = { kind: this.data.kind, subject: pair.subject, verdict, shown: this.seen(pair), ...(note && { note }) };
    const [id] = this.outbox.add(this.data.reviewer, [event]);
    this.history.add(pair, verdict, id, note);
    this.notes.delete(pair.subject);
  }

  seen(pair) {
    return {
      position: this.sitting.at + 1,
      of: this.data.total,
      measures: pair.measures,
      view: this.views.view,
      mirrored: this.views.mirrored,
      aligned: this.views.aligned,
      zoom: this.zoom.scale,
      seconds: Math.round((performance.now() - this.since) / 100) / 10,
    };
  }

  noteOf({ subject }) {
    return this.notes.get(subject) ?? this.history.note(subject);
  }

  openNote() {
    const { pair } = this.sitting;
    if (!pair || this.root.host.dataset.pair !== pair.subject) return;
    this.noted = pair;
    this.note.open(this.noteOf(pair));
  }

  // With the verdict that follows; a pair that has one gets it again, with the note.
  keepNote(text) {
    const verdict = this.history.of(this.noted.subject);
    if (verdict) this.post(this.noted, verdict, text);
    else this.notes.set(this.noted.subject, text);
    if (this.sitting.pair?.subject === this.noted.subject) this.refresh(this.sitting.pair);
  }

  skip() {
    if (this.sitting.pair) this.go(this.sitting.at + 1);
  }

  undo() {
    const last = this.history.next(this.data.last);
    if (!last) return;
    const [event] = this.outbox.add(this.data.reviewer, [{ kind: "undo", subject: last.event }]);
    this.history.undo(last, event);
    if (!last.before) this.times.pop();
    if (this.sitting.find(last.subject) < 0) this.sitting.bring(last.pair);
    this.go(this.sitting.find(last.subject));
  }

  saved({ ids, position }) {
    clearTimeout(this.hinting);
    const wait = this.sitting.pair ? 1500 : 0;
    if (this.data.notify || !wait) this.hinting = setTimeout(() => this.context.setTriggerValue("saved", position), wait);
  }

  // -- keys ---------------------------------------------------------------------------------------------------------

  key(event) {
    if (this.help.open) {
      if (event.key !== "Escape" && event.key !== "?") return false;
      this.help.close();
      return true;
    }
    const act = meaning(this, event);
    if (!act) return false;
    // A held key decides once; moving and fading go on.
    if (!event.repeat || /^(Arrow|[-+=_[\]])/.test(event.key)) act();
    return true;
  }

  keyUp(event) {
    return this.views.keyUp(event.key.toUpperCase());
  }

  unmount() {
    this.message.clear();
    for (const timer of [this.hinting, this.preparing]) clearTimeout(timer);
    this.strip.stop();
    this.supply.stop();
    leave(this);
    this.fitted.stop();
    this.framed.disconnect();
    this.part.remove();
  }
}

export default life(Pairs, styleSheets);
