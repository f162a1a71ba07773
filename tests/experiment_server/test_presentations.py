"""What is drawn for a session: balanced, seeded, new for every round."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from data.errors import ExperimentError
from data.files import bytes_hash, read_json, write_json
from data.studies import StudyConfig, cell_position, read_study
from experiment_server.presentations import (
    balanced_layouts,
    draw_practice,
    session_rng,
)
from experiment_server.readiness import check_ready
from experiment_server.settings import ServerSettings
from experiment_server.tables import PresentationRecord, SessionRecord
from tests.experiment_server.toy_study import SETTINGS, make_toy_study


@given(st.integers(1, 40), st.integers(0, 1000))
def test_sides_and_rows_differ_by_at_most_one(n, seed):
    config = StudyConfig.of(SETTINGS)
    layouts = balanced_layouts(n, config, np.random.default_rng(seed))
    sides = Counter(side for side, _ in layouts)
    assert len(layouts) == n
    assert abs(sides["left"] - sides["right"]) <= 1
    combined = Counter(layouts)
    assert (
        max(combined.values())
        - min(
            combined[side, query]
            for side in ("left", "right")
            for query in ("positive", "negative")
        )
        <= 1
    )


@given(st.integers(1, 40), st.integers(0, 1000))
def test_fixed_sides_keep_rows_balanced(n, seed):
    config = StudyConfig.of(SETTINGS | {"sides": "fixed"})
    layouts = balanced_layouts(n, config, np.random.default_rng(seed))
    rows = Counter(query for _, query in layouts)
    assert {side for side, _ in layouts} == {"right"}
    assert abs(rows["positive"] - rows["negative"]) <= 1


def test_the_same_seed_and_session_give_the_same_round(toy_folder):
    study = read_study(toy_folder)

    def drawn(number, round_number=1, key=None):
        session = SessionRecord(number=number, draw_key=key)
        rng = session_rng(study, session, "practice", round_number)
        return draw_practice(study, rng)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1, 1) != drawn(1, 2)
    assert drawn(1, key="ab") == drawn(1, key="ab")
    assert drawn(1, key="ab") != drawn(1, key="ac")


def test_what_was_drawn_before_sessions_had_keys_is_drawn_again(toy_folder):
    study = read_study(toy_folder)
    words = int(bytes_hash(b"practice")[:16], 16)
    older = np.random.default_rng([study.header.seed, 7, words, 2])
    session = SessionRecord(number=7, draw_key=None)
    again = session_rng(study, session, "practice", 2)
    assert again.integers(2**40) == older.integers(2**40)


def test_sessions_draw_from_secrets_unless_a_seed_is_given():
    assert len({ServerSettings().draw_key(1) for _ in range(3)}) == 3
    seeded = ServerSettings(draw_seed=5)
    assert seeded.draw_key(1) == ServerSettings(draw_seed=5).draw_key(1)
    assert seeded.draw_key(1) != seeded.draw_key(2)


def test_a_joined_session_has_a_key_of_its_own(serve):
    served = serve()
    for _ in range(2):
        served.participant()
    with served.database.read() as db:
        keys = db.scalars(select(SessionRecord.draw_key)).all()
    assert len({key for key in keys if key}) == 2


def test_a_round_has_as_many_obvious_trials_as_the_study_says(toy_folder):
    study = read_study(toy_folder)
    for number in range(20):
        shown = draw_practice(
            study, session_rng(study, SessionRecord(number=number), "practice", 1)
        )
        trials = [study.trials[one.trial_id] for one in shown]
        assert sorted(trial.obvious for trial in trials) == [False, True, True]
        assert len({trial.task.unit for trial in trials}) == 3


@pytest.fixture
def folder(tmp_path):
    return make_toy_study(tmp_path / "study")


def test_a_study_with_a_changed_atlas_is_not_served(folder):
    atlas = next((folder / "atlases").iterdir())
    atlas.write_bytes(atlas.read_bytes()[:-1])
    with pytest.raises(ExperimentError, match="is missing or was changed"):
        check_ready(read_study(folder))


@pytest.mark.parametrize("settings", [{"n_less_obvious_practice": 4}])
def test_a_study_with_too_few_practice_trials_is_not_served(tmp_path, settings):
    folder = make_toy_study(tmp_path / "short", **settings)
    with pytest.raises(ExperimentError, match="2 obvious and 4 less obvious"):
        check_ready(read_study(folder))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("server/slots.json", lambda slots: [], "its slots hold no trials"),
        (
            "server/slots.json",
            lambda slots: [[slots[0][0] | {"trial_id": "none"}]],
            "unknown trial 'none'",
        ),
        (
            "server/trials.json",
            lambda trials: [one for one in trials if one["kind"] != "example"],
            "no 'example' trial",
        ),
        ("texts.json", lambda texts: texts | {"consent": ""}, "has no 'consent'"),
    ],
)
def test_a_study_that_lacks_a_part_is_not_served(folder, name, change, said):
    write_json(folder / name, change(read_json(folder / name)))
    with pytest.raises(ExperimentError, match=said):
        check_ready(read_study(folder))


def test_without_explanations_the_positive_query_is_right_in_practice_and_after(
    serve, make_study
):
    served = serve(make_study(n_explanations=0, feedback="all", n_instructed_trials=0))
    one = served.participant(participant="anna")
    one.consent()
    one.read()
    rows = []
    while one.screen != "feedback":
        if one.screen != "trial":
            one.go_on()
        positive = list(cell_position(one.shown_trial().cells.positive_query))
        row = "upper" if one.state["trial"]["upper"] == positive else "lower"
        rows.append(row)
        reply = one.post("answers", one.answer_body(chosen=row))
        assert reply.json["feedback"] == {"correct": True}
    assert set(rows) == {"upper", "lower"}
    with served.database.read() as db:
        sides = db.scalars(select(PresentationRecord.positive_side)).all()
    assert set(sides) == {"right"}
