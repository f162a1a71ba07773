"""Simulated studies with known truth, and the intervals that have to hold it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis.correlation import correlation
from analysis.crossed import crossed_contrast
from analysis.his import human_interpretability
from analysis.mixed_model import mixed_model
from analysis.noise_ceiling import bernoulli_ceiling
from analysis.power_simulation import (
    GROUPS,
    SimulatedStudy,
    StudyDesign,
    Variances,
    his_spread,
    log_odds_of,
    simulated_study,
)
from analysis.reliability import unit_reliability
from analysis.resampling import count_answers
from analysis.score_intervals import score_interval
from analysis.tau import fit_tau

PLANTED = Variances(
    mean=0.83,
    sd_unit=0.8,
    sd_participant=0.4,
    correlation=0.8,
    step=0.1,
    source="chosen near IMI's",
)
DESIGN = StudyDesign(n_units=60, answers_per_unit=20, main_trials=30)
TAU, N_TASKS = 0.16, 20
N_RESAMPLES = 999


@dataclass(frozen=True, kw_only=True)
class Held:
    """One interval of one simulated study.

    Attributes
    ----------
    quantity, method : str
    claims : bool
        Whether the method claims to hold for what is asked of it here.
    truth : float
    low, high : float
    """

    quantity: str
    method: str
    claims: bool
    truth: float
    low: float
    high: float


def _his(rng: np.random.Generator) -> Iterator[Held]:
    """Score all units: for other units, other people, or both."""
    study = simulated_study(PLANTED, DESIGN, rng=rng, groups=False)
    answers = study.answers()
    counts = count_answers(answers)
    for resample in ("unit", "both"):
        found = score_interval(
            counts, resample=resample, rng=rng, n_resamples=N_RESAMPLES
        )
        yield _held(
            "HIS, new units and people",
            found.method,
            resample == "both",
            PLANTED.mean,
            found.low,
            found.high,
        )
    crossed = crossed_contrast(
        answers["correct"], answers["unit"], answers["participant_id"]
    )
    yield _held(
        "HIS, new units and people",
        "two-way cluster-robust, t",
        True,
        PLANTED.mean,
        crossed.ci_low,
        crossed.ci_high,
    )
    people = score_interval(
        counts, resample="participant", rng=rng, n_resamples=N_RESAMPLES
    )
    yield _held(
        "HIS, same units, new people",
        people.method,
        True,
        float(study.true_his.mean()),
        people.low,
        people.high,
    )
    units = human_interpretability(answers)
    first = units.iloc[0]
    yield _held(
        "HIS of one unit",
        "Wilson",
        True,
        float(study.true_his[0]),
        first["ci_low"],
        first["ci_high"],
    )
    yield from _noise(answers, units, rng)
    yield from _agreement(study, units, rng)


def _noise(
    answers: pd.DataFrame, units: pd.DataFrame, rng: np.random.Generator
) -> Iterator[Held]:
    """Tell the reliability of HIS, and what it allows a correlation to be."""
    single, mean = true_reliability()
    found = unit_reliability(answers, rng=rng, n_resamples=N_RESAMPLES)
    for name, truth in (("single", single), ("mean", mean)):
        quantity = f"ICC of {'single answers' if name == 'single' else 'unit means'}"
        for method, part in (("bootstrap over units", ""), ("F", "_analytic")):
            yield _held(
                quantity,
                method,
                method != "F",
                truth,
                getattr(found, f"{name}{part}_low"),
                getattr(found, f"{name}{part}_high"),
            )
    low, high = found.mean_low, found.mean_high
    yield _held(
        "noise ceiling",
        "root of the ICC's bootstrap",
        True,
        mean**0.5,
        None if low is None else max(low, 0.0) ** 0.5,
        None if high is None else max(high, 0.0) ** 0.5,
    )
    published = bernoulli_ceiling(units, rng=rng, n_simulated=200)
    yield _held(
        "noise ceiling",
        "middle 95% of Bernoulli simulations (published)",
        False,
        mean**0.5,
        published.low,
        published.high,
    )


def _agreement(
    study: SimulatedStudy, units: pd.DataFrame, rng: np.random.Generator
) -> Iterator[Held]:
    """Correlate the measured HIS with a score."""
    truth = PLANTED.correlation * true_reliability()[1] ** 0.5
    found = correlation(
        study.mis, units["his"], method="pearson", rng=rng, n_resamples=N_RESAMPLES
    )
    for method, low, high in (
        ("BCa bootstrap over units", found.ci_low, found.ci_high),
        ("Fisher", found.analytic_low, found.analytic_high),
    ):
        # Fisher's takes both scores as normal, which HIS is not.
        claims = method != "Fisher"
        yield _held("Pearson r of MIS and HIS", method, claims, truth, low, high)


def _groups(rng: np.random.Generator) -> Iterator[Held]:
    """Contrast groups, by means and by the mixed model."""
    answers = simulated_study(PLANTED, DESIGN, rng=rng).answers()
    means = PLANTED.group_means()
    step = crossed_contrast(
        answers["correct"],
        answers["unit"],
        answers["participant_id"],
        groups=answers["group"],
        weights={"random": 1.0, "hardest": -1.0},
    )
    truth = means["random"] - means["hardest"]
    name = "contrast, random − hardest"
    yield _held(
        name, "two-way cluster-robust, t", True, truth, step.ci_low, step.ci_high
    )
    fit = mixed_model(answers)
    terms = fit.terms.set_index("term")
    sd = float(np.hypot(PLANTED.sd_unit, PLANTED.sd_participant))
    centres = {group: log_odds_of(means[group], sd) for group in GROUPS}
    for group in ("hardest", "easiest"):
        row = terms.loc[f"group: {group}"]
        yield _held(
            f"mixed model, {group} − random (log odds)",
            "restricted Laplace, t",
            True,
            centres[group] - centres["random"],
            row["ci_low"],
            row["ci_high"],
        )
    cells = fit.cells.set_index("group")
    yield _held(
        "mixed model, HIS of random units",
        "restricted Laplace, t",
        True,
        means["random"],
        cells.loc["random", "model_low"],
        cells.loc["random", "model_high"],
    )
    for name, truth, interval in (
        ("units", PLANTED.sd_unit, fit.sd_unit_interval),
        ("participants", PLANTED.sd_participant, fit.sd_participant_interval),
    ):
        low, high = interval or (None, None)
        yield _held(
            f"mixed model, SD between {name}",
            "likelihood ratio",
            True,
            truth,
            low,
            high,
        )


def _variational(rng: np.random.Generator) -> Iterator[Held]:
    """Ask statsmodels' variational fit about the same contrast."""
    from scipy.sparse import csr_array, hstack
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    study = simulated_study(PLANTED, DESIGN, rng=rng)
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
    sd = float(np.hypot(PLANTED.sd_unit, PLANTED.sd_participant))
    means = PLANTED.group_means()
    truth = log_odds_of(means["hardest"], sd) - log_odds_of(means["random"], sd)
    half = 1.959964 * fit.fe_sd[1]
    yield _held(
        "mixed model, hardest − random (log odds)",
        "variational Bayes (statsmodels; not used)",
        False,
        truth,
        fit.fe_mean[1] - half,
        fit.fe_mean[1] + half,
    )


def _tau(rng: np.random.Generator) -> Iterator[Held]:
    """Fit the scale of MIS to answers that follow it."""
    n_units = DESIGN.n_units
    margins = rng.normal(0.35, 0.2, (n_units, 1)) + rng.normal(
        0, 0.15, (n_units, N_TASKS)
    )
    names = [f"simulated::all::{number:04d}" for number in range(n_units)]
    n_trials = np.full(n_units, DESIGN.answers_per_unit)
    chance = expit(margins / TAU).mean(axis=1)
    units = pd.DataFrame(
        {
            "unit": names,
            "n_correct": rng.binomial(n_trials, chance),
            "n_trials": n_trials,
        }
    )
    tasks = pd.DataFrame({"unit": np.repeat(names, N_TASKS), "margin": margins.ravel()})
    found = fit_tau(units, tasks, rng=rng, n_repeats=1, n_resamples=200)
    yield _held(
        "tau",
        "percentile bootstrap over units",
        True,
        TAU,
        found.tau_low,
        found.tau_high,
    )


SOURCES: Mapping[str, Callable[[np.random.Generator], Iterator[Held]]] = (
    MappingProxyType(
        {"his": _his, "groups": _groups, "variational": _variational, "tau": _tau}
    )
)


def true_reliability() -> tuple[float, float]:
    """Return the ICC of single answers and of unit means that are planted."""
    mean, sd = his_spread(PLANTED)
    single = sd**2 / (mean * (1 - mean))
    k = DESIGN.answers_per_unit
    return single, k * single / (1 + (k - 1) * single)


def _held(
    quantity: str,
    method: str,
    claims: bool,
    truth: float,
    low: Any,
    high: Any,
) -> Held:
    return Held(
        quantity=quantity,
        method=method,
        claims=claims,
        truth=truth,
        low=np.nan if low is None else float(low),
        high=np.nan if high is None else float(high),
    )
