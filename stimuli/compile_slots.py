"""What the session of each slot shows, in which order and on which sides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from data.errors import DataContractError
from data.files import bytes_hash
from data.studies import Polarity, Presentation, Side, StudyConfig
from data.units import UnitId

Sides = tuple[Side, Polarity]
"""Where the positive explanations stand, and which query is above."""

CROSSED: tuple[Sides, ...] = (
    ("left", "positive"),
    ("left", "negative"),
    ("right", "positive"),
    ("right", "negative"),
)
POSITIVE_RIGHT = CROSSED[2:]


def purpose_rng(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator for one purpose, which no other draw can shift."""
    return np.random.default_rng([seed, int(bytes_hash(purpose.encode())[:16], 16)])


def draw_units(
    groups: Mapping[UnitId, str],
    *,
    n_slots: int,
    n_main_trials: int,
    rng: np.random.Generator,
) -> list[list[UnitId]]:
    """Draw which units each slot shows, in order.

    Slots take the units that were used least so far, equal ones at random but in
    turn from every group, so that units are used equally often and each session has
    its share of every group. In a session the groups are interleaved.

    Returns
    -------
    list of list of UnitId
        ``n_slots`` lists of ``n_main_trials`` different units. Over all slots no
        unit is used more than once more than another.

    Raises
    ------
    DataContractError
        A session has more main trials than there are units.
    """
    if n_main_trials > len(groups):
        raise DataContractError(
            f"'n_main_trials' is {n_main_trials}; the selection has {len(groups)}"
            " units, and no unit is shown twice in a session. Select more units, or"
            " lower it."
        )
    n_used = dict.fromkeys(groups, 0)
    slots = []
    for _ in range(n_slots):
        turn = _interleaved(groups, list(groups), rng)
        order = sorted(turn, key=lambda unit: n_used[unit])
        own = order[:n_main_trials]
        for unit in own:
            n_used[unit] += 1
        slots.append(_interleaved(groups, own, rng))
    return slots


def _interleaved(
    groups: Mapping[UnitId, str], units: Sequence[UnitId], rng: np.random.Generator
) -> list[UnitId]:
    """Shuffle units so that every stretch has its share of every group."""
    members: dict[str, list[UnitId]] = {}
    for index in rng.permutation(len(units)):
        members.setdefault(groups[units[index]], []).append(units[index])
    place: dict[UnitId, float] = {}
    for name in sorted(members):
        own = members[name]
        # A random point of each member's equal share of the session.
        points = (np.arange(len(own)) + rng.random(len(own))) / len(own)
        place.update(zip(own, points, strict=True))
    return sorted(place, key=lambda unit: place[unit])


@dataclass
class TaskTurns:
    """Gives each unit's tasks in turn, every one before any comes again."""

    n_tasks: int
    rng: np.random.Generator
    _waiting: dict[UnitId, list[int]] = field(default_factory=dict)

    def next(self, unit: UnitId) -> int:
        """Return the number of the unit's next task."""
        waiting = self._waiting.setdefault(unit, [])
        if not waiting:
            waiting.extend(int(number) for number in self.rng.permutation(self.n_tasks))
        return waiting.pop()


@dataclass
class SideBalance:
    """Gives sides to the trials of a session and balances them over the study."""

    config: StudyConfig
    rng: np.random.Generator
    _n_given: dict[str, dict[Sides, int]] = field(default_factory=dict)

    def sides(self, names: Sequence[str]) -> list[Sides]:
        """Return the sides of each trial of one session.

        Within the session all combinations occur equally often, ±1. Which trial gets
        which is drawn so that over all sessions each name gets all equally often, as
        far as the sessions allow.

        Parameters
        ----------
        names : (n_trials,) sequence of str
            What is balanced over the study, such as each trial's unit; all different.
        """
        choices = POSITIVE_RIGHT if self.config.sides == "fixed" else CROSSED
        n = len(names)
        quota = [choices[index] for index in self.rng.permutation(len(choices))]
        given = [quota[index % len(quota)] for index in range(n)]
        cost = np.array([[self._cost(one, sides) for sides in given] for one in names])
        _, column = linear_sum_assignment(
            cost.reshape(n, n) + 0.5 * self.rng.random((n, n))
        )
        drawn = [given[index] for index in column]
        for name, sides in zip(names, drawn, strict=True):
            counts = self._n_given.setdefault(name, {})
            counts[sides] = counts.get(sides, 0) + 1
        return drawn

    def _cost(self, name: str, sides: Sides) -> float:
        """Square the count: one far-off unit weighs more than many near ones."""
        return (1 + self._n_given.get(name, {}).get(sides, 0)) ** 2


def spread(
    main: Sequence[str], extra: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Put catch and instructed trials between main trials.

    The gaps after the main trials, taken as a ring, are cut into as many stretches as
    there are extra trials, and one random gap of each stretch takes one. So none comes
    first and no two are adjacent.

    Raises
    ------
    DataContractError
        There are more extra than main trials.
    """
    if len(extra) > len(main):
        raise DataContractError(
            f"'n_main_trials' is {len(main)}; it must be at least {len(extra)}, the"
            " number of catch and instructed trials, so that no two of these are"
            " adjacent. Raise it, or lower them."
        )
    edges = np.linspace(0, len(main), len(extra) + 1).astype(int)
    # Turned by a random number of gaps, so that no place is known to be a main trial.
    turn = int(rng.integers(len(main)))
    gaps = [
        (int(rng.integers(low, high)) + turn) % len(main)
        for low, high in pairwise(edges)
    ]
    shuffled = [extra[index] for index in rng.permutation(len(extra))]
    after = dict(zip(gaps, shuffled, strict=True))
    order = []
    for index, trial_id in enumerate(main):
        order.append(trial_id)
        if index in after:
            order.append(after[index])
    return order


def in_turn(
    pool: Sequence[str], *, n_slots: int, n: int, rng: np.random.Generator
) -> list[list[str]]:
    """Give each slot ``n`` different entries of ``pool``, all equally often, ±1."""
    n_used = dict.fromkeys(pool, 0)
    slots = []
    for _ in range(n_slots):
        shuffled = [pool[index] for index in rng.permutation(len(pool))]
        own = sorted(shuffled, key=lambda one: n_used[one])[:n]
        for one in own:
            n_used[one] += 1
        slots.append(own)
    return slots


def presented(
    order: Iterable[str], sides: Mapping[str, Sides]
) -> tuple[Presentation, ...]:
    """Return a session's presentations."""
    return tuple(
        Presentation(
            trial_id=trial_id,
            positive_side=sides[trial_id][0],
            upper_query=sides[trial_id][1],
        )
        for trial_id in order
    )
