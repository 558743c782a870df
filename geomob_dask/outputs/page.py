"""Pages in one HTML file that open without a network: reports and maps from one template.

Templates are in ``templates/``, styles and scripts in ``static/``; both are inlined. Text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Widget
from bokeh.resources import Resources
from markupsafe import Markup

from geomob_dask.outputs import provenance_words as words
from geomob_dask.outputs.days import today
from geomob_dask.outputs.palette import STYLE
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_files import PAGE_ID
from geomob_dask.outputs.ranking import Ranking
from geomob_dask.outputs.repeating import commands
from geomob_dask.outputs.tables import written_whole
from geomob_dask.outputs.titles import title_or

# Where a page is to say where its numbers come from, once it is written. Text of data is escaped: it cannot be this.
_PLACE = "<!-- provenance -->"
# Characters of a text that a table shows in one line.
_LONG = 40


@dataclass(frozen=True)
class Script:
    """A script of ``static/`` to run when the plots are drawn: a function named after its file.

    Parameters
    ----------
    name : str
        The file's, without its suffix.
    data
        What the function is called with, as JSON.
    libraries : sequence of str
        Further files of ``static/`` that it needs, in their order, without their suffix.
    """

    name: str
    data: Any
    libraries: tuple[str, ...] = ("arrays",)


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

    @cached_property
    def long(self) -> bool:
        """Return whether its texts take several lines."""
        return max(map(len, self.texts), default=0) > _LONG

    def cells(self) -> list[tuple[str, str | None]]:
        """Return a text and a value (None in a column of texts) per cell."""
        values: Sequence[str | None] = [None] * len(self.texts) if self.sort_by is None else self.sort_by
        return list(zip(self.texts, values, strict=True))


@dataclass(frozen=True)
class Figure:
    """A plot with what it shows in words and in numbers, for readers who do not see it.

    Parameters
    ----------
    plot : Bokeh model
    finding : str
        What the plot shows, in a sentence: the text of an image.
    title : str
        Above the plot.
    keys : mapping of label to color
        The legend, above the plot: it wraps where a legend inside of the plot would be cut.
    numbers : mapping of str to str
        Titles of the columns of `sources` that a table beneath the plot lists when it is opened.
    sources : sequence of ColumnDataSource
        What the plot draws; columns have the same names and lengths in all of them.
    narrowest, widest : int
        Pixels: a narrower page scrolls the plot in a box of its own, on a wider one it ends (0: at the page's width).
    """

    plot: Any
    finding: str
    title: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[ColumnDataSource] = ()
    narrowest: int = 0
    widest: int = 0
    # Of its element; numbered by `report` where a script does not ask for one.
    id: str = ""


@dataclass(frozen=True)
class MapBox:
    """A place for a map of ``static/tract_map.js``, which the script of the section draws.

    Parameters
    ----------
    id : str
        Of its element; that of its legend is the same with ``-legend``.
    title : str
        Above the map.
    shape : float
        Width over height.
    """

    id: str
    title: str = ""
    shape: float = 1.0


@dataclass(frozen=True)
class Choice:
    """Figures of which one option's are shown at a time, with a list to choose from.

    Parameters
    ----------
    label : str
        Of the list.
    options : mapping of str to sequence of Figure
        By what the list shows; the first is shown.
    """

    label: str
    options: Mapping[str, Sequence[Figure]]


@dataclass(frozen=True)
class Choices:
    """A list to choose from, which a script of the section answers.

    Parameters
    ----------
    label : str
    id : str
        Of the list's element.
    options : sequence of str
        The first is chosen.
    together : str
        Lists of one page with this word are chosen together, where both have the option.
    """

    label: str
    id: str
    options: Sequence[str]
    together: str = ""


@dataclass(frozen=True)
class Section:
    """A heading and a text, then a ranking, a legend, plots beside each other, a table and cards.

    Parameters
    ----------
    title, text : str
    plots : sequence of Figure, Choice, Choices or MapBox
        Or of other Bokeh models, whose section says what they show.
    table : sequence of Column
        From `sortable`.
    keys : mapping of label to color
        The legend of all plots.
    cards : mapping of title to text
        Texts that open at a click.
    script : Script, optional
        Fills the plots with data.
    answer : str
        What the section finds, before the text.
    ranking : Ranking, optional
    source : str
        Of the maps: a line below them, which files of a map have too.
    """

    title: str
    text: str
    plots: Sequence[Any] = ()
    table: Sequence[Column] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Markup] = field(default_factory=dict)
    script: Script | None = None
    answer: str = ""
    ranking: Ranking | None = None
    source: str = ""

    def rows(self) -> Iterator[tuple[tuple[str, str | None], ...]]:
        """Yield the rows of the table: a text and a value (None in a column of texts) per column."""
        return zip(*(one.cells() for one in self.table), strict=True)

    def figures(self) -> Iterator[Figure]:
        """Yield all figures, also those that are not shown at first."""
        for part in self.plots:
            if isinstance(part, Figure):
                yield part
            elif isinstance(part, Choice):
                for figures in part.options.values():
                    yield from figures


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
    numbered = [_numbered(place, section) for place, section in enumerate(sections, 1)]
    figures = [figure for section in numbered for figure in section.figures()]
    tables = [found for figure in figures if (found := _numbers(figure))]
    rankings = [
        Script("ranking", {"id": f"ranking-{place}", **section.ranking.data()})
        for place, section in enumerate(numbered, 1)
        if section.ranking is not None
    ]
    return render(
        "report.html",
        {figure.id: figure.plot for figure in figures},
        [
            *(section.script for section in numbered if section.script),
            *rankings,
            *([Script("numbers", tables)] if tables else []),
        ],
        title=title_or(title),
        subtitle=subtitle,
        sections=numbered,
        facts=facts,
        notes=notes,
        footer=footer,
    )


def _numbered(place: int, section: Section) -> Section:
    """Return a section whose figures know their elements; a Bokeh model alone becomes a figure."""
    count = 0

    def one(figure: Figure) -> Figure:
        nonlocal count
        count += 1
        return replace(figure, id=figure.id or f"plot-{place}-{count}")

    parts: list[Any] = []
    for part in section.plots:
        if isinstance(part, Choice):
            parts.append(
                Choice(part.label, {title: [one(each) for each in some] for title, some in part.options.items()})
            )
        elif isinstance(part, Choices | MapBox):
            parts.append(part)
        else:
            parts.append(one(part if isinstance(part, Figure) else Figure(part, "")))
    return replace(section, plots=parts)


def _numbers(figure: Figure) -> dict[str, Any] | None:
    """Return what ``static/numbers.js`` lists of a figure; its sources get the names by which a script finds them."""
    if not figure.numbers:
        return None
    for place, source in enumerate(figure.sources, 1):
        source.name = source.name or f"{figure.id} source {place}"
    return {
        "id": figure.id,
        "columns": list(figure.numbers.items()),
        "sources": [source.name for source in figure.sources],
    }


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
            libraries=list(dict.fromkeys(name for script in scripts for name in script.libraries)),
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
            commands=commands(record),
            day=today(),
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
