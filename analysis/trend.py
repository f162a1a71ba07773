"""Whether units are easier or harder to understand deeper in a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.correlation import CorrelationResult, correlation
from analysis.families import Family, Test, corrected
from analysis.layer_control import layers
from analysis.resampling import N_RESAMPLES, bca_interval
from data.errors import DataContractError
from data.units import UnitId


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTrend:
    """Scores against layer position in one model.

    Attributes
    ----------
    model : str
    layers : DataFrame
        One row a layer, by position: 'layer', 'position' (0 first, 1 last), 'n_units',
        'score' (mean over units), 'ci_low', 'ci_high' (BCa over units; NaN where
        there is none).
    of_layers : CorrelationResult
        Spearman over layer means, as IMI has it; its ``n_units`` counts layers.
    of_units : CorrelationResult
        Spearman over units, so that a layer of many units counts for more.
    n_left_out : int
        Units whose layer has no position.
    """

    model: str
    layers: pd.DataFrame = field(repr=False)
    of_layers: CorrelationResult
    of_units: CorrelationResult
    n_left_out: int


def layer_positions(order: Mapping[str, Sequence[str]]) -> pd.Series:
    """Place each model's layers from 0 to 1.

    Parameters
    ----------
    order : mapping of model to sequence of str
        Its layers from the first to the last.

    Returns
    -------
    Series
        From ``model::layer`` to its place over the last one's; 0 for a single layer.
    """
    places = {
        f"{model}::{layer}": index / max(len(names) - 1, 1)
        for model, names in order.items()
        for index, layer in enumerate(names)
    }
    return pd.Series(places, dtype="float64", name="position")


def layer_trends(
    units: pd.DataFrame,
    positions: pd.Series,
    *,
    rng: np.random.Generator,
    score: str = "his",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> tuple[tuple[LayerTrend, ...], Family | None]:
    """Correlate a score with layer position in each model, and correct over models.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit' and the score's column; units without one take no part.
    positions : Series
        From ``model::layer`` to its place, as :func:`layer_positions` returns it.
    score : str
        ``"his"`` or ``"mis"``.

    Returns
    -------
    trends : tuple of LayerTrend
        One a model, by name.
    family : Family or None
        The tests over layer means; None where none could be made.

    Raises
    ------
    DataContractError
        No unit's layer has a position.
    """
    known = units.dropna(subset=[score])
    named = known.assign(
        model=[UnitId.parse(unit).model for unit in known["unit"]],
        layer=layers(known["unit"]),
    )
    named["position"] = named["layer"].map(positions).astype("float64")
    if named["position"].isna().all():
        raise DataContractError(
            f"None of the {len(named)} units' layers has a position, such as"
            f" {named['layer'].iloc[0] if len(named) else 'none'!r}. Give the layers of"
            " these models in their order."
        )
    trends = tuple(
        _trend(str(model), own, score, rng, level, n_resamples)
        for model, own in named.groupby("model", sort=True)
    )
    tests = [
        Test(name=trend.model, p_value=trend.of_layers.p_value)
        for trend in trends
        if trend.of_layers.p_value is not None
    ]
    what = f"{score.upper()} and layer position in each model (Spearman, layer means)"
    return trends, corrected(what, tests) if tests else None


def _trend(
    model: str,
    own: pd.DataFrame,
    score: str,
    rng: np.random.Generator,
    level: float,
    n_resamples: int,
) -> LayerTrend:
    placed = own.dropna(subset=["position"])
    rows = []
    for (position, layer), members in placed.groupby(["position", "layer"], sort=True):
        values = members[score].to_numpy("float64")
        interval = bca_interval(
            (values,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        )
        low, high = interval or (np.nan, np.nan)
        name = str(layer).split("::")[1]
        rows.append((name, position, len(values), float(values.mean()), low, high))
    columns = ["layer", "position", "n_units", "score", "ci_low", "ci_high"]
    table = pd.DataFrame(rows, columns=columns).astype({"position": "float64"})
    of_layers, of_units = (
        correlation(
            one["position"],
            one[column],
            method="spearman",
            rng=rng,
            level=level,
            n_resamples=n_resamples,
        )
        for one, column in ((table, "score"), (placed, score))
    )
    return LayerTrend(
        model=model,
        layers=table,
        of_layers=of_layers,
        of_units=of_units,
        n_left_out=len(own) - len(placed),
    )
