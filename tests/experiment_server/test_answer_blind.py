"""A test that tries: can the right row be told from what is sent before an answer?"""

import json
import re
from math import sqrt

import numpy as np
import pytest

from benchmarks.attacker.attack import (
    ALL,
    guessed_catch,
    guessed_from_page,
    guessed_row,
    pages_seen,
    second_look,
    served,
    toy_study,
)
from benchmarks.attacker.leaks import PLANTED, planted, telling_names
from benchmarks.attacker.learners import guess
from benchmarks.attacker.traffic import overheard
from data.studies import cell_position, n_cells
from experiment_server.presentations import draw_practice, session_rng
from experiment_server.tables import SessionRecord

FORBIDDEN = re.compile(
    r"min|max|pos(itive)?|neg(ative)?|kind|catch|main|toy::.*|correct|group|random|unit"
    r"|task|.*\.png|.*\.jpg|obvious|polarity",
    re.IGNORECASE,
)
ALLOWED = {"min_window", "n_rounds_max"}

N_SESSIONS = 21
N_TRIALS = 48
SEED = 0


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return toy_study(tmp_path_factory.mktemp("blind") / "study", n_slots=N_SESSIONS)


@pytest.fixture(scope="module")
def seen(study, tmp_path_factory):
    """What was sent before each answer of a thousand trials."""
    with served(study, tmp_path_factory.mktemp("clean") / "a.sqlite") as app:
        return overheard(app, N_SESSIONS)


def test_the_right_row_is_at_chance_in_every_channel_and_in_all(seen):
    assert len(seen) == N_TRIALS * N_SESSIONS >= 1000
    found = guessed_row(seen, seed=SEED)
    assert {name: one for name, one in found.items() if one.is_leak} == {}
    assert found[ALL].n_clues > 100


def test_catch_trials_are_not_told_apart(seen):
    found = guessed_catch(seen, seed=SEED)
    assert {name: one for name, one in found.items() if one.is_leak} == {}


def test_every_planted_leak_is_found(study, tmp_path):
    with served(study, tmp_path / "a.sqlite") as app, planted(app):
        leaking = overheard(app, 6, arrived=lambda: telling_names(app))
    found = guessed_row(leaking, seed=SEED)
    missed = [name for name in (*PLANTED, ALL) if not found[name].is_leak]
    assert missed == []


def test_a_weak_leak_is_found_in_a_thousand_trials(seen):
    rng = np.random.default_rng(SEED)
    truth = np.array([one.upper_is_right for one in seen])
    clues = rng.normal(size=(len(seen), 20))
    clues[:, 7] += 0.7 * truth
    trials = np.array([one.trial_id for one in seen])
    sessions = np.array([one.session for one in seen])
    assert guess(clues, truth, trials, sessions, seed=SEED).is_leak


def test_a_second_look_at_a_trial_finds_no_name_bytes_or_places_again(seen):
    found = second_look(seen)
    assert found["same_name"] == found["same_bytes"] == 0
    chance, n = found["chance_of_place"], found["n_pairs"]
    assert n > 500
    error = sqrt(chance * (1 - chance) / n)
    assert abs(found["same_place"] - chance) < 3.5 * error


def test_the_right_row_is_at_chance_from_what_the_page_holds(browser, tmp_path):
    study = toy_study(tmp_path / "study", n_slots=4, n_main_trials=25, n_catch_trials=0)
    clean, leaking = pages_seen(browser, study, tmp_path, n_sessions=4, n_trials=25)
    assert len(clean) == 100
    found = guessed_from_page(clean, seed=SEED)
    assert {name: one for name, one in found.items() if one.is_leak} == {}
    assert guessed_from_page(leaking, seed=SEED)["markup"].is_leak


def test_the_right_row_is_upper_as_often_as_lower(seen):
    truth = [one.upper_is_right for one in seen]
    assert abs(np.mean(truth) - 0.5) < 3.5 * 0.5 / np.sqrt(len(truth))


def test_a_catch_trial_is_not_told_apart_by_its_fields_or_headers(seen):
    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return type(value).__name__

    shapes = {"main": set(), "catch": set()}
    for one in seen:
        told = [shape(one.told["trial"]), sorted(one.image_headers)]
        shapes[one.kind].add(json.dumps(told, sort_keys=True))
    assert shapes["main"] == shapes["catch"]
    assert len(shapes["main"]) == 1


def test_no_word_that_is_sent_tells_anything(seen):
    for one in seen:
        state = one.told | {"contact": "", "ahead": []}
        # Names of images are random; letters in them may spell anything.
        for trial in (state["trial"], *state["upcoming"]):
            trial["image"] = ""
        words = set(re.findall(r"[A-Za-z_:.]+", json.dumps(state))) - ALLOWED
        parts = {part for word in words for part in word.split("_")}
        told = {part for part in parts if FORBIDDEN.fullmatch(part)}
        assert not told


def test_names_of_images_are_long_and_never_come_back(seen):
    names = [one.told["trial"]["image"].rsplit("/", 1)[1] for one in seen]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {24}


def test_the_cell_of_the_right_query_is_spread_over_the_atlas(seen):
    cells = {
        tuple(one.told["trial"]["upper" if one.upper_is_right else "lower"])
        for one in seen
    }
    assert cells == {cell_position(cell) for cell in range(n_cells(n_images=8))}


def test_practice_sides_and_rows_are_balanced(study):
    rounds = [
        draw_practice(study, session_rng(study, SessionRecord(number=one), "practice"))
        for one in range(200)
    ]
    upper = [
        shown.upper_query == shown.right_polarity for own in rounds for shown in own
    ]
    assert abs(np.mean(upper) - 0.5) < 3.5 * 0.5 / np.sqrt(len(upper))
