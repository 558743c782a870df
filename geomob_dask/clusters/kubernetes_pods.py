"""Why pods of a cluster do not run, as Kubernetes says it."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geomob_dask.clusters.kubernetes_api import RefusedError, Server, is_ready
from geomob_dask.messages import one_line, shown

# What does not end by itself: waiting would be in vain.
_FINAL = {
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImageNeverPull": "its image is not on the node, and may not be pulled",
    "InvalidImageName": "its image's name is not valid",
    "CreateContainerConfigError": "its configuration lacks something",
    "CreateContainerError": "it cannot be started",
    "RunContainerError": "it cannot be started",
    "CrashLoopBackOff": "it ends again and again",
}
_LINES = 3


@dataclass(frozen=True)
class Problem:
    """Why a pod does not run.

    Parameters
    ----------
    what : str
    final : bool
        Whether it does not end by itself.
    """

    what: str
    final: bool


def problem_of(server: Server, cluster: str, component: str) -> Problem | None:
    """Return why a cluster's scheduler, or all of its workers, do not run; None if nothing is known to be wrong.

    Parameters
    ----------
    server : Server
    cluster : str
        Name of the DaskCluster.
    component : str
        ``scheduler`` or ``worker``.
    """
    labels = f"dask.org/cluster-name={cluster},dask.org/component={component}"
    pods = server.items("Pod", labels=labels)
    found = [_of_pod(server, pod) for pod in pods]
    if not pods:
        return _of_deployments(server, labels)
    # One that runs suffices.
    if any(problem is None for problem in found):
        return None
    problems = [problem for problem in found if problem is not None]
    return next((problem for problem in problems if problem.final), problems[0])


def scheduler_labels(cluster: str) -> str:
    """Return the labels of the pod of a cluster's scheduler."""
    return f"dask.org/cluster-name={cluster},dask.org/component=scheduler"


def scheduler_is_ready(server: Server, cluster: str) -> bool:
    """Return whether the scheduler of a cluster takes connections."""
    return any(is_ready(pod) for pod in server.items("Pod", labels=scheduler_labels(cluster)))


def _of_pod(server: Server, pod: Mapping[str, Any]) -> Problem | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in status.get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting") or {}
        why = _FINAL.get(str(waiting.get("reason")))
        if why is not None:
            said = one_line(waiting.get("message") or "")
            if waiting["reason"] == "CrashLoopBackOff":
                said = _end_of(server, name, container)
            elif "image" in why:
                why = f"{why}: {container.get('image')}"
            return Problem(f"pod {name}: {why} ({waiting['reason']}: {said})", final=True)
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = one_line(condition.get("message") or condition.get("reason") or "")
            return Problem(f"pod {name}: no node takes it ({said})", final=False)
    if status.get("phase") == "Pending":
        return Problem(f"pod {name}: is not running yet ({_last_event(server, name)})", final=False)
    return None


def _end_of(server: Server, pod: str, container: Mapping[str, Any]) -> str:
    """Return how a container ended last, with the end of its log."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    lines = ""
    with contextlib.suppress(RefusedError):
        lines = server.log(pod, tailLines=_LINES, previous="true", container=str(container.get("name")))
    how = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
    return f"{how}; its last lines: {shown(one_line(lines), 300)}" if lines.strip() else how


def _of_deployments(server: Server, labels: str) -> Problem | None:
    """Return why the operator's deployments have no pods, such as a quota."""
    for deployment in server.items("Deployment", labels=labels):
        for condition in deployment.get("status", {}).get("conditions") or []:
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                name = deployment["metadata"]["name"]
                return Problem(f"deployment {name}: {one_line(condition.get('message'))}", final=False)
    return None


def _last_event(server: Server, pod: str) -> str:
    """Return the last warning about a pod; events are for people, and reading them may not be allowed."""
    with contextlib.suppress(RefusedError):
        events = server.items("Event", fields=f"involvedObject.name={pod},type=Warning")
        if events:
            last = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
            return one_line(f"{last.get('reason')}: {last.get('message')}")
    return "no event says why"
