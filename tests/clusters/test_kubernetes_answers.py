"""What a run says when an API server refuses, fails, or does not answer; a server of HTTP stands for it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from geomob_dask.clusters import connect
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.sections import KubernetesSection
from geomob_dask.settings import Settings

CLUSTERS = "/apis/kubernetes.dask.org/v1/namespaces/work/daskclusters"
PODS = "/api/v1/namespaces/work/pods"
Answers = dict[str, Callable[[str], tuple[int, Any]]]


@contextmanager
def server(answers: Answers) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server and what it has been asked; an answer is chosen by method and beginning of path."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            line = f"{self.command} {self.path}"
            asked.append(line)
            known = {"GET /version": lambda line: (200, {"gitVersion": "v1.34.0"}), **answers}
            fits = [beginning for beginning in known if line.startswith(beginning)]
            code, body = known[max(fits, key=len)](line) if fits else (404, "404 page not found")
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}", asked
        found.shutdown()
        thread.join()


def status(code: int, message: str) -> Callable[[str], tuple[int, Any]]:
    return lambda line: (code, {"kind": "Status", "status": "Failure", "message": message, "code": code})


def items(*found: Any) -> Callable[[str], tuple[int, Any]]:
    return lambda line: (200, {"items": list(found)})


MADE: Answers = {
    f"POST {CLUSTERS}": lambda line: (201, {"metadata": {"name": "x", "uid": "1"}}),
    f"GET {CLUSTERS}": lambda line: (200, {"status": {"phase": "Pending"}}),
    f"DELETE {CLUSTERS}": lambda line: (200, {}),
    f"GET {PODS}": items(),
    "GET /apis/apps/v1/namespaces/work/deployments": items(),
    "GET /api/v1/namespaces/work/events": items(),
}


def pod(**said: Any) -> Callable[[str], tuple[int, Any]]:
    return items({"metadata": {"name": "geomob-scheduler-1"}, "status": {"phase": "Pending", **said}})


def waits(reason: str, message: str, **more: Any) -> Callable[[str], tuple[int, Any]]:
    waiting = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "scheduler", "image": "geomob:1", "state": waiting, **more}])


def refusal(tmp_path: Path, address: str, **options: Any) -> GeomobError:
    """Return the error of a run on a section whose API server is at an address."""
    file = tmp_path / "kubeconfig"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "sesame-open"}}],
        "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u", "namespace": "work"}}],
        "current-context": "east",
    }
    file.write_text(json.dumps(config))
    chosen = {"image": "geomob:1", "workers": 1, "kubeconfig": str(file), "starts": 2.0, **options}
    section = KubernetesSection.model_validate(chosen)
    with pytest.raises(GeomobError) as caught, connect(Settings(cluster="k", clusters={"k": section})):
        pass
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ({"GET /version": status(401, "Unauthorized")}, ["http://127.0.0.1", "credentials", "Unauthorized"]),
        (
            {
                f"POST {CLUSTERS}": status(
                    403, 'daskclusters is forbidden: User "u" cannot create resource "daskclusters"'
                )
            },
            ["cannot create resource", "namespace work", "not allowed"],
        ),
        ({}, ["operator of Dask installed", "helm install"]),
        ({f"POST {CLUSTERS}": status(404, 'namespaces "work" not found')}, ["no such namespace", "work"]),
        ({f"POST {CLUSTERS}": status(409, 'daskclusters "x" already exists')}, ["there already"]),
        ({f"POST {CLUSTERS}": status(422, "spec.worker: Invalid value")}, ["spec.worker"]),
    ],
)
def test_a_refusal_says_why_and_nothing_is_deleted(tmp_path, answers, names):
    with server(answers) as (address, asked):
        error = refusal(tmp_path, address)
    assert isinstance(error, SettingsError)
    assert all(name in str(error) for name in names), error
    assert not any(line.startswith("DELETE") for line in asked)


def test_a_server_that_fails_is_another_matter_than_bad_input(tmp_path):
    with server({f"POST {CLUSTERS}": status(500, "etcd is away")}) as (address, _):
        error = refusal(tmp_path, address)
    assert isinstance(error, RunError)
    assert "500" in str(error)


def test_a_server_that_is_not_there_or_says_nothing_ends_the_wait(tmp_path):
    assert "cannot be reached" in str(refusal(tmp_path, "http://127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        said = str(refusal(tmp_path, address, request_timeout=1.0))
    assert f"{address}: no answer within 1 s (request_timeout)" in said


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ({f"GET {CLUSTERS}": lambda line: (200, {})}, ["operator has not taken up", "helm install"]),
        ({f"GET {PODS}": waits("ImagePullBackOff", "Back-off pulling")}, ["cannot be pulled", "geomob:1", "Back-off"]),
        ({f"GET {PODS}": waits("CreateContainerConfigError", 'secret "s3" not found')}, ['secret "s3" not found']),
        (
            {
                f"GET {PODS}": waits(
                    "CrashLoopBackOff", "back-off", lastState={"terminated": {"exitCode": 3, "reason": "Error"}}
                ),
                f"GET {PODS}/geomob-scheduler-1/log": lambda line: (200, "No module named distributed\n"),
            },
            ["again and again", "exit code 3", "No module named distributed"],
        ),
        (
            {
                f"GET {PODS}": pod(
                    conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu."}]
                )
            },
            ["no node takes it", "Insufficient cpu", "starts"],
        ),
        (
            {
                f"GET {PODS}": pod(),
                "GET /api/v1/namespaces/work/events": items(
                    {"reason": "FailedMount", "message": "no such volume", "lastTimestamp": "2026-01-02T00:00:00Z"},
                    {"reason": "Old", "message": "older", "lastTimestamp": "2026-01-01T00:00:00Z"},
                ),
            },
            ["FailedMount", "no such volume"],
        ),
        (
            {
                "GET /apis/apps/v1/namespaces/work/deployments": items(
                    {
                        "metadata": {"name": "geomob-scheduler"},
                        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]},
                    }
                )
            },
            ["geomob-scheduler", "quota"],
        ),
    ],
)
def test_pods_that_do_not_start_end_the_run_with_their_reason_and_are_deleted(tmp_path, answers, names):
    with server({**MADE, **answers}) as (address, asked):
        error = refusal(tmp_path, address)
    assert isinstance(error, RunError)
    assert all(name in str(error) for name in names), error
    [created] = [line for line in asked if line.startswith("POST")]
    assert "fieldValidation=Strict" in created
    assert sum(line.startswith(f"DELETE {CLUSTERS}/geomob-") for line in asked) == 1


def test_what_cannot_be_deleted_is_named_with_the_command_that_does(tmp_path, capfd):
    answers = {f"GET {PODS}": waits("InvalidImageName", "x"), f"DELETE {CLUSTERS}": status(403, "cannot delete")}
    with server({**MADE, **answers}) as (address, _):
        refusal(tmp_path, address)
    said = capfd.readouterr().err
    assert "kubectl delete daskcluster geomob-" in said
    assert "-n work" in said
