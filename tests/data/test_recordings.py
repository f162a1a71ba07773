import json

import numpy as np
import pandas as pd
import pytest

from data.errors import DataContractError
from data.recordings import read_recording, write_recording
from tests.data.toy import recording_of


def written(tmp_path, rng, *, version):
    recording = recording_of(rng.normal(size=(3, 60)), n_extremes=10)
    write_recording(tmp_path / "recording", recording)
    header = tmp_path / "recording" / "recording.json"
    content = json.loads(header.read_text())
    header.write_text(json.dumps(content | {"version": version}))
    return tmp_path / "recording"


def test_a_recording_of_version_1_is_read_with_the_newer_statistics_missing(
    tmp_path, rng
):
    table = read_recording(written(tmp_path, rng, version=1)).statistics
    added = ["sparsity", "tie_share", "map_sparsity", "local_contrast"]
    assert table[added].isna().all(axis=None)


def test_a_recording_of_a_version_to_come_is_refused(tmp_path, rng):
    with pytest.raises(DataContractError, match=r"version 3; .* reads version 1 or 2"):
        read_recording(written(tmp_path, rng, version=3))


@pytest.mark.parametrize(
    ("name", "value"), [("sparsity", 1.2), ("tie_share", -0.1), ("local_contrast", -1)]
)
def test_a_statistic_out_of_its_range_is_refused(tmp_path, rng, name, value):
    folder = written(tmp_path, rng, version=2)
    table = pd.read_parquet(folder / "units.parquet")
    table[name] = np.full(3, value, dtype=float)
    table.to_parquet(folder / "units.parquet", index=False)
    with pytest.raises(DataContractError, match=name):
        read_recording(folder)
