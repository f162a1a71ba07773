import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.crossed_likelihood import Crossed
from analysis.laplace import fit_crossed
from analysis.mixed_model import mixed_model, participant_names, population_proportion
from analysis.simulated_studies import StudyDesign, Variances, simulated_study

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden/mixed_model.json").read_text()
)
WIDE = Variances(
    mean=0.8, sd_unit=0.9, sd_participant=0.5, correlation=0.8, step=0.1, source="test"
)


def study(rng, *, n_units=40, answers=20, variances=WIDE):
    design = StudyDesign(n_units=n_units, answers_per_unit=answers, main_trials=30)
    return simulated_study(variances, design, rng=rng).answers()


def golden_problem():
    correct = np.array(GOLDEN["correct"], dtype="float64")
    fixed = np.column_stack([np.ones(len(correct)), GOLDEN["easiest"]])
    return Crossed.of(
        correct, fixed, pd.Series(GOLDEN["unit"]), pd.Series(GOLDEN["participant"])
    )


def test_the_fit_matches_another_program():
    fit = fit_crossed(golden_problem(), restricted=False)
    assert fit.fixed == pytest.approx(GOLDEN["fixed"], abs=0.003)
    assert np.square(fit.sds) == pytest.approx(GOLDEN["variances"], abs=0.003)


def test_restriction_makes_the_unit_variance_larger():
    plain = fit_crossed(golden_problem(), restricted=False)
    assert fit_crossed(golden_problem()).sds[0] > plain.sds[0] * 1.01


def test_variational_intervals_are_too_narrow_to_be_used():
    """Why statsmodels' model is not the one that is reported."""
    from scipy.sparse import csr_array, hstack
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    data = golden_problem()
    n = len(data.correct)
    effects = hstack(
        [
            csr_array((np.ones(n), (np.arange(n), places)))
            for places in (data.unit, data.participant)
        ]
    ).tocsr()
    which = np.repeat([0, 1], [data.n_units, data.n_participants])
    variational = BinomialBayesMixedGLM(
        data.correct, data.fixed, effects, which, fe_p=10
    ).fit_vb()
    fit = fit_crossed(data)
    assert np.exp(variational.vcp_mean) == pytest.approx(fit.sds, rel=0.2)
    assert (variational.fe_sd < 0.5 * np.sqrt(np.diag(fit.covariance))).all()


def test_planted_standard_deviations_lie_in_their_intervals(rng):
    found = mixed_model(study(rng, n_units=120, answers=30))
    low, high = found.sd_unit_interval
    assert low < WIDE.sd_unit < high
    low, high = found.sd_participant_interval
    assert low < WIDE.sd_participant < high


def test_groups_are_held_against_random_units(rng):
    found = mixed_model(study(rng))
    assert found.baselines == {"group": "random"}
    assert {"group: easiest", "group: hardest"} < set(found.terms["term"])


def test_position_is_told_per_ten_trials(rng):
    answers = study(rng, n_units=60)
    chance = rng.random(len(answers))
    answers["correct"] = chance < 1 / (1 + np.exp(-0.08 * answers["trial_index"]))
    term = mixed_model(answers).terms.set_index("term").loc["position"]
    assert term["ci_low"] < 0.8 < term["ci_high"]


def test_a_column_that_another_tells_already_is_left_out(rng):
    answers = study(rng)
    easy = answers["group"] == "easiest"
    answers["difficulty"] = np.where(easy, "hard95", "easy")
    names = list(mixed_model(answers).terms["term"])
    assert "group: easiest" in names
    assert not any(name.startswith("difficulty") for name in names)


def test_order_and_names_change_nothing(rng):
    answers = study(rng)
    other = answers.sample(frac=1, random_state=1).assign(
        unit=lambda table: "x" + table["unit"].str[::-1],
        participant_id=lambda table: "y" + table["participant_id"].str[::-1],
    )
    first = mixed_model(answers).terms.set_index("term")["estimate"]
    second = mixed_model(other).terms.set_index("term")["estimate"]
    assert second[first.index].to_numpy() == pytest.approx(first.to_numpy(), abs=2e-3)


def test_no_effect_of_participants_is_said(rng):
    answers = study(rng)
    answers["participant_id"] = rng.permutation(answers["participant_id"])
    found = mixed_model(answers)
    assert found.sd_participant_interval[0] == 0


def test_simple_means_of_units_that_met_other_people_disagree_with_the_model(rng):
    """Groups do not differ; only good participants met the easiest units."""
    answers = study(rng, n_units=60, answers=60)
    answers = answers[answers["group"] != "hardest"].copy()
    people = sorted(answers["participant_id"].unique())
    is_good = answers["participant_id"].isin(set(people[::2]))
    answers["correct"] = rng.random(len(answers)) < np.where(is_good, 0.92, 0.65)
    answers = answers[is_good | (answers["group"] == "random")]
    said = mixed_model(answers).disagreements
    assert any("outside the model's interval" in sentence for sentence in said)


def test_a_term_that_only_the_simple_means_tell_apart_is_said(rng):
    """Only good participants, and few of them, met the easiest units."""
    answers = study(rng, n_units=60, answers=60)
    answers = answers[answers["group"] != "hardest"].copy()
    people = sorted(answers["participant_id"].unique())
    is_good = answers["participant_id"].isin(set(people[::2]))
    answers["correct"] = rng.random(len(answers)) < np.where(is_good, 0.98, 0.5)
    met = is_good & (rng.random(len(answers)) < 0.1)
    said = mixed_model(answers[(answers["group"] == "random") | met]).disagreements
    assert (
        "easiest against random: not told apart by the model,"
        " higher by the simple means"
    ) in said


def test_a_difference_that_model_and_means_both_see_is_no_disagreement(rng):
    answers = study(rng, n_units=60, answers=60)
    answers["correct"] = rng.random(len(answers)) < answers["group"].map(
        {"hardest": 0.6, "random": 0.75, "easiest": 0.9}
    )
    fit = mixed_model(answers)
    assert (fit.terms.set_index("term").loc["group: easiest", "ci_low"]) > 0
    assert not [one for one in fit.disagreements if " against " in one]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"n_units": 3}, "needs at least 5 units and participants; there are 3"),
        ({"correct": True}, "all answers are the same"),
        ({"once": True}, "each unit has one answer"),
    ],
)
def test_what_can_not_be_fitted_gets_a_note_and_no_number(change, note, rng):
    answers = study(rng, n_units=40)
    if "n_units" in change:
        answers = answers[answers["unit"].isin(sorted(answers["unit"].unique())[:3])]
    if "correct" in change:
        answers["correct"] = True
    if "once" in change:
        answers = answers.sample(frac=1, random_state=1).drop_duplicates("unit")
    found = mixed_model(answers)
    assert note in found.note
    assert found.sd_unit is None
    assert found.terms.empty


def test_a_session_stands_for_a_participant_who_is_not_known():
    answers = pd.DataFrame(
        {"session_id": ["s1", "s2"], "participant_id": ["anonymized"] * 2}
    )
    assert participant_names(answers).tolist() == ["s1", "s2"]


def test_without_random_effects_the_proportion_is_that_of_the_log_odds():
    assert population_proportion(1.0, 0.0, 0.0) == pytest.approx(1 / (1 + np.exp(-1)))


def test_random_effects_pull_the_proportion_towards_chance():
    assert 0.5 < population_proportion(1.0, 1.0, 0.5) < population_proportion(1.0, 0.0)
