"""The trained network on real photographs, as the demo uses it."""

import numpy as np
import pytest

from data.images import read_image_set
from data.recordings import read_recording
from data.units import UnitId
from stimuli.networks import load_network
from stimuli.photographs import _foolbox, _scikit_image
from stimuli.record import RecordConfig, record
from stimuli.record_command import main
from tests.stimuli.toy import image_set_of


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Foolbox's 20 labelled photographs and 12 of scikit-image."""
    folder = tmp_path_factory.mktemp("efficientnet") / "photographs"
    folder.mkdir()
    found = [*_foolbox(), *_scikit_image()]
    for one in found:
        (folder / one.path.name).write_bytes(one.path.read_bytes())
    labels = {one.path.name: one.label for one in found}
    image_set_of(folder, labels=[labels[name] for name in sorted(labels)])
    return folder.parent / "photographs-set"


LAYERS = ("_blocks.5", "_blocks.3._expand_conv")


def test_eighteen_of_foolboxs_twenty_photographs_are_recognised(
    photographs, tmp_path, capsys
):
    out = tmp_path / "recording"
    options = ["--layers", ",".join(LAYERS), "--n-extremes", "10", "--check-labels"]
    assert main(["--images", str(photographs), *options, "--out", str(out)]) == 0
    assert "top-1 18 of 20 labelled photographs" in capsys.readouterr().out
    recording = read_recording(out)
    assert len(recording.units) == 80 + 144
    assert recording.header.config["network"] == "efficientnet-lite0"
    assert recording.content == tuple(read_image_set(photographs).manifest["sha256"])


def test_the_batch_size_changes_nothing_but_rounding(photographs):
    network = load_network("efficientnet-lite0")
    full = tuple(UnitId(network.name, "_blocks.5", channel) for channel in range(80))
    config = RecordConfig(layers=LAYERS, n_extremes=10, full=full)
    images = read_image_set(photographs)
    few, many = (
        record(images, network, config, seed=0, batch_size=size)[0] for size in (5, 32)
    )
    for unit in full:
        spread = np.abs(many.full[unit]).max()
        np.testing.assert_allclose(
            few.full[unit], many.full[unit], rtol=1e-5, atol=1e-5 * spread
        )
    np.testing.assert_allclose(few.top_value, many.top_value, rtol=1e-4, atol=1e-5)
