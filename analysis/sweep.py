"""What a sweep says: mean MIS by layer type, depth, width, training and accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from analysis.comparison import with_conover
from analysis.correlation import CorrelationResult, correlation
from analysis.sweep_agreement import score_agreement
from data.errors import DataContractError
from data.recordings import STATISTICS
from data.scores import read_score_table
from data.sweeps import LAYER_TYPES, SweepResults
from data.tables import read_parquet

DEPTH_BINS, WIDTH_BINS, VALUE_BINS = 30, 5, 10
"""Bins of as many units each; depth and width as in the MIS paper."""

_STATISTICS = ["sparsity", "map_sparsity", "local_contrast"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepFindings:
    """Everything that a report of a sweep tells.

    Attributes
    ----------
    networks : DataFrame
        One row a network that is done, by falling 'mis': the columns of
        :data:`data.sweeps.NETWORKS` and 'share_constant'.
    failed : DataFrame
        'model', 'status', 'reason' of the others.
    units : DataFrame
        See :func:`sweep_units`.
    types : DataFrame
        One row a network and layer type: 'model', 'layer_type', 'n_units', 'mis'.
    type_pairs : DataFrame
        'group_a', 'group_b', 'difference' of the means of types over networks,
        'p_raw', 'p_holm' by Conover's test; p is NaN where there is none.
    trends : dict of str to DataFrame
        Of 'position', 'relative_width', 'sparsity', 'map_sparsity', 'local_contrast':
        see :func:`binned`.
    trend_correlations : DataFrame
        'along', 'layer_type', 'n_units', 'spearman' over units.
    accuracy : tuple of CorrelationResult
        Of accuracy and mean MIS over networks, Pearson's and Spearman's.
    training : DataFrame
        Checkpoints: 'network', 'epoch', 'mis', 'low', 'high', 'accuracy'.
    agreement : DataFrame
        See :func:`analysis.sweep_agreement.score_agreement`; empty where no other
        scores were given.
    """

    networks: pd.DataFrame
    failed: pd.DataFrame
    units: pd.DataFrame
    types: pd.DataFrame
    type_pairs: pd.DataFrame
    trends: dict[str, pd.DataFrame]
    trend_correlations: pd.DataFrame
    accuracy: tuple[CorrelationResult, ...]
    training: pd.DataFrame
    agreement: pd.DataFrame


def sweep_units(results: SweepResults, *, drop_ends: bool = False) -> pd.DataFrame:
    """Return one row a unit of all networks that are done.

    Parameters
    ----------
    results : SweepResults
    drop_ends : bool
        Whether the first and the last recorded layer of each network are left out, as
        the MIS paper does.

    Returns
    -------
    DataFrame
        'model', 'layer', 'layer_type' (categories), 'position' in [0, 1] (0 first),
        'relative_width' in [0, 1] (share of the network's layers of this type that
        are narrower, equal ones half; 0.5 where all are as wide), 'mis' (NaN without a
        score), 'sparsity', 'map_sparsity', 'local_contrast' (NaN where not recorded).

    Raises
    ------
    DataContractError
        No network is done.
    """
    done = results.networks.loc[results.networks["status"] == "done", "model"]
    if done.empty:
        raise DataContractError(
            f"No network of {results.folder} is done, so there is nothing to tell."
            " networks.csv has the reasons; mend them and run unitscope sweep --retry."
        )
    parts = [_units_of(results, model, drop_ends=drop_ends) for model in done]
    units = pd.concat(parts, ignore_index=True)
    if units.empty:
        raise DataContractError(
            "Without its first and last layer, no network has a unit. Leave out"
            " --drop-ends."
        )
    names = ["model", "layer", "layer_type"]
    return units.astype(dict.fromkeys(names, "category"))


def _units_of(results: SweepResults, model: str, *, drop_ends: bool) -> pd.DataFrame:
    layers = results.layers[results.layers["model"] == model]
    layers = layers.assign(relative_width=relative_widths(layers))
    if drop_ends:
        layers = layers[layers["position"].between(0, 1, inclusive="neither")]
    run = results.run(model)
    scores = read_score_table(run / "scores")[["unit", "mis"]]
    statistics = read_parquet(run / "recording" / "units.parquet", STATISTICS)
    kept = statistics.reindex(columns=["unit", *_STATISTICS])
    units = scores.merge(kept, on="unit", how="left", validate="one_to_one")
    units["layer"] = units["unit"].str.split("::").str[1]
    columns = ["model", "layer", "layer_type", "position", "relative_width"]
    joined = units.merge(layers[columns], on="layer", validate="many_to_one")
    return joined[[*columns, "mis", *_STATISTICS]]


def relative_widths(layers: pd.DataFrame) -> pd.Series:
    """Return how wide each layer is among its network's layers of its type.

    Parameters
    ----------
    layers : DataFrame
        'model', 'layer_type', 'n_units'.

    Returns
    -------
    Series
        In [0, 1]: the share of the other layers that are narrower, equally wide ones
        counted half; 0.5 for a layer that is alone.
    """
    groups = layers.groupby(["model", "layer_type"], observed=True)["n_units"]
    others = groups.transform("size") - 1
    below = groups.rank(method="average") - 1
    return (below / others.where(others > 0)).fillna(0.5)


def binned(
    units: pd.DataFrame, along: str, *, n_bins: int, score: str = "mis"
) -> pd.DataFrame:
    """Return mean scores in bins of as many units each, for each layer type.

    Units with equal values stay in one bin, so there may be fewer bins.

    Returns
    -------
    DataFrame
        'layer_type', ``along`` (mean of the bin), 'n_units', 'mean', 'low', 'median',
        'high' (5th, 50th and 95th percentile).
    """
    known = units.dropna(subset=[along, score])
    parts = []
    for kind in LAYER_TYPES:
        own = known[known["layer_type"] == kind]
        if own.empty:
            continue
        place = own[along].rank(method="average", pct=True)
        number = np.ceil(place * n_bins).astype(int)
        groups = own.groupby(number)
        parts.append(
            pd.DataFrame(
                {
                    "layer_type": kind,
                    along: groups[along].mean(),
                    "n_units": groups.size(),
                    "mean": groups[score].mean(),
                    "low": groups[score].quantile(0.05),
                    "median": groups[score].median(),
                    "high": groups[score].quantile(0.95),
                }
            )
        )
    columns = ["layer_type", along, "n_units", "mean", "low", "median", "high"]
    empty = pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True) if parts else empty


def find(
    results: SweepResults,
    *,
    also: Sequence[Path] = (),
    seed: int = 0,
    drop_ends: bool = False,
) -> SweepFindings:
    """Compute everything that a report of a sweep tells.

    Parameters
    ----------
    results : SweepResults
    also : sequence of Path
        Other scores of the same units.
    drop_ends : bool
        Whether each network's first and last recorded layer are left out; means of
        networks are then without them too.
    """
    units = sweep_units(results, drop_ends=drop_ends)
    networks = _networks(results, units)
    types = (
        units.dropna(subset=["mis"])
        .groupby(["model", "layer_type"], observed=True)["mis"]
        .agg(n_units="size", mis="mean")
        .reset_index()
    )
    bins = {"position": DEPTH_BINS, "relative_width": WIDTH_BINS}
    bins |= dict.fromkeys(_STATISTICS, VALUE_BINS)
    trends = {name: binned(units, name, n_bins=n) for name, n in bins.items()}
    others = results.networks[results.networks["status"] != "done"]
    return SweepFindings(
        networks=networks,
        failed=others[["model", "status", "reason"]].reset_index(drop=True),
        units=units,
        types=types,
        type_pairs=type_pairs(types),
        trends={name: one for name, one in trends.items() if len(one)},
        trend_correlations=_trend_correlations(units, [*bins]),
        accuracy=_accuracy(networks, seed),
        training=_training(networks),
        agreement=score_agreement(
            results, also, rng=np.random.default_rng(seed), drop_ends=drop_ends
        ),
    )


def _networks(results: SweepResults, units: pd.DataFrame) -> pd.DataFrame:
    table = results.networks[results.networks["status"] == "done"].set_index("model")
    scores = units.groupby("model", observed=True)["mis"]
    for name, part in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
        table[name] = scores.quantile(part)
    table["mis"], table["sd"] = scores.mean(), scores.std()
    share = table["n_constant"].astype("float64") / table["n_units"].astype("float64")
    ordered = table.assign(share_constant=share).reset_index()
    return ordered.sort_values(["mis", "model"], ascending=[False, True])


def type_pairs(types: pd.DataFrame) -> pd.DataFrame:
    """Compare layer types by their means in each network, as in the paper's Fig. 18.

    Parameters
    ----------
    types : DataFrame
        'layer_type', 'mis'; one row a network and type.
    """
    samples = {
        kind: types.loc[types["layer_type"] == kind, "mis"].to_numpy(dtype="float64")
        for kind in LAYER_TYPES
    }
    samples = {kind: values for kind, values in samples.items() if len(values)}
    rows = [
        (a, b, samples[a].mean() - samples[b].mean())
        for a, b in combinations(samples, 2)
    ]
    pairs = pd.DataFrame(rows, columns=["group_a", "group_b", "difference"])
    pairs = pairs.assign(p_raw=np.nan, p_holm=np.nan)
    tested = {kind: values for kind, values in samples.items() if len(values) > 1}
    if len(tested) > 1 and len(tested) == len(samples):
        return with_conover(pairs, tested)
    return pairs


def _trend_correlations(units: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    rows = []
    for name in names:
        known = units.dropna(subset=[name, "mis"])
        for kind, own in known.groupby("layer_type", observed=True):
            varies = own[name].nunique() > 1 and own["mis"].nunique() > 1
            value = float(spearmanr(own[name], own["mis"])[0]) if varies else np.nan
            rows.append((name, kind, len(own), value))
    return pd.DataFrame(rows, columns=["along", "layer_type", "n_units", "spearman"])


def _accuracy(networks: pd.DataFrame, seed: int) -> tuple[CorrelationResult, ...]:
    known = networks.dropna(subset=["accuracy", "mis"])
    known = known[~known["model"].str.contains("@", regex=False)]
    return tuple(
        correlation(
            known["accuracy"],
            known["mis"],
            method=method,
            rng=np.random.default_rng(seed),
        )
        for method in ("pearson", "spearman")
    )


def _training(networks: pd.DataFrame) -> pd.DataFrame:
    steps = networks.dropna(subset=["epoch"])
    network = steps["model"].str.replace(r"@[^@]*$", "", regex=True)
    table = steps.assign(network=network).sort_values(["network", "epoch"])
    return table[["network", "epoch", "mis", "low", "high", "accuracy"]]
