"""Whether workers live longer than the longest output of earlier runs takes."""

from geomob_dask.doctor.findings import Finding, Level, skipped, unless_found, well
from geomob_dask.doctor.machines import Facts, workers
from geomob_dask.runs.journal import Took

# A worker that retires waits for nobody: an output that it has begun is computed again.
_TIMES = 2.0


def lifetimes(facts: Facts, longest: Took | None, walltime: float | None) -> list[Finding]:
    """Return which workers end before they could compute the longest output of earlier runs.

    Parameters
    ----------
    longest : Took, optional
        None where no backfill has noted times in the store.
    walltime : float, optional
        Seconds after which a queue ends a worker.
    """
    lives = {where: one["lifetime"] for where, one in workers(facts).items() if one["lifetime"]}
    if walltime is not None:
        lives = {where: min(lives.get(where, walltime), walltime) for where in workers(facts)} or {"": walltime}
    if not lives:
        return [well("lifetime", "workers stay until the end of the run")]
    shortest = min(lives.values())
    if longest is None:
        return [skipped("lifetime", f"workers end after {shortest:,.0f} s; no backfill has noted its times yet")]
    found = [
        Finding(
            "lifetime",
            Level.WRONG if life < longest.seconds else Level.WARNING,
            f"ends after {life:,.0f} s",
            f"more than {_TIMES:g} times the {longest.seconds:,.0f} s of the longest output, {longest.output}",
            "raise lifetime and walltime in the section, or split the output by state (scope: state)",
            where,
        )
        for where, life in lives.items()
        if life < _TIMES * longest.seconds
    ]
    text = f"workers end after {shortest:,.0f} s or later; the longest output, {longest.output}, took "
    return unless_found(found, well("lifetime", f"{text}{longest.seconds:,.1f} s"))
