"""Machines that are reached by SSH: a process on each, told by its standard input what to be, which ends with it.

Dask's own SSHCluster does not replace a worker whose nanny has ended, listens on an interface of its choice, and shows
its orders in the list of processes. Here what has ended is started again, also on a machine that was away.
"""

import asyncio
import contextlib
import json
import os
import shlex
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import distributed
from dask.utils import parse_bytes
from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import ProcessInterface, SpecCluster

import geomob_dask
from geomob_dask.clusters.closing import closed_at_the_end
from geomob_dask.clusters.dask_settings import dask_settings, death_timeout
from geomob_dask.clusters.described import is_loopback, link_after, remote_lines
from geomob_dask.clusters.extras import library
from geomob_dask.clusters.security import security_of
from geomob_dask.clusters.workers import enough_memory, none_left
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import counted, one_line, reason, shown_path, tell
from geomob_dask.runs.other_thread import in_other_thread
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import SshSection
from geomob_dask.sections.quantities import seconds_of

# Connections that are opened at once: an SSH server drops many that come together.
_AT_ONCE = 8
# Seconds between signs of life in both directions; after some without, a machine is given up.
_ALIVE, _MISSED = 10.0, 4
# Seconds in which a process ends by itself.
_ENDS = 9.0
# Seconds before a lost worker is tried again: the first, and the most.
_AGAIN, _LONGEST = 1.0, 30.0
_LINES = 20
_HERE = ("127.0.0.1", "localhost", "::1")


def threads(section: SshSection) -> int:
    """Return the number of threads of all workers."""
    return len(section.placed) * section.threads_per_worker


def effective(section: SshSection) -> list[str]:
    """Return what `--dry-run` prints of the section: machines, and the command that each is asked to run."""
    _checked(section)
    counts = Counter(section.placed)
    return [
        f"scheduler: on {section.first}",
        f"workers: {counted(len(section.placed), 'process', 'processes')}: "
        + ", ".join(f"{count} on {host}" for host, count in counts.items()),
        *(f"command: {_ssh(section, host)} {shlex.quote(_command(section))}" for host in _machines(section)),
        *remote_lines(section.model_copy(update={"workers": None, "environ": {}})),
    ]


@contextlib.contextmanager
def opened(section: SshSection) -> Iterator[distributed.Client]:
    """Yield a client of a new cluster."""
    _checked(section)
    with security_of(section) as security, dask.config.set(dask_settings(section)):
        longest = 2 * (section.connects + section.starts) + _ENDS
        try:
            client = in_other_thread(lambda: _started(section, security), longest)
        except Exception as error:
            raise _explained(section, error) from error
        with (
            closed_at_the_end(client),
            watched(client, section, tell, lambda: none_left(section)),
            dask.config.set(link_of(section, client)),
        ):
            yield client


def link_of(section: SshSection, client: distributed.Client) -> dict[str, str]:
    """Return the setting of the dashboard's link: how to reach it where it listens on the loopback of its machine."""
    port = client.cluster.scheduler.dashboard
    if section.first in _HERE or not port or not is_loopback(section.dashboard):
        return {}
    forward = f"-N -L {port}:{section.dashboard.rpartition(':')[0]}:{port}"
    link = link_after(f"http://127.0.0.1:{port}/status", _ssh(section, section.first, forward))
    return {"distributed.dashboard.link": link}


def _checked(section: SshSection) -> None:
    """Raise SettingsError for what can be seen from here: the library, and files of keys."""
    asyncssh = library("asyncssh", "ssh", section.where)
    _enough(section)
    if section.known_hosts is not None and not os.access(section.known_hosts, os.R_OK):
        raise SettingsError(
            f"{section.where}: known_hosts {shown_path(section.known_hosts)}: cannot be read; expected a file with the "
            "keys of the machines, as ssh-keyscan prints them"
        )
    if section.key is not None:
        try:
            asyncssh.read_private_key(section.key)
        except asyncssh.KeyImportError as error:
            raise SettingsError(
                f"{section.where}: key {shown_path(section.key)}: {reason(error)}; expected a private key without a "
                "passphrase, or none here and the agent's"
            ) from error
        except OSError as error:
            where = f"{section.where}: key {shown_path(section.key)}"
            raise SettingsError(f"{where}: cannot be read ({reason(error)}); expected a private key") from error


def _enough(section: SshSection) -> None:
    """Refuse a limit of memory that imports fill; what ``auto`` is only the machines know."""
    if section.memory_limit not in ("auto", "0"):
        enough_memory(section, parse_bytes(section.memory_limit), f"memory_limit {section.memory_limit}")


def _machines(section: SshSection) -> list[str]:
    return list(dict.fromkeys((section.first, *section.placed)))


def _ssh(section: SshSection, host: str, options: str = "") -> str:
    """Return the command that connects to a machine as this module does."""
    words = ["ssh"]
    words += ["-p", str(section.port)] if section.port else []
    words += ["-i", section.key] if section.key else []
    words += ["-o", f"UserKnownHostsFile={section.known_hosts}"] if section.known_hosts else []
    words += options.split()
    return shlex.join([*words, f"{section.username}@{host}" if section.username else host])


def _command(section: SshSection) -> str:
    """Return what a machine is asked to run; the rest goes by standard input, and is in no list of processes."""
    variables = [f"{name}={value}" for name, value in section.environ.items()]
    python = section.python or sys.executable
    return shlex.join([*(["env", *variables] if variables else []), python, "-m", "geomob_dask.clusters.remote"])


def _explained(section: SshSection, error: BaseException) -> GeomobError:
    """Return the error of this package that Dask's is about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GeomobError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return RunError(
        f"{section.title}: the scheduler on {section.first} is not reached from here, or does not answer "
        f"({one_line(error)}); expected that this machine reaches the ports of {section.first}"
    )


def _started(section: SshSection, security: distributed.Security | None) -> distributed.Client:
    shared = _Shared(section, security, asyncio.Semaphore(_AT_ONCE))
    cluster = _Machines(
        scheduler={"cls": _Scheduler, "options": {"shared": shared, "host": section.first}},
        workers={
            place: {"cls": _Worker, "options": {"shared": shared, "host": host}}
            for place, host in enumerate(section.placed)
        },
        security=security,
        silence_logs="CRITICAL",
        name="ssh",
    )
    try:
        return distributed.Client(cluster)
    except BaseException:
        cluster.close(timeout=_ENDS)
        raise


class _Machines(SpecCluster):  # type: ignore[misc]
    """A cluster whose workers look after themselves: none is struck off because it is lost for a while."""

    def _update_worker_status(self, op: str, msg: Any) -> None:
        Cluster._update_worker_status(self, op, msg)


@dataclass
class _Shared:
    """What all processes of a cluster have in common."""

    section: SshSection
    security: distributed.Security | None
    connecting: asyncio.Semaphore
    # Where the scheduler listens, as its machine was reached.
    listens: str = ""
    tls: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.tls = {}
        if self.security is not None:
            for role in ("client", "scheduler", "worker"):
                tls = self.security.get_tls_config_for_role(role)
                self.tls |= {
                    f"tls_{role}_cert": tls["cert"],
                    f"tls_{role}_key": tls["key"],
                    "tls_ca_file": tls["ca_file"],
                }
            if self.section.tls is not None and self.section.tls.temporary:
                # Files of this machine: their content is told to the others, which keep it in memory.
                self.tls = {name: Path(file).read_text(encoding="ascii") for name, file in self.tls.items()}


class _Remote(ProcessInterface):  # type: ignore[misc]
    """A process on another machine."""

    role = ""
    # Of a process here, as LocalCluster's have.
    pid = None

    def __init__(self, scheduler: str | None = None, *, shared: _Shared, host: str, name: Any = None) -> None:
        super().__init__()
        self.scheduler, self.host, self.name = scheduler, host, name
        self._shared, self._section = shared, shared.section
        self._connection: Any = None
        self._process: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._starts = 0
        self._told: deque[str] = deque(maxlen=_LINES)
        self.dashboard = ""

    @property
    def who(self) -> str:
        """Return the process in words."""
        return f"{self._section.title}: the {self.role} on {self.host}"

    def options(self, address: str) -> dict[str, Any]:
        """Return the options of Dask's class, on a machine that was reached at an address."""
        found: dict[str, Any] = {"host": address or None}
        return found | ({"protocol": "tls://"} if self._shared.tls else {})

    async def start(self) -> None:
        """Start the process; whatever was begun is ended if it does not start."""
        try:
            await self._begin()
        except BaseException:
            self.status = Status.failed
            await self._drop()
            raise
        await super().start()

    async def close(self) -> None:
        """End the process, and all that it has started."""
        for task in self._tasks:
            task.cancel()
        await self._drop()
        await super().close()

    async def _begin(self) -> None:
        self._starts += 1
        self._told.clear()
        await self._connect()
        self._process = await self._connection.create_process(_command(self._section), errors="replace")
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.ensure_future(self._read_errors(self._process.stderr)))
        hello = await self._answer("package", self._section.connects + self._section.starts)
        self._same_versions(hello)
        order = {
            "role": self.role,
            "scheduler": self.scheduler,
            "settings": dask_settings(self._section),
            "options": self.options(str(hello["address"])),
            "tls": self._shared.tls,
            "silence": death_timeout(self._section),
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        found = await self._answer("address", self._section.starts)
        self.address = found["address"]
        self.dashboard = found["dashboard"]
        self._tasks.append(asyncio.ensure_future(self._sign_of_life(self._process)))
        self._tasks.append(asyncio.ensure_future(self._read_errors(self._process.stdout)))

    async def _connect(self) -> None:
        section = self._section
        asyncssh = library("asyncssh", "ssh", section.where)
        given = {
            "port": section.port,
            "username": section.username,
            "client_keys": None if section.key is None else [section.key],
            "known_hosts": section.known_hosts,
        }
        options = {name: value for name, value in given.items() if value is not None}
        where = f"{section.where}: host {self.host}"
        try:
            async with self._shared.connecting:
                self._connection = await asyncssh.connect(
                    self.host,
                    connect_timeout=section.connects,
                    login_timeout=section.connects,
                    keepalive_interval=_ALIVE,
                    keepalive_count_max=_MISSED,
                    **options,
                )
        except asyncssh.HostKeyNotVerifiable as error:
            file = section.known_hosts or "~/.ssh/known_hosts"
            raise SettingsError(
                f"{where}: its key is not in {file} ({reason(error)}); expected it there: compare the key and add it, "
                f"as with {_ssh(section, self.host)} true"
            ) from error
        except asyncssh.PermissionDenied as error:
            found = f"user {section.username}" if section.username else "this user"
            key = f"key {section.key}" if section.key else "the keys of ~/.ssh and of the agent"
            raise SettingsError(
                f"{where}: refuses {found} with {key}; expected that {_ssh(section, self.host)} true works without a "
                "password"
            ) from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            port = "" if section.port is None else f" at port {section.port}"
            raise SettingsError(
                f"{where}: not reached{port} ({reason(error)}); expected an SSH server that answers within "
                f"{section.connects:g} s (connects in cluster.yaml)"
            ) from error

    async def _read_errors(self, stream: Any) -> None:
        """Read what the process says, so that it never waits for a reader; the last lines are kept."""
        with contextlib.suppress(Exception):
            async for line in stream:
                if line.strip():
                    self._told.append(one_line(line))

    async def _answer(self, key: str, seconds: float) -> dict[str, Any]:
        """Return the next message of the process that has a key; a shell may say other things before."""
        try:
            async with asyncio.timeout(seconds):
                async for line in self._process.stdout:
                    said = _message(line)
                    if "failed" in said:
                        raise RunError(f"{self.who} did not start ({said['failed']}); {self._expected(key)}")
                    if key in said:
                        return said
                await self._process.wait_closed()
        except TimeoutError as error:
            last = f" ({self._told[-1]})" if self._told else ""
            raise RunError(
                f"{self.who} did not start within {seconds:g} s{last}; {self._expected(key)}, or a longer time (starts "
                "in cluster.yaml)"
            ) from error
        raise self._ended()

    def _expected(self, key: str) -> str:
        reached = f" and the scheduler at {self.scheduler} is reached from there" if self.scheduler else ""
        return f"expected that it starts{reached}" if key == "address" else "expected its first answer"

    def _ended(self) -> GeomobError:
        """Return why a process ended before it was what it should be."""
        python, status = self._section.python or sys.executable, self._process.exit_status
        where = f"{self._section.where}: host {self.host}"
        said = " ".join(self._told)
        last = self._told[-1] if self._told else "it said nothing"
        if status in (126, 127):
            return SettingsError(
                f"{where}: python {python} cannot be run there ({last}); expected the path of a Python that has "
                "geomob_dask (python in cluster.yaml)"
            )
        if "No module named" in said:
            return SettingsError(
                f"{where}: python {python} there cannot import what is needed ({last}); expected geomob_dask "
                f"{geomob_dask.__version__} installed there"
            )
        return RunError(f"{self.who} ended while it started, with status {status} ({last}); expected that it runs")

    def _same_versions(self, hello: dict[str, Any]) -> None:
        here = {
            "geomob_dask": (hello["package"], geomob_dask.__version__),
            "distributed": (hello["distributed"], distributed.__version__),
            # Functions travel between them, and differ with the second number of the version.
            "Python": tuple(".".join(text.split(".")[:2]) for text in (hello["python"], sys.version.split()[0])),
        }
        where = f"{self._section.where}: host {self.host}"
        for name, (found, expected) in here.items():
            if found != expected:
                raise SettingsError(f"{where}: found {name} {found}, expected {expected} as on this side")

    async def _sign_of_life(self, process: Any) -> None:
        with contextlib.suppress(Exception):
            while True:
                await asyncio.sleep(_ALIVE)
                process.stdin.write("\n")

    async def _drop(self) -> None:
        """End the process by ending its input, and the connection; both at once if that takes too long."""
        with contextlib.suppress(Exception):
            self._process.stdin.write_eof()
            await asyncio.wait_for(self._process.wait_closed(), _ENDS)
        with contextlib.suppress(Exception):
            self._connection.abort()


class _Scheduler(_Remote):
    """The scheduler."""

    role = "scheduler"

    def options(self, address: str) -> dict[str, Any]:
        """Return the options of Dask's class."""
        self._shared.listens = address
        found: dict[str, Any] = {"port": 0, "dashboard": True, "dashboard_address": self._section.dashboard}
        return super().options(address) | found


class _Worker(_Remote):
    """A worker and its nanny; they are started again when they are lost."""

    role = "worker"
    _keeper: asyncio.Task[None] | None = None

    def options(self, address: str) -> dict[str, Any]:
        """Return the options of Dask's class."""
        section = self._section
        if self._shared.listens.startswith("127.") and address and not address.startswith("127."):
            raise SettingsError(
                f"{section.where}: host {section.first}: the scheduler listens on {self._shared.listens}, which "
                f"{self.host} does not reach; expected a name or address that all machines know"
            )
        found = {
            "nthreads": section.threads_per_worker,
            "memory_limit": section.memory_limit,
            "local_directory": section.scratch,
            # A lost worker of the same name may not be struck off yet.
            "name": f"{self.host}-{self.name}" + (f"-{self._starts}" if self._starts > 1 else ""),
            "death_timeout": death_timeout(section),
        }
        if section.lifetime is not None:
            # As seconds: Dask does not read a time as on a clock.
            found |= {"lifetime": seconds_of(section.lifetime), "lifetime_restart": True}
            if section.lifetime_stagger is not None:
                found["lifetime_stagger"] = seconds_of(section.lifetime_stagger)
        return super().options(address) | found

    async def start(self) -> None:
        """Start the worker, and look after it from then on."""
        await super().start()
        self._keeper = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """End the worker."""
        if self._keeper is not None:
            self._keeper.cancel()
        await super().close()

    async def _keep(self) -> None:
        while True:
            await self._process.wait_closed()
            tell(f"{self.who} was lost; it is started again")
            await self._drop()
            wait, told = _AGAIN, False
            while not await self._is_back(told):
                told = True
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST)
            tell(f"{self.who} is back")

    async def _is_back(self, told: bool) -> bool:
        try:
            await self._begin()
        except Exception as error:
            await self._drop()
            if not told:
                tell(f"{self.who} did not start ({one_line(error)}); it is tried again until it does")
            return False
        return True


def _message(line: str) -> dict[str, Any]:
    """Return a message of a process; empty if the line is something that a shell says."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
