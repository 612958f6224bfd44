// Links among the members of a group: what hangs together, and which single links hold two parts together.

export function neighbours(count, edges) {
  const lists = Array.from({ length: count }, () => []);
  edges.forEach(({ a, b }, k) => {
    if (a === b) return;
    lists[a].push([b, k]);
    lists[b].push([a, k]);
  });
  return lists;
}

// The members that hang together with one, itself included.
export function reach(lists, from) {
  const seen = new Set([from]);
  for (const one of seen) for (const [other] of lists[one]) seen.add(other); // a set grows while it is walked
  return seen;
}

// How many members each part has that hangs together, the largest first.
export function parts(lists) {
  const seen = new Set();
  const sizes = [];
  for (let i = 0; i < lists.length; i++) {
    if (seen.has(i)) continue;
    const part = reach(lists, i);
    part.forEach((one) => seen.add(one));
    sizes.push(part.size);
  }
  return sizes.sort((one, other) => other - one);
}

// Links that alone join two parts, the most even division first: {edge, sizes: [smaller, larger]}. Tarjan's bridges,
// without recursion, since a group may be one long chain.
export function weakest(count, edges) {
  const lists = neighbours(count, edges);
  const order = new Array(count).fill(0);
  const low = new Array(count).fill(0);
  const size = new Array(count).fill(1);
  const found = [];
  let time = 0;
  for (let root = 0; root < count; root++) {
    if (order[root]) continue;
    const bridges = [];
    const path = [{ node: root, by: -1, next: 0 }];
    order[root] = low[root] = ++time;
    while (path.length) {
      const top = path.at(-1);
      if (top.next < lists[top.node].length) {
        const [other, edge] = lists[top.node][top.next++];
        if (edge === top.by) continue;
        if (order[other]) low[top.node] = Math.min(low[top.node], order[other]);
        else {
          order[other] = low[other] = ++time;
          path.push({ node: other, by: edge, next: 0 });
        }
        continue;
      }
      path.pop();
      const parent = path.at(-1);
      if (!parent) break;
      low[parent.node] = Math.min(low[parent.node], low[top.node]);
      size[parent.node] += size[top.node];
      if (low[top.node] > order[parent.node]) bridges.push([top.by, size[top.node]]);
    }
    const all = size[root];
    found.push(...bridges.map(([edge, part]) => ({ edge, sizes: [Math.min(part, all - part), Math.max(part, all - part)] })));
  }
  return found.sort((one, other) => other.sizes[0] - one.sizes[0] || one.edge - other.edge);
}
