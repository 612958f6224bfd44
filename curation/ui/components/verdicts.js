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
  ["N", "note: goes with the verdict, or is added to one given before"],
  ["B", "blink between the two; hold for a short look"],
  ["V", "difference: what is equal turns black"],
  ["O", "onion skin: both at once; the slider or [ and ] fade"],
  ["A", "lay the left picture over the right one where it was found there"],
  ["H", "mirror the right picture"],
  ["Z", "zoom both in step; + − 0, the wheel, or a double click"],
  ["⇧ ←↑↓→", "move both; also by dragging"],
  ["?", "this help"],
];

const scaled = (v, unit, exponent) => (v ? `${(v / unit).toFixed(2)}e${exponent}` : "0");
// In the order of the card: what is said of a value, with all measures of the pair at hand.
export const MEASURES = [
  ["exact", (v) => v && ["exact copy", ""]],
  ["pixels", (v) => ["pixels", scaled(v, 1e8, 8)]],
  ["dssim", (v) => ["DSSIM", v.toFixed(3)]],
  ["fc7", (v) => ["fc7", scaled(v, 1e4, 4)]],
  ["phash", (v, { phash_mirror: mirrored }) => ["pHash", mirrored === undefined ? v : `${v} / ${mirrored}`]],
  ["cosine", (v) => ["cosine", v.toFixed(3)]],
  ["inliers", (v) => ["inliers", v.toLocaleString("en-US")]],
  ["probability", (v) => ["probability", `${Math.round(100 * v)} %`]],
];
export const TOGETHER = { phash_mirror: "phash" }; // told along with another measure
export const HINTS = {
  pixels: "squared distance of 256 × 256 pixels",
  dssim: "(1 − SSIM) / 2",
  fc7: "squared distance of VGG-16 features",
  phash: "bits of the perceptual hash that differ, plain / against the mirror image",
  cosine: "similarity of features",
  inliers: "local features that agree on one transform",
  probability: "that the two are near duplicates, by rule",
};
