"""Model files: the same bytes for the same model, nothing built that is not on the list, other versions refused."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from geomob_dask.errors import InputError, RunError
from geomob_dask.models.clusters import ClusterLabels
from geomob_dask.models.elastic_net import ElasticNetLogistic
from geomob_dask.models.model_files import FittedModel, from_bytes, to_bytes
from geomob_dask.models.study import Feature

FEATURES = tuple(Feature(name, name, "a domain", "share") for name in ("one", "two", "three"))
ESTIMATORS = {
    "logistic": LogisticRegression(),
    "elastic_net": ElasticNetLogistic(C=0.5, l1_ratio=0.3),
    "clusters": make_pipeline(ClusterLabels(3), LogisticRegression()),
    "forest": RandomForestClassifier(10, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=10, random_state=0),
}


def values(classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(150, 3))
    y = np.digitize(x[:, 0], np.quantile(x[:, 0], np.arange(1, classes) / classes))
    x[::7, 1] = np.nan
    return x, y


def fitted(name: str = "logistic", classes: int = 2) -> FittedModel:
    x, y = values(classes)
    one = ESTIMATORS[name]
    steps = [step for _, step in getattr(one, "steps", [("", one)])]
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), *steps).fit(x, y)
    names = tuple(f"class_{number}" for number in range(classes))
    edges = tuple(float(number) for number in range(classes - 1))
    return FittedModel(name, name, pipeline, FEATURES, names, edges, "zones", "mobility", "f" * 64, "a" * 16)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_a_model_comes_back_as_it_was(name: str, classes: int) -> None:
    model = fitted(name, classes)
    found = from_bytes(to_bytes(model), "file")
    x, _ = values(classes)
    np.testing.assert_array_equal(found.predict(x), model.predict(x))
    assert replace(found, estimator=None) == replace(model, estimator=None)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_the_same_model_gives_the_same_bytes(name: str) -> None:
    model = fitted(name)
    # A model that travelled from a worker shares other objects than one that was fitted here.
    travelled = replace(model, estimator=pickle.loads(pickle.dumps(model.estimator)))
    assert to_bytes(model) == to_bytes(fitted(name)) == to_bytes(travelled)


def test_another_process_writes_the_same_bytes() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import test_model_files as t, hashlib;"
        "print(hashlib.sha256(t.to_bytes(t.fitted('forest'))).hexdigest())"
    )
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    said = [
        subprocess.run(
            [sys.executable, "-c", code, *folders], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1] != ""


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(found: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in found.items():
            file.writestr(name, data)
    return buffer.getvalue()


def changed(data: bytes, **about: object) -> bytes:
    found = members(data)
    plain = json.loads(found["about.json"])
    return zipped({**found, "about.json": json.dumps({**plain, **about}).encode()})


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"format": 2}, "a model file of version 2, expected version 1"),
        ({"format": None}, "a model file of version None"),
        ({"fitted_with": {"scikit-learn": "0.1", "skops": skops.__version__}}, "fitted with scikit-learn 0.1, found"),
        ({"sha256": "0" * 64}, "its checksum differs"),
        ({"model": {}}, "not a model file"),
    ],
)
def test_other_versions_and_damage_are_told(about: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        from_bytes(changed(to_bytes(fitted()), **about), "my.model")
    assert str(told.value).startswith("my.model: ")


@pytest.mark.parametrize(
    "data", [b"", b"nothing", zipped({"other": b""}), zipped({"about.json": b"[]", "model.skops": b""})]
)
def test_what_is_no_model_file_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="not a model file"):
        from_bytes(data, "my.model")


def test_a_pickle_is_never_read(tmp_path) -> None:
    witness = tmp_path / "run"

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {witness}",)

    with pytest.raises(InputError, match="not a model file"):
        from_bytes(pickle.dumps(Harm()), "my.model")
    assert not witness.exists()


def test_a_type_off_the_list_is_neither_written_nor_built() -> None:
    x, y = values()
    pipeline = make_pipeline(FunctionTransformer(partial(np.nan_to_num)), LogisticRegression()).fit(x, y)
    with pytest.raises(RunError, match="which no model file may hold"):
        to_bytes(replace(fitted(), estimator=pipeline))
    # As a stranger could write it, checksum and all.
    from hashlib import sha256

    strange = skops.io.dumps(make_pipeline(FunctionTransformer(os.system)))
    data = changed(to_bytes(fitted()), sha256=sha256(strange).hexdigest())
    with pytest.raises(InputError, match="expected only types of the models that are known here"):
        from_bytes(zipped({**members(data), "model.skops": strange}), "my.model")


def tampered(model: FittedModel, **about: object) -> bytes:
    """Return a file as a stranger could write it, checksum and all."""
    from hashlib import sha256

    strange = skops.io.dumps(model.estimator)
    whole = members(to_bytes(fitted()))
    plain = json.loads(whole["about.json"])
    plain = {**plain, "sha256": sha256(strange).hexdigest(), "model": {**plain["model"], **about}}
    return zipped({"about.json": json.dumps(plain).encode(), "model.skops": strange})


def outside(part: str) -> FittedModel:
    """Return a model of which one tree looks up what is not there."""
    name, _, what = part.partition(" ")
    model = fitted(name)
    last = model.estimator.steps[-1][1]
    if name == "histogram":
        last._predictors[0][0].nodes[what][0] = 100_000
    else:
        getattr(last.estimators_[0].tree_, what)[0] = 100_000
    return model


@pytest.mark.parametrize("part", ["forest feature", "forest children_left", "histogram feature_idx", "histogram right"])
def test_a_tree_that_points_outside_is_refused(part: str) -> None:
    with pytest.raises(InputError, match=r"my.model: not a model file .a tree of it points outside"):
        from_bytes(tampered(outside(part)), "my.model")


def test_a_model_that_is_not_what_the_file_says_is_refused() -> None:
    model = fitted()
    with pytest.raises(InputError, match=r"of 3 features, and about.json of 2"):
        from_bytes(
            tampered(model, features=json.loads(members(to_bytes(model))["about.json"])["model"]["features"][:2]), "f"
        )
    with pytest.raises(InputError, match=r"of classes \[0, 1\], and about.json of \[0, 1, 2\]"):
        from_bytes(tampered(model, classes=["a", "b", "c"]), "f")
    with pytest.raises(InputError, match="expected a Pipeline"):
        from_bytes(tampered(replace(model, estimator=StandardScaler())), "f")
    x, y = values()
    other = make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=2)).fit(x, y)
    with pytest.raises(InputError, match="no model of the catalog"):
        from_bytes(tampered(replace(model, estimator=other)), "f")


def test_columns_are_found_by_name_and_absent_ones_told() -> None:
    model = fitted()
    x, _ = values()
    table = pd.DataFrame(x, columns=["one", "two", "three"])
    turned = table[["three", "one", "two"]].assign(more="text")
    assert model.values(turned).flags.c_contiguous
    rows = model.values(turned)
    np.testing.assert_array_equal(model.predict(np.asfortranarray(rows)), model.predict(rows))
    np.testing.assert_array_equal(model.predict(model.values(turned)), model.predict(x))
    with pytest.raises(InputError, match="my table: no column 'two', which the model logistic was fitted on"):
        model.values(turned.drop(columns="two"), "my table")
    with pytest.raises(InputError, match="column 'two': found"):
        model.values(turned.assign(two="text"), "my table")
