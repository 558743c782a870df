// The map of one region's tracts at a time, colored by one layer, with the dots of its triangle; maps beside it follow.
async function three_color_map({regions, mix, examples, modal, missing, beside}, {model}) {
  const region = element("map-region"), layer = element("map-layer"), mixes = model("mixes");
  const caption = element("map-mixing").closest("figure").querySelector("figcaption");
  const triangle = element("map-mixing").closest(".grid").querySelector("figure:not(.map)");
  const percent = (share) => isNaN(share) ? "no value" : `${(100 * share).toFixed(1)}%`;
  const loaded = {};
  let shown = null;

  async function load(option) {
    const packed = regions[option];
    const [geoid, name, color] = await Promise.all([packed.geoid, packed.name, packed.color].map(unpackJson));
    const shares = await Promise.all(packed.shares.map(unpackNumbers)), people = await unpackNumbers(packed.people);
    const layers = await Promise.all(packed.layers.map(async (one) => ({...one, numbers: await unpackNumbers(one.values)})));
    return {geoid, name, color, shares, people, layers, extent: packed.extent, modal: await unpackNumbers(packed.class),
      block: await unpackPolygons(bytesOfBase64(packed.tracts))};
  }

  function describe(i) {
    const {geoid, name, shares, people, layers, modal: most} = shown;
    return {title: name[i] || geoid[i], lines: [{label: "Code", text: geoid[i]},
      {label: "low, middle, high", text: shares.map((one) => percent(one.at(i))).join(", ")},
      {label: "most frequent", text: modal.scale.labels[most.at(i)] ?? "—"},
      ...layers.map(({label, numbers}) => ({label, text: isNaN(numbers.at(i)) ? "no value" : numbers.text(i), current: label === layer.value})),
      {label: "counted", text: people.text(i)}]};
  }

  const options = {describe, missing, wheel: "ctrl"};
  const map = new TractMap(element("map-mixing"), {...options, label: "Tracts of the region"});
  const others = beside.map((column, k) => {
    const label = element(`map-${column}`).closest("figure").querySelector("figcaption").textContent;
    const other = new TractMap(element(`map-${column}`), {...options, label});
    other.linkView(map);
    return {other, column, k};
  });

  // What a legend says of a layer, and in a file of the triangle beside the map.
  const texts = ({label, unit, explanation}) => ({title: label, unit, explanation, missingNote: "no value"});
  const mixing = () => ({title: mix, unit: "", explanation: "", noun: "tract",
    items: examples.map((one) => ({...one, count: null})), without: lost() ? [{color: missing, label: "no value", count: lost()}] : []});
  const lost = () => shown.color.filter((color) => color === null).length;
  const named = () => layer.value === modal.label ? {...modal, label: "Most frequent class"}
    : shown.layers.find(({label}) => label === layer.value);
  offerFiles(map, () => layer.value === mix ? mixing() : map.legend(texts(named())));
  for (const {other, k} of others) offerFiles(other, () => other.legend(texts(shown.layers[k])));

  function draw(one, legend, about, numbers) {
    one.setLayer({values: numbers.all(), scale: about.scale, fixes: about.fixes});
    one.showLegend(legend, texts(about));
  }
  function paint() {
    const legend = element("map-mixing-legend"), mixed = layer.value === mix;
    triangle.hidden = !mixed;
    if (mixed) {
      map.setColors(shown.color);
      map.showLegend(legend, null);
    } else draw(map, legend, named(), layer.value === modal.label ? shown.modal : named().numbers);
  }
  async function show() {
    const option = region.value;
    loaded[option] ??= load(option);
    const found = await loaded[option];
    if (option !== region.value) return;
    shown = found;
    const {shares: [, middle, high], geoid, extent, block, modal: most, layers} = shown;
    const points = geoid.map((_, i) => [high.at(i) + middle.at(i) / 2, middle.at(i) * Math.sqrt(3) / 2]);
    mixes.data = {x: points.map(([x]) => x), y: points.map(([, y]) => y)};
    paint();
    for (const {other, column, k} of others) draw(other, element(`map-${column}-legend`), {...layers[k], label: ""}, layers[k].numbers);
    for (const one of [map, ...others.map(({other}) => other)]) {
      one.setBlocks([block]);
      one.setExtent(extent);
    }
    const tally = modal.scale.labels.map((name, k) => `${number(geoid.filter((_, i) => most.at(i) === k).length)} ${name}`);
    caption.textContent = `${option}: ${number(geoid.length)} tracts drawn; most frequent class: ${tally.join(", ")}` +
      (lost() ? `; hatched: ${number(lost())} without a value` : "");
  }
  region.addEventListener("change", show);
  layer.addEventListener("change", paint);
  await show();
  await map.ready;
  // Lists of the same regions follow.
  region.dispatchEvent(new Event("change", {bubbles: true}));
}
