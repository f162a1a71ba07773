"""Whether a machine's score agrees with people about units or only about layers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata, t

from analysis.correlation import FEWEST_UNITS
from data.errors import DataContractError
from data.units import UnitId

N_DRAWS = 1000

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerControl:
    """The agreement that other units of the same layers reach.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    estimate : float or None
        Of the units' own scores; None where ``note`` says why.
    control_mean : float or None
        Mean over draws, where each unit has the score of another unit of its layer.
    control_high : float or None
        What ``level`` of the draws do not exceed (one side).
    p_value : float or None
        Share of draws that reach the estimate, (1 + b) / (1 + n_draws).
    draws : (n_draws,) float array
    n_units : int
        Units in the correlation.
    n_layers : int
        Their layers.
    n_left_out : int
        Units whose layer has no other unit with a score.
    n_draws : int
    level : float
    note : str or None
    """

    method: str
    estimate: float | None
    control_mean: float | None
    control_high: float | None
    p_value: float | None
    draws: Array = field(repr=False)
    n_units: int
    n_layers: int
    n_left_out: int
    n_draws: int
    level: float
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class PartialCorrelation:
    """A correlation over units given what else they differ in.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    given : str
        What is held fixed, in words.
    estimate : float or None
        In [-1, 1]; None where ``note`` says why.
    p_value : float or None
        Two-sided, of no correlation given the rest.
    ci_low, ci_high : float or None
        Fisher's transformation with the degrees of freedom that are left; for
        Spearman with Bonett and Wright's variance.
    raw : float or None
        The correlation with nothing held fixed.
    n_units : int
    n_given : int
        Degrees of freedom that ``given`` takes.
    level : float
    note : str or None
    """

    method: str
    given: str
    estimate: float | None
    p_value: float | None
    ci_low: float | None
    ci_high: float | None
    raw: float | None
    n_units: int
    n_given: int
    level: float
    note: str | None = None


def layer_control(
    units: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    method: str = "pearson",
    level: float = 0.95,
    n_draws: int = N_DRAWS,
) -> LayerControl:
    """Correlate HIS with the MIS of a random other unit of each unit's layer.

    Where this comes near to the agreement of the units' own scores, the machine tells
    layers apart and little more.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'mis', 'his'; units that lack one take no part.
    scores : DataFrame
        'unit' and 'mis' of all units that the machine scored, the answered ones too.
    level : float
        Share of draws below ``control_high``, in (0, 1).

    Raises
    ------
    DataContractError
        No unit's layer holds another unit with a score.
    """
    # One order, so that a seed gives the same draws however units are listed.
    both = units.dropna(subset=["mis", "his"]).sort_values("unit")
    known = scores.dropna(subset=["mis"]).sort_values("unit")
    pools = {
        layer: own
        for layer, own in known.groupby(pd.Series(layers(known["unit"]), known.index))
    }
    others = [
        pools[layer].loc[pools[layer]["unit"] != unit, "mis"].to_numpy("float64")
        if layer in pools
        else np.empty(0)
        for unit, layer in zip(both["unit"], layers(both["unit"]), strict=True)
    ]
    has_other = np.array([len(pool) > 0 for pool in others], dtype=bool)
    if not has_other.any():
        raise DataContractError(
            f"None of the {len(both)} units with both scores has another scored unit in"
            " its layer; the control needs some. Score more units of these layers."
        )
    left, pools_left = both[has_other], [pool for pool in others if len(pool)]
    his = left["his"].to_numpy("float64")
    own = left["mis"].to_numpy("float64")
    note = _why_no_control(own, his)
    estimate = None if note else float(_rows(own[None], his, method)[0])
    drawn = np.column_stack([rng.choice(pool, n_draws) for pool in pools_left])
    draws = np.empty(0) if note else _rows(drawn, his, method)
    draws = draws[np.isfinite(draws)]
    known_draws = len(draws) > 0
    return LayerControl(
        method=method,
        estimate=estimate,
        control_mean=float(draws.mean()) if known_draws else None,
        control_high=float(np.quantile(draws, level)) if known_draws else None,
        p_value=_p_value(draws, estimate),
        draws=draws,
        n_units=len(left),
        n_layers=len(set(layers(left["unit"]))),
        n_left_out=int((~has_other).sum()),
        n_draws=len(draws),
        level=level,
        note=note,
    )


def layers(units: Sequence[str] | pd.Series) -> list[str]:
    """Return ``model::layer`` of each unit."""
    parsed = [UnitId.parse(unit) for unit in units]
    return [f"{unit.model}::{unit.layer}" for unit in parsed]


def partial_correlation(
    first: ArrayLike,
    second: ArrayLike,
    given: ArrayLike | pd.DataFrame | pd.Series,
    *,
    method: str,
    name: str,
    level: float = 0.95,
) -> PartialCorrelation:
    """Correlate two scores of the same units with something else held fixed.

    Parameters
    ----------
    first, second : (n_units,) float arrays
        Finite.
    given : (n_units,) array or DataFrame of such columns
        Numbers, such as the layer's position, enter as they are (as ranks for
        Spearman); text, such as the layer's name, as a group of its own each.
    name : str
        What ``given`` is, for readers.

    Notes
    -----
    Both scores are freed of what a linear model of ``given`` tells, and what is left
    is correlated, with n − 2 − n_given degrees of freedom for the t-test.
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"'method' is {method!r}; it must be 'pearson' or 'spearman'.")
    pair = [np.asarray(one, dtype="float64") for one in (first, second)]
    if method == "spearman":
        pair = [rankdata(one) for one in pair]
    design = _design(given, len(pair[0]), method)
    n_given = int(np.linalg.matrix_rank(design)) - 1
    free = [one - design @ np.linalg.lstsq(design, one)[0] for one in pair]
    df = len(pair[0]) - 2 - n_given
    note = _why_undefined(pair, free, df, name)
    raw = None if any(np.ptp(one) == 0 for one in pair) else _r(pair)
    estimate = p_value = low = high = None
    if note is None:
        estimate = _r(free)
        p_value = _t_test(estimate, df)
        low, high = _interval(estimate, df, method, level)
    return PartialCorrelation(
        method=method,
        given=name,
        estimate=estimate,
        p_value=p_value,
        ci_low=low,
        ci_high=high,
        raw=raw,
        n_units=len(pair[0]),
        n_given=n_given,
        level=level,
        note=note,
    )


def partial_correlations(
    units: pd.DataFrame,
    *,
    positions: pd.Series | None = None,
    level: float = 0.95,
) -> tuple[PartialCorrelation, ...]:
    """Correlate MIS and HIS given the layer, and given its position where known.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'mis', 'his'.
    positions : Series, optional
        From ``model::layer`` to its place in the network, in any unit.
    """
    both = units.dropna(subset=["mis", "his"])
    layer = pd.Series(layers(both["unit"]), index=both.index, dtype="object")
    given: list[tuple[str, pd.Series]] = [("layer", layer)]
    if positions is not None:
        place = layer.map(positions).astype("float64")
        given.append(("layer position", place))
    found = []
    for name, values in given:
        known = values.notna()
        found += [
            partial_correlation(
                both.loc[known, "mis"],
                both.loc[known, "his"],
                values[known],
                method=method,
                name=name,
                level=level,
            )
            for method in ("pearson", "spearman")
        ]
    return tuple(found)


def _why_no_control(mis: Array, his: Array) -> str | None:
    if len(mis) < FEWEST_UNITS:
        return (
            f"the control needs at least {FEWEST_UNITS} units whose layers have others;"
            f" there are {len(mis)}"
        )
    if np.ptp(mis) == 0 or np.ptp(his) == 0:
        return "one of the scores is the same for every unit"
    return None


def _rows(drawn: Array, his: Array, method: str) -> Array:
    if method == "spearman":
        drawn, his = rankdata(drawn, axis=1), rankdata(his)
    elif method != "pearson":
        raise ValueError(f"'method' is {method!r}; it must be 'pearson' or 'spearman'.")
    x = drawn - drawn.mean(axis=1, keepdims=True)
    y = his - his.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x @ y) / np.sqrt((x**2).sum(axis=1) * (y @ y))


def _p_value(draws: Array, estimate: float | None) -> float | None:
    if estimate is None or not len(draws):
        return None
    return float((1 + (draws >= estimate).sum()) / (1 + len(draws)))


def _design(
    given: ArrayLike | pd.DataFrame | pd.Series, n_units: int, method: str
) -> Array:
    table = given if isinstance(given, pd.DataFrame) else pd.DataFrame({"given": given})
    columns = [np.ones((n_units, 1))]
    for _, values in table.items():
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.to_numpy("float64")
            numbers = rankdata(numbers) if method == "spearman" else numbers
            columns.append((numbers - numbers.mean())[:, None])
        else:
            columns.append(pd.get_dummies(values, dtype="float64").to_numpy()[:, 1:])
    return np.hstack(columns)


def _why_undefined(
    pair: list[Array], free: list[Array], df: int, name: str
) -> str | None:
    if df < 2:
        return (
            f"too few units: {len(pair[0])} leave {max(df, 0)} degrees of freedom given"
            f" the {name}, and at least 2 are needed"
        )
    for one, rest in zip(pair, free, strict=True):
        if np.ptp(one) == 0:
            return "one of the scores is the same for every unit"
        # What least squares leaves of a perfect fit is rounding.
        if np.std(rest) <= 1e-10 * np.std(one):
            return f"one of the scores is fully told by the {name}"
    return None


def _r(pair: list[Array]) -> float:
    return float(np.corrcoef(pair[0], pair[1])[0, 1])


def _t_test(r: float, df: int) -> float:
    with np.errstate(divide="ignore"):
        return float(2 * t.sf(abs(r) * np.sqrt(df / max(1 - r**2, 0.0)), df))


def _interval(r: float, df: int, method: str, level: float) -> tuple[float, float]:
    if abs(r) >= 1:
        return r, r
    spread = 1 + r**2 / 2 if method == "spearman" else 1.0
    half = norm.ppf((1 + level) / 2) * np.sqrt(spread / (df - 1))
    z = np.arctanh(r)
    return float(np.tanh(z - half)), float(np.tanh(z + half))
