"""Fitted models as files that are safe to read.

A file is a zip of two members: ``about.json`` describes the model and what it was fitted with, ``model.skops`` holds it
(skops: arrays and JSON, never a pickle). Reading builds only types that are listed here.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UnsupportedTypeException

from geomob_dask.errors import InputError, RunError
from geomob_dask.messages import counted, shown
from geomob_dask.models.catalog import MODELS
from geomob_dask.models.clusters import ClusterLabels
from geomob_dask.models.model_archive import ABOUT, MODEL, UNREADABLE, not_a_model, read_members
from geomob_dask.models.study import Feature
from geomob_dask.names import check_name

FORMAT = 1
# The same model gives the same bytes: no clock in the file.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
# Packages whose other versions may read the arrays otherwise.
_FITTED_WITH = ("scikit-learn", "skops")
# Types that may be built, besides those that skops knows to be harmless.
TRUSTED = (
    "geomob_dask.models.clusters.ClusterLabels",
    "geomob_dask.models.elastic_net.ElasticNetLogistic",
    "geomob_dask.models.ordinal.OrdinalLogistic",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

# What may come before the classifier.
_STEPS = (ClusterLabels, SimpleImputer, StandardScaler)


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, and what is needed to use it.

    Parameters
    ----------
    name, title : str
        From the catalog of models.
    estimator : scikit-learn estimator
        Fitted on the features in their order; it imputes missing values.
    features : sequence of Feature
    classes : sequence of str
        From low to high.
    edges : sequence of float
        Values that separate the classes, in the units of the outcome; one less than classes.
    study, outcome, study_checksum : str
        Kind of units, outcome, and a SHA-256 of keys, features and outcome.
    run : str
        Identity of the run that fitted it.
    """

    name: str
    title: str
    estimator: Any
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    edges: tuple[float, ...]
    study: str
    outcome: str
    study_checksum: str
    run: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    def values(self, table: pd.DataFrame, where: str = "table") -> NDArray[np.float64]:
        """Return the features of a table's rows, as `predict` takes them.

        Parameters
        ----------
        table : DataFrame
            Has the model's features among its columns.
        where : str
            Name of the table in an error.

        Returns
        -------
        shape (n_rows, n_features), float64, C-contiguous
            NaN where an attribute is missing.

        Raises
        ------
        InputError
            If a feature is absent or not numeric.
        """
        absent = [name for name in self.feature_names if name not in table.columns]
        if absent:
            raise InputError(
                f"{where}: no column {absent[0]!r}, which the model {self.name} was fitted on "
                f"(absent: {len(absent)} of {counted(len(self.features), 'feature')}); expected all of them"
            )
        chosen = table[list(self.feature_names)]
        text = [name for name in chosen if not pd.api.types.is_numeric_dtype(chosen[name])]
        if text:
            raise InputError(f"{where}: column {text[0]!r}: found {chosen[text[0]].dtype}, expected numbers")
        # pandas hands out columns (Fortran order), on which a matrix product may round otherwise than on rows.
        return np.ascontiguousarray(chosen.to_numpy(dtype=np.float64, na_value=np.nan))

    def predict(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each class, shape (n_rows, n_classes)."""
        # Rows, as `values` returns them: the memory layout would change the last bits.
        return np.asarray(self.estimator.predict_proba(np.ascontiguousarray(values)), dtype=np.float64)


def to_bytes(model: FittedModel) -> bytes:
    """Return a model as a file's bytes; the same model gives the same bytes.

    Raises
    ------
    RunError
        If the estimator holds a type that could not be read back.
    """
    try:
        dumped = _canonical(skops.io.dumps(model.estimator))
    except UnsupportedTypeException as error:
        raise RunError(f"model {model.name}: cannot be written: {error}") from error
    unknown = _unknown(dumped)
    if unknown:
        raise RunError(f"model {model.name}: holds {unknown[0]}, which no model file may hold")
    about = {
        "format": FORMAT,
        "model": {name: value for name, value in asdict(model).items() if name != "estimator"},
        "fitted_with": _versions(),
        "sha256": hashlib.sha256(dumped).hexdigest(),
    }
    return _zip({ABOUT: _json(about), MODEL: dumped})


def from_bytes(data: bytes, where: str) -> FittedModel:
    """Read a model file; types that are not on the list are not built.

    Parameters
    ----------
    where : str
        Name of the file in an error.

    Raises
    ------
    InputError
        As `read_members`, and if it has another version, another checksum, or holds a type that no model needs.
    """
    about, dumped = read_members(data, where)
    found = about.get("format")
    if found != FORMAT:
        raise InputError(
            f"{where}: a model file of version {found}, expected version {FORMAT}; "
            "train the model again with jobs/mobility.py"
        )
    fitted_with = about.get("fitted_with")
    for package, now in _versions().items():
        then = fitted_with.get(package) if isinstance(fitted_with, dict) else None
        if then != now:
            raise InputError(
                f"{where}: fitted with {package} {then}, found {package} {now} here; expected the same, "
                "or train the model again with jobs/mobility.py"
            )
    if hashlib.sha256(dumped).hexdigest() != about.get("sha256"):
        raise InputError(f"{where}: the model in it is not the one it was written with (its checksum differs)")
    try:
        built = _built(about["model"], dumped, where)
        wrong = _wrong(built)
    except (*UNREADABLE, IndexError, TypeError, AttributeError, ImportError) as error:
        if isinstance(error, InputError):
            raise
        raise not_a_model(where, repr(error)) from error
    if wrong:
        raise not_a_model(where, wrong)
    return built


def _built(plain: Mapping[str, Any], dumped: bytes, where: str) -> FittedModel:
    unknown = _unknown(dumped)
    if unknown:
        raise InputError(f"{where}: holds {', '.join(unknown)}; expected only types of the models that are known here")
    texts = {name: plain[name] for name in ("name", "title", "study", "outcome", "study_checksum", "run")}
    features = tuple(Feature(**feature) for feature in plain["features"])
    every = [*texts.values(), *plain["classes"], *(text for one in features for text in vars(one).values())]
    odd = [value for value in every if not isinstance(value, str)]
    if odd or not all(type(edge) in (int, float) for edge in plain["edges"]):
        found = shown(odd[0] if odd else plain["edges"])
        raise TypeError(f"{ABOUT}: found {found}, expected text, and numbers as edges")
    # It becomes a part of the path of predictions.
    check_name(texts["name"], f"{where}: model")
    return FittedModel(
        **texts,
        estimator=skops.io.loads(dumped, trusted=list(TRUSTED)),
        features=features,
        classes=tuple(plain["classes"]),
        edges=tuple(plain["edges"]),
    )


def _wrong(model: FittedModel) -> str | None:
    """Return the defect of a model that was read, None if there is none: compiled trees check nothing themselves."""
    pipeline = model.estimator
    if not isinstance(pipeline, Pipeline):
        return f"found a {type(pipeline).__name__}, expected a Pipeline"
    odd = [type(step).__name__ for _, step in pipeline.steps[:-1] if type(step) not in _STEPS]
    if odd:
        return f"a step of it is a {odd[0]}, which no model of the catalog has"
    last = pipeline.steps[-1][1]
    if type(last) not in {type(entry.classifier(0)) for entry in MODELS.values()}:
        return f"its last step is a {type(last).__name__}, which is no model of the catalog"
    count, classes = len(model.features), list(range(len(model.classes)))
    if pipeline.n_features_in_ != count:
        return f"it is of {pipeline.n_features_in_} features, and {ABOUT} of {count}"
    # What the last step is given: it refuses any other number by itself.
    count = last.n_features_in_
    if np.asarray(last.classes_).tolist() != classes or len(model.edges) != len(classes) - 1:
        return f"it is of classes {np.asarray(last.classes_).tolist()}, and {ABOUT} of {classes}"
    if isinstance(last, RandomForestClassifier) and not all(
        _sound_tree(one, count, classes) for one in last.estimators_
    ):
        return "a tree of it points outside its nodes or features"
    if isinstance(last, HistGradientBoostingClassifier):
        nodes = [tree.nodes for trees in last._predictors for tree in trees]
        if not all(_sound_nodes(one, count) for one in nodes):
            return "a tree of it points outside its nodes or features"
    return None


def _sound_tree(one: Any, count: int, classes: list[int]) -> bool:
    tree = one.tree_
    inside = tree.children_left != -1
    left, right, feature = (part[inside] for part in (tree.children_left, tree.children_right, tree.feature))
    return tree.value.shape[1:] == (1, len(classes)) and _sound(
        left, right, feature, np.flatnonzero(inside), tree, count
    )


def _sound_nodes(nodes: Any, count: int) -> bool:
    inside = nodes["is_leaf"] == 0
    left, right, feature = (nodes[name][inside].astype(np.int64) for name in ("left", "right", "feature_idx"))
    # No feature of the catalog's models is categorical: bits of categories would be looked up at any place.
    if nodes["is_categorical"].any():
        return False
    return _sound(left, right, feature, np.flatnonzero(inside), nodes, count)


def _sound(left: Any, right: Any, feature: Any, at: Any, nodes: Any, count: int) -> bool:
    """Return whether children exist and come after their node (so that walks end), and features exist."""
    many = len(nodes) if hasattr(nodes, "__len__") else nodes.node_count
    after = all(bool(((child > at) & (child < many)).all()) for child in (left, right))
    return many > 0 and after and bool(((feature >= 0) & (feature < count)).all())


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _FITTED_WITH}


def _unknown(dumped: bytes) -> list[str]:
    return sorted(set(skops.io.get_untrusted_types(data=dumped)) - set(TRUSTED))


# The same bytes ------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode()


def _canonical(dumped: bytes) -> bytes:
    """Return a dump without what changes from process to process.

    skops numbers objects by their address in memory, names arrays by it, and keeps the time in its zip. Objects are
    numbered from one here as they are met, and arrays named by their content. An object that occurs twice is built
    twice when it is read: no estimator of the catalog relies on more.
    """
    with zipfile.ZipFile(io.BytesIO(dumped)) as members:
        schema = json.loads(members.read("schema.json"))
        arrays = {name: members.read(name) for name in members.namelist() if name != "schema.json"}
    renamed = {name: f"{hashlib.sha256(data).hexdigest()[:32]}.npy" for name, data in arrays.items()}
    count = 0

    def walk(value: Any) -> Any:
        nonlocal count
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        plain: dict[str, Any] = {}
        for name, item in value.items():
            if name == "__id__":
                count += 1
                plain[name] = count
            elif name == "file" and isinstance(item, str):
                plain[name] = renamed.get(item, item)
            else:
                plain[name] = walk(item)
        return plain

    contents = {renamed[name]: data for name, data in sorted(arrays.items(), key=lambda pair: renamed[pair[0]])}
    return _zip({"schema.json": json.dumps(walk(schema), separators=(",", ":")).encode(), **contents})


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _NO_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, data)
    return buffer.getvalue()


def checksum_of(
    keys: NDArray[np.object_], names: Sequence[str], values: NDArray[np.float64], outcome: NDArray[np.float64]
) -> str:
    """Return a SHA-256 of a study's units, features and outcome."""
    digest = hashlib.sha256(_json([[str(key) for key in keys], list(names)]))
    # A missing value is one NaN, whatever its bits.
    for array in (values, outcome):
        digest.update(np.where(np.isnan(array), np.nan, array).astype("<f8").tobytes())
    return digest.hexdigest()
