"""How many units and answers an interval of a wanted width takes."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

MOST = 1_000_000


def correlation_width(
    estimate: float, n_units: int, *, method: str = "pearson", level: float = 0.95
) -> float:
    """Return the width of the interval of a correlation over ``n_units`` units.

    Notes
    -----
    Fisher's interval, with Bonett and Wright's variances for Spearman and Kendall
    (2000), as :mod:`analysis.correlation` prints it.
    """
    lost, factor = _variance(estimate, method)
    if n_units <= lost:
        return 2.0
    half = norm.ppf((1 + level) / 2) * math.sqrt(factor / (n_units - lost))
    z = math.atanh(estimate)
    return math.tanh(z + half) - math.tanh(z - half)


def units_for_width(
    estimate: float, width: float, *, method: str = "pearson", level: float = 0.95
) -> int:
    """Return the fewest units whose correlation has an interval at most ``width`` wide.

    Parameters
    ----------
    estimate : float
        The correlation that is expected, in (-1, 1).
    width : float
        In (0, 2).
    """
    if not -1 < estimate < 1:
        raise ValueError(f"'estimate' is {estimate!r}; it must be in (-1, 1).")
    if not 0 < width < 2:
        raise ValueError(f"'width' is {width!r}; it must be in (0, 2).")
    lost, _ = _variance(estimate, method)
    return _fewest(
        lambda n: correlation_width(estimate, n, method=method, level=level) <= width,
        lost + 1,
    )


def proportion_width(
    proportion: float, n_answers: int, *, level: float = 0.95
) -> float:
    """Return how wide Wilson's interval of a proportion of ``n_answers`` is."""
    low, high = proportion_confint(
        proportion * n_answers, n_answers, alpha=1 - level, method="wilson"
    )
    return float(high - low)


def answers_for_width(proportion: float, width: float, *, level: float = 0.95) -> int:
    """Return the fewest answers to one unit whose HIS has an interval that narrow.

    Parameters
    ----------
    proportion : float
        The HIS that is expected, in [0, 1]; 0.5 takes most.
    width : float
        In (0, 1).
    """
    if not 0 <= proportion <= 1:
        raise ValueError(f"'proportion' is {proportion!r}; it must be in [0, 1].")
    if not 0 < width < 1:
        raise ValueError(f"'width' is {width!r}; it must be in (0, 1).")
    return _fewest(lambda n: proportion_width(proportion, n, level=level) <= width, 1)


def reliability_of(n_answers: float, reliability: float, n_measured: float) -> float:
    """Return the reliability with ``n_answers`` a unit, by Spearman–Brown.

    Parameters
    ----------
    reliability : float
        With ``n_measured`` answers a unit, in (0, 1].
    """
    factor = n_answers / n_measured
    return factor * reliability / (1 + (factor - 1) * reliability)


def correlation_plan(
    *,
    true_correlation: float,
    reliability: float,
    n_measured: float,
    n_units: Sequence[int],
    n_answers: Sequence[int],
    method: str = "pearson",
    level: float = 0.95,
) -> pd.DataFrame:
    """Tell what correlation and what interval each size of study can expect.

    Parameters
    ----------
    true_correlation : float
        Of MIS with HIS as if people's scores had no noise: disattenuated, in (-1, 1).
    reliability : float
        Of HIS with ``n_measured`` answers a unit, from a pilot or a published study.
    n_units, n_answers : sequences of int
        Sizes to tabulate; answers are for each unit.

    Returns
    -------
    DataFrame
        One row a size: 'n_units', 'n_answers' (a unit), 'n_answers_total',
        'reliability', 'correlation' (expected with that noise), 'width'.
    """
    rows = []
    for units in n_units:
        for answers in n_answers:
            reached = reliability_of(answers, reliability, n_measured)
            expected = true_correlation * math.sqrt(reached)
            width = correlation_width(expected, units, method=method, level=level)
            rows.append((units, answers, units * answers, reached, expected, width))
    columns = [
        "n_units",
        "n_answers",
        "n_answers_total",
        "reliability",
        "correlation",
        "width",
    ]
    return pd.DataFrame(rows, columns=columns)


def _variance(estimate: float, method: str) -> tuple[int, float]:
    """Return how many units the variance of Fisher's z loses, and its numerator."""
    try:
        return {
            "pearson": (3, 1.0),
            "spearman": (3, 1 + estimate**2 / 2),
            "kendall": (4, 0.437),
        }[method]
    except KeyError:
        raise ValueError(
            f"'method' is {method!r}; it must be 'pearson', 'spearman' or 'kendall'."
        ) from None


def _fewest(enough: Callable[[int], bool], least: int) -> int:
    """Return the least whole number that is enough, where all above it are too."""
    high = least
    while not enough(high):
        if high > MOST:
            raise ValueError(
                f"More than {MOST:,} would be needed; 'width' is too narrow."
            )
        high *= 2
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return int(low)
