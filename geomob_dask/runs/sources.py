"""Catalog of the sources that can be ingested, by the name of their command.

To add a source, write a module with an options model and a reader that returns `Tables`, and list it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.messages import shown
from geomob_dask.names import did_you_mean
from geomob_dask.options import Options
from geomob_dask.runs import zones
from geomob_dask.sources import acs, income_tables, measures, opportunity_atlas, regions, tracts
from geomob_dask.sources.download import AnswerCache
from geomob_dask.sources.tables import Tables


@dataclass(frozen=True)
class Source:
    """One source.

    Attributes
    ----------
    name : str
        Of its command: ``jobs/ingest.py NAME``.
    title : str
        Help of the command.
    options : type of Options
    reader : callable
        Options to `Tables`; of a source that asks a server, also the cache of its answers.
    key : str
        What a row is keyed by.
    collection : str
        Where it goes.
    years : str
    url, licence : str
        Empty where files may come from anywhere.
    plan : callable, optional
        Options and cache to what would be asked of a server, as lines; None where files are read.
    by_state : bool
        Whether its parts are states; otherwise they are tables of different columns.
    """

    name: str
    title: str
    options: type[Options]
    reader: Callable[..., Tables | list[Tables]]
    key: str
    collection: str
    years: str = "any"
    url: str = ""
    licence: str = ""
    plan: Callable[[Any, AnswerCache], list[str] | None] | None = None
    by_state: bool = True

    @property
    def has_polygons(self) -> bool:
        """Return whether its rows have polygons."""
        return self.collection.startswith("tracts/")

    def read(self, values: Mapping[str, Any], cache: AnswerCache) -> list[Tables]:
        """Return the tables of the source: one, or several where its options name several tables or years.

        Parameters
        ----------
        values : mapping
            Of its options.
        cache : AnswerCache
            Keeps answers of a server.
        """
        options = self.options.of(**values)
        found = self.reader(options) if self.plan is None else self.reader(options, cache)
        return found if isinstance(found, list) else [found]

    def planned(self, values: Mapping[str, Any], cache: AnswerCache) -> list[str] | None:
        """Return the requests to a server, as lines for the user; None if files are read."""
        return None if self.plan is None else self.plan(self.options.of(**values), cache)


_PUBLIC_DOMAIN = "public domain (U.S. government work)"

SOURCES = {
    source.name: source
    for source in (
        Source(
            "tracts",
            "Ingest tract polygons: checked, repaired where that is safe, one file per state.",
            tracts.Options,
            tracts.read,
            key="tract",
            collection="tracts/VINTAGE",
            url="https://www.census.gov/geographies/mapping-files/time-series/geo/cartographic-boundary.html",
            licence=_PUBLIC_DOMAIN,
        ),
        Source(
            "measures",
            "Ingest a table of measures, and compare its keys with the vintage's polygons.",
            measures.Options,
            measures.read,
            key="tract",
            collection="measures/DATASET/YEAR",
        ),
        Source(
            "acs",
            "Ingest ACS 5-year tables by tract; the API's key, if any, comes from CENSUS_API_KEY.\n\n"
            "All tables and years of one call are committed together, or none. "
            "Answers are kept in the store: a run that was stopped asks only for what has not come.",
            acs.Options,
            acs.read,
            key="tract",
            collection="measures/acs5_TABLE/YEAR, reasons/acs5_TABLE/YEAR",
            years="2009 on",
            url="https://www.census.gov/data/developers/data-sets/acs-5year.html",
            licence=_PUBLIC_DOMAIN,
            plan=acs.plan,
        ),
        Source(
            "brackets",
            "Ingest household income brackets (B19001) of areas, with a column that names each tract's area.",
            income_tables.Options,
            income_tables.read,
            key="tract",
            collection="measures/DATASET/YEAR",
            licence=_PUBLIC_DOMAIN,
        ),
        Source(
            "regions",
            "Ingest which region each tract or county lies in, whole or by shares.",
            regions.Options,
            regions.read,
            key="county or tract",
            collection="regions/NAME/VINTAGE",
            url="https://mcdc.missouri.edu/applications/geocorr.html",
        ),
        Source(
            "zones",
            "Ingest commuting zones: characteristics, mobility, the cohort, polygons and neighbors.",
            zones.Options,
            zones.read,
            key="commuting zone",
            collection="zones/VINTAGE",
            years="children born 1980-82",
            url="https://opportunityinsights.org/data/",
            by_state=False,
        ),
        Source(
            "atlas",
            "Ingest tract outcomes of the Opportunity Atlas, as measures.",
            opportunity_atlas.Options,
            opportunity_atlas.read,
            key="tract",
            collection="measures/opportunity_atlas/2018",
            years="children born 1978-83",
            url="https://opportunityinsights.org/data/",
        ),
    )
}


def find_source(name: str) -> Source:
    """Return a source by its name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in SOURCES:
        raise InputError(f"no source {shown(name)}; {did_you_mean(name, SOURCES)}")
    return SOURCES[name]
