// The numbers of a plot as a table, made when it is opened: a page holds them once, as the plot's data.
function numbers(figures, {model}) {
  const shown = (value) => typeof value === "number"
    ? Number.isFinite(value) ? value.toLocaleString("en-US", {maximumFractionDigits: Math.abs(value) < 10 ? 4 : 1}) : "—"
    : value ?? "—";
  for (const {id, columns, sources} of figures) {
    const details = document.querySelector(`details[data-of="${id}"]`);
    const list = () => {
      if (!details.open) return;
      details.querySelector(".table")?.remove();
      const rows = sources.flatMap((name) => {
        const {data} = model(name), length = data[columns[0][0]].length;
        return Array.from({length}, (_, row) => columns.map(([column]) => data[column][row]));
      });
      details.append(table(columns.map(([, title]) => title), rows, shown));
    };
    details.addEventListener("toggle", list);
    for (const name of sources) model(name).properties.data.change.connect(list);
  }
}
