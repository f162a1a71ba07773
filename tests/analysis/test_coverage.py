import numpy as np
import pandas as pd
import pytest

from analysis import coverage
from analysis.coverage import coverage_table, page, power_table
from analysis.recovery import Held, true_reliability


@pytest.fixture(scope="module")
def table():
    return coverage_table(n_studies=4, seed=0)


def test_every_estimator_is_in_the_table(table):
    named = " ".join(table["quantity"])
    for quantity in ("HIS", "noise ceiling", "ICC", "Pearson", "contrast", "tau"):
        assert quantity in named
    assert named.count("mixed model") == 6


def test_the_same_seed_gives_the_same_table_in_two_processes(table):
    again = coverage_table(n_studies=4, seed=0, n_processes=2)
    pd.testing.assert_frame_equal(again, table)


def test_coverage_is_the_share_of_intervals_that_hold_the_truth(monkeypatch):
    def planted(rng):
        low = 0.0 if rng.random() < 0.5 else 2.0
        yield Held(
            quantity="one", method="half", claims=True, truth=1, low=low, high=low + 1
        )

    monkeypatch.setattr(coverage, "SOURCES", {"one": planted})
    row = coverage_table(n_studies=400, seed=1).iloc[0]
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


def test_the_planted_reliability_is_that_of_many_answers(rng):
    from analysis.power_simulation import simulated_study
    from analysis.recovery import DESIGN, PLANTED

    rs = []
    for _ in range(40):
        study = simulated_study(PLANTED, DESIGN, rng=rng, groups=False)
        his = np.bincount(study.unit, study.correct) / np.bincount(study.unit)
        rs.append(np.corrcoef(his, study.true_his)[0, 1])
    assert np.mean(rs) ** 2 == pytest.approx(true_reliability()[1], abs=0.06)


def test_the_page_names_its_command(table):
    power = power_table(n_studies=20, seed=0)
    text = page(table, power, command="the command")
    assert "Made by `the command` (" in text
    assert text.count("\n| ") >= len(table) + len(power) + 2
