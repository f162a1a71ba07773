"""A sweep's findings are those that were put into it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.sweep import binned, find, relative_widths, sweep_units
from analysis.sweep_agreement import (
    _weighted_correlation,
    _WeightedRanks,
    rank_agreement,
)
from analysis.sweep_command import main
from analysis.sweep_sections import sections_of
from data.errors import DataContractError
from data.files import read_json
from data.formats import Header
from data.scores import Scores, read_score_table, write_scores
from data.sweeps import LAYERS, NETWORKS, SweepResults, read_sweep, write_sweep
from data.units import UnitId
from tests.data.toy import recording_of

SLOPE = 0.3
TYPES = ("conv", "batch_norm", "conv", "linear")
WIDTHS = (20, 20, 30, 40)


def units_of(model, rng, level):
    """Scores that rise along the layers, with one constant unit in each."""
    rows = []
    for number, (kind, width) in enumerate(zip(TYPES, WIDTHS, strict=True)):
        mean = level + SLOPE * number / (len(TYPES) - 1)
        mean += {"conv": 0.02, "linear": 0.05}.get(kind, 0)
        mis = np.clip(rng.normal(mean, 0.02, width), 0, 1)
        mis[0] = np.nan
        reason = ["constant", *[None] * (width - 1)]
        names = [str(UnitId(model, f"l{number}", one)) for one in range(width)]
        rows.append(
            pd.DataFrame({"unit": names, "mis": mis, "reason": reason, "n_tasks": 20})
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def sweep(tmp_path, rng):
    """Four networks and two checkpoints; the more accurate, the lower the scores."""
    rows, layers = [], []
    models = [(f"net{one}", 0.55 - 0.05 * one, 0.5 + 0.1 * one) for one in range(4)]
    models += [("trained@0", 0.42, 0.1), ("trained@5", 0.5, 0.6)]
    for model, level, accuracy in models:
        units = units_of(model, rng, level)
        run = tmp_path / "sweep" / "runs" / model
        header = Header(format="scores", version=2, config={"tau": 0.2})
        write_scores(run / "scores", Scores(units=units, header=header))
        recording = recording_of(rng.normal(size=(len(units), 8)), n_extremes=2)
        statistics = recording.statistics.assign(unit=units["unit"])
        statistics["sparsity"] = units["mis"].fillna(1) / 2
        (run / "recording").mkdir()
        statistics.to_parquet(run / "recording" / "units.parquet", index=False)
        own = units["unit"].str.split("::").str[1]
        for number, kind in enumerate(TYPES):
            mis = units.loc[own == f"l{number}", "mis"]
            layers.append(
                {
                    "model": model,
                    "layer": f"l{number}",
                    "layer_type": kind,
                    "position": number / (len(TYPES) - 1),
                    "n_units": len(mis),
                    "n_scored": mis.count(),
                    "mean": mis.mean(),
                }
            )
        rows.append(
            {
                "model": model,
                "network": model,
                "status": "done",
                "accuracy": accuracy,
                "epoch": float(model[-1]) if "@" in model else None,
                "n_units": len(units),
                "n_scored": units["mis"].count(),
                "n_constant": 4,
                "mis": units["mis"].mean(),
            }
        )
    rows.append({"model": "bad", "network": "x:y", "status": "failed", "reason": "no"})
    config = {"n_tasks": 20, "n_explanations": 9, "encoder": "toy"}
    write_sweep(
        SweepResults(
            networks=pd.DataFrame(rows).reindex(columns=[*NETWORKS.columns]),
            layers=pd.DataFrame(layers).reindex(columns=[*LAYERS.columns]),
            folder=tmp_path / "sweep",
            header=Header(format="sweep", version=1, config=config),
        )
    )
    return read_sweep(tmp_path / "sweep")


def test_deeper_layers_score_higher_where_they_were_made_to(sweep):
    bins = find(sweep).trends["position"]
    conv = bins[bins["layer_type"] == "conv"]
    assert conv["position"].to_list() == pytest.approx([0, 2 / 3])
    rise = conv["mean"].iloc[1] - conv["mean"].iloc[0]
    assert rise == pytest.approx(SLOPE * 2 / 3, abs=0.01)


def test_layer_types_are_compared_by_means_of_networks(sweep):
    found = find(sweep)
    assert len(found.types) == 6 * 3
    pairs = found.type_pairs.set_index(["group_a", "group_b"])
    own = found.types.groupby("layer_type", observed=True)["mis"].mean()
    difference = pairs.loc[("conv", "linear"), "difference"]
    assert difference == pytest.approx(own["conv"] - own["linear"])
    assert pairs.loc[("linear", "batch_norm"), "p_holm"] < 0.05


def test_accuracy_is_held_against_networks_without_checkpoints(sweep):
    pearson, spearman = find(sweep).accuracy
    assert pearson.n_units == 4
    assert pearson.estimate < -0.9
    assert spearman.estimate == pytest.approx(-1)


def test_checkpoints_are_put_in_order(sweep):
    steps = find(sweep).training
    assert steps["network"].to_list() == ["trained", "trained"]
    assert steps["epoch"].to_list() == [0, 5]
    assert steps["mis"].is_monotonic_increasing


def test_a_sweep_without_training_or_accuracy_has_no_such_section(sweep):
    networks = sweep.networks.assign(epoch=np.nan, accuracy=np.nan)
    found = find(replace(sweep, networks=networks))
    names = {section.name for section in sections_of(found)}
    assert not names & {"training", "accuracy"}
    assert {"networks", "types", "depth", "constant"} <= names


def test_sparsity_goes_with_the_score_it_was_made_of(sweep):
    table = find(sweep).trend_correlations
    own = table[table["along"] == "sparsity"]
    assert (own["spearman"] > 0.999).all()


def test_first_and_last_layers_can_be_left_out(sweep):
    units = sweep_units(sweep, drop_ends=True)
    assert set(units["layer"]) == {"l1", "l2"}
    table = find(sweep, drop_ends=True).networks.set_index("model")
    own = units.loc[units["model"] == "net0", "mis"]
    assert table.loc["net0", "mis"] == pytest.approx(own.mean())


def test_bins_hold_as_many_units_and_equal_values_stay_together(rng):
    units = pd.DataFrame(
        {
            "layer_type": "conv",
            "x": np.r_[np.arange(50), np.full(50, 70)].astype(float),
            "mis": rng.uniform(size=100),
        }
    )
    bins = binned(units, "x", n_bins=10)
    assert bins["n_units"].to_list() == [10] * 5 + [50]
    assert bins["mean"].iloc[0] == pytest.approx(units["mis"][:10].mean())


def test_a_layer_is_wide_beside_its_networks_layers_of_its_type():
    layers = pd.DataFrame(
        {
            "model": ["a"] * 4 + ["b"],
            "layer_type": ["conv", "conv", "conv", "linear", "conv"],
            "n_units": [8, 64, 8, 1000, 3],
        }
    )
    assert relative_widths(layers).to_list() == [0.25, 1, 0.25, 0.5, 0.5]


def test_the_command_writes_every_figure_and_names_what_failed(sweep, tmp_path, capsys):
    assert main([str(sweep.folder), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "1 failed, 0 pending" in said
    assert "bad is not in these figures (failed: no)" in said
    names = {path.stem for path in (tmp_path / "report" / "figures").glob("*.svg")}
    assert names == {
        *("networks", "distribution", "types", "depth", "width", "sparsity"),
        *("accuracy", "training", "constant"),
    }
    numbers = read_json(tmp_path / "report" / "report.json")["numbers"]
    assert numbers["constant"] == {
        "none": 0,
        "above_1": 6,
        "above_5": 0,
        "other_unscored": 0,
    }


def scores_beside(sweep, folder, model, mis_of, encoder="another"):
    """Write other scores of a network's units, made of its own."""
    units = read_score_table(sweep.run(model) / "scores")
    units["mis"] = mis_of(units["mis"]).clip(0, 1)
    header = Header(format="scores", version=2, config={"encoder": encoder})
    write_scores(folder, Scores(units=units, header=header))
    return folder


def test_scores_that_rank_alike_agree_fully_on_any_scale(sweep, tmp_path):
    folder = scores_beside(sweep, tmp_path / "a", "net1", lambda mis: mis**3)
    table = find(sweep, also=[folder]).agreement
    assert table["model"].to_list() == ["net1", "net1"]
    own, other = table.to_dict("records")
    assert np.isnan(own["spearman"])
    assert (other["spearman"], other["within"]) == pytest.approx((1, 1))
    assert other["n_scored"] == other["n_units"] == sum(WIDTHS) - len(WIDTHS)
    assert other["median"] == pytest.approx(own["median"] ** 3)


def test_agreement_that_is_of_layers_alone_is_none_within_them(sweep, tmp_path, rng):
    def layers_alone(mis):
        place = np.repeat(np.arange(len(WIDTHS)), WIDTHS)
        means = mis.groupby(place).transform("mean")
        return means + rng.normal(0, 0.02, len(mis))

    folder = scores_beside(sweep, tmp_path / "a", "net0", layers_alone)
    other = find(sweep, also=[folder]).agreement.iloc[1]
    assert other["spearman"] > 0.8
    assert other["within"] == pytest.approx(0, abs=0.25)


def test_agreement_leaves_out_the_layers_that_the_report_does(sweep, tmp_path):
    folder = scores_beside(sweep, tmp_path / "a", "net0", lambda mis: mis)
    other = find(sweep, also=[folder], drop_ends=True).agreement.iloc[1]
    assert (other["n_layers"], other["n_units"]) == (2, WIDTHS[1] + WIDTHS[2] - 2)


def test_a_resample_of_layers_is_ranked_as_if_its_units_stood_there(rng):
    first, second = rng.integers(0, 9, (2, 60)) / 10
    times = rng.integers(0, 4, 60)
    ranks = [_WeightedRanks(one)(times.astype(float)) for one in (first, second)]
    found = _weighted_correlation(*ranks, times.astype(float))
    repeated = np.repeat(first, times), np.repeat(second, times)
    assert found == pytest.approx(spearmanr(*repeated)[0])


def test_the_interval_is_that_of_layers_not_of_units(rng):
    """Layers of equal units say no more than one unit each."""
    means = rng.normal(size=(2, 12))
    few = rank_agreement(*means, np.arange(12), rng=np.random.default_rng(0))
    many = rank_agreement(
        *np.repeat(means, 50, axis=1),
        np.repeat(np.arange(12), 50),
        rng=np.random.default_rng(0),
    )
    ends = (few.spearman_low, few.spearman_high)
    assert (many.spearman_low, many.spearman_high) == pytest.approx(ends, abs=1e-9)
    assert ends[1] - ends[0] > 0.5
    assert np.isnan(few.within)


def test_the_report_says_how_other_scores_rank_the_units(sweep, tmp_path, capsys):
    folder = scores_beside(sweep, tmp_path / "a", "net1", lambda mis: 1 - mis)
    command = [str(sweep.folder), "--also", str(folder), "--out", str(tmp_path / "r")]
    assert main(command) == 0
    assert "−1.00" in capsys.readouterr().out
    assert (tmp_path / "r" / "figures" / "agreement.svg").exists()
    rows = read_json(tmp_path / "r" / "report.json")["numbers"]["agreement"]
    assert [row["scores"] for row in rows["agreement"]] == ["None", "another"]


def test_other_scores_must_be_of_the_sweep_and_made_otherwise(sweep, tmp_path):
    twice = scores_beside(sweep, tmp_path / "a", "net1", lambda mis: mis)
    with pytest.raises(DataContractError, match=r"by another, which are there already"):
        find(sweep, also=[twice, twice])
    units = read_score_table(twice)
    units["unit"] = units["unit"].str.replace("net1", "stranger")
    header = Header(format="scores", version=2, config={"encoder": "another"})
    write_scores(tmp_path / "b", Scores(units=units, header=header))
    with pytest.raises(DataContractError, match=r"holds scores of 'stranger'"):
        find(sweep, also=[tmp_path / "b"])
    units["unit"] = units["unit"].str.replace("stranger::l", "net1::m")
    write_scores(tmp_path / "c", Scores(units=units, header=header))
    with pytest.raises(DataContractError, match=r"have no unit that both score"):
        find(sweep, also=[tmp_path / "c"])


def test_a_sweep_without_a_network_that_is_done_is_refused(sweep, tmp_path):
    write_sweep(
        SweepResults(
            networks=sweep.networks[sweep.networks["status"] == "failed"],
            layers=sweep.layers[:0],
            folder=tmp_path / "none",
            header=sweep.header,
        )
    )
    with pytest.raises(DataContractError, match=r"No network of .* is done"):
        find(read_sweep(tmp_path / "none"))
