import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss

from analysis.tau import fit_tau
from data.errors import DataContractError


def study(rng, *, tau=0.16, n_units=60, n_trials=30, n_tasks=20):
    """Units whose answers come from the machine's own observer at a known tau."""
    centre = rng.normal(0.25, 0.2, n_units)
    margins = centre[:, None] + rng.normal(0, 0.1, (n_units, n_tasks))
    names = np.array([f"net::l::{i}" for i in range(n_units)])
    n_correct = rng.binomial(n_trials, expit(margins / tau).mean(axis=1))
    units = pd.DataFrame({"unit": names, "n_correct": n_correct, "n_trials": n_trials})
    tasks = pd.DataFrame({"unit": np.repeat(names, n_tasks), "margin": margins.ravel()})
    return units, tasks


def fitted(units, tasks, rng, **more):
    few = {"n_repeats": 3, "n_resamples": 20}
    return fit_tau(units, tasks, rng=rng, **(few | more))


def mis(tasks, tau):
    return expit(tasks["margin"] / tau).groupby(tasks["unit"]).mean()


def test_tau_is_the_one_of_greatest_likelihood(rng):
    units, tasks = study(rng)
    right = units.set_index("unit")["n_correct"]

    def loss(tau):
        p = mis(tasks, tau)[right.index]
        return -(right * np.log(p) + (30 - right) * np.log(1 - p)).sum()

    expected = minimize_scalar(loss, bounds=(0.01, 1), method="bounded")
    assert fitted(units, tasks, rng).tau == pytest.approx(expected.x, rel=1e-3)


def test_in_sample_log_loss_is_that_of_another_program(rng):
    units, tasks = study(rng)
    found = fitted(units, tasks, rng)
    said = mis(tasks, found.tau)[units["unit"]].to_numpy()
    answers = np.concatenate([np.arange(30) < k for k in units["n_correct"]])
    expected = log_loss(answers, np.repeat(said, 30))
    assert found.in_sample == pytest.approx(expected)


def test_in_sample_pearson_is_numpys_and_the_greatest(rng):
    units, tasks = study(rng)
    found = fitted(units, tasks, rng, objective="pearson")
    his = (units["n_correct"] / 30).to_numpy()

    def r(tau):
        return np.corrcoef(mis(tasks, tau)[units["unit"]], his)[0, 1]

    assert found.in_sample == pytest.approx(r(found.tau))
    assert found.in_sample >= max(r(tau) for tau in np.geomspace(0.01, 10, 60)) - 1e-6


def test_intervals_cover_the_true_tau_at_their_rate(rng):
    runs, inside = 40, 0
    for _ in range(runs):
        found = fitted(*study(rng), rng, n_repeats=1, n_resamples=80)
        inside += found.tau_low <= 0.16 <= found.tau_high
    assert inside / runs >= 0.82


def test_out_of_sample_is_what_fresh_units_give_where_in_sample_is_too_good(rng):
    in_sample, out, fresh = [], [], []
    for _ in range(40):
        units, tasks = study(rng, n_units=12, n_trials=8)
        found = fitted(units, tasks, rng, n_resamples=2)
        in_sample.append(found.in_sample)
        out.append(found.out_of_sample)
        new_units, new_tasks = study(rng, n_units=400, n_trials=8)
        p = mis(new_tasks, found.tau)[new_units["unit"]].to_numpy()
        k = new_units["n_correct"].to_numpy()
        fresh.append(-(k * np.log(p) + (8 - k) * np.log(1 - p)).sum() / (8 * 400))
    assert np.mean(out) > np.mean(in_sample)
    assert np.mean(out) == pytest.approx(np.mean(fresh), abs=0.03)


def test_each_unit_is_held_out_once_in_every_repeat(rng):
    found = fitted(*study(rng, n_units=23), rng)
    assert found.folds.groupby("repeat")["n_units"].sum().tolist() == [23] * 3
    assert len(found.folds) == 15


def test_a_larger_margin_scale_gives_a_tau_as_much_larger(rng):
    units, tasks = study(rng)
    first = fitted(units, tasks, np.random.default_rng(1))
    scaled = tasks.assign(margin=10 * tasks["margin"])
    second = fitted(units, scaled, np.random.default_rng(1))
    assert second.tau == pytest.approx(10 * first.tau, rel=1e-3)
    assert second.out_of_sample == pytest.approx(first.out_of_sample, abs=1e-6)


def test_the_order_of_units_and_tasks_changes_nothing(rng):
    units, tasks = study(rng, n_units=20)
    first = fitted(units, tasks, np.random.default_rng(1))
    second = fitted(
        units.sample(frac=1, random_state=1),
        tasks.sample(frac=1, random_state=2),
        np.random.default_rng(1),
    )
    assert second.tau == first.tau
    assert second.out_of_sample == first.out_of_sample


def test_answers_against_the_margins_leave_tau_at_the_edge(rng):
    units, tasks = study(rng)
    found = fitted(units.assign(n_correct=5 + (np.arange(60) % 2)), tasks, rng)
    assert found.at_edge
    assert not fitted(*study(rng), rng).at_edge


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda u: u.head(9), "at least 10 units with answers and tasks; there are 9"),
        (lambda u: u.assign(n_correct=30), "every unit has the same HIS"),
    ],
)
def test_what_is_not_defined_is_not_printed(change, note, rng):
    units, tasks = study(rng)
    found = fitted(change(units), tasks, rng)
    assert found.tau is found.in_sample is found.out_of_sample is None
    assert note in found.note


def test_units_of_another_study_are_refused(rng):
    units, tasks = study(rng)
    with pytest.raises(DataContractError, match="None of the 60 units with answers"):
        fitted(units, tasks.assign(unit="other"), rng)


def test_margins_that_are_all_zero_are_refused(rng):
    units, tasks = study(rng)
    with pytest.raises(DataContractError, match="not all 0"):
        fitted(units, tasks.assign(margin=0.0), rng)


def test_an_unknown_objective_is_refused(rng):
    with pytest.raises(ValueError, match="'objective' is 'r2'"):
        fitted(*study(rng), rng, objective="r2")
