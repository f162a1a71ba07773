"""IMI's tests between models, on its answers or on unit scores like the published."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import chi2

from analysis.comparison import GroupComparison, compare_groups
from analysis.his import human_interpretability
from analysis.simulated_scores import (
    N_STUDIES,
    SimulatedComparison,
    simulated_comparison,
)

PUBLISHED_LEVEL = 0.95


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelComparison:
    """Which models people understand better than others, for one kind of explanation.

    Attributes
    ----------
    explanation_method : str
    models : DataFrame
        One row a model: 'model', 'explanation_method', 'his', 'ci_low', 'ci_high',
        'n_units'.
    groups : GroupComparison
        Kruskal–Wallis and Conover's test with Holm's correction over unit scores;
        of simulated scores the median over all draws.
    draws : SimulatedComparison or None
        Where unit scores were drawn from the published means, intervals and numbers of
        units, instead of counted from answers: what each test gave over the draws.
    """

    explanation_method: str
    models: pd.DataFrame = field(repr=False)
    groups: GroupComparison
    draws: SimulatedComparison | None = field(default=None, repr=False)

    @property
    def simulated(self) -> bool:
        """Whether the unit scores were drawn."""
        return self.draws is not None


def compare_published_models(
    table: pd.DataFrame, *, seed: int, n_studies: int = N_STUDIES
) -> tuple[ModelComparison, ...]:
    """Compare models on simulated unit scores, one comparison a kind of explanation."""
    found = []
    for number, (method, own) in enumerate(table.groupby("explanation_method")):
        rng = np.random.default_rng([seed, number])
        draws = simulated_comparison(own, str(method), rng=rng, n_studies=n_studies)
        columns = ["model", "explanation_method", "his", "ci_low", "ci_high", "n_units"]
        found.append(
            ModelComparison(
                explanation_method=str(method),
                models=own[columns].reset_index(drop=True),
                groups=_typical(draws, own),
                draws=draws,
            )
        )
    return tuple(found)


def _typical(draws: SimulatedComparison, published: pd.DataFrame) -> GroupComparison:
    """Return what the median draw gives, so that no verdict hangs on one of them."""
    return GroupComparison(
        groups=published.rename(columns={"model": "group"})[
            ["group", "n_units", "his", "ci_low", "ci_high"]
        ].reset_index(drop=True),
        pairs=draws.pairs.assign(
            ci_low=np.nan,
            ci_high=np.nan,
            p_raw=np.nan,
            p_holm=draws.pairs["p_holm_median"],
        ),
        statistic=draws.statistic,
        p_value=float(chi2.sf(draws.statistic, draws.df)),
        df=draws.df,
        epsilon_squared=draws.statistic / (draws.n_units - 1),
        n_units=draws.n_units,
        level=PUBLISHED_LEVEL,
        note=draws.note,
    )


def compare_answered_models(
    answers: pd.DataFrame, names: Mapping[str, str], *, seed: int
) -> tuple[ModelComparison, ...]:
    """Compare models on IMI's answers to the usual difficulty.

    Parameters
    ----------
    answers : DataFrame
        Main trials of IMI that count.
    names : mapping
        Model as the release names it to its name in the paper.
    """
    found = []
    easy = answers[answers["difficulty"] == "easy"]
    for number, (method, own) in enumerate(easy.groupby("explanation_method")):
        rng = np.random.default_rng([seed, number])
        units = human_interpretability(own)
        model = units["unit"].str.partition("::")[0]
        units["group"] = model.map(lambda one: names.get(one, one))
        groups = compare_groups(units, rng=rng, level=PUBLISHED_LEVEL)
        models = groups.groups.rename(columns={"group": "model"})
        found.append(
            ModelComparison(
                explanation_method=str(method),
                models=models.assign(explanation_method=str(method)),
                groups=groups,
            )
        )
    return tuple(found)
