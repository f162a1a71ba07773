"""Intervals by bootstrap, from a generator that the caller gives."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

Array = NDArray[np.float64]

N_RESAMPLES = 9999


def bca_interval(
    samples: Sequence[Array],
    statistic: Callable[..., Array],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    paired: bool = False,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated bootstrap interval of a statistic.

    Parameters
    ----------
    samples : sequence of (n,) float arrays
        One sample, several independent ones, or ``paired`` ones of equal length.
    statistic : callable
        Takes the samples and ``axis``, and reduces that axis.
    level : float
        Coverage, in (0, 1).

    Returns
    -------
    (low, high) or None
        None where there is none: fewer than two values, values that are all the
        same, or resamples for which the statistic is not defined.

    Notes
    -----
    Efron 1987, by :func:`scipy.stats.bootstrap`, whose method for IMI's intervals
    this is.
    """
    if min(len(sample) for sample in samples) < 2:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            tuple(samples),
            statistic,
            paired=paired,
            vectorized=True,
            axis=-1,
            confidence_level=level,
            n_resamples=n_resamples,
            batch=1000,
            method="BCa",
            rng=rng,
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if np.isfinite(low) and np.isfinite(high) else None
