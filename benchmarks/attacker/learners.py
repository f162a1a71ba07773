"""Two learners that look for anything, and an interval for how well they guess."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

N_FOLDS = 5
N_RESAMPLES = 4000
N_ERRORS = 4
"""Above chance to be called a leak: dozens of channels are tried by two learners."""

LEARNED_FROM_EACH_OTHER = np.sqrt(2)
"""How much less sure a cross-validated accuracy is than as many coins. What two folds
share by accident helps both, the one to be guessed from the other and the other way
round: every pair of trials counts twice."""

CHANCE = 0.5


@dataclass(frozen=True)
class Guess:
    """How often the better learner was right about trials that it had not seen.

    Attributes
    ----------
    accuracy : float
        Mean of the shares of both classes, in [0, 1]; 0.5 is chance.
    low, high : float
        95% interval; what is resampled is sessions, groups or single trials,
        whichever gives the widest: a few sessions that happen to agree look surer than
        as many coins can be.
    is_leak : bool
        Whether the accuracy is above chance by 4 standard errors.
    learner : str
    n_trials, n_clues : int
    """

    accuracy: float
    low: float
    high: float
    is_leak: bool
    learner: str
    n_trials: int
    n_clues: int

    def as_record(self) -> dict[str, object]:
        """Return it for a JSON file."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def guess(
    clues: NDArray[np.float64],
    answer: NDArray[np.bool_],
    groups: NDArray[np.str_] | NDArray[np.int64],
    sessions: NDArray[np.int64],
    *,
    seed: int,
) -> Guess:
    """Learn the answer from the clues and guess it for groups that were left out.

    Parameters
    ----------
    clues : (n_trials, n_clues) array
    answer : (n_trials,) array
    groups : (n_trials,) array
        What is never in two folds.
    sessions : (n_trials,) array
        Resampled for the interval, as the groups are: what is the same in every
        session, as the code of a picture, tells no more when it is seen again.
    seed : int
    """
    clusters = (groups, sessions, np.arange(len(answer)))
    found = [
        _judged(name, predicted, answer, clusters, clues.shape[1], seed)
        for name, predicted in _predictions(clues, answer, groups, seed)
    ]
    return max(found, key=lambda one: one.accuracy)


def _predictions(
    clues: NDArray[np.float64],
    answer: NDArray[np.bool_],
    groups: NDArray[np.str_] | NDArray[np.int64],
    seed: int,
) -> list[tuple[str, NDArray[np.bool_]]]:
    if clues.shape[1] == 0:
        # All trials look the same: nothing is left but a coin.
        coin = np.random.default_rng(seed).random(len(answer)) < CHANCE
        return [("nothing differs", coin)]
    learners = {
        "logistic regression": make_pipeline(
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=300, class_weight="balanced"),
        ),
        "gradient boosting": HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=6,
            min_samples_leaf=10,
            class_weight="balanced",
            random_state=seed,
        ),
    }
    n_folds = min(N_FOLDS, len(np.unique(groups)))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    # Threads that wait for each other are slower than one on a busy machine.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [
            (name, cross_val_predict(one, clues, answer, groups=groups, cv=folds))
            for name, one in learners.items()
        ]


def _judged(
    learner: str,
    predicted: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    clusters: Sequence[NDArray[Any]],
    n_clues: int,
    seed: int,
) -> Guess:
    hit = predicted == answer
    accuracy = float(np.mean([hit[answer].mean(), hit[~answer].mean()]))
    resampled = [_resampled(hit, answer, own, seed) for own in clusters]
    widest = max(resampled, key=lambda values: float(values.std()))
    away = (widest - accuracy) * LEARNED_FROM_EACH_OTHER
    low, high = np.clip(accuracy + np.quantile(away, [0.025, 0.975]), 0, 1)
    return Guess(
        accuracy=accuracy,
        low=float(low),
        high=float(high),
        is_leak=accuracy > CHANCE + N_ERRORS * float(away.std()),
        learner=learner,
        n_trials=len(answer),
        n_clues=n_clues,
    )


def _resampled(
    hit: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    clusters: NDArray[Any],
    seed: int,
) -> NDArray[np.float64]:
    """Return the accuracy of resamples of whole clusters."""
    own = np.unique(clusters, return_inverse=True)[1]
    n_own = int(own.max()) + 1

    def counted(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(own[which], minlength=n_own).astype(float)

    rights = np.stack([counted(hit & answer), counted(hit & ~answer)])
    totals = np.stack([counted(answer), counted(~answer)])
    drawn = np.random.default_rng(seed).integers(n_own, size=(N_RESAMPLES, n_own))
    # A resample without a trial of one class says nothing.
    shares = rights[:, drawn].sum(axis=2) / np.maximum(totals[:, drawn].sum(axis=2), 1)
    return shares.mean(axis=0)
