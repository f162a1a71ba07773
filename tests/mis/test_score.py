from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from data.errors import DataContractError
from data.formats import Header
from data.scores import read_scores, write_scores
from data.tasks import TaskConfig
from mis.score import (
    hard_accuracy,
    probabilities,
    score_units,
    task_margins_from_features,
)
from tests.mis import reference
from tests.mis.toys import ColourHistogram, one_colour, tasks_of

CONFIG = TaskConfig(n_tasks=3, n_explanations=5)
HEADER = Header(format="scores", version=1, config={"tau": 0.16})


def unit_norm(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def score_of(tasks, features, *, tau=0.16):
    margins = task_margins_from_features(features, tasks.queries, tasks.explanations)
    return score_units(tasks, margins, tau=tau, header=HEADER)


@pytest.fixture
def features(rng):
    return unit_norm(rng.normal(size=(80, 16))).astype(np.float32)


def test_tau_divides_so_that_cosines_can_reach_the_published_scores():
    assert probabilities(np.array([0.352]), tau=0.16) == pytest.approx([0.9], abs=1e-3)
    assert probabilities(np.array([4.0]), tau=1 / 0.16) == pytest.approx(
        [0.655], abs=1e-3
    )
    margins = np.array([-0.3, 0.0, 0.3])
    assert 0.16 * logit(probabilities(margins, tau=0.16)) == pytest.approx(margins)


@pytest.mark.parametrize("tau", [0, -0.16, float("nan"), float("inf")])
def test_tau_must_be_above_zero(tau):
    with pytest.raises(DataContractError, match=rf"'tau' is {tau!r}; it must be"):
        probabilities(np.zeros(1), tau=tau)


def test_a_tied_task_counts_one_half_in_hard_accuracy():
    assert hard_accuracy(np.array([[0.1, 0.0, -0.2, 0.3]])) == pytest.approx([0.625])


def test_the_score_is_hard_accuracy_in_the_limit_of_a_sharp_observer(rng, features):
    tasks = tasks_of(rng.normal(size=(20, 80)), CONFIG)
    units = score_of(tasks, features, tau=1e-9).units
    np.testing.assert_allclose(units["mis"], units["hard_accuracy"], atol=1e-9)


def test_scores_agree_with_the_reference(rng, features):
    tasks = tasks_of(rng.normal(size=(10, 80)), CONFIG)
    f = reference.cosine(features)
    expected = [
        reference.unit_score(f, tasks.queries[row], tasks.explanations[row], 0.16)
        for row in range(10)
    ]
    np.testing.assert_allclose(
        score_of(tasks, features).units["mis"], expected, atol=1e-5
    )


def test_swapping_the_polarity_of_every_task_leaves_every_score_as_it_was(
    rng, features
):
    tasks = tasks_of(rng.normal(size=(30, 80)), CONFIG)
    swapped = replace(
        tasks,
        queries=tasks.queries[..., ::-1],
        explanations=tasks.explanations[:, :, ::-1],
    )
    before, after = score_of(tasks, features), score_of(swapped, features)
    assert after.units.equals(before.units)
    assert after.tasks.equals(before.tasks)


def test_every_unit_has_a_row_in_order_and_one_without_tasks_has_its_reason(
    rng, features
):
    activations = rng.normal(size=(4, 80))
    activations[1] = 3.0
    activations[2, 5:] = 0.0
    tasks = tasks_of(activations, CONFIG)
    units = score_of(tasks, features).units
    assert units["unit"].tolist() == tasks.table["unit"].tolist()
    assert units["mis"].isna().tolist() == [False, True, True, False]
    assert units["hard_accuracy"].isna().tolist() == [False, True, True, False]
    assert units["n_tasks"].tolist() == [3, 0, 0, 3]
    assert "constant" in units["reason"][1]
    assert "too few distinct" in units["reason"][2]
    assert units["reason"][[0, 3]].isna().all()
    assert units["tie_share"][1] == 1


def test_the_mean_of_a_units_task_probabilities_is_its_score(rng, features):
    scores = score_of(tasks_of(rng.normal(size=(6, 80)), CONFIG), features)
    mean = scores.tasks.groupby("unit", sort=False)["probability"].mean()
    np.testing.assert_allclose(mean, scores.units["mis"], rtol=1e-12)
    expected = probabilities(scores.tasks["margin"].to_numpy(), tau=0.16)
    np.testing.assert_array_equal(scores.tasks["probability"], expected)


def test_scores_without_any_unit_with_tasks_can_be_written_and_read(features, tmp_path):
    scores = score_of(tasks_of(np.zeros((2, 80)), CONFIG), features)
    write_scores(tmp_path / "scores", scores)
    read = read_scores(tmp_path / "scores")
    assert read.units["mis"].isna().all()
    assert len(read.tasks) == 0


def test_margins_of_another_task_set_are_refused(rng):
    tasks = tasks_of(rng.normal(size=(2, 80)), CONFIG)
    with pytest.raises(DataContractError, match=r"shape \(2, 4\).*need \(2, 3\)"):
        score_units(tasks, np.zeros((2, 4)), tau=0.16, header=HEADER)
    with pytest.raises(DataContractError, match="1 margins are not finite"):
        score_units(
            tasks, np.array([[0, 0, 0], [0, np.nan, 0]]), tau=0.16, header=HEADER
        )


@pytest.fixture(scope="module")
def class_sorted_features():
    """Of 20 classes of 25 images, sorted by class; a class is a colour."""
    encoder = ColourHistogram(batch_size=20)
    return encoder.embed([one_colour(3 * number) for number in range(20)]).repeat(
        25, axis=0
    )


def sparse_activations(rng, *, n_active, n_units=150, n_images=500):
    """Zero but for a few images, which have nothing to do with their class."""
    values = np.zeros((n_units, n_images), dtype=np.float32)
    for row in values:
        active = rng.choice(n_images, n_active, replace=False)
        row[active] = rng.exponential(size=n_active)
    return values


def is_chance(mis):
    return abs(mis.mean() - 0.5) < 4 * mis.std() / np.sqrt(len(mis))


@pytest.mark.parametrize("n_active", [1, 10, 60])
def test_dead_and_tied_units_are_at_chance_on_images_sorted_by_class(
    rng, class_sorted_features, n_active
):
    config = replace(CONFIG, tied_units="draw")
    tasks = tasks_of(sparse_activations(rng, n_active=n_active), config)
    units = score_of(tasks, class_sorted_features).units
    assert (units["tie_share"] >= 0.5).all()
    assert is_chance(units["mis"])


@pytest.mark.parametrize("n_active", [1, 10, 60])
def test_the_same_units_score_above_0_9_where_image_order_breaks_ties(
    rng, class_sorted_features, monkeypatch, n_active
):
    def by_image(units, image_index, *, seed):
        return np.broadcast_to(image_index, (len(units), len(image_index)))

    monkeypatch.setattr("tests.data.toy.tie_keys", by_image)
    config = replace(CONFIG, tied_units="draw")
    tasks = tasks_of(sparse_activations(rng, n_active=n_active), config)
    units = score_of(tasks, class_sorted_features).units
    assert units["mis"].mean() > 0.9
    assert not is_chance(units["mis"])
