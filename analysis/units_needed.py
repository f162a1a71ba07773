"""How few units reach a wanted width or power: a search that allows for luck."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from analysis.power_simulation import FEWEST_UNITS, outcomes
from analysis.simulated_studies import StudyDesign, Variances

COARSE = 1.15
"""Where numbers of units are as near as this, a curve through them tells the rest."""


N_REFINED = 3
"""How often the search looks again where the curve says."""


NEAR = 0.5
"""How far from what is wanted a number of units may be to lie on the curve."""


def units_needed(
    question: str,
    variances: Variances,
    design: StudyDesign,
    wanted: float,
    *,
    goal: str = "width",
    n_simulations: int,
    rng: np.random.Generator,
    most: int = 5000,
) -> int | None:
    """Search for the fewest units that give a width, or a power.

    Parameters
    ----------
    design : StudyDesign
        Its ``n_units`` is where the search starts.
    wanted : float
        Largest mean width, or least power.
    goal : str
        ``"width"`` or ``"power"``.
    n_simulations : int
        Studies of each number of units that is tried, about ten of them.

    Returns
    -------
    int or None
        None where not even ``most`` units are enough. A multiple of 3 for the
        contrast, so that groups are of one size.

    Notes
    -----
    A number of units that passes may have passed by luck. The numbers that were tried
    are therefore joined by a line, of log width in log units or of the power's normal
    quantile in the root of units, and the line tells how many are needed.
    """
    unit_step = 3 if question == "contrast" else 1
    fewest = max(FEWEST_UNITS[question], unit_step)
    most -= most % unit_step
    tried: list[tuple[int, float, float]] = []

    def enough(n_units: int) -> bool:
        found = outcomes(
            question,
            variances,
            replace(design, n_units=n_units),
            n_simulations=n_simulations,
            rng=rng,
        )
        if goal == "width":
            tried.append((n_units, found.width, found.width_error))
            return found.width <= wanted
        tried.append((n_units, found.power, found.power_error))
        return found.power >= wanted

    def rounded(n_units: float) -> int:
        nearest = unit_step * round(n_units / unit_step)
        return int(min(max(fewest, nearest), most))

    low, high = fewest - unit_step, rounded(design.n_units)
    while not enough(high):
        if high >= most:
            return None
        low, high = high, rounded(1.7 * high)
    while high - low > max(unit_step, (COARSE - 1) * high):
        middle = rounded((max(low, 1) * high) ** 0.5)
        if middle in (low, high):
            break
        low, high = (low, middle) if enough(middle) else (middle, high)

    def near() -> float:
        """Return what the line says, not far from where the search came to."""
        found = _crossing(tried, wanted, goal) or high
        return float(np.clip(found, 0.7 * low, 1.4 * high))

    for _ in range(N_REFINED):
        enough(rounded(near()))
    return rounded(unit_step * np.ceil(near() / unit_step - 0.05))


def _crossing(
    tried: Sequence[tuple[int, float, float]], wanted: float, goal: str
) -> float | None:
    """Return where a line through what was tried reaches what is wanted.

    None where the line does not lead there.
    """
    n, value, error = np.array(tried).T
    if goal == "power":
        value, wanted = np.clip(value, 0.01, 0.99), float(norm.ppf(wanted))
        x, y = np.sqrt(n), norm.ppf(value)
        error = error / norm.pdf(y)
    else:
        x, y, wanted = np.log(n), np.log(value), float(np.log(wanted))
        error = error / value
    near = np.abs(y - wanted) < NEAR
    if near.sum() < 2 or np.ptp(x[near]) == 0:
        return None
    slope, start = np.polyfit(x[near], y[near], 1, w=1 / np.maximum(error[near], 1e-9))
    if (slope <= 0) if goal == "power" else (slope >= 0):
        return None
    reached = (wanted - start) / slope
    return float(reached**2 if goal == "power" else np.exp(reached))
