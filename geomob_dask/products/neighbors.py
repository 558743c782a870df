"""The neighbor graph of a tract vintage: built once, used for every year of it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
from pydantic import Field, field_validator

from geomob_dask.frames.neighbor_steps import no_edges
from geomob_dask.frames.neighbors import nearest_count, neighbor_graph
from geomob_dask.frames.own_rows import own_rows
from geomob_dask.graph.bands import contacts
from geomob_dask.names import Name
from geomob_dask.products.options import Options as AnyOptions
from geomob_dask.products.options import Text
from geomob_dask.products.product import Frames, Prepared, Product, Summaries, Target
from geomob_dask.products.reader import Reader
from geomob_dask.store import Store


class Options(AnyOptions):
    """Options of a neighbor graph."""

    vintage: Name = Field(description="Name under which the polygons were ingested.")
    snap: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Vertices closer than this are one, in map units; by default a tenth of a millimeter.",
    )
    gap: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Also join tracts whose outlines come closer than this, in map units.",
    )
    islands: Text = Field("none", description="Tracts without neighbors: none, or nearest:K.")

    @field_validator("islands")
    @classmethod
    def _check_islands(cls, islands: str) -> str:
        nearest_count(islands)
        return islands


class Neighbors(Product):
    """Queen and rook neighbors of all tracts of a vintage, across state lines."""

    name = "neighbors"
    title = "Neighbor graph of a tract vintage, across state lines: built once, stored, used for every year of it."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        tracts = store.snapshot(f"tracts/{options.vintage}")
        states = tuple(sorted(tracts.parts))
        return Prepared(
            self.name,
            options,
            {"tracts": tracts},
            {
                "edges": Target(f"neighbors/{options.vintage}"),
                "differences": Target(f"differences/{options.vintage}", by_state=False),
            },
            states=states,
            written=states,
            attributes={"tracts": tracts.checksum(), "crs": tracts.attributes["crs"]},
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the edges by state, the pairs on which the rules differ, and the report."""
        options: Options = prepared.options
        tracts = read.frame("tracts", ["geometry"])
        # Reading polygons twice costs less than the memory to hold all of them meanwhile.
        again = read.frame("tracts", ["geometry"], again=True) if read.lazy else None
        graph = neighbor_graph(tracts, snap=options.snap, gap=options.gap, islands=options.islands, again=again)
        return {
            "edges": own_rows(_stored, graph.edges, meta=_no_rows),
            "differences": own_rows(_stored, graph.differences, meta=_no_rows),
            "report": graph.report,
        }

    def summarize(self, role: str, table: pd.DataFrame, prepared: Prepared) -> Mapping[str, Any]:
        """Return which states a walk of two steps by way of a state's tracts joins."""
        if role != "edges":
            return {}
        digits = len(prepared.states[0])
        here, there = (keys.astype("str").str[:digits].to_numpy(object) for keys in (table.index, table["neighbor"]))
        return {"contacts": sorted(contacts(table.index.to_numpy(object), here, there))}

    def report(self, prepared: Prepared, summaries: Summaries, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of `geomob_dask.frames.neighbor_report.Report`."""
        return asdict(values["report"])

    def attributes(self, prepared: Prepared, summaries: Summaries) -> Mapping[str, Any]:
        """Return the checksum and the coordinate system of the tracts, and the states within two steps of each."""
        reach: dict[str, list[str]] = {state: [] for state in prepared.written}
        for one, other in sorted({pair for summary in summaries["edges"].values() for pair in summary["contacts"]}):
            reach[one].append(other)
        return {**prepared.attributes, "reach": reach}


def _stored(edges: pd.DataFrame) -> pd.DataFrame:
    return edges.astype({"rule": "str"})


def _no_rows() -> pd.DataFrame:
    return _stored(no_edges(pd.Index([], dtype="str")))
