// The map of all tracts, the list of its layers, its legend, and the field that finds a place by its code.
function index_map(page, {views, model}) {
  const plot = model("map");
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
  // Bokeh sets one property after the other: wait for all of them.
  const watch = (model, names, act) => {
    for (const name of names) model.properties[name].change.connect(() => queueMicrotask(act));
  };
  watch(x_range, ["start", "end"], moved);
  watch(y_range, ["start", "end"], moved);
  watch(plot, ["inner_width", "inner_height"], resized);
  show(0);
  lookAtAll();
  settle();
  element("wait").remove();
}
