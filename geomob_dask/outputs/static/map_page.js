// The page of a map: its layers, legend, table and files, and the field that finds places by name or code.
async function map_page(page) {
  const nth = (things, act) => Promise.all(things.map(act));
  const keys = await unpackJson(page.keys), given = page.names ? await unpackJson(page.names) : null;
  const values = await nth(page.layers, ({values}) => unpackNumbers(values));
  const bounds = await nth(page.layers, ({bounds}) => bounds ? nth(bounds, unpackNumbers) : null);
  const notes = await nth(page.layers, ({note}) => note ? unpackTexts(note) : null);
  const details = await nth(page.details, unpackTexts);
  const places = page.level === "tract" ? page.places
    : keys.map((code, i) => ({kind: "region", code, name: given[i], only: i}));

  // As the Census Bureau calls tracts: by four digits, hundredths, county and state.
  function nameOf(i) {
    const key = keys[i];
    if (given) return given[i];
    if (!/^\d{11}$/.test(key)) return key;
    const where = page.county_names[key.slice(0, 5)], hundredths = key.slice(9);
    return `Census Tract ${Number(key.slice(5, 9))}${hundredths === "00" ? "" : "." + hundredths}${where ? ", " + where : ""}`;
  }

  // Where tracts of a place are: those whose keys begin so, or a list.
  const begin = new Map();
  if (page.level === "tract") keys.forEach((key, i) => {
    for (const code of [key.slice(0, 2), key.slice(0, 5)]) {
      if (!begin.has(code)) begin.set(code, []);
      begin.get(code).push(i);
    }
  });
  const rowsOf = ({within, rows, only}) => only !== undefined ? [only]
    : within ? within.flatMap((key) => begin.get(key) ?? []) : Array.from(unpack(rows));
  const rowsAt = places.map(rowsOf);
  // The place of each kind that a tract lies in: its number + 1.
  const lies = page.kinds.map((kind) => {
    const column = new Uint32Array(keys.length);
    places.forEach((place, k) => { if (place.kind === kind) for (const row of rowsAt[k]) column[row] = k + 1; });
    return column;
  });

  let shown = 0;
  const layerOf = (k) => page.layers[k];
  function textOf(k, i) {
    const value = values[k].at(i), {scale} = layerOf(k);
    if (isNaN(value)) return "no value";
    if (scale.kind === "categories") return scale.labels[map.scale === scale ? map.classOf(i) : classIn(scale, value)];
    return values[k].text(i);
  }
  const classIn = ({edges}, value) => edges.slice(1, -1).filter((edge) => value >= edge).length;
  const intervalOf = (k, i) => bounds[k] && !isNaN(bounds[k][0].at(i)) ? ` (${bounds[k][0].text(i)} to ${bounds[k][1].text(i)})` : "";

  function describe(i) {
    const title = nameOf(i), lines = [];
    if (title !== keys[i]) lines.push({label: "Code", text: keys[i]});
    page.kinds.forEach((kind, k) => {
      if (lies[k][i]) lines.push({label: page.kind_titles[kind], text: places[lies[k][i] - 1].name});
    });
    page.layers.forEach(({label, unit, always}, k) => {
      if (!always && k !== shown) return;
      const note = notes[k]?.at(i) ?? "—";
      lines.push({label, unit, text: textOf(k, i) + intervalOf(k, i), note: note === "—" ? "" : note, current: k === shown});
    });
    page.details.forEach(({label}, k) => {
      const text = details[k].at(i) ?? "—";
      if (text !== "—") lines.push({label, text});
    });
    return {title, lines};
  }

  const map = new TractMap(element("map"), {label: page.title, describe, insets: page.insets, extent: page.extent,
    missing: page.missing_color, suppressed: page.suppressed_color, background: page.background});
  const lines = await nth(page.borders, async ({kind, lines}) => ({kind, lines: await unpackPolygons(bytesOfBase64(lines))}));

  function show(k) {
    const layer = layerOf(k);
    shown = k;
    map.setLayer({values: values[k].all(), scale: layer.scale, fixes: layer.fixes, suppressed: layer.suppressed});
    map.showLegend(element("legend"), onPage());
    table();
  }
  const legendTexts = () => ({title: layerOf(shown).label, unit: layerOf(shown).unit, explanation: layerOf(shown).explanation,
    missingNote: page.missing_note, noun: page.noun});
  const onPage = () => ({...legendTexts(), missingNote: [page.missing_note, page.hint].filter(Boolean).join("; ")});

  page.layers.forEach((layer, k) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, {type: "radio", name: "layer", value: k, checked: k === 0});
    input.addEventListener("change", () => show(k));
    label.append(input, layer.label);
    element("layers").append(label);
  });
  element("layers").parentElement.hidden = page.layers.length < 2;

  // Finding -------------------------------------------------------------------

  const count = (rows) => `${number(rows)} ${page.noun}${rows === 1 ? "" : "s"}`;
  // Without accents, capitals and points: "dona ana" finds Doña Ana, "st louis" St. Louis.
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  const names = places.map((place) => plain(place.name));

  // Places whose names have every word that was typed, those that begin with them first, large ones before small ones.
  function matches(text) {
    const typed = plain(text), words = typed.split(" ");
    if (typed === "") return [];
    const found = [];
    names.forEach((name, i) => {
      const place = places[i], spaced = " " + name;
      const known = place.code === text.trim() || words.every((word) => spaced.includes(" " + word));
      if (!known) return;
      const rank = place.code === text.trim() || name === typed ? 0 : name.startsWith(typed + " ") ? 1
        : spaced.includes(" " + typed + " ") ? 2 : name.startsWith(typed) ? 3 : 4;
      found.push({place, rank, rows: rowsAt[i]});
    });
    return found.filter(({rows}) => rows.length).sort((a, b) => a.rank - b.rank || b.rows.length - a.rows.length);
  }

  const MOST = 8;
  function choices(text) {
    const found = matches(text), list = element("matches");
    list.replaceChildren(...found.slice(0, MOST).map(({place, rows}) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const name = document.createElement("bdi"), about = document.createElement("span");
      name.textContent = place.name;
      about.textContent = [`${page.kind_titles[place.kind] ?? ""} ${place.code}`.trim(),
        ...(place.only === undefined ? [count(rows.length)] : [])].join(", ");
      button.type = "button";
      button.append(name, about);
      button.addEventListener("click", () => go(place.name, rows));
      item.append(button);
      return item;
    }));
    const more = found.length > MOST ? `, the first ${MOST} of them below` : "";
    element("found").textContent = found.length === 0 ? "" : number(found.length) +
      (found.length === 1 ? " place" : " places") + more;
    return found;
  }

  function lookAt(rows) {
    const box = map.bounds(rows);
    if (!box) return;
    map.highlight(rows.length === 1 ? rows : []);
    map.fit(box, rows.length === 1 ? 3 : 1.3);
    if (rows.length === 1) setTimeout(() => map.show(rows[0]), 300);
  }

  function go(name, rows) {
    element("found").textContent = page.level === "region" ? name : `${name}: ${count(rows.length)}`;
    lookAt(rows);
    // On a telephone the map is above.
    element("map").scrollIntoView({block: "nearest"});
  }

  // The first place of that name; else all tracts whose keys begin with what was typed.
  function find(text) {
    const found = choices(text), code = text.trim();
    if (found.length > 0) return go(found[0].place.name, found[0].rows);
    if (code === "") return;
    const rows = [];
    if (/^\d+$/.test(code)) keys.forEach((key, i) => { if (key.startsWith(code)) rows.push(i); });
    element("found").textContent = rows.length ? count(rows.length) : "Nothing of that name or code on this map";
    lookAt(rows);
  }

  element("find").addEventListener("input", (event) => choices(event.target.value));
  // Not at "change", which comes before the click on a match that takes the focus, and would remove it.
  element("find").addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(event.target.value);
    if (event.key === "ArrowDown") { event.preventDefault(); element("matches").querySelector("button")?.focus(); }
  });
  element("matches").addEventListener("keydown", (event) => {
    const to = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
    if (!to) return;
    event.preventDefault();
    (event.target.closest("li")[to]?.querySelector("button") ?? element("find")).focus();
  });

  // Table and files -----------------------------------------------------------

  const ROWS = 100;
  function ranked() {
    const {at} = values[shown], rows = Array.from(map.rowsInView()).filter((i) => !isNaN(at(i)));
    const turn = element("order").value === "high" ? -1 : 1;
    return rows.sort((a, b) => turn * (at(a) - at(b)) || a - b);
  }

  function table() {
    if (!element("table").open) return;
    const rows = ranked(), body = element("rows"), {label, unit} = layerOf(shown);
    element("value-title").textContent = unit ? `${label} (${unit})` : label;
    element("table-about").textContent = `${number(Math.min(ROWS, rows.length))} of the ${count(rows.length)} in view with a value`;
    body.replaceChildren(...rows.slice(0, ROWS).map((i, k) => {
      const line = document.createElement("tr");
      for (const text of [String(k + 1), nameOf(i), keys[i], textOf(shown, i) + intervalOf(shown, i)]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        line.append(cell);
      }
      return line;
    }));
  }
  element("table").addEventListener("toggle", table);
  element("order").addEventListener("change", table);
  map.onViewport(table);

  // No spreadsheet takes a cell of text for a formula.
  const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? "'" + text : text).replaceAll('"', '""')}"`;
  function csv() {
    const titles = ["key", "name"], columns = [];
    page.layers.forEach(({label, unit, scale}, k) => {
      const one = unit ? `${label} (${unit})` : label;
      const raw = (numbers) => (i) => isNaN(numbers.at(i)) ? "" : String(numbers.at(i));
      titles.push(one);
      columns.push(scale.kind === "categories" ? (i) => isNaN(values[k].at(i)) ? "" : cell(textOf(k, i)) : raw(values[k]));
      if (bounds[k]) ["lower", "upper"].forEach((end, e) => { titles.push(`${one}, ${end}`); columns.push(raw(bounds[k][e])); });
      if (notes[k]) { titles.push(`${one}, note`); columns.push((i) => cell(notes[k].at(i) ?? "")); }
    });
    page.details.forEach(({label}, k) => { titles.push(label); columns.push((i) => cell(details[k].at(i) ?? "")); });
    const lines = [titles.map(cell).join(","), ...Array.from(map.rowsInView()).sort((a, b) => a - b).map((i) =>
      [cell(keys[i]), cell(nameOf(i)), ...columns.map((column) => column(i))].join(","))];
    return new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], {type: "text/csv"});
  }

  const file = fileName(page.title);
  const around = () => ({title: page.title, subtitle: page.subtitle, legend: map.legend(legendTexts()),
    source: Array.from(document.querySelectorAll("#caption p"), (one) => one.textContent.trim()).join(" ")});
  const saves = {png: () => map.png(around()), svg: () => map.svg(around()), csv: async () => csv()};
  for (const [kind, blob] of Object.entries(saves)) {
    element(`save-${kind}`).addEventListener("click", async () => map.save(await blob(), `${file}.${kind}`));
  }

  show(0);
  map.setBlocks([await unpackPolygons(bytesOfBase64(page.polygons))]);
  map.setBorders(lines);
  window.tractMap = map;
  await map.ready;
  // There is nothing to find or to save before.
  for (const one of ["find", ...Object.keys(saves).map((kind) => `save-${kind}`)]) element(one).disabled = false;
}
