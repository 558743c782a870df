"""Submit a job to a queue or a session of its own; `python jobs/submit.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from geomob_dask import cli, ending
from geomob_dask.activity import doing
from geomob_dask.errors import InputError, RunError
from geomob_dask.messages import shown, tell
from geomob_dask.names import did_you_mean
from geomob_dask.outputs.submissions import described_lines, status_lines
from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.following import follow as followed
from geomob_dask.submissions.places import place_named, shell
from geomob_dask.submissions.records import Records
from geomob_dask.submissions.standing import standing_now
from geomob_dask.submissions.submitting import cancel, prepared, resume, submit

FOLDER = Path(__file__).resolve().parent
# Checks of this machine have no use for a driver elsewhere.
JOBS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("submit", "doctor"))
# Flags that may also stand behind the job's arguments: no job has the first, and the second is asked of it here.
ANYWHERE = ("--follow", "--dry-run")

app = cli.application(
    "Submit a job that runs without this terminal: to a queue, to Kubernetes, or in a session of its own here.",
    """
    python jobs/submit.py backfill night.yaml --years 2020:2024 --cluster slurm
    python jobs/submit.py --dry-run backfill night.yaml --years 2020:2024 --cluster slurm
    python jobs/submit.py --follow opportunity --definition sample --dataset sample --year 2020
    python jobs/submit.py --status
    python jobs/submit.py --status backfill-20261130-021500-3f9a
    python jobs/submit.py --follow backfill-20261130-021500-3f9a
    python jobs/submit.py --cancel backfill-20261130-021500-3f9a
    python jobs/submit.py --resume backfill-20261130-021500-3f9a
    """,
)


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def submit_job(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB [ARGUMENTS]|ID",
            help="A job with its arguments, as behind jobs/; or the id of a submission.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show what it prints until it ends, and exit as it does; Ctrl-C leaves it.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how a submission stands, or all of the store.")] = False,
    end: Annotated[
        bool, typer.Option("--cancel", help="End a submission in order, with its workers; whole outputs are kept.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--resume", help="Submit again, under the same id, what failed, was cancelled or is lost.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the job and print its plan and what would be submitted.")
    ] = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Check a job, submit it and print its id; or follow, show, cancel or resume a submission."""
    given = list(words or [])
    follow, dry_run = follow or ANYWHERE[0] in given[1:], dry_run or ANYWHERE[1] in given[1:]
    given = [*given[:1], *(word for word in given[1:] if word not in ANYWHERE)]
    asked = [name for name, is_asked in (("--status", status), ("--cancel", end), ("--resume", again)) if is_asked]
    also = [name for name, is_asked in zip(ANYWHERE, (follow, dry_run), strict=True) if is_asked and asked]
    if len(asked) + len(also) > 1:
        expected = "--follow, --status, --cancel, --resume and --dry-run"
        raise InputError(f"{', '.join([*asked, *also])}: found more than one of {expected}")
    if asked or (follow and len(given) == 1 and given[0] not in JOBS):
        where, flags = Store.of(load_settings(config, store=store)), _flags(store=store, config=config)
        return _on_id(where, asked[0] if asked else "--follow", given, flags)
    if not given or given[0] not in JOBS:
        raise InputError(
            f"JOB {shown(given[0] if given else '')}: no such job; {did_you_mean(given[0] if given else '', JOBS)}"
        )
    return _submitted(given[0], given[1:], follow=follow, dry_run=dry_run, store=store, config=config)


def _submitted(
    job: str, arguments: list[str], *, follow: bool, dry_run: bool, store: str | None, config: str | None
) -> None:
    chosen = {name: _value(arguments, f"--{name}") or known for name, known in (("store", store), ("config", config))}
    settings = load_settings(chosen["config"], store=chosen["store"], cluster=_value(arguments, "--cluster"))
    where = Store.of(settings)
    asked, place = prepared(job, FOLDER / f"{job}.py", arguments, settings, where, chosen["config"])
    # The check reads the cluster file that is here, wherever the driver has its own.
    plan = _checked(job, arguments, asked.settings | ({"GEOMOB_CONFIG": asked.config} if asked.config else {}))
    if dry_run:
        log = f"; log {asked.log}" if asked.log else ""
        return cli.say([*plan, f"submission: {place.title}{log}", "submitted text:", *_indented(asked.script)])
    number, flags = submit(where, asked, place, settings.section), _flags(**chosen)
    cli.say([f"submitted {asked.id}: {place.title} {number}", *_hints(asked.id, asked.log, flags)])
    if follow:
        _follow(where, asked.id, flags)
    return None


def _checked(job: str, arguments: list[str], variables: dict[str, str]) -> list[str]:
    """Return the plan that a job prints of its arguments: what is wrong is refused before it waits in a queue."""
    command = [sys.executable, str(FOLDER / f"{job}.py"), *arguments, "--dry-run"]
    variables = {**os.environ, **variables, "GEOMOB_PROGRESS": "0"}
    with doing(f"checking {job}"):
        # What it says of an error goes through.
        done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    plan = done.stdout.splitlines()
    if done.returncode:
        cli.say(plan)
        tell(f"not submitted: {job} refuses it, exit code {done.returncode}")
        raise SystemExit(done.returncode)
    return plan


def _on_id(where: Store, asked: str, given: list[str], flags: list[str]) -> None:
    if len(given) != 1 and not (asked == "--status" and not given):
        raise InputError(
            f"{asked}: found {len(given)} arguments, expected the id of a submission (--status lists them)"
        )
    if asked == "--status" and not given:
        return cli.say(status_lines(where.objects))
    (id,) = given
    records = Records(where.objects, id)
    if asked == "--status":
        known, stands = standing_now(records, place_named(records.asked().place))
        return cli.say(described_lines(known, stands, records.where))
    if asked == "--follow":
        return _follow(where, id, flags)
    if asked == "--resume":
        known, number = resume(where, id)
        lines = [f"resumed {id}: {place_named(known.asked.place).title} {number}"]
        return cli.say([*lines, *_hints(id, known.asked.log, flags)])
    stands = cancel(where, id)
    cli.say([f"{id}: {stands.words()}"])
    if not stands.is_final:
        raise RunError(f"submission {id}: asked to end, and still there; {_command('--status', id, flags)}")
    return None


def _follow(where: Store, id: str, flags: list[str]) -> None:
    """Follow a submission and end as it does."""
    try:
        stands = followed(Records(where.objects, id), lambda line: cli.say([line]))
    except (ending.Interrupted, KeyboardInterrupt):
        tell(f"not followed any more; {id} goes on: {_command('--follow', id, flags)}")
        ending.leave(ending.INTERRUPTED, at_once=True)
    if stands.phase == "done":
        return cli.say([f"{id}: {stands.words()}"])
    tell(f"error: {id}: {stands.words()}")
    raise SystemExit(stands.code or 1)


def _hints(id: str, log: str, flags: list[str]) -> list[str]:
    asked = (f"{flag}: {_command(f'--{flag}', id, flags)}" for flag in ("follow", "status", "cancel"))
    return [*([f"log: {log}"] if log else []), *asked]


def _flags(**given: str | None) -> list[str]:
    """Return flags as words of a command line: without those of its store, another command looks elsewhere."""
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", value)]


def _command(asked: str, id: str, flags: list[str]) -> str:
    return f"python jobs/submit.py {shell([asked, *flags, id])}"


def _value(arguments: list[str], flag: str) -> str | None:
    """Return the value of a flag among the arguments of a job, the last one as the job takes it."""
    found = None
    for place, word in enumerate(arguments):
        if word == flag and place + 1 < len(arguments):
            found = arguments[place + 1]
        elif word.startswith(f"{flag}="):
            found = word.partition("=")[2]
    return found


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


if __name__ == "__main__":
    cli.main(app)
