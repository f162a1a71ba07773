"""Units outside the selection that serve as example, practice, catch, instructed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import pandas as pd

from data.errors import DataContractError
from data.scores import Scores
from data.studies import StudyConfig
from data.tasks import Task, TaskSet
from data.units import UnitId

LEAST_MIS_LESS_OBVIOUS = 0.6
"""Below it, a practice trial may have no answer that people can find."""

MOST_SHARED_IMAGES = 1 / 3
"""Share of images that two tasks of the pools have in common before one is skipped."""

N_EXAMPLES = 1


@dataclass(frozen=True, kw_only=True)
class Pools:
    """Tasks of units that are neither studied nor used twice.

    Attributes
    ----------
    example, obvious, less_obvious, catch, instructed : tuple of Task
        ``obvious`` and ``less_obvious`` are practice. The queries of ``catch`` are
        also the strongest explanations of their polarity.
    """

    example: tuple[Task, ...]
    obvious: tuple[Task, ...]
    less_obvious: tuple[Task, ...]
    catch: tuple[Task, ...]
    instructed: tuple[Task, ...]


def pool_sizes(config: StudyConfig) -> dict[str, int]:
    """Return how many units each pool needs.

    Practice pools are larger than a round, so that a second round shows new trials.
    Instructed trials are even in number, half of them asking for each row.
    """
    n_obvious, n_less = config.n_obvious_practice, config.n_less_obvious_practice
    return {
        "example": N_EXAMPLES,
        "catch": config.n_catch_trials,
        "obvious": max(8, 2 * n_obvious) if n_obvious else 0,
        "less_obvious": max(3, 3 * n_less) if n_less else 0,
        "instructed": config.n_instructed_trials + config.n_instructed_trials % 2,
    }


def choose_pools(
    tasks: TaskSet, scores: Scores, selected: Iterable[UnitId], config: StudyConfig
) -> Pools:
    """Choose the units of all pools by MIS, and of each unit one task.

    The easiest go to example, catch and obvious practice, in this order, with the
    task that the machine is surest of; units around the middle of MIS, but clearly
    above chance, to less obvious practice and instructed trials, with an average task
    that the machine gets right. Units whose task shares many images with one that
    was chosen are passed over while others are left, so that the trials differ.

    Raises
    ------
    DataContractError
        Too few scored units are outside the selection.
    """
    outside = _outside(tasks, scores, set(selected))
    sizes = pool_sizes(config)
    if len(outside) < sum(sizes.values()):
        raise DataContractError(
            f"{len(outside)} scored units with tasks are outside the selection;"
            " practice, catch and instructed trials and the example need"
            f" {sum(sizes.values())}."
            " Draw tasks for more units and score them, or select fewer."
        )
    by_unit = dict(iter(scores.tasks.groupby("unit")))
    surest = ((unit, _surest(by_unit[str(unit)])) for unit in outside)
    easiest = _distinct(tasks, surest, [])
    chosen = {
        name: _take(easiest, sizes[name]) for name in ("example", "catch", "obvious")
    }
    used = list(chain.from_iterable(chosen.values()))
    taken = {task.unit for task in used}
    rest = {unit: mis for unit, mis in outside.items() if unit not in taken}
    average = (
        (unit, _average(by_unit[str(unit)], rest[unit]))
        for unit in _from_the_middle(rest)
    )
    middle = _distinct(tasks, average, used)
    chosen |= {
        name: _take(middle, sizes[name]) for name in ("less_obvious", "instructed")
    }
    chosen["catch"] = tuple(map(catch_task, chosen["catch"]))
    return Pools(**chosen)


def catch_task(task: Task) -> Task:
    """Return the task with each query taken from the explanations it belongs to."""
    return replace(
        task,
        task_id=f"{task.task_id}#catch",
        positive_query=task.positive_explanations[0],
        negative_query=task.negative_explanations[0],
    )


def _outside(
    tasks: TaskSet, scores: Scores, selected: set[UnitId]
) -> dict[UnitId, float]:
    """Return the MIS of units that may be used, the easiest first, ties by name."""
    scored = scores.units.dropna(subset=["mis"])
    scored = scored[scored["unit"].isin(scores.tasks["unit"].unique())]
    names = map(UnitId.parse, scored["unit"])
    mis = dict(zip(names, map(float, scored["mis"]), strict=True))
    known = sorted(
        (set(mis) & set(tasks.units)) - selected, key=lambda unit: (-mis[unit], unit)
    )
    return {unit: mis[unit] for unit in known}


def _from_the_middle(mis: dict[UnitId, float]) -> list[UnitId]:
    middle = float(np.median(list(mis.values()))) if mis else 0.0
    aim = max(middle, LEAST_MIS_LESS_OBVIOUS)
    return sorted(
        mis,
        key=lambda unit: (
            mis[unit] < LEAST_MIS_LESS_OBVIOUS,
            abs(mis[unit] - aim),
            unit,
        ),
    )


def _surest(own: pd.DataFrame) -> int:
    return int(own["number"].iloc[int(np.argmax(own["probability"].to_numpy()))])


def _average(own: pd.DataFrame, mis: float) -> int:
    right = own[own["probability"] > 0.5]
    if right.empty:
        return _surest(own)
    distance = (right["probability"] - mis).abs().to_numpy()
    return int(right["number"].iloc[int(np.argmin(distance))])


def _distinct(
    tasks: TaskSet, candidates: Iterable[tuple[UnitId, int]], used: list[Task]
) -> Iterator[Task]:
    """Yield tasks that share few images with those before; then the ones skipped."""
    seen = [set(task.images) for task in used]
    skipped = []
    for unit, number in candidates:
        task = tasks.task(unit, number)
        images = set(task.images)
        most = MOST_SHARED_IMAGES * len(images)
        if any(len(images & other) > most for other in seen):
            skipped.append(task)
            continue
        seen.append(images)
        yield task
    yield from skipped


def _take(tasks: Iterator[Task], n: int) -> tuple[Task, ...]:
    return tuple(islice(tasks, n))
