"""Whether the clocks of client, scheduler, workers and storage agree.

A clock is read through a round trip: its offset from the client's lies within half of the trip of what was read. The
shortest of several trips says most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geomob_dask.doctor.findings import Finding, Level, well
from geomob_dask.messages import counted

# Seconds from which on storage refuses a signature, and from which on times of different machines mislead.
REFUSED, MISLEADING = 900.0, 5.0
_WHY = "storage refuses signatures that are 15 minutes off, and times of logs and of certificates mislead"
_ADVICE = "start a time service (chrony, systemd-timesyncd) there"


@dataclass(frozen=True)
class Reading:
    """How far a clock is ahead of the client's.

    Parameters
    ----------
    offset, within : float
        Seconds; the true offset lies within this of the offset.
    """

    offset: float
    within: float


def reading(sent: float, theirs: float, received: float) -> Reading:
    """Return the offset of a clock that was read between two times of the client's.

    Examples
    --------
    >>> reading(100.0, 160.5, 101.0)
    Reading(offset=60.0, within=0.5)
    """
    return Reading(theirs - (sent + received) / 2, (received - sent) / 2)


def best(readings: Sequence[Reading]) -> Reading:
    """Return the reading that says most."""
    return min(readings, key=lambda one: one.within)


def clocks(readings: Mapping[str, Reading], storage: Reading | None = None) -> list[Finding]:
    """Return which clocks are off.

    Parameters
    ----------
    readings : mapping of str to Reading
        Of scheduler and workers.
    storage : Reading, optional
        Of the storage of a bucket; signatures are checked against it.
    """
    found = [_off(where, one, Level.WARNING, "the client's") for where, one in readings.items() if _more(one)]
    if storage is not None:
        of_storage = {"client": Reading(-storage.offset, storage.within)} | {
            where: Reading(one.offset - storage.offset, one.within + storage.within) for where, one in readings.items()
        }
        refused = {where: one for where, one in of_storage.items() if _more(one, REFUSED)}
        found = [one for one in found if one.where not in refused]
        found += [_off(where, one, Level.WRONG, "the storage's") for where, one in refused.items()]
        if "client" not in refused and _more(of_storage["client"]):
            found.append(_off("client", of_storage["client"], Level.WARNING, "the storage's"))
    if found or (not readings and storage is None):
        return found
    most = max((abs(one.offset) + one.within for one in readings.values()), default=0.0)
    parts = [f"{counted(len(readings), 'clock')} within {most:.3f} s of the client's"] if readings else []
    if storage is not None:
        parts.append(f"the storage's within {abs(storage.offset) + storage.within:.1f} s")
    return [well("clocks", ", ".join(parts))]


def _more(one: Reading, limit: float = MISLEADING) -> bool:
    """Return whether a clock is off by more than a limit for certain."""
    return abs(one.offset) - one.within > limit


def _off(where: str, one: Reading, level: Level, whose: str) -> Finding:
    ahead = "ahead of" if one.offset > 0 else "behind"
    return Finding(
        "clocks",
        level,
        f"{abs(one.offset):,.1f} s ± {one.within:.1g} s {ahead} {whose} clock ({_WHY})",
        f"less than {MISLEADING:g} s",
        _ADVICE,
        where,
    )
