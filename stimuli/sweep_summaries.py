"""What a sweep's tables say of one network, made of its recording and scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.files import read_json, whole_file, write_json
from data.formats import read_header
from data.scores import layer_means, read_score_table
from data.sweeps import LAYER_TYPES, LAYERS


def summarize(folder: Path) -> None:
    """Write what the tables say of a network, so that its units are read once."""
    units = read_score_table(folder / "scores")
    header, _ = read_header(
        folder / "recording" / "recording.json", format="recording", versions=(1, 2)
    )
    layers = _layer_table(units, header.config)
    with whole_file(folder / "layers.csv") as part:
        layers.to_csv(part, index=False)
    write_json(folder / "summary.json", _network_summary(units, layers))


def summaries(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return what :func:`summarize` wrote: the network's numbers, and its layers'."""
    return read_json(folder / "summary.json"), pd.read_csv(folder / "layers.csv")


def _layer_table(units: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    layers = layer_means(units)
    types, places = config.get("layer_types", {}), config.get("layer_places", {})
    layers["layer_type"] = [types.get(one, "other") for one in layers["layer"]]
    # Directions stand where their layer does.
    place = [places.get(one.partition("/")[0], len(places)) for one in layers["layer"]]
    layers = layers.iloc[np.argsort(place, kind="stable")]
    layers["position"] = np.linspace(0, 1, len(layers)) if len(layers) > 1 else 0.0
    return layers.reindex(columns=list(LAYERS.columns))


def _network_summary(units: pd.DataFrame, layers: pd.DataFrame) -> dict[str, Any]:
    mis = units["mis"]
    weighted = (layers["mean"] * layers["n_scored"]).groupby(layers["layer_type"]).sum()
    by_type = weighted / layers.groupby("layer_type")["n_scored"].sum()
    constant = (layers["share_constant"] * layers["n_units"]).round().sum()
    numbers = {
        "mis": mis.mean(),
        "hard_accuracy": units["hard_accuracy"].mean(),
        "median": mis.median(),
        "sd": mis.std(),
        "low": mis.quantile(0.05),
        "high": mis.quantile(0.95),
        **{f"mis_{one}": by_type.get(one, np.nan) for one in LAYER_TYPES},
    }
    return {
        "n_layers": len(layers),
        "n_units": len(units),
        "n_scored": int(mis.notna().sum()),
        "n_constant": int(constant),
        **{
            name: None if np.isnan(one) else float(one) for name, one in numbers.items()
        },
    }
