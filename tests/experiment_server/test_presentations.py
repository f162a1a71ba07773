"""What is drawn for a session: balanced, seeded, new for every round."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ExperimentError
from data.files import read_json, write_json
from data.studies import StudyConfig, read_study
from experiment_server.presentations import (
    balanced_layouts,
    draw_practice,
    session_rng,
)
from experiment_server.readiness import check_ready
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

    def drawn(number, round_number=1):
        return draw_practice(
            study, session_rng(study, number, "practice", round_number)
        )

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1, 1) != drawn(1, 2)


def test_a_round_has_as_many_obvious_trials_as_the_study_says(toy_folder):
    study = read_study(toy_folder)
    for number in range(20):
        shown = draw_practice(study, session_rng(study, number, "practice", 1))
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
