// Scatters of one region's tracts, and bars of its pairs of tracts.
function mixing_figures({regions, colors, names, pairs, bars: shades}, {model}) {
  const select = model("figures region"), points = model("points").data_source;
  const plain = (text) => { const one = document.createElement("span"); one.textContent = text; return one.innerHTML; };
  function scatters({geoid, values, r, entropy}, codes) {
    const columns = {geoid, color: Array.from(codes, (code) => colors[code]), class: Array.from(codes, (code) => names[code])};
    for (const [name, packed] of Object.entries(values)) columns[name] = unpack(packed);
    const most = columns.D.reduce((a, b) => Math.max(a, b), 0);
    points.data = columns;
    model("diagonal").data_source.data = {x: [0, most], y: [0, most]};
    model("even").data_source.data = {x: [0, most], y: [0, most / (entropy > 0 ? entropy : NaN)]};
    for (const [plot, name, what] of [["fine", "D5", "brackets and quintiles"], ["entropy", "H", "D and H"], ["distance", "W", "D and W"]])
      model(`${plot} plot`).title.text = `${what}: r = ${r[name]}, ${number(geoid.length)} tracts`;
  }
  function bars(index, region) {
    const found = region.pairs[index];
    for (let k = 0; k < pairs; k++) {
      const pair = found[k], name = `${index} ${k}`;
      for (const kind of ["brackets", "quintiles"]) {
        const source = model(`${name} ${kind} a`).data_source, none = source.data.label.map(() => NaN);
        const back = kind === "brackets" ? region.region : none.map(() => 1 / none.length);
        const [a, b] = pair ? pair[kind] : [none, none];
        source.data = {...source.data, a, b, region: pair ? back : none};
      }
      const one = (i) => `<span style="color:${shades[i]}">■</span> ${plain(pair.tracts[i])}: ` +
        `D ${pair.D[i].toFixed(3)} (of fifths ${pair.D5[i].toFixed(3)}), W ${pair.W[i].toFixed(3)}`;
      model(`${name} text`).text = pair ? `${one(0)}<br>${one(1)}` : "No two tracts of this third are alike.";
    }
    const ends = (i) => found.map((pair) => [pair[i][0], pair[i][1]]);
    model(`${index} in W`).data_source.data = {xs: ends("D"), ys: ends("W")};
  }
  function show() {
    const region = regions[select.value];
    scatters(region, unpack(region.class));
    for (const index of Object.keys(region.pairs)) bars(index, region);
  }
  // A region that is chosen for the map is chosen for the figures, and the other way around, where both have it.
  const map = model("region");
  if (map) {
    map.properties.value.change.connect(() => { if (map.value in regions) select.value = map.value; });
    select.properties.value.change.connect(() => { if (map.options.includes(select.value)) map.value = select.value; });
    if (map.value in regions) select.value = map.value;
  }
  select.properties.value.change.connect(show);
  show();
}
