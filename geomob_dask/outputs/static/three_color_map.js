// The map of one region's tracts at a time, with the dots of its triangle.
function three_color_map(data, {model}) {
  const source = model("tracts").data_source, select = model("region"), {x_range, y_range} = model("map");
  function show() {
    const region = data[select.value], {geoid, color} = region, {xs, ys} = polygons(region.tracts);
    const columns = {geoid, color, xs, ys};
    for (const [name, packed] of Object.entries(region.measures)) columns[name] = unpack(packed);
    columns.tx = columns.high.map((high, i) => high + columns.middle[i] / 2);
    columns.ty = columns.middle.map((middle) => middle * Math.sqrt(3) / 2);
    source.data = columns;
    const [width, height] = region.extent, half = 0.53 * Math.max(width, height);
    for (const [range, middle] of [[x_range, width / 2], [y_range, height / 2]]) {
      const [start, end] = [middle - half, middle + half];
      range.setv({start, end, reset_start: start, reset_end: end});
    }
    model("count").text = `<b>${number(geoid.length)}</b> tracts drawn`;
  }
  select.properties.value.change.connect(show);
  show();
}
