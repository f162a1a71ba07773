"""Encoders of others: by ``module:function``, and by entry point."""

import textwrap
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
from PIL import Image

from data.errors import DataContractError
from mis.encoders import default_tau, load_encoder
from mis.encoders import foreign as foreign_encoders
from mis.encoders.protocol import PairwiseEncoder, encoder_fingerprint

MODULE = """
    import numpy as np
    import torch

    class Mean:
        n_features, batch_size, config = 3, 4, {"weights": "none"}

        def embed(self, images):
            rows = [np.asarray(one).mean(axis=(0, 1)) + 1 for one in images]
            rows = np.array(rows, dtype=np.float32)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    class Calibrated(Mean):
        default_tau, tau_source = 0.02, "our own answers"

    class Pairs(Mean):
        def similarity(self, first, second):
            return -np.abs(first - second).max(axis=1)

    class Lame(Mean):
        batch_size, config = 0, {"weights": 1}

    class Cold(Mean):
        default_tau = -1.0

    def network():
        torch.manual_seed(0)
        return torch.nn.Conv2d(3, 5, 3)

    def with_preprocess():
        return network(), lambda image: torch.ones(3, 9, 9)

    def broken():
        raise ValueError("no licence")

    def number():
        return 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module in the current folder."""
    name = f"encoders_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def installed(module, monkeypatch):
    def install(**functions):
        points = EntryPoints(
            EntryPoint(name, f"{module}:{function}", foreign_encoders.GROUP)
            for name, function in functions.items()
        )
        monkeypatch.setattr(
            foreign_encoders, "entry_points", lambda group: points.select(group=group)
        )

    return install


def pictures(n):
    return [Image.new("RGB", (224, 224), (40 * one, 10, 90)) for one in range(n)]


def test_a_function_that_returns_an_encoder_is_enough(module):
    encoder = load_encoder(f"{module}:Mean")
    assert encoder.embed(pictures(4)).shape == (4, 3)
    assert not isinstance(encoder, PairwiseEncoder)


def test_an_encoder_of_pairs_stays_one(module):
    encoder = load_encoder(f"{module}:Pairs")
    features = encoder.embed(pictures(4))
    assert isinstance(encoder, PairwiseEncoder)
    assert encoder.similarity(features[:1], features[:1]) == 0


def test_a_torch_module_is_pooled_and_unit_norm(module):
    encoder = load_encoder(f"{module}:network")
    features = encoder.embed(pictures(2))
    assert features.shape == (2, encoder.n_features) == (2, 5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


def test_a_modules_own_preprocessing_is_used(module):
    encoder = load_encoder(f"{module}:with_preprocess")
    features = encoder.embed(pictures(2))
    np.testing.assert_array_equal(features[0], features[1])


def test_another_source_is_another_fingerprint(module, tmp_path):
    before = encoder_fingerprint(load_encoder(f"{module}:Mean"))
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text() + "# changed\n")
    assert encoder_fingerprint(load_encoder(f"{module}:Mean")) != before


def test_an_encoders_own_tau_is_the_default(module):
    encoder = load_encoder(f"{module}:Calibrated")
    assert default_tau("x", encoder) == (0.02, "our own answers")


def test_without_an_own_tau_dreamsims_is_named_as_not_calibrated(module):
    tau, source = default_tau("x", load_encoder(f"{module}:Mean"))
    assert tau == 0.16
    assert "not calibrated" in source


def test_a_tau_that_is_not_above_zero_is_refused(module):
    encoder = load_encoder(f"{module}:Cold")
    with pytest.raises(DataContractError, match=r"'default_tau' .* is -1\.0; it must"):
        default_tau("cold", encoder)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("broken", "raised ValueError: no licence. It must return an encoder"),
        ("number", "returned int; it must return an encoder"),
        ("Lame", r"no encoder; it needs batch_size \(an int above 0\), config"),
        ("Maen", "has no function 'Maen'. Did you mean 'Mean'"),
    ],
)
def test_what_gives_no_encoder_is_refused_with_the_reason(module, function, text):
    with pytest.raises(DataContractError, match=text):
        load_encoder(f"{module}:{function}")


def test_a_module_that_is_not_there_is_named(module):
    with pytest.raises(DataContractError, match=r"'nowhere_at_all' .* can't be import"):
        load_encoder("nowhere_at_all:Mean")


def test_weights_of_another_are_its_own_affair(module, tmp_path):
    with pytest.raises(DataContractError, match="brings its own weights"):
        load_encoder(f"{module}:Mean", weights=tmp_path)


def test_an_entry_point_is_an_encoder_by_name(installed):
    installed(mean="Mean")
    assert load_encoder("mean").n_features == 3


def test_an_entry_point_that_raises_is_named(installed, module):
    installed(sad="broken")
    with pytest.raises(
        DataContractError, match=rf"sad \({module}:broken\) raised ValueError: no lic"
    ):
        load_encoder("sad")


def test_an_entry_point_without_its_function_is_named(installed):
    installed(sad="absent")
    with pytest.raises(DataContractError, match=r"sad .* raised AttributeError"):
        load_encoder("sad")


def test_entry_points_are_among_the_near_names(installed):
    installed(our_own="Mean")
    with pytest.raises(DataContractError, match="Did you mean 'our_own'"):
        load_encoder("our_ow")
