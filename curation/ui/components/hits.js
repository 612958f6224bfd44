// Which dots lie inside a lasso or under the pointer. Plain loops: a million dots take some milliseconds.

const FULL = 65535; // of a position on either axis

function switches(numbers) {
  const off = new Uint8Array(256);
  for (const i of numbers) off[i] = 1;
  return off;
}

// Marks in `chosen` what is inside, by the even-odd rule, and counts it; Python decides again on the exact positions.
export function mark({ n, at, group, chosen }, corners, hidden) {
  const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis] * FULL));
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const off = switches(hidden);
  let count = 0;
  for (let i = 0; i < n; i++) {
    chosen[i] = 0;
    const x = at[2 * i];
    const y = at[2 * i + 1];
    if (x < left || x > right || y < low || y > high || off[group[i]]) continue;
    let inside = false;
    for (let a = 0, b = xs.length - 1; a < xs.length; b = a++) {
      if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) inside = !inside;
    }
    if (inside) {
      chosen[i] = 1;
      count++;
    }
  }
  return count;
}

// The dot nearest to a place, -1 when none is within reach; both in units of the map.
export function nearest({ n, at, group }, [u, v], reach, hidden) {
  const off = switches(hidden);
  let best = -1;
  let least = (reach * FULL) ** 2;
  for (let i = 0; i < n; i++) {
    const x = at[2 * i] - u * FULL;
    const y = at[2 * i + 1] - v * FULL;
    const far = x * x + y * y;
    if (far < least && !off[group[i]]) {
      least = far;
      best = i;
    }
  }
  return best;
}
