"""How well a machine's score foretells single answers, beside simpler predictors."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.calibration import CLIP
from analysis.resampling import N_RESAMPLES, bca_interval
from data.errors import DataContractError

MACHINE_TASK = "machine, each task"
MACHINE_UNIT = "machine, unit's MIS"
OWN_MEAN = "unit's own mean, this answer left out"
OWN_MEAN_SEEN = "unit's own mean, this answer seen"
OVERALL_MEAN = "mean of all units, this answer left out"
CHANCE = "chance"

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionComparison:
    """Brier score and log-loss of several predictors of the same answers.

    Attributes
    ----------
    table : DataFrame
        One row a predictor: 'predictor', 'brier' (mean squared distance, in [0, 1]),
        'brier_low', 'brier_high', 'brier_excess' (the machine's less this one's:
        below 0 the machine is better), 'brier_excess_low', 'brier_excess_high', and
        the same six for 'log_loss' (nats). Intervals are BCa over units; NaN where
        there are none.
    machine : str or None
        The predictor that the others are held against; None where the machine scored
        no answered unit.
    n_trials, n_units : int
        Answers and units that every predictor speaks of.
    n_clipped : int
        Answers whose machine probability is nearer to 0 or 1 than counts.
    n_left_out : int
        Answers without a probability of the machine.
    level : float
    note : str or None
    """

    table: pd.DataFrame = field(repr=False)
    machine: str | None
    n_trials: int
    n_units: int
    n_clipped: int
    n_left_out: int
    level: float
    note: str | None = None


def compare_predictions(
    main: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    tasks: pd.DataFrame | None = None,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> PredictionComparison:
    """Score MIS as a prediction of single answers, and what it has to beat.

    A unit's own mean is what people themselves foretell of each other. It leaves out
    the answer that it foretells; with that answer seen it is too good to be a
    prediction, and stands here as the least loss that one number a unit can reach.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'correct', and 'task_id' with ``tasks``.
    scores : DataFrame
        'unit' and 'mis'.
    tasks : DataFrame, optional
        'task_id' and 'probability': the machine's own probability of each task, which
        is then held against the others instead of the unit's MIS.

    Raises
    ------
    DataContractError
        There are no answers.

    Notes
    -----
    Means of other answers are (k + ½) / (n + 1), so that a unit that all got right
    does not foretell the next answer with certainty. Probabilities of the machine are
    held at least 1e-6 from 0 and 1.
    """
    if main.empty:
        raise DataContractError(
            "No main trial counts; a prediction needs answers to be judged by. Check"
            " which sessions are excluded."
        )
    main = main.reset_index(drop=True)
    said = _machine(main, scores, tasks)
    known = said.notna().all(axis=1)
    machine = None if not known.any() else said.columns[0]
    answers = main[known] if machine else main
    # Sums in one order, since an interval can hang on how equal losses are rounded.
    ordered = answers.join(said).sort_values(["unit", "correct", *said.columns])
    answers, said = answers.loc[ordered.index], said.loc[ordered.index]
    correct = answers["correct"].to_numpy("float64")
    unit = pd.factorize(answers["unit"], sort=True)[0]
    probabilities: dict[str, Array] = {
        name: np.clip(said[name].to_numpy("float64"), CLIP, 1 - CLIP)
        for name in (said.columns if machine else ())
    }
    probabilities |= _means(unit, correct)
    n_units = int(unit.max()) + 1 if len(unit) else 0
    rows = []
    for name, probability in probabilities.items():
        row: dict[str, object] = {"predictor": name}
        for measure, loss in (("brier", _squared), ("log_loss", _log)):
            own = _by_unit(loss(probability, correct), unit, n_units)
            reference = (
                _by_unit(loss(probabilities[machine], correct), unit, n_units)
                if machine
                else None
            )
            row |= _measured(measure, own, reference, unit, rng, level, n_resamples)
        rows.append(row)
    raw = said[machine].to_numpy("float64") if machine else np.empty(0)
    return PredictionComparison(
        table=pd.DataFrame(rows),
        machine=machine,
        n_trials=len(answers),
        n_units=n_units,
        n_clipped=int(((raw < CLIP) | (raw > 1 - CLIP)).sum()),
        n_left_out=int((~known).sum()),
        level=level,
        note=None if machine else "the machine scored none of the answered units",
    )


def _machine(
    main: pd.DataFrame, scores: pd.DataFrame, tasks: pd.DataFrame | None
) -> pd.DataFrame:
    """Return the machine's probabilities of each answer, the one to judge first."""
    by_unit = scores.set_index("unit")["mis"]
    said = pd.DataFrame({MACHINE_UNIT: main["unit"].map(by_unit)}, index=main.index)
    if tasks is None:
        return said
    by_task = main["task_id"].map(tasks.set_index("task_id")["probability"])
    if by_task.isna().all():
        return said
    return pd.DataFrame({MACHINE_TASK: by_task}).join(said)


def _means(unit: NDArray[np.int64], correct: Array) -> dict[str, Array]:
    n = np.bincount(unit).astype("float64")[unit]
    k = np.bincount(unit, weights=correct)[unit]
    return {
        OWN_MEAN: (k - correct + 0.5) / n,
        OWN_MEAN_SEEN: k / n,
        OVERALL_MEAN: (correct.sum() - correct + 0.5) / len(correct),
        CHANCE: np.full(len(correct), 0.5),
    }


def _squared(probability: Array, correct: Array) -> Array:
    return (probability - correct) ** 2


def _log(probability: Array, correct: Array) -> Array:
    of_answer = np.where(correct == 1, probability, 1 - probability)
    return -np.log(of_answer)


def _by_unit(loss: Array, unit: NDArray[np.int64], n_units: int) -> Array:
    return np.bincount(unit, loss, n_units).astype("float64")


def _measured(
    measure: str,
    own: Array,
    reference: Array | None,
    unit: NDArray[np.int64],
    rng: np.random.Generator,
    level: float,
    n_resamples: int,
) -> dict[str, float]:
    n = np.bincount(unit).astype("float64")
    found: dict[str, float] = {}
    for name, losses in ((measure, own), (f"{measure}_excess", reference)):
        if losses is None:
            found |= {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
            continue
        summed = losses if name == measure else losses - own
        # One order, so that a seed gives the same resamples however units are named.
        order = np.lexsort((n, summed))
        interval = bca_interval(
            (summed[order], n[order]),
            _ratio,
            paired=True,
            rng=rng,
            level=level,
            n_resamples=n_resamples,
        )
        low, high = interval or (np.nan, np.nan)
        if high - low < 1e-12:  # the same loss for every answer, but for rounding
            low = high = np.nan
        mean = float(summed.sum() / n.sum())
        found |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return found


def _ratio(loss: Array, n: Array, axis: int = -1) -> Array:
    return loss.sum(axis=axis) / n.sum(axis=axis)
