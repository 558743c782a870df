"""Strict validation of manifests, without a cluster: against the operator's own definitions of its resources.

The definitions (CRDs) are files of dask-kubernetes. They embed the schema of a pod; that of a Job's pod is the same.
An API server would drop an unknown field in silence.
"""

import copy
import functools
import importlib.util
from pathlib import Path
from typing import Any

import yaml

from geomob_dask.clusters.extras import library
from geomob_dask.errors import SettingsError
from geomob_dask.messages import one_line, shown
from geomob_dask.names import did_you_mean

_EXTRA = "kubernetes"
_CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"\A[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z"},
        "namespace": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
}
_WHOLE_NUMBER = {"type": "integer", "minimum": 0}


def validate(manifest: dict[str, Any], who: str) -> dict[str, Any]:
    """Return a manifest of a DaskCluster, a DaskAutoscaler or a Job that has no unknown field and no wrong type.

    Parameters
    ----------
    manifest : mapping
    who : str
        Where it comes from, for the message.

    Raises
    ------
    SettingsError
        Naming the field, what was found and what was expected.
    """
    jsonschema = library("jsonschema", _EXTRA, who)
    kind = manifest["kind"]
    errors = sorted(
        jsonschema.Draft202012Validator(_schema(kind, who)).iter_errors(manifest), key=lambda error: list(error.path)
    )
    if errors:
        raise SettingsError(f"{who}: the manifest of kind {kind} is not valid: {_explained(errors[0])}")
    return manifest


def _explained(error: Any) -> str:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).lstrip(".")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(str(key) for key in error.instance if key not in known)
        return f"{where or 'top'}: unknown field {shown(unknown)}; {did_you_mean(unknown, known)}"
    if error.validator == "type":
        return f"{where}: found {shown(error.instance)}, expected {error.validator_value}"
    return f"{where}: {one_line(error.message)}"


@functools.lru_cache
def _schema(kind: str, who: str) -> dict[str, Any]:
    if kind == "Job":
        pod = definition("DaskCluster", who)["properties"]["spec"]["properties"]["worker"]["properties"]["spec"]
        return _top("batch/v1", kind, _job(_strict(pod)))
    spec = _strict(definition(kind, who)["properties"]["spec"])
    return _top("kubernetes.dask.org/v1", kind, spec)


def definition(kind: str, who: str) -> dict[str, Any]:
    """Return the operator's own schema of one of its resources, as it is."""
    crd = _crd(kind.lower(), who)
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def definitions(who: str) -> Path:
    """Return the folder of the operator's own definitions of its resources (CRDs), a file each."""
    found = importlib.util.find_spec("dask_kubernetes")
    # Importing it takes seconds; where it is missing, that says so.
    origin = library("dask_kubernetes", _EXTRA, who).__file__ if found is None else found.origin
    return Path(str(origin)).parent / _CRDS


@functools.lru_cache
def _crd(name: str, who: str) -> Any:
    file = definitions(who) / f"{name}.yaml"
    return yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _top(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": version},
            "kind": {"const": kind},
            "metadata": _METADATA,
            "spec": spec,
        },
    }


def _job(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what this package writes of a Job; its definition is no custom resource's."""
    pod = copy.deepcopy(pod)
    # A Job takes no other policy.
    pod["properties"]["restartPolicy"] = {"enum": ["Never", "OnFailure"]}
    pod["required"] = [*pod.get("required", []), "restartPolicy"]
    template = {
        "type": "object",
        "required": ["spec"],
        "additionalProperties": False,
        "properties": {
            "metadata": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"labels": _TEXTS, "annotations": _TEXTS},
            },
            "spec": pod,
        },
    }
    return {
        "type": "object",
        "required": ["template"],
        "additionalProperties": False,
        "properties": {
            "template": template,
            "backoffLimit": _WHOLE_NUMBER,
            "activeDeadlineSeconds": _WHOLE_NUMBER,
            "ttlSecondsAfterFinished": _WHOLE_NUMBER,
            "completions": _WHOLE_NUMBER,
            "parallelism": _WHOLE_NUMBER,
        },
    }


def _strict(schema: Any) -> Any:
    """Return a schema that refuses unknown fields, wherever the given one names those that there are."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if key not in ("properties", "format")}
    found = {key: _strict(value) for key, value in found.items()}
    if "properties" in schema:
        # The names below are of fields, which may be those of words of a schema.
        found["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        found.setdefault("additionalProperties", False)
    return found
