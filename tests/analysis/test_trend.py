import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.trend import layer_positions, layer_trends
from data.errors import DataContractError

ORDER = {"a": [f"l{i}" for i in range(11)], "b": [f"l{i}" for i in range(6)]}


def units(rng, slope=0.3, n=5):
    rows = [
        (f"{model}::{layer}::{channel}", slope * place / 10 + rng.normal(0.6, 0.05))
        for model, names in ORDER.items()
        for place, layer in enumerate(names)
        for channel in range(n)
    ]
    return pd.DataFrame(rows, columns=["unit", "his"])


def trends(table, rng, **more):
    positions = layer_positions(ORDER)
    return layer_trends(table, positions, rng=rng, n_resamples=99, **more)


def test_positions_run_from_0_to_1_in_each_model():
    positions = layer_positions(ORDER | {"single": ["only"]})
    assert positions["a::l0"] == positions["b::l0"] == positions["single::only"] == 0
    assert positions["a::l10"] == positions["b::l5"] == 1
    assert positions["a::l5"] == 0.5


def test_the_trend_of_layers_is_scipys_over_their_means(rng):
    table = units(rng)
    (first, second), _ = trends(table, rng)
    own = table[table["unit"].str.startswith("a::")]
    layer = own["unit"].str.split("::").str[1].str[1:].astype(int)
    means = own["his"].groupby(layer).mean()
    assert first.model == "a"
    assert first.of_layers.estimate == pytest.approx(
        spearmanr(means.index, means).statistic
    )
    assert first.of_units.estimate == pytest.approx(spearmanr(layer, own["his"])[0])
    assert (first.of_layers.n_units, first.of_units.n_units) == (11, 55)
    assert second.layers["layer"].tolist() == ORDER["b"]
    assert second.layers["n_units"].tolist() == [5] * 6


def test_a_planted_rise_is_found_and_none_is_not(rng):
    (first, _), family = trends(units(rng), rng)
    assert first.of_layers.estimate > 0.8
    assert family.table["test"].tolist() == ["a", "b"]
    assert family.table["p_holm"][0] < 0.05
    (first, _), _ = trends(units(rng, slope=0), rng)
    assert first.of_layers.ci_low < 0 < first.of_layers.ci_high


def test_units_of_layers_without_a_position_take_no_part(rng):
    more = pd.DataFrame({"unit": ["a::extra::0"], "his": [0.1]})
    (first, _), _ = trends(pd.concat([units(rng), more]), rng)
    assert first.n_left_out == 1
    assert "extra" not in first.layers["layer"].tolist()


def test_few_layers_are_shown_without_a_trend(rng):
    table = units(rng)
    few = table[table["unit"].str.contains("a::l[012]::")]
    (only,), family = trends(few, rng)
    assert len(only.layers) == 3
    assert only.of_layers.estimate is None
    assert family is None


def test_layers_of_other_models_are_refused(rng):
    table = units(rng).assign(unit=lambda t: "other" + t["unit"])
    with pytest.raises(DataContractError, match="None of the 85 units' layers"):
        trends(table, rng)
