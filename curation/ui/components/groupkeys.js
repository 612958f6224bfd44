// The keys of the group viewer.

import { cutLink, enlarge, keep, showWeakest, undo } from "./groupacts.js";

export const KEYS = [
  ["← ↑ ↓ →", "move"],
  ["K", "keep this picture, and no other of the group; again: let the policy choose"],
  ["Space", "mark (also a click); two can be marked"],
  ["X", "cut the link between the two that are marked, or the one marked and this one"],
  ["W", "go to the link that alone holds most together"],
  ["N", "note: goes with what is kept or cut next"],
  ["U", "undo"],
  ["J ⇧J", "next group, group before"],
  ["Z", "large view of this picture, or of the two that are marked"],
  ["Esc", "mark nothing"],
  ["?", "this help"],
];

export function meaning(viewer, event) {
  return {
    ArrowLeft: () => viewer.move(-1),
    ArrowRight: () => viewer.move(1),
    ArrowUp: () => viewer.move(-viewer.wall.columns),
    ArrowDown: () => viewer.move(viewer.wall.columns),
    " ": () => viewer.choose(),
    K: () => keep(viewer),
    X: () => cutLink(viewer),
    W: () => showWeakest(viewer),
    N: () => viewer.openNote(),
    U: () => undo(viewer),
    J: () => viewer.go(event.shiftKey ? -1 : 1),
    Z: () => enlarge(viewer),
    Escape: () => viewer.chooseNone(),
    "?": () => viewer.help.showModal(),
  }[event.key.length === 1 ? event.key.toUpperCase() : event.key];
}
