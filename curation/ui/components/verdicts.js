// The words and keys of the pair viewer.

export const VERDICTS = [
  ["duplicate", "D", "Duplicate"],
  ["related", "R", "Related"],
  ["different", "F", "Different"],
  ["unsure", "E", "Unsure"],
];
export const VIEWS = [
  ["blink", "B", "Blink"],
  ["difference", "V", "Difference"],
  ["onion", "O", "Onion skin"],
];
export const KEYS = [
  ["D 1", "duplicate: the same picture, however edited"],
  ["R 2", "related: the same scene or object, another picture"],
  ["F 3", "different"],
  ["E 4", "unsure"],
  ["S →", "skip"],
  ["←", "back"],
  ["U", "undo the last verdict"],
  ["B", "blink between the two; hold for a short look"],
  ["V", "difference: what is equal turns black"],
  ["O", "onion skin: both at once, the slider fades"],
  ["H", "mirror the right picture"],
  ["Z", "zoom both in step; the wheel zooms, dragging moves"],
  ["?", "this help"],
];
export const MEASURES = {
  exact: (v) => v && ["exact copy", ""],
  phash: (v) => ["pHash", v],
  phash_mirror: (v) => ["mirrored pHash", v],
  cosine: (v) => ["cosine", v.toFixed(3)],
  probability: (v) => ["probability", `${Math.round(100 * v)} %`],
};
