"use strict";
// Files of maps: their names, and buttons below a map of a report.

const fileName = (title) =>
  (title.normalize("NFD").replace(/[^A-Za-z0-9]+/g, "-").slice(0, 60).replace(/^-|-$/g, "") || "map").toLowerCase();

// Adds buttons that save what is in view, with the titles of the page and of the figure, a legend and the section's source.
// `legend` returns what `TractMap.legend` does.
function offerFiles(map, legend) {
  const figure = map.element.closest("figure"), line = document.createElement("p"), label = document.createElement("span");
  const text = (of, selector) => of?.querySelector(selector)?.textContent.trim() ?? "";
  label.textContent = "Save what is in view";
  line.className = "save";
  line.append(label, ...["png", "svg"].map((kind) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind.toUpperCase();
    button.addEventListener("click", async () => {
      const [title, about] = [text(document, "h1"), text(figure, "figcaption")];
      const texts = {title, subtitle: about, legend: legend(), source: text(figure.closest("section"), ".source")};
      map.save(await map[kind](texts), `${fileName(`${title} ${about.split(":")[0]}`)}.${kind}`);
    });
    return button;
  }));
  figure.append(line);
}
