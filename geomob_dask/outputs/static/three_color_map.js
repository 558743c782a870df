// The map of one region's tracts at a time, colored by one layer, with the dots of its triangle.
function three_color_map({regions, classes, layers, missing, most, beside}, {model}) {
  const source = model("tracts").data_source, {x_range, y_range} = model("map");
  const select = model("region"), layer = model("layer");
  let mixed = [], codes = [];
  function colors(columns) {
    const {kind, column, palette, low, high} = layers[layer.value];
    if (kind === "mix") return mixed;
    if (kind === "class") return Array.from(codes, (code) => classes.colors[code] ?? missing);
    const step = (value) => Math.floor((value - low) / (high - low) * palette.length);
    return Array.from(columns[column], (value) => isNaN(value) ? missing
      : palette[Math.min(Math.max(step(value), 0), palette.length - 1)]);
  }
  function paint() {
    source.data = {...source.data, color: colors(source.data)};
    legend();
  }
  function legend() {
    const {kind, legend} = layers[layer.value];
    model("legend").visible = kind === "mix";
    model("scale").text = legend;
  }
  function show() {
    const region = regions[select.value], {geoid} = region, {xs, ys} = polygons(region.tracts);
    mixed = region.color;
    codes = unpack(region.class);
    const columns = {geoid, xs, ys, class: Array.from(codes, (code) => classes.names[code] ?? "—")};
    for (const [name, packed] of Object.entries(region.measures)) columns[name] = unpack(packed);
    columns.tx = columns.high.map((high, i) => high + columns.middle[i] / 2);
    columns.ty = columns.middle.map((middle) => middle * Math.sqrt(3) / 2);
    columns.color = colors(columns);
    for (const name of beside) model(name).visible = geoid.length <= most;
    source.data = columns;
    const [width, height] = region.extent, half = 0.53 * Math.max(width, height);
    for (const [range, middle] of [[x_range, width / 2], [y_range, height / 2]]) {
      const [start, end] = [middle - half, middle + half];
      range.setv({start, end, reset_start: start, reset_end: end});
    }
    const tally = classes.names.map((name, k) => `${number(codes.filter((code) => code === k).length)} ${name}`);
    model("count").text = `<b>${number(geoid.length)}</b> tracts drawn; most frequent class: ${tally.join(", ")}`;
    legend();
  }
  select.properties.value.change.connect(show);
  layer.properties.value.change.connect(paint);
  show();
}
