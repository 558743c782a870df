"""Coordinate descent for a quadratic with an elastic-net penalty, compiled."""

import numba
import numpy as np

_MAX_SWEEPS = 200
_SWEEPS_PER_SOLVE = 20


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def descend(gram, target, start, n_rows, l1, l2):  # type: ignore[no-untyped-def]
    """Return the minimum of ½·b'gram·b − target'b + l1·‖b‖₁ + l2/2·‖b‖².

    Descent alone is slow where features are nearly collinear: after every 20 sweeps the linear system that the signs
    leave is solved, and its solution approached until a coefficient would change its sign.

    With one row of coefficients per class, moving a feature's coefficients of all classes together changes no
    probability: only the penalty holds them, too weakly for descent one by one. So each sweep ends with the best such
    move.

    Parameters
    ----------
    gram : shape (size, size)
        Positive semidefinite.
    target, start : shape (size,)
    n_rows : int
        Rows of coefficients: 1, or the number of classes.
    l1, l2 : float
        0 or more.

    References
    ----------
    Friedman, Hastie & Tibshirani (2010), "Regularization Paths for Generalized Linear Models via Coordinate Descent".
    """
    size = len(start)
    found = start.copy()
    slope = target - gram @ found
    scale = l1 + np.abs(target).max()
    for sweep in range(_MAX_SWEEPS):
        moved = 0.0
        for j in range(size):
            curvature = gram[j, j] + l2
            if curvature <= 0.0:
                continue
            pull = slope[j] + gram[j, j] * found[j]
            new = 0.0
            if pull > l1:
                new = (pull - l1) / curvature
            elif pull < -l1:
                new = (pull + l1) / curvature
            change = new - found[j]
            if change != 0.0:
                found[j] = new
                for k in range(size):
                    slope[k] -= gram[j, k] * change
                moved = max(moved, curvature * abs(change))
        if moved <= 1e-13 * scale:
            break
        if n_rows > 1:
            features = size // n_rows
            for j in range(features):
                found[j::features] += _common_shift(found[j::features], l1, l2)
        if sweep % _SWEEPS_PER_SOLVE == _SWEEPS_PER_SOLVE - 1:
            found = _walk(gram, target, found, l1, l2)
            slope = target - gram @ found
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _common_shift(coefficients, l1, l2):  # type: ignore[no-untyped-def]
    """Return the number that, added to all coefficients, minimizes their penalty."""
    size = len(coefficients)
    zeros = np.sort(-coefficients)
    shift = 0.0
    for below in range(size + 1):
        # Between two zeros the penalty is a parabola: l1·(2·below − size)·t + l2/2·Σ(t − zero)².
        tilt = l1 * (2 * below - size)
        shift = zeros.mean()
        if tilt != 0.0:
            shift -= tilt / max(l2 * size, 1e-300)
        if below > 0:
            shift = max(shift, zeros[below - 1])
        if below == size or shift <= zeros[below]:
            break
    return shift


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _walk(gram, target, start, l1, l2):  # type: ignore[no-untyped-def]
    """Return the minimum among coefficients of the signs of `start`; one that reaches zero on the way stays zero."""
    found = start.copy()
    # Without l2 the system of a feature that all classes have is singular: a trace of l2 keeps it solvable.
    trace = 1e-13 * np.abs(gram).max()
    for _ in range(len(found)):
        support = np.flatnonzero(found)
        if len(support) == 0:
            return found
        system = np.empty((len(support), len(support)))
        right = np.empty(len(support))
        for a in range(len(support)):
            for b in range(len(support)):
                system[a, b] = gram[support[a], support[b]]
            system[a, a] += l2 + trace
            right[a] = target[support[a]] - l1 * np.sign(found[support[a]])
        way = np.linalg.solve(system, right) - found[support]
        if not np.all(np.isfinite(way)):
            return found
        part, first = 1.0, -1
        for a in range(len(support)):
            here = found[support[a]]
            if here * (here + way[a]) < 0.0 and -here / way[a] < part:
                part, first = -here / way[a], a
        for a in range(len(support)):
            found[support[a]] += part * way[a]
        if first < 0:
            return found
        found[support[first]] = 0.0
    return found
