"""Simulated studies with known truth, and the intervals that have to hold it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis.correlation import METHODS, correlation
from analysis.crossed import crossed_contrast
from analysis.disattenuation import disattenuated_correlation
from analysis.his import human_interpretability
from analysis.mixed_model import mixed_model
from analysis.noise_ceiling import bernoulli_ceiling, split_half_ceiling
from analysis.reliability import unit_reliability
from analysis.resampling import count_answers
from analysis.scenarios import SCENARIOS, Scenario, true_correlation, true_reliability
from analysis.score_intervals import score_interval
from analysis.simulated_studies import (
    GROUPS,
    SimulatedStudy,
    log_odds_of,
    simulated_study,
)
from analysis.tau import fit_tau

N_TASKS = 20
N_RESAMPLES = 999


@dataclass(frozen=True, kw_only=True)
class Held:
    """One interval of one simulated study, or one estimate that has none.

    Attributes
    ----------
    scenario : str
    quantity, method : str
    claims : bool
        Whether the method claims to hold for what is asked of it here.
    truth : float
    low, high : float
        NaN where there is none.
    estimate : float
        NaN where only the interval is asked about.
    """

    scenario: str
    quantity: str
    method: str
    claims: bool
    truth: float
    low: float
    high: float
    estimate: float = np.nan


def _his(scenario: Scenario, rng: np.random.Generator) -> Iterator[Held]:
    """Score all units: for other units, other people, or both."""
    tell = partial(held, scenario)
    study = simulated_study(scenario.variances, scenario.design, rng=rng, groups=False)
    answers = study.answers()
    counts = count_answers(answers)
    for resample in ("unit", "both"):
        found = score_interval(
            counts, resample=resample, rng=rng, n_resamples=N_RESAMPLES
        )
        yield tell(
            "HIS, new units and people",
            found.method,
            resample == "both",
            scenario.variances.mean,
            found.low,
            found.high,
        )
    crossed = crossed_contrast(
        answers["correct"], answers["unit"], answers["participant_id"]
    )
    yield tell(
        "HIS, new units and people",
        "two-way cluster-robust, t",
        True,
        scenario.variances.mean,
        crossed.ci_low,
        crossed.ci_high,
    )
    people = score_interval(
        counts, resample="participant", rng=rng, n_resamples=N_RESAMPLES
    )
    yield tell(
        "HIS, same units, new people",
        people.method,
        True,
        float(study.true_his.mean()),
        people.low,
        people.high,
    )
    units = human_interpretability(answers)
    first = units.iloc[0]
    yield tell(
        "HIS of one unit",
        "Wilson",
        True,
        float(study.true_his[0]),
        first["ci_low"],
        first["ci_high"],
    )
    yield from _noise(scenario, answers, units, rng)
    yield from _agreement(scenario, study, units, rng)


def _noise(
    scenario: Scenario,
    answers: pd.DataFrame,
    units: pd.DataFrame,
    rng: np.random.Generator,
) -> Iterator[Held]:
    """Tell the reliability of HIS, and what it allows a correlation to be."""
    tell = partial(held, scenario)
    single, mean = true_reliability(scenario)
    found = unit_reliability(answers)
    for name, truth in (("single", single), ("mean", mean)):
        quantity = f"ICC of {'single answers' if name == 'single' else 'unit means'}"
        for method, part in (
            ("jackknife over units, log signal to noise", ""),
            ("F", "_analytic"),
        ):
            yield tell(
                quantity,
                method,
                method != "F",
                truth,
                getattr(found, f"{name}{part}_low"),
                getattr(found, f"{name}{part}_high"),
            )
    low, high = found.mean_low, found.mean_high
    yield tell(
        "noise ceiling",
        "root of the ICC's interval",
        True,
        mean**0.5,
        None if low is None else max(low, 0.0) ** 0.5,
        None if high is None else max(high, 0.0) ** 0.5,
    )
    published = bernoulli_ceiling(units, rng=rng, n_simulated=200)
    yield tell(
        "noise ceiling",
        "middle 95% of Bernoulli simulations (published)",
        False,
        mean**0.5,
        published.low,
        published.high,
        published.correlation,
    )
    halves = split_half_ceiling(answers, rng=rng, n_splits=100)
    for quantity, method, truth, estimate in (
        (
            "reliability of HIS",
            "split halves, Spearman–Brown",
            mean,
            halves.reliability,
        ),
        ("reliability of HIS", "ICC of unit means", mean, found.mean),
        ("ICC of single answers", "analysis of variance", single, found.single),
        ("noise ceiling", "split halves", mean**0.5, halves.correlation),
        ("noise ceiling", "Bernoulli, noise out", mean**0.5, published.corrected),
    ):
        yield tell(quantity, method, True, truth, None, None, estimate)


def _agreement(
    scenario: Scenario,
    study: SimulatedStudy,
    units: pd.DataFrame,
    rng: np.random.Generator,
) -> Iterator[Held]:
    """Correlate the measured HIS with a score."""
    tell = partial(held, scenario)
    for method in METHODS:
        found = correlation(
            study.mis, units["his"], method=method, rng=rng, n_resamples=N_RESAMPLES
        )
        quantity = f"{method.capitalize()}'s r of MIS and HIS"
        truth = true_correlation(scenario, method)
        yield tell(
            quantity,
            "jackknife over units on z, t",
            True,
            truth,
            found.ci_low,
            found.ci_high,
            found.estimate,
        )
        yield tell(
            quantity,
            "BCa bootstrap over units, expanded",
            False,
            truth,
            found.bootstrap_low,
            found.bootstrap_high,
        )
        # They take both scores as normal, which HIS is not.
        yield tell(
            quantity,
            "Fisher" if method == "pearson" else "Bonett and Wright",
            False,
            truth,
            found.analytic_low,
            found.analytic_high,
        )
    cleared = disattenuated_correlation(
        study.mis,
        units["n_correct"],
        units["n_trials"],
        rng=rng,
        n_resamples=N_RESAMPLES,
    )
    yield tell(
        "r of MIS and HIS without noise",
        "BCa bootstrap over units, expanded",
        True,
        scenario.variances.correlation,
        cleared.ci_low,
        cleared.ci_high,
        cleared.estimate,
    )


def _groups(scenario: Scenario, rng: np.random.Generator) -> Iterator[Held]:
    """Contrast groups, by means and by the mixed model."""
    tell = partial(held, scenario)
    answers = simulated_study(scenario.variances, scenario.design, rng=rng).answers()
    means = scenario.variances.group_means()
    step = crossed_contrast(
        answers["correct"],
        answers["unit"],
        answers["participant_id"],
        groups=answers["group"],
        weights={"random": 1.0, "hardest": -1.0},
    )
    truth = means["random"] - means["hardest"]
    name = "contrast, random − hardest"
    yield tell(
        name,
        "two-way cluster-robust, t",
        True,
        truth,
        step.ci_low,
        step.ci_high,
    )
    fit = mixed_model(answers)
    terms = fit.terms.set_index("term")
    sd = float(np.hypot(scenario.variances.sd_unit, scenario.variances.sd_participant))
    centres = {group: log_odds_of(means[group], sd) for group in GROUPS}
    for group in ("hardest", "easiest"):
        row = terms.loc[f"group: {group}"]
        yield tell(
            f"mixed model, {group} − random (log odds)",
            "restricted Laplace, t",
            True,
            centres[group] - centres["random"],
            row["ci_low"],
            row["ci_high"],
        )
    cells = fit.cells.set_index("group")
    yield tell(
        "mixed model, HIS of random units",
        "restricted Laplace, t",
        True,
        means["random"],
        cells.loc["random", "model_low"],
        cells.loc["random", "model_high"],
    )
    for name, truth, interval in (
        ("units", scenario.variances.sd_unit, fit.sd_unit_interval),
        (
            "participants",
            scenario.variances.sd_participant,
            fit.sd_participant_interval,
        ),
    ):
        low, high = interval or (None, None)
        yield tell(
            f"mixed model, SD between {name}",
            "likelihood ratio",
            True,
            truth,
            low,
            high,
        )


def _variational(scenario: Scenario, rng: np.random.Generator) -> Iterator[Held]:
    """Ask statsmodels' variational fit about the same contrast."""
    tell = partial(held, scenario)
    if scenario is not SCENARIOS[0]:
        return
    from scipy.sparse import csr_array, hstack
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    study = simulated_study(scenario.variances, scenario.design, rng=rng)
    n = len(study.unit)
    levels = (study.unit, study.participant)
    effects = hstack([csr_array((np.ones(n), (np.arange(n), one))) for one in levels])
    group = study.group[study.unit]
    fixed = np.column_stack([np.ones(n), group == 0, group == 2]).astype("float64")
    which = np.repeat([0, 1], [one.max() + 1 for one in levels])
    model = BinomialBayesMixedGLM(
        study.correct.astype("float64"), fixed, effects.tocsr(), which, fe_p=10
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = model.fit_vb()
    sd = float(np.hypot(scenario.variances.sd_unit, scenario.variances.sd_participant))
    means = scenario.variances.group_means()
    truth = log_odds_of(means["hardest"], sd) - log_odds_of(means["random"], sd)
    half = 1.959964 * fit.fe_sd[1]
    yield tell(
        "mixed model, hardest − random (log odds)",
        "variational Bayes (statsmodels; not used)",
        False,
        truth,
        fit.fe_mean[1] - half,
        fit.fe_mean[1] + half,
    )


def _tau(scenario: Scenario, rng: np.random.Generator) -> Iterator[Held]:
    """Fit the scale of MIS to answers that follow it."""
    tell = partial(held, scenario)
    n_units = scenario.design.n_units
    mean, sd_unit, sd_task = scenario.margins
    margins = rng.normal(mean, sd_unit, (n_units, 1)) + rng.normal(
        0, sd_task, (n_units, N_TASKS)
    )
    names = [f"simulated::all::{number:04d}" for number in range(n_units)]
    n_trials = np.full(n_units, scenario.design.answers_per_unit)
    chance = expit(margins / scenario.tau).mean(axis=1)
    units = pd.DataFrame(
        {
            "unit": names,
            "n_correct": rng.binomial(n_trials, chance),
            "n_trials": n_trials,
        }
    )
    tasks = pd.DataFrame({"unit": np.repeat(names, N_TASKS), "margin": margins.ravel()})
    found = fit_tau(units, tasks, rng=rng, n_repeats=1, n_resamples=200)
    yield tell(
        "tau",
        "sandwich over units, log scale, t",
        True,
        scenario.tau,
        found.tau_low,
        found.tau_high,
        found.tau,
    )


SOURCES: Mapping[str, Callable[[Scenario, np.random.Generator], Iterator[Held]]] = (
    MappingProxyType(
        {"his": _his, "groups": _groups, "variational": _variational, "tau": _tau}
    )
)


def held(
    scenario: Scenario,
    quantity: str,
    method: str,
    claims: bool,
    truth: float,
    low: Any,
    high: Any,
    estimate: Any = None,
) -> Held:
    """Return the interval with None as NaN."""
    numbers = {
        name: np.nan if value is None else float(value)
        for name, value in (("low", low), ("high", high), ("estimate", estimate))
    }
    return Held(
        scenario=scenario.name,
        quantity=quantity,
        method=method,
        claims=claims,
        truth=truth,
        **numbers,
    )
