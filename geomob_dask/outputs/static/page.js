"use strict";
const element = (id) => document.getElementById(id);
const read = (id) => { const text = element(id).textContent; element(id).remove(); return JSON.parse(text); };
// Two significant digits below one, as shares are; one decimal place otherwise.
const number = (value) => value.toLocaleString("en-US",
  value > -1 && value < 1 ? {maximumSignificantDigits: 2} : {maximumFractionDigits: 1});

// Draws the plots; returns Bokeh's views, and a function that finds a model by its name.
async function embed() {
  const {doc, places} = read("figures");
  if (doc === null) return {};
  const roots = {docid: "page", roots: places, root_ids: Object.keys(places)};
  keepTooltips();
  const [views] = await Bokeh.embed.embed_items({page: doc}, [roots]);
  return {views, model: (name) => Bokeh.documents[0].get_model_by_name(name)};
}

// Tooltips stay inside the window, in the page's type and colors: Bokeh lets wide ones stand out on the left and the right.
function keepTooltips() {
  const {TooltipView} = Bokeh.require("models/ui/tooltip"), place = TooltipView.prototype._reposition, margin = 6;
  const style = new CSSStyleSheet();
  style.replaceSync(`:host { max-width: min(360px, calc(100vw - ${2 * margin}px)); box-sizing: border-box; font-size: 12.5px; overflow-wrap: anywhere; }
    .bk-tooltip-row-label { color: #5b6977; text-align: left; padding-right: 8px; vertical-align: top; }`);
  TooltipView.prototype._reposition = function () {
    place.call(this);
    if (!this.el.isConnected) return;
    const sheets = this.el.shadowRoot.adoptedStyleSheets;
    if (!sheets.includes(style)) this.el.shadowRoot.adoptedStyleSheets = [...sheets, style];
    const box = this.el.getBoundingClientRect();
    const inside = (at, size, room) => Math.max(margin, Math.min(at, room - size - margin));
    this.el.style.left = `${inside(box.left, box.width, document.documentElement.clientWidth)}px`;
    this.el.style.top = `${inside(box.top, box.height, window.innerHeight)}px`;
  };
}

// A tap shows what a pointer above it would show, a tap elsewhere hides it: Bokeh's plots know hovering alone.
// Of a click not every browser says what made it.
let tapped = null, touched = false;
document.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; }, true);
document.addEventListener("click", (event) => {
  if (!touched) return;
  const area = event.composedPath().find((one) => one.classList?.contains("bk-events")) ?? null;
  const pointer = (type, to) => to?.dispatchEvent(new PointerEvent(type, {clientX: event.clientX, clientY: event.clientY,
    bubbles: true, composed: true, view: window, pointerType: "mouse", pointerId: 1, isPrimary: true}));
  if (tapped !== area) pointer("pointerout", tapped);
  pointer("pointerover", area);
  pointer("pointermove", area);
  tapped = area;
});
