// Where the left picture lies in the right one, by the transform that the geometric check found.

// Six numbers, rows of a 2 x 3 matrix, from points of the left picture to points of the right one, each measured in
// units of its own longer side. It tells something only when it moves a point of the picture visibly.
export function tells(transform) {
  if (!transform) return false;
  const [a, b, x, c, d, y] = transform;
  return Math.max(...[a - 1, b, x, c, d - 1, y].map(Math.abs)) > 0.01;
}

const long = ({ width, height }) => Math.max(width, height);

// The right picture as the frame holds it (contained, in the middle), and the left one drawn over it.
export function placed(transform, left, right, frame) {
  const scale = Math.min(frame.width / right.width, frame.height / right.height);
  const unit = long(right) * scale; // px of the right picture's longer side, and of the left one's before the transform
  const x = (frame.width - right.width * scale) / 2;
  const y = (frame.height - right.height * scale) / 2;
  const [a, b, tx, c, d, ty] = transform;
  const [width, height] = [(left.width / long(left)) * unit, (left.height / long(left)) * unit];
  const at = (px, py) => [x + a * px + b * py + tx * unit, y + c * px + d * py + ty * unit];
  const corners = [at(0, 0), at(width, 0), at(width, height), at(0, height)];
  return {
    width,
    height,
    matrix: `matrix(${[a, c, b, d, x + tx * unit, y + ty * unit].map((n) => n.toFixed(6)).join()})`,
    left: polygon(corners),
    right: polygon([[x, y], [x + right.width * scale, y], [x + right.width * scale, y + right.height * scale], [x, y + right.height * scale]]),
  };
}

const polygon = (corners) => `polygon(${corners.map(([x, y]) => `${x.toFixed(1)}px ${y.toFixed(1)}px`).join()})`;
