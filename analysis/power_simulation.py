"""Simulated studies of a design, and how wide their intervals are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student_t

from analysis.correlation import jackknife_on_z
from analysis.crossed import two_way_variance

Array = NDArray[np.float64]
Places = NDArray[np.intp]

GROUPS = ("hardest", "random", "easiest")
STEPS = (("random", "hardest"), ("easiest", "random"))
QUESTIONS = ("his", "correlation", "contrast")
FEWEST_UNITS: Mapping[str, int] = {"his": 2, "correlation": 5, "contrast": 6}
COARSE = 1.15
"""Where numbers of units are as near as this, a curve through them tells the rest."""
N_REFINED = 3
"""How often the search looks again where the curve says."""
NEAR = 0.5
"""How far from what is wanted a number of units may be to lie on the curve."""
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
    variance = two_way_variance(
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


def units_needed(
    question: str,
    variances: Variances,
    design: StudyDesign,
    wanted: float,
    *,
    goal: str = "width",
    n_simulations: int,
    rng: np.random.Generator,
    most: int = 5000,
) -> int | None:
    """Search for the fewest units that give a width, or a power.

    Parameters
    ----------
    design : StudyDesign
        Its ``n_units`` is where the search starts.
    wanted : float
        Largest mean width, or least power.
    goal : str
        ``"width"`` or ``"power"``.
    n_simulations : int
        Studies of each number of units that is tried, about ten of them.

    Returns
    -------
    int or None
        None where not even ``most`` units are enough. A multiple of 3 for the
        contrast, so that groups are of one size.

    Notes
    -----
    A number of units that passes may have passed by luck. The numbers that were tried
    are therefore joined by a line, of log width in log units or of the power's normal
    quantile in the root of units, and the line tells how many are needed.
    """
    unit_step = 3 if question == "contrast" else 1
    fewest = max(FEWEST_UNITS[question], unit_step)
    most -= most % unit_step
    tried: list[tuple[int, float, float]] = []

    def enough(n_units: int) -> bool:
        found = outcomes(
            question,
            variances,
            replace(design, n_units=n_units),
            n_simulations=n_simulations,
            rng=rng,
        )
        if goal == "width":
            tried.append((n_units, found.width, found.width_error))
            return found.width <= wanted
        tried.append((n_units, found.power, found.power_error))
        return found.power >= wanted

    def rounded(n_units: float) -> int:
        nearest = unit_step * round(n_units / unit_step)
        return int(min(max(fewest, nearest), most))

    low, high = fewest - unit_step, rounded(design.n_units)
    while not enough(high):
        if high >= most:
            return None
        low, high = high, rounded(1.7 * high)
    while high - low > max(unit_step, (COARSE - 1) * high):
        middle = rounded((max(low, 1) * high) ** 0.5)
        if middle in (low, high):
            break
        low, high = (low, middle) if enough(middle) else (middle, high)

    def near() -> float:
        """Return what the line says, not far from where the search came to."""
        found = _crossing(tried, wanted, goal) or high
        return float(np.clip(found, 0.7 * low, 1.4 * high))

    for _ in range(N_REFINED):
        enough(rounded(near()))
    return rounded(unit_step * np.ceil(near() / unit_step - 0.05))


def _crossing(
    tried: Sequence[tuple[int, float, float]], wanted: float, goal: str
) -> float | None:
    """Return where a line through what was tried reaches what is wanted.

    None where the line does not lead there.
    """
    n, value, error = np.array(tried).T
    if goal == "power":
        value, wanted = np.clip(value, 0.01, 0.99), float(norm.ppf(wanted))
        x, y = np.sqrt(n), norm.ppf(value)
        error = error / norm.pdf(y)
    else:
        x, y, wanted = np.log(n), np.log(value), float(np.log(wanted))
        error = error / value
    near = np.abs(y - wanted) < NEAR
    if near.sum() < 2 or np.ptp(x[near]) == 0:
        return None
    slope, start = np.polyfit(x[near], y[near], 1, w=1 / np.maximum(error[near], 1e-9))
    if (slope <= 0) if goal == "power" else (slope >= 0):
        return None
    reached = (wanted - start) / slope
    return float(reached**2 if goal == "power" else np.exp(reached))
