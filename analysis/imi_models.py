"""IMI's tests between models, on its answers or on unit scores like the published."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.comparison import GroupComparison, compare_groups
from analysis.his import human_interpretability

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
        Kruskal–Wallis and Conover's test with Holm's correction over unit scores.
    simulated : bool
        Whether the unit scores were drawn from the published means, intervals and
        numbers of units, instead of counted from answers.
    """

    explanation_method: str
    models: pd.DataFrame = field(repr=False)
    groups: GroupComparison
    simulated: bool


def published_unit_scores(
    table: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw unit scores with the published means, spreads and numbers of units.

    Parameters
    ----------
    table : DataFrame
        As in :data:`data.published.MODEL_SCORES`, one kind of explanation.

    Returns
    -------
    DataFrame
        'group' (the model) and 'his'; each model's mean is the published one, and
        its standard deviation the one that the published interval implies.
    """
    parts = []
    for row in table.sort_values("model").to_dict("records"):
        n, mean = int(row["n_units"]), float(row["his"])
        sd = implied_sd(row["ci_low"], row["ci_high"], n)
        his = _drawn(mean, sd, n, rng)
        parts.append(pd.DataFrame({"group": row["model"], "his": his}))
    return pd.concat(parts, ignore_index=True)


def implied_sd(ci_low: float, ci_high: float, n_units: int) -> float:
    """Return the standard deviation between units that an interval implies."""
    width = float(norm.ppf((1 + PUBLISHED_LEVEL) / 2))
    return (ci_high - ci_low) / 2 / width * float(np.sqrt(n_units))


def _drawn(
    mean: float, sd: float, n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw from a beta distribution, then shift and stretch to mean and sd."""
    k = mean * (1 - mean) / sd**2 - 1
    drawn = rng.beta(mean * k, (1 - mean) * k, n)
    drawn = (drawn - drawn.mean()) / drawn.std(ddof=1) * sd + mean
    return np.asarray(drawn, dtype="float64")


def compare_published_models(
    table: pd.DataFrame, *, seed: int
) -> tuple[ModelComparison, ...]:
    """Compare models on simulated unit scores, one comparison a kind of explanation."""
    found = []
    for number, (method, own) in enumerate(table.groupby("explanation_method")):
        rng = np.random.default_rng([seed, number])
        scores = published_unit_scores(own, rng)
        columns = ["model", "explanation_method", "his", "ci_low", "ci_high", "n_units"]
        found.append(
            ModelComparison(
                explanation_method=str(method),
                models=own[columns].reset_index(drop=True),
                groups=compare_groups(scores, rng=rng, level=PUBLISHED_LEVEL),
                simulated=True,
            )
        )
    return tuple(found)


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
                simulated=False,
            )
        )
    return tuple(found)
