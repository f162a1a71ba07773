"""What the studies of the coverage table are drawn from, and the truth they hold."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import kendalltau, spearmanr

from analysis.simulated_studies import (
    StudyDesign,
    Variances,
    his_spread,
    simulated_study,
)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What studies are drawn from.

    Attributes
    ----------
    name : str
    variances : Variances
    design : StudyDesign
    tau : float
        By which answers follow margins, where tau is what is asked for.
    margins : (float, float, float)
        Mean of the margins, and their SD between units and between a unit's tasks.
    """

    name: str
    variances: Variances
    design: StudyDesign
    tau: float
    margins: tuple[float, float, float]

    def __hash__(self) -> int:
        """Let what holds for all studies be computed once."""
        return hash(self.name)


SCENARIOS = (
    Scenario(
        name="many units",
        variances=Variances(
            mean=0.83,
            sd_unit=0.8,
            sd_participant=0.4,
            correlation=0.8,
            step=0.1,
            source="chosen near IMI's",
        ),
        design=StudyDesign(n_units=60, answers_per_unit=20, main_trials=30),
        tau=0.16,
        margins=(0.35, 0.2, 0.15),
    ),
    Scenario(
        name="few units",
        variances=Variances(
            mean=0.7,
            sd_unit=1.2,
            sd_participant=0.6,
            correlation=0.5,
            step=0.1,
            source="unlike IMI's: harder, more varied, fewer units with more answers",
        ),
        design=StudyDesign(n_units=24, answers_per_unit=40, main_trials=12),
        tau=0.3,
        margins=(0.3, 0.3, 0.2),
    ),
)


N_POPULATION = 200_000


def true_reliability(scenario: Scenario) -> tuple[float, float]:
    """Return the ICC of single answers and of unit means that are planted."""
    mean, sd = his_spread(scenario.variances)
    single = sd**2 / (mean * (1 - mean))
    k = scenario.design.answers_per_unit
    return single, k * single / (1 + (k - 1) * single)


@cache
def true_correlation(scenario: Scenario, method: str) -> float:
    """Return the correlation of MIS with HIS of so many answers, over all units."""
    if method == "pearson":
        reliability = true_reliability(scenario)[1]
        return float(scenario.variances.correlation * reliability**0.5)
    rng = np.random.default_rng(0)
    many = StudyDesign(n_units=N_POPULATION, answers_per_unit=1, main_trials=1000)
    study = simulated_study(scenario.variances, many, rng=rng, groups=False)
    n_answers = scenario.design.answers_per_unit
    his = rng.binomial(n_answers, study.true_his) / n_answers
    if method == "spearman":
        return float(spearmanr(study.mis, his).statistic)
    return float(kendalltau(study.mis, his).statistic)
