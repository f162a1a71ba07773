"""Simulated studies of a design, and how wide their intervals are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from analysis.correlation import jackknife_on_z
from analysis.crossed import clustered_variance
from analysis.simulated_studies import (
    GROUPS,
    SimulatedStudy,
    StudyDesign,
    Variances,
    simulated_study,
)

Array = NDArray[np.float64]
Places = NDArray[np.intp]

STEPS = (("random", "hardest"), ("easiest", "random"))
QUESTIONS = ("his", "correlation", "contrast")
FEWEST_UNITS: Mapping[str, int] = {"his": 2, "correlation": 5, "contrast": 6}


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    """What many simulated studies of one design gave for one question.

    Attributes
    ----------
    question : str
        One of :data:`QUESTIONS`.
    widths : (n_simulations,) float array
        Of the interval; of the wider step for the contrast.
    told_apart : (n_simulations,) bool array
        Whether no interval holds 0: both steps, for the contrast.
    covered : (n_simulations,) float array
        Share of the study's intervals that hold the truth; NaN where the truth
        is no single number.
    """

    question: str
    widths: Array
    told_apart: NDArray[np.bool_]
    covered: Array

    @property
    def width(self) -> float:
        """Mean width."""
        return float(self.widths.mean())

    @property
    def width_error(self) -> float:
        """Standard error of the mean width."""
        return float(self.widths.std(ddof=1) / np.sqrt(len(self.widths)))

    @property
    def power(self) -> float:
        """Share of studies that tell 0 apart."""
        return float(self.told_apart.mean())

    @property
    def power_error(self) -> float:
        """Standard error of the power, never 0."""
        n = len(self.told_apart)
        share = (self.told_apart.sum() + 1) / (n + 2)
        return float(np.sqrt(share * (1 - share) / n))


def outcomes(
    question: str,
    variances: Variances,
    design: StudyDesign,
    *,
    n_simulations: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Outcomes:
    """Simulate a design many times and take each study's interval.

    Raises
    ------
    ValueError
        The design has fewer units than the question needs.
    """
    if design.n_units < FEWEST_UNITS[question]:
        raise ValueError(
            f"'n_units' is {design.n_units}; {question!r} needs at least"
            f" {FEWEST_UNITS[question]}."
        )
    interval = {
        "his": _his_intervals,
        "correlation": _correlation_intervals,
        "contrast": _contrast_intervals,
    }[question]
    truths = _truths(question, variances)
    found = np.array(
        [
            interval(
                simulated_study(
                    variances, design, rng=rng, groups=question == "contrast"
                ),
                level,
            )
            for _ in range(n_simulations)
        ]
    )
    low, high = found[..., 0], found[..., 1]
    return Outcomes(
        question=question,
        widths=(high - low).max(axis=1),
        told_apart=np.asarray((low > 0).all(axis=1)),
        covered=np.where(
            np.isfinite(truths), (low <= truths) & (truths <= high), np.nan
        ).mean(axis=1),
    )


def _truths(question: str, variances: Variances) -> Array:
    means = variances.group_means()
    if question == "his":
        return np.array([variances.mean])
    if question == "contrast":
        return np.array([means[high] - means[low] for high, low in STEPS])
    return np.array([np.nan])


def _his_intervals(study: SimulatedStudy, level: float) -> Array:
    of_all = np.ones(len(study.group))
    return np.array([_interval(study, of_all, level)])


def _contrast_intervals(study: SimulatedStudy, level: float) -> Array:
    found = []
    for high, low in STEPS:
        sign = (study.group == GROUPS.index(high)).astype("float64")
        sign -= study.group == GROUPS.index(low)
        found.append(_interval(study, sign, level))
    return np.array(found)


def _interval(study: SimulatedStudy, sign: Array, level: float) -> tuple[float, float]:
    """Do what :func:`analysis.crossed.crossed_contrast` does, on arrays."""
    n_answers = np.bincount(study.unit, minlength=len(sign))
    his = np.bincount(study.unit, study.correct) / n_answers
    estimate, centre, weight = 0.0, np.zeros(len(sign)), np.zeros(len(sign))
    fewest = int(study.participant.max()) + 1
    for one in (1, -1):
        members = sign == one
        n = int(members.sum())
        if n:
            mean = float(his[members].mean())
            estimate += one * mean
            centre[members] = mean
            weight[members] = one * np.sqrt(n / (n - 1)) / n
            fewest = min(fewest, n)
    influence = (study.correct - centre[study.unit]) * (weight / n_answers)[study.unit]
    kept = sign[study.unit] != 0
    variance = clustered_variance(
        influence[kept], study.unit[kept], study.participant[kept]
    )
    half = float(student_t.ppf((1 + level) / 2, fewest - 1) * np.sqrt(variance))
    return estimate - half, estimate + half


def _correlation_intervals(study: SimulatedStudy, level: float) -> Array:
    """Do what :func:`analysis.correlation.correlation` does, on arrays."""
    his = np.bincount(study.unit, study.correct) / np.bincount(study.unit)
    x, y = study.mis - study.mis.mean(), his - his.mean()
    sums = np.column_stack([np.ones(len(his)), x, y, x**2, y**2, x * y])
    total = sums.sum(axis=0)
    with np.errstate(all="ignore"):
        limits = jackknife_on_z(
            float(_pearson_of_sums(total)), _pearson_of_sums(total - sums), level=level
        )
    return np.array([limits or (-1.0, 1.0)])


def _pearson_of_sums(sums: Array) -> Array:
    n, x, y, x2, y2, xy = np.moveaxis(sums, -1, 0)
    return (n * xy - x * y) / np.sqrt((n * x2 - x**2) * (n * y2 - y**2))
