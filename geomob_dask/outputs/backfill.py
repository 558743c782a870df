"""The plan and the result of a backfill, as text."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from geomob_dask.messages import counted, listed
from geomob_dask.runs.backfill.cubes import CubeDone
from geomob_dask.runs.backfill.status import State, Status
from geomob_dask.runs.engine import Result
from geomob_dask.runs.journal import Journal, RunNote, Timings
from geomob_dask.runs.planning import Group, Plan, Standing
from geomob_dask.sources.place_names import state_label
from geomob_dask.store import Store

_REASONS = 20
_NAMES = 6


def planned_table(plan: Plan) -> list[str]:
    """Return the number of outputs by product, year and standing, and the size of their inputs."""
    rows = [["product", "year", *(how.value for how in Standing), "to do", "inputs, MiB"]]
    totals: Counter[Standing] = Counter()
    for group in plan.groups:
        counts = Counter(group.standings)
        totals += counts
        rows.append([group.product, str(group.year), *_stand(plan, counts, group.sizes)])
    sizes = [size for group in plan.groups for size in group.sizes]
    return [f"backfill {plan.name}, outputs:", *aligned([*rows, ["all", "", *_stand(plan, totals, sizes)]], 2)]


def _stand(plan: Plan, counts: Counter[Standing], sizes: Sequence[int]) -> list[str]:
    todo = sum(counts[how] for how in plan.wanted)
    return [*(_number(counts[how]) for how in Standing), _number(todo), f"{sum(sizes) / 2**20:,.1f}"]


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


def aligned(rows: Sequence[Sequence[str]], n_left: int) -> list[str]:
    """Return rows as lines, their columns one below the other: the first `n_left` to the left, others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < n_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def planned_lines(store: Store, plan: Plan, threads: int | None, *, every: bool = False) -> list[str]:
    """Return lines about what is left out, refused and failed before, and the estimated time.

    Parameters
    ----------
    threads : int, optional
        Of the cluster; None if it does not tell.
    every : bool
        Whether all reasons are listed, not the first twenty.
    """
    journal = Journal(store, plan.name)
    most = None if every else _REASONS
    lines = [*plan.left_out, *_refused_lines(plan, every=every)]
    failed = [
        group.name(place)
        for group in plan.groups
        for place, how in enumerate(group.standings)
        if how is Standing.FAILED
    ]
    lines += _reason_lines("failed before", {name: journal.reason(name) for name in failed[:most]}, every=True)
    if len(failed) > len(failed[:most]):
        lines.append(f"… and {len(failed) - _REASONS:,} more that failed before: {_rest(journal)}")
    return [*lines, estimate(plan, _timings(journal, plan), threads)]


def _refused_lines(plan: Plan, *, every: bool = False) -> list[str]:
    """Return why outputs are refused, each product and year in a line, and how many of the plan they are."""
    refused = [group for group in plan.groups if group.problem]
    shown = refused if every else refused[:_REASONS]
    lines = [f"{group.product} {group.year}: refused: {group.problem}" for group in shown]
    if len(refused) > len(lines):
        lines.append(f"… and {len(refused) - len(lines):,} more are refused: --dry-run --reasons lists them")
    count, total = plan.counts()[Standing.REFUSED], plan.counts().total()
    if count:
        lines.append(f"refused: {count:,} of {counted(total, 'output')}, which the run reports as failed")
    return lines


def _rest(journal: Journal) -> str:
    return f"--dry-run --reasons lists them, from {journal.where}/failed"


def _timings(journal: Journal, plan: Plan) -> dict[str, Timings]:
    return {product: journal.timings(product) for product in {group.product for group in plan.groups}}


def estimate(plan: Plan, timings: Mapping[str, Timings], threads: int | None) -> str:
    """Return the estimated time of a plan, from the durations of the same or similar outputs.

    Parameters
    ----------
    threads : int, optional
        Of the cluster; None if it does not tell.
    """
    due = [
        (plan.groups[number], place)
        for number, place in plan.due()
        if plan.reprocess == "all" or plan.groups[number].standings[place] is not Standing.WHOLE
    ]
    if not due:
        return "time: nothing is to be computed"
    seconds, unknown = 0.0, set()
    rates = {product: _rate(known) for product, known in timings.items()}
    for group, place in due:
        expected = _expected(group, place, timings, rates)
        if expected is None:
            unknown.add(group.product)
        else:
            seconds += expected
    if len(unknown) == len({group.product for group, _ in due}):
        return "time: no estimate, as no earlier run of this backfill is known"
    text = f"time: about {_duration(seconds)} of work, "
    if threads is None:
        text += "on a cluster that does not answer, so that its size is not known"
    else:
        text += f"{_duration(seconds / threads)} on {threads} {'threads' if threads > 1 else 'thread'} of the cluster"
    return text + (f", without an estimate for {', '.join(sorted(unknown))}" if unknown else "")


def _expected(
    group: Group, place: int, timings: Mapping[str, Timings], rates: Mapping[str, tuple[float, float] | None]
) -> float | None:
    own = timings[group.product].get(str(group.year), {}).get(group.states[place])
    if own is not None:
        return own[0]
    rate = rates[group.product]
    return None if rate is None else rate[0] + rate[1] * group.sizes[place]


def _rate(known: Timings) -> tuple[float, float] | None:
    """Return seconds per output and seconds per byte: each accounts for half of the time."""
    every = [pair for states in known.values() for pair in states.values()]
    if not every:
        return None
    seconds, size = sum(pair[0] for pair in every), sum(pair[1] for pair in every)
    return seconds / len(every) / 2, seconds / max(size, 1) / 2


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def result_table(plan: Plan, result: Result) -> list[str]:
    """Return the number of computed, skipped and failed outputs by product."""
    rows = [["product", "computed", "found whole", "up to date", "left as they are", "failed", "not done"]]
    counted = {"computed": set(result.computed), "kept": set(result.kept), "failed": set(result.failed)}
    totals: Counter[str] = Counter()
    for product in dict.fromkeys(group.product for group in plan.groups):
        counts: Counter[str] = Counter()
        for group in (one for one in plan.groups if one.product == product):
            for place, how in enumerate(group.standings):
                name = group.name(place)
                ways = [way for way in ("failed", "computed", "kept") if name in counted[way]]
                untouched = "skipped" if how is Standing.DONE else "as they are"
                counts[ways[0] if ways else "left" if how in plan.wanted else untouched] += 1
        totals += counts
        rows.append([product, *_cells(counts)])
    return [f"backfill {plan.name}:", *aligned([*rows, ["all", *_cells(totals)]], 1)]


def _cells(counts: Counter[str]) -> list[str]:
    return [_number(counts[way]) for way in ("computed", "kept", "skipped", "as they are", "failed", "left")]


def result_lines(store: Store, plan: Plan, result: Result, *, every: bool = False) -> list[str]:
    """Return the reasons of failures, each with its outputs; `every` as in `planned_lines`."""
    lines = _reason_lines("failed", result.failed, every=every)
    if not every and lines != _reason_lines("failed", result.failed, every=True):
        lines.append(f"all reasons: {_rest(Journal(store, plan.name))}")
    return lines


def _reason_lines(what: str, reasons: Mapping[str, str], *, every: bool) -> list[str]:
    """Return a line per reason, with the names of its outputs: the first reasons and names, or every one."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    chosen = list(by_reason.items())[: None if every else _REASONS]
    return [f"{what}: {', '.join(names) if every else listed(names, _NAMES)}: {reason}" for reason, names in chosen]


# Status ------------------------------------------------------------------------------------------


def status_lines(status: Status) -> list[str]:
    """Return what is done, running, failed and to do, since when, how long still, and all reasons of failures."""
    counts = Counter(output.status for output in status.outputs)
    parts = [f"{counts[state]:,} {state.value}" for state in State if counts[state] and state is not State.DONE]
    lines = [f"backfill {status.name}: {counts[State.DONE]:,} of {counted(len(status.outputs), 'output')} done"]
    lines[0] += f", {', '.join(parts)}" if parts else ""
    if status.planned:
        lines.append(
            f"as planned at {status.planned} UTC by the newest run; what changed since is seen with the file alone"
        )
    lines += [_run_line(run) for run in status.alive] or [_silent_line(status.runs)]
    rows = [["product", "year", *(state.value for state in State)]]
    groups: dict[tuple[str, int], Counter[State]] = {}
    for output in status.outputs:
        groups.setdefault((output.product, output.year), Counter())[output.status] += 1
    rows += [[product, str(year), *_states(found)] for (product, year), found in groups.items()]
    lines += aligned([*rows, ["all", "", *_states(counts)]], 2)
    return [*lines, *_failures(status)]


def _states(counts: Counter[State]) -> list[str]:
    return [_number(counts[state]) for state in State]


def _run_line(run: RunNote) -> str:
    """Return since when a run that is alive has been running, and how long it has still to go at its pace."""
    ended = run.done + run.failed
    if not run.left:
        still = "nothing is left"
    elif ended:
        still = f"about {_duration(run.left * run.seconds / ended)} left at its pace"
    else:
        still = "time left not known yet, as none of its outputs has ended"
    return (
        f"running since {run.began} UTC: {ended:,} of {counted(ended + run.left, 'output')} ended, "
        f"{len(run.running):,} running; {still}; last sign of life {_duration(run.silent)} ago"
    )


def _silent_line(runs: Sequence[RunNote]) -> str:
    """Return that no run is known to be running, and what is known of the newest."""
    if not runs:
        return "not running, as far as is known: no run has left a note"
    run = runs[0]
    if run.ended:
        return f"not running: the newest run began {run.began} UTC and ended {run.ended} UTC ({run.outcome})"
    return (
        f"not known to be running: the run that began {run.began} UTC has not ended, and its last sign of life was "
        f"{_duration(run.silent)} ago; it was killed, is cut off from the store, or computes one long output by itself"
    )


def _failures(status: Status) -> list[str]:
    """Return every reason of outputs that failed or are refused, with all of these, and where the store has them."""
    lines = []
    for state in (State.FAILED, State.REFUSED):
        of_state = [output for output in status.outputs if output.status is state]
        lines += _reason_lines(state.value, {output.name: output.reason for output in of_state}, every=True)
    if any(output.recorded_in for output in status.outputs):
        lines.append(f"reasons are recorded in {status.where}/failed, a file of each output's name")
    return lines


def status_table(status: Status) -> pd.DataFrame:
    """Return the status as a table: a row per output.

    Returns
    -------
    DataFrame, index: product
        ``year``, ``state``, ``state_name``, ``status``, ``reason``, ``recorded_in``, ``collection``, ``seconds`` (when
        it was last computed), ``input_bytes``, and ``running_since`` (UTC) of those that run.
    """
    since = {name: run.began for run in reversed(status.alive) for name in run.running}
    columns = ("year", "state", "state_name", "status", "reason", "recorded_in", "collection", "seconds", "input_bytes")
    rows = [
        (
            output.year,
            output.state,
            state_label(output.state),
            output.status.value,
            output.reason,
            output.recorded_in,
            output.collection,
            output.seconds,
            output.size,
            since.get(output.name, "") if output.status is State.RUNNING else "",
        )
        for output in status.outputs
    ]
    products = pd.Index([output.product for output in status.outputs], name="product", dtype="str")
    return pd.DataFrame(rows, index=products, columns=[*columns, "running_since"]).astype({"seconds": "float64"})


def cube_lines(cubes: Sequence[CubeDone]) -> list[str]:
    """Return one line per cube: its commit, or its error."""
    return [f"cube {cube.name}: {cube.error or cube.message}" for cube in cubes]
