/* The tab of results: one map, two maps with one view, or a difference; and charts, an order and a table of its values. */
"use strict";

(() => {
  const { element } = geomob;
  const SUPPRESSED = "cross #5c6168", MISSING = "hatch #989da3", OUTSIDE = "#e2e7eb", NO_ROW = 1;
  // A border may move by less than this many pixels; cells of one request; cells that are kept.
  const PIXELS = 0.8, CELLS = 40, KEPT = 900;
  const ROWS = matchMedia("(max-width: 800px)").matches ? 10 : 25;
  const number = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  // No digit of a whole number, or before the point, is rounded away.
  const text = (value) => {
    if (value === null || Number.isNaN(value)) return "no value";
    return (Number.isInteger(value) || Math.abs(value) >= 1000 ? whole : number).format(value);
  };
  // The bounds of an index lie about its value corrected for errors, not about the published one that they stand beside.
  const interval = (lower, upper, corrected) => `${corrected == null || Number.isNaN(corrected) ? "" : `corrected ${text(corrected)}, `}${text(lower)} to ${text(upper)}`;
  const plural = (count, noun) => `${whole.format(count)} ${noun}${count === 1 ? "" : noun.endsWith("y") ? "" : "s"}`;

  // Binary answers --------------------------------------------------------------------------------

  const TYPES = { float32: Float32Array, uint16: Uint16Array, uint8: Uint8Array };

  /** What `_arrays` of the server says: its head, and typed arrays by name. */
  function arraysOf(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    let at = 4 + length;
    const arrays = {};
    for (const [name, { type, length: count }] of Object.entries(head.arrays)) {
      arrays[name] = new TYPES[type](buffer, at, count);
      at += Math.ceil(arrays[name].byteLength / 8) * 8;
    }
    return { ...head, ...arrays };
  }

  /** Packs of an answer, each after its length. */
  function* packsOf(buffer) {
    const view = new DataView(buffer);
    for (let at = 0; at < buffer.byteLength;) {
      const length = view.getUint32(at, true);
      yield new Uint8Array(buffer, at + 4, length);
      at += 4 + length;
    }
  }

  // Where units are -------------------------------------------------------------------------------

  /** Units of a vintage: their codes and names, and their polygons, fetched as views need them. */
  class Shapes {
    constructor(query, unit) {
      Object.assign(this, { query, unit, cells: new Map() });
      // Asked for at once, with all else that a first picture needs.
      this.at(null, 0).catch(() => null);
    }

    know({ codes, ...about }) {
      return Object.assign(this, about, { named: codes });
    }

    /** Codes by row; made when they are first needed, which is after the picture. */
    get codes() {
      this.named ??= Object.keys(this.tracts).sort().flatMap((county) =>
        this.tracts[county].match(/.{6}/g).map((tract) => county + tract));
      return this.named;
    }

    /** The row of a code; undefined for none. */
    rowOf(code) {
      if (!code) return undefined;
      this.rows ??= new Map(this.codes.map((one, row) => [one, row]));
      return this.rows.get(code);
    }

    name(row) {
      const code = this.codes[row];
      if (!this.tracts) return this.names[row] || code;
      const [whole, part] = [Number(code.slice(5, 9)), code.slice(9)];
      // A county without a name has its number here, which the code says.
      const where = [this.counties[code.slice(0, 5)], this.states[code.slice(0, 2)]].filter((one) => one && !/^\d+$/.test(one));
      return [`Census Tract ${whole}${part === "00" ? "" : `.${part}`}`, ...new Set(where)].join(", ");
    }

    level(scale) {
      const found = this.tolerances.findIndex((tolerance) => tolerance * scale <= PIXELS);
      return found < 0 ? this.tolerances.length - 1 : found;
    }

    /** Blocks and borders of a view: those of the whole map at the first level, else of cells around the view. */
    async at(view, level) {
      if (level === 0) {
        const [blocks, county, state] = await Promise.all([
          this.fetched("polygons", this.unit, 0, null), this.fetched("borders", "county", 0, null),
          this.fetched("borders", "state", 0, null)]);
        return { blocks, borders: { county, state } };
      }
      const [x, y] = [(view.right - view.left) / 5, (view.top - view.bottom) / 5];
      const found = await geomob.json("results/cells", { ...this.query, drawn: this.drawn, level, left: Math.floor(view.left - x),
        bottom: Math.floor(view.bottom - y), right: Math.ceil(view.right + x), top: Math.ceil(view.top + y) });
      const [blocks, county, state] = await Promise.all([
        this.fetched("polygons", this.unit, level, found.polygons), this.fetched("borders", "county", level, found.county),
        this.fetched("borders", "state", level, found.state)]);
      return { blocks, borders: { county, state } };
    }

    async fetched(what, of, level, cells) {
      const key = (cell) => `${what} ${of} ${level} ${cell}`;
      const absent = (cells ?? ["all"]).filter((cell) => !this.cells.has(key(cell)));
      for (let start = 0; start < absent.length; start += CELLS) {
        const some = absent.slice(start, start + CELLS);
        // Rows of one version are not those of another. The first ones are asked for before it is known.
        const query = { ...this.query, what, of, level, drawn: this.drawn, cells: cells ? some.join(",") : null };
        const packs = geomob.bytes("results/polygons", query)
          .then((buffer) => Promise.all([...packsOf(buffer)].map((pack) => unpackPolygons(pack))));
        some.forEach((cell, place) => this.cells.set(key(cell), cells ? packs.then((all) => [all[place]]) : packs));
        packs.catch(() => some.forEach((cell) => this.cells.delete(key(cell))));
      }
      const wanted = (cells ?? ["all"]).map(key);
      const found = await Promise.all(wanted.map((one) => {
        const promise = this.cells.get(one);
        // The latest last: the first ones go when there are too many.
        this.cells.delete(one);
        this.cells.set(one, promise);
        return promise;
      }));
      for (const one of this.cells.keys()) {
        if (this.cells.size <= KEPT) break;
        if (!wanted.includes(one) && !one.endsWith(" all")) this.cells.delete(one);
      }
      return found.flat();
    }
  }

  const shapes = new Map();

  const shapesKey = ({ vintage, unit }) => `${vintage} ${unit}`;

  function shapesOf(details) {
    const key = shapesKey(details);
    if (!shapes.has(key)) {
      const query = { entry: details.id, year: details.year };
      const own = new Shapes(query, details.unit);
      const made = geomob.json("results/units", query).then((about) => own.know(about));
      made.catch(() => shapes.delete(key));
      shapes.set(key, made);
    }
    return shapes.get(key);
  }

  const known = new Map();
  const keyOf = (entry, year) => `${entry} ${year}`;

  function detailsOf(entry, year) {
    const key = keyOf(entry, year);
    if (!known.has(key)) {
      const made = geomob.json("results/details", { entry, year });
      made.catch(() => known.delete(key));
      known.set(key, made);
    }
    return known.get(key);
  }

  // A map -----------------------------------------------------------------------------------------

  /** A map with its title and legend. `chosen`: entry, year, measure, and of a difference `minus`, the same. */
  class Panel {
    constructor(name) {
      this.title = element("h2", { class: "gm-map-title" });
      this.place = element("div", { class: "gm-map" });
      this.legend = element("div", { class: "gm-map-legend", "aria-label": `Legend of ${name}` });
      this.saves = ["PNG", "SVG"].map((kind) => element("button", { type: "button", disabled: true, onclick: () => this.save(kind.toLowerCase()) }, kind));
      this.element = element("section", { class: "gm-panel", "aria-label": name }, this.title, this.place, element("div", {}, this.legend,
        element("p", { class: "gm-saves", role: "group", "aria-label": `Save ${name.toLowerCase()}` }, element("span", { class: "gm-soft" }, "Save as "), ...this.saves)));
      this.name = name;
      this.turn = 0;
    }

    query(more = {}, { entry, year, measure, minus } = this.chosen) {
      const less = minus ? { minus_entry: minus.entry, minus_year: minus.year, minus_measure: minus.measure } : {};
      return { entry, year, measure, ...less, ...more };
    }

    async show(chosen, details, classes, scaleOf) {
      const turn = ++this.turn, query = this.query({}, chosen);
      this.element.setAttribute("aria-busy", "true");
      const scaling = geomob.json("results/scale", { ...query, ...scaleOf, ...classes })
        // The newest year may have no such measure.
        .catch((error) => (scaleOf ? geomob.json("results/scale", { ...query, ...classes }) : Promise.reject(error)));
      const found = await Promise.all([shapesOf(details), geomob.bytes("results/values", query), scaling]);
      let [own] = found;
      const data = arraysOf(found[1]), scale = found[2];
      if (data.drawn !== own.drawn) {
        // Polygons of the vintage have been replaced since they were fetched.
        shapes.delete(shapesKey(details));
        own = await shapesOf(details);
        if (data.drawn !== own.drawn) throw new Error("The polygons of this result are being replaced: choose it again in a moment.");
      }
      if (turn !== this.turn) return false;
      const other = this.shapes !== own, measure = details.measures.find(({ id }) => id === chosen.measure);
      // All at once: no value is ever read under the year or the name of another.
      Object.assign(this, { chosen, details, shapes: own, data, scale, measure, bounds: new Map() });
      this.title.textContent = this.words();
      if (other || !this.map) this.draw();
      this.map.setLabel(`${this.name}: ${this.words()}`);
      this.color();
      // Also where another choice came, or a request failed, while there were none.
      const bare = this.level === undefined;
      if (bare) {
        const first = await own.at(null, 0);
        if (turn !== this.turn) return false;
        if (this.level === undefined) this.set(first, 0);
        await this.map.ready;
      }
      this.element.removeAttribute("aria-busy");
      for (const button of this.saves) button.disabled = false;
      this.map.renew();
      if (bare) {
        // The browser shows the picture before anything else is done; one that is hidden need not.
        await Promise.race([new Promise((go) => { requestAnimationFrame(() => setTimeout(go)); }), new Promise((go) => { setTimeout(go, 100); })]);
      }
      return turn === this.turn;
    }

    words() {
      const { measure, chosen } = this;
      const of = (one) => `${one.label ?? measure.label}, ${one.year}`;
      return chosen.minus ? `${of(chosen)} minus ${of(chosen.minus)}` : of(chosen);
    }

    draw() {
      const focused = this.place.contains(document.activeElement);
      this.place.replaceChildren();
      const [left, bottom, right, top] = this.shapes.extent;
      this.map = new TractMap(this.place, {
        describe: (row) => this.describe(row),
        insets: this.shapes.insets.map(({ label, box }) => ({ label, left: box[0], bottom: box[1], right: box[2], top: box[3] })),
        extent: { left, bottom, right, top },
        wheel: "always",
        missing: MISSING,
      });
      if (focused) this.map.canvas.focus({ preventScroll: true });
      this.map.onViewport((view) => this.moved(view));
      this.map.onPick((row) => { if (row >= 0 && this.onPick) this.onPick(row); });
      // None yet; what was asked for is of the map before.
      this.level = undefined;
      this.asked = (this.asked ?? 0) + 1;
    }

    set({ blocks, borders }, level) {
      this.level = level;
      this.map.setBlocks(blocks);
      this.map.setBorders(["county", "state"].flatMap((kind) => borders[kind].map((lines) => ({ lines, kind }))));
    }

    async moved(view) {
      if (this.onView) this.onView(this.map.view());
      const level = this.shapes.level(view.scale), asked = ++this.asked;
      // Those of the whole map may be there, or come meanwhile.
      const there = () => level === 0 && this.level === 0;
      try {
        const found = there() ? null : await this.shapes.at(view, level);
        if (asked !== this.asked) return;
        if (!there()) this.set(found, level);
        geomob.problem("");
      } catch (error) {
        if (asked !== this.asked) return;
        if (error.status !== 404) { geomob.problem(error.message); return; }
        // They have been replaced: those that are there now may be others, in another order.
        shapes.delete(shapesKey(this.details));
        this.onOutdated();
      }
    }

    /** Colors by class; two classes more for units whose value is suppressed, and for those that the result has not. */
    color() {
      const { values, flags, kinds } = this.data, { scale } = this;
      const plain = scale ?? { edges: [0, 1], colors: ["#ffffff"], labels: ["no value"], kind: "sequential" };
      const fixes = [], count = plain.colors.length;
      this.reasons = new Map();
      for (let row = 0; row < values.length; row++) {
        if (values[row] === values[row]) continue;
        const flag = flags[row];
        if (flag === NO_ROW) fixes.push([row, count + 1]);
        else {
          if (kinds[flag] === 2) fixes.push([row, count]);
          this.reasons.set(flag, (this.reasons.get(flag) ?? 0) + 1);
        }
      }
      this.map.setValues(values, fixes);
      this.map.setScale({ ...plain, edges: [...plain.edges.slice(0, -1), Infinity, Infinity, Infinity],
        colors: [...plain.colors, SUPPRESSED, OUTSIDE], labels: [...plain.labels, "suppressed", "not in this result"] });
      const { classes, missing } = this.map.counts();
      const item = ({ color, label, count: counted }) => element("li", {},
        element("span", { class: "gm-swatch", style: `background:${cssFill(color)}` }),
        element("span", { class: "gm-label" }, label), element("span", { class: "gm-count" }, whole.format(counted)));
      const items = scale ? plain.colors.map((color, k) => ({ color, label: plain.labels[k], count: classes[k] })).reverse() : [];
      for (const [color, label, counted] of [[SUPPRESSED, "Suppressed", classes[count]], [MISSING, "No value", missing],
        [OUTSIDE, "Not in this result", classes[count + 1]]]) if (counted) items.push({ color, label, count: counted });
      const better = { 1: "More is better.", "-1": "More is worse." }[this.measure.better] ?? "";
      const why = [...this.reasons].sort((a, b) => b[1] - a[1]).slice(0, 5)
        .map(([flag, counted]) => element("li", {}, `${this.data.reasons[flag]}: ${whole.format(counted)}`));
      const explanation = [this.measure.unit, this.chosen.minus ? "difference" : better].filter((one) => one).join(". ");
      // In pictures reasons are not told: what has no value is a class like others.
      this.drawnLegend = { title: this.measure.label, unit: explanation, explanation: "", items, without: [] };
      this.legend.replaceChildren(
        element("p", { class: "gm-soft" }, explanation),
        element("ul", { class: "gm-classes" }, ...items.map(item)),
        why.length ? element("details", { open: why.length < 4 }, element("summary", {}, "Why values are missing"), element("ul", {}, ...why)) : "");
    }

    /** Offer what is in view as a picture, with its legend and the collections that it is of. */
    async save(kind) {
      const { chosen, details, map } = this;
      const from = [chosen, chosen.minus].filter((one) => one).map(({ entry, year }) => entry.replace("{year}", year));
      const subtitle = [details.index_title || details.title, details.dataset, details.variant].filter((one) => one).join("; ");
      const texts = { title: this.words(), subtitle, legend: this.drawnLegend,
        source: `${from.join(" minus ")}; boundaries of vintage ${details.vintage}` };
      const name = this.words().normalize("NFD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60).toLowerCase();
      map.save(await map[kind](texts), `${name || "map"}.${kind}`);
    }

    /** Interval (as a text) and quality of a unit. Those of its state are fetched when the first of them is asked for. */
    boundsOf(row) {
      const { bounds, shapes: own } = this;
      if (!this.measure.bounds || this.chosen.minus || this.data.flags[row] === NO_ROW) return { interval: "", quality: 0 };
      const within = own.tracts ? own.codes[row].slice(0, 2) : "";
      if (!bounds.has(within)) this.fetchBounds(within);
      const { words, first, lower, upper, corrected, quality } = bounds.get(within);
      const at = row - first, known = lower && lower[at] === lower[at];
      return { interval: words ?? (known ? interval(lower[at], upper[at], corrected?.[at]) : ""), quality: quality?.[at] ?? 0 };
    }

    async fetchBounds(within) {
      const { bounds, data } = this;
      bounds.set(within, { words: "interval: loading…" });
      let found;
      try {
        found = arraysOf(await geomob.bytes("results/bounds", this.query({ within: within || null })));
      } catch (error) {
        // Asked for again when the next unit is looked at.
        found = { words: `interval: ${error.message}` };
        setTimeout(() => bounds.delete(within), 2000);
      }
      // Of a choice that is no longer shown.
      if (bounds !== this.bounds) return;
      if (!found.words && found.version !== data.version) {
        // The store has other values than those shown; they come with their bounds.
        this.onOutdated();
        return;
      }
      bounds.set(within, found);
      this.map.renew();
    }

    describe(row) {
      const { values, flags, reasons } = this.data, { shapes: own } = this, { interval, quality } = this.boundsOf(row);
      const lines = [], value = values[row], reason = flags[row] ? reasons[flags[row]] : "";
      const unit = this.measure.unit && !this.measure.unit.includes(" to ") ? ` ${this.measure.unit}` : "";
      lines.push({ label: this.words(), text: value === value ? `${text(value)}${unit}` : "no value", note: interval, current: true });
      if (quality) lines.push({ label: "Quality", text: `${quality} of 3`, note: { 1: "good", 2: "fair", 3: "poor" }[quality] ?? "" });
      if (reason) lines.push({ label: value === value ? "Note" : "Reason", text: reason });
      return { title: own.name(row), lines, note: own.unit === "tract" ? own.codes[row] : `${own.unit} ${own.codes[row]}` };
    }
  }

  // Charts ----------------------------------------------------------------------------------------

  // The charts that are not in view yet, by their elements.
  const waiting = new WeakMap();
  const inView = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      const one = waiting.get(target);
      if (!one) continue;
      // What was drawn there is of another choice.
      if (!isIntersecting) target.replaceChildren(one.figure);
      else {
        inView.unobserve(target);
        drawIn(target, one).catch((error) => geomob.problem(error.message));
      }
    }
  });

  /** A figure of BokehJS in an element, in place of what was there, once it is in view; `finding` says the same in words. */
  function chart(place, finding, draw) {
    waiting.set(place, { figure: element("div", { role: "img", "aria-label": finding }), draw });
    // Anew, so that it is told at once whether it is in view.
    inView.unobserve(place);
    inView.observe(place);
  }

  function noChart(place) {
    waiting.delete(place);
    place.replaceChildren();
  }

  async function drawIn(place, one) {
    const Bokeh = await geomob.bokeh();
    if (waiting.get(place) !== one) return;
    const width = Math.max(260, Math.min(place.clientWidth || 360, 640));
    const figure = new Bokeh.Plotting.Figure({ width, height: 220, tools: "", toolbar_location: null,
      outline_line_color: null, background_fill_color: "#ffffff" });
    for (const grid of [figure.xgrid, figure.ygrid]) for (const one of [].concat(grid)) one.grid_line_color = "#e6eaee";
    one.draw(figure, Bokeh);
    // BokehJS would have keys stop at a figure in which there is nothing for them to do.
    const drawn = element("div", { inert: true });
    one.figure.replaceChildren(drawn);
    place.replaceChildren(one.figure);
    await Bokeh.Plotting.show(figure, drawn);
  }

  // The tab ---------------------------------------------------------------------------------------

  /** Give a select other options, [value, text] each; the same ones stay, and with them what is chosen or looked through. */
  function offer(select, choices) {
    const key = JSON.stringify(choices);
    if (select.dataset.offered === key) return;
    select.dataset.offered = key;
    select.replaceChildren(...choices.map(([value, label]) => element("option", { value }, label)));
  }

  class Results {
    constructor(root) {
      this.root = root;
      this.first = new Panel("Map");
      this.second = new Panel("Second map");
      this.searched = 0;
      this.busy = element("p", { class: "gm-soft", role: "status", "aria-live": "polite" }, "Loading the store's contents…");
      root.append(this.busy);
    }

    async start() {
      try {
        const [entry, year] = ["entry", "year"].map((name) => geomob.state.get(name));
        const { entries, details } = await geomob.json("results/catalog", { entry, year });
        if (details) known.set(keyOf(details.id, details.year), Promise.resolve(details));
        this.entries = new Map(entries.map((entry) => [entry.id, entry]));
      } catch (error) {
        this.busy.textContent = "";
        geomob.problem(error.message);
        return;
      }
      if (!this.entries.size) {
        this.busy.textContent = "This store holds no results or measures yet: run a job, then open this page again.";
        this.root.append(await this.cubes());
        return;
      }
      this.build();
      geomob.state.listen(() => this.follow());
      // Another address, not a choice on this page.
      addEventListener("hashchange", () => { if (this.placed) this.look(); });
      await this.follow();
      this.notes.after(await this.cubes());
    }

    nameOf(id) {
      const entry = this.entries.get(id);
      return [entry.title, entry.name, entry.dataset, entry.variant].filter((one) => one).join(" · ");
    }

    /** What there is of cubes: other forms of results, which are shown where those are; nothing without any. */
    async cubes() {
      let found;
      try {
        found = (await geomob.json("results/cubes")).cubes;
      } catch (error) {
        return element("p", { class: "gm-soft" }, `Cubes of the store are not known: ${error.message}`);
      }
      if (!found.length) return "";
      return element("section", { class: "gm-card gm-cubes", "aria-label": "Cubes" }, element("h3", {}, "Cubes"),
        element("p", { class: "gm-soft" }, "A cube has the years of one result in one place. Its values are those of the results that it names, and are shown as those."),
        ...found.map((cube) => this.cube(cube)));
    }

    cube({ name, problem, years, axes, vintage, geometry, variables, measures, of, open, command }) {
      const title = element("h4", {}, name);
      if (problem) return element("div", {}, title, element("p", {}, `This cube cannot be shown: ${problem}`));
      const lines = new Map();
      for (const { year, entry, collection, standing } of of) {
        const key = `${standing} ${entry || collection}`;
        if (!lines.has(key)) lines.set(key, { entry, collection, standing, years: [] });
        lines.get(key).years.push(year);
      }
      const said = [...lines.values()].map(({ entry, collection, standing, years: own }) => {
        const shown = element("button", { type: "button", class: "gm-link", onclick: () => {
          this.choose({ entry, year: own.at(-1), measure: null, unit: null }, true);
          this.a.result.focus();
        } }, entry ? this.nameOf(entry) : "");
        const what = entry ? [shown] : [element("code", {}, collection), ", which this page does not list"];
        if (standing === "gone") return element("li", {}, `${own.join(", ")}: of `, element("code", {}, collection), ", which is not in the store any more; the cube alone has it");
        if (standing === "same") return element("li", {}, `${own.join(", ")}: the same as `, ...what);
        return element("li", {}, `${own.join(", ")}: older than `, ...what, ", which was computed again since; write the cube again to have that");
      });
      const unit = Object.keys(axes)[1];
      return element("div", {}, title,
        element("p", {}, `${Object.entries(axes).map(([axis, length]) => `${axis} ${whole.format(length)}`).join(" × ")}` +
          `${vintage ? `; vintage ${vintage}` : ""}${geometry ? `, polygons of ${geometry} by ${unit}` : ""}; ${variables.join(", ")}`),
        element("ul", {}, ...said),
        element("details", {}, element("summary", {}, plural(axes.measure, "measure")), element("ul", {}, ...measures.map((one) =>
          element("li", {}, element("code", {}, one.id), ` ${one.label}${one.unit ? ` (${one.unit})` : ""}`)))),
        element("p", {}, "In Python ", element("code", {}, open), "; its versions: ", element("code", {}, command)));
    }

    // Controls ------------------------------------------------------------

    build() {
      const options = (select) => {
        const groups = new Map();
        for (const entry of this.entries.values()) {
          if (!groups.has(entry.title)) groups.set(entry.title, element("optgroup", { label: entry.title }));
          const name = [entry.name, entry.dataset, entry.variant].filter((one) => one).join(" · ");
          groups.get(entry.title).append(element("option", { value: entry.id }, name));
        }
        select.append(...groups.values());
        return select;
      };
      const labeled = (label, control, hidden = false) => element("label", { class: "gm-control", hidden }, element("span", {}, label), control);
      const chooser = (suffix) => {
        const made = {
          result: options(element("select", { id: `gm-result${suffix}` })),
          measure: element("select", { id: `gm-measure${suffix}` }),
          year: element("input", { type: "range", id: `gm-year${suffix}`, min: 0, step: 1 }),
          shown: element("output", { for: `gm-year${suffix}`, class: "gm-year" }),
        };
        made.result.addEventListener("change", () => this.choose({ [`entry${suffix}`]: made.result.value,
          [`measure${suffix}`]: null, [`year${suffix}`]: null, ...(suffix ? {} : { unit: null, offset: null }) }));
        made.measure.addEventListener("change", () => this.choose({ [`measure${suffix}`]: made.measure.value }));
        made.year.addEventListener("input", () => {
          const year = made.years[made.year.value];
          this.showYear(made, year);
          this.choose({ [`year${suffix}`]: year });
        });
        made.row = element("div", { class: "gm-controls" }, labeled("Result", made.result), labeled("Measure", made.measure),
          labeled("Year", element("span", { class: "gm-slider" }, made.year, made.shown)));
        return made;
      };
      this.a = chooser("");
      this.b = chooser("2");
      const select = (id, choices) => element("select", { id }, ...Object.entries(choices).map(([value, label]) => element("option", { value }, label)));
      this.method = select("gm-method", { quantiles: "Quantiles", "natural breaks": "Natural breaks", "equal steps": "Fixed steps" });
      this.classes = select("gm-classes", Object.fromEntries([3, 4, 5, 6, 7, 8, 9].map((one) => [one, one])));
      this.compare = select("gm-compare", { "": "One map", two: "Two maps", minus: "Difference" });
      this.find = element("input", { type: "search", id: "gm-find", autocomplete: "off", placeholder: "Ohio, Columbus, Franklin County, a code…",
        "aria-controls": "gm-found", "aria-describedby": "gm-found-count" });
      this.found = element("ul", { id: "gm-found", class: "gm-found" });
      this.foundCount = element("span", { id: "gm-found-count", class: "gm-soft", role: "status" });
      this.state = element("select", { id: "gm-state" });
      this.method.addEventListener("change", () => this.choose({ method: this.method.value }));
      this.classes.addEventListener("change", () => this.choose({ classes: this.classes.value }));
      this.compare.addEventListener("change", () => this.choose({ compare: this.compare.value }));
      this.state.addEventListener("change", () => this.choose({ within: this.state.value, x: null, y: null, scale: null, offset: null }, true));
      this.find.addEventListener("input", () => { clearTimeout(this.typed); this.typed = setTimeout(() => this.search(false), 180); });
      this.find.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.search(true);
        if (event.key === "Escape") { this.find.value = ""; this.search(false); }
        if (event.key === "ArrowDown" && this.found.firstChild) { event.preventDefault(); this.found.querySelector("button").focus(); }
      });
      this.found.addEventListener("keydown", (event) => {
        const beside = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
        if (!beside && event.key !== "Escape") return;
        event.preventDefault();
        (beside ? event.target.closest("li")[beside]?.querySelector("button") ?? (beside[0] === "p" ? this.find : event.target) : this.find).focus();
        if (!beside) this.quit();
      });
      this.secondRow = element("fieldset", { class: "gm-second" }, element("legend", {}, "Compared with"), this.b.row);
      const finding = element("span", { class: "gm-find" }, this.find, this.found);
      // What was found covers what is below: not where the focus has gone on.
      finding.addEventListener("focusout", ({ relatedTarget: to }) => { if (to && !finding.contains(to)) this.quit(); });
      const display = element("div", { class: "gm-controls" },
        labeled("Find a place", finding),
        labeled("State", this.state), labeled("Classes", this.method), labeled("Number", this.classes), labeled("Show", this.compare));
      this.notice = element("p", { class: "gm-problem", role: "alert", hidden: true });
      this.maps = element("div", { class: "gm-maps" }, this.first.element);
      this.unit = element("section", { class: "gm-card", "aria-label": "Chosen place" });
      this.histogramAt = element("div", { class: "gm-chart" });
      this.histogramText = element("p", { class: "gm-soft" });
      const histogram = element("section", { class: "gm-card", "aria-label": "Histogram" }, element("h3", {}, "Distribution"), this.histogramAt, this.histogramText);
      this.by = select("gm-by", { unit: "Tracts", county: "Counties" });
      this.order = select("gm-order", { high: "highest first", low: "lowest first", code: "by code" });
      this.by.addEventListener("change", () => this.choose({ by: this.by.value === "unit" ? null : this.by.value, offset: null }));
      this.order.addEventListener("change", () => this.choose({ order: this.order.value === "high" ? null : this.order.value, offset: null }));
      this.tableAt = element("div", { class: "gm-table" });
      const pager = (label, by) => {
        const button = element("button", { type: "button" }, label);
        button.addEventListener("click", () => this.choose({ offset: Math.max(0, this.offset + by) || null }));
        return button;
      };
      [this.earlier, this.later] = [pager("Earlier", -ROWS), pager("Later", ROWS)];
      this.counted = element("span", { role: "status" });
      const ranking = element("section", { class: "gm-card gm-ranking", "aria-label": "Ranking" }, element("h3", {}, "Ranking"),
        element("div", { class: "gm-controls" }, labeled("Of", this.by), labeled("Order", this.order)), this.tableAt,
        element("p", { class: "gm-pages" }, this.earlier, this.counted, this.later));
      this.notes = element("p", { class: "gm-soft gm-notes" });
      this.told = element("p", { class: "gm-hidden", "aria-live": "polite" });
      this.root.replaceChildren(element("div", { class: "gm-results" }, this.a.row, display, this.foundCount, this.secondRow, this.notice, this.busy,
        this.maps, element("div", { class: "gm-cards" }, this.unit, histogram, ranking), this.notes, this.told));
      for (const panel of [this.first, this.second]) {
        panel.onPick = (row) => this.choose({ unit: panel.shapes.codes[row] }, true);
        panel.onOutdated = () => {
          // It may have moved a moment ago.
          if (this.placed === this.first.shapes) this.keepView(this.first.map.view());
          known.clear();
          this.said = this.around = null;
          this.follow();
        };
      }
      this.first.onView = (view) => {
        // What a link says of the view is not forgotten before it is shown.
        if (this.placed !== this.first.shapes) return;
        clearTimeout(this.viewed);
        this.viewed = setTimeout(() => this.keepView(view), 400);
      };
    }

    keepView({ x, y, scale }) {
      this.choose({ x: Math.round(x), y: Math.round(y), scale: scale.toPrecision(4) }, false, true);
    }

    /** Change the state of the page; the map follows. */
    choose(changes, push = false, quiet = false) {
      this.quiet = quiet;
      geomob.state.set(changes, { replace: !push });
      this.quiet = false;
    }

    showYear(controls, year) {
      controls.year.setAttribute("aria-valuetext", String(year));
      controls.shown.textContent = year;
    }

    /** What the state says of one map; what it does not say, or says wrongly, is the first that there is. */
    async read(controls, suffix, turn) {
      const get = (name) => geomob.state.get(name + suffix) ?? (suffix ? geomob.state.get(name) : null);
      const entry = this.entries.get(get("entry")) ?? this.entries.values().next().value;
      const asked = Number(get("year")), years = entry.years;
      const year = years.includes(asked) ? asked : suffix && geomob.state.get("year2") === null ? years[0] : years[years.length - 1];
      const details = await detailsOf(entry.id, year);
      if (turn !== this.mapTurn) return null;
      const measure = details.measures.find(({ id }) => id === get("measure")) ?? details.measures[0];
      controls.result.value = entry.id;
      controls.years = years;
      controls.year.max = years.length - 1;
      controls.year.value = years.indexOf(year);
      controls.year.disabled = years.length < 2;
      this.showYear(controls, year);
      offer(controls.measure, details.measures.map((one) =>
        [one.id, one.unit && !one.unit.includes(" to ") ? `${one.label} (${one.unit})` : one.label]));
      controls.measure.value = measure.id;
      return { details, chosen: { entry: entry.id, year, measure: measure.id, label: measure.label } };
    }

    /** Show what the state says. */
    async follow() {
      if (this.quiet || !["results", null].includes(geomob.state.get("tab"))) return;
      const said = ["entry", "year", "measure", "entry2", "year2", "measure2", "method", "classes", "compare", "store"].map((name) => geomob.state.get(name)).join("\n");
      const around = ["unit", "within", "states", "by", "order", "offset"].map((name) => geomob.state.get(name)).join("\n");
      if (said === this.said && around === this.around) return;
      const maps = said !== this.said;
      Object.assign(this, { said, around });
      const turn = (this.turn = (this.turn ?? 0) + 1);
      this.notice.hidden = true;
      geomob.problem("");
      if (maps) this.showing = this.showMaps((this.mapTurn = turn));
      try {
        // What is beside the maps is of what they show, also where it alone changed while they were drawn.
        await this.showing;
        if (turn !== this.turn) return;
        await this.showBeside(turn);
      } catch (error) {
        if (turn !== this.turn || error.name === "AbortError") return;
        this.said = this.around = null;
        this.busy.textContent = "";
        for (const panel of [this.first, this.second]) panel.element.removeAttribute("aria-busy");
        this.notice.textContent = error.message;
        this.notice.hidden = false;
      }
    }

    async showMaps(turn) {
      const compare = ["two", "minus"].includes(geomob.state.get("compare")) ? geomob.state.get("compare") : "";
      this.busy.textContent = "Loading…";
      clearTimeout(this.slow);
      this.slow = setTimeout(() => {
        if (this.busy.textContent) this.busy.textContent = "Loading… Polygons that no job has prepared (jobs/explore.py) are made ready first.";
      }, 4000);
      const methods = [...this.method.options].map(({ value }) => value);
      this.method.value = methods.includes(geomob.state.get("method")) ? geomob.state.get("method") : "quantiles";
      this.classes.value = [...this.classes.options].map(({ value }) => value).includes(geomob.state.get("classes")) ? geomob.state.get("classes") : "7";
      this.compare.value = compare;
      this.secondRow.hidden = !compare;
      const [one, two] = await Promise.all([this.read(this.a, "", turn), compare ? this.read(this.b, "2", turn) : null]);
      if (turn !== this.mapTurn) return;
      this.details = one.details;
      const classes = { method: this.method.value, classes: this.classes.value };
      // The classes of the newest year, for all years: colors of one measure can be compared.
      const newest = ({ chosen }) => ({ year: this.entries.get(chosen.entry).years.at(-1) });
      const side = compare === "two";
      if (side !== this.maps.classList.contains("gm-two")) {
        this.maps.classList.toggle("gm-two", side);
        if (side) this.maps.append(this.second.element); else this.second.element.remove();
      }
      const main = compare === "minus" ? { ...one.chosen, minus: two.chosen } : one.chosen;
      const shown = [this.first.show(main, one.details, classes, compare === "minus" ? null : newest(one))];
      if (side) shown.push(this.second.show(two.chosen, two.details, classes, newest(two)));
      await Promise.all(shown);
      if (turn !== this.mapTurn) return;
      if (side && !this.first.map.linked.has(this.second.map)) {
        // Either may be a new one: a map that is gone is not moved any more.
        for (const { map } of [this.first, this.second]) map.linked.clear();
        // The second follows: its own first size must not send both back to where it began.
        this.second.map.homely = false;
        this.first.map.linkView(this.second.map);
      }
      this.busy.textContent = "";
      // The server has the years beside this one ready before they are asked for; nothing is sent.
      clearTimeout(this.ahead);
      this.ahead = setTimeout(() => {
        const { entry, year, measure } = one.chosen, { years } = this.entries.get(entry), place = years.indexOf(year);
        for (const next of [years[place - 1], years[place + 1]]) {
          if (next !== undefined) geomob.bytes("results/values", { entry, year: next, measure }, { method: "HEAD" }).catch(() => null);
        }
      }, 700);
      // A map that was there stays where it was moved to. A new one is placed also where another choice came while it was drawn.
      const fresh = this.placed !== this.first.shapes;
      this.placed = this.first.shapes;
      await this.place(fresh);
      this.notes.textContent = [`${one.details.title}${one.details.index_title ? `, ${one.details.index_title}` : ""}: ${one.details.dataset}, ` +
        `${one.details.unit === "tract" ? "tracts" : `regions (${one.details.unit})`} of vintage ${one.details.vintage}.`, ...this.first.shapes.notes].join(" ");
    }

    /** The states of the result are offered; a fresh map looks at what the address says, else at those. */
    async place(fresh) {
      const { map, shapes: own } = this.first;
      const chosen = geomob.state.get("within");
      // Of another result: here nothing lies in it.
      const lacked = chosen && !this.has(chosen);
      if (lacked) {
        this.within = "";
        this.choose({ within: null, x: null, y: null, scale: null }, false, true);
      }
      this.by.parentElement.hidden = !own.tracts;
      this.by.options[0].textContent = own.tracts ? "Tracts" : "Regions";
      if (!(fresh || lacked) || this.look()) return;
      const within = geomob.state.get("within") ?? geomob.state.get("states");
      if (within) await this.lookAt(within.split(","));
      else {
        const { flags } = this.first.data, some = flags.includes(NO_ROW);
        const box = some ? map.bounds([...flags.keys()].filter((row) => flags[row] !== NO_ROW)) : null;
        if (box) map.fit(box);
      }
    }

    /** Look at what the address says; return whether it says that. */
    look() {
      const [x, y, scale] = ["x", "y", "scale"].map((name) => Number(geomob.state.get(name)));
      const said = scale > 0 && Number.isFinite(x) && Number.isFinite(y);
      if (said) {
        this.first.map.setView({ x, y, scale });
        // Another size of the map does not show all of it again.
        this.first.map.homely = false;
      }
      return said;
    }

    /** Whether what is shown has a state or county; results by region that have no states are not asked. */
    has(code) {
      const { tracts, counties } = this.first.shapes, { states } = this.details;
      if (tracts && code.length > 2 && !counties[code]) return false;
      return states.some((one) => one.code === code.slice(0, 2)) || !tracts && !states.length;
    }

    /** Offer the states of the result, and the county that distribution and ranking are of, if one was found. */
    offerStates(within) {
      const { states: all, tracts, counties } = this.first.shapes;
      const states = this.details.states.filter(({ code }) => !tracts || all[code]).map(({ code, name }) => [code, name]);
      const named = tracts && within.length > 2 ? counties[within] : "";
      const county = named ? [[within, /^\d+$/.test(named) ? `County ${within}` : `${named} (${within})`]] : [];
      offer(this.state, [["", "All"], ...states, ...county]);
      this.state.parentElement.hidden = states.length < 2 && !named;
      const value = named ? within : within.slice(0, 2);
      this.state.value = [...this.state.options].some((one) => one.value === value) ? value : "";
    }

    async lookAt(codes) {
      const { shapes: own } = this.first;
      const boxOf = async (code) => own.boxes?.[code] ??
        (await geomob.json("results/search", { ...own.query, q: code })).places.find((one) => one.code === code)?.box;
      const boxes = (await Promise.all(codes.slice(0, 60).map(boxOf))).filter((box) => box?.length);
      if (!boxes.length) return;
      const [left, bottom] = [0, 1].map((k) => Math.min(...boxes.map((box) => box[k])));
      const [right, top] = [2, 3].map((k) => Math.max(...boxes.map((box) => box[k])));
      this.first.map.fit({ left, bottom, right, top });
    }

    // Search --------------------------------------------------------------

    async search(go) {
      clearTimeout(this.typed);
      const q = this.find.value.trim(), turn = ++this.searched;
      if (go) this.going = turn;
      if (!q) return this.listed([]);
      if (!this.first.shapes) return undefined;
      try {
        const { places, count } = await geomob.json("results/search", { ...this.first.shapes.query, q: q.slice(0, 120) });
        if (turn !== this.searched) return;
        this.foundCount.textContent = count ? plural(count, "place") : "Nothing of that name or code on this map";
        if (go && places.length) { this.listed([]); this.go(places[0]); } else this.listed(places);
      } catch (error) {
        if (turn === this.searched) this.foundCount.textContent = error.message;
      }
      return undefined;
    }

    /** The list goes, and no answer to what was typed opens it again. A place that Enter asked for is still gone to. */
    quit() {
      clearTimeout(this.typed);
      if (this.searched !== this.going) this.searched++;
      this.listed([]);
    }

    listed(places) {
      // By keys: the button may go. By a finger the field would open the keyboard of a telephone.
      const keyed = this.found.querySelector(":focus-visible");
      geomob.replaced(this.found, ...places.map((place) => {
        const button = element("button", { type: "button", "data-key": place.code }, element("bdi", {}, place.name),
          element("span", { class: "gm-soft" }, ` ${place.kind} ${place.code}${place.row < 0 ? `, ${plural(place.count, "tract")}` : ""}`));
        button.addEventListener("click", () => {
          this.quit();
          this.go(place);
        });
        return element("li", {}, button);
      }));
      if (keyed && !places.length) this.find.focus();
      if (!places.length && !this.find.value) this.foundCount.textContent = "";
    }

    go(place) {
      this.searched++;
      this.find.value = place.name;
      this.foundCount.textContent = `${place.name}: ${place.row < 0 ? plural(place.count, "tract") : place.kind}`;
      const [left, bottom, right, top] = place.box;
      this.first.map.fit({ left, bottom, right, top });
      if (place.row >= 0) this.choose({ unit: place.code }, true);
      else this.choose({ within: ["State", "County"].includes(place.kind) && this.has(place.code) ? place.code : null, offset: null }, true);
    }

    // Beside the map ------------------------------------------------------

    async showBeside(turn) {
      const within = geomob.state.get("within") ?? "";
      if (within !== this.within) {
        if (this.within !== undefined && within) this.lookAt([within]).catch((error) => geomob.problem(error.message));
        if (this.within && !within && geomob.state.get("x") === null) this.first.map.home();
        this.within = within;
      }
      this.offerStates(within);
      this.by.value = geomob.state.get("by") === "county" && this.first.shapes.tracts ? "county" : "unit";
      this.order.value = ["low", "code"].includes(geomob.state.get("order")) ? geomob.state.get("order") : "high";
      const query = this.first.query(within && this.first.shapes.tracts ? { within } : {});
      await Promise.all([this.showSeries(turn), this.showHistogram(query, turn), this.showTable(query, turn)]);
      // What stands above may have become higher.
      const focused = document.activeElement;
      if (this.tableAt.contains(focused) && focused.matches(":focus-visible")) focused.scrollIntoView({ block: "nearest" });
    }

    async showSeries(turn) {
      const code = geomob.state.get("unit");
      const row = this.first.shapes.rowOf(code);
      this.first.map.highlight(row === undefined ? [] : [row]);
      if (this.compare.value === "two" && this.second.map && this.second.shapes === this.first.shapes) this.second.map.highlight(row === undefined ? [] : [row]);
      if (row === undefined) {
        this.unit.replaceChildren(element("h3", {}, "A place over the years"), element("p", { class: "gm-soft" }, "Choose a place on the map, in the ranking, or by its name."));
        return;
      }
      const { entry, year, measure } = this.first.chosen;
      const { rows, name } = await geomob.json("results/series", { entry, year, measure, unit: code });
      if (turn !== this.turn) return;
      const label = this.first.measure.label, place = element("div", { class: "gm-chart" });
      const cells = (one) => [one.year, text(one.value), one.lower === null ? "" : interval(one.lower, one.upper, one.corrected), one.quality ?? "", one.reason];
      const heads = ["Year", label, "Interval", "Quality", "Note"], all = rows.map((one) => cells(one).map(String));
      const filled = heads.map((_, k) => k < 2 || all.some((row) => row[k]));
      const line = (name, texts, more = {}) => texts.filter((_, k) => filled[k]).map((one) => element(name, more, one));
      const table = element("table", {}, element("thead", {}, element("tr", {}, ...line("th", heads, { scope: "col" }))),
        element("tbody", {}, ...rows.map((one, k) => element("tr", one.year === year ? { "aria-current": "true" } : {}, ...line("td", all[k])))));
      this.unit.replaceChildren(element("h3", {}, name || code), element("p", { class: "gm-soft" }, `${label}; ${code}`), place, element("div", { class: "gm-table" }, table));
      const known = rows.filter((one) => one.value !== null), corrected = rows.filter((one) => one.corrected !== null), sure = rows.filter((one) => one.lower !== null && one.upper !== null);
      const finding = known.length ? `${label} of ${name || code}: ${known.map((one) => `${text(one.value)} in ${one.year}`).join(", ")}` : `${label} of ${name || code}: no value`;
      this.told.textContent = finding;
      chart(place, finding, (figure, Bokeh) => {
        figure.segment({ x0: sure.map((one) => one.year), x1: sure.map((one) => one.year), y0: sure.map((one) => one.lower), y1: sure.map((one) => one.upper), line_color: "#5b6977", line_width: 2 });
        figure.line({ x: rows.map((one) => one.year), y: rows.map((one) => one.value ?? NaN), line_color: "#0072B2", line_width: 2 });
        figure.scatter({ x: known.map((one) => one.year), y: known.map((one) => one.value), size: 8, fill_color: "#0072B2", line_color: "#ffffff" });
        if (corrected.length) figure.scatter({ x: corrected.map((one) => one.year), y: corrected.map((one) => one.corrected), size: 7, fill_color: "#ffffff", line_color: "#5b6977", line_width: 2 });
        for (const axis of [].concat(figure.xaxis)) axis.ticker = new Bokeh.FixedTicker({ ticks: rows.map((one) => one.year) });
      });
    }

    async showHistogram(query, turn) {
      const found = await geomob.json("results/histogram", query);
      if (turn !== this.turn) return;
      const { edges, counts } = found, scale = this.first.scale;
      if (!edges.length) {
        noChart(this.histogramAt);
        this.histogramText.textContent = "No values here.";
        return;
      }
      const color = (value) => {
        if (!scale) return "#9aa7b3";
        let k = 0;
        while (k < scale.colors.length - 1 && value >= scale.edges[k + 1]) k++;
        return scale.colors[k];
      };
      const [low, middle, high] = found.quartiles.map(text);
      const words = `Median ${middle}; half between ${low} and ${high}; ${whole.format(found.known)} of ${whole.format(found.all)} with a value.`;
      this.histogramText.textContent = words;
      chart(this.histogramAt, `Histogram of ${this.first.words()}. ${words}`, (figure) => {
        const place = counts.map((_, k) => (edges[k] + edges[k + 1]) / 2);
        figure.quad({ left: edges.slice(0, -1), right: edges.slice(1), bottom: 0, top: counts, fill_color: place.map(color), line_color: "#7d8791", line_width: 0.5 });
      });
    }

    async showTable(query, turn) {
      // An address may say anything, and a result may have fewer rows than the one before.
      const offset = Math.trunc(Math.min(1e9, Math.max(0, Number(geomob.state.get("offset")) || 0))), by = this.by.value, order = this.order.value;
      const found = await geomob.json("results/table", { ...query, by, order, offset, limit: ROWS });
      if (turn !== this.turn) return;
      if (offset && !found.rows.length) return this.choose({ offset: null });
      const county = by === "county", tracts = Boolean(this.first.shapes.tracts);
      const noted = !county && found.rows.some((one) => one.reason);
      const heads = ["Rank", county ? "County" : tracts ? "Tract" : "Region", this.first.measure.label, ...(county ? ["Tracts"] : noted ? ["Note"] : [])];
      const rows = found.rows.map((one, k) => {
        const name = element("button", { type: "button", class: "gm-link", "data-key": one.code }, one.name || one.code);
        name.addEventListener("click", () => this.fromTable(one, county));
        const bounds = county || one.lower === null ? null : element("span", { class: "gm-soft" }, ` ${interval(one.lower, one.upper, one.corrected)}`);
        const more = county ? [whole.format(one.tracts)] : noted ? [one.reason] : [];
        return element("tr", {}, element("td", {}, order === "code" || one.value === null ? "" : whole.format(offset + k + 1)),
          element("td", {}, name, element("span", { class: "gm-soft" }, ` ${one.code}`)),
          element("td", { class: "gm-value" }, text(one.value), bounds), ...more.map((cell) => element("td", {}, cell)));
      });
      geomob.replaced(this.tableAt,
        element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, ...rows)));
      this.offset = offset;
      const able = [offset > 0, offset + ROWS < found.count], buttons = [this.earlier, this.later];
      // The focus does not stay on a button that can do nothing: on the other one, if that can.
      buttons.forEach((button, k) => { if (button === document.activeElement && !able[k] && able[1 - k]) { buttons[1 - k].disabled = false; buttons[1 - k].focus(); } });
      buttons.forEach((button, k) => { button.disabled = !able[k]; });
      this.counted.textContent = `${found.rows.length ? `${whole.format(offset + 1)} to ${whole.format(offset + found.rows.length)}` : "none"} of ${whole.format(found.count)}${county ? "; medians of tracts" : ""}`;
    }

    async fromTable(one, county) {
      if (!county) this.choose({ unit: one.code }, true);
      const turn = ++this.searched;
      try {
        const { places } = await geomob.json("results/search", { ...this.first.shapes.query, q: one.code });
        const place = places.find(({ code }) => code === one.code);
        if (turn !== this.searched || !place?.box.length) return;
        const [left, bottom, right, top] = place.box;
        this.first.map.fit({ left, bottom, right, top }, county ? 1.3 : 6);
      } catch (error) {
        geomob.problem(error.message);
      }
    }
  }

  geomob.tab("results", {
    start(root) {
      this.page = new Results(root);
      this.page.start();
    },
    show() { if (this.page && this.page.a) this.page.follow(); },
  });
})();
