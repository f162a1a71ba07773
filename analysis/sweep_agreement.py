"""Whether other scores of a sweep's units agree with the sweep's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from analysis.resampling import bca_limits, expanded_level
from data.errors import DataContractError
from data.formats import Header, read_header
from data.scores import VERSION, read_score_table
from data.sweeps import SweepResults
from data.units import UnitId

N_RESAMPLES = 1999

LEVEL = 0.95

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """Spearman's correlation of two scores over units, and within layers.

    Attributes
    ----------
    spearman : float
        Over all units, in [-1, 1]; NaN where one score does not vary.
    spearman_low, spearman_high : float
        Its interval over layers; NaN where there is none.
    within : float
        Mean of the layers' own correlations, each weighted by its units; NaN where no
        layer has one.
    within_low, within_high : float
    n_units, n_layers : int
        With both scores.
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    within: float
    within_low: float
    within_high: float
    n_units: int
    n_layers: int


def rank_agreement(
    first: Array,
    second: Array,
    layers: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> RankAgreement:
    """Correlate two scores of the same units by rank, with intervals over layers.

    Parameters
    ----------
    first, second : (n_units,) float arrays
        Finite; the same unit at the same place.
    layers : (n_units,) int array
        The layer of each unit.

    Notes
    -----
    Units of a layer are alike, so a bootstrap over units would promise too much.
    Here whole layers are drawn, and the interval is BCa (Efron 1987), expanded for
    their number (Hesterberg 2015).
    """
    _, layers = np.unique(layers, return_inverse=True)
    n_layers = int(layers.max(initial=-1)) + 1
    members = [np.flatnonzero(layers == one) for one in range(n_layers)]
    own = np.array([_spearman(first[one], second[one]) for one in members])
    sizes = np.bincount(layers, minlength=n_layers) * np.isfinite(own)
    own = np.nan_to_num(own)
    ranks = _WeightedRanks(first), _WeightedRanks(second)

    def over_units(times: Array) -> float:
        weights = times[layers]
        return _weighted_correlation(ranks[0](weights), ranks[1](weights), weights)

    def within(times: Array) -> float:
        weights = times * sizes
        return float(weights @ own / weights.sum()) if weights.sum() else np.nan

    drawn = rng.multinomial(n_layers, [1 / n_layers] * n_layers, size=n_resamples)
    left_out = 1 - np.eye(n_layers)
    found = []
    for statistic in (over_units, within):
        estimate = statistic(np.ones(n_layers))
        limits = None
        if n_layers > 1 and np.isfinite(estimate):
            limits = bca_limits(
                [statistic(one) for one in drawn.astype("float64")],
                estimate,
                [statistic(one) for one in left_out],
                level=expanded_level(LEVEL, n_layers),
            )
        found += [estimate, *(limits or (np.nan, np.nan))]
    return RankAgreement(
        spearman=found[0],
        spearman_low=found[1],
        spearman_high=found[2],
        within=found[3],
        within_low=found[4],
        within_high=found[5],
        n_units=len(first),
        n_layers=n_layers,
    )


class _WeightedRanks:
    """Mean ranks of values, each of which may stand in a resample several times."""

    def __init__(self, values: Array) -> None:
        _, self._place = np.unique(values, return_inverse=True)

    def __call__(self, weights: Array) -> Array:
        together = np.bincount(self._place, weights=weights)
        return (np.cumsum(together) - together / 2)[self._place]


def _weighted_correlation(x: Array, y: Array, weights: Array) -> float:
    total = weights.sum()
    x, y = x - weights @ x / total, y - weights @ y / total
    spread = float((weights @ x**2) * (weights @ y**2))
    return float(weights @ (x * y)) / spread**0.5 if spread > 0 else np.nan


def _spearman(first: Array, second: Array) -> float:
    return _weighted_correlation(rankdata(first), rankdata(second), np.ones(len(first)))


def score_agreement(
    results: SweepResults,
    folders: Sequence[Path],
    *,
    rng: np.random.Generator,
    drop_ends: bool = False,
) -> pd.DataFrame:
    """Hold other scores of a sweep's units against the sweep's own.

    Parameters
    ----------
    results : SweepResults
    folders : sequence of Path
        What ``unitscope score`` wrote for the tasks of one of the networks each.
    drop_ends : bool
        Whether each network's first and last recorded layer are left out.

    Returns
    -------
    DataFrame
        One row a network and kind of score, the sweep's own first: 'model', 'scores'
        (what made them), 'same_tasks', 'n_scored', 'mean', 'low', 'median', 'high'
        (5th, 50th and 95th percentile), 'hard_accuracy' (mean share of tasks that are
        right, whatever tau; NaN where the scores have none), and the attributes of
        :class:`RankAgreement` with the sweep's own (NaN in its own row).

    Raises
    ------
    DataContractError
        A folder holds scores of a network that is not done, or the same as another.
    """
    done = results.networks.loc[results.networks["status"] == "done", "model"].to_list()
    tables: dict[str, list[tuple[Path, pd.DataFrame]]] = {one: [] for one in done}
    for folder in folders:
        units = read_score_table(folder)
        model = UnitId.parse(units["unit"].iloc[0]).model
        if model not in tables:
            raise DataContractError(
                f"{folder} holds scores of {model!r}; they must be of a network of the"
                f" sweep that is done: {done}. Score the tasks in"
                f" {results.folder / 'runs'}."
            )
        tables[model].append((Path(folder), units))
    rows = []
    for model in done:
        if tables[model]:
            rows += _rows_of(results, model, tables[model], rng, drop_ends=drop_ends)
    return pd.DataFrame(rows)


def _rows_of(
    results: SweepResults,
    model: str,
    others: Sequence[tuple[Path, pd.DataFrame]],
    rng: np.random.Generator,
    *,
    drop_ends: bool,
) -> list[dict[str, Any]]:
    folder = results.run(model) / "scores"
    own = read_score_table(folder)
    own["layer"] = own["unit"].str.split("::").str[1]
    if drop_ends:
        layers = results.layers[results.layers["model"] == model]
        inside = layers["position"].between(0, 1, inclusive="neither")
        own = own[own["layer"].isin(layers.loc[inside, "layer"])]
    header, n_tasks = _header(folder), int(own["n_tasks"].max())
    first = {"model": model, "scores": _label(header, own, None)}
    rows: list[dict[str, Any]] = [first | {"same_tasks": True} | _spread(own)]
    for path, units in others:
        made = _header(path)
        name = _label(made, units, n_tasks)
        if name in [row["scores"] for row in rows]:
            raise DataContractError(
                f"{path} holds scores of {model!r} by {name}, which are there already."
                " Give scores that something else made."
            )
        both = own.merge(units, on="unit", suffixes=("", "_other"))
        known = both.dropna(subset=["mis", "mis_other"])
        if known.empty:
            raise DataContractError(
                f"{path} and {folder} have no unit that both score. Score the tasks in"
                f" {results.run(model) / 'tasks'}."
            )
        agreement = rank_agreement(
            known["mis"].to_numpy(),
            known["mis_other"].to_numpy(),
            pd.factorize(known["layer"])[0],
            rng=rng,
        )
        same = made.made_from.get("tasks") == header.made_from.get("tasks")
        told = {"model": model, "scores": name, "same_tasks": same}
        rows.append(
            told | _spread(units[units["unit"].isin(own["unit"])]) | vars(agreement)
        )
    return rows


def _header(folder: Path) -> Header:
    path = folder / "scores.json"
    return read_header(path, format="scores", versions=(1, VERSION))[0]


def _label(header: Header, units: pd.DataFrame, n_tasks: int | None) -> str:
    """Return what made scores; their number of tasks where it is another."""
    config = header.config
    method, encoder = config.get("method", "mis"), config.get("encoder")
    name = str(encoder) if method == "mis" else str(method)
    name += f" ({encoder})" if method != "mis" and encoder else ""
    found = int(units["n_tasks"].max()) if "n_tasks" in units else n_tasks
    return name if n_tasks in (None, found) else f"{name}, {found} tasks"


def _spread(units: pd.DataFrame) -> dict[str, Any]:
    scores = units["mis"]
    known = "hard_accuracy" in units
    return {
        "n_scored": int(scores.notna().sum()),
        "mean": scores.mean(),
        "low": scores.quantile(0.05),
        "median": scores.median(),
        "high": scores.quantile(0.95),
        "hard_accuracy": units["hard_accuracy"].mean() if known else np.nan,
    }
