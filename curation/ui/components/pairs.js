// Pair viewer: two pictures, one key a verdict. Pairs come in batches and their pictures are decoded ahead, so that the
// next pair is drawn in the frame after the key. Verdicts go out by decisions.js.

import { count, element, helpDialog, life, nameElement, sheet } from "./base.js";
import { outbox, StatusLine } from "./decisions.js";
import { History } from "./history.js";
import { Pictures } from "./pictures.js";
import { Strip } from "./strip.js";
import { KEYS, MEASURES, VERDICTS, VIEWS } from "./verdicts.js";
import { Views } from "./views.js";
import { Zoom } from "./zoom.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("pairs.css")]);
const AHEAD = 8; // pairs whose pictures are decoded in advance
const RESERVE = 30; // pairs left when more are asked for

class Pairs {
  constructor(root) {
    this.root = root;
    this.list = []; // pairs in the order of this sitting; those up to `reached` stay, the rest follows Python
    this.at = 0;
    this.reached = -1;
    this.history = new History();
    this.times = [];
    this.pictures = new Pictures(8 * AHEAD);
    this.status = new StatusLine(element("span"));
    this.help = helpDialog("Keys of the pair viewer", KEYS);
    this.onsaved = (event) => this.saved(event.detail);
    this.fit = () => this.resize();
    window.addEventListener("resize", this.fit);
    this.draw();
    this.zoom = new Zoom(this.frames);
    this.placed = new ResizeObserver(this.fit);
    this.placed.observe(document.body);
  }

  draw() {
    const press = (key, label, act) => {
      const made = element("button", { className: "quiet", onclick: act }, label, element("kbd", { textContent: key }));
      made.onmousedown = (event) => event.preventDefault();
      return made;
    };
    this.progress = element("span", { className: "progress" });
    this.measures = element("span", { className: "measures" });
    this.buttons = Object.fromEntries(VERDICTS.map(([name, key, label]) => [name, press(key, label, () => this.decide(name))]));
    this.undoButton = press("U", "Undo", () => this.undo());
    const keys = element("button", { className: "quiet", aria: { label: "Keys" }, onclick: () => this.help.showModal() },
      element("kbd", { textContent: "?" }));
    this.left = element("div", { className: "frame" });
    this.right = element("div", { className: "frame" });
    this.frames = element("div", { className: "frames" }, this.left, this.right);
    this.views = new Views(this.frames, press);
    this.captions = [element("figcaption"), element("figcaption")];
    this.strip = new Strip((pair) => this.go(this.list.indexOf(pair)));
    this.nothing = element("div", { className: "empty" });
    this.stage = element("div", { className: "pair", tabIndex: -1 },
      this.frames, element("div", { className: "captions" }, ...this.captions));
    this.foot = element("div", { className: "bar foot" }, this.strip.list, element("span", { className: "verdicts" },
      ...Object.values(this.buttons)), element("span", { className: "others" }, press("S", "Skip", () => this.skip()), this.undoButton));
    this.part = element("div", { className: "part pairs" },
      element("div", { className: "bar" }, this.progress, this.measures, element("span", { className: "fill" }),
        this.status.node, element("span", { className: "tools" }, this.views.onion, ...Object.values(this.views.buttons), keys)),
      this.stage, this.nothing, this.foot, this.help);
    this.root.append(this.part);
  }

  // The whole viewer fits into the window below what is above it.
  resize() {
    const scroller = this.root.host.closest("[data-testid=stMain]");
    const top = this.root.host.getBoundingClientRect().top + (scroller?.scrollTop ?? 0);
    this.part.style.height = `${Math.max(360, window.innerHeight - top - 20)}px`;
  }

  // -- what Python says ---------------------------------------------------------------------------------------------

  update(data) {
    const box = outbox(data.urls.events);
    if (this.outbox !== box) {
      this.outbox?.removeEventListener("saved", this.onsaved);
      (this.outbox = box).addEventListener("saved", this.onsaved);
    }
    this.status.follow(box);
    const other = this.data && (this.data.urls.events !== data.urls.events || this.data.queue !== data.queue);
    this.data = data;
    if (other) {
      this.history.forget(data.position);
      this.restart();
    }
    this.resize();
    this.merge();
    if (this.shown !== this.list[this.at]?.subject || !this.list.length) this.show();
    else this.say();
  }

  restart() {
    this.list = [];
    this.at = 0;
    this.reached = -1;
    this.shown = undefined;
    delete this.root.host.dataset.pair;
  }

  // What was seen stays as it is; what comes is as Python says, without what was decided here in the meantime.
  merge() {
    const { a, b, images, words, measures } = this.data;
    const seen = this.list.slice(0, this.reached + 1);
    const known = new Set(seen.map((pair) => pair.subject));
    const side = (id) => {
      const [word, path, width, height] = images[id];
      return { id, className: words[word], path, width, height };
    };
    const coming = [];
    for (let i = 0; i < a.length; i++) {
      const subject = `${a[i]}-${b[i]}`;
      if (known.has(subject) || this.history.of(subject)) continue;
      const measured = Object.fromEntries(Object.entries(measures).map(([name, v]) => [name, v[i]]).filter(([, v]) => v !== null));
      coming.push({ subject, left: side(a[i]), right: side(b[i]), measured });
    }
    const back = coming.findIndex((pair) => pair.subject === this.wanted);
    if (back >= 0) {
      this.wanted = undefined;
      this.reached++;
      seen.splice(this.at, 0, ...coming.splice(back, 1));
    }
    this.list = [...seen, ...coming];
    this.complete = a.length >= this.data.pending;
    this.asked = 0;
  }

  // -- showing ------------------------------------------------------------------------------------------------------

  picture(id) {
    return this.pictures.get(this.data.urls, id);
  }

  show() {
    const pair = this.list[this.at];
    this.shown = pair?.subject;
    this.reached = Math.max(this.reached, Math.min(this.at, this.list.length - 1));
    if (!pair) return this.end();
    const [left, right] = [this.picture(pair.left.id), this.picture(pair.right.id)];
    const place = () => this.shown === pair.subject && this.place(pair, left.image, right.image);
    if (left.done && right.done) place();
    else Promise.all([left.ready, right.ready]).then(place);
    clearTimeout(this.preparing);
    this.preparing = setTimeout(() => this.prepare(), 20); // after this pair is drawn
    return undefined;
  }

  place(pair, left, right) {
    this.part.classList.remove("ended");
    this.zoom.reset();
    this.left.replaceChildren(left);
    this.right.replaceChildren(right);
    this.since = performance.now();
    this.describe(pair);
    this.say();
    this.root.host.dataset.pair = pair.subject; // what is on the screen now
  }

  describe(pair) {
    [pair.left, pair.right].forEach((side, i) => {
      const name = nameElement(side.path.split("/").at(-1), "name file");
      name.title = side.path;
      const size = element("span", { className: "soft", textContent: `${side.width} × ${side.height}` });
      this.captions[i].replaceChildren(nameElement(side.className, "name class"), name, size);
      (i ? this.right : this.left).firstChild.alt = `${side.className}, ${side.path}`;
    });
    const said = Object.entries(pair.measured).map(([name, v]) => (MEASURES[name] || ((x) => [name, x]))(v)).filter(Boolean);
    if (pair.left.className !== pair.right.className) said.unshift(["", "two classes"]);
    this.measures.replaceChildren(...said.map(([name, value]) => element("span", {}, `${name} `, element("b", { textContent: value }))));
    this.views.next(pair.measured);
  }

  // The next pictures are decoded while this pair is looked at.
  prepare() {
    const next = this.list.slice(this.at + 1, this.at + 1 + AHEAD);
    if (this.at > 0) next.unshift(this.list[this.at - 1]);
    for (const pair of next) {
      this.picture(pair.left.id);
      this.picture(pair.right.id);
    }
    const open = this.list.slice(0, this.reached + 1).filter((pair) => !this.history.of(pair.subject)).length;
    if (this.complete || this.list.length - this.at > RESERVE || performance.now() - this.asked < 3000) return;
    this.asked = performance.now() || 1;
    this.context.setStateValue("want", { rows: this.data.batch + open, at: this.at });
    setTimeout(() => this.part.isConnected && this.prepare(), 3100); // asked again: an answer may have been lost
  }

  end() {
    delete this.root.host.dataset.pair;
    const skipped = this.list.filter((pair) => !this.history.of(pair.subject));
    this.part.classList.add("ended");
    const again = element("button", { className: "quiet again", textContent: "Look at them again", onclick: () => this.again(skipped) });
    const lines = !this.complete ? ["Loading more pairs", ""]
      : !this.data.total ? this.data.empty
        : skipped.length ? [`${skipped.length.toLocaleString("en-US")} skipped`, again]
          : ["Every pair is decided", `${count(this.data.total, "pair")}. U takes the last verdict back.`];
    this.nothing.replaceChildren(element("b", { textContent: lines[0] }), lines[1]);
    this.prepare();
    this.say();
  }

  again(skipped) {
    this.restart();
    this.list = skipped;
    this.show();
  }

  say() {
    const { total, pending, position } = this.data;
    const done = Math.min(total, total - pending + this.history.since(position));
    const recent = this.times.filter((t) => t > performance.now() - 180_000);
    const minutes = (performance.now() - recent[0]) / 60_000;
    const rate = recent.length > 4 ? ` · ${Math.round((recent.length - 1) / minutes)} a minute` : "";
    this.progress.textContent = total ? `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}${rate}` : "";
    const pair = this.list[this.at];
    const verdict = this.history.of(pair?.subject);
    for (const [name, button] of Object.entries(this.buttons)) {
      button.setAttribute("aria-pressed", name === verdict);
      button.disabled = !pair;
    }
    this.undoButton.disabled = !this.history.next(this.data.last);
    const seen = this.list.slice(Math.max(0, this.at - 8), this.at);
    this.strip.show(seen, (subject) => this.history.of(subject), this.data.urls);
  }

  // -- deciding -----------------------------------------------------------------------------------------------------

  go(to) {
    if (to < 0 || to > this.list.length) return;
    this.at = to;
    this.show();
  }

  decide(verdict) {
    const pair = this.list[this.at];
    if (!pair || this.wanted || this.root.host.dataset.pair !== pair.subject) return; // not on the screen yet
    const [event] = this.outbox.add(this.data.reviewer, [{ kind: "pair", subject: pair.subject, verdict, shown: this.seen(pair) }]);
    this.history.add(pair.subject, verdict, event);
    this.times.push(performance.now());
    this.go(this.at + 1);
  }

  seen(pair) {
    return {
      position: this.at + 1,
      of: this.data.total,
      measures: pair.measured,
      view: this.views.view,
      mirrored: this.views.mirrored,
      zoom: this.zoom.scale,
      seconds: Math.round((performance.now() - this.since) / 100) / 10,
    };
  }

  skip() {
    if (this.list[this.at]) this.go(this.at + 1);
  }

  undo() {
    const last = this.history.next(this.data.last);
    if (!last) return;
    const [event] = this.outbox.add(this.data.reviewer, [{ kind: "undo", subject: last.event }]);
    this.history.undo(last, event);
    this.times.pop();
    const at = this.list.findIndex((pair) => pair.subject === last.subject);
    if (at >= 0) this.go(at);
    else this.bring(last.subject);
  }

  // A pair that was decided before the page was loaded: Python gives it again, and until then no key decides another.
  bring(subject) {
    this.wanted = subject;
    this.outbox.send();
    clearTimeout(this.giving);
    this.giving = setTimeout(() => { this.wanted = undefined; }, 3000);
    this.say();
  }

  saved({ ids, position }) {
    this.history.saved({ ids, position });
    clearTimeout(this.hinting);
    const wait = this.wanted ? 0 : 1500;
    if (this.data.notify || this.wanted) this.hinting = setTimeout(() => this.context.setTriggerValue("saved", position), wait);
  }

  // -- keys ---------------------------------------------------------------------------------------------------------

  key(event) {
    if (this.help.open) {
      if (event.key !== "Escape" && event.key !== "?") return false;
      this.help.close();
      return true;
    }
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    const verdict = VERDICTS.find(([, letter], i) => key === letter || key === String(i + 1));
    const view = VIEWS.find(([, letter]) => key === letter);
    const other = {
      S: () => this.skip(),
      ArrowRight: () => this.skip(),
      ArrowLeft: () => this.go(this.at - 1),
      U: () => this.undo(),
      Z: () => this.zoom.toggle(),
      H: () => this.views.flip(),
      Escape: () => { this.zoom.reset(); this.views.side(); },
      "?": () => this.help.showModal(),
    }[key];
    if (!verdict && !view && !other) return false;
    if (event.repeat && key !== "ArrowLeft" && key !== "ArrowRight") return true; // a held key decides once
    if (verdict) this.decide(verdict[0]);
    else if (view) this.views.keyDown(view[0], key);
    else other();
    return true;
  }

  keyUp(event) {
    return this.views.keyUp(event.key.toUpperCase());
  }

  unmount() {
    clearTimeout(this.hinting);
    clearTimeout(this.preparing);
    clearTimeout(this.giving);
    this.strip.stop();
    this.outbox?.removeEventListener("saved", this.onsaved);
    this.outbox?.send();
    this.status.stop();
    this.placed.disconnect();
    window.removeEventListener("resize", this.fit);
    this.part.remove();
  }
}

export default life(Pairs, styleSheets);
