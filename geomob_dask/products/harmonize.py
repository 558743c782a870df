"""Measures of a dataset and year on the tracts of another vintage, in dollars of one year."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, model_validator

from geomob_dask.errors import InputError
from geomob_dask.frames.conversion import Conversion
from geomob_dask.frames.harmonize import MEDIANS, conversion, harmonized, links_between
from geomob_dask.frames.relations import link_shares
from geomob_dask.messages import listed
from geomob_dask.names import Name, Year
from geomob_dask.options import FILE, Text, unrecorded
from geomob_dask.products.measures import reasons_of
from geomob_dask.products.options import ByYear
from geomob_dask.products.product import Frames, Prepared, Product, Summaries, Target
from geomob_dask.products.reader import Reader
from geomob_dask.sources.attributes import kinds_in, money_of, renamed
from geomob_dask.sources.kinds import read_kinds, text_columns
from geomob_dask.sources.prices import SHIPPED, read_prices
from geomob_dask.sources.relationships import RelationColumns, read_relation
from geomob_dask.sources.tables import file_checksums
from geomob_dask.sources.vintages import vintage
from geomob_dask.store import Snapshot, Store
from geomob_dask.store.provenance import sha256


class Options(ByYear):
    """How measures are brought to another vintage."""

    to: Name = Field(description="Vintage of the result: 2000, census2010, 2010, 2020 or 2022.")
    source: Name | None = unrecorded(None, "Vintage of the measures. [default: as they were ingested]", alias="from")
    crosswalk: Annotated[Text | None, FILE] = unrecorded(
        None, "Crosswalk of tracts: columns source, target, weight, or another known form."
    )
    relationship: Annotated[Text | None, FILE] = unrecorded(
        None, "A relationship file of the Census Bureau (tab20_tract20_tract10_….txt)."
    )
    source_column: Text | None = Field(None, description="Column of the sources in a crosswalk of another form.")
    target_column: Text | None = Field(None, description="Column of the targets in a crosswalk of another form.")
    weight: Text | None = Field(None, description="Column of shares or amounts. [default: by the form; land]")
    amounts: bool = Field(False, description="The weights are amounts (people, area), not shares.")
    least: float = Field(0.0, description="Leave out links with a smaller share of the source: slivers.")
    kinds: Annotated[Text | None, FILE] = unrecorded(
        None, "A .yaml that names the kind of columns: count, moe, share, mean, median, index, key."
    )
    new: Name | None = unrecorded(None, "Name of the result. [default: dataset, vintage and dollars]", alias="as")
    dollars: Year | None = Field(None, description="State money in dollars of this year.")
    prices: Annotated[Text, FILE] = unrecorded(SHIPPED, "Index of prices: cpi_u, or a .csv of year, index.")
    lost: float = Field(0.0, description="Largest share of a count that may lie in no target.")
    medians: str = Field("refuse", description="A median that would be split or merged: refuse, or missing there.")

    @model_validator(mode="after")
    def _fit(self) -> "Options":
        if self.crosswalk and self.relationship:
            raise InputError(
                f"--crosswalk {self.crosswalk}, --relationship {self.relationship}: found both, expected one of them"
            )
        if self.amounts and self.weight is None:
            raise InputError("--amounts: found no --weight, expected the column of the amounts")
        if not 0 <= self.lost < 1:
            raise InputError(f"--lost {self.lost}: expected a share from 0 to 1")
        if self.medians not in MEDIANS:
            raise InputError(f"--medians {self.medians}: expected {' or '.join(MEDIANS)}")
        if self.name == self.dataset:
            raise InputError(f"--as {self.name}: is the dataset itself; expected another name")
        return self

    @property
    def name(self) -> str:
        """Return the name of the resulting dataset."""
        return self.new or f"{self.dataset}_{self.to}" + (f"_usd_{self.dollars}" if self.dollars else "")

    @property
    def file(self) -> str | None:
        """Return the table of relationships."""
        return self.crosswalk or self.relationship


@dataclass(frozen=True)
class Details:
    """How measures are converted.

    Attributes
    ----------
    how : Conversion
    links : DataFrame
        ``source``, ``target``, ``weight``.
    """

    how: Conversion
    links: pd.DataFrame


class Harmonize(Product):
    """Convert measures to the tracts of another vintage, and check that no count is lost."""

    name = "harmonize"
    title = (
        "Bring measures of any year to the tracts of one vintage: counts by weight, shares from converted counts, "
        "medians one to one."
    )
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        vintage(options.to)
        name = options.measures
        measures = store.snapshot(name)
        source = options.source or str(measures.attributes["vintage"])
        given, lines = (None, ()) if options.file is None else _shares(options, source)
        links = links_between(source, options.to, given, name=name)
        columns = store.columns(measures)
        # What the user says comes before what is known of the dataset.
        kinds = kinds_in(measures.attributes, columns) | ({} if options.kinds is None else read_kinds(options.kinds))
        how = conversion(
            columns,
            source,
            options.to,
            kinds,
            texts=text_columns(store.empty(measures)),
            year=options.year,
            dollars=options.dollars,
            prices=options.prices,
            name=name,
        )
        targets = _targets(options, links, list(measures.parts), how.same_tracts)
        reasons = store.find(reasons_of(name))
        collection = f"measures/{options.name}/{options.year}"
        money = {} if options.dollars is None else {"dollars": options.dollars, "prices": Path(options.prices).name}
        return Prepared(
            self.name,
            options,
            {"measures": measures} | ({} if reasons is None else {"reasons": reasons}),
            {"result": Target(collection), "reasons": Target(reasons_of(collection))},
            states=_read(links, targets, measures),
            written=targets,
            attributes={
                "vintage": options.to,
                "converted_from": source,
                **money_of(measures.attributes),
                **money,
                **renamed(measures.attributes, {column: how.name(column) for column in columns}, how.kinds),
            },
            files=_files(options, links),
            found={
                "from": source,
                "kinds": {column: kind.model_dump(mode="json") for column, kind in how.kinds.items()},
                **({"stated": {column: year for column, (year, _) in how.stated.items()}} if how.stated else {}),
            },
            details=Details(how, links),
            # Chosen states join those of others that are there; all states are the whole result.
            keep_others=options.states is not None,
            lines=lines,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return converted measures, the reasons of missing numbers, and the balance of every count."""
        options: Options = prepared.options
        details: Details = prepared.details
        found = harmonized(
            read.frame("measures"),
            details.how,
            details.links,
            reasons=read.frame("reasons") if "reasons" in prepared.inputs else None,
            states=prepared.written,
            lost=options.lost,
            medians=options.medians,
            name=options.measures,
        )
        return {"result": found.table, "reasons": found.reasons, "report": found.report}

    def report(self, prepared: Prepared, summaries: Summaries, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the balance of people; see `Harmonized`."""
        found: Mapping[str, Any] = values["report"]
        return found

    def check_scope(self, options: Options, by_state: bool) -> None:
        """Raise InputError for outputs per state: parts of tracts lie in other states."""
        if by_state:
            raise InputError("scope: found state for harmonize, whose tracts cross state lines; expected the scope all")


def _shares(options: Options, source: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the shares of a table of relationships; years of one command read it once."""
    assert options.file is not None
    columns = RelationColumns(options.source_column, options.target_column, options.weight, options.amounts)
    (checksum,) = file_checksums([options.file]).values()
    return _read_shares(options.file, checksum, source, options.to, columns, options.least)


@functools.lru_cache(maxsize=2)
def _read_shares(
    file: str, checksum: str, source: str, to: str, columns: RelationColumns, least: float
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    return link_shares(read_relation(file, source, to, columns=columns), least=least)


def _files(options: Options, links: pd.DataFrame) -> dict[str, str]:
    """Return the checksums of what is read besides the store."""
    files = {f"links to {options.to}": sha256(links.to_csv(index=False).encode())}
    if options.file is not None:
        files |= file_checksums([options.file])
    if options.dollars is not None:
        prices = read_prices(options.prices)
        files[f"prices {Path(prices.name).name}"] = prices.checksum
    return files


def _targets(options: Options, links: pd.DataFrame, measured: Sequence[str], same: bool) -> tuple[str, ...]:
    """Return the states of the result: those in which a measured source lies."""
    states = set(measured)
    if not same:
        rows = links[links["source"].str[:2].isin(measured) & (links["target"] != "")]
        # A neighbor that shares a sliver with a measured state, and is not measured itself, is no result.
        states &= set(rows["target"].str[:2].unique())
    if options.states is not None:
        absent = sorted(set(options.states) - states)
        if absent:
            raise InputError(f"--states {', '.join(absent)}: no measures there; found {', '.join(sorted(states))}")
        return tuple(sorted(options.states))
    left = sorted(set(measured) - states)
    if not states:
        raise InputError(
            f"{options.measures}: no tract of its states {listed(measured)} is in the table of relationships"
        )
    if left:
        raise InputError(
            f"{options.measures}: no tract of states {', '.join(left)} is in the table of relationships; expected one "
            f"with them, or --states {','.join(sorted(states))}"
        )
    return tuple(sorted(states))


def _read(links: pd.DataFrame, targets: Sequence[str], measures: Snapshot) -> tuple[str, ...]:
    """Return the states whose rows are read: those of the targets, and those of tracts of which a part lies there."""
    into = links["target"].str[:2].isin(targets)
    wanted = {*targets, *links.loc[into, "source"].str[:2].unique()}
    return tuple(sorted(wanted & set(measures.parts)))
