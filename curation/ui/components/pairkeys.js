// What a key means to the pair viewer.

import { VERDICTS, VIEWS } from "./verdicts.js";

export function meaning(viewer, event) {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  return moving(viewer, event, key) || deciding(viewer, key) || looking(viewer, key);
}

function moving({ zoom }, { shiftKey }, key) {
  const side = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (side && shiftKey) return () => zoom.pan(...side);
  return {
    "+": () => zoom.step(1),
    "=": () => zoom.step(1),
    "-": () => zoom.step(-1),
    _: () => zoom.step(-1),
    0: () => zoom.reset(),
    Z: () => zoom.toggle(),
  }[key];
}

function deciding(viewer, key) {
  const verdict = VERDICTS.find(([, letter], i) => key === letter || key === String(i + 1));
  if (verdict) return () => viewer.decide(verdict[0]);
  return {
    S: () => viewer.skip(),
    ArrowRight: () => viewer.skip(),
    ArrowLeft: () => viewer.go(viewer.sitting.at - 1),
    U: () => viewer.undo(),
    N: () => viewer.openNote(),
  }[key];
}

function looking({ views, zoom, help }, key) {
  const view = VIEWS.find(([, letter]) => key === letter);
  if (view) return () => views.keyDown(view[0], key);
  return {
    A: () => views.register(),
    H: () => views.flip(),
    "[": () => views.fade(-1),
    "]": () => views.fade(1),
    Escape: () => {
      zoom.reset();
      views.side();
    },
    "?": () => help.showModal(),
  }[key];
}
