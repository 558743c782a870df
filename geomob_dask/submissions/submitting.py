"""Submit a job, cancel it, and resume one that is lost."""

import contextlib
import getpass
import importlib.metadata
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from geomob_dask.errors import GeomobError, InputError, RunError, SettingsError
from geomob_dask.sections import Section
from geomob_dask.sections.driver import Driver
from geomob_dask.sections.quantities import seconds_of
from geomob_dask.sections.secrets import is_secret
from geomob_dask.settings import Settings, load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.driver import UnansweredError, send
from geomob_dask.submissions.places import Place, RefusedError, place_named, place_of
from geomob_dask.submissions.records import Asked, Known, Records, new_id
from geomob_dask.submissions.standing import Standing, standing_now

# Variables that change what a job does, and hold no secret.
_SETTINGS = ("GEOMOB_ADDRESS", "GEOMOB_STORE_TIMEOUT", "GEOMOB_PROGRESS")
_LIMITS = "GEOMOB_LIMIT_"
# Seconds to wait for the records of a driver that is asked to end, and between two looks.
_ENDS, _LOOK = 75.0, 0.5
_LOGS = "geomob-logs"


def prepared(
    job: str, script: Path, arguments: Sequence[str], settings: Settings, store: Store, config: str | None
) -> tuple[Asked, Place]:
    """Return what is asked for, with the script or manifest that is submitted, and its place; nothing is written.

    Parameters
    ----------
    job : str
        Its name.
    script : Path
        Of the job.
    arguments : sequence of str
        Of the job.
    config : str, optional
        The cluster file, where it is named.

    Raises
    ------
    InputError
        If an argument holds a secret, which would be in scripts, records and logs.
    """
    for flag, value in zip(("", *arguments), arguments, strict=False):
        # A flag that names a secret has its value behind it, or after an equals sign.
        name, equals, given = value.partition("=")
        if is_secret("", value) or (equals and is_secret(name, given)) or (flag[:2] == "--" and is_secret(flag, value)):
            raise InputError(
                f"{flag or job}: found a secret in the arguments of a job; expected it in a variable or a file of this "
                "account: scripts, records and logs show arguments"
            )
    section = settings.section
    driver = driver_of(section)
    place = place_named(place_of(section))
    id = new_id(job)
    folder = Path.cwd()
    logs = folder / getattr(section, "logs", _LOGS)
    file = Path(config or os.environ.get("GEOMOB_CONFIG") or "cluster.yaml").absolute()
    file_there = str(file) if file.exists() else ""
    chosen = {"GEOMOB_STORE": _absolute(store), "GEOMOB_CLUSTER": settings.cluster}
    if file_there and not place.elsewhere:
        chosen["GEOMOB_CONFIG"] = file_there
    kept = {name: os.environ[name] for name in os.environ if name in _SETTINGS or name.startswith(_LIMITS)}
    asked = Asked(
        id=id,
        job=job,
        command=place.command(job, script, arguments),
        place=place_of(section),
        settings={**kept, **chosen},
        config=file_there,
        folder="" if place.elsewhere else str(folder),
        log="" if place.elsewhere else str(logs / f"{id}.log"),
        script="",
        **_numbers(driver),
        user=getpass.getuser(),
        host=socket.gethostname(),
        asked=time.time(),
        version=importlib.metadata.version("geomob-dask"),
    )
    return replace(asked, script=place.text(asked, driver, section, arguments)), place


def _numbers(driver: Driver) -> dict[str, Any]:
    """Return what the driver itself keeps to, of a section's part."""
    return {
        "walltime": seconds_of(driver.walltime) if driver.walltime else 0.0,
        "margin": seconds_of(driver.margin),
        "resume": driver.resume,
        "attempts": driver.attempts,
    }


def driver_of(section: Section) -> Driver:
    """Return how the driver is submitted; what its part of a section leaves out is that of the workers."""
    driver = getattr(section, "driver", None)
    if not isinstance(driver, Driver) or place_of(section) == "process":
        # Its driver has no job of its own.
        # Who ends a process of this machine by hand wants it ended.
        return Driver(resume="walltime")
    of_workers: dict[str, Any] = dict(section)
    modules = [f"module load {' '.join(of_workers['modules'])}"] if of_workers.get("modules") else []
    found = driver.model_copy(
        update={
            "queue": driver.queue or of_workers.get("partition") or of_workers.get("queue"),
            "account": driver.account or of_workers.get("account") or of_workers.get("project"),
            "walltime": driver.walltime or of_workers.get("walltime"),
            "parallel_environment": driver.parallel_environment or of_workers.get("parallel_environment"),
            "setup": (*modules, *of_workers.get("setup", ())) if driver.setup is None else driver.setup,
        }
    )
    if place_of(section) == "sge" and found.cores > 1 and found.parallel_environment is None:
        raise InputError(
            f"{section.where}: driver: cores {found.cores} without parallel_environment; expected the site's, such as "
            "smp (qconf -spl)"
        )
    if found.walltime and seconds_of(found.margin) * 2 > seconds_of(found.walltime):
        raise InputError(
            f"{section.where}: driver: margin {found.margin}: expected at most half of walltime {found.walltime}"
        )
    return found


def submit(store: Store, asked: Asked, place: Place, section: Section) -> str:
    """Submit what was prepared; return what its place calls it.

    Raises
    ------
    SettingsError
        If the place refuses it, as the section's driver is; no record is left.
    RunError
        If it does not answer: what it may have taken is cancelled, and its records stay.
    """
    records = Records(store.objects, asked.id)
    if not records.ask(asked):
        raise RunError(f"{records.where}: another submission has this id; run the command again")
    try:
        if asked.log:
            Path(asked.log).parent.mkdir(parents=True, exist_ok=True)
        return send(records, asked, place, 1)
    except UnansweredError as unknown:
        _withdraw(records, asked, place, unknown.number)
        raise RunError(f"submission {asked.id}: {unknown}; it is cancelled: what was taken ends at once") from unknown
    except (GeomobError, OSError) as error:
        records.forget()
        if isinstance(error, RefusedError):
            raise SettingsError(f"{section.where}: driver: {error}; expected one that the queue takes") from error
        if isinstance(error, OSError) and not isinstance(error, GeomobError):
            raise InputError(
                f"{asked.log}: {error.strerror}; expected a folder for logs that can be written"
            ) from error
        raise
    except BaseException:
        # An interrupt, while the place may have answered.
        _withdraw(records, asked, place)
        raise


def _withdraw(records: Records, asked: Asked, place: Place, number: str = "") -> None:
    """Cancel what a place may have taken and whoever submitted it is told has failed: its driver would run unseen."""
    # Whichever of both works ends it.
    with contextlib.suppress(GeomobError):
        records.note("cancel", 1, user=asked.user, host=asked.host)
    with contextlib.suppress(GeomobError):
        number = number or records.known().number or place.there(asked, ())
        if number:
            place.end(asked, number, began=False)


def cancel(store: Store, id: str) -> Standing:
    """End a submission: out of the queue, or in order where its driver runs; return how it stands then.

    Raises
    ------
    InputError
        If it has ended before.
    """
    records = Records(store.objects, id)
    place = place_named(records.asked().place)
    known, stands = standing_now(records, place)
    if stands.is_final:
        raise InputError(f"submission {id}: {stands.words()}; expected one that is queued or runs")
    wanted: set[tuple[int, str]] = set()
    end = time.monotonic() + _ENDS
    while True:
        # A driver at the end of its wall time may submit the next one meanwhile, which has no number at first.
        sent, number = known.last("sent"), known.number
        if (sent, number) not in wanted:
            wanted.add((sent, number))
            records.note("cancel", sent, user=getpass.getuser(), host=socket.gethostname())
            if number:
                # Where a command of the place fails, the driver finds the record within seconds.
                with contextlib.suppress(GeomobError):
                    place.end(known.asked, number, began=sent == known.sent_of_run)
        # Without a number it could be neither ended nor asked about.
        elif (stands.is_final and (number or known.sent_of_run == sent)) or time.monotonic() > end:
            return stands
        else:
            time.sleep(_LOOK)
        known, stands = standing_now(records, place)


def resume(store: Store, id: str) -> tuple[Known, str]:
    """Submit again what ended before its result was there; return it, and what its place calls it.

    Its script, wall time and what else is the driver's are those of the cluster file now.

    Raises
    ------
    InputError
        If it runs, waits, or is done; or its section is of another kind now.
    """
    records = Records(store.objects, id)
    place = place_named(records.asked().place)
    known, stands = standing_now(records, place)
    if not stands.is_final or stands.phase == "done":
        raise InputError(f"submission {id}: {stands.words()}; expected one that failed, was cancelled or is lost")
    anew = _as_of_now(known.asked, place)
    changed = {name: value for name, value in asdict(anew).items() if value != getattr(known.asked, name)}
    number = send(records, anew, place, known.last("sent") + 1, changed=changed)
    return known, number


def _as_of_now(asked: Asked, place: Place) -> Asked:
    """Return what was asked for, with the script and the numbers of the driver that the cluster file has now."""
    if not asked.config:
        return asked
    store, cluster = asked.settings["GEOMOB_STORE"], asked.settings["GEOMOB_CLUSTER"]
    section = load_settings(asked.config, store=store, cluster=cluster).section
    if place_of(section) != asked.place:
        raise InputError(
            f"{section.where}: its driver is a {place_named(place_of(section)).title} now; expected a {place.title}, "
            f"as submission {asked.id} was, or a new submission"
        )
    driver = driver_of(section)
    version = importlib.metadata.version("geomob-dask")
    anew = replace(asked, **_numbers(driver), version=version)
    return replace(anew, script=place.text(anew, driver, section, ()))


def _absolute(store: Store) -> str:
    objects = store.objects
    return os.path.abspath(objects.root) if objects.local else objects.url
