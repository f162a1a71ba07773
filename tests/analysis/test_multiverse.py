import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, ttest_ind

from analysis.agreement import agreement
from analysis.criteria_sets import criteria_sets
from analysis.inclusion import NO_CRITERIA, include
from analysis.multiverse import multiverse
from analysis.page import svg_of
from analysis.sections import multiverse_section
from data.exclusion import IMI, ExclusionCriteria
from tests.analysis.toy import toy_responses, toy_scores, toy_units

UNITS = toy_units(12)
TRUTH = dict(zip(UNITS, np.linspace(0.98, 0.5, 12), strict=True))
GROUPS = dict(zip(UNITS, ["a"] * 6 + ["b"] * 6, strict=True))


def tried(toy, *, criteria=IMI, mis=TRUTH):
    found = agreement(toy, toy_scores(mis), criteria=criteria, seed=0)
    return multiverse(
        found.inclusion,
        found.inclusion.complete,
        found.units,
        criteria=criteria,
        seed=0,
    )


@pytest.fixture(scope="module")
def steady():
    special = {0: {"catch": 0.2}, 1: {"total_time_s": 100.0}, 2: {"catch": 0.2}}
    toy = toy_responses(
        TRUTH,
        rng=np.random.default_rng(3),
        n_sessions=20,
        groups=GROUPS,
        sessions=special,
    )
    return toy, tried(toy)


def value(found, number, one=0, column="estimate"):
    own = found.numbers[(found.numbers["set"] == one)]
    return own.set_index("number").loc[number, column]


def test_the_first_set_is_the_reported_one(steady):
    toy, found = steady
    reported = agreement(toy, toy_scores(TRUTH), criteria=IMI, seed=0)
    assert found.sets.loc[0, "label"] == "as reported"
    assert found.sets.loc[0, "n_sessions"] == reported.inclusion.n_sessions == 17
    assert value(found, "his") == pytest.approx(reported.score.his)
    r = reported.correlations[0]
    assert value(found, "pearson") == pytest.approx(r.estimate)
    assert value(found, "pearson", column="ci_low") == pytest.approx(r.analytic_low)
    h = reported.groups.statistic
    assert value(found, "kruskal_wallis_h") == pytest.approx(h)
    holm = reported.groups.pairs["p_holm"].iloc[0]
    assert value(found, "a − b", column="p_value") == pytest.approx(holm)


def test_every_set_is_what_its_criteria_leave(steady):
    toy, found = steady
    n = found.sets.set_index("label")["n_sessions"]
    assert n["without catch trials"] == 19
    assert n["without total time"] == 18
    everyone = found.sets[found.sets["n_sessions"] == 20]["set"].item()
    main = include(toy, NO_CRITERIA).main
    his = main.groupby("unit")["correct"].mean()
    assert value(found, "his", everyone) == pytest.approx(his.mean())
    expected = pearsonr(his[list(TRUTH)], list(TRUTH.values()))
    assert value(found, "pearson", everyone) == pytest.approx(expected.statistic)
    a, b = (his[[u for u in UNITS if GROUPS[u] == name]] for name in "ab")
    welch = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert value(found, "a − b", everyone, "ci_low") == pytest.approx(welch.low)


def test_sets_that_leave_the_same_sessions_are_one_outcome(steady):
    _, found = steady
    assert found.sets["n_sets"].sum() == found.n_sets
    assert len(found.sets) < found.n_sets
    assert found.sets["set"].tolist() == list(range(len(found.sets)))


def test_all_combinations_of_the_usual_criteria_are_tried():
    names = [one.names for one in criteria_sets(IMI)]
    usual = criteria_sets(IMI)[0].names
    assert len(usual) == 6
    combinations = {one for one in names if one <= usual}
    assert len(combinations) == 2**6
    assert len(set(criteria_sets(IMI))) == len(criteria_sets(IMI))


def test_without_criteria_those_of_imi_are_tried_still():
    sets = criteria_sets(NO_CRITERIA)
    assert sets[0].names == frozenset()
    assert IMI_NAMES in {one.names for one in sets}


IMI_NAMES = frozenset(
    {
        "demo_trials",
        "catch_trials",
        "total_response_time",
        "row_variability",
        "instruction_time",
        "participation",
    }
)


def test_a_stricter_reported_threshold_is_kept_in_its_combinations():
    sets = criteria_sets(ExclusionCriteria(min_catch_share=1.0))
    shares = {dict(dict(one.settings).get("catch_trials", ())).get("min_catch_share")
              for one in sets}  # fmt: skip
    assert 1.0 in shares
    assert 0.8 not in shares


def test_a_conclusion_that_hangs_on_one_criterion_is_traced_to_it():
    """Half of the sessions answer against the score, and fail their catch trials."""
    rng = np.random.default_rng(5)
    against = {unit: 1.45 - p for unit, p in TRUTH.items()}
    careful = toy_responses(TRUTH, rng=rng, n_sessions=14)
    careless = toy_responses(
        against,
        rng=rng,
        n_sessions=14,
        sessions={n: {"catch": 0.0} for n in range(14)},
    )
    other = careless.sessions.assign(session_id="x" + careless.sessions["session_id"])
    answers = careless.responses
    answers = answers.assign(session_id="x" + answers["session_id"])
    toy = type(careful)(
        responses=pd.concat([careful.responses, answers], ignore_index=True),
        sessions=pd.concat([careful.sessions, other], ignore_index=True),
        header=careful.header,
    )
    found = tried(toy)
    row = found.conclusions.set_index("number").loc["pearson"]
    assert row["conclusion"] == "Pearson r of MIS and HIS is above 0"
    assert row["n_alike"] < row["n_sets"]
    assert row["hangs_on"].startswith("catch trials")
    assert ";" not in row["hangs_on"]
    said = " ".join(multiverse_section(found).said)
    assert "It hangs on: catch trials (with or without it the conclusion" in said


def test_what_hangs_on_nothing_says_so(steady):
    section = multiverse_section(steady[1])
    assert any("hangs on no criterion" in sentence for sentence in section.said)
    drawn = section.figures["multiverse"]
    assert len(drawn.data) == len(steady[1].sets)
    assert svg_of(drawn.figure).startswith("<?xml")


def test_one_outcome_needs_no_figure():
    toy = toy_responses(TRUTH, rng=np.random.default_rng(3), n_sessions=6, n_catch=10)
    section = multiverse_section(tried(toy))
    assert section.said[0].endswith("leave the same sessions: no number hangs on them.")
    assert not section.figures


def test_a_set_that_leaves_nobody_has_no_numbers():
    toy = toy_responses(
        TRUTH,
        rng=np.random.default_rng(3),
        n_sessions=6,
        n_catch=10,
        sessions={n: {"n_practice_rounds": 2} for n in range(6)},
    )
    found = tried(toy)
    nobody = found.sets[found.sets["n_sessions"] == 0]["set"].item()
    assert np.isnan(value(found, "his", nobody))
    verdict = found.verdicts[found.verdicts["set"] == nobody]["conclusion"]
    assert verdict.isna().all()
    row = found.conclusions.set_index("number").loc["his"]
    assert row["n_sets"] == found.n_sets - 1


def test_the_order_of_rows_and_sessions_changes_nothing(steady):
    toy, found = steady
    rng = np.random.default_rng(0)
    shuffled = type(toy)(
        responses=toy.responses.sample(frac=1, random_state=rng),
        sessions=toy.sessions,
        header=toy.header,
    )
    again = tried(shuffled)
    numbers = ~found.numbers["number"].isin(
        ["reliability", "noise_ceiling", "pearson_without_noise"]
    )
    pd.testing.assert_frame_equal(found.numbers[numbers], again.numbers[numbers])
    pd.testing.assert_frame_equal(found.sets, again.sets)
