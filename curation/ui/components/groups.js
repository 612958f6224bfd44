// Group viewer: a component of near duplicates at once; keep a picture, cut a link, go on to the next. What is decided is
// known here first and sent on by decisions.js; Python settles what follows from it.

import { count, element, helpDialog, life, pictureUrl, sheet } from "./base.js";
import { Fitted, helpButton, Message, press } from "./bench.js";
import { Changes } from "./changes.js";
import { join, leave, StatusLine } from "./decisions.js";
import { facts, ties, warning } from "./facts.js";
import { neighbours, weakest } from "./graph.js";
import { cutLink, keep, undo } from "./groupacts.js";
import { KEYS, meaning } from "./groupkeys.js";
import { NoteField } from "./note.js";
import { Wall } from "./wall.js";

const styleSheets = await Promise.all([sheet("base.css"), sheet("groups.css")]);

class Groups {
  constructor(root) {
    this.root = root;
    this.changes = new Changes();
    this.chosen = [];
    this.cursor = 0;
    this.over = -1;
    this.status = new StatusLine(element("span"));
    this.help = helpDialog("Keys of the group viewer", KEYS);
    this.onsaved = (event) => this.saved(event.detail);
    this.message = new Message();
    this.draw();
    this.fitted = new Fitted(root.host, this.part);
  }

  draw() {
    this.title = element("span", { className: "progress" });
    this.policy = element("span", { className: "soft policy" });
    this.warning = element("div", { className: "warning", aria: { role: "note" } });
    this.note = new NoteField((text) => { this.pending = text; this.tell(text ? `Goes with what is decided next: “${text}”` : ""); },
      () => this.stage.focus({ preventScroll: true }));
    this.wall = new Wall({
      mark: (i) => this.mark(i),
      hover: (i) => { if (i !== this.over) { this.over = i; this.paint(); } },
      press: (i) => { this.cursor = i; this.choose(); },
    });
    this.stage = this.wall.node;
    this.facts = element("div", { className: "facts" });
    this.ties = element("div", { className: "ties" });
    this.buttons = {
      back: press("⇧J", "Back", () => this.go(-1)),
      next: press("J", "Next group", () => this.go(1)),
      keep: press("K", "Keep", () => keep(this)),
      cut: press("X", "Cut link", () => cutLink(this)),
      note: press("N", "Note", () => this.openNote()),
      undo: press("U", "Undo", () => undo(this)),
    };
    const { back, next, ...acts } = this.buttons;
    this.large = element("dialog", { className: "large", aria: { label: "Large view" }, onclick: () => this.large.close() });
    this.nothing = element("div", { className: "empty" });
    this.part = element("div", { className: "part groups" },
      element("div", { className: "bar" }, this.title, this.policy, element("span", { className: "fill" }), this.status.node,
        element("span", { className: "tools" }, back, next, helpButton(this.help))),
      this.warning, this.stage, this.nothing, this.message.node,
      element("div", { className: "foot" }, element("div", { className: "about" }, this.facts, this.ties, this.note.input),
        element("span", { className: "acts" }, ...Object.values(acts))), this.help, this.large);
    this.root.append(this.part);
  }

  // -- what Python says ---------------------------------------------------------------------------------------------

  update(data) {
    join(this, data.urls.events);
    this.changes.settle(this.data?.position ?? 0); // what Python gives was certainly made after that
    this.data = data;
    this.loaded = new Map(data.groups.map((group) => [group.place, group]));
    this.fitted.fit();
    const here = this.group && data.groups.find((group) => group.members.some((one) => this.same(one, this.anchor)));
    // A group that is in no component any more stays in sight until the person goes on.
    this.vanished = Boolean(this.group) && !here;
    const answered = data.answered === this.asked || (!this.group && !this.waiting);
    if (here && !this.jumping) this.show(here, this.cursorKey());
    else if (answered) {
      this.show(this.loaded.get(data.at), this.jumping);
      this.jumping = undefined;
    }
    this.waiting &&= !answered;
  }

  keyOf(member) {
    return `${member.source}:${member.id}`;
  }

  same(member, [name, id]) {
    return member.id === id && member.source === name;
  }

  cursorKey() {
    const member = this.group?.members[this.cursor];
    return member && [member.source, member.id];
  }

  get anchor() {
    const first = this.group.members.find((one) => !one.source) || this.group.members[0];
    return [first.source, first.id];
  }

  show(group, at) {
    const known = group && this.group && this.shape === shapeOf(group);
    this.group = group;
    this.shape = group && shapeOf(group);
    this.part.classList.toggle("ended", !group);
    if (!group) {
      const [title, hint] = this.data.total ? ["Loading", ""] : this.data.empty;
      this.nothing.replaceChildren(element("b", { textContent: title }), hint);
      delete this.root.host.dataset.group;
      return this.say();
    }
    const place = at ? group.members.findIndex((one) => this.same(one, at)) : -1;
    if (!known) {
      this.chosen = [];
      this.over = -1;
      this.cursor = place >= 0 ? place : Math.max(0, group.members.findIndex((one) => one.stays && !one.source));
    }
    this.derive();
    this.say(); // first: a warning takes room from the pictures
    if (!known) this.wall.show(group.members, this.data.images, this.data.urls);
    this.root.host.dataset.group = String(group.place);
    this.paint();
    if (!known) this.wall.reveal(this.cursor);
    this.prefetch();
    return undefined;
  }

  prefetch() {
    const next = this.loaded.get(this.group.place + 1)?.members.slice(0, 12) || [];
    for (const member of next) new Image().src = pictureUrl({ image: this.data.images[member.source] }, member.id, next.length > 6 ? "thumb" : "mid");
  }

  // -- what is shown: as Python said, with what was decided here since -------------------------------------------------

  kept(member) {
    const local = this.changes.kept.get(this.keyOf(member));
    return local ? local.value : member.kept || null;
  }

  derive() {
    const { members, edges } = this.group;
    this.edges = edges.filter(({ subject }) => !this.changes.cut.get(subject)?.value);
    this.lists = neighbours(members.length, this.edges);
    const touched = members.some((one) => JSON.stringify(this.kept(one)) !== JSON.stringify(one.kept || null));
    const chosen = members.filter((one) => this.kept(one));
    this.stays = members.map((one) => (!touched ? one.stays : chosen.length ? chosen.includes(one) : undefined));
    this.weak = members.length > 2 ? weakest(members.length, this.edges) : [];
  }

  decided(text) {
    this.pending = "";
    this.derive();
    this.say();
    this.paint();
    this.tell(text);
  }

  mark(i) {
    const member = this.group.members[i];
    const kept = this.kept(member);
    const focus = this.over >= 0 ? this.over : this.cursor;
    const linked = i !== focus && this.lists[focus].some(([other]) => other === i);
    const stays = this.stays[i];
    const states = { stays: stays && !member.source, gone: stays === false, cursor: i === this.cursor, chosen: this.chosen.includes(i), linked, foreign: Boolean(member.source) };
    const word = member.source ? "" : kept ? "kept" : stays ? "stays" : stays === false ? "goes" : "";
    const classes = Object.keys(states).filter((name) => states[name]);
    return { classes, word, badge: member.source, label: [member.name, word, member.source].filter(Boolean).join(", ") };
  }

  paint() {
    if (!this.group) return;
    const focus = this.over >= 0 ? this.over : this.cursor;
    this.wall.paintAll();
    this.wall.link(this.edges, focus);
    const member = this.group.members[focus];
    this.facts.replaceChildren(...facts(member, this.kept(member), this.stays[focus]));
    this.ties.replaceChildren(...ties(this, focus, (i) => this.look(i)));
  }

  say() {
    const { total, policy, giant } = this.data;
    const { group } = this;
    for (const name of ["keep", "cut", "note"]) this.buttons[name].disabled = !group;
    this.buttons.undo.disabled = !this.changes.next(this.data.last);
    this.policy.textContent = this.policy.title = group ? policy : "";
    this.warning.hidden = true;
    this.title.textContent = "";
    if (!group) return;
    this.buttons.back.disabled = group.place <= 0;
    this.buttons.next.disabled = group.place >= total - 1;
    this.title.textContent = `Group ${(group.place + 1).toLocaleString("en-US")} of ${total.toLocaleString("en-US")} · ${count(group.members.length, "picture")}`;
    this.warning.textContent = warning(this, giant);
    this.warning.hidden = !this.warning.textContent;
  }

  tell(text) {
    this.message.tell(text);
  }

  // -- moving -------------------------------------------------------------------------------------------------------

  move(step) {
    const to = this.cursor + step;
    if (!this.group || to < 0) return;
    const last = this.group.members.length - 1;
    // Down from a row that is not the last leads to the last picture where the last row is short.
    const rows = Math.floor(last / this.wall.columns) - Math.floor(this.cursor / this.wall.columns);
    if (to > last && !(step > 1 && rows > 0)) return;
    this.look(Math.min(to, last));
  }

  look(i) {
    this.cursor = i;
    this.over = -1;
    this.wall.reveal(i);
    this.paint();
  }

  go(step) {
    const place = (this.group?.place ?? this.data.at) + (this.vanished && step > 0 ? 0 : step);
    if (place < 0 || place >= this.data.total) return;
    const group = this.loaded.get(place);
    this.message.clear();
    this.pending = ""; // a note is about the group that it was written in
    this.show(group);
    this.ask(group ? { at: place, anchor: this.anchor } : { at: place }, group ? 500 : 0);
  }

  ask(want, wait) {
    clearTimeout(this.asking);
    this.waiting ||= !wait;
    this.asking = setTimeout(() => {
      this.asked = Date.now();
      this.context.setStateValue("want", { ...want, asked: this.asked });
    }, wait);
  }

  // A group that is not loaded, by one of its pictures, once the ledger has what was decided.
  jump(anchor) {
    this.jumping = anchor;
    this.ask({ at: this.data.at, anchor }, 400);
  }

  openNote() {
    if (this.group) this.note.open(this.pending || "");
  }

  chooseNone() {
    this.chosen = [];
    if (this.group) this.paint();
  }

  choose() {
    if (!this.group) return;
    const i = this.cursor;
    this.chosen = this.chosen.includes(i) ? this.chosen.filter((one) => one !== i) : [...this.chosen, i].slice(-2);
    this.paint();
  }

  saved({ ids, position }) {
    this.changes.saved({ ids, position });
    clearTimeout(this.hinting);
    if (this.data.notify) this.hinting = setTimeout(() => this.context.setTriggerValue("saved", position), 1200);
  }

  // -- what the server and the keyboard say ---------------------------------------------------------------------------------------------------------

  key(event) {
    for (const dialog of [this.help, this.large]) {
      if (!dialog.open) continue;
      if (!["Escape", "?", "z", "Z", " "].includes(event.key)) return false;
      dialog.close();
      return true;
    }
    const act = meaning(this, event);
    if (!act) return false;
    if (!event.repeat || /^(Arrow|j$)/i.test(event.key)) act();
    return true;
  }

  unmount() {
    this.message.clear();
    for (const timer of [this.hinting, this.asking]) clearTimeout(timer);
    leave(this);
    this.wall.stop();
    this.fitted.stop();
    this.part.remove();
  }
}

const shapeOf = ({ members }) => members.map(({ source, id }) => `${source}:${id}`).join();

export default life(Groups, styleSheets);
