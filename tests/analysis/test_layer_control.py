import json

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy.stats import pearsonr

from analysis.layer_control import (
    layer_control,
    layers,
    partial_correlation,
    partial_correlations,
)
from data.errors import DataContractError
from data.published import read_borowski2021


def googlenet_scores(shared):
    path = shared / "data/googlenet_mis/googlenet_per_unit_mis_dreamsim_natural.csv"
    table = pd.read_csv(path)
    unit = "googlenet::" + table["layer"] + "::" + table["unit"].astype(str)
    return pd.DataFrame({"unit": unit, "mis": table["mis"]})


@pytest.mark.parametrize(
    ("explanation_method", "released"),
    [("natural", "I|natural_9"), ("synthetic", "I|optimized_9")],
)
def test_the_control_is_that_of_another_program(
    shared, explanation_method, released, rng
):
    path = shared / "data/borowski2021_experiment1/his_mis_correlations.json"
    golden = json.loads(path.read_text())[released]
    table = read_borowski2021().table.query("explanation_method == @explanation_method")
    units = table.assign(his=table["n_correct"] / table["n_trials"])
    found = layer_control(units, googlenet_scores(shared), rng=rng, n_draws=4000)
    assert found.estimate == pytest.approx(golden["pearson"], abs=5e-5)
    # Both programs draw at random: 4,000 draws leave an error of about 0.003.
    expected = golden["control_random_unit_same_layer_mean_r"]
    assert found.control_mean == pytest.approx(expected, abs=0.01)
    assert found.control_high == pytest.approx(golden["control_95pct"], abs=0.015)
    assert (found.n_units, found.n_left_out) == (45, 0)


def made(rng, *, of_layer, of_unit, n_layers=30, n=10):
    """Units whose scores share a part with their layer and a part of their own."""
    rows = []
    for layer in range(n_layers):
        shared_part = of_layer * rng.normal()
        for channel in range(n):
            true = shared_part + of_unit * rng.normal()
            unit = f"net::layer{layer}::{channel}"
            noise = 0.3 * rng.normal(size=2)
            rows.append((unit, true + noise[0], true + noise[1]))
    return pd.DataFrame(rows, columns=["unit", "mis", "his"])


def test_a_machine_that_knows_only_layers_is_no_better_than_its_control(rng):
    units = made(rng, of_layer=1, of_unit=0)
    found = layer_control(units, units, rng=rng)
    assert found.estimate > 0.8
    assert found.control_mean == pytest.approx(found.estimate, abs=0.05)


def test_a_machine_that_knows_only_units_leaves_its_control_at_nothing(rng):
    units = made(rng, of_layer=0, of_unit=1)
    found = layer_control(units, units, rng=rng)
    assert found.estimate > 0.8
    # A unit never stands for itself, so the control is even a little below 0.
    assert found.control_mean == pytest.approx(0, abs=0.1)
    assert found.p_value == pytest.approx(1 / 1001)


def test_draws_are_of_other_units_of_the_same_layer(rng):
    units = pd.DataFrame(
        {
            "unit": [f"net::l{i}::0" for i in range(5)],
            "mis": [0.5, 0.6, 0.7, 0.8, 0.9],
            "his": [0.5, 0.7, 0.6, 0.9, 0.8],
        }
    )
    other = units.assign(
        unit=units["unit"].str.replace("::0", "::1"), mis=[0.9, 0.1, 0.8, 0.3, 0.4]
    )
    found = layer_control(units, pd.concat([units, other]), rng=rng, n_draws=20)
    expected = pearsonr(other["mis"], units["his"]).statistic
    assert found.draws.tolist() == pytest.approx([expected] * 20)


def test_the_order_of_units_changes_nothing(rng):
    units = made(rng, of_layer=1, of_unit=1)
    first, second = (
        layer_control(table, table, rng=np.random.default_rng(1), n_draws=20)
        for table in (units, units.sample(frac=1, random_state=3))
    )
    assert first.draws.tolist() == pytest.approx(second.draws.tolist())


def test_a_unit_alone_in_its_layer_takes_no_part(rng):
    units = made(rng, of_layer=1, of_unit=1, n_layers=4, n=3)
    alone = pd.DataFrame({"unit": ["net::other::0"], "mis": [5.0], "his": [-5.0]})
    found = layer_control(pd.concat([units, alone]), units, rng=rng)
    assert (found.n_units, found.n_left_out) == (12, 1)


def test_units_that_are_all_alone_are_refused(rng):
    units = made(rng, of_layer=1, of_unit=1, n_layers=5, n=1)
    with pytest.raises(DataContractError, match="None of the 5 units with both scores"):
        layer_control(units, units, rng=rng)


def test_three_units_give_no_control(rng):
    units = made(rng, of_layer=1, of_unit=1, n_layers=1, n=3)
    found = layer_control(units, units, rng=rng)
    assert found.estimate is found.control_mean is found.p_value is None
    assert "at least 4 units" in found.note


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_partial_correlation_given_a_number_is_pingouins(method, rng):
    table = pd.DataFrame(rng.normal(size=(40, 3)), columns=["x", "y", "z"])
    table["x"] += table["z"]
    table["y"] += table["z"] + 0.5 * table["x"]
    theirs = pingouin.partial_corr(table, "x", "y", "z", method=method).iloc[0]
    found = partial_correlation(
        table["x"], table["y"], table["z"], method=method, name="z"
    )
    assert found.estimate == pytest.approx(theirs["r"], abs=1e-9)
    assert found.p_value == pytest.approx(theirs.filter(regex="^p").iloc[0], rel=1e-6)
    assert (found.n_units, found.n_given) == (40, 1)


def test_partial_correlation_given_the_layer_is_pingouins_with_indicators(rng):
    units = made(rng, of_layer=1, of_unit=0.5, n_layers=5, n=8)
    named = pd.Series(layers(units["unit"]))
    dummies = pd.get_dummies(named, dtype=float).iloc[:, 1:]
    table = pd.concat([units.reset_index(drop=True), dummies], axis=1)
    theirs = pingouin.partial_corr(table, "mis", "his", list(dummies)).iloc[0]
    found = partial_correlations(units)[0]
    assert found.given == "layer"
    assert found.estimate == pytest.approx(theirs["r"], abs=1e-9)
    assert found.p_value == pytest.approx(theirs.filter(regex="^p").iloc[0], rel=1e-6)
    assert found.n_given == 4


def test_position_is_looked_up_by_layer(rng):
    units = made(rng, of_layer=1, of_unit=0.5, n_layers=6, n=8)
    positions = pd.Series({f"net::layer{i}": i / 5 for i in range(5)})
    found = partial_correlations(units, positions=positions)
    assert [one.given for one in found] == ["layer"] * 2 + ["layer position"] * 2
    assert found[2].n_units == 40  # one layer's position is not known
    assert found[2].n_given == 1


def test_intervals_given_a_layer_cover_the_truth_at_their_rate(rng):
    truth, inside, runs = 0.5, 0, 400
    layer = np.repeat(list("abcde"), 8)
    for _ in range(runs):
        shift = np.repeat(rng.normal(size=5), 8)
        x, y = rng.multivariate_normal([0, 0], [[1, truth], [truth, 1]], 40).T
        found = partial_correlation(
            x + shift, y + shift, layer, method="pearson", name="layer"
        )
        inside += found.ci_low <= truth <= found.ci_high
    assert 0.92 <= inside / runs <= 0.98


def test_a_layer_for_each_unit_leaves_nothing_to_correlate(rng):
    units = made(rng, of_layer=1, of_unit=1, n_layers=9, n=1)
    found = partial_correlations(units)[0]
    assert found.estimate is found.p_value is None
    assert found.raw is not None
    assert "9 leave 0 degrees of freedom given the layer" in found.note


def test_a_score_that_the_layer_tells_fully_is_not_correlated_given_it(rng):
    units = made(rng, of_layer=1, of_unit=1, n_layers=4, n=5)
    units["mis"] = np.repeat([0.1, 0.2, 0.3, 0.7], 5)
    found = partial_correlations(units)[0]
    assert found.estimate is None
    assert found.note == "one of the scores is fully told by the layer"


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'method' is 'kendall'"):
        partial_correlation([1], [1], [1], method="kendall", name="depth")
