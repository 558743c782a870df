"""Output of a conversion between vintages."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from geomob_dask.messages import counted, listed
from geomob_dask.outputs.result import Outputs, report, result
from geomob_dask.products.harmonize import Options
from geomob_dask.products.product import Prepared
from geomob_dask.store import Store


class HarmonizeOutputs(Outputs):
    """Summary and export of converted measures."""

    def lines(self, store: Store, prepared: Prepared) -> list[str]:
        """Return the converted columns, and the balance of people."""
        found = report(store, prepared)
        options: Options = prepared.options
        dollars = f", money in dollars of {options.dollars}" if options.dollars else ""
        lines = [
            f"{options.dataset} {options.year}: {counted(found['sources'], 'tract')} of vintage "
            f"{prepared.found['from']} are "
            f"{found['targets']:,} of vintage {options.to}{dollars}, in {store.url}/{prepared.collection}",
            *(f"  {line}" for line in prepared.lines),
        ]
        for column, balance in found["balance"].items():
            line = f"  {column}: {balance['before']:,.10g} before, {balance['after']:,.10g} after"
            for what, where in (
                ("lost", "in no target"),
                ("withheld", "in targets that lack another of their sources"),
            ):
                if balance[what]:
                    line += f", {balance[what]:,.6g} {where}"
            lines.append(line)
        for column, count in found["refused"].items():
            lines.append(f"  {column}: missing in {counted(count, 'tract')} made of parts of others")
        for what, words in (("absent", "sources without a row"), ("unlisted", "tracts in no target")):
            count, first = found[what]
            if count:
                examples = listed(first, 3, total=count)
                lines.append(f"  {count:,} {words}: {examples}")
        return lines

    def table(self, store: Store, prepared: Sequence[Prepared], role: str | None = None) -> pd.DataFrame:
        """Return the results as one long table by ``geoid``, with ``year`` in front."""
        frames = []
        for item in prepared:
            table = result(store, item, role)
            table.insert(0, "year", item.options.year)
            frames.append(table.set_index("year", append=True))
        return pd.concat(frames).sort_index().reset_index("year")
