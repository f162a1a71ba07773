import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from analysis import power_command
from analysis.correlation import correlation
from analysis.cost import Pay
from analysis.crossed import crossed_contrast
from analysis.his import human_interpretability
from analysis.inclusion import NO_CRITERIA, include
from analysis.power import Wanted, power_plan
from analysis.power_simulation import STEPS, outcomes
from analysis.power_variances import (
    BOROWSKI,
    imi_variances,
    pilot_session,
    pilot_variances,
)
from analysis.simulated_studies import (
    GROUPS,
    StudyDesign,
    Variances,
    assignment,
    his_spread,
    simulated_study,
)
from analysis.units_needed import units_needed
from data.published import read_imi_model_scores
from tests.analysis.toy import toy_responses, toy_units

PLANTED = Variances(
    mean=0.8, sd_unit=0.8, sd_participant=0.4, correlation=0.8, step=0.1, source="test"
)
DESIGN = StudyDesign(n_units=42, answers_per_unit=10, main_trials=30)
PAY = Pay(per_hour=9)


@pytest.mark.parametrize(("n_units", "main_trials"), [(42, 30), (7, 40), (31, 30)])
def test_units_are_met_equally_often_and_by_nobody_twice(n_units, main_trials, rng):
    design = StudyDesign(n_units=n_units, answers_per_unit=9, main_trials=main_trials)
    unit, participant = assignment(design, rng=rng)
    assert (np.bincount(unit) == 9).all()
    assert participant.max() + 1 == design.n_participants
    assert len(set(zip(unit, participant, strict=True))) == len(unit)
    assert np.bincount(participant).max() <= main_trials


def test_planted_means_come_out(rng):
    design = StudyDesign(n_units=900, answers_per_unit=40, main_trials=30)
    study = simulated_study(PLANTED, design, rng=rng)
    means = study.answers().groupby("group")["correct"].mean()
    for name, planted in PLANTED.group_means().items():
        assert means[name] == pytest.approx(planted, abs=0.02)


def test_the_machine_correlates_as_planted_with_his_without_noise(rng):
    design = StudyDesign(n_units=4000, answers_per_unit=1, main_trials=40)
    study = simulated_study(PLANTED, design, rng=rng, groups=False)
    assert np.corrcoef(study.mis, study.true_his)[0, 1] == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("question", ["his", "contrast"])
def test_intervals_of_simulated_studies_are_those_of_the_analysis(question, rng):
    seed = int(rng.integers(1000))
    found = outcomes(
        question,
        PLANTED,
        DESIGN,
        n_simulations=1,
        rng=np.random.default_rng(seed),
    )
    answers = simulated_study(
        PLANTED,
        DESIGN,
        rng=np.random.default_rng(seed),
        groups=question == "contrast",
    ).answers()
    given = (answers["correct"], answers["unit"], answers["participant_id"])
    if question == "his":
        own = crossed_contrast(*given)
        his = human_interpretability(answers)["his"].mean()
        assert own.estimate == pytest.approx(his)
        width = own.ci_high - own.ci_low
    else:
        steps = [
            crossed_contrast(
                *given, groups=answers["group"], weights={high: 1.0, low: -1.0}
            )
            for low, high in pairwise(GROUPS)
        ]
        width = max(step.ci_high - step.ci_low for step in steps)
    assert found.width == pytest.approx(width)


def test_a_simulated_correlation_has_the_interval_of_the_analysis():
    found = outcomes(
        "correlation",
        PLANTED,
        DESIGN,
        n_simulations=12,
        rng=np.random.default_rng(4),
    )
    rng = np.random.default_rng(4)
    own = []
    for _ in range(12):
        study = simulated_study(PLANTED, DESIGN, rng=rng, groups=False)
        his = human_interpretability(study.answers())["his"]
        one = correlation(
            study.mis, his, method="pearson", rng=np.random.default_rng(1)
        )
        own.append(one.ci_high - one.ci_low)
    assert found.widths == pytest.approx(own)


@pytest.mark.parametrize(
    ("goal", "wanted", "value"),
    [
        ("width", 0.2, lambda n: 2 / n**0.5),
        ("power", 0.8, lambda n: norm.cdf(n**0.5 / 4 - 1)),
    ],
)
def test_the_units_that_are_needed_come_out_of_noise_without_bias(
    goal, wanted, value, rng, monkeypatch
):
    def noisy(question, variances, design, *, n_simulations, rng):
        shown = value(design.n_units) + rng.normal(0, 0.02 * wanted)
        error = 0.02 * wanted
        return SimpleNamespace(
            width=shown, width_error=error, power=shown, power_error=error
        )

    monkeypatch.setattr("analysis.units_needed.outcomes", noisy)
    found = [
        units_needed(
            "his", PLANTED, DESIGN, wanted, goal=goal, n_simulations=1, rng=rng
        )
        for _ in range(200)
    ]
    truth = 100 if goal == "width" else (4 * (1 + norm.ppf(0.8))) ** 2
    assert np.mean(found) == pytest.approx(truth, rel=0.02)


def test_a_promised_width_is_what_fresh_studies_give():
    rng = np.random.default_rng(1)
    n_units = units_needed("his", PLANTED, DESIGN, 0.06, n_simulations=100, rng=rng)
    design = StudyDesign(n_units=n_units, answers_per_unit=10, main_trials=30)
    fresh = outcomes(
        "his", PLANTED, design, n_simulations=300, rng=np.random.default_rng(2)
    )
    assert fresh.width == pytest.approx(0.06, rel=0.04)


def test_power_counts_the_studies_that_tell_both_steps_apart():
    found = outcomes(
        "contrast", PLANTED, DESIGN, n_simulations=30, rng=np.random.default_rng(1)
    )
    rng = np.random.default_rng(1)
    ends = []
    for _ in range(30):
        own = simulated_study(PLANTED, DESIGN, rng=rng).answers()
        given = own["correct"], own["unit"], own["participant_id"]
        ends.append(
            [
                crossed_contrast(
                    *given, groups=own["group"], weights={high: 1.0, low: -1.0}
                ).ci_low
                for high, low in STEPS
            ]
        )
    told = np.array(ends) > 0
    assert (told.sum(axis=1) == 1).any()
    assert found.told_apart.tolist() == told.all(axis=1).tolist()


def test_a_promised_power_is_what_fresh_studies_give():
    plan = power_plan(
        PLANTED,
        Wanted(power=0.8),
        PAY,
        answers=[10],
        main_trials=30,
        n_simulations=150,
        seed=0,
    )
    row = plan.designs.iloc[0]
    design = StudyDesign(
        n_units=int(row["n_units"]), answers_per_unit=10, main_trials=30
    )
    fresh = outcomes(
        "contrast", PLANTED, design, n_simulations=150, rng=np.random.default_rng(3)
    )
    error = np.hypot(row["power_error"], fresh.power_error)
    assert abs(fresh.power - row["power"]) < 3 * error


def test_more_units_give_narrower_intervals(rng):
    widths = [
        outcomes(
            "correlation",
            PLANTED,
            StudyDesign(n_units=n, answers_per_unit=10, main_trials=30),
            n_simulations=40,
            rng=rng,
        ).width
        for n in (20, 80, 320)
    ]
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_what_no_number_of_units_gives_is_out_of_reach(rng):
    found = units_needed(
        "contrast", PLANTED, DESIGN, 0.01, n_simulations=20, rng=rng, most=100
    )
    assert found is None


def test_the_same_seed_gives_the_same_plan_whatever_else_is_tried():
    def plan(answers):
        return power_plan(
            PLANTED,
            Wanted(his=0.1),
            PAY,
            answers=answers,
            main_trials=30,
            n_simulations=40,
            seed=5,
        ).designs.set_index("answers_per_unit")

    together = plan([5, 10])
    assert together.loc[10, "n_units"] == plan([10]).loc[10, "n_units"]
    assert together["cheapest"].sum() == 1


def test_imis_spread_is_what_its_intervals_imply_less_chance():
    found = imi_variances(step=0.1, correlation=None)
    assert 0.07 < his_spread(found)[1] < 0.13
    assert his_spread(found)[0] == pytest.approx(found.mean, abs=1e-6)


def test_thirty_answers_to_imis_units_spread_as_published():
    found = imi_variances(step=0.1, correlation=None)
    true = his_spread(found)[1] ** 2
    table = read_imi_model_scores().table.query("explanation_method == 'natural'")
    half = (table["ci_high"] - table["ci_low"]) / 2
    published = (half / norm.ppf(0.975) * table["n_units"] ** 0.5).median()
    # A unit's 30 answers add p (1 - p) / 30, whose mean lacks the spread of p.
    noise = (found.mean * (1 - found.mean) - true) / 30
    assert true + noise == pytest.approx(published**2, rel=1e-4)


@pytest.mark.parametrize(
    ("condition", "method"), [("natural", "natural"), ("optimized", "synthetic")]
)
def test_the_shipped_variances_are_those_of_the_released_answers(
    condition, method, shared
):
    from analysis.mixed_model import mixed_model
    from tests.analysis.borowski import borowski_answers

    answers = borowski_answers(shared)
    main = answers[(answers["kind"] == "main") & (answers["condition"] == condition)]
    fit = mixed_model(main)
    assert (main["correct"].mean(), fit.sd_unit) == pytest.approx(
        BOROWSKI[method], abs=0.006
    )


def test_a_pilot_gives_back_its_planted_spread(rng):
    planted = dict(zip(toy_units(60), rng.uniform(0.6, 1, 60), strict=True))
    pilot = include(toy_responses(planted, rng=rng, n_sessions=40), NO_CRITERIA)
    found = pilot_variances(pilot, step=0.1, correlation=0.5)
    assert his_spread(found)[1] == pytest.approx(0.4 / 12**0.5, abs=0.03)
    assert found.sd_participant < 0.2
    assert "SIMULATED" in found.source


def test_a_pilot_of_people_tells_how_long_a_session_takes(rng):
    planted = dict.fromkeys(toy_units(20), 0.8)
    people = toy_responses(planted, rng=rng, n_sessions=6, simulated=False)
    assert pilot_session(include(people, NO_CRITERIA)) == {
        "excluded": 0.0,
        "minutes": pytest.approx(400 / 60),
        "trials": 20,
    }
    programs = toy_responses(planted, rng=rng, n_sessions=6)
    assert "minutes" not in pilot_session(include(programs, NO_CRITERIA))


QUICK = ["--simulations", "20", "--answers", "10", "--his-width", "0.1"]


def test_the_command_prints_a_table_and_writes_the_curve(tmp_path, capsys):
    assert power_command.main([*QUICK, "--out", str(tmp_path / "power")]) == 0
    printed = capsys.readouterr().out
    assert "cheapest" in printed
    assert "±" in printed
    content = json.loads((tmp_path / "power/power.json").read_text())
    assert content["designs"][0]["cheapest"] is True
    assert len(content["curve"]) == 5
    assert (tmp_path / "power/power.svg").read_text().startswith("<?xml")


def test_the_command_warns_of_low_pay(capsys):
    power_command.main([*QUICK, "--pay", "5"])
    assert "warning: £5 an hour is below £6" in capsys.readouterr().err


def test_the_command_says_what_is_out_of_reach(capsys):
    wanted = ["--contrast-width", "0.02", "--most-units", "60"]
    assert power_command.main([*QUICK, *wanted]) == 1
    assert "out of reach" in capsys.readouterr().out


def test_a_pilot_that_is_too_small_is_refused(rng):
    pilot = toy_responses(dict.fromkeys(toy_units(3), 0.8), rng=rng, n_sessions=9)
    with pytest.raises(Exception, match="gives no variances: a mixed model needs"):
        pilot_variances(include(pilot, NO_CRITERIA), step=0.1, correlation=None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mean": 0.5}, "'mean' is 0.5; it must be in"),
        ({"correlation": 1.0}, "'correlation' is 1.0; it must be in"),
        ({"step": 0.9}, "'step' is 0.9; it must be in"),
    ],
)
def test_variances_that_can_not_be_are_refused(wrong, said):
    given = {
        "mean": 0.8,
        "sd_unit": 1.0,
        "sd_participant": 0.3,
        "correlation": 0.5,
        "step": 0.1,
        "source": "",
    }
    with pytest.raises(ValueError, match=said):
        Variances(**(given | wrong))
