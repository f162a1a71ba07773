import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.recordings import TieOrder, tie_keys
from data.units import UnitId
from stimuli.extremes import (
    BLOCK,
    ActivationError,
    LayerStream,
    RunningExtremes,
    bytes_per_unit,
    coded_values,
    rank_codes,
)
from stimuli.unit_statistics import RunningStatistics

N_IMAGES = 700


def units_of(n_units):
    return [UnitId("toy", "layer", channel) for channel in range(n_units)]


def streamed(values, *, batch_sizes, n_kept=20, full=(), seed=0):
    """Feed (n_images, n_units) activations in batches of the sizes given, in turn."""
    stream = LayerStream(
        units_of(values.shape[1]),
        n_kept=n_kept,
        n_images=len(values),
        full=full,
        seed=seed,
    )
    start = turn = 0
    while start < len(values):
        stop = start + batch_sizes[turn % len(batch_sizes)]
        stream.add(values[start:stop])
        start, turn = stop, turn + 1
    stream.flush()
    return stream


def frame(stream):
    return pd.DataFrame(stream.columns())


def sorted_whole(values, *, n_kept, seed):
    """Rank all images at once: by value, then by key."""
    keys = tie_keys(units_of(values.shape[1]), np.arange(len(values)), seed=seed)
    top = [
        np.lexsort((~key, -value)) for key, value in zip(keys, values.T, strict=True)
    ]
    low = [np.lexsort((key, value)) for key, value in zip(keys, values.T, strict=True)]
    return np.array(top)[:, :n_kept], np.array(low)[:, :n_kept]


@pytest.fixture
def values(rng):
    """A free unit, one that is silent on most images, one of few values, one dead."""
    free = rng.normal(size=N_IMAGES)
    silent = np.maximum(rng.normal(size=N_IMAGES) - 1.5, 0)
    coarse = rng.integers(0, 5, size=N_IMAGES)
    columns = [free, silent, coarse, np.zeros(N_IMAGES)]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("batch_sizes", [[1], [7, 32], [BLOCK], [N_IMAGES]])
def test_streaming_finds_what_a_full_sort_finds(values, batch_sizes):
    stream = streamed(values, batch_sizes=batch_sizes, seed=4)
    top, bottom = sorted_whole(values, n_kept=20, seed=4)
    np.testing.assert_array_equal(stream.extremes()["top_index"], top)
    np.testing.assert_array_equal(stream.extremes()["bottom_index"], bottom)
    expected = np.take_along_axis(values.T, top, axis=1)
    np.testing.assert_array_equal(stream.extremes()["top_value"], expected)


@given(
    values=st.lists(st.sampled_from([-1.0, -0.0, 0.0, 1.0]), min_size=8, max_size=40),
    batch_size=st.integers(1, 40),
)
def test_ties_are_broken_by_key_whatever_the_batches(values, batch_size):
    column = np.array(values, dtype=np.float32)[:, None]
    stream = streamed(column, batch_sizes=[batch_size], n_kept=4)
    top, bottom = sorted_whole(column, n_kept=4, seed=0)
    np.testing.assert_array_equal(stream.extremes()["top_index"], top)
    np.testing.assert_array_equal(stream.extremes()["bottom_index"], bottom)


def test_tied_images_at_an_end_come_from_the_whole_set(values):
    stream = streamed(values, batch_sizes=[32], n_kept=100)
    dead = stream.extremes()["bottom_index"][3]
    # In the order of images they would be the first 100; at random they spread.
    assert 0.3 * N_IMAGES < dead.mean() < 0.7 * N_IMAGES
    assert not np.array_equal(np.sort(dead), np.sort(stream.extremes()["top_index"][2]))


def test_another_seed_breaks_ties_otherwise(values):
    first = streamed(values, batch_sizes=[32], seed=0)
    other = streamed(values, batch_sizes=[32], seed=1)
    assert not np.array_equal(
        first.extremes()["bottom_index"][3], other.extremes()["bottom_index"][3]
    )
    np.testing.assert_array_equal(
        first.extremes()["bottom_index"][0], other.extremes()["bottom_index"][0]
    )


def test_statistics_are_those_of_the_whole_set(values):
    table = streamed(values, batch_sizes=[33]).statistics.columns()
    exact = values.astype(np.float64)
    np.testing.assert_allclose(table["mean"], exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["sd"], exact.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(table["minimum"], exact.min(axis=0))
    np.testing.assert_array_equal(table["maximum"], exact.max(axis=0))
    at_minimum = (exact == exact.min(axis=0)).mean(axis=0)
    np.testing.assert_array_equal(table["share_at_minimum"], at_minimum)


def test_a_lower_minimum_in_a_later_block_starts_the_count_anew():
    values = np.concatenate([np.zeros(BLOCK), np.full(BLOCK, -1.0)]).astype(np.float32)
    table = streamed(values[:, None], batch_sizes=[64]).statistics.columns()
    assert table["share_at_minimum"].tolist() == [0.5]


def test_statistics_do_not_depend_on_the_batch_size(values):
    tables = [
        streamed(values, batch_sizes=[size]).statistics.columns() for size in (1, 50)
    ]
    assert pd.DataFrame(tables[0]).equals(pd.DataFrame(tables[1]))


def test_statistics_of_a_large_offset_keep_their_spread(rng):
    values = (1e4 + rng.normal(size=(N_IMAGES, 1))).astype(np.float32)
    table = streamed(values, batch_sizes=[32]).statistics.columns()
    np.testing.assert_allclose(table["sd"], values.astype(float).std(), rtol=1e-9)


def test_named_units_keep_all_activations(values):
    unit = units_of(4)[1]
    stream = streamed(values, batch_sizes=[48], full=[unit])
    np.testing.assert_array_equal(stream.full[unit], values[:, 1])


def held_bytes(stream):
    ends = (stream.top, stream.bottom)
    arrays = [array for end in ends for array in vars(end).values()]
    arrays += [*vars(stream.statistics).values(), stream._waiting]
    return sum(getattr(array, "nbytes", 0) for array in arrays)


def test_what_is_held_does_not_grow_with_the_images(values):
    few = streamed(values, batch_sizes=[32])
    many = streamed(np.tile(values, (5, 1)), batch_sizes=[32])
    assert held_bytes(many) == held_bytes(few)


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.tuples(finite, st.integers(0, 2**32 - 1)), min_size=1, max_size=30))
def test_codes_are_in_the_order_of_values_then_keys(pairs):
    value = np.array([pair[0] for pair in pairs], dtype=np.float32)
    key = np.array([pair[1] for pair in pairs], dtype=np.uint32)
    code = rank_codes(value, key)
    order = np.lexsort((key, value))
    np.testing.assert_array_equal(np.argsort(code, kind="stable"), order)
    np.testing.assert_array_equal(coded_values(code), value)


@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**31 - 1), max_size=20))
def test_an_image_can_be_told_from_its_key(seed, images):
    order = TieOrder(units_of(3), seed=seed)
    index = np.array(images, dtype=np.int64)
    found = order.images(order.keys(index))
    np.testing.assert_array_equal(found, np.broadcast_to(index, (3, len(images))))


@given(
    values=st.lists(st.integers(0, 6), min_size=3, max_size=200),
    n_kept=st.integers(1, 8),
    width=st.integers(1, 90),
    highest=st.booleans(),
)
def test_extremes_do_not_depend_on_how_codes_are_merged(values, n_kept, width, highest):
    index = np.arange(len(values))
    keys = TieOrder(units_of(1), seed=0).keys(index)
    code = rank_codes(np.array([values], dtype=np.float32), keys)
    running = RunningExtremes(1, n_kept, highest=highest)
    for start in range(0, len(values), width):
        running.merge(code[:, start : start + width])
    whole = np.sort(code[0])[::-1] if highest else np.sort(code[0])
    np.testing.assert_array_equal(running.ranked()[0], whole[:n_kept])


def test_tie_share_counts_the_extremes_that_share_their_activation():
    values = np.zeros((40, 3), dtype=np.float32)
    values[:, 1] = np.arange(40)
    values[:10, 2] = np.arange(1, 11)
    table = streamed(values, batch_sizes=[40], n_kept=10).columns()
    assert table["tie_share"].tolist() == [1, 0, 0.5]


def test_sparsity_is_the_share_of_images_at_zero_or_below(values):
    table = streamed(values, batch_sizes=[33]).columns()
    np.testing.assert_array_equal(table["sparsity"], (values <= 0).mean(axis=0))


@pytest.mark.parametrize("stop", [1, 255, 256, 300, 699])
def test_a_stream_goes_on_from_its_state_as_if_never_stopped(values, stop):
    unit = units_of(4)[1]
    maps = np.stack([values, -values], axis=2)

    def fresh():
        options = {"n_kept": 20, "n_images": N_IMAGES, "full": [unit], "seed": 0}
        return LayerStream(units_of(4), n_map_statistics=2, **options)

    whole, first, second = fresh(), fresh(), fresh()
    whole.add(values, maps)
    first.add(values[:stop], maps[:stop])
    second.restore(first.state())
    second.add(values[stop:], maps[stop:])
    whole.flush()
    second.flush()
    for name, array in whole.extremes().items():
        np.testing.assert_array_equal(array, second.extremes()[name])
    assert frame(whole).equals(frame(second))
    np.testing.assert_array_equal(whole.map_means(), second.map_means())
    np.testing.assert_array_equal(whole.full[unit], second.full[unit])


def test_parts_of_a_set_join_to_the_bits_of_the_whole(values):
    whole = streamed(values, batch_sizes=[100])
    parts = []
    for start in (0, 2 * BLOCK):
        totals = []
        part = LayerStream(
            units_of(4),
            n_kept=20,
            n_images=N_IMAGES,
            full=(),
            seed=0,
            first_image=start,
            totals=totals,
        )
        part.add(values[start : start + 2 * BLOCK])
        part.flush()
        parts.append((part, totals))
    top = RunningExtremes(4, 20, highest=True)
    statistics = RunningStatistics(4)
    # The ends may be joined in any order; sums are joined in the images' order.
    for part, _ in reversed(parts):
        top.merge(part.top.ranked())
    for _, totals in parts:
        for block in totals:
            statistics.join(block)
    np.testing.assert_array_equal(top.ranked(), whole.top.ranked())
    table = pd.DataFrame(whole.columns()).drop(columns="tie_share")
    assert pd.DataFrame(statistics.columns()).equals(table)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_activation_that_is_not_finite_is_named(values, bad):
    values[300, 2] = bad
    with pytest.raises(ActivationError, match=r"toy::layer::2 is .* for image 300"):
        streamed(values, batch_sizes=[64])


def test_the_memory_that_is_told_covers_what_is_held(values):
    stream = streamed(values, batch_sizes=[64], n_kept=50)
    assert held_bytes(stream) <= 4 * bytes_per_unit(50)
