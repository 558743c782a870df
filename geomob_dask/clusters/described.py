"""The effective configuration of a section as `--dry-run` prints it; what every kind has in common."""

import ipaddress

from geomob_dask.clusters.security import tls_line
from geomob_dask.sections.shared import RemoteWorkers, Waits, WorkerOptions

_AFTER = " after "


def worker_lines(section: WorkerOptions, memory: str | None = None) -> list[str]:
    """Return what holds for every worker that a section starts.

    Parameters
    ----------
    section : section of cluster.yaml
    memory : str, optional
        Memory of one worker, where the kind has worked out what ``auto`` is.

    Raises
    ------
    SettingsError
        If files of TLS do not do.
    """
    shares = (
        f"results move to disk at {section.target:.0%} of it, the process's memory at {section.spill:.0%}, "
        f"no new task starts at {section.pause:.0%}, restarted at {section.terminate:.0%}"
    )
    limit = memory or section.memory_limit
    return [
        f"threads: {section.threads_per_worker} a worker",
        "memory: no limit" if limit == "0" else f"memory: {limit} a worker; {shares}",
        f"scratch: {section.scratch or 'the temporary folder where a worker runs'}",
        f"dashboard: {section.dashboard} where the scheduler runs ({_who_sees(section.dashboard)})",
        tls_line(section),
        waits_line(section),
    ]


def remote_lines(section: RemoteWorkers, memory: str | None = None) -> list[str]:
    """Return what holds for workers on other machines; see `worker_lines`."""
    lines = []
    if section.adapt is not None:
        lines.append(f"workers: {section.adapt.minimum} to {section.adapt.maximum}, as many as there is work for")
    elif section.workers is not None:
        lines.append(f"workers: {section.workers}, lost ones are replaced")
    lines += worker_lines(section, memory)
    if section.lifetime is not None:
        stagger = f", give or take {section.lifetime_stagger}" if section.lifetime_stagger else ""
        lines.append(f"lifetime: a worker retires after {section.lifetime}{stagger}, and another takes its place")
    lines += [f"environ: {name}={value}" for name, value in section.environ.items()]
    return lines


def waits_line(section: Waits) -> str:
    """Return how long a run waits for its cluster."""
    longest = "no limit" if section.longest_task is None else f"at most {section.longest_task:g} s"
    another = getattr(section, "starts", section.patience)
    return (
        f"waits: {section.patience:g} s for a scheduler that does not answer, {another:g} s for a worker if none is "
        f"left, {section.silence:g} s for workers of which none answers, {section.progress:g} s while tasks wait and "
        f"none is computed; {longest} for one task"
    )


def link_after(link: str, tunnel: str) -> str:
    """Return the link of a dashboard that a tunnel leads to; see `link_and_tunnel`."""
    return f"{link}{_AFTER}{tunnel}"


def link_and_tunnel(link: str) -> tuple[str, str]:
    """Return the link of a dashboard, and the command that is to run here before it leads anywhere, if there is one.

    Examples
    --------
    >>> link_and_tunnel(link_after("http://127.0.0.1:8787/status", "ssh -N -L 8787:127.0.0.1:8787 node1"))
    ('http://127.0.0.1:8787/status', 'ssh -N -L 8787:127.0.0.1:8787 node1')
    >>> link_and_tunnel("http://127.0.0.1:8787/status")
    ('http://127.0.0.1:8787/status', '')
    """
    found, _, tunnel = link.partition(_AFTER)
    return found, tunnel


def is_loopback(address: str) -> bool:
    """Return whether only its own machine sees what listens at an address."""
    return is_loopback_host(address.rpartition(":")[0].strip("[]"))


def is_loopback_host(host: str) -> bool:
    """Return whether a host, without a port, is its own machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _who_sees(address: str) -> str:
    return "seen from there alone" if is_loopback(address) else "seen from other machines"
