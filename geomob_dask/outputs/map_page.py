"""The page of a map: its HTML, style and script, to which `maps` adds Bokeh's own script and the data.

The script unpacks the polygons and columns, hands them to Bokeh's one source of tracts, and runs what stands beside
the map: the list of layers, the legend with the tracts counted under each colour, and finding a place by its code.
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%(title)s</title>
<style>
:root { --ink: #1c2733; --soft: #5b6977; --line: #dde3e9; --accent: #1d5b8f; --missing: %(missing_color)s; }
* { box-sizing: border-box; }
html, body { height: 100%%; margin: 0; }
body { display: flex; flex-direction: column; color: var(--ink); background: #fff;
  font: 14px/1.45 "Source Sans 3", "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { padding: 14px 22px 10px; border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 22px; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; }
header p { margin: 2px 0 0; color: var(--soft); }
main { flex: 1; min-height: 0; display: flex; }
#map { flex: 1; min-width: 0; position: relative; background: %(sea_color)s; }
#map > .bk-Figure { position: absolute; inset: 0; }
#cover { position: absolute; overflow: hidden; pointer-events: none; background: %(sea_color)s; }
#cover canvas { transform-origin: 0 0; display: block; }
#wait { position: absolute; inset: 0; display: grid; place-items: center; color: var(--soft); font-size: 16px; }
aside { width: 318px; flex: none; overflow-y: auto; padding: 16px 22px; border-left: 1px solid var(--line); }
h2 { margin: 0 0 6px; font-size: 12px; font-weight: 650; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft); }
section { margin-bottom: 20px; }
#layers label { display: block; padding: 4px 8px; border-radius: 4px; cursor: pointer; }
#layers label:hover { background: #f0f4f8; }
#layers input { margin: 0 8px 0 0; accent-color: var(--accent); }
#layers label:has(input:checked) { background: #e4eef7; font-weight: 600; }
#legend-title { font-weight: 650; font-size: 15px; }
#legend-unit, #explanation, .note { color: var(--soft); }
#explanation { margin: 8px 0 0; }
#bars { display: flex; align-items: flex-end; height: 64px; margin-top: 10px; }
#ramp { display: flex; height: 14px; }
#bars div, #ramp div { flex: 1; }
#ticks { display: flex; justify-content: space-between; font-size: 12px; font-variant-numeric: tabular-nums; }
#missing { display: flex; align-items: baseline; gap: 8px; margin-top: 12px; }
#missing i { flex: none; width: 22px; height: 14px; background: var(--missing); transform: translateY(2px); }
#find { width: 100%%; padding: 6px 8px; font: inherit; border: 1px solid #b9c4cf; border-radius: 4px; }
#found { min-height: 1.45em; color: var(--soft); }
.note { font-size: 12.5px; }
.note p { margin: 0 0 6px; }
@media (max-width: 760px) {
  body { height: auto; } main { flex-direction: column; }
  #map { height: 70vh; flex: none; } aside { width: auto; border-left: 0; border-top: 1px solid var(--line); }
}
</style>
</head>
<body>
<header><h1>%(title)s</h1><p>%(subtitle)s</p></header>
<main>
<div id="map"><div id="wait">Drawing the map …</div></div>
<aside>
<section><h2 id="layers-title">Shown on the map</h2><div id="layers" role="radiogroup"
  aria-labelledby="layers-title"></div></section>
<section aria-live="polite"><h2>Legend</h2>
<div id="legend-title"></div><div id="legend-unit"></div>
<div id="bars" title="Number of tracts under each colour"></div><div id="ramp"></div><div id="ticks"></div>
<div id="missing"><i></i><span><b id="missing-count"></b> %(missing_note)s</span></div>
<p id="explanation"></p></section>
<section><h2><label for="find">Find</label></h2>
<input id="find" inputmode="numeric" placeholder="Code of a tract, county or state" autocomplete="off">
<div id="found"></div></section>
<section class="note">%(notes)s</section>
</aside>
</main>
<script type="application/json" id="figure">%(figure)s</script>
<script type="application/json" id="data">%(data)s</script>
<script>%(bokeh)s</script>
<script>%(script)s</script>
</body>
</html>
"""

SCRIPT = r"""
"use strict";
const element = (id) => document.getElementById(id);
const read = (id) => { const text = element(id).textContent; element(id).remove(); return JSON.parse(text); };
// Two digits of what is less than one, as shares are; one place after the point of the rest.
const number = (value) => value.toLocaleString("en-US",
  value > -1 && value < 1 ? {maximumSignificantDigits: 2} : {maximumFractionDigits: 1});

// An array: its type and its bytes in base64, least significant first.
const TYPES = {float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array};
function unpack({type, bytes}) {
  const text = atob(bytes);
  const buffer = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) buffer[i] = text.charCodeAt(i);
  return new TYPES[type](buffer.buffer);
}

// Polygons: each is rings parted by NaN; a coordinate is a step, of 65,535, across its polygon's own bounds.
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

function start(page, plot, views) {
  const model = (name) => plot.document.get_model_by_name(name);
  const tracts = polygons(page.tracts);
  const values = page.layers.map((layer) => unpack(layer.values));
  const columns = {xs: tracts.xs, ys: tracts.ys, geoid: page.geoids,
    state: page.geoids.map((geoid) => page.state_names[geoid.slice(0, 2)]),
    county: page.geoids.map((geoid) => geoid.slice(2, 5))};
  values.forEach((column, i) => { columns["layer_" + i] = column; });
  page.details.forEach((detail, i) => {
    columns["detail_" + i] = Array.from(unpack(detail.codes), (code) => detail.texts[code]);
  });
  for (const name of ["states", "counties"]) {
    const {xs, ys} = polygons(page.outlines[name]);
    model(name).data_source.data = {xs, ys};
  }
  model("tracts").data_source.data = columns;

  const colors = model("colors"), glyph = model("tracts").glyph;
  let shown = 0, outlined = null;
  const field = () => ({field: "layer_" + shown, transform: colors});

  function show(i) {
    const layer = page.layers[i], {palette, low, high} = layer;
    shown = i;
    colors.setv({palette, low, high});
    glyph.setv({fill_color: field(), ...(outlined ? {} : {line_color: field()})});
    const counts = new Array(palette.length).fill(0);
    let missing = 0;
    for (const value of values[i]) {
      if (isNaN(value)) missing++;
      else counts[Math.min(counts.length - 1, Math.max(0,
        Math.floor((value - low) / (high - low) * counts.length)))]++;
    }
    const most = Math.max(...counts, 1);
    element("legend-title").textContent = layer.label;
    element("legend-unit").textContent = layer.unit;
    element("explanation").textContent = layer.explanation;
    element("bars").innerHTML = counts.map((count, k) => `<div title="${number(count)} tracts"
      style="height:${100 * count / most}%;background:${palette[k]}"></div>`).join("");
    element("ramp").innerHTML = palette.map((color) => `<div style="background:${color}"></div>`).join("");
    const ticks = [0, .5, 1].map((share) => number(low + share * (high - low)));
    if (values[i].some((value) => value < low)) ticks[0] = "≤ " + ticks[0];
    if (values[i].some((value) => value > high)) ticks[2] = "≥ " + ticks[2];
    element("ticks").innerHTML = ticks.map((tick) => `<span>${tick}</span>`).join("");
    element("missing-count").textContent = number(missing) + (missing === 1 ? " tract" : " tracts");
  }

  const {x_range, y_range} = plot;
  const view = () => ({left: x_range.start, right: x_range.end, bottom: y_range.start, top: y_range.end});

  function look({left, bottom, right, top}, margin) {
    const [width, height] = [plot.inner_width, plot.inner_height];
    const scale = margin * Math.max((right - left) / width, (top - bottom) / height);
    const [x, y] = [(left + right) / 2, (bottom + top) / 2];
    x_range.setv({start: x - scale * width / 2, end: x + scale * width / 2});
    y_range.setv({start: y - scale * height / 2, end: y + scale * height / 2});
  }

  function lookAtAll() {
    look(page.extent, 1.06);
    for (const range of [x_range, y_range]) range.setv({reset_start: range.start, reset_end: range.end});
  }

  function visible() {
    const {left, bottom, right, top} = view(), b = tracts.bounds;
    let count = 0;
    for (let i = 0; i < b.length; i += 4) {
      if (b[i] < right && b[i + 2] > left && b[i + 1] < top && b[i + 3] > bottom) count++;
    }
    return count;
  }

  // Outlines of tracts and counties only where they do not cover what they enclose.
  function outline(count) {
    model("counties").visible = count < page.limits.counties;
    const each = count < page.limits.tracts;
    if (each === outlined) return;
    outlined = each;
    glyph.setv(each ? {line_color: page.outline_color, line_width: .6} : {line_color: field(), line_width: .5});
  }

  // While the map is moved a picture of it moves in its place, for painting very many tracts takes too long.
  const covering = ["tracts", "states", "state lines"];
  const picture = document.createElement("canvas"), cover = document.createElement("div");
  cover.id = "cover";
  cover.append(picture);
  let settled = view(), heavy = false, covered = false, waiting = null;

  function coverMap() {
    const source = views.get_one(plot).canvas_view.primary.canvas, place = source.getBoundingClientRect();
    const map = element("map").getBoundingClientRect();
    Object.assign(picture, {width: source.width, height: source.height});
    Object.assign(picture.style, {width: place.width + "px", height: place.height + "px"});
    Object.assign(cover.style, {left: place.left - map.left + "px", top: place.top - map.top + "px",
      width: place.width + "px", height: place.height + "px"});
    picture.getContext("2d").drawImage(source, 0, 0);
    element("map").append(cover);
    for (const name of ["counties", ...covering]) model(name).visible = false;
    covered = true;
  }

  function moved() {
    if (heavy && !covered) coverMap();
    if (covered) {
      const {frame} = views.get_one(plot), now = view();
      const zoom = (settled.right - settled.left) / (now.right - now.left);
      const perKm = frame.bbox.width / (now.right - now.left);
      const x = frame.bbox.left * (1 - zoom) + (settled.left - now.left) * perKm;
      const y = frame.bbox.top * (1 - zoom) + (now.top - settled.top) * perKm;
      picture.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    }
    clearTimeout(waiting);
    waiting = setTimeout(settle, 250);
  }

  function settle() {
    const count = visible();
    outline(count);
    heavy = count > page.limits.heavy;
    settled = view();
    if (!covered) return;
    for (const name of covering) model(name).visible = true;
    covered = false;
    requestAnimationFrame(() => requestAnimationFrame(() => { if (!covered) cover.remove(); }));
  }

  function resized() {
    const {left, bottom, right, top} = view();
    settled = view();
    look({left, right, bottom: (bottom + top) / 2, top: (bottom + top) / 2}, 1);
    settle();
  }

  function find(code) {
    const box = {left: Infinity, bottom: Infinity, right: -Infinity, top: -Infinity};
    let count = 0;
    page.geoids.forEach((geoid, i) => {
      if (!geoid.startsWith(code)) return;
      const [left, bottom, right, top] = tracts.bounds.subarray(4 * i, 4 * i + 4);
      box.left = Math.min(box.left, left); box.bottom = Math.min(box.bottom, bottom);
      box.right = Math.max(box.right, right); box.top = Math.max(box.top, top);
      count++;
    });
    element("found").textContent = code === "" ? "" : number(count) + (count === 1 ? " tract" : " tracts");
    if (code !== "" && count > 0) look(box, 1.3);
  }

  page.layers.forEach((layer, i) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, {type: "radio", name: "layer", value: i, checked: i === 0});
    input.addEventListener("change", () => show(i));
    label.append(input, layer.label);
    element("layers").append(label);
  });
  element("find").addEventListener("change", (event) => find(event.target.value.trim()));
  window.addEventListener("map-moved", moved);
  window.addEventListener("map-resized", resized);
  show(0);
  lookAtAll();
  settle();
  element("wait").remove();
}

const page = read("data");
Bokeh.embed.embed_item(read("figure")).then((views) => {
  start(page, Bokeh.documents[0].get_model_by_name("map"), views);
  document.body.dataset.ready = "yes";
});
"""
