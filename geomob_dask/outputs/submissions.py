"""Submissions as lines: all of a store, or one."""

from collections.abc import Mapping
from typing import Any

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed
from geomob_dask.store.objects import Objects, concurrently
from geomob_dask.submissions.places import place_named, shell
from geomob_dask.submissions.records import Known, Records, every_id
from geomob_dask.submissions.standing import Standing, standing_now, when


def status_lines(objects: Objects) -> list[str]:
    """Return a line for each submission of a store, the newest first."""
    # Places are asked, and a busy queue takes its time.
    every = concurrently(lambda id: _stands(Records(objects, id)), every_id(objects))
    newest = sorted(filter(None, every), key=lambda found: -found[0].asked.asked)
    lines = [f"{known.asked.id}  {stands.words()}" for known, stands in newest]
    return lines or [f"no submissions in {objects.url}"]


def _stands(records: Records) -> tuple[Known, Standing] | None:
    """Return how a submission stands, None if its place refused it: of a folder the name stays."""
    try:
        return standing_now(records, place_named(records.asked().place))
    except InputError:
        return None


def described_lines(known: Known, stands: Standing, where: str) -> list[str]:
    """Return what is known of a submission."""
    asked = known.asked
    place = place_named(asked.place)
    lines = [
        f"{asked.id}: {stands.words()}",
        f"  command: {shell(asked.command)}",
        f"  submitted: {when(asked.asked)} by {asked.user} on {asked.host}"
        + (f"; runs in {asked.folder}" if asked.folder else ""),
        f"  cluster: {asked.settings.get('GEOMOB_CLUSTER', '')}; {place.title} {known.number or '(no number yet)'}",
        f"  records: {where}",
    ]
    lines += [f"  log: {asked.log}"] if asked.log else []
    lines += [f"  last line: {stands.line}"] if stands.line else []
    return lines + [f"  {line}" for line in _runs(known)]


def _runs(known: Known) -> list[str]:
    """Return a line for each run of the driver."""
    lines = []
    for number, began in sorted(known.of("began").items()):
        ended = known.of("ended").get(number)
        what = "no word of its end" if ended is None and number < known.last("began") else _ended(ended)
        where = f"{began.get('number', '')} on {began.get('host', '')}"
        lines.append(f"run {number}: {when(began.get('time', 0.0))}, {where}; {what}")
    return lines


def _ended(ended: Mapping[str, Any] | None) -> str:
    if ended is None:
        return "not ended"
    facts = [str(ended.get("outcome", "")), f"exit code {ended.get('code', '')}"]
    facts += [f"{counted(ended['completed'], 'output')} completed"] if ended.get("completed") else []
    facts += [str(ended["error"])] if ended.get("error") else []
    return listed(facts, most=len(facts))
