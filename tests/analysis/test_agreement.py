from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.agreement import agreement
from analysis.inclusion import NO_CRITERIA
from analysis.wording import headline, limits, summary, warnings_of
from data.errors import DataContractError
from data.exclusion import IMI
from tests.analysis.toy import toy_responses, toy_scores, toy_units

UNITS = toy_units(12)
GROUPS = dict(
    zip(UNITS, ["easiest"] * 4 + ["random"] * 4 + ["hardest"] * 4, strict=True)
)
MIS = dict(zip(UNITS, np.linspace(0.98, 0.5, 12), strict=True))


def judged(toy, scores=None, **more):
    scores = toy_scores(MIS) if scores is None else scores
    return agreement(toy, scores, **({"criteria": IMI, "seed": 0} | more))


@pytest.fixture(scope="module")
def planted():
    return toy_responses(
        MIS, rng=np.random.default_rng(4), n_sessions=40, groups=GROUPS
    )


def test_planted_difficulty_comes_out_within_its_intervals():
    units = toy_units(60)
    truth = dict(zip(units, np.linspace(0.5, 0.97, 60), strict=True))
    toy = toy_responses(truth, rng=np.random.default_rng(8), n_sessions=30)
    found = judged(toy, toy_scores(truth)).units
    real = found["unit"].map(truth)
    inside = (found["ci_low"] <= real) & (real <= found["ci_high"])
    assert inside.mean() >= 0.9
    assert (found["n_trials"] == 30).all()


def test_a_score_that_is_the_truth_reaches_its_ceiling():
    units = toy_units(80)
    truth = dict(zip(units, np.linspace(0.5, 1, 80), strict=True))
    toy = toy_responses(truth, rng=np.random.default_rng(9), n_sessions=20)
    found = judged(toy, toy_scores(truth))
    reached = found.correlations[0].estimate
    assert reached == pytest.approx(found.ceiling.correlation, abs=0.05)
    assert found.disattenuated == pytest.approx(1, abs=0.06)


def test_scores_of_the_wrong_units_do_not_agree(planted):
    rng = np.random.default_rng(1)
    swapped = dict(zip(UNITS, rng.permutation(list(MIS.values())), strict=True))
    right, wrong = judged(planted), judged(planted, toy_scores(swapped))
    assert right.correlations[0].estimate > 0.9
    assert abs(wrong.correlations[0].estimate) < 0.6
    assert right.score == wrong.score


def test_excluded_sessions_never_count():
    careless = {number: {"catch": 0.0} for number in range(10)}
    truth = dict.fromkeys(UNITS, 1.0)
    toy = toy_responses(
        truth, rng=np.random.default_rng(2), n_sessions=20, sessions=careless
    )
    wrong = toy.responses["session_id"] < "s010"
    toy.responses.loc[wrong, "correct"] = False
    assert judged(toy).score.his == 1
    assert judged(toy).score.n_trials == 10 * len(UNITS)
    assert judged(toy, criteria=NO_CRITERIA).score.his == 0.5


def test_catch_trials_give_no_unit(planted):
    assert set(judged(planted).units["unit"]) == set(UNITS)


def test_groups_are_those_of_the_responses_unless_a_selection_is_given(planted):
    own = judged(planted).groups
    assert own.groups["group"].tolist() == ["hardest", "random", "easiest"]
    halves = {unit: "ab"[place % 2] for place, unit in enumerate(UNITS)}
    assert judged(planted, groups=halves).groups.groups["group"].tolist() == ["a", "b"]


def test_without_groups_nothing_is_compared():
    toy = toy_responses(MIS, rng=np.random.default_rng(3), n_sessions=5)
    assert judged(toy).groups is None


def test_the_same_seed_gives_the_same_numbers(planted):
    first, second, other = (judged(planted, seed=seed) for seed in (3, 3, 4))
    assert first.correlations == second.correlations
    assert first.ceiling == second.ceiling
    pd.testing.assert_frame_equal(first.groups.pairs, second.groups.pairs)
    own, others = first.correlations[0], other.correlations[0]
    assert own.bootstrap_low != others.bootstrap_low
    assert first.ceiling != other.ceiling


def test_neither_the_order_of_answers_nor_of_scores_changes_a_number(planted):
    shuffled = replace(
        planted, responses=planted.responses.sample(frac=1, random_state=5)
    )
    first = judged(planted)
    second = judged(shuffled, toy_scores(MIS).sample(frac=1, random_state=6))
    pd.testing.assert_frame_equal(first.units, second.units)
    assert first.correlations == second.correlations
    assert first.ceiling == second.ceiling


def test_units_without_a_score_are_named_and_left_out_of_the_correlation(planted):
    scores = toy_scores(MIS | {UNITS[0]: np.nan, "toy::x::0": 0.9})
    scores = scores[scores["unit"] != UNITS[1]]
    found = judged(planted, scores)
    assert found.without_score == (UNITS[0], UNITS[1])
    assert found.n_without_answers == 1
    assert found.correlations[0].n_units == found.ceiling.n_units == 10
    assert found.score.n_units == 12
    said = warnings_of(found)
    assert said[0] == (
        "2 units with answers have no score and no part in the correlation:"
        f" {UNITS[0]}, {UNITS[1]}."
    )
    assert "1 scored unit has no answers that count." in said


def test_scores_of_other_units_are_refused(planted):
    others = toy_scores({f"toy::layer0::{n + 50:03d}": 0.5 for n in range(4)})
    with pytest.raises(
        DataContractError, match="None of the 12 units with answers has a score"
    ):
        judged(planted, others)


def test_a_unit_in_two_groups_is_refused(planted):
    table = planted.responses.copy()
    table.loc[table.index[0], "group"] = "hardest"
    with pytest.raises(DataContractError, match="in more than one group"):
        judged(replace(planted, responses=table))


def mixed(planted):
    table = planted.responses.copy()
    odd = table["session_id"].str[-1].isin(list("13579"))
    table.loc[odd, "explanation_method"] = "synthetic"
    return replace(planted, responses=table)


def test_mixed_conditions_are_explained_and_not_guessed(planted):
    with pytest.raises(
        DataContractError,
        match=r"natural easy \(240 answers\), synthetic easy \(240 answers\)",
    ):
        judged(mixed(planted))


def test_a_condition_can_be_named(planted):
    found = judged(mixed(planted), explanation_method="synthetic", difficulty="easy")
    assert found.score.n_trials == 240
    assert found.condition == "synthetic explanations, easy queries"
    assert found.inclusion.n_sessions == 40


def test_sessions_are_judged_by_all_their_trials_whatever_the_condition(planted):
    table = planted.responses.copy()
    table["explanation_method"] = "synthetic"
    one = table["unit"] == UNITS[0]
    table.loc[one, "explanation_method"] = "natural"
    half = replace(planted, responses=table)
    found = judged(half, explanation_method="natural")
    # A single trial a session would break the rule that both rows are used.
    assert found.inclusion.n_sessions == found.score.n_trials == 40


def test_a_condition_that_nobody_saw_is_refused(planted):
    with pytest.raises(
        DataContractError, match=r"difficulty 'p95'; there are \['easy'\]"
    ):
        judged(planted, difficulty="p95")


def test_no_complete_session_is_an_error_with_the_numbers(planted):
    sessions = planted.sessions.assign(status="active")
    with pytest.raises(
        DataContractError, match="sessions opened 40, complete 0, not excluded 0"
    ):
        judged(replace(planted, sessions=sessions))


def test_no_session_that_is_kept_is_an_error_with_the_rules(planted):
    sessions = planted.sessions.assign(total_time_s=10.0)
    with pytest.raises(
        DataContractError, match=r"not excluded 0\. Excluded: 40 for in all under 135 s"
    ):
        judged(replace(planted, sessions=sessions))


def test_a_study_of_three_units_states_its_limits_instead_of_numbers():
    toy = toy_responses(
        dict(list(MIS.items())[:3]),
        rng=np.random.default_rng(3),
        n_sessions=5,
        n_catch=9,
    )
    found = judged(toy)
    assert summary(found) == (
        "MIS and HIS were not correlated: a correlation needs at least 4 units; there"
        " are 3."
    )
    rows = {row.label: row for row in headline(found)}
    assert rows["MIS and HIS, Pearson r"].value == "–"
    assert rows["Noise ceiling of the correlation"].value == "–"


def test_groups_chosen_by_mis_are_named_as_a_limit(planted):
    assert any("chosen by their MIS" in limit for limit in limits(judged(planted)))
    halves = {unit: "ab"[place % 2] for place, unit in enumerate(UNITS)}
    other = judged(planted, groups=halves)
    assert not any("chosen by their MIS" in limit for limit in limits(other))


def test_guessing_shows_neither_agreement_nor_groups_beyond_the_nominal_rate():
    agreed, differed = [], []
    for seed in range(8):
        toy = toy_responses(
            dict.fromkeys(UNITS, 0.5),
            rng=np.random.default_rng(seed),
            n_sessions=12,
            groups=GROUPS,
        )
        found = judged(toy, seed=seed)
        agreed.append(found.correlations[0].p_value < 0.05)
        differed.append(found.groups.pairs["p_holm"].min() < 0.05)
    assert sum(agreed) <= 2
    assert sum(differed) <= 2
