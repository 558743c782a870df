"""Predicted probabilities as tables: of units held out, their calibration and confusion, and of a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geomob_dask.models.model_files import FittedModel
from geomob_dask.models.scores import calibration_curve, wilson
from geomob_dask.models.study import Study
from geomob_dask.models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Rows of a study, and the probabilities predicted for them by the model of one fold.
Predicted = Sequence[tuple[Ints, Floats]]


def mean_shares(parts: Predicted, n_units: int) -> Floats:
    """Return each unit's mean predicted probabilities over the folds that held it out.

    Parameters
    ----------
    parts : sequence of (shape (n_rows,), shape (n_rows, n_classes))
        By fold: the units held out and their predicted probabilities.

    Returns
    -------
    shape (n_units, n_classes)
        NaN for a unit that no fold held out.

    Examples
    --------
    >>> mean_shares([(np.array([0]), np.array([[0.25, 0.75]])), (np.array([0]), np.array([[0.75, 0.25]]))], 2)
    array([[0.5, 0.5],
           [nan, nan]])
    """
    total = np.zeros((n_units, parts[0][1].shape[1]))
    times = np.zeros(n_units)
    for rows, shares in parts:
        total[rows] += shares
        times[rows] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / times[:, None])


def predictions_table(study: Study, shares: Floats) -> pd.DataFrame:
    """Return the class with the highest mean probability (of equal ones the lower class), and the probabilities.

    Returns
    -------
    DataFrame
        Index ``unit``; ``predicted`` (a code), ``p_0``, ``p_1``, ….
    """
    columns = {f"p_{number}": shares[:, number] for number in range(shares.shape[1])}
    return pd.DataFrame(
        {"predicted": shares.argmax(axis=1).astype(np.int64), **columns},
        index=pd.Index(study.keys, dtype="str", name="unit"),
    )


def calibration_rows(parts: Predicted, codes: Ints, names: Sequence[str], repeats: int) -> pd.DataFrame:
    """Return mean predicted probabilities and observed shares, by class and bin of the probability.

    Parameters
    ----------
    parts : sequence of (shape (n_rows,), shape (n_rows, n_classes))
        By fold: the units held out and their probabilities by one model. Means over repeats are predicted by none.
    repeats : int
        How often each unit was held out: ``units`` and intervals count it once.

    Returns
    -------
    DataFrame
        ``class``, and the columns of `scores.calibration_curve`.
    """
    rows = np.concatenate([rows for rows, _ in parts])
    shares = np.concatenate([shares for _, shares in parts])
    tables = []
    for number, name in enumerate(names):
        table = calibration_curve(codes[rows] == number, shares[:, number])
        table["units"] = table["units"] / repeats
        table["lower"], table["upper"] = wilson(table["observed"].to_numpy(), table["units"].to_numpy())
        table.insert(0, "class", pd.array([name] * len(table), dtype="str"))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def confusion_rows(parts: Predicted, codes: Ints, names: Sequence[str], repeats: int) -> pd.DataFrame:
    """Return the number of units by actual and predicted class, as means over repeats.

    Returns
    -------
    DataFrame
        ``actual``, ``predicted``, ``units``, ``share`` (of the actual class).
    """
    counts = np.zeros((len(names), len(names)))
    for rows, shares in parts:
        np.add.at(counts, (codes[rows], shares.argmax(axis=1)), 1 / repeats)
    actual, predicted = (index.ravel() for index in np.indices(counts.shape))
    words = np.array(list(names), dtype=object)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    return pd.DataFrame(
        {
            "actual": pd.array(words[actual], dtype="str"),
            "predicted": pd.array(words[predicted], dtype="str"),
            "units": counts.ravel(),
            "share": share.ravel(),
        }
    )


def predict_table(table: pd.DataFrame, fitted: FittedModel, where: str = "table") -> pd.DataFrame:
    """Return a fitted model's predictions for the rows of a table.

    Parameters
    ----------
    table : DataFrame
        With the model's features among its columns.
    fitted : FittedModel
    where : str
        Name of the table in errors.

    Returns
    -------
    DataFrame
        Indexed as `table`: ``predicted_class`` and, for each class, ``<class>_probability``. Empty text and NaN where
        every feature is missing: such a row would get the prediction of an average place.

    Raises
    ------
    InputError
        If a feature is not there, or is not of numbers.
    """
    values = fitted.values(table, where)
    shares = np.full((len(values), len(fitted.classes)), np.nan)
    classes = np.full(len(values), "", dtype=object)
    known = ~np.isnan(values).all(axis=1)
    if known.any():
        with one_thread():
            # Of all rows, known or not: a matrix product may round otherwise over fewer.
            shares[known] = fitted.predict(values)[known]
        classes[known] = np.array(fitted.classes, dtype=object)[shares[known].argmax(axis=1)]
    columns = {f"{name}_probability": shares[:, number] for number, name in enumerate(fitted.classes)}
    return pd.DataFrame({"predicted_class": pd.array(classes, dtype="str"), **columns}, index=table.index)
