"""What a session is shown: practice rounds drawn here, the main block from its slot."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple, Self, cast

import numpy as np
from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.orm import Session

from data.files import bytes_hash
from data.studies import (
    Cells,
    Polarity,
    Presentation,
    Side,
    Study,
    StudyConfig,
    StudyTrial,
    correct_row,
)
from experiment_server.tables import PresentationRecord, SessionRecord

_N_KEPT = 4096
"""Orders of explanations that are kept: each is asked for with three replies."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A stored presentation, to be read: the columns of its record."""

    trial_index: int
    trial_id: str
    kind: str
    practice_round: int | None
    positive_side: Side
    upper_query: Polarity
    image: str
    interrupted: bool


def presentation_of(shown: Shown | PresentationRecord) -> Presentation:
    """Return a stored presentation in the contract's words."""
    return Presentation(
        trial_id=shown.trial_id,
        positive_side=shown.positive_side,  # type: ignore[arg-type]
        upper_query=shown.upper_query,  # type: ignore[arg-type]
    )


class _Draws(NamedTuple):
    """What decides all that is drawn for a session, or for the study (0 and None)."""

    seed: int
    number: int
    key: str | None

    @classmethod
    def of(cls, study: Study, record: SessionRecord | None) -> Self:
        seed = study.header.seed or 0
        return (
            cls(seed, record.number, record.draw_key) if record else cls(seed, 0, None)
        )

    def rng(self, purpose: str, index: int = 0) -> np.random.Generator:
        words = int(bytes_hash(purpose.encode())[:16], 16)
        seeds = [self.seed, self.number, words, index]
        if self.key is not None:
            seeds.append(int(self.key, 16))
        return np.random.default_rng(seeds)


def session_rng(
    study: Study, record: SessionRecord | None, purpose: str, index: int = 0
) -> np.random.Generator:
    """Return a generator for one purpose of one session, or of the study (None).

    The session's own key goes in: who has the program and the study's seed can't
    compute what another person, or they themselves, will be shown.
    """
    return _Draws.of(study, record).rng(purpose, index)


def image_name() -> str:
    """Return a name for a picture that tells nothing and can't be guessed."""
    return secrets.token_urlsafe(18)


def draw_practice(study: Study, rng: np.random.Generator) -> list[Presentation]:
    """Draw one round: obvious and less obvious trials in random order, sides balanced.

    Units are not repeated where the study's practice trials allow it.
    """
    config = study.config
    pool = study.of_kind("practice")
    obvious = [trial for trial in pool if trial.obvious]
    less_obvious = [trial for trial in pool if not trial.obvious]
    chosen = [
        *_without_repeats(obvious, config.n_obvious_practice, rng),
        *_without_repeats(less_obvious, config.n_less_obvious_practice, rng),
    ]
    chosen = [chosen[index] for index in rng.permutation(len(chosen))]
    layouts = balanced_layouts(len(chosen), config, rng)
    return [
        Presentation(trial_id=trial.trial_id, positive_side=side, upper_query=query)
        for trial, (side, query) in zip(chosen, layouts, strict=True)
    ]


def _without_repeats(
    pool: Sequence[StudyTrial], n: int, rng: np.random.Generator
) -> list[StudyTrial]:
    order = [pool[index] for index in rng.permutation(len(pool))]
    first_of_unit: dict[object, StudyTrial] = {}
    for trial in order:
        first_of_unit.setdefault(trial.task.unit, trial)
    firsts = list(first_of_unit.values())
    others = [trial for trial in order if trial not in firsts]
    return [*firsts, *others][:n]


def balanced_layouts(
    n: int, config: StudyConfig, rng: np.random.Generator
) -> list[tuple[Side, Polarity]]:
    """Return screen side and upper query of ``n`` trials, each half and half (±1)."""
    sides: tuple[Side, Side] = ("left", "right")
    queries: tuple[Polarity, Polarity] = ("positive", "negative")
    if config.sides == "fixed":
        sides = ("right", "right")
    flip = int(rng.integers(2)), int(rng.integers(2))
    # Side alternates, the query every second time: all four combinations in turn.
    layouts = [
        (sides[(i + flip[0]) % 2], queries[(i // 2 + flip[1]) % 2])
        if config.sides == "balanced"
        else (sides[0], queries[(i + flip[1]) % 2])
        for i in range(n)
    ]
    return [layouts[index] for index in rng.permutation(n)]


def add_practice_round(
    db: Session, study: Study, record: SessionRecord, *, number: int, first: int
) -> None:
    """Store round ``number`` (from 1), whose first trial has the index ``first``."""
    rng = session_rng(study, record, "practice", number)
    _add(db, study, record, draw_practice(study, rng), first=first, practice=number)


def add_main_block(
    db: Session, study: Study, record: SessionRecord, *, first: int
) -> None:
    """Store the trials of the session's slot, the first with the index ``first``."""
    _add(db, study, record, study.slots[record.slot], first=first, practice=None)


def _add(
    db: Session,
    study: Study,
    record: SessionRecord,
    presentations: Sequence[Presentation],
    *,
    first: int,
    practice: int | None,
) -> None:
    # Past the unit of work, which takes ten times as long for a block of trials.
    rows = [
        {
            "session_id": record.session_id,
            "trial_index": first + place,
            "trial_id": one.trial_id,
            "kind": study.trials[one.trial_id].kind,
            "practice_round": practice,
            "positive_side": _stored_side(study.trials[one.trial_id], one),
            "upper_query": one.upper_query,
            "image": image_name(),
            "interrupted": False,
        }
        for place, one in enumerate(presentations)
    ]
    db.connection().execute(_INSERT, rows)


def _stored_side(trial: StudyTrial, one: Presentation) -> Side:
    # Without explanations no side is to be seen; the positive query is asked for, as
    # it is where the positive ones stand on the right.
    cells = trial.cells
    unseen = not (cells.positive_explanations or cells.negative_explanations)
    return "right" if unseen else one.positive_side


def example_presentation(study: Study, record: SessionRecord) -> Presentation:
    """Return how the instructions' example is laid out for a session."""
    trial = study.of_kind("example")[0]
    rng = session_rng(study, record, "example")
    side, query = balanced_layouts(1, study.config, rng)[0]
    return Presentation(trial_id=trial.trial_id, positive_side=side, upper_query=query)


def shown_order(
    study: Study, record: SessionRecord, trial_index: int, cells: Cells
) -> dict[Polarity, tuple[int, ...]]:
    """Return the order of a presentation's explanations on the screen.

    The most extreme one stands first, at the top left; the others are shuffled. A
    polarity without explanations has an empty order.
    """
    sizes = len(cells.positive_explanations), len(cells.negative_explanations)
    positive, negative = _orders(_Draws.of(study, record), trial_index, sizes)
    return {"positive": positive, "negative": negative}


@lru_cache(_N_KEPT)
def _orders(
    draws: _Draws, trial_index: int, sizes: tuple[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rng = draws.rng("explanations", trial_index + 1)
    return _most_extreme_first(sizes[0], rng), _most_extreme_first(sizes[1], rng)


def _most_extreme_first(n: int, rng: np.random.Generator) -> tuple[int, ...]:
    others = [int(one) for one in rng.permutation(range(1, n))]
    return (0, *others) if n else ()


_TABLE = cast(Table, PresentationRecord.__table__)
_INSERT = insert(_TABLE)
_OPEN = (
    select(*(_TABLE.c[field.name] for field in fields(Shown)))
    .where(
        _TABLE.c.session_id == bindparam("session_id"),
        _TABLE.c.trial_index >= bindparam("first"),
        _TABLE.c.trial_index < bindparam("stop"),
    )
    .order_by(_TABLE.c.trial_index)
)


def open_presentations(db: Session, record: SessionRecord, *, most: int) -> list[Shown]:
    """Return the open presentation and those after it, up to ``most``."""
    span = {
        "session_id": record.session_id,
        "first": record.position,
        "stop": record.position + most,
    }
    # Past the unit of work, which takes longer than the statement.
    return [Shown(*row) for row in db.connection().execute(_OPEN, span)]


def is_correct(study: Study, shown: Shown, chosen: str) -> bool:
    """Whether the chosen row is the right one."""
    return correct_row(study.trials[shown.trial_id], presentation_of(shown)) == chosen
