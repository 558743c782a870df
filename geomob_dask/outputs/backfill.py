"""A backfill in words: what would be done, and how it ended."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from geomob_dask.runs.backfill.engine import Result
from geomob_dask.runs.backfill.journal import Journal, Timings
from geomob_dask.runs.backfill.plan import Plan, Planned, Standing
from geomob_dask.store import Store

_REASONS = 20


def planned_table(plan: Plan) -> Table:
    """Return how many outputs of each product and year stand in which way, and the size of their inputs."""
    table = Table(title=f"backfill {plan.backfill.name}: outputs by product and year", title_justify="left")
    table.add_column("product")
    table.add_column("year")
    for how in Standing:
        table.add_column(how.value, justify="right")
    table.add_column("to do", justify="right")
    table.add_column("inputs, MiB", justify="right")
    for planned in plan.groups:
        counts = Counter(planned.standings)
        todo = sum(how in plan.wanted for how in planned.standings)
        cells = [str(counts[how] or "") for how in Standing]
        size = sum(planned.group.sizes) / 2**20
        table.add_row(planned.group.product, str(planned.group.year), *cells, str(todo or ""), f"{size:,.1f}")
    counts = plan.counts()
    total = sum(sum(planned.group.sizes) for planned in plan.groups) / 2**20
    todo = sum(1 for _ in plan.due())
    table.add_section()
    table.add_row("all", "", *(str(counts[how] or "") for how in Standing), str(todo or ""), f"{total:,.1f}")
    return table


def planned_lines(store: Store, plan: Plan, workers: int) -> list[str]:
    """Return what a table cannot say: what is left out, what is refused, how long it may take."""
    lines = [*plan.left_out]
    lines += [
        f"{planned.group.product} {planned.group.year}: refused: {planned.group.problem}"
        for planned in plan.groups
        if planned.group.problem
    ]
    journal = Journal(store, plan.backfill.name)
    failed = [
        planned.name(state)
        for planned in plan.groups
        for state, how in zip(planned.group.states, planned.standings, strict=True)
        if how is Standing.FAILED
    ]
    lines += [f"{name}: failed: {journal.reason(name)}" for name in failed[:_REASONS]]
    if len(failed) > _REASONS:
        lines.append(f"… and {len(failed) - _REASONS:,} more failed")
    return [*lines, estimate(plan, _timings(journal, plan), workers)]


def _timings(journal: Journal, plan: Plan) -> dict[str, Timings]:
    return {product: journal.timings(product) for product in {planned.group.product for planned in plan.groups}}


def estimate(plan: Plan, timings: Mapping[str, Timings], workers: int) -> str:
    """Say how long a plan may take, from how long the same or similar outputs took."""
    due = [
        (planned, place)
        for planned, place in plan.due()
        if plan.asked.reprocess == "all" or planned.standings[place] is not Standing.WHOLE
    ]
    if not due:
        return "time: nothing is to be computed"
    seconds, unknown = 0.0, set()
    rates = {product: _rate(known) for product, known in timings.items()}
    for planned, place in due:
        expected = _expected(planned, place, timings, rates)
        if expected is None:
            unknown.add(planned.group.product)
        else:
            seconds += expected
    if len(unknown) == len({planned.group.product for planned, _ in due}):
        return "time: no earlier run of this backfill to judge by"
    text = f"time: about {_duration(seconds)} of work, {_duration(seconds / workers)} on {workers} workers"
    return text + (f", and nobody knows of {', '.join(sorted(unknown))}" if unknown else "")


def _expected(
    planned: Planned, place: int, timings: Mapping[str, Timings], rates: Mapping[str, tuple[float, float] | None]
) -> float | None:
    group = planned.group
    own = timings[group.product].get(str(group.year), {}).get(group.states[place])
    if own is not None:
        return own[0]
    rate = rates[group.product]
    return None if rate is None else rate[0] + rate[1] * group.sizes[place]


def _rate(known: Timings) -> tuple[float, float] | None:
    """Return seconds an output and seconds a byte: half of the time is laid on each."""
    every = [pair for states in known.values() for pair in states.values()]
    if not every:
        return None
    seconds, size = sum(pair[0] for pair in every), sum(pair[1] for pair in every)
    return seconds / len(every) / 2, seconds / max(size, 1) / 2


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def result_table(plan: Plan, result: Result) -> Table:
    """Return how many outputs of each product were computed, skipped and failed."""
    table = Table(title=f"backfill {plan.backfill.name}", title_justify="left")
    for column in ("product", "computed", "found whole", "up to date", "failed", "not done"):
        table.add_column(column, justify="left" if column == "product" else "right")
    counted = {"computed": set(result.computed), "kept": set(result.kept), "failed": set(result.failed)}
    totals: Counter[str] = Counter()
    for product in dict.fromkeys(planned.group.product for planned in plan.groups):
        counts: Counter[str] = Counter()
        for planned in (one for one in plan.groups if one.group.product == product):
            for state, how in zip(planned.group.states, planned.standings, strict=True):
                name = planned.name(state)
                ways = [way for way in ("failed", "computed", "kept") if name in counted[way]]
                counts[ways[0] if ways else "left" if how in plan.wanted else "skipped"] += 1
        totals += counts
        table.add_row(product, *_cells(counts))
    table.add_section()
    table.add_row("all", *_cells(totals))
    return table


def _cells(counts: Counter[str]) -> list[str]:
    return [f"{counts[way]:,}" for way in ("computed", "kept", "skipped", "failed", "left")]


def result_lines(result: Result) -> list[str]:
    """Return why outputs failed, those of one reason together, and why the run ended early."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in result.failed.items():
        by_reason.setdefault(reason, []).append(name)
    lines = [f"failed: {_some(names)}: {reason}" for reason, names in list(by_reason.items())[:_REASONS]]
    if len(by_reason) > _REASONS:
        lines.append(f"… and {len(by_reason) - _REASONS:,} more reasons, in the journal of the backfill")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")
