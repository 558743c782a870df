"""Pages in one HTML file that open without a network: reports and maps from one template.

Templates are in ``templates/``, styles and scripts in ``static/``; both are inlined. Text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from bokeh.document import Document
from bokeh.models import Widget
from bokeh.resources import Resources
from markupsafe import Markup

from geomob_dask.outputs import provenance_words as words
from geomob_dask.outputs.palette import STYLE
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_files import PAGE_ID
from geomob_dask.outputs.tables import written_whole

# Where a page is to say where its numbers come from, once it is written. Text of data is escaped: it cannot be this.
_PLACE = "<!-- provenance -->"


@dataclass(frozen=True)
class Script:
    """A script of ``static/`` to run when the plots are drawn: a function named after its file.

    Parameters
    ----------
    name : str
        The file's, without its suffix.
    data
        What the function is called with, as JSON.
    """

    name: str
    data: Any


@dataclass(frozen=True)
class Column:
    """A column of a table: what its cells show, and for numbers what they are sorted by."""

    title: str
    texts: Sequence[str]
    sort_by: Sequence[str] | None = None

    @property
    def numbers(self) -> bool:
        """Return whether the column holds numbers."""
        return self.sort_by is not None

    def cells(self) -> list[tuple[str, str | None]]:
        """Return a text and a value (None in a column of texts) per cell."""
        values: Sequence[str | None] = [None] * len(self.texts) if self.sort_by is None else self.sort_by
        return list(zip(self.texts, values, strict=True))


@dataclass(frozen=True)
class Section:
    """A heading and a text, then a legend, plots beside each other, a table and cards.

    Parameters
    ----------
    title, text : str
    plots : sequence of Bokeh models
    stretch : bool
        Whether plots share the width of the page.
    table : sequence of Column
        From `sortable`.
    keys : mapping of label to color
        The legend.
    cards : mapping of title to text
        Texts that open at a click.
    script : Script, optional
        Fills the plots with data.
    """

    title: str
    text: str
    plots: Sequence[Any] = ()
    stretch: bool = False
    table: Sequence[Column] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Markup] = field(default_factory=dict)
    script: Script | None = None

    def rows(self) -> Iterator[tuple[tuple[str, str | None], ...]]:
        """Yield the rows of the table: a text and a value (None in a column of texts) per column."""
        return zip(*(one.cells() for one in self.table), strict=True)


def report(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    facts: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    footer: str = "",
) -> str:
    """Return a report as HTML.

    Parameters
    ----------
    facts : sequence of (number, what it counts)
        Below the title.
    notes : sequence of str
        What a reader should know first, such as of groups that may overlap.
    """
    return render(
        "report.html",
        {
            f"plot-{place}-{number}": plot
            for place, section in enumerate(sections, 1)
            for number, plot in enumerate(section.plots, 1)
        },
        [section.script for section in sections if section.script],
        title=title,
        subtitle=subtitle,
        sections=sections,
        facts=facts,
        notes=notes,
        footer=footer,
    )


def render(template: str, plots: Mapping[str, Any], scripts: Sequence[Script], **texts: Any) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    plots : mapping of str to Bokeh model
        By the id of the element that each is drawn in.
    scripts : sequence of Script
    **texts
        What the template shows.
    """
    document = Document()
    # Else Bokeh looks for the models of all plots again with every plot.
    with document.models.freeze():
        for plot in plots.values():
            document.add_root(plot)
    numbers: dict[str, str] = {}
    doc = _renumbered(document.to_json(deferred=False), numbers) if plots else None
    places = {numbers[plot.id]: place for place, plot in plots.items()}
    widgets = any(isinstance(model, Widget) for plot in plots.values() for model in plot.references())
    return (
        _templates()
        .get_template(template)
        .render(
            figures={"doc": doc, "places": places},
            scripts=scripts,
            bokeh=_bokeh(widgets) if plots else "",
            colors=STYLE,
            **texts,
        )
    )


def write_page(option: str, file: str, text: str, record: Record | None = None) -> None:
    """Write a page whole: a reader sees all of it or nothing.

    Parameters
    ----------
    record : dict, optional
        The provenance: in words in the page's footer, and whole in a block of JSON.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = text.replace(_PLACE, "" if record is None else _footer(record), 1)
    with written_whole(option, file, ".html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _footer(record: Record) -> str:
    """Return the footer of a page that says where its numbers come from."""
    return (
        _templates()
        .get_template("provenance.html")
        .render(
            sentences=[words.in_words(group) for group in words.grouped(record["results"])],
            facts=words.facts(record),
            tables=words.details(record),
            id=PAGE_ID,
            record=record,
        )
    )


def sortable(table: pd.DataFrame, titles: Mapping[str, str] | None = None, *, places: int = 4) -> list[Column]:
    """Return a table that a reader sorts by clicking on a column's title; the index comes first.

    Parameters
    ----------
    titles : mapping, optional
        Of columns; their names by default.
    places : int
        Decimal places of numbers; columns of whole numbers have none.
    """
    names = dict(titles or {})
    frame = table.reset_index()
    return [_column(names.get(str(name), str(name)), frame[name], places) for name in frame.columns]


def _column(title: str, values: pd.Series, places: int) -> Column:
    if not pd.api.types.is_numeric_dtype(values):
        return Column(title, [str(value) for value in values])
    known = values.dropna()
    whole = bool((known == np.floor(known)).all() and (known.abs() > 1).any())
    shown = f",.{0 if whole else places}f"
    return Column(
        title,
        ["—" if pd.isna(value) else f"{value:{shown}}" for value in values],
        ["-Infinity" if pd.isna(value) else f"{value:.17g}" for value in values],
    )


def static(name: str) -> Markup:
    """Return a file of ``static/``, as it is."""
    return Markup(resources.files("geomob_dask.outputs").joinpath("static", name).read_text(encoding="utf-8"))


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("geomob_dask.outputs"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = static
    made.globals["provenance"] = Markup(_PLACE)
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    return made


def _bokeh(widgets: bool) -> Markup:
    components = ["bokeh", "bokeh-widgets"] if widgets else ["bokeh"]
    return Markup("\n".join(Resources(mode="inline", components=components).js_raw))


def _renumbered(value: Any, numbers: dict[str, str]) -> Any:
    """Return Bokeh's JSON with its models numbered from one: Bokeh goes on counting from page to page."""
    if isinstance(value, list | tuple):
        return [_renumbered(part, numbers) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers.setdefault(part, f"m{len(numbers) + 1}")
        if key == "id" and isinstance(part, str)
        else _renumbered(part, numbers)
        for key, part in value.items()
    }
