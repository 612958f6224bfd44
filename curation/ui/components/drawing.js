// Dots by WebGL2: positions and groups stay on the graphics processor, colours are a row of 256 texels.

const VERTEX = `#version 300 es
layout(location = 0) in vec2 at;
layout(location = 1) in uint group;
layout(location = 2) in uint chosen;
uniform vec2 centre, scale;
uniform float size, alpha, choosing;
uniform sampler2D colours;
out vec4 colour;
void main() {
  vec4 base = texelFetch(colours, ivec2(int(group), 0), 0);
  bool aside = choosing > 0.5 && chosen == 0u;
  float opacity = base.a * (aside ? 0.12 * alpha : choosing > 0.5 ? min(1.0, alpha * 1.5) : alpha);
  colour = vec4(base.rgb * opacity, opacity);
  gl_Position = base.a == 0.0 ? vec4(2.0, 2.0, 2.0, 1.0) : vec4((at - centre) * scale, 0.0, 1.0);
  gl_PointSize = size;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
out vec4 shown;
void main() {
  vec2 d = gl_PointCoord - 0.5;
  if (dot(d, d) > 0.25) discard;
  shown = colour;
}`;

export class Drawing {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (!gl) throw Error("This browser cannot draw the map: WebGL 2 is missing or switched off.");
    this.canvas = canvas;
    this.gl = gl;
    this.n = 0;
    this.changes = 0;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw Error(`This browser cannot draw the map: ${gl.getProgramInfoLog(program)}`);
    gl.useProgram(program);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.buffers = [0, 1, 2].map(() => gl.createBuffer());
  }

  load({ n, at, group, chosen }) {
    const { gl } = this;
    this.n = n;
    this.changes++;
    [at, group, chosen].forEach((values, i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.bufferData(gl.ARRAY_BUFFER, values, i === 2 ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW);
      gl.enableVertexAttribArray(i);
      if (i === 0) gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
      else gl.vertexAttribIPointer(i, 1, gl.UNSIGNED_BYTE, 0, 0);
    });
  }

  choose({ chosen }) {
    const { gl } = this;
    this.changes++;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[2]);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, chosen);
  }

  colours(palette, hidden) {
    const { gl } = this;
    const texels = new Uint8Array(4 * 256).fill(255);
    palette.forEach((colour, i) => {
      const parts = colour.match(/[0-9a-f]{2}/g); // red, green, blue and perhaps opacity
      texels.set(parts.map((part) => parseInt(part, 16)), 4 * i);
    });
    for (const i of hidden) texels[4 * i + 3] = 0;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
  }

  paint({ width, height, side }, { x, y, zoom }, palette, hidden, choosing) {
    const { gl, canvas, n } = this;
    if (gl.isContextLost()) return;
    const scale = Math.min(devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    gl.viewport(0, 0, canvas.width, canvas.height);
    this.colours(palette, hidden);
    // The more dots, the smaller and fainter each, so that density stays visible; both grow with the zoom.
    const size = Math.max(1.2, Math.min(12, (n > 4e5 ? 1.5 : n > 5e4 ? 2.2 : n > 5e3 ? 4 : 6) * Math.sqrt(zoom)));
    const alpha = Math.min(0.9, n > 4e5 ? 0.3 * zoom : n > 5e4 ? 0.6 * Math.sqrt(zoom) : 0.8);
    gl.uniform2f(this.uniform("centre"), x, y);
    gl.uniform2f(this.uniform("scale"), (2 * side) / width, (2 * side) / height);
    gl.uniform1f(this.uniform("size"), size * scale);
    gl.uniform1f(this.uniform("alpha"), alpha);
    gl.uniform1f(this.uniform("choosing"), choosing ? 1 : 0);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (n) gl.drawArrays(gl.POINTS, 0, n);
  }

  end() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
