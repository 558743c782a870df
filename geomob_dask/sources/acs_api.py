"""Tables of the American Community Survey by tract, from the Census API, asking only for what has not come yet."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.sources.acs_files import AcsTable, decoded, read_answer
from geomob_dask.sources.acs_tables import Query, query, registry
from geomob_dask.sources.download import AnswerCache, Downloader, Politeness
from geomob_dask.sources.states import state_codes

KEY_VARIABLE = "CENSUS_API_KEY"


def fetch(
    table: str,
    year: int,
    states: Sequence[str],
    cache: AnswerCache,
    *,
    by: Literal["state", "county"] = "state",
    base_url: str | None = None,
    politeness: Politeness | None = None,
    downloader: Downloader | None = None,
) -> AcsTable:
    """Return a table by tract from the Census API, asking only for what has not come yet.

    Answers are kept as they come, each with its checksum; a run that was stopped continues with the states or counties
    that are missing, or whose answer no longer has its checksum.

    Parameters
    ----------
    table : str
        Such as ``"B19001"``.
    year : int
        Release: the last of its five years.
    states : sequence of str
        Codes or letters.
    cache : AnswerCache
        Keeps the answers under ``acs/YEAR/TABLE/``.
    by : {"state", "county"}
        Size of one request; counties where a state is too large for the server.
    base_url : str, optional
        Of the API or of a mirror.
    politeness : Politeness, optional
    downloader : Downloader, optional
        By default made from `politeness` and the key in ``CENSUS_API_KEY``; its `secret` is sent as the key.

    Raises
    ------
    DefinitionError, SettingsError
        If table or year are not known, or the key is refused.
    InputError
        If a state or the table is unknown to the server, or an answer has no tracts or those of another state.
    RunError
        If a state or county fails for good. Answers that came are kept.
    """
    asked = query(table, year)
    politeness = politeness or Politeness()
    client = downloader or census_client(politeness)
    source = _Api(client, (base_url or registry().base_url).rstrip("/"), asked, cache)
    parts = [part for state in state_codes(",".join(states)) for part in source.parts(state, by)]
    answers = client.all([partial(source.rows, part) for part in parts], f"{table} {year}")
    frames = [_tract_frame(answer, asked.variables, part.what) for part, answer in zip(parts, answers, strict=True)]
    return decoded(pd.concat(frames, ignore_index=True), f"{base_url or 'Census API'}, {table} {year}")


def census_client(politeness: Politeness) -> Downloader:
    """Return a client that sends the key in ``CENSUS_API_KEY``, if any."""
    return Downloader(politeness, secret=os.environ.get(KEY_VARIABLE, ""))


@dataclass(frozen=True)
class _Part:
    """One request: a state or county, and a block of variables."""

    state: str
    county: str
    what: str

    @property
    def within(self) -> str:
        return f"state:{self.state} county:{self.county or '*'}"

    @property
    def name(self) -> str:
        return f"{self.state}{self.county}"


@dataclass(frozen=True)
class _Api:
    client: Downloader
    base_url: str
    asked: Query
    cache: AnswerCache

    def parts(self, state: str, by: Literal["state", "county"]) -> list[_Part]:
        what = f"{self.asked.table} {self.asked.year}, state {state}"
        if by == "state":
            return [_Part(state, "", what)]
        place = {"get": self.asked.variables[0], "for": "county:*", "in": f"state:{state}"}
        rows = self._kept(f"{state}-counties", place, ("state", "county"), f"{what}, its counties", "county")
        return [_Part(state, row["county"], f"{what}, county {row['county']}") for row in rows]

    def rows(self, part: _Part) -> list[dict[str, Any]]:
        """Return the rows of a part, its blocks of variables joined."""
        joined: dict[str, dict[str, Any]] = {}
        for number, block in enumerate(self.asked.blocks):
            place = {"get": ",".join(block), "for": "tract:*", "in": part.within}
            name = part.name if number == 0 else f"{part.name}-{number}"
            columns = (*block, "state", "county", "tract")
            for row in self._kept(name, place, columns, part.what, "tract"):
                geoid = row["state"] + row["county"] + row["tract"]
                joined.setdefault(geoid, {"geoid": geoid}).update(row)
        wrong = [geoid for geoid in joined if not geoid.startswith(part.name)]
        if wrong:
            raise InputError(f"{part.what}: the answer holds tract {wrong[0]}, expected those of {part.name} only")
        return list(joined.values())

    def _kept(
        self, name: str, place: dict[str, str], columns: tuple[str, ...], what: str, level: str
    ) -> list[dict[str, Any]]:
        """Return the rows of an answer: the kept one if it is complete and answers this question, else a new one."""
        key = f"acs/{self.asked.year}/{self.asked.table}/{name}.json"
        question = f"{self.asked.path}?" + "&".join(f"{field}={value}" for field, value in place.items())
        if self.cache.exists(key) and self.cache.exists(f"{key}.about"):
            body = self.cache.get(key)
            about = json.loads(self.cache.get(f"{key}.about"))
            if about == _about(question, body):
                return read_answer(body, columns, what, level)
        fields = {**place, "key": self.client.secret} if self.client.secret else place

        def whole(body: bytes) -> bytes:
            read_answer(body, columns, what, level)
            return body

        body = self.client.get(f"{self.base_url}/{self.asked.path}", fields, whole, what)
        # The checksum comes after the answer: a run that stops between the two asks again.
        self.cache.put(key, body)
        self.cache.put(f"{key}.about", json.dumps(_about(question, body), sort_keys=True).encode())
        return read_answer(body, columns, what, level)


def _about(question: str, body: bytes) -> dict[str, Any]:
    return {"question": question, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _tract_frame(rows: list[dict[str, Any]], variables: tuple[str, ...], what: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["geoid", *variables], dtype=object)
    incomplete = ~frame["geoid"].str.fullmatch(r"[0-9]{11}").astype(bool)
    if incomplete.any():
        raise InputError(f"{what}: found the tract {frame['geoid'][incomplete].iloc[0]!r}, expected 11 digits")
    return frame
