"""Checks of what client, scheduler and workers say of themselves; see `facts`."""

from collections.abc import Iterator, Mapping
from typing import Any

from geomob_dask.doctor.asked import NoAnswerError
from geomob_dask.doctor.findings import Finding, Level, unless_found, well
from geomob_dask.messages import counted, reason
from geomob_dask.store.provenance import versions as versions_of_results

CLIENT, SCHEDULER, WORKER = "client", "scheduler", "worker"
Facts = Mapping[str, Mapping[str, Any]]

# Other versions of these cannot read each other's messages, or compute other fits.
_SHARED = ("dask", "distributed", "cloudpickle", "msgpack", "scikit-learn", "dask-geopandas")
# Bytes below which a scratch folder is as good as full.
_LEAST_SCRATCH = 2**28
# Of a scheduler, for each worker: connections and their streams; of any process, for files and the store.
_FILES_A_WORKER, _FILES = 10, 512
_IN_MEMORY = ("tmpfs", "ramfs")


def answers(asked: Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], list[Finding]]:
    """Return the facts of the machines that answered, and a finding for each that did not."""
    facts = {where: found for where, found in asked.items() if isinstance(found, Mapping)}
    silent = [_silent(where, found) for where, found in asked.items() if where not in facts]
    return facts, unless_found(silent, well("answers", f"{_machines(facts)} answer"))


def _silent(where: str, error: Any) -> Finding:
    if isinstance(error, NoAnswerError):
        return Finding(
            "answers",
            Level.WRONG,
            str(error),
            "an answer",
            "look at its log: it is stopped, out of memory, or cut off; end it, and another takes its place",
            where,
        )
    return Finding(
        "answers",
        Level.WRONG,
        f"cannot run a function of the client ({reason(error)})",
        "the same Python and packages as on the client",
        "start it from the environment of the client",
        where,
    )


def versions(facts: Facts) -> list[Finding]:
    """Return which machines have another version than the client of what must or should be the same."""
    here = facts[CLIENT]["packages"]
    of_bytes = here.keys() & versions_of_results().keys()
    found = [
        _other_version(where, name, there[name], here[name], of_bytes)
        for where, one in facts.items()
        for there in [one["packages"]]
        for name in here
        # What cannot be imported at all is told by `package`.
        if there[name] != here[name] and not (name == "geomob-dask" and one["imports"])
    ]
    main = ", ".join(f"{name} {here[name]}" for name in ("geomob-dask", "python", "dask", "numpy"))
    more = f"and {len(here) - 4} other packages"
    return unless_found(found, well("versions", f"{main} {more} are the same on {_machines(facts)}"))


def _other_version(where: str, name: str, there: str | None, here: str | None, of_bytes: set[str]) -> Finding:
    minor = name == "python" and _minor(there) == _minor(here)
    must = (name in of_bytes or name in _SHARED or name == "python") and not minor
    why = "results would differ" if name in of_bytes else "they would not understand each other" if must else ""
    install = "" if name in ("python", "geos") or here is None else f", or install {name}=={here} there"
    return Finding(
        "versions",
        Level.WRONG if must else Level.WARNING,
        f"{name} {there or 'is not installed'}" + (f" ({why})" if why else ""),
        f"{here or 'none'} as on the client",
        f"start it from the environment of the client{install}",
        where,
    )


def _minor(version: str | None) -> list[str]:
    return (version or "").split(".")[:2]


def package(facts: Facts) -> list[Finding]:
    """Return which machines cannot import this package."""
    version = facts[CLIENT]["packages"]["geomob-dask"]
    found = [
        Finding(
            "package",
            Level.WRONG,
            f"cannot import geomob_dask ({one['imports']})",
            f"version {version} installed there",
            "install it where scheduler and workers run, or use a container image that has it",
            where,
        )
        for where, one in facts.items()
        if one["imports"]
    ]
    return unless_found(found, well("package", f"geomob_dask can be imported on {_machines(facts)}"))


def scratch(facts: Facts) -> list[Finding]:
    """Return which workers have a folder for spilled results that is full, cannot be written or is in memory."""
    folders = {where: one["scratch"] for where, one in workers(facts).items()}
    found = [finding for where, one in folders.items() for finding in _scratch_of(where, one, facts[where])]
    free = [one["free"] for one in folders.values() if "free" in one]
    if not free:
        return found
    return unless_found(found, well("scratch", f"at least {_size(min(free))} free on {counted(len(free), 'worker')}"))


def _scratch_of(where: str, one: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Finding]:
    advice = "set scratch in cluster.yaml to a folder on a local disk with room"
    if "error" in one or not one["writable"]:
        why = one.get("error", "no right to write")
        yield Finding(
            "scratch",
            Level.WRONG,
            f"folder {one['folder']} cannot be used ({why})",
            "a folder that can be written",
            advice,
            where,
        )
        return
    limit = facts["memory_limit"] or 0
    if one["free"] < max(limit, _LEAST_SCRATCH):
        level = Level.WRONG if one["free"] < _LEAST_SCRATCH else Level.WARNING
        yield Finding(
            "scratch",
            level,
            f"{_size(one['free'])} free in {one['folder']}",
            f"{_size(max(limit, _LEAST_SCRATCH))}, as much as the worker's memory",
            advice,
            where,
        )
    if one["kind"] in _IN_MEMORY:
        yield Finding(
            "scratch",
            Level.WARNING,
            f"folder {one['folder']} is in memory ({one['kind']}): what is spilled there frees none",
            "a folder on a disk",
            advice,
            where,
        )


def open_files(facts: Facts) -> list[Finding]:
    """Return which machines may open too few files at a time."""
    count = len(workers(facts))
    found = []
    for where, one in facts.items():
        expected = _FILES + (_FILES_A_WORKER * count if where in (CLIENT, _scheduler(facts)) else 0)
        if one["files"] != -1 and one["files"] < expected:
            found.append(
                Finding(
                    "open files",
                    Level.WARNING,
                    f"may open {one['files']:,} files and connections",
                    f"{expected:,} for {counted(count, 'worker')}",
                    f"raise it where it is started: ulimit -n {max(expected, 4096)}",
                    where,
                )
            )
    least = min((one["files"] for one in facts.values() if one["files"] != -1), default=-1)
    text = "no limit" if least == -1 else f"{least:,} or more"
    return unless_found(found, well("open files", f"{text} on {_machines(facts)}"))


def settings_of_buckets(facts: Facts) -> list[Finding]:
    """Return which machines have other settings of a bucket in their environment than the client."""
    here = facts[CLIENT]["variables"]
    found = [
        Finding(
            "environment",
            Level.WARNING,
            f"{name}={one['variables'][name] or '(not set)'}",
            f"{here[name] or '(not set)'} as on the client",
            "set it in environ of the section, or where the worker is started",
            where,
        )
        for where, one in workers(facts).items()
        for name in here
        if one["variables"][name] != here[name]
    ]
    return unless_found(
        found,
        well(
            "environment", f"settings of buckets are the same on {_machines({CLIENT: facts[CLIENT], **workers(facts)})}"
        ),
    )


def named(address: str) -> str:
    """Return what a worker is called in findings, from its address."""
    return f"{WORKER} {address}"


def address_of(where: str) -> str:
    """Return the address of a worker or scheduler from what it is called."""
    return where.partition(" ")[2]


def workers(facts: Facts) -> dict[str, Mapping[str, Any]]:
    """Return the facts of the workers alone."""
    return {where: one for where, one in facts.items() if where.startswith(WORKER)}


def _scheduler(facts: Facts) -> str:
    return next((where for where in facts if where.startswith(SCHEDULER)), SCHEDULER)


def _machines(facts: Facts) -> str:
    """Return what machines there are, such as ``client, scheduler and 2 workers``."""
    count = len(workers(facts))
    names = [CLIENT] if CLIENT in facts else []
    names += [SCHEDULER] if _scheduler(facts) in facts else []
    names += [counted(count, "worker")] if count else []
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "none"


def _size(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
