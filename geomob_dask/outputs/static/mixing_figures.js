// Scatters of one region's tracts, and bars of its pairs of tracts.
function mixing_figures({regions, colors, names, pairs, list}, {model}) {
  const select = element(list), points = model("points");
  // What a figure shows in words: above it, and as its description.
  function say(figure, text) {
    const box = element(`figure-${figure}`), caption = box.closest("figure").querySelector("figcaption");
    box.dataset.title ??= caption.textContent;
    caption.textContent = `${box.dataset.title}: ${text}`;
    box.setAttribute("aria-label", `${select.value}. ${caption.textContent}`);
    box.setAttribute("role", "img");
  }
  function scatters({geoid, values, r, entropy}, codes) {
    const columns = {geoid, color: Array.from(codes, (code) => colors[code]), class: Array.from(codes, (code) => names[code])};
    for (const [name, packed] of Object.entries(values)) columns[name] = unpack(packed);
    const most = columns.D.reduce((a, b) => Math.max(a, b), 0);
    points.data = columns;
    model("diagonal").data = {x: [0, most], y: [0, most]};
    model("even").data = {x: [0, most], y: [0, most / (entropy > 0 ? entropy : NaN)]};
    for (const [figure, name] of [["fine", "D5"], ["entropy", "H"], ["distance", "W"]])
      say(figure, `r = ${r[name]}${name === "D5" ? " with quintiles" : ""}, ${number(geoid.length)} tracts`);
  }
  function bars(index, region) {
    const found = region.pairs[index];
    for (let k = 0; k < pairs; k++) {
      const pair = found[k];
      for (const kind of ["brackets", "quintiles"]) {
        const source = model(`${index} ${k} ${kind}`), none = source.data.label.map(() => NaN);
        const back = kind === "brackets" ? region.region : none.map(() => 1 / none.length);
        const [a, b] = pair ? pair[kind] : [none, none];
        source.data = {...source.data, a, b, region: pair ? back : none};
        const one = (i) => `${pair.tracts[i]} (D ${pair.D[i].toFixed(3)}, of fifths ${pair.D5[i].toFixed(3)}, W ${pair.W[i].toFixed(3)})`;
        say(`${index}-${k}-${kind}`, pair ? `${one(0)} and ${one(1)}` : "no two tracts of this third are alike");
      }
    }
    const ends = (i) => found.map((pair) => [pair[i][0], pair[i][1]]);
    model(`${index} in W`).data = {xs: ends("D"), ys: ends("W")};
  }
  function show() {
    const region = regions[select.value];
    scatters(region, unpack(region.class));
    for (const index of Object.keys(region.pairs)) bars(index, region);
  }
  select.addEventListener("change", show);
  show();
}
