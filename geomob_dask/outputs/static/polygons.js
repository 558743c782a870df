// An array: its type and its bytes in base64, least significant first.
const TYPES = {float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array};
function unpack({type, bytes}) {
  const text = atob(bytes);
  const buffer = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) buffer[i] = text.charCodeAt(i);
  return new TYPES[type](buffer.buffer);
}

// Polygons: rings separated by NaN; a coordinate is a step, of 65,535, across the polygon's own bounds.
function polygons(packed) {
  const rings = unpack(packed.rings), points = unpack(packed.points), bounds = unpack(packed.bounds);
  const steps = {x: unpack(packed.x), y: unpack(packed.y)};
  const result = {xs: [], ys: [], bounds};
  let ring = 0, point = 0;
  for (let i = 0; i < rings.length; i++) {
    let length = rings[i] - 1;
    for (let r = 0; r < rings[i]; r++) length += points[ring + r];
    const xs = new Float32Array(Math.max(length, 0)), ys = new Float32Array(Math.max(length, 0));
    const [left, bottom, right, top] = bounds.subarray(4 * i, 4 * i + 4);
    let at = 0;
    for (let r = 0; r < rings[i]; r++, ring++) {
      if (r > 0) { xs[at] = NaN; ys[at] = NaN; at++; }
      for (let p = 0; p < points[ring]; p++, point++, at++) {
        xs[at] = left + (right - left) * steps.x[point] / 65535;
        ys[at] = bottom + (top - bottom) * steps.y[point] / 65535;
      }
    }
    result.xs.push(xs);
    result.ys.push(ys);
  }
  return result;
}
