"""How each published number is computed, one function a statistic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.correlation import CorrelationResult, correlation
from analysis.evidence import Evidence, given
from analysis.his import (
    condition_score,
    human_interpretability,
    participant_mean,
    with_proportions,
)
from analysis.layer_control import layer_control
from analysis.noise_ceiling import NoiseCeiling, bernoulli_ceiling, split_half_ceiling
from analysis.signal_detection import sensitivity

LEVEL = 0.95
N_SPLITS = 4000

Where = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One number of ours.

    Attributes
    ----------
    value, low, high : float or None
        Value and 95% interval.
    basis : str
        What it is computed from, or why there is none.
    """

    value: float | None
    basis: str
    low: float | None = None
    high: float | None = None


def _rng(seed: int, purpose: int) -> np.random.Generator:
    """Return a generator of its own for each purpose."""
    return np.random.default_rng([seed, purpose])


def _answered_units(evidence: Evidence, where: Where) -> pd.DataFrame:
    units = given(evidence.borowski_units)
    own = units[units["explanation_method"] == where["explanation_method"]]
    return with_proportions(own, level=LEVEL).rename(
        columns={"proportion_correct": "his"}
    )


def his_mean(evidence: Evidence, where: Where, seed: int) -> Found:
    """HIS, mean over units."""
    score = condition_score(
        _answered_units(evidence, where), rng=_rng(seed, 0), level=LEVEL
    )
    return Found(
        value=score.his,
        low=score.ci_low,
        high=score.ci_high,
        basis=f"{score.n_units} units",
    )


def pearson(evidence: Evidence, where: Where, seed: int) -> Found:
    """Pearson correlation of MIS and HIS."""
    return _units_correlation(_answered_units(evidence, where), "pearson", seed)


def spearman(evidence: Evidence, where: Where, seed: int) -> Found:
    """Spearman correlation of MIS and HIS."""
    return _units_correlation(_answered_units(evidence, where), "spearman", seed)


def _units_correlation(units: pd.DataFrame, method: str, seed: int) -> Found:
    return _of_correlation(
        correlation(
            units["mis"], units["his"], method=method, rng=_rng(seed, 1), level=LEVEL
        )
    )


def _of_correlation(found: CorrelationResult) -> Found:
    return Found(
        value=found.estimate,
        low=found.ci_low,
        high=found.ci_high,
        basis=found.note or f"{found.n_units} units",
    )


def half_correlation(evidence: Evidence, where: Where, seed: int) -> Found:
    """Correlation of HIS from halves of the answers."""
    ceiling = _units_ceiling(evidence, where, seed)
    return _of_ceiling(ceiling, ceiling.half_correlation)


def reliability(evidence: Evidence, where: Where, seed: int) -> Found:
    """Reliability of HIS by Spearman–Brown."""
    ceiling = _units_ceiling(evidence, where, seed)
    return _of_ceiling(ceiling, ceiling.reliability)


def _units_ceiling(evidence: Evidence, where: Where, seed: int) -> NoiseCeiling:
    units = _answered_units(evidence, where)
    return split_half_ceiling(
        answers_of_counts(units), rng=_rng(seed, 2), n_splits=N_SPLITS
    )


def _of_ceiling(ceiling: NoiseCeiling, value: float | None) -> Found:
    basis = ceiling.note or f"{ceiling.n_units} units, {ceiling.n_splits} halves"
    return Found(value=value, basis=basis)


def answers_of_counts(units: pd.DataFrame) -> pd.DataFrame:
    """Return counted answers one by one, each of a session of its own."""
    repeated = units.loc[units.index.repeat(units["n_trials"])]
    number = repeated.groupby("unit").cumcount()
    return pd.DataFrame(
        {
            "unit": repeated["unit"],
            "session_id": number.astype(str),
            "correct": number < repeated["n_correct"],
        }
    )


def _cell(evidence: Evidence, where: Where) -> pd.DataFrame:
    answers = evidence.experiment(where["experiment"])
    for column, wanted in where.items():
        if column != "experiment":
            answers = answers[answers[column] == wanted]
    return answers


def participants_mean(evidence: Evidence, where: Where, seed: int) -> Found:
    """Proportion correct, mean over participants."""
    answers = _cell(evidence, where)
    if answers.empty:
        return Found(value=None, basis="answers in this cell")
    found = participant_mean(answers, level=LEVEL)
    return Found(
        value=found.mean,
        low=found.ci_low,
        high=found.ci_high,
        basis=f"{found.n_participants} participants",
    )


def two_standard_errors(evidence: Evidence, where: Where, seed: int) -> Found:
    """Twice the standard error of the participants' mean."""
    answers = _cell(evidence, where)
    if answers["participant_id"].nunique() < 2:
        return Found(value=None, basis="two participants or more")
    found = participant_mean(answers, level=LEVEL)
    return Found(value=found.two_se, basis=f"{found.n_participants} participants")


def d_prime(evidence: Evidence, where: Where, seed: int) -> Found:
    """Sensitivity of the 2-AFC, all answers together."""
    answers = _cell(evidence, where)
    found = sensitivity(answers, rng=_rng(seed, 3), level=LEVEL)
    return Found(
        value=found.dprime.estimate,
        low=found.dprime.ci_low,
        high=found.dprime.ci_high,
        basis=found.note or f"{found.n_trials} answers",
    )


def same_layer_control(evidence: Evidence, where: Where, seed: int) -> Found:
    """Mean correlation where each unit has the MIS of another of its layer."""
    units = _answered_units(evidence, where)
    found = layer_control(
        units, given(evidence.googlenet_mis), rng=_rng(seed, 4), level=LEVEL
    )
    return Found(
        value=found.control_mean,
        basis=found.note or f"{found.n_units} units, {found.n_draws} draws",
    )


def median_rt_ms(evidence: Evidence, where: Where, seed: int) -> Found:
    """Median response time of all answers."""
    answers = _cell(evidence, where)
    median = float(answers["rt_ms"].median()) if len(answers) else None
    return Found(value=median, basis=f"{len(answers)} answers")


def half_correlation_of_people(evidence: Evidence, where: Where, seed: int) -> Found:
    """Correlation of HIS from halves of the people."""
    answers = _cell(evidence, where)
    ceiling = split_half_ceiling(
        answers, halves="by_participant", rng=_rng(seed, 2), n_splits=N_SPLITS
    )
    return _of_ceiling(ceiling, ceiling.half_correlation)


def _imi_cell(evidence: Evidence, where: Where) -> pd.DataFrame:
    answers = given(evidence.imi)
    answers = answers[answers["difficulty"] == "easy"]
    if "model" in where:
        model = answers["unit"].str.partition("::")[0]
        answers = answers[model == where["model"]]
    for column in ("explanation_method", "confidence"):
        if column in where:
            answers = answers[answers[column] == where[column]]
    return answers


def model_his(evidence: Evidence, where: Where, seed: int) -> Found:
    """HIS of a model: mean over its units."""
    answers = _imi_cell(evidence, where)
    if answers.empty:
        return Found(value=None, basis="answers to this model")
    score = condition_score(
        human_interpretability(answers), rng=_rng(seed, 0), level=LEVEL
    )
    return Found(
        value=score.his,
        low=score.ci_low,
        high=score.ci_high,
        basis=f"{score.n_units} units, {score.n_trials} answers",
    )


def model_proportion(evidence: Evidence, where: Where, seed: int) -> Found:
    """Proportion correct of all answers to a model."""
    answers = _imi_cell(evidence, where)
    if answers.empty:
        return Found(value=None, basis="answers to this model")
    counted = pd.DataFrame(
        {"n_correct": [answers["correct"].sum()], "n_trials": [len(answers)]}
    )
    row = with_proportions(counted, level=LEVEL).iloc[0]
    return Found(
        value=float(row["proportion_correct"]),
        low=float(row["ci_low"]),
        high=float(row["ci_high"]),
        basis=f"{len(answers)} answers",
    )


def n_main(evidence: Evidence, where: Where, seed: int) -> Found:
    """Count the main trials of all conditions."""
    n = len(given(evidence.imi))
    return Found(value=n, basis=f"{n} answers")


def n_confidence(evidence: Evidence, where: Where, seed: int) -> Found:
    """Count the answers of one confidence."""
    of_model = {name: own for name, own in where.items() if name != "confidence"}
    if _imi_cell(evidence, of_model).empty:
        return Found(value=None, basis="answers to this model")
    n = len(_imi_cell(evidence, where))
    return Found(value=n, basis=f"{n} answers")


def _imi_units(evidence: Evidence, where: Where) -> pd.DataFrame:
    his = human_interpretability(_imi_cell(evidence, where))
    return his.merge(given(evidence.imi_mis)[["unit", "mis"]], on="unit").dropna()


def unit_pearson(evidence: Evidence, where: Where, seed: int) -> Found:
    """Pearson correlation over the units of all models."""
    return _units_correlation(_imi_units(evidence, where), "pearson", seed)


def unit_spearman(evidence: Evidence, where: Where, seed: int) -> Found:
    """Spearman correlation over the units of all models."""
    return _units_correlation(_imi_units(evidence, where), "spearman", seed)


def model_pearson(evidence: Evidence, where: Where, seed: int) -> Found:
    """Pearson correlation over models."""
    return _models_correlation(evidence, where, "pearson", seed)


def model_spearman(evidence: Evidence, where: Where, seed: int) -> Found:
    """Spearman correlation over models."""
    return _models_correlation(evidence, where, "spearman", seed)


def _models_correlation(
    evidence: Evidence, where: Where, method: str, seed: int
) -> Found:
    units = _imi_units(evidence, where)
    model = units["unit"].str.partition("::")[0]
    found = _units_correlation(
        units.groupby(model)[["mis", "his"]].mean(), method, seed
    )
    return Found(
        value=found.value,
        low=found.low,
        high=found.high,
        basis=f"{model.nunique()} models, {len(units)} units",
    )


def bernoulli(evidence: Evidence, where: Where, seed: int) -> Found:
    """Noise ceiling over the units of all models, as the MIS paper simulates it."""
    his = human_interpretability(_imi_cell(evidence, where))
    found = bernoulli_ceiling(his, rng=_rng(seed, 5))
    return Found(
        value=found.correlation,
        low=found.low,
        high=found.high,
        basis=found.note or f"{found.n_units} units",
    )


def layer_mis(evidence: Evidence, where: Where, seed: int) -> Found:
    """Mean MIS of a layer."""
    scores = given(evidence.googlenet_mis)
    layer = scores["unit"].str.split("::").str[1]
    return _mean_mis(scores.loc[layer == where["layer"], "mis"].dropna())


def mean_mis(evidence: Evidence, where: Where, seed: int) -> Found:
    """Mean MIS of all units."""
    return _mean_mis(given(evidence.googlenet_mis)["mis"].dropna())


def _mean_mis(mis: pd.Series) -> Found:
    value = float(mis.mean()) if len(mis) else None
    return Found(value=value, basis=f"{len(mis)} units")


STATISTICS: Mapping[str, Callable[[Evidence, Where, int], Found]] = {
    function.__name__: function
    for function in (
        his_mean,
        pearson,
        spearman,
        half_correlation,
        reliability,
        participants_mean,
        two_standard_errors,
        d_prime,
        same_layer_control,
        median_rt_ms,
        half_correlation_of_people,
        model_his,
        model_proportion,
        n_main,
        n_confidence,
        unit_pearson,
        unit_spearman,
        model_pearson,
        model_spearman,
        bernoulli,
        layer_mis,
        mean_mis,
    )
}
"""Name to function; the names are those of the published values."""
