"""A test that tries: can the right row be told from what is sent before an answer?"""

import json
import re

import numpy as np
import pytest

from data.studies import cell_position, n_cells, read_study
from experiment_server.app import create_app
from experiment_server.settings import ServerSettings
from tests.experiment_server.participant import Participant
from tests.experiment_server.toy_study import make_toy_study

FORBIDDEN = re.compile(
    r"min|max|pos(itive)?|neg(ative)?|kind|catch|main|toy::.*|correct|group|random|unit"
    r"|task|.*\.png|.*\.jpg|obvious|polarity",
    re.IGNORECASE,
)
ALLOWED = {"min_window", "n_rounds_max"}

N_SESSIONS = 8


def collect(folder, tmp_path):
    """Walk all sessions by guessing; return what was sent before each answer."""
    make_toy_study(
        folder,
        n_slots=N_SESSIONS,
        n_main_trials=40,
        n_catch_trials=4,
        n_instructed_trials=0,
        max_practice_rounds=50,
        break_every=None,
    )
    app = create_app(folder, f"sqlite:///{tmp_path / 'a.sqlite'}", ServerSettings())
    study = read_study(folder)
    seen = []
    for _ in range(N_SESSIONS):
        one = Participant(app.test_client(), study)
        one.join()
        one.walk_to("trial")
        while one.screen != "feedback":
            if one.screen == "trial":
                image = one.client.get(one.state["trial"]["image"])
                seen.append(
                    {
                        "state": one.state,
                        "headers": dict(image.headers),
                        "image_bytes": len(image.data),
                        "upper_is_right": one.right_row() == "upper",
                        "kind": one.shown_trial().kind,
                        "trial_id": one.shown_trial().trial_id,
                    }
                )
            one.step()
    app.extensions["unitscope"].database.close()
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("blind")
    return collect(tmp_path / "study", tmp_path)


def features(one):
    """Every number in what was sent, and numbers made from every name."""
    state, trial = one["state"], one["state"]["trial"]
    places = [trial["upper"], trial["lower"], *trial["left"], *trial["right"]]
    names = [trial["image"], *state["ahead"], "", "", ""][:4]
    return [
        one["image_bytes"],
        int(one["headers"]["Content-Length"]),
        len(one["headers"]),
        len(json.dumps(state)),
        state["progress"],
        trial["sequence"],
        trial["sequence"] % 2,
        *(number for place in places for number in place),
        *(sum(map(ord, name)) for name in names),
        *(len(name) for name in names),
        trial["upper"][0] - trial["lower"][0],
        trial["upper"][1] - trial["lower"][1],
        np.mean([x for x, _ in trial["left"]])
        - np.mean([x for x, _ in trial["right"]]),
        np.mean([y for _, y in trial["left"]])
        - np.mean([y for _, y in trial["right"]]),
        len(list(state)),
    ]


def accuracy(table, truth, trials, *, n_folds=5):
    """Cross-validated accuracy of two learners, the better one.

    No trial is in two folds: who has seen a task solved knows it by its picture.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    learners = [
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
        RandomForestClassifier(60, min_samples_leaf=5, random_state=0),
    ]
    return max(
        cross_val_score(one, table, truth, groups=trials, cv=folds).mean()
        for one in learners
    )


def main_block(seen):
    return [one for one in seen if one["kind"] != "practice"]


@pytest.fixture(scope="module")
def learned(seen):
    """What was sent as numbers, which row was right, and which trial it was."""
    block = main_block(seen)
    return (
        np.array([features(one) for one in block], dtype=float),
        np.array([one["upper_is_right"] for one in block]),
        np.array([one["trial_id"] for one in block]),
    )


def test_the_right_row_is_at_chance_from_all_that_is_sent(learned):
    table, truth, trials = learned
    assert len(truth) == 44 * N_SESSIONS
    # 3.5 standard errors of a coin: two learners have their try.
    assert accuracy(table, truth, trials) < 0.5 + 3.5 * 0.5 / np.sqrt(len(truth))


def test_the_learners_find_a_leak_when_there_is_one(learned):
    table, truth, trials = learned
    leaking = table.copy()
    noise = np.random.default_rng(0).normal(0, 1, len(truth))
    leaking[:, 0] += np.where(truth, 1, -1) + noise
    assert accuracy(leaking, truth, trials) > 0.7


def test_the_right_row_is_upper_as_often_as_lower(seen):
    truth = [one["upper_is_right"] for one in main_block(seen)]
    assert abs(np.mean(truth) - 0.5) < 3.5 * 0.5 / np.sqrt(len(truth))


def test_a_catch_trial_is_not_told_apart_by_its_fields_or_headers(seen):
    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return type(value).__name__

    def length_of(one):
        return "Content-Length", one["headers"]["Content-Length"]

    shapes = {"main": set(), "catch": set()}
    for one in main_block(seen):
        trial = one["state"]["trial"]
        headers = sorted(set(one["headers"].items()) - {length_of(one)})
        shapes[one["kind"]].add(json.dumps([shape(trial), headers], sort_keys=True))
    assert shapes["main"] == shapes["catch"]
    assert len(shapes["main"]) == 1


def test_no_word_that_is_sent_tells_anything(seen):
    for one in seen:
        state = one["state"] | {"contact": "", "trial": one["state"]["trial"] | {}}
        # Names of images are random; letters in them may spell anything.
        state["trial"]["image"], state["ahead"] = "", []
        state["upcoming"] = [other | {"image": ""} for other in state["upcoming"]]
        words = set(re.findall(r"[A-Za-z_:.]+", json.dumps(state))) - ALLOWED
        parts = {part for word in words for part in word.split("_")}
        told = {part for part in parts if FORBIDDEN.fullmatch(part)}
        assert not told


def test_names_of_images_are_long_and_never_come_back(seen):
    names = [one["state"]["trial"]["image"].rsplit("/", 1)[1] for one in seen]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {24}


def test_the_cell_of_the_right_query_is_spread_over_the_atlas(seen):
    block = main_block(seen)
    cells = {
        tuple(one["state"]["trial"]["upper" if one["upper_is_right"] else "lower"])
        for one in block
    }
    assert cells == {cell_position(cell) for cell in range(n_cells(n_images=8))}


def test_practice_sides_and_rows_are_balanced(seen):
    practice = [one for one in seen if one["kind"] == "practice"]
    upper = [one["upper_is_right"] for one in practice]
    assert abs(np.mean(upper) - 0.5) < 3.5 * 0.5 / np.sqrt(len(upper))
