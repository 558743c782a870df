"""Jobs of a batch queue, started by dask-jobqueue and kept at their number; the scheduler runs in this process."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import dask
import distributed
from dask.utils import format_bytes

from geomob_dask.clusters.closing import closed_at_the_end
from geomob_dask.clusters.dask_settings import STARTS, as_environment, dask_settings, death_timeout
from geomob_dask.clusters.described import remote_lines
from geomob_dask.clusters.extras import library
from geomob_dask.clusters.queue_commands import QUEUES, answer
from geomob_dask.clusters.queue_jobs import Keeper
from geomob_dask.clusters.security import security_of
from geomob_dask.clusters.workers import enough_memory, same_package_everywhere
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import counted, listed, one_line, reason, tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections.quantities import clock_of, seconds_of
from geomob_dask.sections.queue import (
    HtcondorSection,
    LsfSection,
    PbsSection,
    QueueSection,
    SgeSection,
    SlurmSection,
)

# Seconds that a question to the queue may take, before anything starts.
_ANSWERS = 30
# States of Slurm's nodes in which a job may start there, now or when others have ended.
_WORKING = ("idle", "mixed", "allocated", "completing", "planned", "reserved")
_PLACEHOLDER = "tcp://<scheduler>:<port>"


def threads(section: QueueSection) -> int:
    """Return the number of threads of all workers, the most there may be."""
    return (section.adapt.maximum if section.adapt else section.workers or 1) * section.threads


@contextlib.contextmanager
def opened(section: QueueSection) -> Iterator[distributed.Client]:
    """Yield a client of a new cluster."""
    _check(section)
    if shutil.which(QUEUES[section.kind].submit) is None:
        raise SettingsError(
            f"{section.where}: {_not_found(section)}; expected a machine from which jobs are submitted, such as a "
            "login node"
        )
    if isinstance(section, SlurmSection):
        _check_partition(section, _partitions(section))
    try:
        os.makedirs(section.logs, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{section.where}: logs {section.logs}: no such folder ({reason(error)})") from error
    name = f"geomob-{uuid.uuid4().hex[:8]}"
    # Nodes see the folder of the logs, and not the temporary folder of this machine.
    with security_of(section, os.path.abspath(section.logs)) as security, dask.config.set(dask_settings(section)):
        try:
            client = in_other_thread(lambda: _started(section, name, security), STARTS)
        except GeomobError:
            raise
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise SettingsError(
                f"{section.where}: the scheduler cannot listen at {_where_it_listens(section)} ({one_line(error)}); "
                "expected an address of this machine (host, interface) and a free port"
            ) from error
        keeper = Keeper(client.cluster, section, QUEUES[section.kind], name, tell)
        with closed_at_the_end(client), keeper.keeping():
            keeper.await_worker()
            with watched(client, section, tell, keeper.trouble):
                same_package_everywhere(client, section.patience, STARTS)
                yield client


def effective(section: QueueSection) -> list[str]:
    """Return what `--dry-run` prints of the section: what it comes to, the script of a job, and the queue's answer."""
    _check(section)
    lifetime, stagger = section.retirement
    shown = section.model_copy(
        update={
            "threads_per_worker": section.threads,
            "lifetime": f"{lifetime:g} s",
            "lifetime_stagger": f"{stagger:g} s" if stagger else None,
        }
    )
    script = job_script(section)
    return [
        *remote_lines(shown, format_bytes(section.worker_memory)),
        f"job: {counted(section.workers_of_a_job, 'worker')}, {counted(section.cores, 'core')}, "
        f"{format_bytes(section.job_memory)}; logs in {section.logs}",
        f"scheduler: in the process that runs the job, at {_where_it_listens(section)}",
        f"queue: {_answer(section, script)}",
        "script of a job:",
        *(f"  {line}" for line in script.splitlines()),
    ]


def job_script(section: QueueSection) -> str:
    """Return the script of a job, as it is submitted; the scheduler's address and the names are put in later."""
    security = None
    if section.tls is not None:
        files = (section.tls.ca, section.tls.certificate, section.tls.key)
        ca, certificate, key = ("<made for the run>",) * 3 if section.tls.temporary else files
        security = distributed.Security(
            require_encryption=True, tls_ca_file=ca, tls_worker_cert=certificate, tls_worker_key=key
        )
    options = _job_options(section, "geomob-<run>") | {"protocol": "tls://" if security else None}
    address = _PLACEHOLDER.replace("tcp", "tls") if security else _PLACEHOLDER
    script: str = _job_class(section)(address, name="geomob-<run>-<number>", security=security, **options).job_script()
    return script


def _job_class(section: QueueSection) -> Any:
    """Return dask-jobqueue's class of a job, whose workers have their share of memory and not all of it."""
    kind = getattr(library("dask_jobqueue", "queue", section.where), QUEUES[section.kind].cluster).job_cls
    return type(kind.__name__, (kind,), {"worker_process_memory": f"{section.worker_memory}B"})


def _check(section: QueueSection) -> None:
    """Refuse what cannot work, before anything starts."""
    library("dask_jobqueue", "queue", section.where)
    enough_memory(section, section.worker_memory, f"memory {section.memory or section.memory_limit}")
    if section.interface is not None and section.host is None:
        import psutil

        found = psutil.net_if_addrs()
        if section.interface not in found:
            raise SettingsError(
                f"{section.where}: interface {section.interface}: no such network interface on this machine; expected "
                f"one of {listed(sorted(found))}, or the scheduler's host"
            )


def _started(section: QueueSection, name: str, security: distributed.Security | None) -> distributed.Client:
    """Return a client of a cluster whose scheduler runs; it has no jobs yet."""
    jobqueue = library("dask_jobqueue", "queue", section.where)
    scheduler: dict[str, Any] = {"dashboard_address": section.dashboard, "port": section.port}
    if section.host is not None:
        scheduler["host"] = section.host
    cluster = getattr(jobqueue, QUEUES[section.kind].cluster)(
        scheduler_options=scheduler,
        security=security,
        silence_logs="CRITICAL",
        job_cls=_job_class(section),
        **_job_options(section, name),
    )
    try:
        return distributed.Client(cluster)
    except BaseException:
        cluster.close(timeout=_ANSWERS)
        raise


def _job_options(section: QueueSection, name: str) -> dict[str, Any]:
    """Return what dask-jobqueue is told of a job."""
    more = [
        # Should the scheduler not have retired them by then.
        *("--lifetime", f"{section.last_call:g}s"),
        *("--dashboard-address", "127.0.0.1:0"),
    ]
    variables = as_environment(dask_settings(section)) | section.environ
    return {
        "job_name": name,
        "cores": section.cores,
        "memory": f"{section.job_memory}B",
        "processes": section.workers_of_a_job,
        "python": _python(section),
        "interface": section.interface,
        "local_directory": shlex.quote(section.scratch) if section.scratch else None,
        "log_directory": section.logs,
        "death_timeout": f"{death_timeout(section):g}",
        "worker_extra_args": more,
        "job_script_prologue": [
            *(f"module load {module}" for module in section.modules),
            *(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
            *section.setup,
        ],
        **_options_of_kind(section),
    }


def _options_of_kind(section: QueueSection) -> dict[str, Any]:
    seconds = seconds_of(section.walltime)
    clock = clock_of(seconds)
    directives = list(section.directives)
    if isinstance(section, SlurmSection):
        # A job that its node has lost is replaced at once; the queue would start it again minutes later.
        return {
            "queue": section.partition,
            "account": section.account,
            "walltime": clock,
            # dask-jobqueue would round up to whole GiB.
            "job_mem": f"{-(-section.job_memory // 2**20)}M",
            "job_extra_directives": ["--no-requeue", *directives],
        }
    if isinstance(section, PbsSection):
        return {
            "queue": section.queue,
            "account": section.account,
            "resource_spec": section.resources,
            "walltime": clock,
            "job_extra_directives": ["-r n", *directives],
        }
    if isinstance(section, LsfSection):
        # Minutes, rounded down: the queue must not end a job before its workers retire.
        return {
            "queue": section.queue,
            "project": section.project,
            "walltime": clock.rpartition(":")[0],
            "use_stdin": True,
            "job_extra_directives": ["-rn", *directives],
        }
    if isinstance(section, SgeSection):
        slots = [f"-pe {section.parallel_environment} {section.cores}"] if section.parallel_environment else []
        return {
            "queue": section.queue,
            "project": section.project,
            "resource_spec": section.resources,
            "walltime": clock,
            "job_extra_directives": ["-r n", *slots, *directives],
        }
    assert isinstance(section, HtcondorSection)
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in directives)}
    group = {"accounting_group": section.account} if section.account else {}
    return {
        "disk": section.disk,
        "job_extra_directives": {"batch_name": "", "allowed_job_duration": round(seconds), **group, **pairs},
    }


def _python(section: QueueSection) -> str:
    """Return the command that starts Python in a job."""
    if section.image is None:
        return shlex.quote(section.python or sys.executable)
    options = " ".join(section.container_options)
    return " ".join(
        part
        for part in (
            section.container,
            "exec",
            options,
            shlex.quote(section.image),
            shlex.quote(section.python or "python"),
        )
        if part
    )


def _where_it_listens(section: QueueSection) -> str:
    host = section.host or (f"the address of {section.interface}" if section.interface else "this machine's address")
    return f"{host}, {f'port {section.port}' if section.port else 'any free port'}"


def _not_found(section: QueueSection) -> str:
    return f"{QUEUES[section.kind].submit}: no such command on this machine"


# --- Slurm, asked before anything starts


def _answer(section: QueueSection, script: str) -> str:
    """Return what the queue says of the script, without submitting it."""
    if shutil.which(QUEUES[section.kind].submit) is None:
        return f"not asked, {_not_found(section)}"
    if not isinstance(section, SlurmSection):
        return "not asked, it cannot be without submitting"
    partitions = _partitions(section)
    _check_partition(section, partitions)
    done = _asked(section, ["sbatch", "--test-only"], script)
    said = answer(done.stderr or done.stdout)
    working = [state for _, _, state in _of(section, partitions) if state.strip("*~#!%$@+^-").startswith(_WORKING)]
    if done.returncode and working:
        raise SettingsError(f"{section.where}: sbatch refuses the job: {said}")
    return said if working else f"{said} (no node of the partition works now)"


Partitions = list[tuple[str, str, str]]


def _partitions(section: SlurmSection) -> Partitions:
    """Return name (with a star for the default), time limit and state of nodes of Slurm's partitions."""
    done = _asked(section, ["sinfo", "--noheader", "--format=%P|%l|%T|%a"])
    if done.returncode:
        raise RunError(f"{section.title}: Slurm does not answer: {answer(done.stderr or done.stdout)}")
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [
        (name, limit, state if up == "up" else up) for name, limit, state, up in (row for row in rows if len(row) == 4)
    ]


def _of(section: SlurmSection, partitions: Partitions) -> Partitions:
    """Return the rows of the section's partition."""
    if section.partition is None:
        return [row for row in partitions if row[0].endswith("*")]
    return [row for row in partitions if row[0].rstrip("*") in section.partition.split(",")]


def _check_partition(section: SlurmSection, partitions: Partitions) -> None:
    names = sorted({name.rstrip("*") for name, _, _ in partitions})
    unknown = [name for name in (section.partition or "").split(",") if name and name not in names]
    if unknown:
        raise SettingsError(
            f"{section.where}: partition {unknown[0]}: Slurm has none of this name; expected one of {listed(names, 20)}"
        )
    rows = _of(section, partitions)
    limits = {name.rstrip("*"): limit for name, limit, _ in rows}
    short = [name for name, limit in limits.items() if _seconds(limit) < seconds_of(section.walltime)]
    if rows and len(short) == len(limits):
        raise SettingsError(
            f"{section.where}: walltime {section.walltime} is above the limit of partition {short[0]}, "
            f"{limits[short[0]]}; expected at most that"
        )


def _seconds(limit: str) -> float:
    """Return the seconds of a limit as sinfo prints it; no limit is infinite."""
    days, _, clock = limit.rpartition("-")
    try:
        numbers = [int(part) for part in clock.split(":")]
    except ValueError:
        return float("inf")
    hours, minutes, seconds = ([0, 0, *numbers] if len(numbers) > 1 else [0, *numbers, 0])[-3:]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


def _asked(section: QueueSection, command: list[str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, input=text or "", capture_output=True, text=True, timeout=_ANSWERS, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{section.title}: {command[0]} does not answer ({one_line(error)})") from error
