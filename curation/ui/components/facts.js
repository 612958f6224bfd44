// What is told of one picture of a group: its names and size, why it stays or goes, and what links it to which.

import { count, element, nameElement, pictureUrl } from "./base.js";
import { parts } from "./graph.js";

const MOST = 10; // linked pictures that are listed

export function facts(member, kept, stays) {
  const { class: className, name, width, height, source, reason } = member;
  const size = width ? `${width.toLocaleString("en-US")} × ${height.toLocaleString("en-US")}` : "no picture";
  const why = source ? `of ${source}` : kept ? `kept by ${kept.by}${kept.note ? `: ${kept.note}` : ""}`
    : stays === undefined ? "the policy chooses" : stays ? "stays" : reason || "goes";
  const told = element("span", { className: "why", textContent: why, title: why });
  return [nameElement(className || "", "name class"), nameElement(name, "name file"), element("span", { className: "soft", textContent: size }), told];
}

// A press on one goes to it.
export function ties({ group, edges, lists, data }, focus, go) {
  const links = lists[focus];
  const shown = links.slice(0, MOST).map(([other, k]) => {
    const { kind, by } = edges[k];
    const { source, id, name } = group.members[other];
    const picture = element("img", { src: pictureUrl({ image: data.images[source] }, id, "thumb"), alt: "" });
    const pressed = { className: "quiet link", title: name, onclick: () => go(other), onmousedown: (event) => event.preventDefault() };
    return element("button", pressed, picture, kind === "burst" ? "same upload" : by === "rule" ? "by rule" : `by ${by}`);
  });
  const rest = links.length > MOST ? [element("span", { className: "soft", textContent: `and ${count(links.length - MOST, "other")}` })] : [];
  return [element("span", { className: "soft", textContent: `${count(links.length, "link")}${links.length ? ":" : ""}` }), ...shown, ...rest];
}

// What is to be thought of before anything is kept: a group that is too large, and what it is linked with.
export function warning({ group, lists, weak }, giant) {
  const number = (n) => n.toLocaleString("en-US");
  const sizes = parts(lists);
  const foreign = [...new Set(group.members.map(({ source }) => source).filter(Boolean))];
  const says = [];
  if (sizes.length > 1) says.push(`Cut into ${sizes.length} groups.`);
  if (sizes[0] > giant) {
    says.push(`${count(sizes[0], "picture")} hang together: often a wrong link does that.`);
    const [first] = weak;
    if (first) says.push(`W shows the link that alone holds ${number(first.sizes[0])} and ${number(first.sizes[1])} of them together.`);
  }
  if (foreign.length && sizes.length === 1) says.push(`Nothing of ours stays beside a picture of ${foreign.join(", ")}.`);
  return says.join(" ");
}
