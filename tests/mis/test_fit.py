import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from data.errors import DataContractError
from data.formats import Header
from data.scores import Scores, read_scores, write_scores
from mis.fit import answered, chance_loss, fit_model, losses, own_mean_loss
from mis.fit_command import main
from mis.score import unit_scores
from mis.score_command import main as score_main

TAU = 0.2


def simulated(rng, *, n_units=200, n_trials=60, tau=TAU, slope=1.0, offset=0.0):
    margins = rng.normal(0.25, 0.2, (n_units, 1)) + rng.normal(0, 0.1, (n_units, 20))
    mis = expit(margins / tau).mean(axis=1)
    right = rng.binomial(n_trials, expit(offset + slope * logit(mis)))
    units = [f"m::l::{one}" for one in range(n_units)]
    counts = pd.DataFrame({"unit": units, "n_correct": right, "n_trials": n_trials})
    return counts, units, margins.astype(np.float32)


def test_tau_that_made_the_answers_is_recovered_within_its_interval(rng):
    data = answered(*simulated(rng))
    fit = fit_model(data, "tau", rng=rng, n_repeats=2)
    assert fit.tau == pytest.approx(TAU, rel=0.1)
    assert fit.tau_low < TAU < fit.tau_high
    assert fit.tau_high / fit.tau_low < 1.3
    assert not fit.at_edge


def test_the_interval_of_tau_holds_the_truth_about_as_often_as_it_says(rng):
    inside = 0
    for _ in range(60):
        data = answered(*simulated(rng, n_units=40))
        fit = fit_model(data, "tau", rng=rng, n_repeats=1)
        inside += fit.tau_low < TAU < fit.tau_high
    assert inside >= 51  # 95% of 60, less three standard errors


def test_slope_and_offset_are_recovered(rng):
    data = answered(*simulated(rng, n_units=600, n_trials=200, slope=0.6, offset=0.3))
    fit = fit_model(data, "tau+slope+offset", rng=rng, n_repeats=1)
    assert fit.slope_low < 0.6 < fit.slope_high
    assert fit.offset_low < 0.3 < fit.offset_high


def test_units_outside_the_fit_lose_more_than_those_inside_and_less_than_chance(rng):
    data = answered(*simulated(rng, n_units=20, n_trials=10))
    fit = fit_model(data, "tau+slope+offset", rng=rng, n_repeats=3)
    assert fit.in_sample < fit.out_of_sample
    large = answered(*simulated(rng))
    assert fit_model(large, "tau", rng=rng, n_repeats=1).out_of_sample < chance_loss()


def test_answers_that_are_guesses_are_predicted_no_better_than_chance(rng):
    counts, units, margins = simulated(rng)
    counts["n_correct"] = rng.binomial(60, 0.5, len(counts))
    data = answered(counts, units, margins)
    fit = fit_model(data, "tau", rng=rng, n_repeats=2)
    assert fit.out_of_sample >= chance_loss() - 1e-3


def test_the_loss_is_the_log_likelihood_of_every_answer():
    counts = pd.DataFrame({"unit": list("abcdefghij"), "n_correct": range(10)})
    margins = np.linspace(-0.2, 0.4, 20).reshape(10, 2)
    data = answered(counts.assign(n_trials=12), list("abcdefghij"), margins)
    mis, _ = unit_scores(margins, tau=0.3)
    expected = [
        -sum([np.log(p)] * right + [np.log(1 - p)] * (12 - right))
        for p, right in zip(mis, range(10), strict=True)
    ]
    found = losses(data, np.array([np.log(0.3), 0.0, 0.0]))
    np.testing.assert_allclose(found, expected)


def test_a_units_own_share_predicts_an_answer_by_the_others(rng):
    counts, units, margins = simulated(rng, n_units=10, n_trials=4)
    data = answered(counts.assign(n_correct=[0, 1, 2, 3, 4] * 2), units, margins)
    expected = []
    for right in [0, 1, 2, 3, 4] * 2:
        answers = [1] * right + [0] * (4 - right)
        for place, answer in enumerate(answers):
            others = answers[:place] + answers[place + 1 :]
            share = (sum(others) + 0.5) / 4
            expected.append(-np.log(share if answer else 1 - share))
    assert own_mean_loss(data) == pytest.approx(np.mean(expected))


def test_too_few_units_are_refused(rng):
    counts, units, margins = simulated(rng, n_units=9)
    with pytest.raises(DataContractError, match="9 units have both answers and marg"):
        answered(counts, units, margins)


def test_answers_that_are_all_alike_are_refused(rng):
    counts, units, margins = simulated(rng)
    with pytest.raises(DataContractError, match="nothing tells tau"):
        answered(counts.assign(n_correct=30), units, margins)


@pytest.fixture
def study(rng, tmp_path):
    counts, units, margins = simulated(rng)
    table = pd.DataFrame({"unit": units, "mis": unit_scores(margins, tau=0.5)[0]})
    table["hard_accuracy"] = unit_scores(margins, tau=0.5)[1]
    table["n_tasks"], table["reason"] = 20, None
    header = Header(format="scores", version=2, config={"tau": 0.5, "encoder": "toy"})
    scores = Scores(units=table, header=header, margins=margins)
    write_scores(tmp_path / "scores", scores)
    counts.to_csv(tmp_path / "human.csv", index=False)
    return tmp_path


def fitted(folder, *options):
    arguments = [str(folder / "scores"), "--human", str(folder / "human.csv")]
    arguments += ["--out", str(folder / "fit.json"), "--repeats", "1"]
    return main([*arguments, *options])


def test_a_fit_is_written_with_what_it_used_and_score_takes_its_tau(study, capsys):
    assert fitted(study) == 0
    assert "own share" in capsys.readouterr().out
    fit = json.loads((study / "fit.json").read_text())
    assert len(fit["units"]) == fit["n_units"] == 200
    assert set(fit["made_from"]) == {"scores", "human"}
    options = ["--margins", str(study / "scores"), "--tau", str(study / "fit.json")]
    assert score_main([*options, "--out", str(study / "again")]) == 0
    again = read_scores(study / "again")
    assert again.header.config["tau"] == fit["tau"]
    assert "fitted to the answers for 200 units" in again.header.config["tau_source"]
    expected, _ = unit_scores(again.margins, tau=fit["tau"])
    np.testing.assert_allclose(again.units["mis"], expected)


def test_score_takes_slope_and_offset_of_the_fit_and_says_so(tmp_path, rng):
    made = simulated(rng, n_units=600, n_trials=400, slope=0.6, offset=0.3)
    counts, units, margins = made
    table = pd.DataFrame({"unit": units, "mis": 0.5, "n_tasks": 20, "reason": None})
    header = Header(format="scores", version=2, config={"tau": 0.5, "encoder": "toy"})
    write_scores(
        tmp_path / "scores", Scores(units=table, header=header, margins=margins)
    )
    counts.to_csv(tmp_path / "human.csv", index=False)
    assert fitted(tmp_path, "--model", "tau+slope+offset") == 0
    options = ["--margins", str(tmp_path / "scores"), "--out", str(tmp_path / "again")]
    assert score_main([*options, "--tau", str(tmp_path / "fit.json")]) == 0
    again = read_scores(tmp_path / "again")
    fit = json.loads((tmp_path / "fit.json").read_text())
    used = again.header.config
    assert [used[one] for one in ("tau", "slope", "offset")] == [
        fit["tau"], fit["slope"], fit["offset"]
    ]  # fmt: skip
    mis = expit(margins.astype(float) / fit["tau"]).mean(axis=1)
    odds = np.exp(fit["offset"]) * (mis / (1 - mis)) ** fit["slope"]
    np.testing.assert_allclose(again.units["mis"], odds / (1 + odds))
    share = counts["n_correct"] / counts["n_trials"]
    assert np.abs(again.units["mis"] - share).mean() < 0.03
    assert np.abs(mis - share).mean() > 0.05


def test_a_plain_tau_after_a_fit_leaves_slope_and_offset_out(study):
    assert fitted(study, "--model", "tau+slope+offset") == 0
    options = ["--margins", str(study / "scores"), "--tau", str(study / "fit.json")]
    assert score_main([*options, "--out", str(study / "fit")]) == 0
    before = read_scores(study / "fit")
    assert score_main(["--margins", str(study / "fit"), "--out", str(study / "a")]) == 0
    assert read_scores(study / "a").units.equals(before.units)
    options = ["--margins", str(study / "fit"), "--tau", "0.5"]
    assert score_main([*options, "--out", str(study / "b")]) == 0
    plain = read_scores(study / "b")
    expected, _ = unit_scores(plain.margins, tau=0.5)
    np.testing.assert_array_equal(plain.units["mis"], expected)
    assert not {"slope", "offset"} & set(plain.header.config)


def test_a_fit_with_a_slope_that_is_not_above_zero_is_refused(study, capsys):
    assert fitted(study) == 0
    fit = json.loads((study / "fit.json").read_text()) | {"slope": -1.0}
    (study / "fit.json").write_text(json.dumps(fit))
    options = ["--margins", str(study / "scores"), "--tau", str(study / "fit.json")]
    assert score_main([*options, "--out", str(study / "again")]) == 2
    assert "a slope must be above 0" in capsys.readouterr().err


def test_a_fit_to_another_encoder_is_refused(study, capsys):
    assert fitted(study) == 0
    fit = json.loads((study / "fit.json").read_text())
    fit["config"]["encoder"] = "other"
    (study / "fit.json").write_text(json.dumps(fit))
    options = ["--margins", str(study / "scores"), "--tau", str(study / "fit.json")]
    assert score_main([*options, "--out", str(study / "again")]) == 2
    told = capsys.readouterr().err
    assert "the encoder 'other'; these are of 'toy'" in " ".join(told.split())
    assert not (study / "again").exists()


def test_the_same_seed_gives_the_same_fit(study):
    assert fitted(study) == 0
    first = (study / "fit.json").read_bytes()
    assert fitted(study) == 0
    assert (study / "fit.json").read_bytes() == first


def test_a_file_that_holds_no_answers_is_refused(study, capsys):
    (study / "human.csv").write_text("a,b\n1,2\n")
    assert fitted(study) == 2
    assert "answers are a folder" in capsys.readouterr().err
    assert not (study / "fit.json").exists()


def test_more_correct_answers_than_trials_are_refused(study, capsys):
    (study / "human.csv").write_text("unit,n_correct,n_trials\nm::l::0,5,4\n")
    assert fitted(study) == 2
    assert "more correct answers than trials for 1 units" in capsys.readouterr().err
