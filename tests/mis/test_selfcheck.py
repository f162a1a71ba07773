from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from mis import selfcheck_command
from mis.selfcheck_command import FILES, distances, main


@dataclass
class Planted:
    """Gives the cosines that were asked for, whatever the images are."""

    cosines: tuple[float, float]
    batch_size: int = 4
    n_features: int = 2
    config: dict[str, str] = field(default_factory=dict)

    def embed(self, images):
        assert len(images) == self.batch_size
        rows = [(one, np.sqrt(1 - one**2)) for one in (1.0, *self.cosines, 1.0)]
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        Image.new("RGB", (300, 200), "grey").save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("found", "status"),
    [((0.4453, 0.2756), 0), ((0.4456, 0.2756), 0), ((0.4453, 0.2766), 1)],
)
def test_the_status_tells_whether_published_distances_come_out(
    folder, monkeypatch, capsys, found, status
):
    planted = Planted(cosines=(1 - found[0], 1 - found[1]))
    monkeypatch.setattr(selfcheck_command, "load_encoder", lambda *_, **__: planted)
    assert main(["dreamsim", "--images", str(folder)]) == status
    printed = capsys.readouterr().out
    assert f"ref_1.png to img_a_1.png: {found[0]:.4f}, published 0.4453" in printed
    assert ("NOT" in printed) == (status == 1)


@pytest.mark.parametrize(("cosines", "status"), [((0.5, 0.8), 0), ((0.8, 0.5), 1)])
def test_without_published_distances_the_order_counts(
    folder, monkeypatch, capsys, cosines, status
):
    planted = Planted(cosines=cosines)
    monkeypatch.setattr(selfcheck_command, "load_encoder", lambda *_, **__: planted)
    assert main(["dreamsim-clip-vitb32", "--images", str(folder)]) == status
    assert "are published" in capsys.readouterr().out


def test_an_image_that_is_missing_is_named(folder, capsys):
    (folder / "img_a_1.png").unlink()
    assert main(["dreamsim", "--images", str(folder)]) == 2
    assert "img_a_1.png does not exist; the check needs" in capsys.readouterr().err


def test_without_weights_it_could_not_run(folder, capsys):
    options = ["--images", str(folder), "--weights", str(folder)]
    assert main(["dreamsim", *options]) == 2
    assert "DreamSim's weights are not in" in capsys.readouterr().err


def test_distances_are_of_the_first_image():
    images = [Image.new("RGB", (224, 224))] * 3
    assert distances(Planted(cosines=(0.25, 0.5)), images) == pytest.approx((0.75, 0.5))
