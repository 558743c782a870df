/* The shell of the page: tabs, the state in the URL's fragment, and requests to its own server by relative addresses. */
"use strict";

(() => {
  const parts = new Map();
  const listeners = new Set();
  let shown = null;

  // State ---------------------------------------------------------------------------------------

  const read = () => new URLSearchParams(location.hash.slice(1));

  const state = {
    get(name, otherwise = null) {
      const found = read().get(name);
      return found === null ? otherwise : found;
    },
    /** Change some values (null removes one); a link to the page then shows the same. */
    set(changes, { replace = true } = {}) {
      const values = read();
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === undefined || value === "") values.delete(name);
        else values.set(name, String(value));
      }
      const hash = `#${values}`;
      if (hash === location.hash || (hash === "#" && !location.hash)) return;
      history[replace ? "replaceState" : "pushState"](null, "", hash);
      tell();
    },
    /** Call a function after every change. */
    listen(callback) {
      listeners.add(callback);
      return () => listeners.delete(callback);
    },
  };

  function tell() {
    for (const callback of listeners) callback(state);
    choose(state.get("tab"));
  }

  // Requests ------------------------------------------------------------------------------------

  /** The relative address of something of this page; values that are null are left out. */
  function address(path, query = {}) {
    const values = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) values.set(name, String(value));
    }
    const store = state.get("store");
    if (store && !values.has("store")) values.set("store", store);
    const text = values.toString();
    return `geomob/${path}${text ? `?${text}` : ""}`;
  }

  class Failed extends Error {
    constructor(message, status) {
      super(message);
      this.status = status;
    }
  }

  async function answer(path, query, options) {
    let found;
    try {
      found = await fetch(address(path, query), { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failed("the scheduler does not answer: it has ended, or the connection is gone", 0);
    }
    if (!found.ok) {
      const plain = await found.json().catch(() => ({}));
      throw new Failed(plain.error || `${found.status} ${found.statusText}`, found.status);
    }
    return found;
  }

  const json = async (path, query, options) => (await answer(path, query, options)).json();
  const bytes = async (path, query, options) => (await answer(path, query, options)).arrayBuffer();

  // Elements ------------------------------------------------------------------------------------

  /** An element with attributes and children; texts become text nodes. */
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  /** Give a place other children. The focus is not lost with the old ones: it stays on what has the same `data-key`. */
  function replaced(place, ...children) {
    const had = document.activeElement, inside = had !== place && place.contains(had);
    place.replaceChildren(...children);
    if (!inside) return;
    const able = [...place.querySelectorAll("button:not(:disabled), summary, [tabindex='0']")];
    (able.find((one) => one.dataset.key === had.dataset.key) ?? able[0])?.focus({ preventScroll: true });
  }

  const loaded = new Map();

  function script(name) {
    if (!loaded.has(name)) {
      loaded.set(name, new Promise((resolve, reject) => {
        const made = element("script", { src: `geomob/static/${name}` });
        made.onload = resolve;
        made.onerror = () => {
          loaded.delete(name);
          reject(new Failed(`${name} could not be loaded`, 0));
        };
        document.head.append(made);
      }));
    }
    return loaded.get(name);
  }

  /** BokehJS, with what its charts need; loaded once, when it is first asked for. */
  async function bokeh() {
    await script("bokeh.min.js");
    await script("bokeh-api.min.js");
    return window.Bokeh;
  }

  function problem(text) {
    const where = document.getElementById("gm-problem");
    where.textContent = text || "";
    where.hidden = !text;
  }

  // Tabs ----------------------------------------------------------------------------------------

  const buttons = () => [...document.querySelectorAll(".gm-tabs [role=tab]")];

  function choose(name) {
    const known = buttons().map((button) => button.dataset.part);
    const chosen = known.includes(name) ? name : known[0];
    if (chosen === shown || !parts.has(chosen)) return;
    for (const button of buttons()) {
      const here = button.dataset.part === chosen;
      button.setAttribute("aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !here;
    }
    const before = parts.get(shown);
    shown = chosen;
    if (before && before.started && before.hide) before.hide();
    const part = parts.get(chosen);
    if (!part.started) {
      part.started = true;
      part.start(document.getElementById(`gm-part-${chosen}`));
    }
    if (part.show) part.show();
  }

  /** Name what a tab does: start(element) once, when it is first shown; show() and hide() whenever it is. */
  function tab(name, part) {
    parts.set(name, { ...part, started: false });
  }

  async function stores() {
    const about = await json("about");
    const select = document.getElementById("gm-store");
    const name = document.getElementById("gm-store-name");
    const chosen = about.stores.find((one) => one.id === state.get("store")) || about.stores[0];
    if (about.stores.length > 1) {
      for (const one of about.stores) {
        select.append(element("option", { value: one.id, selected: one === chosen }, one.url));
      }
      select.parentElement.hidden = false;
      select.addEventListener("change", () => {
        state.set({ store: select.value });
        location.reload();
      });
    } else {
      name.textContent = chosen ? `Store ${chosen.url}` : "No store";
    }
    return about;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of buttons()) {
      button.addEventListener("click", () => state.set({ tab: button.dataset.part }, { replace: false }));
      button.addEventListener("keydown", (event) => {
        const all = buttons();
        const here = all.indexOf(button);
        const to = { ArrowRight: here + 1, ArrowLeft: here - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
        if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        const next = all[to % all.length];
        next.focus();
        next.click();
      });
    }
    // Links of the dashboard's bar that open a menu.
    for (const link of document.querySelectorAll("[data-menu]")) {
      link.addEventListener("click", (event) => event.preventDefault());
    }
    for (const link of document.querySelectorAll(".navbar a[href=geomob]")) {
      link.closest("li").classList.add("active");
      link.setAttribute("aria-current", "page");
    }
    addEventListener("hashchange", tell);
    document.title = "GeoMob – Dask";
    geomob.about = stores().catch((error) => {
      problem(error.message);
      return { stores: [], scheduler: "", problem: error.message };
    });
    choose(state.get("tab"));
  });

  window.geomob = { tab, state, json, bytes, address, element, replaced, bokeh, problem, Failed };
})();
