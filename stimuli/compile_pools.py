"""Units outside the selection that serve as example, practice, catch, instructed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

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

_LOOKED_AT = 4
"""Units looked at for each one needed, before similar ones are taken after all."""


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

    The easiest go to example, catch and obvious practice, in this order; units around
    the middle of MIS, but clearly above chance, to less obvious practice and
    instructed trials. Each comes with the task that the machine is surest of, since a
    practice that can't be passed would send people away; instructed trials with an
    average one, so that they look like main trials. Units whose task shares many
    images with one that was chosen are passed over while others are left.

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
    choice = _Choice(tasks, scores)
    names = ("example", "catch", "obvious")
    n_easy = sum(sizes[name] for name in names)
    # Easy comes before different: no further down than the easiest quarter.
    window = min(_LOOKED_AT * n_easy, max(n_easy, len(outside) // 4))
    easiest = choice.of(outside, _surest, [], window)
    example, catch, obvious = (_take(easiest, sizes[name]) for name in names)
    used = [*example, *catch, *obvious]
    middle = _from_the_middle(_without(outside, used))
    window = min(
        _LOOKED_AT * sizes["less_obvious"],
        sum(value >= LEAST_MIS_LESS_OBVIOUS for value in middle.values()),
    )
    less_obvious = _take(
        choice.of(middle, _surest, used, window), sizes["less_obvious"]
    )
    used += less_obvious
    rest = _without(middle, used)
    return Pools(
        example=example,
        obvious=obvious,
        less_obvious=less_obvious,
        catch=tuple(map(catch_task, catch)),
        instructed=_take(
            choice.of(rest, _average, used, _LOOKED_AT * sizes["instructed"]),
            sizes["instructed"],
        ),
    )


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


def _without(mis: Mapping[UnitId, float], used: list[Task]) -> dict[UnitId, float]:
    taken = {task.unit for task in used}
    return {unit: value for unit, value in mis.items() if unit not in taken}


def _from_the_middle(mis: Mapping[UnitId, float]) -> dict[UnitId, float]:
    """Put units in the order of their distance from the middle of MIS."""
    middle = float(np.median(list(mis.values()))) if mis else 0.0
    aim = max(middle, LEAST_MIS_LESS_OBVIOUS)
    order = sorted(
        mis,
        key=lambda unit: (
            mis[unit] < LEAST_MIS_LESS_OBVIOUS,
            abs(mis[unit] - aim),
            unit,
        ),
    )
    return {unit: mis[unit] for unit in order}


def _surest(own: pd.DataFrame) -> int:
    return int(own["number"].iloc[int(np.argmax(own["probability"].to_numpy()))])


def _average(own: pd.DataFrame) -> int:
    right = own[own["probability"] > 0.5]
    if right.empty:
        return _surest(own)
    # Not the unit's score, which a fitted slope and offset may have moved.
    distance = (right["probability"] - own["probability"].mean()).abs().to_numpy()
    return int(right["number"].iloc[int(np.argmin(distance))])


class _Choice:
    """Chooses one task of each unit, and units whose tasks differ in their images."""

    def __init__(self, tasks: TaskSet, scores: Scores) -> None:
        self.tasks = tasks
        self.scored = dict(iter(scores.tasks.groupby("unit")))

    def of(
        self,
        units: Iterable[UnitId],
        number: Callable[[pd.DataFrame], int],
        used: list[Task],
        window: int,
    ) -> Iterator[Task]:
        """Yield tasks that share few images with those before; then the others.

        The others of the first ``window`` units come before the units after these.
        """
        seen = [set(task.images) for task in used]
        in_order = list(units)
        for block in (in_order[:window], in_order[window:]):
            skipped = []
            for unit in block:
                task = self.tasks.task(unit, number(self.scored[str(unit)]))
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
