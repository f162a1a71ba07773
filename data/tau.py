"""What a tau makes of margins: one likelihood for who fits it and who judges it."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]

_TINY = np.finfo(np.float64).tiny


def log_scores(
    margins: Array, starts: NDArray[np.integer], *, tau: float
) -> tuple[Array, Array]:
    """Return log MIS and log (1 − MIS), exact where MIS is nearly 0 or 1.

    A unit's ``n`` answers, ``k`` of them correct, have the log-likelihood
    ``k log MIS + (n − k) log (1 − MIS)``.

    Parameters
    ----------
    margins : (n_margins,) float64 array
        Of all tasks, unit after unit.
    starts : (n_units,) int array
        Where each unit's margins start; every unit has at least one.
    tau : float
        In (0, inf), in units of the margin.

    Notes
    -----
    ``1 − sigmoid(x) = sigmoid(−x)``: nothing is subtracted from 1. No less than the
    log of the smallest normal float, -708.
    """
    n_tasks = np.diff(starts, append=len(margins))
    right = np.add.reduceat(expit(margins / tau), starts) / n_tasks
    wrong = np.add.reduceat(expit(-margins / tau), starts) / n_tasks
    return np.log(np.maximum(right, _TINY)), np.log(np.maximum(wrong, _TINY))


def tau_range(margins: Array) -> tuple[float, float]:
    """Return between what tau is searched: from a step to almost no slope."""
    scale = float(np.sqrt((margins**2).mean()))
    return scale / 100, scale * 100
