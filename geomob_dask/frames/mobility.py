"""Mobility models of frames: validate and fit models of an outcome, and predict with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import geopandas as gpd
import numpy as np
import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.frames.centroids import POINT, points_of
from geomob_dask.frames.futures import check_client
from geomob_dask.frames.mobility_steps import choose_settings, evaluate
from geomob_dask.frames.own_rows import empty_of, is_lazy, no_value, one_value, own_rows, value_of
from geomob_dask.frames.reduction import reduced
from geomob_dask.messages import counted, listed
from geomob_dask.models.design import ModelOptions, make_design
from geomob_dask.models.labels import Labels
from geomob_dask.models.mobility_results import fitted_models, result_tables
from geomob_dask.models.model_files import FittedModel
from geomob_dask.models.predictions import predict_table
from geomob_dask.models.study import Feature, Study, check_once, frame_study

# Columns that no frame of a user has.
_POINTS = ("(longitude)", "(latitude)")


@dataclass(frozen=True, repr=False)
class MobilityResult:
    """Scores, predictions and fitted models of a mobility study.

    Parameters
    ----------
    study : Study
        The units that were studied, their features and their outcome.
    labels : Labels
        Their classes: ``names`` from low to high, ``codes``, and the ``edges`` between them.
    tables : mapping of str to DataFrame
        ``scores``: accuracy, AUC, log loss and Brier score by model (naive rules among them), kind of folds and sample
        (``test``: units held out; ``train``: units fitted on), with intervals of 95 %. ``predictions``: for each unit,
        model and kind of folds, the probability ``p_<code>`` of each class while it was held out (mean over repeats)
        and the code of the likeliest. ``importance``: accuracy lost when a feature, or all features of a domain, are
        shuffled. ``ranking``: mutual information and correlations by feature, with intervals and p-values that are
        unadjusted, and adjusted for dependence in space if the frame has a geometry and its coordinate system.
        ``calibration``, ``confusion``, ``settings``, ``units``, ``correlations``, ``clusters``, ``histogram``,
        ``cumulative``, ``density``, ``elbow``, ``cuts``; for models that have it, ``impurity``.
    models : mapping of str to FittedModel
        Fitted on all units; see `predict`.
    """

    study: Study
    labels: Labels
    tables: Mapping[str, pd.DataFrame]
    models: Mapping[str, FittedModel]

    @property
    def scores(self) -> pd.DataFrame:
        """Return scores of models and naive rules, held out and in training."""
        return self.tables["scores"]

    @property
    def predictions(self) -> pd.DataFrame:
        """Return held-out predictions, indexed by unit."""
        return self.tables["predictions"]

    @property
    def importance(self) -> pd.DataFrame:
        """Return the accuracy lost when features are shuffled."""
        return self.tables["importance"]

    def __repr__(self) -> str:
        counts = zip(self.labels.names, self.labels.counts, strict=True)
        classes = ", ".join(f"{name} {count:,}" for name, count in counts)
        return (
            f"MobilityResult({counted(len(self.study.keys), 'unit')}: {classes}; "
            f"{counted(len(self.study.features), 'feature')}; "
            f"models: {', '.join(self.models)}; tables: {', '.join(self.tables)})"
        )


@dataclass(frozen=True, repr=False)
class MobilityStudy:
    """A mobility study of a Dask frame that is not computed yet.

    A model search needs all units at once, so `compute` gathers the columns that it uses; a study is small (72,000
    tracts with 25 columns are 15 MB).
    """

    frame: Any
    edges: Any
    outcome: str
    features: tuple[Feature, ...]
    states: str | None
    options: ModelOptions

    def compute(self, client: distributed.Client | None = None) -> MobilityResult:
        """Gather the units, and validate and fit the models.

        Parameters
        ----------
        client : Client, optional
            A synchronous one; None: in this process.

        Raises
        ------
        InputError
            If the client is asynchronous, or the study cannot be made; see `mobility`.
        RunError
            If a fit fails or a worker dies repeatedly.
        """
        check_client(client)
        frame, edges = _gathered([self.frame, self.edges], client)
        return _result(frame, edges, self, client)

    def __repr__(self) -> str:
        names = ", ".join(feature.name for feature in self.features)
        return f"MobilityStudy({self.outcome} by {names}; models: {', '.join(self.options.names)}; not computed)"


def mobility(
    frame: Any,
    outcome: str,
    *,
    features: Sequence[str] | None = None,
    models: Sequence[str] = ("elastic_net",),
    classes: int = 2,
    folds: Sequence[str] = ("stratified:5",),
    repeats: int = 5,
    grid: str = "full",
    seed: int = 0,
    states: str | None = None,
    domains: Mapping[str, str] | None = None,
    edges: Any = None,
) -> Any:
    """Return scores, held-out predictions, importance and fitted models of an outcome in classes.

    Settings of each model are searched inside every fold; fill, scale and settings are learned from its training rows
    alone.

    Parameters
    ----------
    frame : DataFrame or GeoDataFrame, in memory or on Dask
        One row per unit, each key once in its index. Units without an outcome are left out.
    outcome : str
        Column of numbers that is cut into classes.
    features : sequence of str, optional
        Columns of numbers; all but the outcome by default. Missing values are filled inside the folds.
    models : sequence of str
        ``unpenalized``, ``logistic``, ``elastic_net``, ``forest``, ``boosting``, ``ordinal``, or ``all``; see
        `models.catalog`.
    classes : {2, 4}
        Below and above the mean, or quartiles.
    folds : sequence of str
        How units are held out: ``stratified:FOLDS`` (at random), ``states:FOLDS`` (whole states; needs `states`),
        ``contiguity:FOLDS:BUFFER`` (connected blocks, units within BUFFER steps left out; needs `edges`).
    repeats : int
        How often units are dealt to folds, each time differently.
    grid : {"full", "small"}
        Settings that are searched: those of the catalog, or a few, with fewer folds and draws.
    seed : int
        Of folds, models and draws.
    states : str, optional
        Column of the state of each unit.
    domains : mapping of str to str, optional
        Domain of features whose importance is also measured together.
    edges : DataFrame, in memory or on Dask, optional
        Neighbors of units as `neighbors` returns them: indexed by focal key; column ``neighbor``, both directions.

    Returns
    -------
    MobilityResult
        For a frame in memory: computed in this process.
    MobilityStudy
        For a frame, or edges, on Dask: nothing is computed before its `compute`, which also uses a cluster.

    Raises
    ------
    InputError
        If a column is not there, an option has no such value, a feature is constant, missing in a fold or the outcome
        under another name, or a class has too few units.

    References
    ----------
    Nadeau & Bengio (2003), "Inference for the Generalization Error", for the intervals of scores.

    Examples
    --------
    Single mothers lower the outcome, and the rain does nothing:

    >>> draws = np.random.default_rng(0)
    >>> towns = pd.DataFrame(draws.normal(size=(90, 2)), columns=["single_mothers", "rain"])
    >>> towns["rank"] = 42 - 2 * towns["single_mothers"] + draws.normal(size=90)
    >>> result = mobility(towns, "rank", models=["logistic"], folds=["stratified:3"], repeats=1, grid="small")
    >>> result.scores.query("model == 'logistic' and sample == 'test'").set_index("score")["value"].round(2).to_dict()
    {'accuracy': 0.88, 'auc': 0.97, 'log_loss': 0.28, 'brier': 0.17}
    >>> predict(pd.DataFrame({"single_mothers": [-2.0, 2.0], "rain": 0.0}), result.models["logistic"])
      predicted_class  below_mean_probability  above_mean_probability
    0      above_mean                0.002861                0.997139
    1      below_mean                0.998656                0.001344
    """
    options = ModelOptions(_named(models), classes, _named(folds), repeats, seed, grid)
    options.check()
    chosen = _features(frame, outcome, features, states, domains or {})
    study = MobilityStudy(_columns(frame, outcome, chosen, states), edges, outcome, chosen, states, options)
    return study if is_lazy(frame) or is_lazy(edges) else _result(study.frame, edges, study, None)


def predict(frame: Any, fitted: FittedModel) -> Any:
    """Return a fitted model's predictions for the rows of a frame.

    Parameters
    ----------
    frame : DataFrame or GeoDataFrame, in memory or on Dask
        With the model's features among its columns. Missing values are filled by the model.
    fitted : FittedModel
        From `mobility`, or read from a model file.

    Returns
    -------
    DataFrame, in memory or on Dask as `frame`
        Indexed as `frame`: ``predicted_class`` and, for each class, ``<class>_probability``. Empty text and NaN where
        every feature is missing.

    Raises
    ------
    InputError
        If a feature is not there, or is not of numbers.
    """
    if not is_lazy(frame):
        return predict_table(frame, fitted)
    meta = predict_table(frame._meta, fitted)
    with dask.config.set({"dataframe.convert-string": False}):
        model = dd.from_map(one_value, [fitted], meta=no_value())
    # One task holds the model: a constant would travel with every partition.
    return own_rows(_predicted, frame[list(fitted.feature_names)], reduced(_model, model), meta=meta)


def _predicted(rows: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    return predict_table(rows, value_of(model))


def _model(models: Sequence[FittedModel]) -> FittedModel:
    return models[0]


def _named(names: Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _features(
    frame: Any, outcome: str, features: Sequence[str] | None, states: str | None, domains: Mapping[str, str]
) -> tuple[Feature, ...]:
    # The rows of a Dask frame are not looked at.
    columns = frame._meta if is_lazy(frame) else frame
    for column in [outcome, *([] if states is None else [states])]:
        if column not in columns:
            raise InputError(f"frame: no column {column!r}; expected one of: {listed(columns, 40)}")
    numbers = [str(name) for name in columns.select_dtypes("number") if name not in (outcome, states)]
    if outcome not in columns.select_dtypes("number"):
        raise InputError(f"outcome {outcome!r}: found {columns[outcome].dtype}, expected numbers")
    chosen = check_once(numbers if features is None else _named(features))
    for name in chosen:
        if name not in numbers:
            raise InputError(f"feature {name!r}: expected some of the other columns of numbers: {listed(numbers, 40)}")
    return tuple(Feature(name, name, domains.get(name, ""), "") for name in chosen)


def _columns(frame: Any, outcome: str, features: Sequence[Feature], states: str | None) -> Any:
    names = [outcome, *(feature.name for feature in features), *([] if states is None else [states])]
    geometry = getattr(empty_of(frame), "_geometry_column_name", None)
    if geometry is None or empty_of(frame).crs is None:
        # Without their geometry, GeoDataFrames are plain.
        return frame[names]
    chosen = frame[[*names, geometry]]
    return own_rows(
        _with_points, chosen, meta=lambda: _with_points(chosen._meta, names=tuple(names)), names=tuple(names)
    )


def _with_points(frame: gpd.GeoDataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    """Return columns of a frame and, instead of its polygons, their centroids."""
    plain = pd.DataFrame(frame[list(names)])
    points = points_of(frame.geometry.to_frame("geometry"))
    return plain.assign(**{name: points[column] for name, column in zip(_POINTS, POINT, strict=True)})


def _gathered(frames: Sequence[Any], client: distributed.Client | None) -> list[Any]:
    if client is None:
        return list(dask.compute(*frames, scheduler="threads"))
    return list(client.gather(client.compute(list(frames))))


def _result(
    frame: pd.DataFrame, edges: pd.DataFrame | None, study: MobilityStudy, client: distributed.Client | None
) -> MobilityResult:
    points = _POINTS if _POINTS[0] in frame else ()
    units = frame_study(frame, study.outcome, study.features, states=study.states, edges=edges, points=points)
    design = make_design(units, study.options)
    found = evaluate(design, choose_settings(design, client=client), client=client)
    tables = result_tables(design, found)
    # Keys of a study are text; users get theirs.
    keys = frame.index[frame[study.outcome].notna()]
    for name in ("units", "predictions"):
        tables[name].index = keys.take(np.arange(len(tables[name])) % len(keys))
    return MobilityResult(units, design.labels, tables, fitted_models(design, found.fitted))
