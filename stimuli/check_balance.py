"""Whether units, tasks, sides and rows are shown equally often, and well spread."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from scipy import stats

from data.studies import Presentation, Study, correct_row
from data.units import UnitId
from stimuli.check_findings import Finding, several
from stimuli.check_leaks import SIGNIFICANCE_LEVEL


def unbalanced(study: Study) -> Iterator[Finding]:
    """Yield all that a comparison of units or of sides could mistake for an effect."""
    slots = [
        [one for one in slot if one.trial_id in study.trials] for slot in study.slots
    ]
    main = [[one for one in slot if _kind(study, one) == "main"] for slot in slots]
    yield from _units(study, main)
    yield from _sides(study, main)
    yield from _rows(study, main)
    yield from _instructed(study, slots)
    yield from _spread(study, slots)


def _units(study: Study, main: list[list[Presentation]]) -> Iterator[Finding]:
    tasks = [study.trials[one.trial_id].task for slot in main for one in slot]
    units = Counter(task.unit for task in tasks)
    if _range(units.values()) > 1:
        (most, n_most), (least, n_least) = (
            units.most_common()[0],
            units.most_common()[-1],
        )
        yield Finding(
            "unbalanced",
            f"unit {most} is shown {n_most} times, {least} {n_least} times",
        )
    by_unit: dict[UnitId, Counter[int]] = {}
    for task in tasks:
        by_unit.setdefault(task.unit, Counter())[task.number] += 1
    n_tasks = _shown_tasks(study)
    uneven = []
    for unit, counts in sorted(by_unit.items()):
        unused = [0] * max(n_tasks - len(counts), 0)
        if _range([*counts.values(), *unused]) > 1:
            uneven.append(str(unit))
    yield from several("unbalanced", "tasks of a unit shown unequally often", uneven)


def _shown_tasks(study: Study) -> int:
    """Return how many tasks of a unit were to be shown; 0 where it isn't known."""
    config = study.header.config
    return int(
        config.get("tasks_per_unit") or config.get("tasks", {}).get("n_tasks", 0)
    )


def _sides(study: Study, main: list[list[Presentation]]) -> Iterator[Finding]:
    fixed = study.config.sides == "fixed"
    uneven_sides, uneven_queries, uneven_crossed = [], [], []
    for number, slot in enumerate(main):
        n_right = sum(one.positive_side == "right" for one in slot)
        n_positive = sum(one.upper_query == "positive" for one in slot)
        if n_right != len(slot) if fixed else not _is_half(n_right, len(slot)):
            uneven_sides.append(f"{n_right} of {len(slot)} in slot {number}")
        if not _is_half(n_positive, len(slot)):
            uneven_queries.append(f"{n_positive} of {len(slot)} in slot {number}")
        crossed = Counter((one.positive_side, one.upper_query) for one in slot)
        counts = [*crossed.values(), *[0] * ((2 if fixed else 4) - len(crossed))]
        if _range(counts) > 1:
            uneven_crossed.append(f"slot {number}")
    yield from several("unbalanced", "positive explanations right", uneven_sides)
    yield from several("unbalanced", "positive query above", uneven_queries)
    yield from several("unbalanced", "sides and rows not crossed", uneven_crossed)


def _rows(study: Study, main: list[list[Presentation]]) -> Iterator[Finding]:
    by_position: dict[int, Counter[str]] = {}
    total: Counter[str] = Counter()
    for slot in main:
        for position, one in enumerate(slot):
            row = correct_row(study.trials[one.trial_id], one)
            by_position.setdefault(position, Counter())[row] += 1
            total[row] += 1
    if not _plausible_half(total["upper"], sum(total.values())):
        yield Finding(
            "unbalanced",
            f"the upper row is correct in {total['upper']} of {sum(total.values())}"
            " main trials",
        )
    uneven = [
        f"position {position}: upper in {counts['upper']} of {sum(counts.values())}"
        for position, counts in sorted(by_position.items())
        if not _plausible_half(counts["upper"], sum(counts.values()))
    ]
    yield from several("unbalanced", "the correct row by position", uneven)


def _instructed(study: Study, slots: list[list[Presentation]]) -> Iterator[Finding]:
    rows = Counter(
        study.trials[one.trial_id].instructed_query
        for slot in slots
        for one in slot
        if _kind(study, one) == "instructed"
    )
    # One session's odd trial may be left over.
    if rows and abs(rows["upper"] - rows["lower"]) > 1:
        yield Finding(
            "unbalanced",
            f"instructed trials ask {rows['upper']} times for the upper and"
            f" {rows['lower']} times for the lower query",
        )


def _spread(study: Study, slots: list[list[Presentation]]) -> Iterator[Finding]:
    first, adjacent = [], []
    for number, slot in enumerate(slots):
        extra = [_kind(study, one) != "main" for one in slot]
        if extra and extra[0]:
            first.append(f"slot {number}")
        if any(one and after for one, after in pairwise(extra)):
            adjacent.append(f"slot {number}")
    what = "a catch or instructed trial"
    yield from several("unbalanced", f"{what} comes first", first)
    yield from several("unbalanced", f"{what} follows another one", adjacent)


def _kind(study: Study, one: Presentation) -> str:
    return study.trials[one.trial_id].kind


def _range(counts: Iterable[int]) -> int:
    values = list(counts)
    return max(values) - min(values) if values else 0


def _is_half(n: int, total: int) -> bool:
    return abs(n - total / 2) <= 1


def _plausible_half(n: int, total: int) -> bool:
    return total == 0 or stats.binomtest(n, total).pvalue >= SIGNIFICANCE_LEVEL
