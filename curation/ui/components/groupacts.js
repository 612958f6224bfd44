// What is done with a group: a picture is kept, a link is found and cut, pictures are looked at, a decision is taken back.

import { count, element, pictureUrl } from "./base.js";
import { reach } from "./graph.js";

function post({ data, group, outbox, pending }, kind, subject, verdict, more = {}) {
  const shown = { view: "group", members: group.members.length, policy: data.policy };
  const note = verdict === "release" ? "" : pending;
  return outbox.add(data.reviewer, [{ kind, subject, verdict, shown, ...(note && { note }), data: more }])[0];
}

// One picture of what hangs together is kept; whatever was kept before is let go. Again: the policy chooses.
export function keep(viewer) {
  const { group, changes, data } = viewer;
  if (!group) return;
  const member = group.members[viewer.cursor];
  const here = [...reach(viewer.lists, viewer.cursor)].map((i) => group.members[i]);
  const foreign = here.find(({ source }) => source);
  if (foreign) {
    viewer.pending = "";
    viewer.tell(`Nothing of ours stays beside a picture of ${foreign.source}: cut the link to it where it is wrong`);
    return;
  }
  const before = here.filter((one) => viewer.kept(one));
  const again = viewer.kept(member) && !viewer.pending;
  const events = before.filter((one) => one !== member || again).map((one) => post(viewer, "survivor", String(one.id), "release"));
  const steps = before.map((one) => ["kept", viewer.keyOf(one), null, viewer.kept(one)]);
  if (!again) {
    const value = { by: data.reviewer, note: viewer.pending || "" };
    steps.push(["kept", viewer.keyOf(member), value, viewer.kept(member)]);
    events.push(post(viewer, "survivor", String(member.id), "keep", { released: [...events] }));
  }
  changes.did(events, steps, viewer.anchor);
  viewer.decided(again ? "Let go: the policy chooses" : `Kept${before.length ? " in place of what was kept before" : ""}`);
}

// The link between the marked two; or between the marked one and this one; or the only one there is.
function meant({ chosen, cursor, edges, lists }) {
  const [a, b] = chosen.length === 2 ? chosen : [chosen[0] ?? cursor, cursor];
  const joins = ({ a: one, b: other }) => (one === a && other === b) || (one === b && other === a);
  if (a !== b) return edges.filter(joins);
  const own = lists[a].map(([, k]) => edges[k]);
  return new Set(lists[a].map(([other]) => other)).size === 1 ? own : undefined;
}

export function cutLink(viewer) {
  if (!viewer.group) return viewer.say();
  const links = meant(viewer);
  if (!links) return viewer.tell("Mark two linked pictures with Space or a click, then cut");
  const pairs = links.filter(({ kind }) => kind === "pair");
  if (!pairs.length) {
    return viewer.tell(links.length ? "The same upload links these two, no verdict does: that cannot be cut" : "No link joins these two directly");
  }
  const events = pairs.map(({ subject }) => post(viewer, "pair", subject, "different"));
  viewer.changes.did(events, pairs.map(({ subject }) => ["cut", subject, true, false]), viewer.anchor);
  viewer.chosen = [];
  viewer.derive();
  const [{ a, b }] = pairs;
  const apart = reach(viewer.lists, a);
  return viewer.decided(apart.has(b) ? "Cut; other links still hold the group together"
    : `Cut into ${apart.size.toLocaleString("en-US")} and ${count(reach(viewer.lists, b).size, "picture")}`);
}

export function undo(viewer) {
  const { changes, data, group } = viewer;
  const last = changes.next(data.last);
  if (!last) return;
  const ids = viewer.outbox.add(data.reviewer, last.events.toReversed().map((subject) => ({ kind: "undo", subject })));
  changes.undo(last, ids.at(-1));
  const here = group?.members.some((one) => viewer.same(one, last.anchor));
  if (!here) viewer.jump(last.anchor);
  if (group) viewer.decided("Taken back");
}

// Again and again: the next weakest.
export function showWeakest(viewer) {
  const { weak, shape, turn, edges } = viewer;
  if (!weak.length) return viewer.tell("No single link holds this group together");
  const k = turn?.shape === shape ? (turn.k + 1) % weak.length : 0;
  const { edge, sizes } = weak[k];
  const { a, b } = edges[edge];
  viewer.turn = { shape, k };
  viewer.chosen = [a, b];
  viewer.wall.reveal(b);
  viewer.look(a);
  return viewer.tell(`${k + 1} of ${count(weak.length, "weak link")}: holds ${sizes[0]} and ${count(sizes[1], "picture")} together. X cuts it, Z shows both large`);
}

export function enlarge({ group, chosen, cursor, large, data }) {
  if (!group) return;
  const which = chosen.length === 2 ? chosen : [cursor];
  large.replaceChildren(...which.map((i) => {
    const { source, id, name } = group.members[i];
    return element("figure", {}, element("img", { src: pictureUrl({ image: data.images[source] }, id, "mid"), alt: name }),
      element("figcaption", { textContent: name }));
  }));
  large.showModal();
}
