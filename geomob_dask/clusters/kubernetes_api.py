"""The API server of Kubernetes: requests that end within a stated time, with errors in one line."""

import contextlib
import os
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomob_dask.clusters.asking import Answer, Asking
from geomob_dask.clusters.extras import library
from geomob_dask.clusters.kubernetes_forward import Forward
from geomob_dask.errors import GeomobError, RunError, SettingsError
from geomob_dask.messages import one_line, reason, shown, shown_path
from geomob_dask.names import did_you_mean
from geomob_dask.sections import KubernetesSection
from geomob_dask.yaml_text import mapping_of, read_yaml

INSTALLS_THE_OPERATOR = (
    "helm install --repo https://helm.dask.org --create-namespace -n dask-operator --generate-name "
    "dask-kubernetes-operator"
)
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KINDS = {
    "DaskCluster": ("kubernetes.dask.org/v1", "daskclusters"),
    "DaskAutoscaler": ("kubernetes.dask.org/v1", "daskautoscalers"),
    "Job": ("batch/v1", "jobs"),
    "Deployment": ("apps/v1", "deployments"),
    "Pod": ("v1", "pods"),
    "Service": ("v1", "services"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Event": ("v1", "events"),
}


class UnansweredError(SettingsError):
    """No answer of the API server in time: what it was asked may be done all the same."""


class RefusedError(Exception):
    """An answer of the API server that is no success.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        What the server said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass(frozen=True)
class Access:
    """Where the API server is found, and with which access.

    Parameters
    ----------
    kubeconfig, context : str, optional
        Files and name; None inside a pod.
    namespace : str
    server : str
        Address of the API server, as messages show it.
    inside : bool
        Whether this process runs in a pod of the cluster.
    """

    kubeconfig: str | None
    context: str | None
    namespace: str
    server: str
    inside: bool


def access_of(section: KubernetesSection) -> Access:
    """Return the access that a section names, from its files alone; nobody is asked.

    Raises
    ------
    SettingsError
        If there is no kubeconfig, or no such context in it; the message names those that there are.
    """
    asked = section.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in asked.split(os.pathsep) if path]
    files = [path for path in paths if path.exists()]
    if not files:
        if section.kubeconfig is None and section.context is None and (_ACCOUNT / "token").exists():
            namespace = section.namespace or (_ACCOUNT / "namespace").read_text().strip()
            return Access(None, None, namespace, "the API server of this pod", inside=True)
        raise SettingsError(
            f"{section.where}: no kubeconfig {', '.join(map(shown_path, paths))}; expected the file that gives access "
            "to a cluster (kubeconfig in cluster.yaml, KUBECONFIG, ~/.kube/config)"
        )
    contexts: dict[str, Any] = {}
    servers: dict[str, Any] = {}
    current = ""
    for file in files:
        what = "the kubeconfig"
        plain = mapping_of(read_yaml(file, SettingsError, what), str(file), SettingsError, "clusters, users, contexts")
        current = current or plain.get("current-context") or ""
        for one in plain.get("contexts") or []:
            contexts.setdefault(str(one.get("name")), one.get("context") or {})
        for one in plain.get("clusters") or []:
            servers.setdefault(str(one.get("name")), (one.get("cluster") or {}).get("server"))
    where = f"{section.where}: kubeconfig {', '.join(map(shown_path, files))}"
    if section.context is not None and section.context not in contexts:
        raise SettingsError(f"{where}: no context {shown(section.context)}; {did_you_mean(section.context, contexts)}")
    name = section.context or current
    if name not in contexts:
        raise SettingsError(
            f"{where}: no current context; expected one (context in cluster.yaml), {did_you_mean(name, contexts)}"
        )
    namespace = section.namespace or contexts[name].get("namespace") or "default"
    server = f"API server {servers.get(str(contexts[name].get('cluster')))}"
    return Access(os.pathsep.join(map(str, files)), name, namespace, server, inside=False)


class Server:
    """An API server, and what a section may do there.

    Parameters
    ----------
    section : KubernetesSection
    access : Access
    asking : Asking
        The thread that asks.
    """

    def __init__(self, section: KubernetesSection, access: Access, asking: Asking) -> None:
        self.section, self.access = section, access
        self.namespace = access.namespace
        self._kr8s = library("kr8s", "kubernetes", section.where)
        self._asyncio = library("kr8s.asyncio", "kubernetes", section.where)
        self._asking = asking
        self._api: Any = None

    def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object that the server has made of a manifest, in strict mode."""
        made: dict[str, Any] = self.call("POST", manifest["kind"], body=manifest, params={"fieldValidation": "Strict"})
        return made

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        found: dict[str, Any] = self.call("GET", kind, name)
        return found

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and what belongs to it; one that is not there is no error."""
        try:
            self.call("DELETE", kind, name, params={"propagationPolicy": "Background"})
        except RefusedError as refused:
            if refused.status != 404:
                raise

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object after merging these fields into it."""
        headers = {"Content-Type": "application/merge-patch+json"}
        found: dict[str, Any] = self.call("PATCH", kind, name, body=body, headers=headers)
        return found

    def items(self, kind: str, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """Return the objects with these labels and fields."""
        params = {"labelSelector": labels, "fieldSelector": fields}
        found = self.call("GET", kind, params={key: value for key, value in params.items() if value})
        return list(found.get("items") or [])

    def log(self, pod: str, **params: str | int) -> str:
        """Return the log of a pod's container, as ``tailLines`` and the like say."""
        return str(self.call("GET", "Pod", f"{pod}/log", params=params, text=True))

    def call(
        self,
        method: str,
        kind: str,
        name: str = "",
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        text: bool = False,
    ) -> Any:
        """Return the answer to a request.

        Raises
        ------
        RefusedError
            If the answer is no success.
        SettingsError
            If the server does not answer in time, or does not take the credentials.
        """
        version, plural = _KINDS[kind]
        url = f"{plural}/{name}" if name else plural
        kept: dict[str, Any] = {"params": dict(params or {})}
        if body is not None:
            kept["json"] = dict(body)
        if headers is not None:
            kept["headers"] = dict(headers)

        async def asked() -> Any:
            api = await self._connected()
            async with api.call_api(method, version=version, namespace=self.namespace, url=url, **kept) as answer:
                return answer.text if text else answer.json()

        return self._explained(asked)

    async def _connected(self) -> Any:
        if self._api is None:
            access = self.access
            with warnings.catch_warnings():
                # Of a version of the server that kr8s was not tested with.
                warnings.simplefilter("ignore", UserWarning)
                self._api = await self._asyncio.api(
                    kubeconfig=access.kubeconfig, context=access.context, namespace=self.namespace
                )
        return self._api

    def _explained(self, asked: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Return an answer within the section's time, or raise what says why there is none."""
        seconds = self.section.request_timeout
        where = f"{self.section.where}: {self.access.server}"
        try:
            return self._asking.answer(asked, seconds)
        except GeomobError:
            raise
        except (TimeoutError, self._kr8s.APITimeoutError) as error:
            raise UnansweredError(
                f"{where}: no answer within {seconds:g} s (request_timeout); expected a Kubernetes API server there"
            ) from error
        except self._kr8s.ServerError as error:
            raise RefusedError(getattr(error.response, "status_code", 0), one_line(error)) from error
        except Exception as error:
            # Of connections, certificates and plugins that fetch credentials, each with a class of its own.
            raise SettingsError(
                f"{where}: cannot be reached ({reason(error)}); expected a Kubernetes API server there"
            ) from error

    @contextlib.contextmanager
    def forwarded(self, labels: str, port: int, host: str = "127.0.0.1", local_port: int = 0) -> Iterator[int]:
        """Yield a port of this machine from which connections are carried to a port of a pod with these labels."""

        async def opened() -> int:
            found.append(Forward(await self._connected(), self.namespace, pod, port))
            return await found[0].open(host, local_port)

        async def pod() -> str:
            api = await self._connected()
            params = {"labelSelector": labels}
            async with api.call_api("GET", version="v1", namespace=self.namespace, url="pods", params=params) as answer:
                ready = [one for one in answer.json()["items"] if is_ready(one)]
            return str(ready[0]["metadata"]["name"])

        found: list[Forward] = []
        try:
            yield self._explained(opened)
        finally:
            with contextlib.suppress(Exception):
                self._asking.answer(found[0].close, self.section.request_timeout)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod takes connections, and is to stay."""
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


@contextlib.contextmanager
def reached(section: KubernetesSection) -> Iterator[Server]:
    """Yield the API server that a section names; nobody is asked yet.

    Raises
    ------
    SettingsError
        If there is no access to it.
    """
    asking = Asking()
    server = Server(section, access_of(section), asking)
    with asking.running():
        yield server


def explained(refused: RefusedError, section: KubernetesSection, server: Server, what: str) -> GeomobError:
    """Return the error that says why something was refused, and what is expected instead.

    Parameters
    ----------
    refused : RefusedError
    section : KubernetesSection
    server : Server
    what : str
        What was asked for, such as "create DaskCluster geomob".
    """
    where = f"{section.where}: {what} in namespace {server.namespace}"
    if refused.status == 401:
        return SettingsError(
            f"{where}: {server.access.server} does not take the credentials ({refused.message}); expected an access "
            "that is valid: log in to the cluster again"
        )
    if refused.status == 403:
        # The server's message names user, verb and resource.
        return SettingsError(f"{where}: not allowed ({refused.message}); expected a role with that verb")
    if refused.status == 404 and refused.message.startswith("namespaces "):
        return SettingsError(f"{where}: no such namespace ({refused.message}); expected one that exists")
    if refused.status == 404:
        return SettingsError(
            f"{where}: the cluster does not know this kind of resource; expected the operator of Dask installed there: "
            f"{INSTALLS_THE_OPERATOR}"
        )
    if refused.status == 409:
        return SettingsError(f"{where}: one of this name is there already; expected another name")
    if refused.status in (400, 422):
        return SettingsError(f"{where}: refused as not valid ({refused.message}); expected a manifest that it takes")
    return RunError(f"{where}: the API server failed ({refused.status}: {refused.message}); run again")
