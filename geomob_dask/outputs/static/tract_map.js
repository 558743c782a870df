// A map of polygons in classes of color, on a canvas of its own. No other script is needed; nothing is fetched.
//
//   const map = new TractMap(element, {label, describe, insets, extent});
//   map.setBlocks([await unpackPolygons(bytes), …]);          // polygons; may be replaced as the view moves
//   map.setBorders([{lines: await unpackPolygons(bytes), kind: "state"}, {…, kind: "county"}]);
//   map.setScale({edges, colors, labels, kind});              // k + 1 bounds, k colors as #rrggbb, k texts
//   map.setValues(new Float32Array(…));                       // by row; NaN is missing
//
// `element` has a size of its own; the map fills it. Rows are those that `pack_polygons` was given: places in the array of
// values. Positions are meters of the map's projection, north is up.
//
// Options
//   label       what a screen reader says the map is
//   describe    (row) => {title, lines: [{label, unit, text, note, current}], note}: what the tooltip shows, as text
//   insets      [{label, left, bottom, right, top}] in meters: frames of areas that are not where they lie
//   extent      {left, bottom, right, top}: what "show all" shows; by default the bounds of the first blocks
//   wheel       "always" (default), or "ctrl": the wheel alone scrolls the page, as in a report
//   background, missing, suppressed      colors; highlight: that of outlines
//
// A color is #rrggbb, or "hatch #rrggbb" or "cross #rrggbb": lines of a darker shade, in one direction or in two, on a
// lighter one. So are areas without a value drawn, which no class then looks like.
//
// Methods
//   setBlocks(blocks)        draws these polygons
//   setBorders(borders)      lines above them, by kind: "state" (always drawn), "county" (where there is room)
//   setValues(values, fixes) colors by class; `fixes` [[row, class], …] where rounded values fall on the wrong side
//   setScale(scale)          classes; without values everything is missing
//   setLayer({values, scale, fixes, suppressed})     all at once; `suppressed` [row, …] whose missing value is known and not shown
//   setColors(colors)        a color a row (#rrggbb, or null: missing) in place of values and scale
//   counts()                 {classes: [number of rows, …], missing, suppressed}
//   showLegend(element, {title, unit, explanation, missingNote, suppressedNote, noun})     and keeps it up to date; null: none
//   setLabel(label)          what a screen reader says the map is
//   setExtent(bounds)        what "show all" shows, and shows it
//   view(), setView({x, y, scale}), fit({left, bottom, right, top}, margin), home()
//   bounds(rows)             bounds of rows that are in a block, or null
//   rowAt(x, y)              row at a place of the element in CSS pixels, or -1
//   highlight(rows)          outlines rows; [] none
//   onViewport(callback)     ({left, bottom, right, top, scale, width, height}) once the view rests; scale: pixels a meter
//   onPick(callback)         (row, or -1): clicked, tapped, or chosen by Enter
//   linkView(other)          two maps with one view
//   rowsInView()             rows whose polygons are in view
//   png(texts), svg(texts)   a Blob (promise) of what is in view; texts: {title, subtitle, source, legend}
//   save(blob, name)         offers a file
//   renew()                  shows and says again what is known of the row that is shown
//   ready                    promise: the first picture is drawn
"use strict";

// Packed bytes ------------------------------------------------------------------------------------------------------

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOfBase64(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

// Polygons of `pack_polygons`, or lines of `pack_borders`: points in steps of a grid. What was inflated before begins with
// the version, anything else as zlib does.
async function unpackPolygons(packed) {
  const bytes = packed[0] === 0x78 ? await inflated(packed) : packed;
  const head = new DataView(bytes.buffer, bytes.byteOffset);
  const [version, closed, count, ringCount, pointCount] = [0, 4, 8, 12, 16].map((at) => head.getUint32(at, true));
  if (version !== 1) throw new Error(`polygons of version ${version}, expected 1`);
  const [step, ox, oy] = [20, 28, 36].map((at) => head.getFloat64(at, true));
  let at = 44;
  const next = () => {
    let value = 0, shift = 0, byte;
    do { byte = bytes[at++]; value += (byte & 127) * 2 ** shift; shift += 7; } while (byte > 127);
    return value;
  };
  const signed = () => { const value = next(); return value % 2 ? -(value + 1) / 2 : value / 2; };
  const rows = new Uint32Array(count), rings = new Uint32Array(count + 1), points = new Uint32Array(ringCount + 1);
  for (let i = 0, row = 0; i < count; i++) rows[i] = row += signed();
  for (let i = 0; i < count; i++) rings[i + 1] = rings[i] + next();
  for (let r = 0; r < ringCount; r++) points[r + 1] = points[r] + next();
  const axis = () => {
    const wide = new Int32Array(pointCount);
    let value = 0, most = 0;
    for (let p = 0; p < pointCount; p++) {
      let byte = bytes[at++], number = byte & 127;
      if (byte > 127) {
        byte = bytes[at++];
        number |= (byte & 127) << 7;
        for (let shift = 14; byte > 127; shift += 7) { byte = bytes[at++]; number |= (byte & 127) << shift; }
      }
      value += (number >>> 1) ^ -(number & 1);
      wide[p] = value;
      if (value > most) most = value;
    }
    return most < 65536 ? new Uint16Array(wide) : wide;
  };
  const x = axis(), y = axis();
  // Of each polygon, in steps: least x and y, greatest x and y.
  const boxes = new (x.constructor === y.constructor ? x.constructor : Int32Array)(4 * count);
  for (let i = 0; i < count; i++) {
    let left = Infinity, bottom = Infinity, right = -Infinity, top = -Infinity;
    for (let p = points[rings[i]]; p < points[rings[i + 1]]; p++) {
      if (x[p] < left) left = x[p];
      if (x[p] > right) right = x[p];
      if (y[p] < bottom) bottom = y[p];
      if (y[p] > top) top = y[p];
    }
    const b = 4 * i;
    boxes[b] = left; boxes[b + 1] = bottom; boxes[b + 2] = right; boxes[b + 3] = top;
  }
  return {count, closed: closed === 1, rows, rings, points, x, y, boxes, step, ox, oy};
}

function boundsOfBlock({count, boxes, step, ox, oy}) {
  const box = {left: Infinity, bottom: Infinity, right: -Infinity, top: -Infinity};
  for (let i = 0; i < 4 * count; i += 4) {
    box.left = Math.min(box.left, ox + step * boxes[i]);
    box.bottom = Math.min(box.bottom, oy + step * boxes[i + 1]);
    box.right = Math.max(box.right, ox + step * boxes[i + 2]);
    box.top = Math.max(box.top, oy + step * boxes[i + 3]);
  }
  return box;
}

const joined = (a, b) => ({left: Math.min(a.left, b.left), bottom: Math.min(a.bottom, b.bottom),
  right: Math.max(a.right, b.right), top: Math.max(a.top, b.top)});
const NOWHERE = {left: Infinity, bottom: Infinity, right: -Infinity, top: -Infinity};

// Pixels ------------------------------------------------------------------------------------------------------------

// Writes row + 1 into every pixel whose center a polygon holds. A center is in one of two neighbors, never in none: a
// picture has no gaps between them. Scratch lists grow as polygons need them and are used again.
class Raster {
  constructor() {
    this.head = new Int32Array(0);
    this.across = new Float64Array(1 << 12);
    this.after = new Int32Array(1 << 12);
  }

  // `left`, `top`: meters of the picture's corner; `scale`: pixels a meter. Returns how many polygons are in view.
  draw(blocks, left, top, scale, width, height, ids) {
    ids.fill(0, 0, width * height);
    if (this.head.length < height) this.head = new Int32Array(height);
    this.head.fill(-1);
    let seen = 0;
    for (const block of blocks) seen += this.drawBlock(block, left, top, scale, width, height, ids);
    return seen;
  }

  drawBlock(block, left, top, scale, width, height, ids) {
    const {count, rows, rings, points, x, y, boxes, step, ox, oy} = block, {head} = this;
    let {across, after} = this;
    const a = step * scale, bx = (ox - left) * scale, by = (top - oy) * scale;
    let seen = 0;
    for (let i = 0; i < count; i++) {
      const b = 4 * i;
      const west = bx + a * boxes[b], east = bx + a * boxes[b + 2];
      const north = by - a * boxes[b + 3], south = by - a * boxes[b + 1];
      if (east < 0 || west > width || south < 0 || north > height) continue;
      seen++;
      const firstRow = Math.max(0, Math.ceil(north - 0.5)), endRow = Math.min(height, Math.ceil(south - 0.5));
      if (firstRow >= endRow || Math.ceil(west - 0.5) >= Math.ceil(east - 0.5)) continue;
      let used = 0;
      for (let r = rings[i]; r < rings[i + 1]; r++) {
        const end = points[r + 1];
        let p = end - 1, yp = by - a * y[p];
        for (let q = points[r]; q < end; p = q++) {
          const yq = by - a * y[q], yBefore = yp;
          yp = yq;
          // From the upper to the lower end, so that neighbors compute the same crossings.
          const down = yBefore < yq, y0 = down ? yBefore : yq, y1 = down ? yq : yBefore;
          let k = Math.ceil(y0 - 0.5), last = Math.ceil(y1 - 0.5);
          if (k >= last || last <= 0 || k >= height) continue;
          const x0 = bx + a * x[down ? p : q], slope = (bx + a * x[down ? q : p] - x0) / (y1 - y0);
          if (k < 0) k = 0;
          if (last > height) last = height;
          if (used + last - k > across.length) {
            const size = 2 * (used + last - k);
            const [wider, longer] = [new Float64Array(size), new Int32Array(size)];
            wider.set(across); longer.set(after);
            this.across = across = wider; this.after = after = longer;
          }
          for (; k < last; k++) {
            const at = x0 + (k + 0.5 - y0) * slope;
            across[used] = at;
            let one = head[k];
            if (one < 0 || across[one] >= at) { after[used] = one; head[k] = used; }
            else {
              while (after[one] >= 0 && across[after[one]] < at) one = after[one];
              after[used] = after[one]; after[one] = used;
            }
            used++;
          }
        }
      }
      const id = rows[i] + 1;
      for (let k = firstRow; k < endRow; k++) {
        let one = head[k];
        head[k] = -1;
        while (one >= 0) {
          const from = across[one], two = after[one];
          if (two < 0) break;
          let start = Math.ceil(from - 0.5), stop = Math.ceil(across[two] - 0.5);
          if (start < 0) start = 0;
          if (stop > width) stop = width;
          const base = k * width;
          if (stop - start > 24) ids.fill(id, base + start, base + stop);
          else for (let c = start; c < stop; c++) ids[base + c] = id;
          one = after[two];
        }
      }
    }
    return seen;
  }
}

// The opacity of a packed color says its pattern: all are drawn opaque.
const OPAQUE = 0xff, HATCH = 0xfe, CROSS = 0xfd;
// CSS pixels from line to line of a pattern, along a row of pixels, and of a line.
const STRIPE = 6, LINE_OF_STRIPE = 2;
const packedColor = (color) => {
  const rgb = parseInt(color.slice(-6), 16), pattern = color.startsWith("hatch ") ? HATCH : color.startsWith("cross ") ? CROSS : OPAQUE;
  return (pattern << 24 | (rgb & 0xff) << 16 | rgb & 0xff00 | rgb >> 16) >>> 0;
};
const hexOf = (packed) =>
  `#${[packed & 255, packed >> 8 & 255, packed >> 16 & 255].map((one) => one.toString(16).padStart(2, "0")).join("")}`;
// Shades of a packed color: of a pattern's lines, and of what is between them.
const darker = (packed) => (packed & 0xffffff) - (packed >>> 2 & 0x3f3f3f);
const lighter = (packed) => (packed & 0xffffff) + (~packed >>> 1 & 0x7f7f7f);
const patterned = (packed, one, two) =>
  (one || two && packed >>> 24 === CROSS ? darker(packed) : lighter(packed)) | 0xff000000;

// Whether a line is at a place along a row of pixels: at x + y in one direction, at x - y + height in the other.
function stripes(width, height, ratio) {
  const period = Math.round(STRIPE * ratio), line = Math.round(LINE_OF_STRIPE * ratio);
  return Uint8Array.from({length: width + height}, (_, place) => place % period < line ? 1 : 0);
}

// Colors of pixels from their rows; with `fine` each is the mean of two by two. `ratio`: pixels a CSS pixel.
function paintPixels(ids, colors, pixels, width, height, ratio, fine) {
  const lines = stripes(width, height, ratio), wide = 2 * width, low = 0x00ff00ff;
  // As signed numbers, which are faster: an opaque color is one whose first byte is -1.
  const found = new Int32Array(colors.buffer, 0, colors.length), painted = new Int32Array(pixels.buffer, 0, pixels.length);
  if (!fine) {
    for (let k = 0, p = 0; k < height; k++) {
      for (let c = 0; c < width; c++, p++) {
        const color = found[ids[p]];
        painted[p] = color >> 24 === -1 ? color : patterned(color, lines[c + k], lines[c - k + height]);
      }
    }
    return;
  }
  for (let k = 0, p = 0; k < height; k++) {
    for (let c = 0, q = 2 * k * wide; c < width; c++, p++, q += 2) {
      const i = ids[q], j = ids[q + 1], m = ids[q + wide], n = ids[q + wide + 1], s = found[i];
      if (i === j && i === m && i === n) {
        painted[p] = s >> 24 === -1 ? s : patterned(s, lines[c + k], lines[c - k + height]);
        continue;
      }
      const t = found[j], u = found[m], v = found[n];
      const even = (s & low) + (t & low) + (u & low) + (v & low);
      const odd = (s >>> 8 & low) + (t >>> 8 & low) + (u >>> 8 & low) + (v >>> 8 & low);
      painted[p] = even >>> 2 & low | (odd >>> 2 & low) << 8 | 0xff000000;
    }
  }
}

// A color as a background of CSS.
function cssFill(color) {
  const packed = packedColor(color), pattern = packed >>> 24;
  if (pattern === OPAQUE) return color;
  const [dark, light] = [hexOf(darker(packed)), hexOf(lighter(packed))], across = (pixels) => `${(pixels / Math.SQRT2).toFixed(2)}px`;
  const lines = (turn, between) =>
    `repeating-linear-gradient(${turn}deg, ${dark} 0 ${across(LINE_OF_STRIPE)}, ${between} 0 ${across(STRIPE)})`;
  return pattern === HATCH ? lines(135, light) : `${lines(135, "transparent")}, ${lines(45, light)}`;
}

// A color as a style of a canvas whose pixels are CSS pixels.
function canvasFill(context, color) {
  const packed = packedColor(color);
  if (packed >>> 24 === OPAQUE) return color;
  const image = new ImageData(STRIPE, STRIPE), tile = Object.assign(document.createElement("canvas"), {width: STRIPE, height: STRIPE});
  paintPixels(new Uint32Array(STRIPE * STRIPE), Uint32Array.of(packed), new Uint32Array(image.data.buffer), STRIPE, STRIPE, 1, false);
  tile.getContext("2d").putImageData(image, 0, 0);
  return context.createPattern(tile, "repeat");
}

// The map -----------------------------------------------------------------------------------------------------------

const STATE_LINE = "#1c2733", COUNTY_LINE = "#3c4a58", SOFT_TEXT = "#5b6977", INK_TEXT = "#1c2733";
const FONT = '"Source Sans 3", "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const MANY = new Intl.NumberFormat("en-US");
const NARROW = 640, MAP_ON_PAPER = 700;
const within = (value, low, high) => Math.min(Math.max(value, low), high);

function made(tag, name, text) {
  const one = document.createElement(tag);
  if (name) one.className = name;
  if (text !== undefined) one.textContent = text;
  return one;
}

class TractMap {
  constructor(element, options = {}) {
    this.element = element;
    this.options = {label: "Map", background: "#f1f4f7", missing: "hatch #989da3", suppressed: "cross #5c6168", highlight: "#111820", wheel: "always",
      insets: [], extent: null, describe: null, ...options};
    this.blocks = []; this.borders = []; this.values = null; this.scale = null; this.classes = new Uint8Array(0);
    this.rowColors = null; this.colors = new Uint32Array([packedColor(this.options.background)]);
    this.place = {block: [], number: []}; this.outlined = []; this.hovered = -1; this.picked = -1;
    this.callbacks = {viewport: [], pick: []}; this.linked = new Set();
    this.raster = new Raster(); this.ids = new Uint32Array(0); this.seen = 0; this.cost = 0;
    this.at = null; this.drawn = null; this.size = {width: 0, height: 0};
    this.#build();
    this.#listen();
    this.ready = new Promise((done) => { this.firstPicture = done; });
    new ResizeObserver(() => this.#resized()).observe(element);
    this.#resized();
  }

  #build() {
    const {element} = this;
    element.classList.add("tract-map");
    this.canvas = made("canvas", "tract-map-picture");
    Object.assign(this.canvas, {tabIndex: 0});
    for (const [name, text] of Object.entries({role: "application", "aria-roledescription": "map"})) this.canvas.setAttribute(name, text);
    this.setLabel(this.options.label);
    // Lines have a canvas of their own: a change of colors leaves them.
    [this.lineCanvas, this.over] = [made("canvas", "tract-map-over"), made("canvas", "tract-map-over")];
    for (const canvas of [this.lineCanvas, this.over]) canvas.setAttribute("aria-hidden", "true");
    const buttons = made("div", "tract-map-buttons");
    for (const [text, label, act] of [["+", "Zoom in", () => this.zoom(1.6)], ["−", "Zoom out", () => this.zoom(1 / 1.6)],
      ["⌂", "Show all", () => this.home()]]) {
      const button = made("button", "", text);
      button.type = "button";
      button.title = label;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", act);
      buttons.append(button);
    }
    this.bar = made("div", "tract-map-bar");
    this.hint = made("div", "tract-map-hint");
    this.hint.setAttribute("aria-hidden", "true");
    this.said = made("div", "tract-map-said");
    this.said.setAttribute("aria-live", "polite");
    this.tip = made("div", "tract-map-tip");
    this.tip.setAttribute("role", "tooltip");
    this.tip.hidden = true;
    this.inner = made("div", "tract-map-inner");
    this.inner.append(this.canvas, this.lineCanvas, this.over);
    element.append(this.inner, buttons, this.bar, this.hint, this.said, this.tip);
  }

  setLabel(label) {
    this.canvas.setAttribute("aria-label",
      `${label}. Arrow keys move the map, plus and minus zoom, 0 shows all, Enter picks the area in the middle.`);
  }

  // What is drawn ----------------------------------------------------------

  setBlocks(blocks) {
    this.blocks = blocks;
    const most = blocks.reduce((top, {rows}) => rows.reduce((a, b) => Math.max(a, b), top), -1);
    // Where a row's polygon is: block + 1 (0: in none), and its number there.
    this.place = {block: new Uint32Array(most + 1), number: new Uint32Array(most + 1)};
    blocks.forEach(({rows}, k) => rows.forEach((row, i) => { this.place.block[row] = k + 1; this.place.number[row] = i; }));
    this.#recolor();
    if (!this.options.extent && blocks.length) this.options.extent = blocks.map(boundsOfBlock).reduce(joined, NOWHERE);
    if (!this.at) this.home(); else this.#draw();
    // Nobody waits for a map that is hidden.
    if (!this.size.width) this.firstPicture();
  }

  setBorders(borders) {
    this.borders = borders.map(({lines, kind}) => ({lines, kind, paths: new Map()}));
    this.#draw();
  }

  setValues(values, fixes = [], suppressed = []) {
    this.values = values;
    this.fixes = fixes;
    this.suppressed = suppressed;
    this.rowColors = null;
    this.#classify();
  }

  setScale(scale) {
    this.scale = scale;
    this.rowColors = null;
    this.#classify();
  }

  setLayer({values, scale, fixes = [], suppressed = []}) {
    this.scale = scale;
    this.setValues(values, fixes, suppressed);
  }

  setColors(colors) {
    this.rowColors = colors;
    this.#recolor();
    this.#repaint();
  }

  // Class of every row: 0 is missing, k + 1 is class k; the one above the highest is suppressed.
  #classify() {
    const {values, scale} = this;
    if (!values || !scale) return;
    const count = scale.colors.length, single = values instanceof Float32Array;
    const inner = scale.edges.slice(1, -1).map((edge) => single ? Math.fround(edge) : edge);
    if (this.classes.length !== values.length) this.classes = new Uint8Array(values.length);
    this.tally = new Array(count + 2).fill(0);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      let k = 0;
      if (value === value) { k = 1; while (k < count && value >= inner[k - 1]) k++; }
      this.classes[i] = k;
    }
    for (const [row, k] of this.fixes) this.classes[row] = k + 1;
    for (const row of this.suppressed) this.classes[row] = count + 1;
    for (let i = 0; i < values.length; i++) this.tally[this.classes[i]]++;
    this.#recolor();
    this.#repaint();
    this.#legend();
  }

  #recolor() {
    const {missing, suppressed, background} = this.options, none = packedColor(missing);
    const {rowColors, classes, scale} = this;
    const size = Math.max(this.place.block.length, rowColors ? rowColors.length : classes.length) + 1;
    if (this.colors.length < size) this.colors = new Uint32Array(size);
    const {colors} = this;
    colors.fill(none);
    colors[0] = packedColor(background);
    if (rowColors) rowColors.forEach((color, i) => { if (color) colors[i + 1] = packedColor(color); });
    else if (scale) {
      const shades = [none, ...scale.colors.map(packedColor), packedColor(suppressed)];
      for (let i = 0; i < classes.length; i++) colors[i + 1] = shades[classes[i]];
    }
  }

  counts() {
    const [missing, ...classes] = this.tally ?? [0, 0], suppressed = classes.pop();
    return {classes, missing, suppressed};
  }

  // Class of a row, or -1 where its value is missing.
  classOf(row) {
    const k = this.classes[row] ?? 0;
    return k > this.scale.colors.length ? -1 : k - 1;
  }

  showLegend(element, texts) {
    this.legendAt = texts && {element, texts};
    element.replaceChildren();
    this.#legend();
  }

  #legend() {
    if (!this.legendAt || !this.scale) return;
    const {element, texts} = this.legendAt;
    element.replaceChildren(...legendParts(this.legend(texts)));
  }

  // What a legend says: {title, unit, explanation, noun, items, without}, each of them {color, label, count}.
  legend({title = "", unit = "", explanation = "", missingNote = "without a value", suppressedNote = "suppressed", noun = "tract"} = {}) {
    const {classes, missing, suppressed} = this.counts(), {scale} = this;
    const items = scale.colors.map((color, k) => ({color, label: scale.labels[k], count: classes[k] ?? 0}));
    // The highest class stands above, as on a thermometer; categories have an order of their own.
    if (scale.kind !== "categories") items.reverse();
    const without = [...(suppressed ? [{color: this.options.suppressed, label: suppressedNote, count: suppressed}] : []),
      ...(missingNote === null ? [] : [{color: this.options.missing, label: missingNote, count: missing}])];
    return {title, unit, explanation, noun, items, without};
  }

  // View -------------------------------------------------------------------

  view() { return {...this.at}; }

  setExtent(extent) {
    this.options.extent = extent;
    this.home();
  }

  setView({x, y, scale}, from = null) {
    const {width, height} = this.size;
    if (!width || !this.options.extent) { this.at = {x, y, scale}; return; }
    const {left, bottom, right, top} = this.options.extent;
    const all = Math.min(width / (right - left || 1), height / (top - bottom || 1));
    const limited = within(scale, all / 2, Math.max(0.5, all));
    this.at = {scale: limited, x: within(x, left, right), y: within(y, bottom, top)};
    this.#moved();
    for (const other of this.linked) {
      if (other === from || !other.size.width) continue;
      other.setView({...this.at, scale: this.at.scale * other.size.width / width}, this);
    }
  }

  fit({left, bottom, right, top}, margin = 1.1) {
    if (!(right >= left)) return;
    const {width, height} = this.size;
    // Room for one small area too.
    const least = 400, [wide, high] = [Math.max(right - left, least), Math.max(top - bottom, least)];
    this.homely = false;
    this.setView({x: (left + right) / 2, y: (bottom + top) / 2,
      scale: Math.min((width || 800) / (margin * wide), (height || 600) / (margin * high))});
  }

  // All of it, beside the buttons: below them on a telephone, right of them elsewhere.
  home() {
    if (!this.options.extent) return;
    const {left, bottom, right, top} = this.options.extent, {width, height} = this.size;
    this.fit(this.options.extent, 1.05);
    const narrow = width < NARROW, [across, above] = narrow ? [0, 52] : [54, 0];
    const beside = (width - (right - left) * this.at.scale) / 2 < across;
    if ((narrow || beside) && height > 160 && width > 160) {
      const scale = Math.min((width - across) / (right - left || 1), (height - above) / (top - bottom || 1)) / 1.05;
      this.setView({x: (left + right - across / scale) / 2, y: (bottom + top + above / scale) / 2, scale});
    }
    this.homely = true;
  }

  zoom(factor, x = this.size.width / 2, y = this.size.height / 2) {
    if (!this.at) return;
    const {width, height} = this.size, {scale} = this.at;
    const [px, py] = [this.at.x + (x - width / 2) / scale, this.at.y - (y - height / 2) / scale];
    const limited = this.#limited(scale * factor);
    this.homely = false;
    this.setView({scale: limited, x: px - (x - width / 2) / limited, y: py + (y - height / 2) / limited});
  }

  #limited(scale) {
    const {left, bottom, right, top} = this.options.extent, {width, height} = this.size;
    const all = Math.min(width / (right - left || 1), height / (top - bottom || 1));
    return within(scale, all / 2, Math.max(0.5, all));
  }

  pan(dx, dy) {
    if (!this.at) return;
    this.homely = false;
    this.setView({...this.at, x: this.at.x - dx / this.at.scale, y: this.at.y + dy / this.at.scale});
  }

  linkView(other) {
    this.linked.add(other);
    other.linked.add(this);
    if (this.at && this.size.width) this.setView(this.at);
  }

  onViewport(callback) { this.callbacks.viewport.push(callback); if (this.drawn) callback(this.viewport()); }
  onPick(callback) { this.callbacks.pick.push(callback); }

  viewport() {
    const {width, height} = this.size, {x, y, scale} = this.at;
    return {left: x - width / 2 / scale, right: x + width / 2 / scale, bottom: y - height / 2 / scale,
      top: y + height / 2 / scale, scale, width, height};
  }

  bounds(rows) {
    let found = null;
    for (const row of rows) {
      if (!this.place.block[row]) continue;
      const {boxes, step, ox, oy} = this.blocks[this.place.block[row] - 1], b = 4 * this.place.number[row];
      const box = {left: ox + step * boxes[b], bottom: oy + step * boxes[b + 1],
        right: ox + step * boxes[b + 2], top: oy + step * boxes[b + 3]};
      found = found ? joined(found, box) : box;
    }
    return found;
  }

  rowsInView() {
    const {left, bottom, right, top} = this.viewport(), found = [];
    for (const {count, rows, boxes, step, ox, oy} of this.blocks) {
      for (let i = 0, b = 0; i < count; i++, b += 4) {
        if (ox + step * boxes[b] < right && ox + step * boxes[b + 2] > left && oy + step * boxes[b + 1] < top &&
          oy + step * boxes[b + 3] > bottom) found.push(rows[i]);
      }
    }
    return found;
  }

  highlight(rows) { this.outlined = rows; this.#drawOver(); }

  // Pictures ---------------------------------------------------------------

  #resized() {
    const {clientWidth: width, clientHeight: height} = this.element;
    if (!width || !height || (width === this.size.width && height === this.size.height)) return;
    const before = this.size.width;
    this.size = {width, height};
    if (this.homely !== false || !this.at) this.home();
    else this.setView({...this.at, scale: before ? this.at.scale * width / before : this.at.scale});
    this.#draw();
  }

  // Paper is narrower than a window: the map is drawn anew in the size that it has there.
  #printed(printing) {
    const {width, height} = this.size, {style} = this.element;
    if (printing && width > MAP_ON_PAPER) {
      this.unprinted = [style.width, style.height];
      Object.assign(style, {width: `${MAP_ON_PAPER}px`, height: `${Math.round(Math.min(MAP_ON_PAPER * height / width, 900))}px`});
    } else if (!printing && this.unprinted) {
      [style.width, style.height] = this.unprinted;
      this.unprinted = null;
    } else return;
    this.#resized();
    this.#render(false);
  }

  // While the map moves, its picture moves in its place until there is time for a new one.
  #moved() {
    this.#hideTip();
    if (this.drawn) {
      const {width, height} = this.size, {at, drawn} = this, zoom = at.scale / drawn.scale;
      const left = (at.x - width / 2 / at.scale), top = (at.y + height / 2 / at.scale);
      const x = (drawn.left - left) * at.scale, y = (top - drawn.top) * at.scale;
      this.inner.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    }
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.#rested(), 140);
    this.#bar();
    if (this.cost < 45) this.#draw(true);
  }

  #rested() {
    const viewport = this.viewport(), {left, top, scale, quick} = this.drawn ?? {};
    // What is in view may be drawn already, and not in haste.
    if (this.frame || quick !== false || left !== viewport.left || top !== viewport.top || scale !== viewport.scale) this.#draw();
    for (const callback of this.callbacks.viewport) callback(viewport);
  }

  #draw(quick = false) {
    this.quick = quick && this.waiting !== false;
    if (this.frame) { this.quick = this.quick && quick; return; }
    this.frame = requestAnimationFrame(() => { this.frame = null; this.#render(this.quick); });
  }

  #render(quick) {
    const {width, height} = this.size;
    if (!width || !this.at || !this.blocks.length) return;
    const before = performance.now(), ratio = this.unprinted ? 3 : Math.min(window.devicePixelRatio || 1, 3);
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    const {left, top, scale} = this.viewport();
    for (const canvas of [this.canvas, this.lineCanvas, this.over]) {
      if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, {width: wide, height: high});
    }
    // Screens of fine pixels need no finer ones.
    const fine = ratio < 2 && !quick ? 2 : 1;
    if (this.ids.length < wide * high * fine * fine) this.ids = new Uint32Array(wide * high * fine * fine);
    this.seen = this.raster.draw(this.blocks, left, top, scale * ratio * fine, wide * fine, high * fine, this.ids);
    this.drawn = {left, top, scale, ratio, fine, wide, high, quick};
    this.inner.style.transform = "";
    this.#paint();
    const lines = this.lineCanvas.getContext("2d");
    lines.setTransform(1, 0, 0, 1, 0, 0);
    lines.clearRect(0, 0, wide, high);
    this.#lines(lines, {left, top, scale, ratio, width, height});
    this.cost = performance.now() - before;
    this.#drawOver();
    this.#bar();
    if (!this.shown) { this.shown = true; this.firstPicture(); this.#rested(); }
  }

  #repaint() { if (this.drawn) this.#paint(); }

  #paint() {
    const {wide, high, fine} = this.drawn, context = this.canvas.getContext("2d");
    if (!this.image || this.image.width !== wide || this.image.height !== high) {
      this.image = context.createImageData(wide, high);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    paintPixels(this.ids, this.colors, this.pixels, wide, high, this.drawn.ratio, fine === 2);
    context.putImageData(this.image, 0, 0);
  }

  // Width, opacity and kinds of lines, by how large what they enclose is on the screen.
  lineStyles(scale, width, height) {
    // Meters across: a state, a county, and a tract as it is in view.
    const state = 450000 * scale, county = 42000 * scale, tract = Math.sqrt(width * height / Math.max(this.seen, 1));
    const styles = [];
    // Regions have their borders as lines, each once.
    if (tract > 9 && this.seen < 4000 && !this.borders.some(({kind}) => kind === "region")) {
      styles.push({kind: "tract", color: "#ffffff", width: within(tract / 60, 0.4, 0.9), alpha: within(tract / 40, 0.3, 0.75)});
    }
    styles.push({kind: "region", color: COUNTY_LINE, width: within(tract / 60, 0.35, 1.1), alpha: within(tract / 60, 0.25, 0.8)});
    if (county > 11) {
      styles.push({kind: "county", color: COUNTY_LINE, width: within(county / 60, 0.35, 1.1), alpha: within(county / 60, 0.22, 0.75)});
    }
    // A light line below the dark one, so that it shows on any color.
    if (state > 60) styles.push({kind: "state", color: "#ffffff", width: within(state / 70, 1.2, 3.4), alpha: within(state / 160, 0.35, 0.75)});
    styles.push({kind: "state", color: STATE_LINE, width: within(state / 110, 0.35, 1.5), alpha: within(state / 90, 0.45, 0.95)});
    return styles;
  }

  #lines(context, {left, top, scale, ratio, width, height}) {
    const device = scale * ratio;
    context.lineJoin = "round";
    for (const {kind, color, width: line, alpha} of this.lineStyles(scale, width, height)) {
      context.strokeStyle = color;
      context.globalAlpha = alpha;
      if (kind === "tract") {
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.lineWidth = line * ratio;
        context.beginPath();
        this.#trace(context, left, top, device, width * ratio, height * ratio, 8 * ratio);
        context.stroke();
        continue;
      }
      for (const border of this.borders) {
        if (border.kind !== kind) continue;
        const {step, ox, oy} = border.lines, unit = step * device;
        context.setTransform(unit, 0, 0, -unit, (ox - left) * device, (top - oy) * device);
        context.lineWidth = line * ratio / unit;
        context.stroke(pathOfLines(border, unit));
      }
    }
    context.globalAlpha = 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = "#9aa7b3";
    context.fillStyle = SOFT_TEXT;
    context.font = `11px ${FONT}`;
    for (const frame of this.#frames(left, top, scale)) {
      context.lineWidth = 0.8;
      context.strokeRect(frame.x, frame.y, frame.width, frame.height);
      for (const {text, x, y, size} of frame.texts) { context.font = `${size}px ${FONT}`; context.fillText(text, x, y); }
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  #frames(left, top, scale) {
    return this.options.insets.map((inset) => {
      const margin = 0.05 * (inset.top - inset.bottom) * scale;
      const [x, y, width] = [(inset.left - left) * scale - margin, (top - inset.top) * scale - margin,
        (inset.right - inset.left) * scale + 2 * margin];
      const size = width < 80 ? 9 : 11, lines = wrapped(inset.label, size, 400, width + 8);
      // Names above each other where they are wider than their frame; none where a word is.
      const fits = lines.every((line) => textWidth(line, size, 400) <= width + 12);
      return {x, y, width, height: (inset.top - inset.bottom) * scale + 2 * margin,
        texts: fits ? lines.map((text, k) => ({text, x: x + 1, size, y: y - 4 - (lines.length - 1 - k) * (size + 1)})) : []};
    });
  }

  // Rings of polygons in view, as steps of a path; none of those smaller than `least` pixels, which lines would cover.
  #trace(path, left, top, device, width, height, least) {
    for (const block of this.blocks) {
      const {count, boxes, step, ox, oy} = block, a = step * device, bx = (ox - left) * device, by = (top - oy) * device;
      for (let i = 0, b = 0; i < count; i++, b += 4) {
        if (bx + a * boxes[b + 2] < 0 || bx + a * boxes[b] > width || by - a * boxes[b + 1] < 0 ||
          by - a * boxes[b + 3] > height) continue;
        if (Math.max(boxes[b + 2] - boxes[b], boxes[b + 3] - boxes[b + 1]) * a < least) continue;
        traceOne(path, block, i, a, bx, by);
      }
    }
  }

  #drawOver() {
    if (!this.drawn) return;
    const {left, top, scale, ratio, wide, high} = this.drawn, context = this.over.getContext("2d"), device = scale * ratio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    context.lineJoin = "round";
    const rows = [...new Set([...this.outlined, this.picked, this.hovered])].filter((row) => this.place.block[row]);
    for (const [color, width] of [["#ffffff", 4.5], [this.options.highlight, 2]]) {
      context.strokeStyle = color;
      context.lineWidth = width * ratio;
      context.beginPath();
      for (const row of rows) {
        const block = this.blocks[this.place.block[row] - 1];
        traceOne(context, block, this.place.number[row], block.step * device, (block.ox - left) * device, (top - block.oy) * device);
      }
      context.stroke();
    }
    if (!this.keyed) return;
    const [x, y] = [wide / 2, high / 2];
    for (const [color, width] of [["#ffffff", 4], [this.options.highlight, 1.6]]) {
      context.strokeStyle = color;
      context.lineWidth = width * ratio;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * ratio * dx, y + 4 * ratio * dy);
        context.lineTo(x + 13 * ratio * dx, y + 13 * ratio * dy);
      }
      context.stroke();
    }
  }

  #bar() {
    if (!this.at) return;
    const {scale} = this.at, most = Math.min(130, this.size.width / 4) / scale / 1000, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((factor) => factor * power).find((one) => one <= most);
    this.bar.style.width = `${length * 1000 * scale}px`;
    this.bar.textContent = length >= 1 ? `${MANY.format(length)} km` : `${MANY.format(length * 1000)} m`;
  }

  // Pointer, keys and touch ------------------------------------------------

  rowAt(x, y) {
    if (!this.drawn) return -1;
    const {left, top, scale, ratio, fine, wide, high} = this.drawn, now = this.viewport();
    const px = Math.floor((now.left + x / now.scale - left) * scale * ratio * fine);
    const py = Math.floor((top - now.top + y / now.scale) * scale * ratio * fine);
    if (px < 0 || py < 0 || px >= wide * fine || py >= high * fine) return -1;
    return this.ids[py * wide * fine + px] - 1;
  }

  #placeOf(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #listen() {
    const {canvas, inner, element} = this;
    let drag = null, dragged = false, fingers = null, touched = false;
    canvas.addEventListener("pointerdown", (event) => {
      this.#keyed(false);
      // Of a click not every browser says what made it.
      touched = event.pointerType === "touch";
      if (touched || event.button !== 0) return;
      drag = [event.clientX, event.clientY];
      dragged = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      if (drag) {
        const [dx, dy] = [event.clientX - drag[0], event.clientY - drag[1]];
        if (!dragged && Math.hypot(dx, dy) < 4) return;
        dragged = true;
        element.classList.add("tract-map-moving");
        drag = [event.clientX, event.clientY];
        this.pan(dx, dy);
        return;
      }
      this.#hover(this.rowAt(...this.#placeOf(event)), event.clientX, event.clientY);
    });
    const release = () => { drag = null; element.classList.remove("tract-map-moving"); };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.#hover(-1); });
    canvas.addEventListener("click", (event) => {
      if (dragged) { dragged = false; return; }
      const row = this.rowAt(...this.#placeOf(event));
      // A tap shows what a pointer shows by hovering; a second one on the same place hides it.
      if (touched) this.#hover(row === this.hovered ? -1 : row, event.clientX, event.clientY);
      this.#pick(row);
    });
    canvas.addEventListener("dblclick", (event) => this.zoom(2, ...this.#placeOf(event)));
    element.addEventListener("wheel", (event) => {
      if (this.options.wheel === "ctrl" && !event.ctrlKey && !event.metaKey) {
        this.#say("Hold Ctrl to zoom with the wheel");
        return;
      }
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? 20 * event.deltaY : event.deltaY;
      this.zoom(Math.exp(-within(pixels, -240, 240) * (event.ctrlKey ? 0.006 : 0.002)), ...this.#placeOf(event));
    }, {passive: false});
    // One finger scrolls the page; two move and zoom the map.
    const two = ({touches: [a, b]}) => {
      const box = element.getBoundingClientRect();
      return {x: (a.clientX + b.clientX) / 2 - box.left, y: (a.clientY + b.clientY) / 2 - box.top,
        apart: Math.max(Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), 10)};
    };
    inner.addEventListener("touchstart", (event) => {
      if (event.touches.length !== 2) return;
      event.preventDefault();
      fingers = two(event);
    }, {passive: false});
    inner.addEventListener("touchmove", (event) => {
      if (event.touches.length === 1) {
        if (!fingers) this.#say("Use two fingers to move the map");
        return;
      }
      if (event.touches.length !== 2 || !fingers) return;
      if (event.cancelable) event.preventDefault();
      const now = two(event);
      this.hint.classList.remove("tract-map-shown");
      this.pan(now.x - fingers.x, now.y - fingers.y);
      this.zoom(now.apart / fingers.apart, now.x, now.y);
      fingers = now;
    }, {passive: false});
    for (const name of ["touchend", "touchcancel"]) {
      inner.addEventListener(name, (event) => { if (event.touches.length < 2) fingers = null; });
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) this.#keyed(true); });
    canvas.addEventListener("blur", () => { this.#keyed(false); this.#hideTip(); });
    addEventListener("beforeprint", () => this.#printed(true));
    addEventListener("afterprint", () => this.#printed(false));
    addEventListener("scroll", () => this.#hideTip(), {passive: true});
    document.addEventListener("pointerdown", (event) => { if (!element.contains(event.target)) this.#hideTip(); });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.15 * Math.min(this.size.width, this.size.height);
    const acts = {ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), "_": () => this.zoom(1 / 1.5),
      0: () => this.home(), Home: () => this.home(), Enter: () => this.#middle(true), " ": () => this.#middle(true),
      Escape: () => this.#hideTip()};
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    this.#keyed(true);
    act();
    if (!["Enter", " ", "Escape"].includes(event.key)) {
      clearTimeout(this.telling);
      this.telling = setTimeout(() => this.#middle(false), 220);
    }
  }

  // Shows and says what is in the middle, for those who use keys.
  #middle(pick) {
    const {width, height} = this.size, box = this.element.getBoundingClientRect(), row = this.rowAt(width / 2, height / 2);
    this.#hover(row, box.left + width / 2, box.top + height / 2);
    this.said.textContent = row >= 0 && this.options.describe ? spoken(this.options.describe(row)) : "Nothing here";
    if (pick) this.#pick(row);
  }

  // Shows and says again what is known of the row that is shown: more of it has come.
  renew() {
    if (this.hovered < 0 || this.tip.hidden) return;
    const about = this.options.describe(this.hovered);
    this.tip.replaceChildren(...tipParts(about));
    this.#placeTip(...this.tipAt);
    if (this.keyed) this.said.textContent = spoken(about);
  }

  #keyed(keyed) {
    if (this.keyed === keyed) return;
    this.keyed = keyed;
    this.#drawOver();
  }

  #pick(row) {
    this.picked = row;
    this.#drawOver();
    for (const callback of this.callbacks.pick) callback(row);
  }

  // Marks a row as the pointer does, without a tooltip: in a linked map.
  mark(row) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.#drawOver();
  }

  #hover(row, x, y) {
    if (row !== this.hovered) {
      this.mark(row);
      for (const other of this.linked) other.mark(row);
      this.tip.hidden = row < 0 || !this.options.describe;
      if (!this.tip.hidden) this.tip.replaceChildren(...tipParts(this.options.describe(row)));
    }
    if (row >= 0 && !this.tip.hidden) this.#placeTip(x, y);
  }

  // Beside the pointer, and inside the window.
  #placeTip(x, y) {
    this.tipAt = [x, y];
    const {tip} = this, {offsetWidth: width, offsetHeight: height} = tip, gap = 14;
    const [wide, high] = [document.documentElement.clientWidth, window.innerHeight];
    const left = x + gap + width < wide - 6 ? x + gap : x - gap - width;
    const top = y + gap + height < high - 6 ? y + gap : y - gap - height;
    tip.style.left = `${within(left, 6, Math.max(6, wide - width - 6))}px`;
    tip.style.top = `${within(top, 6, Math.max(6, high - height - 6))}px`;
  }

  #hideTip() {
    if (this.hovered < 0 && this.tip.hidden) return;
    this.tip.hidden = true;
    this.mark(-1);
    for (const other of this.linked) other.mark(-1);
  }

  // Shows the tooltip of a row that is in view, such as one that was found.
  show(row) {
    const box = this.bounds([row]), {left, top, scale} = this.viewport(), frame = this.element.getBoundingClientRect();
    if (!box) return;
    this.#hover(row, frame.left + ((box.left + box.right) / 2 - left) * scale, frame.top + (top - (box.bottom + box.top) / 2) * scale);
  }

  #say(text) {
    this.hint.textContent = text;
    this.hint.classList.add("tract-map-shown");
    clearTimeout(this.hinting);
    this.hinting = setTimeout(() => this.hint.classList.remove("tract-map-shown"), 1400);
  }

  // Files ------------------------------------------------------------------

  async png(texts = {}, factor = 2) {
    const {width, height} = this.size, {left, top, scale} = this.viewport();
    const [wide, high] = [Math.round(width * factor), Math.round(height * factor)];
    const ids = new Uint32Array(4 * wide * high), image = new ImageData(wide, high);
    this.raster.draw(this.blocks, left, top, 2 * scale * factor, 2 * wide, 2 * high, ids);
    paintPixels(ids, this.colors, new Uint32Array(image.data.buffer), wide, high, factor, true);
    const map = Object.assign(document.createElement("canvas"), {width: wide, height: high});
    map.getContext("2d").putImageData(image, 0, 0);
    this.#lines(map.getContext("2d"), {left, top, scale, ratio: factor, width, height});
    const figure = figureParts(width, height, {...texts, bar: this.#barParts()});
    const page = Object.assign(document.createElement("canvas"), {width: figure.width * factor, height: figure.height * factor});
    const context = page.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, page.width, page.height);
    context.drawImage(map, figure.map.x * factor, figure.map.y * factor);
    context.scale(factor, factor);
    for (const part of figure.parts) {
      context.fillStyle = canvasFill(context, part.color);
      if (part.text === undefined) context.fillRect(part.x, part.y, part.width, part.height);
      else {
        context.font = `${part.weight} ${part.size}px ${FONT}`;
        context.textAlign = part.align;
        context.fillText(part.text, part.x, part.y);
      }
    }
    return new Promise((done) => { page.toBlob(done, "image/png"); });
  }

  async svg(texts = {}) {
    const {width, height} = this.size, {left, top, scale} = this.viewport();
    const figure = figureParts(width, height, {...texts, bar: this.#barParts()}), {x, y} = figure.map;
    const name = (tag, attributes, ...inside) => {
      const one = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
      one.append(...inside);
      return one;
    };
    const root = name("svg", {xmlns: "http://www.w3.org/2000/svg", width: figure.width, height: figure.height,
      viewBox: `0 0 ${figure.width} ${figure.height}`, "font-family": FONT});
    if (texts.title) root.append(name("title", {}, texts.title));
    root.append(name("rect", {width: "100%", height: "100%", fill: "#ffffff"}));
    // Patterns, by the packed colors that are drawn with them.
    const patterns = new Map(), defined = name("defs", {});
    root.append(defined);
    const fillOf = (packed) => {
      const pattern = packed >>> 24;
      if (pattern === OPAQUE) return hexOf(packed);
      if (!patterns.has(packed)) {
        const id = `${pattern === HATCH ? "hatch" : "cross"}-${hexOf(packed).slice(1)}`, size = STRIPE / Math.SQRT2;
        const line = LINE_OF_STRIPE / Math.SQRT2, fill = hexOf(darker(packed));
        defined.append(name("pattern", {id, width: size, height: size, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
          name("rect", {width: size, height: size, fill: hexOf(lighter(packed))}), name("rect", {width: line, height: size, fill}),
          ...(pattern === CROSS ? [name("rect", {width: size, height: line, fill})] : [])));
        patterns.set(packed, `url(#${id})`);
      }
      return patterns.get(packed);
    };
    const map = name("svg", {x, y, width, height, viewBox: `0 0 ${width} ${height}`, overflow: "hidden"});
    map.append(name("rect", {width, height, fill: this.options.background}));
    const byColor = new Map();
    for (const block of this.blocks) {
      const {count, rows, boxes, step, ox, oy} = block, a = step * scale, bx = (ox - left) * scale, by = (top - oy) * scale;
      for (let i = 0, b = 0; i < count; i++, b += 4) {
        if (bx + a * boxes[b + 2] < 0 || bx + a * boxes[b] > width || by - a * boxes[b + 1] < 0 || by - a * boxes[b + 3] > height) continue;
        const color = this.colors[rows[i] + 1];
        if (!byColor.has(color)) byColor.set(color, new SvgPath());
        traceOne(byColor.get(color), block, i, a, bx, by);
      }
    }
    for (const [color, path] of byColor) {
      const stroke = hexOf(color >>> 24 === OPAQUE ? color : lighter(color));
      // A thin line of the same color closes the seams that smoothing leaves between neighbors.
      map.append(name("path", {d: path.text(), fill: fillOf(color), "fill-rule": "evenodd", stroke, "stroke-width": 0.3}));
    }
    for (const {kind, color, width: line, alpha} of this.lineStyles(scale, width, height)) {
      const path = new SvgPath();
      if (kind === "tract") this.#trace(path, left, top, scale, width, height, 8);
      for (const border of this.borders) if (border.kind === kind) traceLines(path, border.lines, left, top, scale, width, height);
      map.append(name("path", {d: path.text(), fill: "none", stroke: color, "stroke-width": line, "stroke-opacity": alpha, "stroke-linejoin": "round"}));
    }
    for (const frame of this.#frames(left, top, scale)) {
      map.append(name("rect", {x: frame.x, y: frame.y, width: frame.width, height: frame.height, fill: "none", stroke: "#9aa7b3", "stroke-width": 0.8}));
      for (const {text, x, y, size} of frame.texts) map.append(name("text", {x, y, "font-size": size, fill: SOFT_TEXT}, text));
    }
    root.append(map);
    for (const part of figure.parts) {
      root.append(part.text === undefined
        ? name("rect", {x: part.x, y: part.y, width: part.width, height: part.height, fill: fillOf(packedColor(part.color))})
        : name("text", {x: part.x, y: part.y, "font-size": part.size, "font-weight": part.weight, fill: part.color,
          "text-anchor": {left: "start", right: "end"}[part.align]}, part.text));
    }
    return new Blob([new XMLSerializer().serializeToString(root)], {type: "image/svg+xml"});
  }

  #barParts() { return {width: parseFloat(this.bar.style.width) || 0, text: this.bar.textContent}; }

  save(blob, file) {
    const link = made("a");
    link.href = URL.createObjectURL(blob);
    link.download = file;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

// Paths -------------------------------------------------------------------------------------------------------------

// The rings of a polygon, without points closer than some half pixel.
function traceOne(path, {rings, points, x, y}, i, a, bx, by) {
  const near = 0.5 / a;
  for (let r = rings[i]; r < rings[i + 1]; r++) {
    let [px, py] = [x[points[r]], y[points[r]]];
    path.moveTo(bx + a * px, by - a * py);
    for (let p = points[r] + 1; p < points[r + 1]; p++) {
      if (Math.abs(x[p] - px) < near && Math.abs(y[p] - py) < near) continue;
      px = x[p]; py = y[p];
      path.lineTo(bx + a * px, by - a * py);
    }
    path.closePath();
  }
}

function traceLines(path, {count, points, boxes, x, y, step, ox, oy}, left, top, scale, width, height) {
  const a = step * scale, bx = (ox - left) * scale, by = (top - oy) * scale;
  for (let i = 0, b = 0; i < count; i++, b += 4) {
    if (bx + a * boxes[b + 2] < 0 || bx + a * boxes[b] > width || by - a * boxes[b + 1] < 0 || by - a * boxes[b + 3] > height) continue;
    path.moveTo(bx + a * x[points[i]], by - a * y[points[i]]);
    for (let p = points[i] + 1; p < points[i + 1]; p++) path.lineTo(bx + a * x[p], by - a * y[p]);
  }
}

// Lines in steps of their grid; without points closer than some half pixel. Kept for each power of two of the scale.
function pathOfLines({lines, paths}, unit) {
  const level = Math.floor(Math.log2(Math.max(0.5 / unit, 1)));
  if (!paths.has(level)) {
    const path = new Path2D(), near = 2 ** level, {count, points, x, y} = lines;
    for (let i = 0; i < count; i++) {
      const last = points[i + 1] - 1;
      let [px, py] = [x[points[i]], y[points[i]]];
      path.moveTo(px, py);
      for (let p = points[i] + 1; p <= last; p++) {
        if (p < last && Math.abs(x[p] - px) < near && Math.abs(y[p] - py) < near) continue;
        px = x[p]; py = y[p];
        path.lineTo(px, py);
      }
    }
    paths.set(level, path);
  }
  return paths.get(level);
}

// A path of SVG with tenths of pixels; points that fall together are one.
class SvgPath {
  constructor() { this.parts = []; this.last = ""; this.started = false; }
  moveTo(x, y) { this.pending = `M${x.toFixed(1)} ${y.toFixed(1)}`; this.last = this.pending.slice(1); this.started = false; }
  lineTo(x, y) {
    const to = `${x.toFixed(1)} ${y.toFixed(1)}`;
    if (to === this.last) return;
    this.last = to;
    this.parts.push(this.started ? `L${to}` : `${this.pending}L${to}`);
    this.started = true;
  }
  closePath() { if (this.started) this.parts.push("Z"); }
  text() { return this.parts.join(""); }
}

// Texts -------------------------------------------------------------------------------------------------------------

function tipParts({title, lines = [], note = ""}) {
  const list = made("dl");
  for (const {label, unit, text, note: more, current} of lines) {
    const [term, value] = [made("dt", "", label), made("dd", "", text)];
    if (unit) term.append(" ", made("small", "", unit));
    if (current) for (const one of [term, value]) one.classList.add("tract-map-current");
    if (more) value.append(made("small", "", more));
    list.append(term, value);
  }
  return [made("strong", "", title), list, ...(note ? [made("p", "", note)] : [])];
}

function spoken({title, lines, note = ""}) {
  const line = ({label, text, note: more}) => `${label}: ${text}${more ? ` (${more})` : ""}`;
  return [title, ...lines.map(line), note].filter(Boolean).join(". ");
}

function legendParts({title, unit, explanation, items, without, noun}) {
  const list = made("ul", "tract-map-legend"), most = Math.max(1, ...[...items, ...without].map(({count}) => count));
  const row = ({color, label, count}, name) => {
    const line = made("li", name), swatch = made("i"), bar = made("span", "tract-map-count");
    swatch.style.background = cssFill(color);
    const many = made("b", "", MANY.format(count)), length = made("i");
    length.style.width = `${100 * count / most}%`;
    bar.append(length, many);
    many.title = `${MANY.format(count)} ${count === 1 ? noun : `${noun}s`}`;
    line.append(swatch, made("span", "", label), bar);
    return line;
  };
  list.append(...items.map((item) => row(item, "")), ...without.map((one, k) => row(one, k ? "" : "tract-map-missing")));
  const head = made("p", "tract-map-legend-title");
  head.append(made("strong", "", title), ...(unit ? [made("span", "", unit)] : []));
  return [head, list, ...(explanation ? [made("p", "tract-map-explanation", explanation)] : [])];
}

const measure = document.createElement("canvas").getContext("2d");
function textWidth(text, size, weight) {
  measure.font = `${weight} ${size}px ${FONT}`;
  return measure.measureText(text).width;
}

// Lines of a text that are no wider than the room, but for long words.
function wrapped(text, size, weight, room) {
  const lines = [];
  for (const word of text.split(/\s+/)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && textWidth(longer, size, weight) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.filter((line) => line);
}

// What stands around a map in a file: where the map is, and rectangles and lines of text.
function figureParts(width, height, {title = "", subtitle = "", source = "", legend = null, bar = null}) {
  const margin = 20, parts = [];
  const beside = width >= 640, side = legend && beside ? 250 : 0, whole = width + side + 2 * margin;
  let y = margin;
  const write = (text, x, size, weight, color, room) => {
    for (const line of wrapped(text, size, weight, room)) {
      y += size * 1.3;
      parts.push({text: line, x, y: y - size * 0.25, size, weight, color, align: "left"});
    }
  };
  write(title, margin, 20, 700, INK_TEXT, whole - 2 * margin);
  write(subtitle, margin, 13, 400, SOFT_TEXT, whole - 2 * margin);
  y += 10;
  const map = {x: margin, y};
  if (bar && bar.width) {
    const [right, low] = [margin + width - 12, y + height - 12];
    parts.push({x: right - bar.width, y: low, width: bar.width, height: 2, color: INK_TEXT});
    parts.push({text: bar.text, x: right, y: low - 5, size: 11, weight: 400, color: INK_TEXT, align: "right"});
  }
  const below = y + height + 14;
  if (legend) {
    const x = beside ? margin + width + 20 : margin, room = beside ? side - 20 : width;
    if (!beside) y = below;
    write(legend.title, x, 14, 700, INK_TEXT, room);
    write(legend.unit, x, 12, 400, SOFT_TEXT, room);
    y += 6;
    for (const {color, label, count} of [...legend.items, ...legend.without]) {
      parts.push({x, y: y + 3, width: 20, height: 14, color});
      const counted = count === null ? "" : MANY.format(count), before = y;
      write(label, x + 28, 12, 400, INK_TEXT, room - 90);
      parts.push({text: counted, x: x + room, y: before + 13, size: 12, weight: 400, color: SOFT_TEXT, align: "right"});
      y = Math.max(y + 4, before + 20);
    }
    write(legend.explanation, x, 11, 400, SOFT_TEXT, room);
  }
  y = Math.max(y + 8, below);
  write(source, margin, 11, 400, SOFT_TEXT, whole - 2 * margin);
  return {width: whole, height: Math.ceil(y + margin), map, parts};
}
