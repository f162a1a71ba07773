"""Unit scores drawn anew from published means, where the answers are not at hand."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kruskal, norm

from analysis.comparison import with_conover
from analysis.families import SIGNIFICANCE_LEVEL
from data.errors import DataContractError

N_STUDIES = 200

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedComparison:
    """What the group tests give in simulated studies that have the published scores.

    These are not results about people: the unit scores are simulated. They tell which
    of the published differences of means are large enough, with the published
    spreads and numbers of units, to be found.

    Attributes
    ----------
    explanation_method : str
    groups : DataFrame
        One row a model: 'group', 'his', 'sd' (between units, implied by the published
        interval), 'n_units'.
    pairs : DataFrame
        One row a pair of models: 'group_a', 'group_b', 'difference', 'p_holm_median',
        'share_found' (studies with Holm's p below the significance level).
    statistic : float
        Median Kruskal–Wallis H.
    statistic_low, statistic_high : float
        Where the middle 95% of studies lie.
    p_value_high : float
        The p that 97.5% of the studies do not exceed.
    share_found : float
        Studies with a Kruskal–Wallis p below the significance level.
    df : int
    n_units : int
    n_studies : int
    significance_level : float
    note : str
        Says that the scores are simulated, and from what.
    """

    explanation_method: str
    groups: pd.DataFrame = field(repr=False)
    pairs: pd.DataFrame = field(repr=False)
    statistic: float
    statistic_low: float
    statistic_high: float
    p_value_high: float
    share_found: float
    df: int
    n_units: int
    n_studies: int
    significance_level: float
    note: str


def implied_sd(published: pd.DataFrame, *, level: float = 0.95) -> pd.Series:
    """Return the spread between units that the published intervals of means imply.

    Parameters
    ----------
    published : DataFrame
        As in :data:`data.published.MODEL_SCORES`: 'ci_low', 'ci_high', 'n_units'.

    Notes
    -----
    An interval of a mean over n units is about 2 z SD / √n wide.
    """
    width = published["ci_high"] - published["ci_low"]
    z = float(norm.ppf((1 + level) / 2))
    return (width * np.sqrt(published["n_units"]) / (2 * z)).rename("sd")


def simulated_unit_scores(
    published: pd.DataFrame, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw unit scores with the published mean, implied SD and size of each model.

    Returns
    -------
    DataFrame
        One row a unit: 'group' (the model), 'his' in [0, 1], 'simulated' (True).

    Notes
    -----
    Drawn from a beta distribution of that mean and SD, then shifted and stretched so
    that the sample itself has both (to 0.001).
    """
    described = zip(
        published["model"],
        published["his"].to_numpy("float64"),
        implied_sd(published).to_numpy("float64"),
        published["n_units"].to_numpy("int64"),
        strict=True,
    )
    drawn = [
        pd.DataFrame({"group": model, "his": _scores(mean, sd, n_units, rng)})
        for model, mean, sd, n_units in described
    ]
    return pd.concat(drawn, ignore_index=True).assign(simulated=True)


def simulated_comparison(
    published: pd.DataFrame,
    explanation_method: str,
    *,
    rng: np.random.Generator,
    n_studies: int = N_STUDIES,
    significance_level: float = SIGNIFICANCE_LEVEL,
) -> SimulatedComparison:
    """Run IMI's group tests on many simulated studies with the published scores.

    Parameters
    ----------
    published : DataFrame
        As in :data:`data.published.MODEL_SCORES`.
    explanation_method : str
        ``"natural"`` or ``"synthetic"``.

    Raises
    ------
    DataContractError
        Fewer than two models have scores with that method.
    """
    own = published[published["explanation_method"] == explanation_method]
    if len(own) < 2:
        raise DataContractError(
            f"{len(own)} models have scores with {explanation_method!r} explanations;"
            " a comparison needs at least 2. Name another method."
        )
    names = own["model"].tolist()
    pairs = pd.DataFrame(list(combinations(names, 2)), columns=["group_a", "group_b"])
    tests, p_holm = [], []
    for _ in range(n_studies):
        drawn = simulated_unit_scores(own, rng=rng)
        samples = {
            name: drawn.loc[drawn["group"] == name, "his"].to_numpy("float64")
            for name in names
        }
        tests.append(tuple(map(float, kruskal(*samples.values()))))
        p_holm.append(with_conover(pairs, samples)["p_holm"].to_numpy("float64"))
    h, p = np.array(tests).T
    his = own.set_index("model")["his"]
    low, middle, high = np.quantile(h, [0.025, 0.5, 0.975])
    return SimulatedComparison(
        explanation_method=explanation_method,
        groups=pd.DataFrame(
            {
                "group": names,
                "his": own["his"].to_numpy(),
                "sd": implied_sd(own).to_numpy(),
                "n_units": own["n_units"].to_numpy(),
            }
        ),
        pairs=pairs.assign(
            difference=his[pairs["group_a"]].to_numpy()
            - his[pairs["group_b"]].to_numpy(),
            p_holm_median=np.median(p_holm, axis=0),
            share_found=(np.array(p_holm) < significance_level).mean(axis=0),
        ),
        statistic=float(middle),
        statistic_low=float(low),
        statistic_high=float(high),
        p_value_high=float(np.quantile(p, 0.975)),
        share_found=float((p < significance_level).mean()),
        df=len(names) - 1,
        n_units=int(own["n_units"].sum()),
        n_studies=n_studies,
        significance_level=significance_level,
        note=(
            f"simulated: {n_studies} sets of unit scores with the published means and"
            " numbers of units, and the SDs that the published intervals imply"
        ),
    )


def _scores(mean: float, sd: float, n_units: int, rng: np.random.Generator) -> Array:
    spread = mean * (1 - mean) / sd**2 - 1
    drawn = rng.beta(mean * spread, (1 - mean) * spread, n_units)
    # Clipping moves both a little, so they are set again until that no longer counts.
    for _ in range(20):
        drawn = mean + (drawn - drawn.mean()) * sd / drawn.std(ddof=1)
        drawn = np.clip(drawn, 0, 1)
    return drawn
