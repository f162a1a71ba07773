"""DreamSim, the similarity of the MIS paper, with weights that its user supplies."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from data.errors import MissingExtraError
from data.files import bytes_hash, file_hash, folder_hash
from mis.encoders.protocol import described, pixels

DEFAULT_FOLDER = Path("~/.cache/dreamsim")

_RELEASES = "https://github.com/ssundaram21/dreamsim/releases/download"


@dataclass(frozen=True)
class _Variant:
    """What one of DreamSim's networks needs.

    Attributes
    ----------
    url : str
        Where DreamSim's authors publish the archive.
    from_archive : tuple of str
        What it unpacks to; folders end with a slash.
    others : mapping of str to str
        What else is needed, and where its authors publish it.
    n_features : int
    """

    url: str
    from_archive: tuple[str, ...]
    others: Mapping[str, str]
    n_features: int


VARIANTS = {
    "ensemble": _Variant(
        url=f"{_RELEASES}/v0.2.0-checkpoints/dreamsim_ensemble_checkpoint.zip",
        from_archive=(
            "dino_vitb16_pretrain.pth",
            "open_clip_vitb16_pretrain.pth.tar",
            "clip_vitb16_pretrain.pth.tar",
            "ensemble_lora/",
        ),
        others={
            "facebookresearch_dino_main/": (
                "https://github.com/facebookresearch/dino/archive/main.zip"
            ),
            "checkpoints/dino_vitbase16_pretrain.pth": (
                "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/"
                "dino_vitbase16_pretrain.pth"
            ),
        },
        n_features=1792,
    ),
    "open_clip_vitb32": _Variant(
        url=f"{_RELEASES}/v0.2.0-checkpoints/dreamsim_open_clip_vitb32_checkpoint.zip",
        from_archive=(
            "open_clip_vitb32_pretrain.pth.tar",
            "open_clip_vitb32_single_lora/",
        ),
        others={},
        n_features=512,
    ),
}


class _Embedder(Protocol):
    def embed(self, img: Tensor) -> Tensor:
        """Map (n, 3, 224, 224) images in [0, 1] to centred unit-norm features."""
        ...


@dataclass(frozen=True, eq=False)
class DreamSim:
    """Cosines of DreamSim's own normalised embeddings."""

    network: _Embedder
    config: Mapping[str, str]
    n_features: int
    batch_size: int = 16

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map display images to (n, n_features) unit-norm features."""
        batch = torch.from_numpy(pixels(images)).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            features = self.network.embed(batch.float() / 255)
            return functional.normalize(features, dim=1).numpy()


def load(variant: str, weights: Path | None = None) -> DreamSim:
    """Load DreamSim from a folder of its weights; nothing is ever downloaded.

    Parameters
    ----------
    variant : str
        A key of :data:`VARIANTS`.
    weights : Path, optional
        Default :data:`DEFAULT_FOLDER`.

    Raises
    ------
    MissingExtraError
        A file of the weights, or the package, is not there.
    """
    folder = (weights or DEFAULT_FOLDER).expanduser()
    _check_installed(variant, folder)
    _define_missing_operators()
    from dreamsim import dreamsim

    # The package prints what it loads; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        network, _ = dreamsim(
            pretrained=True,
            device="cpu",
            cache_dir=str(folder),
            normalize_embeds=True,
            dreamsim_type=variant,
        )
    described_as = described(
        weights=folder / VARIANTS[variant].from_archive[0],
        preprocessing="display image, to [0, 1]",
        features=f"dreamsim {variant}: embeddings centred and unit-norm",
        packages=("torch", "pillow", "dreamsim"),
    )
    return DreamSim(
        network=network,
        config=described_as | {"weights_sha256": _weights_hash(variant, folder)},
        n_features=VARIANTS[variant].n_features,
    )


def _check_installed(variant: str, folder: Path) -> None:
    needed = VARIANTS[variant]
    lacking = [name for name in needed.from_archive if not (folder / name).exists()]
    lacks = [f"{', '.join(lacking)} (unpack {needed.url} there)"] if lacking else []
    for name, url in needed.others.items():
        if not (folder / name).exists():
            lacks.append(f"{name} (from {url})")
    package = find_spec("dreamsim") is not None
    install = "pip install -e '.[dreamsim]'"
    if lacks:
        also = "" if package else f" The package is missing too: {install}."
        raise MissingExtraError(
            f"DreamSim's weights are not in {folder}, where they are looked for;"
            f" it lacks {'; '.join(lacks)}. Their authors publish them there; put them"
            f" into the folder, or name another with --weights.{also}"
        )
    if not package:
        raise MissingExtraError(
            "The DreamSim encoder needs the package 'dreamsim'."
            f" Install it with: {install}"
        )


def _weights_hash(variant: str, folder: Path) -> str:
    needed = VARIANTS[variant]
    names = (*needed.from_archive, *(one for one in needed.others if "." in one))
    paths = [folder / name for name in names]
    hashes = [folder_hash(one) if one.is_dir() else file_hash(one) for one in paths]
    return bytes_hash(" ".join(hashes).encode())


@cache
def _define_missing_operators() -> torch.library.Library | None:
    """Let torchvision load beside a torch for CPUs, whose operators it expects.

    The registry's torchvision is built for CUDA; its import registers fake versions
    of operators that only its CUDA library defines. None of them is used here.
    """
    if find_spec("torchvision") is None:
        return None
    with contextlib.suppress(RuntimeError, OSError):
        import torchvision  # noqa: F401

        return None
    for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    return library
