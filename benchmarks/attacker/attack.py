"""Attacks on a study: what is collected, and what the learners make of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask

from benchmarks.attacker.clues import CHANNELS, Clues, table
from benchmarks.attacker.learners import Guess, guess
from benchmarks.attacker.page import PAGE_CHANNELS, SeenPage, looked_at
from benchmarks.attacker.traffic import Seen
from data.exclusion import ExclusionCriteria
from data.studies import Study, read_study
from experiment_server.app import create_app
from experiment_server.serve_command import CRITERIA
from experiment_server.settings import ServerSettings
from tests.experiment_server.toy_study import make_toy_study
from tests.experiment_server.visitor import Visitor, running_site

ALL = "all together"
N_CATCH = 8

TOY: dict[str, Any] = {
    "n_main_trials": 40,
    "n_catch_trials": N_CATCH,
    "n_instructed_trials": 0,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 1,
    "break_every": None,
    "lock_ms": 0,
    "feedback_delay_ms": 0,
    "feedback_ms": 0,
    "blank_ms": 0,
}
"""Of a study whose pictures are noise: they can't tell anything themselves."""

NOTHING_EXCLUDES: ExclusionCriteria = CRITERIA["none"]


def toy_study(folder: Path, *, n_slots: int, **settings: Any) -> Study:
    """Write a study of noise and return it."""
    return read_study(make_toy_study(folder, **TOY | {"n_slots": n_slots} | settings))


@contextmanager
def served(study: Study, database: Path) -> Iterator[Flask]:
    """Make the application of a study, with an empty database."""
    settings = ServerSettings(criteria=NOTHING_EXCLUDES)
    app = create_app(study.folder, f"sqlite:///{database}", settings)
    try:
        yield app
    finally:
        app.extensions["unitscope"].database.close()


def guessed_row(seen: Sequence[Seen], *, seed: int) -> dict[str, Guess]:
    """Guess the right row from each channel and from all; whole trials are left out.

    Who has seen a trial solved knows it by its pictures, in whatever form they come.
    """
    asked = [one for one in seen if one.kind != "instructed"]
    return _by_channel(
        asked,
        CHANNELS,
        np.array([one.upper_is_right for one in asked]),
        np.array([one.trial_id for one in asked]),
        np.array([one.session for one in asked]),
        seed,
    )


def guessed_catch(seen: Sequence[Seen], *, seed: int) -> dict[str, Guess]:
    """Guess which trials are catch trials; whole trials are left out."""
    asked = [one for one in seen if one.kind in ("main", "catch")]
    return _by_channel(
        asked,
        CHANNELS,
        np.array([one.kind == "catch" for one in asked]),
        np.array([one.trial_id for one in asked]),
        np.array([one.session for one in asked]),
        seed,
    )


def guessed_from_page(seen: Sequence[SeenPage], *, seed: int) -> dict[str, Guess]:
    """Guess the right row from what a page in a browser holds."""
    sessions = np.array([one.session for one in seen])
    return _by_channel(
        seen,
        PAGE_CHANNELS,
        np.array([one.upper_is_right for one in seen]),
        sessions,
        sessions,
        seed,
    )


def _by_channel(
    seen: Sequence[Any],
    channels: Mapping[str, Callable[[Any], Clues]],
    answer: Any,
    groups: Any,
    sessions: Any,
    seed: int,
) -> dict[str, Guess]:
    tables = {
        name: table([look(one) for one in seen]) for name, look in channels.items()
    }
    tables[ALL] = np.hstack(list(tables.values()))
    return {
        name: guess(clues, answer, groups, sessions, seed=seed)
        for name, clues in tables.items()
    }


def second_look(seen: Sequence[Seen]) -> dict[str, float]:
    """Compare what different sessions were sent of the same trial.

    Returns
    -------
    dict
        'n_pairs'; 'same_name', 'same_bytes' and 'same_place' (share in [0, 1] of
        pairs whose image names, image bytes, and places of the right query are
        equal); 'chance_of_place'.
    """
    by_trial: dict[str, list[Seen]] = {}
    for one in seen:
        by_trial.setdefault(one.trial_id, []).append(one)
    pairs = [
        (first, second)
        for own in by_trial.values()
        for first, second in pairwise(own)
        if first.session != second.session
    ]
    trial = [(one.told["trial"], two.told["trial"]) for one, two in pairs]
    chances = [
        one["cell"] ** 2 / (one["image_size"][0] * one["image_size"][1])
        for one, _ in trial
    ]
    places = [(_right_query(one), _right_query(two)) for one, two in pairs]
    return {
        "n_pairs": len(pairs),
        "same_name": _share(one["image"] == two["image"] for one, two in trial),
        "same_bytes": _share(one.image == two.image for one, two in pairs),
        "same_place": _share(one == two for one, two in places),
        "chance_of_place": float(np.mean(chances)),
    }


def _right_query(one: Seen) -> list[int]:
    """Return the cell of the right query; that it is the right one is not sent."""
    trial: dict[str, list[int]] = one.told["trial"]
    return trial["upper" if one.upper_is_right else "lower"]


def _share(hits: Iterator[bool]) -> float:
    found = list(hits)
    return sum(found) / len(found) if found else 0.0


def pages_seen(
    browser: Any,
    study: Study,
    folder: Path,
    *,
    n_sessions: int,
    n_trials: int,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[SeenPage], list[SeenPage]]:
    """Take sessions in a browser; the second list is of pages with a planted leak."""
    clean: list[SeenPage] = []
    leaking: list[SeenPage] = []
    with running_site(study, folder) as site:
        for number in range(n_sessions):
            context = browser.new_context(viewport={"width": 940, "height": 600})
            visitor = Visitor(context, site)
            visitor.begin(f"participant={number}")
            visitor.finish_instructions()
            visitor.press("continue")
            visitor.practise()
            visitor.wait_for("practice_passed")
            visitor.press("continue")
            for page, with_leak in looked_at(visitor, number, n_trials=n_trials):
                clean.append(page)
                leaking.append(with_leak)
            context.close()
            advance()
    return clean, leaking
