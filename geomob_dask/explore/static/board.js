/* The grid of a run: product, year and state, in canvases of its own, with every output reachable by mouse, touch and keys. */
"use strict";

(() => {
  const { element, state } = geomob;

  // A letter an output; colours are told apart by the colour-blind, and every one but "done" and "to do" has a mark.
  const KINDS = {
    d: { name: "done", fill: "#1b6ca8", ink: "#fff", text: "in the store, up to date" },
    r: { name: "running", fill: "#f5c518", ink: "#1d2530", text: "a worker computes it now" },
    w: { name: "whole", fill: "#cfe3f3", ink: "#1b6ca8", text: "computed, committed with the rest of its year" },
    f: { name: "failed", fill: "#c2410c", ink: "#fff", text: "failed; the reason stands with it" },
    x: { name: "refused", fill: "#4b5563", ink: "#fff", text: "what the store holds does not allow it" },
    s: { name: "stale", fill: "#a8cfe6", ink: "#1d2530", text: "in the store, from other inputs, options or versions" },
    t: { name: "to do", fill: "#fff", ink: "#8b95a1", text: "not computed yet" },
  };
  const NARROW = 700;
  // Height of the dashboard's own bar, which stays above the page.
  const BAR = 52;
  // Milliseconds between two looks at a run that runs, at one that has ended, and at the list of runs.
  const LIVE = 1000, STILL = 5000, LIST = 4000;

  const number = new Intl.NumberFormat("en-US");
  const plural = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 1) return `${seconds.toFixed(2)} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} h`;
    return `${Math.round(seconds / 86400)} days`;
  }

  const bytes = (size) => (size < 2 ** 20 ? `${(size / 2 ** 10).toFixed(1)} KiB` : `${number.format(Math.round(size / 2 ** 20))} MiB`);

  /** A time of a run as people read it: seconds since 1970, or the journal's text, which is UTC. */
  function moment(when) {
    if (!when) return "";
    const date = typeof when === "number" ? new Date(when * 1000) : new Date(`${when.replace(" ", "T")}Z`);
    if (Number.isNaN(date.getTime())) return String(when);
    const text = date.toISOString();
    return `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
  }

  // Drawing of one cell --------------------------------------------------------------------------

  function cell(context, letter, x, y, width, height) {
    const kind = KINDS[letter] || KINDS.t;
    context.fillStyle = kind.fill;
    context.fillRect(x, y, width, height);
    context.strokeStyle = letter === "t" ? "#b4bcc6" : kind.ink;
    context.fillStyle = kind.ink;
    const middle = [x + width / 2, y + height / 2], size = Math.max(2, Math.min(width, height) * 0.28);
    context.lineWidth = Math.max(1.4, size * 0.45);
    context.beginPath();
    if (letter === "t") {
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    } else if (letter === "r") {
      context.moveTo(middle[0] - size * 0.7, middle[1] - size);
      context.lineTo(middle[0] + size, middle[1]);
      context.lineTo(middle[0] - size * 0.7, middle[1] + size);
      context.fill();
    } else if (letter === "f") {
      context.moveTo(middle[0] - size, middle[1] - size);
      context.lineTo(middle[0] + size, middle[1] + size);
      context.moveTo(middle[0] + size, middle[1] - size);
      context.lineTo(middle[0] - size, middle[1] + size);
      context.stroke();
    } else if (letter === "x") {
      context.moveTo(middle[0] - size, middle[1]);
      context.lineTo(middle[0] + size, middle[1]);
      context.stroke();
    } else if (letter === "s") {
      context.moveTo(x, y + height);
      context.lineTo(x + width, y);
      context.lineTo(x + width, y + height);
      context.fill();
    } else if (letter === "w") {
      context.arc(middle[0], middle[1], size * 0.8, 0, 2 * Math.PI);
      context.fill();
    }
  }

  function swatch(letter) {
    const made = element("canvas", { width: 32, height: 32, class: "gm-swatch", "aria-hidden": "true" });
    cell(made.getContext("2d"), letter, 2, 2, 28, 28);
    return made;
  }

  // One product ----------------------------------------------------------------------------------

  /** The grid of one product: years by states; years beside each other where the screen is narrow. */
  class Grid {
    constructor(board, product, groups, names) {
      this.board = board;
      this.product = product;
      this.names = names;
      this.years = [...new Set(groups.map((group) => group.year))].sort((a, b) => b - a);
      this.states = [...new Set(groups.flatMap((group) => group.states))].sort();
      this.places = new Map();
      for (const group of groups) {
        group.states.forEach((code, place) => {
          const key = `${group.year} ${code}`;
          if (!this.places.has(key)) this.places.set(key, []);
          this.places.get(key).push([group.number, place]);
        });
      }
      this.groups = groups;
      this.cursor = null;
      this.canvas = element("canvas", {
        tabindex: "0",
        role: "application",
        "aria-roledescription": "grid of outputs",
        "aria-label": `${product}: years and states; arrow keys move, Enter keeps the details`,
      });
      this.counts = element("span", { class: "gm-soft" });
      this.frame = element(
        "details",
        { class: "gm-product", open: true },
        element("summary", {}, element("strong", {}, product), " ", this.counts),
        element("div", { class: "gm-canvas" }, this.canvas),
      );
      this.frame.addEventListener("toggle", () => this.draw());
      this._listen();
    }

    code(state_) {
      const names = this.names[state_];
      return names ? names[0] : state_;
    }

    _size() {
      const width = this.board.width();
      const single = this.states.length === 1;
      // Few states: years go along the longer side.
      this.turned = single || width < NARROW;
      const columns = this.turned ? this.years : this.states;
      const rows = this.turned ? this.states : this.years;
      const label = this.turned ? 36 : 46;
      const narrow = width < NARROW;
      const most = this.turned ? 42 : 26, least = this.turned ? 20 : 13;
      const step = Math.max(least, Math.min(most, Math.floor((width - label - 2) / Math.max(1, columns.length))));
      const height = narrow ? 22 : Math.max(16, Math.min(20, step));
      return { columns, rows, label, step, height, head: 18 };
    }

    /** The outputs of a cell: one of each group of its product and year that has the state. */
    outputs(column, row) {
      const { columns, rows } = this.size;
      const [year, code] = this.turned ? [columns[column], rows[row]] : [rows[row], columns[column]];
      return { year, code, found: this.places.get(`${year} ${code}`) || [] };
    }

    letterOf(found) {
      // Of several outputs in one cell the one that wants to be seen.
      const letters = found.map(([group, place]) => this.board.letter(group, place));
      return ["f", "x", "r", "s", "w", "t", "d"].find((letter) => letters.includes(letter));
    }

    draw() {
      this._count();
      if (!this.frame.open) return;
      this.size = this._size();
      const { columns, rows, label, step, height, head } = this.size;
      const width = label + columns.length * step + 2, tall = head + rows.length * height + 2;
      const ratio = window.devicePixelRatio || 1;
      if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(tall * ratio)) {
        this.canvas.width = Math.round(width * ratio);
        this.canvas.height = Math.round(tall * ratio);
        this.canvas.style.width = `${width}px`;
        this.canvas.style.height = `${tall}px`;
      }
      const context = this.canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, tall);
      context.fillStyle = "#3d4753";
      context.textBaseline = "middle";
      const small = step < 15 ? 9 : 11;
      context.font = `${small}px Helvetica, Arial, sans-serif`;
      context.textAlign = "center";
      const every = this.turned && step < 28 ? (year) => `’${String(year).slice(-2)}` : String;
      columns.forEach((column, place) => {
        const text = this.turned ? (column ? every(column) : "–") : this.code(column);
        context.fillText(text, label + place * step + step / 2, head / 2);
      });
      context.font = "11px Helvetica, Arial, sans-serif";
      context.textAlign = "right";
      rows.forEach((row, place) => {
        const text = this.turned ? this.code(row) : row || "–";
        context.fillText(text, label - 6, head + place * height + height / 2);
      });
      for (let row = 0; row < rows.length; row++) {
        for (let column = 0; column < columns.length; column++) {
          const letter = this.letterOf(this.outputs(column, row).found);
          if (letter) cell(context, letter, label + column * step + 1, head + row * height + 1, step - 2, height - 2);
        }
      }
      if (this.cursor && document.activeElement === this.canvas) this._outline(context, this.cursor, "#0b5cad", 3);
      const chosen = this.board.chosen;
      if (chosen && chosen.grid === this) this._outline(context, chosen.at, "#1d2530", 2);
    }

    _outline(context, [column, row], color, width) {
      const { label, step, height, head } = this.size;
      context.strokeStyle = color;
      context.lineWidth = width;
      context.strokeRect(label + column * step, head + row * height, step, height);
    }

    _count() {
      const found = {};
      let all = 0;
      for (const group of this.groups) {
        for (const letter of this.board.letters[group.number] || "") {
          found[letter] = (found[letter] || 0) + 1;
          all += 1;
        }
      }
      const others = Object.keys(KINDS).filter((letter) => letter !== "d" && found[letter]);
      const words = others.map((letter) => `${number.format(found[letter])} ${KINDS[letter].name}`);
      this.counts.textContent = [`${number.format(found.d || 0)} of ${number.format(all)} done`, ...words].join(", ");
    }

    at(event) {
      const box = this.canvas.getBoundingClientRect();
      const { columns, rows, label, step, height, head } = this.size;
      const column = Math.floor((event.clientX - box.left - label) / step);
      const row = Math.floor((event.clientY - box.top - head) / height);
      if (column < 0 || row < 0 || column >= columns.length || row >= rows.length) return null;
      return [column, row];
    }

    /** Where a cell is on the screen. */
    box([column, row]) {
      const box = this.canvas.getBoundingClientRect();
      const { label, step, height, head } = this.size;
      return { left: box.left + label + column * step, top: box.top + head + row * height, width: step, height };
    }

    _listen() {
      const canvas = this.canvas;
      canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType === "touch") return;
        const at = this.at(event);
        if (at && this.outputs(...at).found.length) this.board.show(this, at);
        else this.board.hide();
      });
      canvas.addEventListener("pointerleave", () => this.board.hide());
      canvas.addEventListener("click", (event) => {
        const at = this.at(event);
        if (!at || !this.outputs(...at).found.length) return;
        this.cursor = at;
        this.board.choose(this, at);
      });
      canvas.addEventListener("focus", () => {
        if (!this.cursor) this.cursor = [0, 0];
        if (canvas.matches(":focus-visible")) this.board.show(this, this.cursor, true);
        this.draw();
      });
      canvas.addEventListener("blur", () => {
        this.board.hide();
        this.draw();
      });
      canvas.addEventListener("keydown", (event) => this._key(event));
    }

    _key(event) {
      const { columns, rows } = this.size;
      const [column, row] = this.cursor || [0, 0];
      const moved = {
        ArrowRight: [column + 1, row],
        ArrowLeft: [column - 1, row],
        ArrowDown: [column, row + 1],
        ArrowUp: [column, row - 1],
        Home: [0, row],
        End: [columns.length - 1, row],
        PageUp: [column, 0],
        PageDown: [column, rows.length - 1],
      }[event.key];
      if (moved) {
        event.preventDefault();
        const inside = (value, most) => Math.max(0, Math.min(most - 1, value));
        this.cursor = [inside(moved[0], columns.length), inside(moved[1], rows.length)];
        this.draw();
        const box = this.box(this.cursor);
        if (box.top < 60) scrollBy(0, box.top - 80);
        else if (box.top + box.height > innerHeight) scrollBy(0, box.top + box.height - innerHeight + 20);
        this.board.show(this, this.cursor, true);
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.board.choose(this, this.cursor || [0, 0]);
      } else if (event.key === "Escape") {
        this.board.hide();
      }
    }
  }

  // The board ------------------------------------------------------------------------------------

  class Board {
    constructor(root) {
      this.root = root;
      this.letters = [];
      this.grids = [];
      this.running = new Map();
      this.details = new Map();
      this.chosen = null;
      // Not looked for yet; null is none.
      this.run = undefined;
      this.plan = null;
      this.visible = true;
      this.timer = null;
      this._build();
      state.listen(() => this._pick() && this._again(0));
      addEventListener("resize", () => {
        cancelAnimationFrame(this.frame);
        this.frame = requestAnimationFrame(() => this._draw());
      });
      addEventListener("scroll", () => this.shown && this._placeTip(this.shown), { passive: true });
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden) this._again(0);
      });
    }

    width() {
      return this.where.clientWidth;
    }

    letter(group, place) {
      return (this.letters[group] || "")[place] || "t";
    }

    _build() {
      this.select = element("select", { id: "gm-run" });
      this.select.addEventListener("change", () => {
        state.set({ run: this.select.value || null, output: null }, { replace: false });
      });
      this.summary = element("p", { class: "gm-summary", role: "status" });
      this.about = element("p", { class: "gm-soft gm-about" });
      this.bar = element("div", { class: "gm-bar", role: "img" });
      this.legend = element("ul", { class: "gm-legend", "aria-label": "Colors and marks" });
      this.where = element("div", { class: "gm-grids" });
      this.detail = element("section", { class: "gm-detail", "aria-label": "Output" });
      this.runs = element("section", { class: "gm-running", "aria-label": "Running" });
      this.failed = element("details", { class: "gm-failures", hidden: true });
      this.stream = element("details", { class: "gm-stream" }, element("summary", {}, "Dask’s task stream"));
      this.stream.addEventListener("toggle", () => this._stream());
      this.table = element("details", { class: "gm-table" }, element("summary", {}, "As a table"));
      this.table.addEventListener("toggle", () => this._table());
      this.tip = element("div", { class: "gm-tip", id: "gm-tip", hidden: true });
      this.spoken = element("div", { class: "gm-hidden", "aria-live": "polite" });
      this.root.append(
        element("div", { class: "gm-choice" }, element("label", { for: "gm-run" }, "Run "), this.select),
        this.summary,
        this.bar,
        this.about,
        this.legend,
        element(
          "div",
          { class: "gm-columns" },
          element("div", { class: "gm-main" }, this.where, this.table),
          element("div", { class: "gm-side" }, this.detail, this.failed, this.stream, this.runs),
        ),
        this.tip,
        this.spoken,
      );
      this._empty();
      geomob.about.then((about) => {
        this.stream.hidden = !about.scheduler;
        this.stream.open = Boolean(about.scheduler) && this.root.clientWidth >= 1000;
      });
    }

    _empty() {
      this.detail.replaceChildren(
        element("h3", {}, "Output"),
        element("p", { class: "gm-soft" }, "Point at a cell, tap it, or move to it with the arrow keys."),
      );
    }

    // What there is ---------------------------------------------------------------------------

    show_() {
      this.visible = true;
      this._again(0);
    }

    hide_() {
      this.visible = false;
      clearTimeout(this.timer);
    }

    _again(wait) {
      clearTimeout(this.timer);
      if (this.visible) this.timer = setTimeout(() => this._look(), wait);
    }

    async _look() {
      if (document.hidden) return;
      let wait = STILL;
      try {
        if (!this.listed || performance.now() - this.listed > LIST) {
          await this._list();
          this.listed = performance.now();
        }
        if (this.run) wait = (await this._now()) ? LIVE : STILL;
        geomob.problem("");
      } catch (error) {
        if (error.status === 404 && this.run) {
          // It is not known any more: the scheduler began anew, or the run was forgotten.
          this.listed = 0;
          this.run = this.plan = null;
          if (state.get("run")) state.set({ run: null, output: null });
          wait = LIVE;
        } else {
          geomob.problem(`${error.message}. What is shown is of ${this.seen || "no time"}.`);
        }
      }
      this._again(wait);
    }

    async _list() {
      const [live, kept] = await Promise.all([
        geomob.json("runs/live").catch((error) => (error.status === 404 ? [] : Promise.reject(error))),
        geomob.json("runs/kept").catch((error) => {
          if (error.status === 0) throw error;
          this.unkept = error.message;
          return [];
        }),
      ]);
      this.live = live;
      this.kept = kept;
      const about = (run) =>
        run.alive ? `running since ${moment(run.began)}` : run.outcome ? `${run.outcome}, ${moment(run.ended)}` : "not running";
      const options = [element("option", { value: "" }, "The newest run")];
      const group = (label, runs, prefix, text) => {
        if (!runs.length) return;
        const made = element("optgroup", { label });
        for (const run of runs) made.append(element("option", { value: `${prefix}:${run.name}` }, text(run)));
        options.push(made);
      };
      group("Runs of this scheduler", live, "live", (run) => `${run.title}: ${about(run)}, ${plural(run.outputs, "output")}`);
      group("Backfills of the store", kept, "kept", (run) => `${run.name}: ${about(run)}`);
      const text = options.map((one) => one.textContent).join("|");
      if (text !== this.optionsText) {
        this.optionsText = text;
        this.select.replaceChildren(...options);
      }
      this._pick();
    }

    /** Choose the run that the address names, else the newest; return whether it is another one, to be looked at. */
    _pick() {
      if (!this.live) return false;
      const known = [...this.live.map((run) => `live:${run.name}`), ...this.kept.map((run) => `kept:${run.name}`)];
      const asked = state.get("run");
      const alive = this.live.find((run) => run.alive);
      const newest = alive ? `live:${alive.name}` : known[0] || null;
      const chosen = known.includes(asked) ? asked : newest;
      this.select.value = known.includes(asked) ? asked : "";
      if (chosen === this.run) return false;
      this.run = chosen;
      this.plan = null;
      this.chosen = null;
      this._empty();
      if (!chosen) this._nothing();
      return Boolean(chosen);
    }

    _nothing() {
      this.letters = [];
      this.grids = [];
      this.where.replaceChildren();
      this.bar.replaceChildren();
      this.legend.replaceChildren();
      this.failed.hidden = true;
      this.runs.replaceChildren();
      this.summary.textContent = "No run yet.";
      this.about.textContent = this.unkept
        ? `Backfills of the store are not known: ${this.unkept}`
        : "A job that uses this scheduler, and every backfill of the store, is shown here.";
    }

    _path(what) {
      const [kind, ...name] = this.run.split(":");
      return `runs/${kind}/${encodeURIComponent(name.join(":"))}/${what}`;
    }

    async _now() {
      const run = this.run;
      const now = await geomob.json(this._path("now"));
      if (run !== this.run) return true;
      const unplanned = () =>
        !this.plan || this.plan.groups.length !== now.letters.length || this.plan.name !== now.name || this.plan.run !== now.run;
      if (unplanned()) {
        const plan = await geomob.json(this._path("plan"));
        if (run !== this.run) return true;
        // Another look may have brought it meanwhile: a second grid would lose the focus and the tooltip.
        if (unplanned()) this._planned(plan);
      }
      const changed = this.letters.join(",") !== now.letters.join(",");
      this.letters = now.letters;
      this.running = new Map(now.running.map((one) => [`${one.group} ${one.place}`, one]));
      this.seen = new Date().toISOString().slice(11, 19) + " UTC";
      this._summarize(now);
      this._running(now);
      if (changed) {
        this.details.clear();
        this._draw();
        if (this.table.open) this._table();
        const failed = (now.counts.failed || 0) + (now.counts.refused || 0);
        if (failed !== this.failures || this.failuresOf !== run) await this._failures(failed, run);
      }
      if (this.chosen) this._detail(this.chosen);
      if (this.shown) this._fill(this.shown);
      return now.alive;
    }

    _planned(plan) {
      this.plan = plan;
      this.letters = [];
      this.failures = null;
      const products = new Map();
      plan.groups.forEach((group, place) => {
        if (!products.has(group.product)) products.set(group.product, []);
        products.get(group.product).push({ ...group, number: place });
      });
      this.grids = [...products].map(([product, groups]) => new Grid(this, product, groups, plan.states));
      this.where.replaceChildren(...this.grids.map((grid) => grid.frame));
      if (this.width() < NARROW) this.grids.forEach((grid, place) => { grid.frame.open = place === 0; });
      this._restore();
    }

    /** Choose the output that the address names. */
    _restore() {
      const asked = state.get("output");
      for (const grid of asked ? this.grids : []) {
        grid.size = grid._size();
        for (let row = 0; row < grid.size.rows.length; row++) {
          for (let column = 0; column < grid.size.columns.length; column++) {
            const { year, code, found } = grid.outputs(column, row);
            if (found.length && `${grid.product}-${year}-${code}` === asked) {
              grid.frame.open = true;
              this.chosen = { grid, at: [column, row] };
            }
          }
        }
      }
    }

    _draw() {
      for (const grid of this.grids) grid.draw();
    }

    // Totals ------------------------------------------------------------------------------------

    _summarize(now) {
      const counts = now.counts;
      const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
      const words = [`${number.format(counts.done || 0)} of ${plural(all, "output")} done`];
      for (const name of ["running", "failed", "refused"]) {
        if (counts[name]) words.push(`${number.format(counts[name])} ${name}`);
      }
      let time = "";
      if (now.alive) {
        const left = now.left === null ? "the time left is not known yet" : `about ${duration(now.left)} left`;
        time = `; running for ${duration(now.ran)}, ${left}`;
      }
      this.summary.textContent = `${now.title}: ${words.join(", ")}${time}`;
      const about = [];
      if (now.began) about.push(`Began ${moment(now.began)}`);
      if (now.ended) about.push(`ended ${moment(now.ended)}: ${now.outcome}`);
      else if (!now.alive && now.began) about.push("no sign of life any more: its driver was killed, or is cut off");
      if (now.driver) about.push(`driver on ${now.driver}`);
      if (now.planned) about.push(`as planned ${moment(now.planned)}; the store was asked ${this.seen}`);
      if (now.told === false) about.push("its plan was not told to this scheduler in whole: the journal has it");
      this.about.textContent = about.join("; ");
      this.bar.replaceChildren();
      this.legend.replaceChildren();
      for (const [letter, kind] of Object.entries(KINDS)) {
        const count = counts[kind.name] || 0;
        if (count) {
          const part = element("span", { title: `${number.format(count)} ${kind.name}` });
          part.style.flexGrow = count;
          part.style.background = kind.fill;
          this.bar.append(part);
        }
        this.legend.append(
          element("li", { title: kind.text }, swatch(letter), `${kind.name} `, element("b", {}, number.format(count))),
        );
      }
      this.bar.setAttribute("aria-label", words.join(", "));
    }

    _running(now) {
      if (!now.alive && !now.running.length) return this.runs.replaceChildren();
      const rows = now.running.slice(0, 12).map((one) => {
        const group = this.plan.groups[one.group];
        const names = this.plan.states[group.states[one.place]];
        return element(
          "tr",
          {},
          element("td", {}, `${group.product} ${group.year || ""} ${names ? names[0] : group.states[one.place]}`),
          element("td", {}, one.worker || ""),
          element("td", { class: "gm-number" }, duration(one.seconds)),
        );
      });
      const head = ["Output", "Worker", "For"].map((name) => element("th", { scope: "col" }, name));
      const more = now.running.length - rows.length;
      this.runs.replaceChildren(
        element("h3", {}, `Running: ${number.format(now.running.length)}`),
        rows.length
          ? element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))
          : element("p", { class: "gm-soft" }, "No worker computes an output at this moment."),
        ...(more > 0 ? [element("p", { class: "gm-soft" }, `and ${number.format(more)} more`)] : []),
      );
      return undefined;
    }

    async _failures(count, run) {
      const found = count ? await geomob.json(this._path("failures")) : null;
      if (run !== this.run) return;
      this.failures = count;
      this.failuresOf = run;
      if (!found) {
        this.failed.hidden = true;
        return;
      }
      const items = found.failures.map((one) => {
        const names = element("span", {}, one.outputs.slice(0, 6).join(", "));
        const kind = Object.values(KINDS).find((each) => each.name === one.status);
        const item = element(
          "li",
          {},
          element("b", { class: "gm-badge" }, kind.name),
          " ",
          element("span", { class: "gm-reason" }, one.reason || "not known"),
          element("br"),
          element("span", { class: "gm-soft" }, `${plural(one.count, "output")}: `, names),
        );
        item.querySelector(".gm-badge").style.background = kind.fill;
        if (one.outputs.length > 6) {
          const more = element("button", { type: "button", class: "gm-more" }, `all ${number.format(one.count)}`);
          more.addEventListener("click", () => {
            const rest = one.count - one.outputs.length;
            names.textContent = one.outputs.join(", ") + (rest > 0 ? ` and ${number.format(rest)} more` : "");
            more.remove();
          });
          item.append(" ", more);
        }
        return item;
      });
      const more = found.reasons - found.failures.length;
      if (this.failed.hidden) this.failed.open = this.root.clientWidth >= 1000;
      this.failed.hidden = false;
      this.failed.replaceChildren(
        element("summary", {}, `Failures: ${plural(found.outputs, "output")}, ${plural(found.reasons, "reason")}`),
        element("ul", { tabindex: "0", "aria-label": "Reasons" }, ...items),
        ...(more > 0 ? [element("p", {}, `and ${number.format(more)} more reasons`)] : []),
        ...(found.folder
          ? [element("p", { class: "gm-soft gm-path" }, "Recorded in ", element("code", {}, found.folder), ", a file of each output’s name.")]
          : []),
      );
    }

    _stream() {
      if (!this.stream.open || this.stream.querySelector("iframe")) return;
      this.stream.append(
        element("iframe", { src: "individual-task-stream", title: "Task stream of this scheduler", loading: "lazy" }),
      );
    }

    _table() {
      if (!this.table.open || !this.plan) return;
      const kinds = Object.entries(KINDS);
      const head = ["Product", "Year", ...kinds.map(([, kind]) => kind.name)];
      const rows = this.plan.groups.map((group, place) => {
        const letters = this.letters[place] || "";
        const counts = kinds.map(([letter]) => letters.split(letter).length - 1);
        return element(
          "tr",
          {},
          element("th", { scope: "row" }, group.product),
          element("td", {}, String(group.year || "–")),
          ...counts.map((count) => element("td", { class: "gm-number" }, count ? number.format(count) : "–")),
        );
      });
      const made = element(
        "div",
        { class: "gm-scroll", tabindex: "0", role: "region", "aria-label": "Outputs by product and year" },
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
          element("tbody", {}, ...rows),
        ),
      );
      const old = this.table.querySelector(".gm-scroll");
      if (old) old.replaceWith(made);
      else this.table.append(made);
    }

    // One output --------------------------------------------------------------------------------

    /** Lines on the outputs of a cell; what the server knows of them is fetched, and fills in when it is there. */
    _texts({ grid, at }) {
      const { year, code, found } = grid.outputs(...at);
      const names = this.plan.states[code];
      const place = names ? names[1] : code === "all" ? "all states" : code;
      const title = [grid.product, year || null, place].filter(Boolean).join(", ");
      const outputs = found.map(([group, place_]) => this._known(group, place_));
      return { title, name: `${grid.product}-${year}-${code}`, outputs };
    }

    _known(group, place) {
      const key = `${group} ${place}`;
      const letter = this.letter(group, place);
      const kept = this.details.get(key);
      const now = this.running.get(key);
      const known = { letter, status: KINDS[letter].name, ...(kept ? kept.output : {}) };
      if (now) {
        known.status = "running";
        known.worker = now.worker || known.worker;
        known.ran = now.seconds === null ? known.ran : now.seconds;
      }
      return { ...known, key, group, place, fetched: Boolean(kept) };
    }

    async _fetch(where) {
      const run = this.run;
      const missing = this._texts(where).outputs.filter((output) => !output.fetched || output.status === "running");
      await Promise.all(
        missing.map(async ({ key, group, place }) => {
          const output = await geomob.json(this._path("output"), { group, place });
          if (run === this.run) this.details.set(key, { output });
        }),
      ).catch(() => undefined);
    }

    _lines(output) {
      const lines = [];
      const say = (name, value) => value && lines.push([name, value]);
      say("Status", output.handed ? "to do: handed to the scheduler, waits for a worker" : output.status);
      say(output.status === "failed" || output.status === "refused" ? "Reason" : "Last failure", output.reason);
      say("Recorded in", output.file);
      say("Worker", output.worker);
      if (output.attempt > 1) say("Attempts", String(output.attempt));
      say("Has run for", output.ran === null || output.ran === undefined ? output.since && `since ${moment(output.since)}` : duration(output.ran));
      if (output.left !== null && output.left !== undefined) say("Still", output.left < 1 ? "any moment" : `about ${duration(output.left)}`);
      if (output.seconds !== null && output.seconds !== undefined) say("Took", duration(output.seconds));
      if (output.size) say("Inputs", bytes(output.size));
      say("Collection", output.collection);
      return lines;
    }

    _content(where, heading) {
      const { title, outputs } = this._texts(where);
      const made = [element(heading, {}, title)];
      for (const output of outputs) {
        const list = element("dl", {});
        for (const [name, value] of this._lines(output)) {
          list.append(element("dt", {}, name), element("dd", {}, value));
        }
        made.push(list);
      }
      return made;
    }

    /** Show the tooltip of a cell; `spoken`: also say it. */
    show(grid, at, spoken = false) {
      const same = this.shown && this.shown.grid === grid && String(this.shown.at) === String(at);
      if (same && !spoken) return;
      const where = { grid, at };
      this.shown = where;
      this._fill(where);
      clearTimeout(this.waiting);
      this.waiting = setTimeout(async () => {
        await this._fetch(where);
        if (this.shown !== where) return;
        this._fill(where);
        if (spoken) {
          const { title, outputs } = this._texts(where);
          const said = outputs.map((output) => this._lines(output).slice(0, 4).map(([name, value]) => `${name} ${value}`).join(", "));
          this.spoken.textContent = outputs.length ? `${title}: ${said.join("; ")}` : `${title}: no output`;
        }
      }, 120);
    }

    _fill(where) {
      this.tip.replaceChildren(...this._content(where, "strong"));
      this.tip.hidden = !this._texts(where).outputs.length;
      if (!this.tip.hidden) this._placeTip(where);
    }

    /** Put the tooltip below or above its cell, on a phone below or above the whole grid if there is room, within the window. */
    _placeTip(where) {
      const { left: from, top: above, width: step, height: tall } = where.grid.box(where.at);
      const cell = { top: above, bottom: above + tall }, [first, last] = [BAR, innerHeight - 6];
      if (cell.bottom < first || cell.top > last) return this.hide();
      const { style } = this.tip, narrow = this.width() < NARROW;
      style.maxHeight = "";
      const { width, height } = this.tip.getBoundingClientRect(), wide = document.documentElement.clientWidth;
      let left = narrow ? from : from + step + 8;
      if (!narrow && left + width > wide - 6) left = from - width - 8;
      let top = null;
      for (const around of narrow ? [where.grid.canvas.getBoundingClientRect(), cell] : [cell]) {
        if (around.bottom + 8 + height <= last) top = around.bottom + 8;
        else if (around.top - 8 - height >= first) top = around.top - 8 - height;
        if (top !== null) break;
      }
      if (top === null) {
        // What does not fit is below the grid, once the cell is chosen.
        const [over, under] = [cell.top - 8 - first, last - cell.bottom - 8];
        top = under >= over ? cell.bottom + 8 : first;
        style.maxHeight = `${Math.max(over, under)}px`;
      }
      style.left = `${Math.max(6, Math.min(left, wide - width - 6))}px`;
      style.top = `${top}px`;
      return undefined;
    }

    hide() {
      clearTimeout(this.waiting);
      this.shown = null;
      this.tip.hidden = true;
    }

    /** Keep the details of a cell beside the grid. */
    async choose(grid, at) {
      this.chosen = { grid, at };
      const { name } = this._texts(this.chosen);
      state.set({ output: name });
      this._draw();
      await this._detail(this.chosen);
      if (this.width() < NARROW) this.show(grid, at);
    }

    async _detail(where) {
      await this._fetch(where);
      if (this.chosen !== where || !this.plan) return;
      this.detail.replaceChildren(...this._content(where, "h3"));
    }
  }

  let board = null;
  geomob.tab("runs", {
    start(where) {
      board = new Board(where);
    },
    show: () => board.show_(),
    hide: () => board.hide_(),
  });
})();
