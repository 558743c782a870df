"""Clusters that a server of Dask Gateway starts.

The cluster is asked for, waited for and connected to step by step, rather than through `GatewayCluster`: that waits
without an end, and stops what it started only where the interpreter ends in peace. TLS is the gateway's own.
"""

import asyncio
import contextlib
import getpass
import os
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import dask
import distributed

from geomob_dask.clusters.asking import Answer, Asking
from geomob_dask.clusters.closing import closed_at_the_end, tried
from geomob_dask.clusters.dask_settings import patient_settings, tell_differences
from geomob_dask.clusters.described import waits_line
from geomob_dask.clusters.extras import library
from geomob_dask.clusters.joining import joined
from geomob_dask.clusters.workers import await_worker, none_left, same_package_everywhere
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import counted, one_line, reason, shown, tell
from geomob_dask.names import did_you_mean
from geomob_dask.runs.watchdog import watched
from geomob_dask.sections import GatewaySection

_LOOK_AGAIN = 0.5
_TELL = 10.0


def threads(section: GatewaySection) -> int | None:
    """Return None: how many threads a worker has is for the gateway to say."""
    return None


def effective(section: GatewaySection) -> list[str]:
    """Return what `--dry-run` prints of the section; nobody is asked."""
    library("dask_gateway", "gateway", section.where)
    lines = [f"gateway: {section.address}, its answer within {section.request_timeout:g} s"]
    if section.proxy_address is not None:
        lines.append(f"schedulers: through {section.proxy_address}")
    lines.append(_auth_line(section))
    if section.cluster is not None:
        lines.append(f"cluster: {section.cluster}, which runs there, and stays")
    else:
        size = (
            f"{section.adapt.minimum} to {section.adapt.maximum} workers, as many as there is work for"
            if section.adapt is not None
            else counted(section.workers or 1, "worker")
        )
        lines.append(f"cluster: a new one, {size}; after the run " + ("kept" if section.keep else "stopped"))
        lines += [f"option: {name}: {value}" for name, value in section.options.items()]
    return [*lines, "tls: the gateway's own", waits_line(section)]


def _auth_line(section: GatewaySection) -> str:
    if section.auth == "basic":
        return f"auth: basic, user {_user(section)}, password in {section.password_variable} ({_is_set(section)})"
    if section.auth == "jupyterhub":
        return f"auth: jupyterhub, token in {section.token_variable} ({_is_set(section)})"
    return "auth: kerberos, with the ticket of this user"


def _is_set(section: GatewaySection) -> str:
    name = section.password_variable if section.auth == "basic" else section.token_variable
    return "set" if os.environ.get(name) else "not set"


@contextlib.contextmanager
def opened(section: GatewaySection) -> Iterator[distributed.Client]:
    """Yield a client of a cluster of the gateway; a new one is stopped at the end, unless it is to be kept.

    Raises
    ------
    SettingsError
        If the gateway does not answer, does not take the user, or has no such option or cluster, or the workers have
        another version of this package.
    RunError
        If the cluster does not start.
    """
    with _asked(section) as asked, _cluster(asked, section) as name:
        report = _await_scheduler(asked, section, name)
        settings = patient_settings(section)
        if report.dashboard_link:
            settings["distributed.dashboard.link"] = report.dashboard_link
        with dask.config.set(settings):
            client = _connected(section, report)
            with closed_at_the_end(client):
                # The watchdog would wait for a worker no longer than `patience`.
                await_worker(client, section.title, section.starts)
                with watched(client, section, tell, lambda: none_left(section)):
                    same_package_everywhere(client, section.patience, section.starts)
                    tell_differences(client, section, section.title, section.request_timeout)
                    yield client


@contextlib.contextmanager
def _asked(section: GatewaySection) -> Iterator["_Asked"]:
    """Yield the gateway; it is not asked yet."""
    asking = Asking()
    asked = _Asked(section, asking)
    with asking.running():
        try:
            asked.open()
            yield asked
        finally:
            asked.close()


class _Asked:
    """A gateway whose answers are bounded, and whose errors fit in one line.

    Parameters
    ----------
    section : GatewaySection
    asking : Asking
        The thread that asks.
    """

    def __init__(self, section: GatewaySection, asking: Asking) -> None:
        self.section, self._asking = section, asking
        self._library = library("dask_gateway", "gateway", section.where)
        self._gateway: Any = None

    def open(self) -> None:
        """Prepare for questions."""

        async def made() -> Any:
            return self._library.Gateway(
                section.address,
                proxy_address=section.proxy_address,
                public_address=section.public_address,
                auth=auth,
                asynchronous=True,
            )

        section, auth = self.section, self._auth()
        self._gateway = self._bounded(made)

    def close(self) -> None:
        """Close the connection to the gateway."""
        if self._gateway is not None:
            with contextlib.suppress(Exception):
                self._asking.answer(self._gateway.close, self.section.request_timeout)

    def _auth(self) -> Any:
        section, auth = self.section, library("dask_gateway.auth", "gateway", self.section.where)
        if section.auth == "basic":
            return auth.BasicAuth(_user(section), os.environ.get(section.password_variable, ""))
        if section.auth == "jupyterhub":
            token = os.environ.get(section.token_variable)
            if not token:
                raise SettingsError(
                    f"{section.where}: auth jupyterhub: {section.token_variable} is not set; expected a token of "
                    "JupyterHub in it (token_variable in cluster.yaml)"
                )
            return auth.JupyterHubAuth(token)
        library("kerberos", "gateway", f"{section.where}: auth kerberos")
        return auth.KerberosAuth()

    def ask(self, question: Callable[[Any], Coroutine[Any, Any, Answer]]) -> Answer:
        """Return the answer of the gateway to a question, which is a call of its asynchronous client.

        Raises
        ------
        SettingsError
            If it does not answer, or does not take the user.
        """
        return self._bounded(lambda: question(self._gateway))

    def _bounded(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        section = self.section
        where = f"{section.where}: gateway {section.address}"
        try:
            return self._asking.answer(question, section.request_timeout)
        except TimeoutError as error:
            raise SettingsError(
                f"{where}: no answer within {section.request_timeout:g} s (request_timeout); expected a server of Dask "
                "Gateway there"
            ) from error
        except self._library.GatewayServerError as error:
            raise RunError(f"{where}: failed ({one_line(error)}); its log says more") from error
        except GeomobError:
            raise
        except (ValueError, self._library.GatewayClusterError) as error:
            raise SettingsError(f"{where}: refuses this ({reason(error)}); expected what it takes") from error
        except Exception as error:
            status = getattr(error, "status", None)
            if status in (401, 403):
                raise SettingsError(f"{where}: does not let in {_who(section)} ({status})") from error
            if status is not None:
                raise SettingsError(
                    f"{where}: answers {status} {one_line(getattr(error, 'message', ''))}; expected a server of Dask "
                    "Gateway there"
                ) from error
            raise SettingsError(
                f"{where}: cannot be reached ({reason(error)}); expected a server of Dask Gateway there"
            ) from error


def _user(section: GatewaySection) -> str:
    return section.user or getpass.getuser()


def _who(section: GatewaySection) -> str:
    if section.auth == "basic":
        return (
            f"user {shown(_user(section))} with the password in {section.password_variable}, which is "
            f"{_is_set(section)}; expected the user's password there"
        )
    if section.auth == "jupyterhub":
        return f"the bearer of the token in {section.token_variable}; expected one that is valid"
    return "this user; expected a valid ticket (kinit)"


@contextlib.contextmanager
def _cluster(asked: _Asked, section: GatewaySection) -> Iterator[str]:
    """Yield the name of the cluster that runs already, or of a new one, which is stopped at the end."""
    if section.cluster is not None:
        running = [report.name for report in asked.ask(lambda gateway: gateway.list_clusters())]
        if section.cluster not in running:
            raise SettingsError(
                f"{section.where}: no cluster {shown(section.cluster)} of {_user(section)} runs at {section.address}; "
                f"{did_you_mean(section.cluster, running, 'none runs')}"
            )
        yield section.cluster
        return
    options = _checked_options(asked, section)
    asked_for: list[asyncio.Task[str]] = []

    async def submitted(gateway: Any) -> str:
        asked_for.append(asyncio.ensure_future(gateway.submit(cluster_options=options)))
        return await asyncio.shield(asked_for[0])

    async def late(gateway: Any) -> str:
        return await asked_for[0]

    try:
        yield asked.ask(submitted)
    finally:
        if asked_for and not section.keep:
            # An interrupt may have come while the gateway was asked: it starts a cluster all the same.
            with contextlib.suppress(GeomobError):
                _stop(asked, section, asked.ask(late))


def _checked_options(asked: _Asked, section: GatewaySection) -> Any:
    """Return the options of a new cluster, each one that the gateway has and with a value that it takes."""
    options = asked.ask(lambda gateway: gateway.cluster_options(use_local_defaults=False))
    for name, value in section.options.items():
        if name not in options:
            raise SettingsError(
                f"{section.where}: options: the gateway has no option {shown(name)}; "
                f"{did_you_mean(name, options, 'it has none')}"
            )
        try:
            options[name] = value
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{section.where}: options.{name}: found {shown(value)}; {one_line(error)}") from error
    return options


def _stop(asked: _Asked, section: GatewaySection, name: str) -> None:
    """Stop a cluster; where that fails, say how it is done by hand."""
    error = tried(lambda: asked.ask(lambda gateway: gateway.stop_cluster(name)), GeomobError)
    if error is not None:
        tell(
            f"{section.title}: cluster {name} could not be stopped ({one_line(error)}); stop it: python -c "
            f"\"import dask_gateway; dask_gateway.Gateway('{section.address}').stop_cluster('{name}')\""
        )


def _await_scheduler(asked: _Asked, section: GatewaySection, name: str) -> Any:
    """Return the gateway's report on a cluster, once it runs and workers are asked for."""
    began, told = time.monotonic(), False
    while True:
        report = asked.ask(lambda gateway: gateway.get_cluster(name))
        status = report.status.name
        waited = time.monotonic() - began
        if status == "RUNNING":
            break
        if status != "PENDING":
            raise RunError(
                f"{section.title}: cluster {name} has not started: the gateway says {status.lower()}; its log, and "
                "that of the scheduler, say why"
            )
        if waited > section.starts:
            raise RunError(
                f"{section.title}: cluster {name} has not started for {waited:.0f} s (starts in cluster.yaml)"
            )
        if waited > _TELL and not told:
            tell(f"{section.title}: cluster {name} is pending; waiting up to {section.starts:g} s for it")
            told = True
        time.sleep(_LOOK_AGAIN)
    for warning in asked.ask(lambda gateway: _sized(gateway, section, name)):
        tell(f"{section.title}: {warning}")
    return report


async def _sized(gateway: Any, section: GatewaySection, name: str) -> list[str]:
    """Ask for workers; return what the gateway says of limits."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        if section.adapt is not None:
            await gateway.adapt_cluster(name, minimum=section.adapt.minimum, maximum=section.adapt.maximum)
        elif section.workers is not None:
            await gateway.scale_cluster(name, section.workers)
    return [one_line(warning.message) for warning in found]


def _connected(section: GatewaySection, report: Any) -> distributed.Client:
    try:
        return joined(report.scheduler_address, section.request_timeout, report.security)
    except ConnectionError as error:
        raise SettingsError(
            f"{section.where}: the scheduler of cluster {report.name} does not answer at {report.scheduler_address} "
            f"({reason(error)}); expected the gateway's proxy there (proxy_address)"
        ) from error
