"""The section on depth: how scores change from the first layer to the last."""

import numpy as np
import pandas as pd

from analysis.blocks import Drawn, Section, Table, numbers_of
from analysis.group_sections import family_table
from analysis.layer_control import layers
from analysis.plot_curves import depth_figure
from analysis.trend import LayerTrend, layer_positions, layer_trends
from analysis.wording import interval, number, probability
from data.units import UnitId

RESAMPLES = 2000
FEWEST_LAYERS = 2


def depth_section(
    units: pd.DataFrame, table: pd.DataFrame, *, seed: int, level: float = 0.95
) -> Section | None:
    """Follow HIS over the layers of each model.

    Parameters
    ----------
    units : DataFrame
        'unit', 'his'.
    table : DataFrame
        'unit' of all units that the machine scored; the order of their layers is taken
        as that of the network.

    Returns
    -------
    Section or None
        None where no model has units in two layers.
    """
    order = layer_order(table)
    known = units[pd.Series(layers(units["unit"]), units.index).isin(_keys(order))]
    if known.empty or max(_n_layers(known).values()) < FEWEST_LAYERS:
        return None
    rng = np.random.default_rng(seed)
    trends, family = layer_trends(
        known, layer_positions(order), rng=rng, level=level, n_resamples=RESAMPLES
    )
    rows = tuple(
        (
            trend.model,
            what,
            number(one.estimate),
            interval(one.ci_low, one.ci_high),
            one.note or probability(one.p_value),
            str(one.n_units),
        )
        for trend in trends
        for what, one in (("layer means", trend.of_layers), ("units", trend.of_units))
    )
    header = ("model", "over", "Spearman rho", "95% interval", "p", "n")
    return Section(
        name="depth",
        title="Depth",
        said=(
            "Layers stand in the order of the score table, which is taken as that of"
            " the network.",
        ),
        tables=(
            Table(header=header, rows=rows),
            *((family_table(family),) if family is not None else ()),
        ),
        figures={
            "depth": Drawn(
                figure=depth_figure(trends),
                label="HIS of layers by depth",
                caption="Mean HIS of each layer’s units with its BCa 95% interval over"
                " units, where there are enough; 0 is the first layer, 1 the last.",
                data=_data(trends),
            )
        },
        numbers={"trends": numbers_of(trends), "family": numbers_of(family)},
        brief=False,
    )


def layer_order(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return each model's layers in the order in which a table first names them."""
    order: dict[str, list[str]] = {}
    for name in table["unit"]:
        unit = UnitId.parse(str(name))
        own = order.setdefault(unit.model, [])
        if unit.layer not in own:
            own.append(unit.layer)
    return order


def _keys(order: dict[str, list[str]]) -> set[str]:
    return {f"{model}::{layer}" for model, own in order.items() for layer in own}


def _n_layers(units: pd.DataFrame) -> dict[str, int]:
    own = pd.DataFrame({"layer": layers(units["unit"])})
    own["model"] = own["layer"].str.partition("::")[0]
    return {
        str(name): int(n) for name, n in own.groupby("model")["layer"].nunique().items()
    }


def _data(trends: tuple[LayerTrend, ...]) -> pd.DataFrame:
    return pd.concat(
        [trend.layers.assign(model=trend.model) for trend in trends], ignore_index=True
    )
