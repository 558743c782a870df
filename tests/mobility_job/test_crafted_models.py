"""Crafted model files are refused by one error that names the file; nothing in them runs, and no memory is filled."""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from geomob_dask.errors import InputError
from geomob_dask.models.model_files import FittedModel, from_bytes, to_bytes
from geomob_dask.models.study import Feature

FEATURES = tuple(Feature(name, name, "a domain", "share") for name in ("one", "two"))


def fitted() -> FittedModel:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(40, 2))
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(x, x[:, 0] > 0)
    pipeline[-1].classes_ = np.array([0, 1])
    names = ("low", "high")
    return FittedModel("logistic", "L", pipeline, FEATURES, names, (0.0,), "zones", "mobility", "f" * 64, "a" * 16)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(*found: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice
        for name, data in found:
            file.writestr(name, data)
    return buffer.getvalue()


def whole(dumped: bytes | None = None, **about: object) -> bytes:
    """Return a file as a stranger could write it, checksum and all."""
    parts = members(to_bytes(fitted()))
    dumped = parts["model.skops"] if dumped is None else dumped
    plain = json.loads(parts["about.json"])
    plain |= {"sha256": sha256(dumped).hexdigest(), "model": {**plain["model"], **about}}
    return zipped(("about.json", json.dumps(plain).encode()), ("model.skops", dumped))


def dump(**changes: bytes | None) -> bytes:
    """Return the dump of a model with members added, replaced or left out; `array` replaces the first array."""
    found: dict[str, bytes | None] = dict(members(members(to_bytes(fitted()))["model.skops"]))
    if "array" in changes:
        found[next(name for name in found if name.endswith(".npy"))] = changes.pop("array")
    found |= {name.replace("__", "/").replace("_json", ".json"): data for name, data in changes.items()}
    return zipped(*((name, data) for name, data in found.items() if data is not None))


def claimed(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """Return an array file whose header claims a shape that it has no bytes for."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def bomb() -> bytes:
    """Return an archive whose listing claims four members of 4 GB; it is some hundred bytes long."""
    data = bytearray(zipped(("about.json", b"{}"), ("model.skops", b"x")))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    return bytes(data)


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}, 1], object), allow_pickle=True)
    return buffer.getvalue()


def changed_member() -> bytes:
    """Return a dump whose first array is not what its checksum says, past its header."""
    dumped = members(whole())["model.skops"]
    with zipfile.ZipFile(io.BytesIO(dumped)) as file:
        at = next(info for info in file.infolist() if info.filename.endswith(".npy")).header_offset
    data = bytearray(dumped)
    data[at + 14 : at + 18] = bytes(4)
    listing = data.index(b"PK\x01\x02")
    data[listing + 16 : listing + 20] = bytes(4)
    return bytes(data)


def flagged(bit: int = 0, mode: int = 0) -> bytes:
    """Return a file whose description is marked as encrypted, or as a link."""
    data = bytearray(whole())
    listing = data.index(b"PK\x01\x02")
    data[listing + 8] |= bit
    data[listing + 38 : listing + 42] = (mode << 16).to_bytes(4, "little")
    return bytes(data)


CRAFTED: dict[str, Callable[[], bytes]] = {
    "a bomb": bomb,
    "zeros that were deflated": lambda: whole(dump(schema_json=b" " * (2**26 + 1))),
    "a path out": lambda: whole(dump(**{"..__..__harm": b"x"})),
    "an absolute path": lambda: whole(dump(__etc__passwd=b"x")),
    "an encrypted member": lambda: flagged(bit=1),
    "a link": lambda: flagged(mode=0o120777),
    "a member that was changed": lambda: whole(changed_member()),
    "a pickle inside": lambda: whole(dump(**{"model.pkl": pickle.dumps(1)})),
    "a third member": lambda: zipped(*members(whole()).items(), ("more", b"")),
    "a member twice": lambda: zipped(*members(whole()).items(), ("about.json", b"{}")),
    "no schema": lambda: whole(dump(schema_json=None)),
    "a schema that is no JSON": lambda: whole(dump(schema_json=b"{")),
    "a schema of another form": lambda: whole(dump(schema_json=b'{"a": [1]}')),
    "deep nesting of the schema": lambda: whole(dump(schema_json=nested(100_000))),
    "deep nesting of the description": lambda: zipped(("about.json", nested(100_000)), ("model.skops", b"")),
    "a huge array": lambda: whole(dump(array=claimed((10**12,)))),
    "an array of negative length": lambda: whole(dump(array=claimed((-1, 8)))),
    "an array of objects": lambda: whole(dump(array=objects())),
    "an array that is none": lambda: whole(dump(array=b"no array")),
    "an unknown type": lambda: whole(skops.io.dumps(make_pipeline(FunctionTransformer(exec)))),
    "a step of another kind": lambda: whole(
        skops.io.dumps(make_pipeline(FunctionTransformer(np.exp), *[step for _, step in fitted().estimator.steps]))
    ),
    "a name that is a path": lambda: whole(name="../../elsewhere"),
    "a name that is a number": lambda: whole(name=3),
    "features of another form": lambda: whole(features=[{"name": "one"}]),
    "classes that are lists": lambda: whole(classes=[["low"], ["high"]]),
    "edges that are text": lambda: whole(edges=["1"]),
    "versions that are a list": lambda: zipped(
        ("about.json", json.dumps({"format": 1, "fitted_with": []}).encode()),
        ("model.skops", members(whole())["model.skops"]),
    ),
    "half a file": lambda: whole()[:-200],
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_file_is_refused_and_named(case: str) -> None:
    with pytest.raises(InputError) as refused:
        from_bytes(CRAFTED[case](), "my.model")
    assert str(refused.value).startswith("my.model: ")
    assert len(str(refused.value)) < 1000


def test_the_files_that_are_crafted_are_sound_before() -> None:
    assert from_bytes(whole(), "my.model").name == "logistic"
    assert from_bytes(whole(dump()), "my.model").name == "logistic"


@pytest.mark.parametrize("bit", range(0, 4000, 97))
def test_a_byte_that_was_changed_is_refused_or_changes_nothing(bit: int) -> None:
    data = bytearray(to_bytes(fitted()))
    data[bit % len(data)] ^= 0x55
    try:
        found = from_bytes(bytes(data), "my.model")
    except InputError:
        return
    np.testing.assert_array_equal(found.predict(np.ones((1, 2))), fitted().predict(np.ones((1, 2))))


def test_the_job_ends_with_two(job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.model").write_bytes(CRAFTED["a path out"]())
    done = job("mobility", "--with-model", "my.model", "--apply", "made:2018", "--store", "store")
    assert done.code == 2
    assert done.err.startswith("error: my.model: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.model"]
