from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import data.recordings
from data.errors import DataContractError
from data.recordings import read_recording, tie_keys, write_recording
from data.tasks import (
    NEGATIVE,
    POSITIVE,
    TaskConfig,
    draw_tasks,
    read_tasks,
    write_tasks,
)
from data.units import UnitId
from tests.data.toy import recording_of

SMALL = TaskConfig(n_tasks=4, n_explanations=3)


@pytest.fixture
def recording(rng):
    return recording_of(rng.normal(size=(3, 100)), n_extremes=20, full=True)


def activations(recording, unit):
    return recording.full[unit]


def test_each_task_takes_one_image_of_every_stratum(recording):
    tasks = draw_tasks(recording, SMALL, seed=1)
    for row, unit in enumerate(tasks.units):
        descending = np.argsort(-activations(recording, unit))
        shown = tasks.explanations[row, :, POSITIVE]
        for stratum in range(SMALL.n_explanations):
            expected = descending[4 * stratum : 4 * (stratum + 1)]
            assert sorted(shown[:, stratum]) == sorted(expected)
        queries = tasks.queries[row, :, POSITIVE]
        assert sorted(queries) == sorted(descending[12:16])


def test_the_weak_end_mirrors_the_strong_one(recording):
    tasks = draw_tasks(recording, SMALL, seed=1)
    ascending = np.argsort(activations(recording, tasks.units[0]))
    assert sorted(tasks.queries[0, :, NEGATIVE]) == sorted(ascending[12:16])
    assert set(tasks.explanations[0, :, NEGATIVE].ravel()) == set(ascending[:12])


def test_explanations_are_stronger_than_queries_in_every_task(recording):
    for task in draw_tasks(recording, SMALL, seed=1):
        value = dict(
            zip(recording.image_ids, activations(recording, task.unit), strict=True)
        )
        strengths = [value[image] for image in task.positive_explanations]
        assert strengths == sorted(strengths, reverse=True)
        assert min(strengths) > value[task.positive_query]
        assert value[task.positive_query] > value[task.negative_query]


def test_no_image_occurs_twice_among_a_units_tasks(recording):
    tasks = draw_tasks(recording, SMALL, seed=1)
    for unit in tasks.units:
        shown = [
            image for number in range(4) for image in tasks.task(unit, number).images
        ]
        assert len(shown) == len(set(shown)) == 4 * (2 + 2 * 3)


def test_the_order_within_strata_comes_from_the_seed(recording):
    first, again, other = (draw_tasks(recording, SMALL, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.queries, again.queries)
    np.testing.assert_array_equal(first.explanations, again.explanations)
    assert not np.array_equal(first.queries, other.queries)


def test_a_units_tasks_do_not_depend_on_the_other_units(recording):
    together = draw_tasks(recording, SMALL, seed=1)
    alone = draw_tasks(recording, SMALL, seed=1, units=[recording.units[2]])
    np.testing.assert_array_equal(alone.explanations[0], together.explanations[2])


def test_units_that_rank_the_images_alike_still_get_tasks_of_their_own(rng):
    recording = recording_of(np.tile(rng.normal(size=100), (2, 1)), n_extremes=20)
    first, second = draw_tasks(recording, SMALL, seed=1).explanations
    assert set(first.ravel()) == set(second.ravel())
    assert not np.array_equal(first, second)


def test_a_constant_unit_gets_a_reason_and_no_tasks(rng):
    values = np.stack([np.full(100, 3.0), rng.normal(size=100)])
    tasks = draw_tasks(recording_of(values, n_extremes=20), SMALL, seed=0)
    assert len(tasks.units) == 1
    assert tasks.table.loc[0, "reason"].startswith("constant")
    assert tasks.table.loc[0, "tie_share"] == 1
    with pytest.raises(DataContractError, match="has no tasks: constant"):
        tasks.task(UnitId("toy", "layer", 0), 0)


def test_a_unit_whose_queries_can_be_equal_gets_a_reason():
    values = np.zeros((1, 100))
    values[0, :15] = np.arange(1, 16)
    recording = recording_of(values, n_extremes=20)
    table = draw_tasks(recording, SMALL, seed=0).table
    assert table.loc[0, "reason"].startswith("too few distinct activations")
    assert len(
        draw_tasks(recording, TaskConfig(n_tasks=3, n_explanations=3), seed=0).units
    )
    drawn = draw_tasks(
        recording, TaskConfig(n_tasks=4, n_explanations=3, tied_units="draw"), seed=0
    )
    assert len(drawn.units) == 1


def test_the_tie_share_counts_images_with_a_twin_at_their_end():
    values = np.arange(100, dtype=float)[None].copy()
    values[0, :8] = 0
    tasks = draw_tasks(recording_of(values, n_extremes=16), SMALL, seed=0)
    assert tasks.table.loc[0, "tie_share"] == 8 / 32


def test_ties_are_broken_anew_for_every_unit_and_seed():
    recording = recording_of(np.zeros((2, 1000)), n_extremes=50)
    other = recording_of(np.zeros((2, 1000)), n_extremes=50, seed=1)
    first, second = (set(recording.top_index[row]) for row in (0, 1))
    assert len(first & second) < 15
    assert len(first & set(other.top_index[0])) < 15


def test_ties_do_not_follow_the_order_of_images():
    images = recording_of(np.zeros((50, 1000)), n_extremes=50).top_index
    # 2,500 draws from 0 to 999: the mean's standard error is 5.8.
    assert abs(images.mean() - 499.5) < 25


@pytest.mark.parametrize("n_active", [0, 5, 30])
def test_no_image_is_at_both_ends_of_a_tied_unit(n_active):
    values = np.zeros((20, 100))
    values[:, :n_active] = np.arange(n_active)
    recording = recording_of(values, n_extremes=50)
    for top, bottom in zip(recording.top_index, recording.bottom_index, strict=True):
        assert not set(top) & set(bottom)


@given(st.integers(0, 2**40), st.integers(0, 1000))
def test_a_tie_key_depends_on_seed_unit_and_image_alone(seed, start):
    units = [UnitId("a", "b", channel) for channel in range(3)]
    images = np.arange(start, start + 7)
    keys = tie_keys(units, images, seed=seed)
    alone = tie_keys(units[1:2], images[3:4], seed=seed)
    assert keys[1, 3] == alone[0, 0]
    assert len(np.unique(keys)) == keys.size


@pytest.mark.parametrize(("percentile", "start"), [(90, 50), (75, 125)])
def test_a_percentile_moves_the_queries_only(rng, percentile, start):
    recording = recording_of(rng.normal(size=(1, 500)), n_extremes=40, full=True)
    config = TaskConfig(n_tasks=4, n_explanations=3, difficulty=percentile)
    tasks = draw_tasks(recording, config, seed=0)
    descending = np.argsort(-recording.full[recording.units[0]])
    assert set(tasks.queries[0, :, POSITIVE]) == set(descending[start : start + 4])
    assert set(tasks.explanations[0, :, POSITIVE].ravel()) == set(descending[:12])
    assert (
        tasks.task(tasks.units[0], 0).task_id
        == f"toy::layer::0#natural-p{percentile}#0"
    )


def test_a_percentile_keeps_the_explanations_where_activations_are_tied():
    values = np.repeat([0.0, 1.0, 2.0], [150, 100, 150])[None]
    recording = recording_of(values, n_extremes=20, full=True)
    easy = draw_tasks(recording, SMALL, seed=1).explanations
    hard = draw_tasks(recording, replace(SMALL, difficulty=90), seed=1).explanations
    for polarity in (POSITIVE, NEGATIVE):
        shown, expected = hard[:, :, polarity], easy[:, :, polarity]
        assert set(shown.ravel()) == set(expected.ravel())


def test_imis_start_positions_follow_from_the_percentiles():
    from data.tasks import _query_start

    starts = [_query_start(1_281_167, TaskConfig(difficulty=p)) for p in (99, 95, 85)]
    assert starts == [12_811, 64_058, 192_175]


def test_a_percentile_without_full_activations_says_how_to_record_them(rng):
    recording = recording_of(rng.normal(size=(1, 500)), n_extremes=40)
    config = TaskConfig(n_tasks=4, n_explanations=3, difficulty=90)
    with pytest.raises(DataContractError, match=r"no full activations.*--full"):
        draw_tasks(recording, config, seed=0)


def test_a_percentile_inside_the_explanations_is_refused(recording):
    config = TaskConfig(n_tasks=4, n_explanations=3, difficulty=99)
    with pytest.raises(DataContractError, match="starts the queries at rank 1;"):
        draw_tasks(recording, config, seed=0)


def test_too_few_images_say_how_many_are_needed(recording):
    config = TaskConfig(n_tasks=6, n_explanations=9)
    with pytest.raises(DataContractError, match=r"100 images;.*at least 120"):
        draw_tasks(recording, config, seed=0)


def test_too_short_a_recording_says_how_many_it_keeps(recording):
    config = TaskConfig(n_tasks=5, n_explanations=9)
    with pytest.raises(
        DataContractError, match=r"keeps 20 images at each end;.*need 50"
    ):
        draw_tasks(recording, config, seed=0)


def test_an_unknown_unit_is_refused_with_near_names(recording):
    with pytest.raises(DataContractError, match=r"'toy::layer::7'.*Did you mean"):
        draw_tasks(recording, SMALL, seed=0, units=[UnitId("toy", "layer", 7)])


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"n_tasks": 0}, "'n_tasks' is 0"),
        ({"difficulty": 40}, "'difficulty' is 40"),
        ({"n_explanations": 0}, "'n_explanations' is 0"),
    ],
)
def test_a_setting_out_of_range_is_named(setting, match):
    with pytest.raises(DataContractError, match=match):
        TaskConfig(**setting)


def test_a_recording_reads_back_equal(recording, tmp_path):
    write_recording(tmp_path / "recording", recording)
    read = read_recording(tmp_path / "recording")
    np.testing.assert_array_equal(read.top_index, recording.top_index)
    np.testing.assert_array_equal(read.bottom_value, recording.bottom_value)
    assert read.units == recording.units
    assert read.header == recording.header
    for unit in recording.units:
        np.testing.assert_array_equal(read.full[unit], recording.full[unit])


def test_tasks_read_back_equal(recording, tmp_path):
    tasks = draw_tasks(recording, SMALL, seed=1)
    write_tasks(tmp_path / "tasks", tasks)
    read = read_tasks(tmp_path / "tasks")
    assert list(read) == list(tasks)
    assert read.config == SMALL
    assert read.table.equals(tasks.table)


def test_a_recording_cut_short_is_refused(recording, tmp_path):
    write_recording(tmp_path / "recording", recording)
    file = tmp_path / "recording" / "extremes.npz"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataContractError, match="not a whole NPZ"):
        read_recording(tmp_path / "recording")


def test_activations_that_are_not_finite_are_refused(rng):
    values = rng.normal(size=(2, 100))
    recording = recording_of(values, n_extremes=20)
    recording.top_value[1, 3] = np.inf
    with pytest.raises(
        DataContractError, match="not finite for 1 units, first 'toy::layer::1'"
    ):
        replace(recording)


def test_without_random_keys_ties_would_follow_the_images(monkeypatch):
    def by_image(units, image_index, *, seed):
        return np.broadcast_to(image_index, (len(units), len(image_index)))

    monkeypatch.setattr("tests.data.toy.tie_keys", by_image)
    recording = recording_of(np.zeros((1, 100)), n_extremes=20)
    assert set(recording.bottom_index[0]) == set(range(20))
    assert set(recording.top_index[0]) == set(range(80, 100))
    assert data.recordings.tie_keys is not by_image
