// Tables are sorted by a click on a column's title; once more turns the order round.
for (const head of document.querySelectorAll(".table th")) {
  head.addEventListener("click", () => {
    const place = head.cellIndex, body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[place].dataset.value;
    const falling = head.dataset.falling === "yes" ? -1 : 1;
    head.dataset.falling = falling > 0 ? "yes" : "no";
    body.append(...Array.from(body.rows).sort((a, b) => falling * (value(a) === undefined
      ? a.cells[place].textContent.localeCompare(b.cells[place].textContent) : value(b) - value(a))));
  });
}
