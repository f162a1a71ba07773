import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from analysis import coverage
from analysis.coverage import coverage_tables, power_table
from analysis.coverage_page import page
from analysis.error_rates import Rejected, false_findings
from analysis.recovery import Held
from analysis.scenarios import SCENARIOS, true_correlation, true_reliability


@pytest.fixture(scope="module")
def tables():
    return coverage_tables(n_studies=2, seed=0)


@pytest.mark.parametrize("scenario", [one.name for one in SCENARIOS])
def test_every_estimator_is_in_the_table(tables, scenario):
    own = tables.coverage[tables.coverage["scenario"] == scenario]
    named = " ".join(own["quantity"])
    for quantity in ("HIS", "noise ceiling", "ICC", "Pearson", "Spearman", "Kendall"):
        assert quantity in named
    assert {"contrast, random − hardest", "tau"} <= set(own["quantity"])
    assert len({one for one in own["quantity"] if one.startswith("mixed model")}) == 5
    assert "split halves, Spearman–Brown" in set(tables.estimates["method"])
    tests = " ".join(tables.rates["test"])
    assert "Conover" in tests
    assert "Jonckheere" in tests


def test_the_same_seed_gives_the_same_tables_in_two_processes(tables):
    again = coverage_tables(n_studies=2, seed=0, n_processes=2)
    for name in ("coverage", "estimates", "rates"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name))


def fair_coin(scenario, rng):
    yield Rejected(
        scenario=scenario.name, test="coin", rejected=bool(rng.random() < 0.5)
    )


def test_coverage_is_the_share_of_intervals_that_hold_the_truth(monkeypatch):
    def planted(scenario, rng):
        low = 0.0 if rng.random() < 0.5 else 2.0
        yield Held(
            scenario=scenario.name,
            quantity="one",
            method="half",
            claims=True,
            truth=1,
            low=low,
            high=low + 1,
            estimate=1.1 + low / 1000,
        )

    monkeypatch.setattr(coverage, "SOURCES", {"one": planted})
    monkeypatch.setattr(coverage, "SCENARIOS", SCENARIOS[:1])
    monkeypatch.setattr(coverage, "false_findings", fair_coin)
    found = coverage_tables(n_studies=400, seed=1)
    row = found.coverage.iloc[0]
    assert (row["below"], row["above"]) == (1 - row["coverage"], 0)
    assert found.estimates.iloc[0][["truth", "estimate", "verdict"]].tolist() == [
        1,
        pytest.approx(1.101, abs=2e-4),
        "off",
    ]
    assert found.rates.iloc[0]["rate"] == pytest.approx(0.5, abs=0.08)
    assert found.rates.iloc[0]["verdict"] == "off"
    assert row["coverage"] == pytest.approx(0.5, abs=0.08)
    assert row["width"] == pytest.approx(1)
    assert row["verdict"] == "off"


@pytest.mark.parametrize(
    ("share", "claims", "said"),
    [
        (0.95, True, "as claimed"),
        (0.92, True, "off"),
        (0.98, True, "wider than claimed"),
        (0.5, False, "falls short, and claims less"),
    ],
)
def test_a_verdict_asks_what_a_method_claims(share, claims, said):
    assert coverage._verdict(share, claims=claims) == said


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_the_planted_reliability_and_correlations_are_those_of_many_units(
    scenario, rng
):
    from analysis.simulated_studies import StudyDesign, simulated_study

    design = StudyDesign(
        n_units=6000,
        answers_per_unit=scenario.design.answers_per_unit,
        main_trials=scenario.design.main_trials,
    )
    study = simulated_study(scenario.variances, design, rng=rng, groups=False)
    his = np.bincount(study.unit, study.correct) / np.bincount(study.unit)
    reached = np.corrcoef(his, study.true_his)[0, 1] ** 2
    assert reached == pytest.approx(true_reliability(scenario)[1], abs=0.02)
    for method, other in (
        ("pearson", pearsonr),
        ("spearman", spearmanr),
        ("kendall", kendalltau),
    ):
        own = other(study.mis, his).statistic
        assert own == pytest.approx(true_correlation(scenario, method), abs=0.03)


def test_groups_that_chance_made_are_seldom_told_apart(rng):
    found = pd.DataFrame(
        [vars(one) for _ in range(60) for one in false_findings(SCENARIOS[1], rng)]
    )
    rates = found.groupby("test")["rejected"].mean()
    assert len(rates) == 7
    assert rates.max() < 0.17
    assert rates.max() > 0


def test_the_page_names_its_command(tables):
    power = pd.DataFrame(
        [
            {
                "scenario": "many units",
                "question": "his",
                "goal": "width",
                "wanted": 0.06,
                "n_units": 95.0,
                "fresh": 0.0601,
                "error": 0.0002,
                "verdict": "as promised",
            }
        ]
    )
    text = page(tables, power, command="the command")
    assert "Made by `the command` (" in text
    n_rows = len(tables.coverage) + len(tables.estimates) + len(tables.rates) + 1
    assert text.count("\n| ") == n_rows + 2 * 5
    assert "| many units | his | width | 0.06 | 95 | 0.0601 |" in text


def test_promises_are_held_against_fresh_studies(monkeypatch):
    monkeypatch.setattr(coverage, "SCENARIOS", SCENARIOS[:1])
    monkeypatch.setattr(coverage, "units_needed", lambda *_, **__: 60)
    found = power_table(n_studies=80, seed=0).set_index(["question", "goal"])
    row = found.loc[("correlation", "width")]
    # 60 units are too few for what is wanted.
    assert row["fresh"] > 0.29
    assert row["verdict"] == "off"
