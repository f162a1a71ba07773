import numpy as np
import pandas as pd
import pytest

import data.task_blocks
from data.errors import DataContractError
from data.task_blocks import open_tasks
from data.tasks import TaskConfig, draw_tasks, write_tasks
from tests.data.toy import recording_of

SMALL = TaskConfig(n_tasks=4, n_explanations=3)


@pytest.fixture
def tasks(rng, monkeypatch):
    """Seven units in blocks of three; the second and the last are constant."""
    monkeypatch.setattr(data.task_blocks, "BLOCK", 3)
    values = rng.normal(size=(7, 100))
    values[[1, 6]] = 0
    return draw_tasks(recording_of(values, n_extremes=20), SMALL, seed=1)


@pytest.fixture
def folder(tasks, tmp_path):
    write_tasks(tmp_path / "tasks", tasks)
    return tmp_path / "tasks"


def test_blocks_follow_each_other_and_are_the_whole_task_set(tasks, folder):
    stored = open_tasks(folder)
    blocks = list(stored.blocks())
    assert [len(one.table) for one in blocks] == [3, 3, 1]
    assert [task for one in blocks for task in one] == list(tasks)
    table = pd.concat([one.table for one in blocks], ignore_index=True)
    pd.testing.assert_frame_equal(table, tasks.table)
    assert (stored.n_units, stored.config) == (5, SMALL)


def test_indices_come_without_the_names(tasks, folder):
    queries, explanations = zip(*open_tasks(folder).indices(), strict=True)
    assert [len(one) for one in queries] == [3, 2]
    np.testing.assert_array_equal(np.concatenate(queries), tasks.queries)
    np.testing.assert_array_equal(np.concatenate(explanations), tasks.explanations)


def test_a_task_set_without_units_is_one_block(tmp_path):
    recording = recording_of(np.zeros((2, 100)), n_extremes=20)
    write_tasks(tmp_path / "tasks", draw_tasks(recording, SMALL, seed=1))
    (block,) = open_tasks(tmp_path / "tasks").blocks()
    assert (block.units, len(block.table)) == ((), 2)


def test_changed_bytes_are_found_by_their_checksum(folder):
    content = bytearray((folder / "tasks.npz").read_bytes())
    content[-600] ^= 1
    (folder / "tasks.npz").write_bytes(content)
    with pytest.raises(DataContractError, match="not a whole NPZ file"):
        list(open_tasks(folder).indices())


def test_a_file_that_was_cut_off_is_refused(folder):
    content = (folder / "tasks.npz").read_bytes()
    (folder / "tasks.npz").write_bytes(content[:-100])
    with pytest.raises(DataContractError, match="not a whole NPZ file"):
        open_tasks(folder)


def test_a_table_with_fewer_units_than_there_are_tasks_is_refused(tasks, folder):
    tasks.table[:4].to_parquet(folder / "units.parquet", index=False)
    with pytest.raises(DataContractError, match="names 3 units with tasks and holds"):
        list(open_tasks(folder).blocks())


def test_a_table_with_more_units_than_there_are_tasks_is_refused(tasks, folder):
    table = tasks.table.assign(reason=None).astype({"reason": "str"})
    table.to_parquet(folder / "units.parquet", index=False)
    with pytest.raises(DataContractError, match="it holds 5 units, not as many"):
        list(open_tasks(folder).blocks())
