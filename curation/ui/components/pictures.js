// Pictures decoded before they are needed; those used last are kept.

import { element, pictureUrl } from "./base.js";

export class Pictures {
  constructor(most) {
    this.most = most;
    this.kept = new Map(); // URL: {image, ready, done}, the one used last goes last
  }

  // `images`: the picture URLs by source; `urgent`: it is wanted on the screen now.
  get(images, { id, source }, urgent = false) {
    const url = pictureUrl({ image: images[source] }, id, "mid");
    let one = this.kept.get(url);
    if (one) this.kept.delete(url);
    else {
      const image = element("img", { fetchPriority: urgent ? "high" : "low", src: url, draggable: false, alt: "" });
      one = { image, done: false };
      one.ready = image.decode().catch(() => {}).then(() => { one.done = true; });
    }
    this.kept.set(url, one);
    if (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    return one;
  }
}
