"""A node of Kubernetes for tests: it takes every pod, and runs its containers' commands as processes of this machine.

The pods have a network of their own, in which services have their names, and where the operator runs too. The node
answers what an API server asks a node: for logs, and for connections to pods.
"""

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from aiohttp import WSMsgType, web

from geomob_dask.clusters.security import certificate_and_key

_CLONE_NEWNET = 0x40000000
# An image whose name begins so is one that cannot be pulled.
MISSING = "missing.example/"


class Network:
    """A network namespace for all pods, with a link to this machine."""

    def __init__(self) -> None:
        number = os.getpid() % 4000
        self.name = f"geomob-pods-{os.getpid()}"
        base, last = f"10.78.{number // 64}", number % 64 * 4
        self.here, self.there = f"{base}.{last + 1}", f"{base}.{last + 2}"
        self._link = f"gm{number}"
        self._known: dict[str, None] = {}
        self._etc = Path("/etc/netns") / self.name
        self._hosts = self._etc / "hosts"

    def __enter__(self) -> "Network":
        self._etc.mkdir(parents=True)
        self.names([])
        peer = f"{self._link}p"
        for line in (
            f"netns add {self.name}",
            f"link add {self._link} type veth peer name {peer}",
            f"link set {peer} netns {self.name}",
            f"addr add {self.here}/30 dev {self._link}",
            f"link set {self._link} up",
            f"-n {self.name} addr add {self.there}/30 dev {peer}",
            f"-n {self.name} link set {peer} up",
            f"-n {self.name} link set lo up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False)
        subprocess.run(["ip", "link", "delete", self._link], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self._etc, ignore_errors=True)

    def names(self, services: list[dict[str, Any]]) -> None:
        """Give services their names, which stay; every pod is at this network's loopback."""
        for one in services:
            name, namespace = one["metadata"]["name"], one["metadata"]["namespace"]
            self._known[f"127.0.0.1 {name} {name}.{namespace} {name}.{namespace}.svc.cluster.local"] = None
        # In place: processes have this very file mounted.
        with self._hosts.open("w") as file:
            file.write("\n".join([f"127.0.0.1 localhost {socket.gethostname()}", *self._known]) + "\n")

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in this network."""
        return ["ip", "netns", "exec", self.name, *command]

    def connect(self, port: int) -> socket.socket:
        """Return a connection to a port of a pod."""
        found: list[socket.socket | OSError] = []

        def there() -> None:
            with open(f"/run/netns/{self.name}") as file:
                ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET)
            try:
                found.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            except OSError as error:
                found.append(error)

        # Only the thread that asks moves there.
        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]


@dataclass
class Pod:
    """A pod that runs.

    Parameters
    ----------
    name : str
    process : Popen
        Of its container.
    log : Path
    restarts : int
    """

    name: str
    process: subprocess.Popen
    log: Path
    restarts: int = 0
    ready: bool = False
    began: float = field(default_factory=time.monotonic)


class Node:
    """The node; see the module.

    Parameters
    ----------
    folder : Path
        For logs and volumes.
    network : Network
    kubeconfig : str
        Access of an administrator.
    namespace : str
        Whose pods it takes.
    """

    def __init__(self, folder: Path, network: Network, kubeconfig: str, namespace: str = "work") -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        token = next(one["user"]["token"] for one in config["users"] if one["name"] == "admin")
        server = config["clusters"][0]["cluster"]["server"]
        headers = {"Authorization": f"Bearer {token}"}
        self._api = httpx.Client(base_url=server, headers=headers, verify=False, timeout=30)
        self._folder, self._network, self._namespace = folder, network, namespace
        self.pods: dict[str, Pod] = {}
        self._stopped = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._serve, self._run)]
        self._port: list[int] = []

    def __enter__(self) -> "Node":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._threads[1].join(30)
        for pod in self.pods.values():
            _end(pod)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._threads[0].join(30)
        self._api.close()

    def _run(self) -> None:
        while not self._port:
            time.sleep(0.05)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port[0]}},
        }
        self._api.post("/api/v1/nodes", json={"metadata": {"name": "here"}, "status": status}).raise_for_status()
        while not self._stopped.wait(0.2):
            with contextlib.suppress(httpx.HTTPError):
                self._look()

    def _look(self) -> None:
        base = f"/api/v1/namespaces/{self._namespace}"
        self._network.names(self._api.get(f"{base}/services").json()["items"])
        there = self._api.get(f"{base}/pods").json()["items"]
        for uid in set(self.pods) - {one["metadata"]["uid"] for one in there}:
            _end(self.pods.pop(uid))
        for one in there:
            self._handle(one, f"{base}/pods/{one['metadata']['name']}")

    def _handle(self, one: dict[str, Any], url: str) -> None:
        metadata, spec = one["metadata"], one["spec"]
        pod = self.pods.get(metadata["uid"])
        if metadata.get("deletionTimestamp"):
            if pod is not None:
                _end(self.pods.pop(metadata["uid"]))
            self._api.request("DELETE", url, json={"gracePeriodSeconds": 0})
        elif not spec.get("nodeName"):
            if spec.get("nodeSelector"):
                why = f"0/1 nodes are available: none has {json.dumps(spec['nodeSelector'])}."
                said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
                self._tell(url, {"conditions": [said]})
            else:
                binding = {"metadata": {"name": metadata["name"]}, "target": {"kind": "Node", "name": "here"}}
                self._api.post(f"{url}/binding", json=binding)
        elif pod is None:
            self._start(one, url)
        else:
            self._watch(pod, one, url)

    def _start(self, one: dict[str, Any], url: str) -> None:
        [container] = one["spec"]["containers"]
        if container["image"].startswith(MISSING):
            why = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
            self._tell(url, {"containerStatuses": [_container(container, {"waiting": why}, 0)]})
            return
        try:
            args, variables = self._command(one, container)
        except LookupError as error:
            why = {"reason": "CreateContainerConfigError", "message": f'secret "{error.args[0]}" not found'}
            self._tell(url, {"containerStatuses": [_container(container, {"waiting": why}, 0)]})
            return
        log = self._folder / f"{one['metadata']['name']}.log"
        with log.open("a") as file:
            process = subprocess.Popen(
                self._network.inside(*args), env=variables, stdout=file, stderr=file, cwd=self._folder
            )
        known = self.pods.get(one["metadata"]["uid"])
        restarts = 0 if known is None else known.restarts + 1
        self.pods[one["metadata"]["uid"]] = Pod(one["metadata"]["name"], process, log, restarts)

    def _command(self, one: dict[str, Any], container: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
        """Return the command and environment of a container, with its volumes as folders of this machine."""
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "HOME") if key in os.environ}
        variables = dict(kept)
        for source in container.get("envFrom", []):
            variables |= self._data(source["secretRef"]["name"])
        variables |= {item["name"]: item["value"] for item in container.get("env", [])}
        volumes = {volume["name"]: volume for volume in one["spec"].get("volumes", [])}
        folders = {}
        for mount in container.get("volumeMounts", []):
            folder = self._folder / one["metadata"]["uid"] / mount["name"]
            folder.mkdir(parents=True, exist_ok=True)
            secret = volumes[mount["name"]].get("secret")
            for name, value in self._data(secret["secretName"]).items() if secret else ():
                (folder / name).write_text(value)
            folders[mount["mountPath"]] = str(folder)
        args = []
        for word in container["args"]:
            word = re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], word)
            place = next((path for path in folders if word.startswith(path)), None)
            args.append(word if place is None else word.replace(place, folders[place], 1))
        return [sys.executable if args[0] == "python" else args[0], *args[1:]], variables

    def _data(self, secret: str) -> dict[str, str]:
        answer = self._api.get(f"/api/v1/namespaces/{self._namespace}/secrets/{secret}")
        if answer.status_code == 404:
            raise LookupError(secret)
        return {name: base64.b64decode(value).decode() for name, value in answer.json()["data"].items()}

    def _watch(self, pod: Pod, one: dict[str, Any], url: str) -> None:
        [container] = one["spec"]["containers"]
        code = pod.process.poll()
        if code is not None:
            ended = {"terminated": {"exitCode": abs(code), "reason": "Error" if code else "Completed"}}
            if pod.restarts >= 2 and time.monotonic() - pod.began < 10:
                waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
                status = _container(container, waiting, pod.restarts, lastState=ended)
                self._tell(url, {"phase": "Running", "containerStatuses": [status]})
            else:
                self._start(one, url)
        elif not pod.ready and self._is_ready(container):
            pod.ready = True
            status = _container(container, {"running": {}}, pod.restarts, ready=True)
            conditions = [{"type": name, "status": "True"} for name in ("PodScheduled", "ContainersReady", "Ready")]
            where = {"podIP": self._network.there, "hostIP": "127.0.0.1"}
            self._tell(url, {"phase": "Running", "conditions": conditions, "containerStatuses": [status], **where})

    def _is_ready(self, container: dict[str, Any]) -> bool:
        if "readinessProbe" not in container:
            return True
        try:
            self._network.connect(8787).close()
        except OSError:
            return False
        return True

    def _tell(self, url: str, status: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self._api.patch(f"{url}/status", content=json.dumps({"status": status}), headers=headers)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.add_routes(
            [
                web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
                web.get("/portForward/{namespace}/{pod}", self._forward),
            ]
        )
        certificate, key = certificate_and_key("node")
        for name, data in (("node.crt", certificate), ("node.key", key)):
            (self._folder / name).write_bytes(data)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "node.crt", self._folder / "node.key")
        runner = web.AppRunner(app, shutdown_timeout=1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        self._loop.run_until_complete(site.start())
        self._port.append(site._server.sockets[0].getsockname()[1])
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _logs(self, request: web.Request) -> web.Response:
        lines = (self._folder / f"{request.match_info['pod']}.log").read_text().splitlines()
        return web.Response(text="\n".join(lines[-int(request.query.get("tailLines", 10**6)) :]) + "\n")

    async def _forward(self, request: web.Request) -> web.WebSocketResponse:
        """Carry a connection to a port of a pod, in frames that begin with 0 for data and 1 for an error."""
        port = int(request.query.get("ports") or request.query["port"])
        socket_ = web.WebSocketResponse(protocols=("v4.channel.k8s.io",), max_msg_size=0)
        await socket_.prepare(request)
        for channel in (0, 1):
            await socket_.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
        try:
            connection = await asyncio.to_thread(self._network.connect, port)
        except OSError as error:
            await socket_.send_bytes(b"\x01" + str(error).encode())
            await socket_.close()
            return socket_
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)

        async def back() -> None:
            while data := await reader.read(2**16):
                await socket_.send_bytes(b"\x00" + data)
            await socket_.close()

        task = asyncio.ensure_future(back())
        with contextlib.suppress(ConnectionError):
            async for message in socket_:
                if message.type == WSMsgType.BINARY and message.data[:1] == b"\x00":
                    writer.write(message.data[1:])
                    await writer.drain()
        task.cancel()
        writer.close()
        return socket_


def _container(container: dict[str, Any], state: dict[str, Any], restarts: int, **more: Any) -> dict[str, Any]:
    known = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False}
    return {**known, "state": state, "restartCount": restarts, **more}


def _end(pod: Pod) -> None:
    pod.process.terminate()
    try:
        pod.process.wait(10)
    except subprocess.TimeoutExpired:
        pod.process.kill()
        pod.process.wait()


@contextlib.contextmanager
def operator(folder: Path, network: Network, kubeconfig: str, namespace: str = "work") -> Iterator[None]:
    """Run the operator of dask-kubernetes in the network of the pods."""
    line = ["-m", "kopf", "run", "--standalone", "-n", namespace, "-m", "dask_kubernetes.operator.controller"]
    with (folder / "operator.log").open("w") as log:
        running = subprocess.Popen(
            network.inside(sys.executable, *line),
            env={**os.environ, "KUBECONFIG": kubeconfig},
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
