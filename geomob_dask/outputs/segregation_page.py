"""One page in one HTML file that opens without a network: what the reports on mixing and segregation share."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from bokeh.embed import components
from bokeh.plotting import figure
from bokeh.resources import Resources

from geomob_dask.outputs.tables import written_whole

INK, SOFT, GRID = "#1c2733", "#5b6977", "#e6eaee"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; padding: 22px 28px 60px; max-width: 1240px; color: {ink};
  font: 15px/1.5 "Source Sans 3", "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
h1 {{ margin: 0; font-size: 25px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em; }}
h2 {{ margin: 38px 0 4px; font-size: 18px; font-weight: 650; }}
p {{ margin: 4px 0 12px; max-width: 76ch; color: {soft}; }}
.table {{ max-height: 440px; overflow: auto; border: 1px solid {grid}; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }}
th {{ position: sticky; top: 0; background: #f4f6f8; cursor: pointer; text-align: right; padding: 6px 12px; }}
td {{ padding: 3px 12px; text-align: right; border-top: 1px solid {grid}; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
.row {{ display: flex; flex-wrap: wrap; gap: 26px; align-items: flex-start; }}
</style>
<script>{bokeh}</script>
</head><body><h1>{heading}</h1><p>{subtitle}</p>
{sections}
{script}
<script>{sort}</script>
</body></html>
"""

_SORT = """
for (const head of document.querySelectorAll("th")) {
  head.addEventListener("click", () => {
    const place = head.cellIndex, body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[place].dataset.value;
    const falling = head.dataset.falling === "yes" ? -1 : 1;
    head.dataset.falling = falling > 0 ? "yes" : "no";
    body.append(...Array.from(body.rows).sort((a, b) => falling * (value(a) === undefined
      ? a.cells[place].textContent.localeCompare(b.cells[place].textContent) : value(b) - value(a))));
  });
}
"""


@dataclass(frozen=True)
class Section:
    """A heading, a text, plots beside each other, and a table below them.

    Parameters
    ----------
    title, text : str
        Plain text.
    plots : sequence of Bokeh models
    table : str
        HTML, from `sortable`.
    """

    title: str
    text: str
    plots: Sequence[Any] = ()
    table: str = ""


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML that needs no network."""
    models = {
        f"{number}-{place}": plot for number, part in enumerate(sections) for place, plot in enumerate(part.plots)
    }
    # Bokeh warns of a page without models: one of tables alone has none.
    script, divs = components(models) if models else ("", {})
    bodies = []
    for number, part in enumerate(sections):
        plots = "".join(divs[f"{number}-{place}"] for place in range(len(part.plots)))
        bodies.append(
            f"<section><h2>{html.escape(part.title)}</h2><p>{html.escape(part.text)}</p>"
            f'<div class="row">{plots}</div>{part.table}</section>'
        )
    inline = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
    return _PAGE.format(
        title=html.escape(title),
        heading=html.escape(title),
        subtitle=html.escape(subtitle),
        ink=INK,
        soft=SOFT,
        grid=GRID,
        sort=_SORT,
        bokeh="\n".join(inline.js_raw),
        sections="\n".join(bodies),
        script=script,
    )


def write_page(option: str, file: str, text: str) -> None:
    """Write a page whole: a reader sees all of it or nothing.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with written_whole(option, file, ".html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def sortable(table: pd.DataFrame, titles: Mapping[str, str] | None = None) -> str:
    """Return a table as HTML, which a reader sorts by clicking on a column's title; the index comes first."""
    names = dict(titles or {})
    frame = table.reset_index()
    heads = "".join(f"<th>{html.escape(names.get(str(name), str(name)))}</th>" for name in frame.columns)
    columns = [_cells(frame[name]) for name in frame.columns]
    rows = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    return f'<div class="table"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(values: pd.Series) -> list[str]:
    if not pd.api.types.is_numeric_dtype(values):
        return [f"<td>{html.escape(str(value))}</td>" for value in values]
    known = values.dropna()
    whole = bool((known == np.floor(known)).all() and (known.abs() > 1).any())
    return [
        '<td data-value="-Infinity">—</td>'
        if pd.isna(value)
        else f'<td data-value="{value:.17g}">{value:,.{0 if whole else 4}f}</td>'
        for value in values
    ]


def plain_figure(**options: Any) -> figure:
    """Return a figure in the style of the page."""
    plot = figure(toolbar_location=None, outline_line_color=None, **options)
    plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = GRID
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = SOFT
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = INK
    plot.axis.axis_label_text_font_style = "normal"
    plot.title.text_color = INK
    return plot
