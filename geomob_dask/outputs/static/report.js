// Columns of a table are sorted by a button in their head; once more turns the order round.
document.addEventListener("click", ({target}) => {
  const head = target.closest?.(".table th[scope=col]");
  if (!head) return;
  const place = head.cellIndex, body = head.closest("table").tBodies[0];
  const value = (row) => row.cells[place].dataset.value;
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  body.append(...Array.from(body.rows).sort((a, b) => (rising ? 1 : -1) * (value(a) === undefined
    ? a.cells[place].textContent.localeCompare(b.cells[place].textContent, "en", {numeric: true}) : value(a) - value(b))));
});
// A table of the page's kind, in a box that scrolls by itself.
function table(titles, rows, shown = String) {
  const box = document.createElement("div"), made = document.createElement("table"), head = made.createTHead().insertRow();
  Object.assign(box, {className: "table", tabIndex: 0});
  for (const title of titles) {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    button.type = "button";
    button.textContent = title;
    cell.append(button);
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = shown(value);
      if (typeof value === "number") cell.dataset.value = Number.isFinite(value) ? value : -Infinity;
    }
  }
  box.append(made);
  return box;
}
// One of several figures is shown.
for (const choice of document.querySelectorAll(".choice")) {
  const panels = Array.from(choice.children).filter((one) => one.classList.contains("panel"));
  const select = choice.querySelector(".choose select");
  select?.addEventListener("change", () => panels.forEach((panel, place) => { panel.hidden = place !== select.selectedIndex; }));
}
// Lists of the same things are chosen together, where both have the option.
document.addEventListener("change", ({target}) => {
  const word = target.dataset?.together;
  if (!word || target.dataset.following) return;
  for (const other of document.querySelectorAll(`select[data-together="${word}"]`)) {
    if (other === target || other.value === target.value || !Array.from(other.options).some(({value}) => value === target.value)) continue;
    other.value = target.value;
    other.dataset.following = "yes";
    other.dispatchEvent(new Event("change", {bubbles: true}));
    delete other.dataset.following;
  }
});
// Paper is narrower than a window: plots keep their width, and all is made smaller.
addEventListener("beforeprint", () => {
  const paper = 720, wide = Math.max(document.body.clientWidth, paper);
  document.body.style.setProperty("--window", `${wide}px`);
  document.body.style.setProperty("--shrink", paper / wide);
});
