// Rows with their estimates: a dot and its interval in the row of its name, ranked, found by name, compared with one row.
function ranking({id, rows, names, codes, level, raw, flag, places, measures}) {
  const box = element(id), select = box.querySelector(".measure"), find = box.querySelector("input");
  const head = box.querySelector("thead tr"), body = box.querySelector("tbody"), button = box.querySelector(".more button");
  const FEW = 15, MOST = 400;
  const fixed = (value) => value === null ? "—" : value.toLocaleString("en-US", {minimumFractionDigits: places, maximumFractionDigits: places});
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const searched = names.map((name, row) => plain(`${name} ${codes[row] ?? ""}`));
  const make = (tag, name, text = "", more = {}) => {
    const one = document.createElement(tag);
    if (name) one.className = name;
    one.textContent = text;
    for (const [key, value] of Object.entries(more)) one.setAttribute(key, value);
    return one;
  };
  let measure, last, known, ends, order, reference, sort, every = false;

  // The ends of the axis: of all values and bounds, so that sorting and finding do not move it.
  function extent() {
    let low = measure.zero ? 0 : Infinity, high = measure.zero ? 0 : -Infinity;
    for (const one of measure.estimates) for (const values of [one.value, one.lower, one.upper, one.raw]) for (const value of values ?? []) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const room = 0.03 * (high - low) || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }
  const place = (value) => `${(100 * (value - ends[0]) / (ends[1] - ends[0])).toFixed(2)}%`;
  function ticks() {
    const rough = (ends[1] - ends[0]) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough), found = [];
    for (let k = Math.ceil(ends[0] / step); k * step <= ends[1]; k++) found.push(k * step);
    return found;
  }
  const tickText = (value) => Number(value.toPrecision(3)).toLocaleString("en-US", {maximumFractionDigits: 6});

  // Whether a row is above (1) or below (-1) another by more than the margin of the difference.
  function against(row, other) {
    const {value: v, lower: l, upper: u} = last, difference = v[row] - v[other];
    if (difference > Math.hypot(v[row] - l[row], u[other] - v[other])) return 1;
    return difference < -Math.hypot(u[row] - v[row], v[other] - l[other]) ? -1 : 0;
  }
  const bounded = (one, row) => one.lower && one.upper && one.value[row] !== null && one.lower[row] !== null && one.upper[row] !== null;
  const size = (row) => last.value?.[row] == null ? null : measure.bySize ? Math.abs(last.value[row]) : last.value[row];
  const WORDS = {"1": "▲ higher", "0": "≈ within margin", "-1": "▼ lower"};

  const columns = () => [
    {key: "name", title: rows[0][0].toUpperCase() + rows[0].slice(1), by: (row) => names[row]},
    {key: "value", title: "Value", by: (row) => size(row)},
    ...(known ? [{key: "interval", title: `${level} interval`, by: (row) => bounded(last, row) ? last.upper[row] - last.lower[row] : null}] : []),
    ...(measure.estimates.some((one) => one.flags.length) ? [{key: "flag", title: flag, by: (row) => last.flags[row] || null}] : []),
    ...(measure.compares ? [{key: "against", title: "Against", by: (row) => bounded(last, row) ? against(row, reference) : null}] : []),
  ];
  function drawHead() {
    head.replaceChildren(make("th", "rank", "#", {role: "columnheader", scope: "col"}));
    for (const {key, title} of columns()) {
      const cell = make("th", key, "", {role: "columnheader", scope: "col"});
      const turn = make("button", "", title, {type: "button"});
      if (key === "against") turn.append(make("span", "whom", ` ${names[reference]}`));
      turn.addEventListener("click", () => { sort = {key, falling: sort.key === key ? !sort.falling : key !== "name"}; arrange(); });
      if (sort.key === key) cell.setAttribute("aria-sort", sort.falling ? "descending" : "ascending");
      cell.append(turn);
      head.append(cell);
      if (key !== "name") continue;
      const axis = make("th", "drawn", "", {role: "columnheader", scope: "col", "aria-label": "Drawing"}), scale = make("div", "axis");
      for (const value of ticks()) { const tick = make("span", "", tickText(value)); tick.style.left = place(value); scale.append(tick); }
      axis.append(scale);
      head.append(axis);
    }
  }
  const valued = (row) => measure.estimates.filter((one) => one.value?.[row] != null || one.raw?.[row] != null);
  function drawing(row) {
    const cell = make("td", "drawn", "", {role: "cell", "aria-hidden": "true"});
    for (const one of valued(row)) {
      const track = make("div", "track");
      for (const value of ticks()) { const line = make("i", "line"); line.style.left = place(value); track.append(line); }
      if (measure.zero) { const line = make("i", "zero"); line.style.left = place(0); track.append(line); }
      if (bounded(one, row)) {
        const bar = make("i", "bar");
        bar.style.cssText = `left:${place(one.lower[row])};right:calc(100% - ${place(one.upper[row])});background:${one.color}`;
        track.append(bar);
      }
      for (const [kind, values] of [["raw", one.raw], ["dot", one.value]]) {
        if (!values || values[row] === null) continue;
        const dot = make("i", kind);
        dot.style.cssText = `left:${place(values[row])};${kind === "dot" ? "background" : "border-color"}:${one.color}`;
        track.append(dot);
      }
      cell.append(track);
    }
    return cell;
  }
  const several = (name, texts, more) => {
    const cell = make("td", name, "", {role: "cell", ...more});
    for (const text of texts) cell.append(make("div", "", text));
    return cell;
  };
  function drawRow(row, rank) {
    const line = make("tr", `${row === reference && measure.compares ? "reference" : ""} ${measure.estimates.length > 1 ? "several" : ""}`.trim(), "", {role: "row"});
    line.append(make("td", "rank", rank, {role: "cell"}));
    const name = make("th", "name", "", {role: "rowheader", scope: "row"});
    const compare = measure.compares && bounded(last, row);
    const text = make(compare ? "button" : "span", "", names[row], compare ? {type: "button", title: "Compare the others with this", "aria-pressed": String(row === reference)} : {});
    if (compare) text.addEventListener("click", () => { reference = row; arrange(); box.querySelector("tr.reference th button")?.focus({preventScroll: true}); });
    name.append(text);
    if (codes[row] && codes[row] !== names[row]) name.append(" ", make("span", "code", codes[row]));
    line.append(name);
    if (last.value === null || last.value[row] === null) {
      const reason = measure.estimates.some((one) => one.value?.[row] != null) ? "" : measure.missing[row];
      if (reason) { line.append(make("td", "missing", reason, {role: "cell", colspan: columns().length})); return line; }
    }
    const label = (one) => measure.estimates.length > 1 && one.label ? `${one.label}: ` : "";
    line.append(drawing(row), several("value", valued(row).map((one) => label(one) + fixed(one.value?.[row] ?? null))));
    for (const {key} of columns()) {
      if (key === "interval") line.append(several(key, valued(row).map((one) => bounded(one, row) ? `${fixed(one.lower[row])} to ${fixed(one.upper[row])}` : "—")));
      if (key === "flag") line.append(several(key, valued(row).map((one) => one.flags[row] ?? "")));
      if (key === "against") line.append(make("td", key, row === reference ? "compared with" : bounded(last, row) ? WORDS[against(row, reference)] : "—", {role: "cell"}));
    }
    return line;
  }
  // Rows without what they are sorted by are last, in either direction.
  function arrange() {
    const by = columns().find(({key}) => key === sort.key)?.by ?? columns()[1].by;
    const compare = (a, b) => typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
    order = names.map((_, row) => row).filter((row) => measure.estimates.some((one) => one.value?.[row] != null) || measure.missing[row]);
    const keys = new Map(order.map((row) => [row, by(row)]));
    order.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return (sort.falling ? -1 : 1) * compare(x, y);
    });
    drawHead();
    show();
  }
  function show() {
    const words = plain(find.value).split(/\s+/).filter(Boolean);
    const found = order.map((row, k) => [row, k]).filter(([row]) => words.every((word) => searched[row].includes(word)));
    const most = every ? found.length : words.length ? MOST : FEW;
    const ranked = new Map([...order].filter((row) => last.value?.[row] != null).sort((a, b) => (measure.falling ? -1 : 1) * (size(a) - size(b))).map((row, k) => [row, String(k + 1)]));
    body.replaceChildren(...found.slice(0, most).map(([row]) => drawRow(row, ranked.get(row) ?? "")));
    const shown = Math.min(found.length, most), all = order.length;
    box.querySelector(".count").textContent = words.length
      ? `${number(found.length)} of ${number(all)} ${rows[1]} found` : shown < all ? `${number(shown)} of ${number(all)} ${rows[1]}` : "";
    button.hidden = words.length > 0 || all <= FEW;
    button.textContent = every ? `Show the first ${FEW}` : `Show all ${number(all)}`;
  }
  function choose(at) {
    measure = measures[at];
    last = measure.estimates[measure.estimates.length - 1];
    known = measure.estimates.some((one) => one.lower && one.upper);
    ends = extent();
    sort = {key: "value", falling: measure.falling};
    const whole = names.map((_, row) => row).filter((row) => bounded(last, row));
    reference = whole.reduce((best, row) => best === -1 || last.value[row] > last.value[best] ? row : best, -1);
    box.querySelector(".answer").textContent = measure.answer;
    const compared = measure.compares ? ` Choose a name to compare all others with it: ▲ and ▼ are differences larger than their ${level} margin, one comparison at a time.` : "";
    box.querySelector(".about").textContent = measure.about + compared;
    const keys = measure.estimates.length > 1 ? measure.estimates.filter((one) => one.label).map((one) => ["dot", one.label, one.color]) : [];
    if (measure.estimates.some((one) => one.raw)) keys.push(["raw", raw, last.color]);
    box.querySelector(".keys").replaceChildren(...keys.map(([kind, label, color]) => {
      const key = make("span"), mark = make("i", kind);
      mark.style[kind === "dot" ? "background" : "borderColor"] = color;
      key.append(mark, label);
      return key;
    }));
    arrange();
  }
  select?.addEventListener("change", () => choose(select.selectedIndex));
  find.addEventListener("input", show);
  find.closest("label").hidden = names.length <= FEW;
  button.addEventListener("click", () => { every = !every; show(); });
  choose(0);
}
