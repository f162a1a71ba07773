"""Studies drawn with known truth: units, participants and their answers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

Array = NDArray[np.float64]
Places = NDArray[np.intp]

GROUPS = ("hardest", "random", "easiest")


NEAR_CERTAIN = 0.985
"""HIS of a group is not planted above this."""


@dataclass(frozen=True, kw_only=True)
class Variances:
    """What a simulated study is drawn from.

    Attributes
    ----------
    mean : float
        HIS of units that are drawn at random, in (0.5, 1).
    sd_unit, sd_participant : float
        Standard deviations between units and between participants (log odds).
    correlation : float
        Of MIS with HIS that has no noise, in [0, 1).
    step : float
        By how much HIS differs between hardest and random, and between random and
        easiest units; the latter less where HIS can't be that high.
    source : str
        Where the numbers are from, in words.
    """

    mean: float
    sd_unit: float
    sd_participant: float
    correlation: float
    step: float
    source: str

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.5 < self.mean < NEAR_CERTAIN:
            raise ValueError(
                f"'mean' is {self.mean}; it must be in (0.5, {NEAR_CERTAIN})."
            )
        if not 0 <= self.correlation < 1:
            raise ValueError(
                f"'correlation' is {self.correlation}; it must be in [0, 1)."
            )
        if not 0 < self.step < self.mean:
            raise ValueError(f"'step' is {self.step}; it must be in (0, {self.mean}).")

    def group_means(self) -> dict[str, float]:
        """Return the HIS that each group of units has."""
        return {
            "hardest": self.mean - self.step,
            "random": self.mean,
            "easiest": min(self.mean + self.step, NEAR_CERTAIN),
        }


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """How many units, and how they are shared out.

    Attributes
    ----------
    n_units : int
    answers_per_unit : int
    main_trials : int
        Most main trials of a session; no participant meets a unit twice.
    """

    n_units: int
    answers_per_unit: int
    main_trials: int

    @property
    def trials_each(self) -> int:
        """Main trials of a session."""
        return min(self.main_trials, self.n_units)

    @property
    def n_participants(self) -> int:
        """Sessions that count, to fill every unit."""
        return -(-self.n_units * self.answers_per_unit // self.trials_each)


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedStudy:
    """Answers to units with known truth.

    Attributes
    ----------
    unit, participant : (n,) int arrays
    correct : (n,) bool array
    group : (n_units,) int array
        Places in :data:`GROUPS`.
    true_his, mis : (n_units,) float arrays
        HIS without noise, and the machine's score in standard units.
    """

    unit: Places
    participant: Places
    correct: NDArray[np.bool_]
    group: Places
    true_his: Array
    mis: Array

    def answers(self) -> pd.DataFrame:
        """Return a table of main trials, as the analysis reads them."""
        people = [f"p{number:05d}" for number in self.participant]
        order = pd.Series(self.participant).groupby(self.participant).cumcount()
        return pd.DataFrame(
            {
                "session_id": [f"s{name}" for name in people],
                "participant_id": people,
                "unit": [f"simulated::all::{number:05d}" for number in self.unit],
                "kind": "main",
                "group": np.array(GROUPS, dtype=object)[self.group[self.unit]],
                "correct": self.correct,
                "trial_index": order,
            }
        )


def simulated_study(
    variances: Variances,
    design: StudyDesign,
    *,
    rng: np.random.Generator,
    groups: bool = True,
) -> SimulatedStudy:
    """Draw units and participants, and let each answer as the log odds have it.

    Parameters
    ----------
    groups : bool
        Three groups of (about) as many units; all units at random otherwise.
    """
    unit, participant = assignment(design, rng=rng)
    number = np.arange(design.n_units)
    group = rng.permutation(number % 3) if groups else np.ones_like(number)
    centres = _centres(variances)[group]
    of_unit = centres + variances.sd_unit * rng.normal(size=design.n_units)
    of_person = variances.sd_participant * rng.normal(size=design.n_participants)
    chance = expit(of_unit[unit] + of_person[participant])
    true_his = his_without_noise(of_unit, variances.sd_participant)
    return SimulatedStudy(
        unit=unit,
        participant=participant,
        correct=rng.random(len(unit)) < chance,
        group=group,
        true_his=true_his,
        mis=_machine_scores(true_his, variances, rng),
    )


def assignment(
    design: StudyDesign, *, rng: np.random.Generator
) -> tuple[Places, Places]:
    """Share units out so that each is met equally often, and by nobody twice.

    Returns
    -------
    unit, participant : (n_units * answers_per_unit,) int arrays
    """
    n_left = design.n_units * design.answers_per_unit
    carried: Places = np.empty(0, dtype=np.intp)
    sessions = []
    while n_left:
        wanted = min(design.trials_each, n_left)
        session, carried = carried[:wanted], carried[wanted:]
        if len(session) < wanted:
            fresh = rng.permutation(design.n_units)
            new = fresh[~np.isin(fresh, session)][: wanted - len(session)]
            carried = fresh[~np.isin(fresh, new)]
            session = np.concatenate([session, new])
        sessions.append(session)
        n_left -= wanted
    lengths = [len(session) for session in sessions]
    return np.concatenate(sessions), np.repeat(np.arange(len(sessions)), lengths)


def his_without_noise(of_unit: Array, sd_participant: float) -> Array:
    """Return each unit's proportion correct over all people there could be."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    spread = expit(of_unit[:, None] + sd_participant * nodes)
    return spread @ weights / weights.sum()


def log_odds_of(mean: float, sd: float) -> float:
    """Return the centre whose proportion correct is ``mean``, given the spread."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)

    def excess(centre: float) -> float:
        return float(weights @ expit(centre + sd * nodes) / weights.sum()) - mean

    return float(brentq(excess, -30, 30))


def _centres(variances: Variances) -> Array:
    sd = float(np.hypot(variances.sd_unit, variances.sd_participant))
    means = variances.group_means()
    return np.array([log_odds_of(means[name], sd) for name in GROUPS])


def his_spread(variances: Variances) -> tuple[float, float]:
    """Return mean and SD of HIS without noise over random units."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    weights = weights / weights.sum()
    his = his_without_noise(
        _centres(variances)[1] + variances.sd_unit * nodes, variances.sd_participant
    )
    mean = float(weights @ his)
    return mean, float(np.sqrt(weights @ (his - mean) ** 2))


def _machine_scores(
    true_his: Array, variances: Variances, rng: np.random.Generator
) -> Array:
    mean, sd = his_spread(variances)
    r = variances.correlation
    noise = rng.normal(size=len(true_his))
    standard = (true_his - mean) / sd if sd > 0 else 0 * true_his
    return r * standard + np.sqrt(1 - r**2) * noise
