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
  const [views] = await Bokeh.embed.embed_items({page: doc}, [roots]);
  return {views, model: (name) => Bokeh.documents[0].get_model_by_name(name)};
}
