"""DreamSim, the similarity of the MIS paper, with weights that its user supplies."""

import contextlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from data.errors import DataContractError, MissingExtraError
from data.files import bytes_hash, file_hash, folder_hash
from data.package_networks import let_torchvision_load
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


_DINO = {
    "facebookresearch_dino_main/": (
        "https://github.com/facebookresearch/dino/archive/main.zip"
    ),
    "checkpoints/dino_vitbase16_pretrain.pth": (
        "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/"
        "dino_vitbase16_pretrain.pth"
    ),
}
_DINOV2 = {
    "facebookresearch_dinov2_main/": (
        "https://github.com/facebookresearch/dinov2/archive/main.zip"
    ),
    "checkpoints/dinov2_vitb14_pretrain.pth": (
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth"
    ),
}


def _archive(release: str, variant: str) -> str:
    return f"{_RELEASES}/{release}-checkpoints/dreamsim_{variant}_checkpoint.zip"


def _single(
    release: str,
    variant: str,
    trunk: str,
    n_features: int,
    others: Mapping[str, str] | None = None,
) -> _Variant:
    network = variant.removesuffix("_patch")
    kind = "patch" if variant.endswith("_patch") else "single"
    return _Variant(
        url=_archive(release, variant),
        from_archive=(trunk, f"{network}_{kind}_lora/"),
        others=others or {},
        n_features=n_features,
    )


VARIANTS = {
    "ensemble": _Variant(
        url=_archive("v0.2.0", "ensemble"),
        from_archive=(
            "dino_vitb16_pretrain.pth",
            "open_clip_vitb16_pretrain.pth.tar",
            "clip_vitb16_pretrain.pth.tar",
            "ensemble_lora/",
        ),
        others=_DINO,
        n_features=1792,
    ),
    "open_clip_vitb32": _single(
        "v0.2.0", "open_clip_vitb32", "open_clip_vitb32_pretrain.pth.tar", 512
    ),
    "clip_vitb32": _single(
        "v0.2.0", "clip_vitb32", "clip_vitb32_pretrain.pth.tar", 512
    ),
    "dino_vitb16": _single(
        "v0.2.0", "dino_vitb16", "dino_vitb16_pretrain.pth", 768, _DINO
    ),
    "dino_vitb16_patch": _single(
        "v0.2.1", "dino_vitb16_patch", "dino_vitb16_pretrain.pth", 1536, _DINO
    ),
    "dinov2_vitb14": _single(
        "v0.2.1", "dinov2_vitb14", "dinov2_vitb14_pretrain.pth", 768, _DINOV2
    ),
    "dinov2_vitb14_patch": _single(
        "v0.2.1", "dinov2_vitb14_patch", "dinov2_vitb14_pretrain.pth", 1536, _DINOV2
    ),
    "synclr_vitb16": _single("v0.2.1", "synclr_vitb16", "synclr_vit_b_16.pth", 768),
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
    device: str = "cpu"
    batch_size: int = 16

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map display images to (n, n_features) unit-norm features."""
        batch = torch.from_numpy(pixels(images)).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            features = self.network.embed(batch.to(self.device).float() / 255)
            if features.ndim == 3:
                # The patch networks: class token, then the mean of the others.
                places = features[:, 1:].mean(dim=1)
                features = torch.cat((features[:, 0], places), dim=1)
            return functional.normalize(features, dim=1).cpu().numpy()


def load(variant: str, weights: Path | None = None, device: str = "cpu") -> DreamSim:
    """Load DreamSim from a folder of its weights; nothing is downloaded unasked.

    Parameters
    ----------
    variant : str
        A key of :data:`VARIANTS`.
    weights : Path, optional
        Default :data:`DEFAULT_FOLDER`. ``download`` lets the package fetch what
        lacks there from its authors.

    Raises
    ------
    MissingExtraError
        A file of the weights, or the package, is not there.
    DataContractError
        The weights are broken or of another network, or the download failed.
    """
    download = str(weights) == "download"
    folder = (DEFAULT_FOLDER if download else weights or DEFAULT_FOLDER).expanduser()
    if download:
        folder.mkdir(parents=True, exist_ok=True)
    _check_installed(variant, folder, download=download)
    let_torchvision_load()
    network = _loaded(variant, folder, device)
    described_as = described(
        weights=folder / VARIANTS[variant].from_archive[0],
        preprocessing="display image, to [0, 1]",
        features=f"dreamsim {variant}: embeddings centred and unit-norm",
        packages=("torch", "pillow", "dreamsim"),
    )
    return DreamSim(
        network=network,
        device=device,
        config=described_as | {"weights_sha256": _weights_hash(variant, folder)},
        n_features=VARIANTS[variant].n_features,
    )


def _loaded(variant: str, folder: Path, device: str) -> _Embedder:
    from dreamsim import dreamsim

    try:
        # The package prints what it loads; stdout is for results.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network, _ = dreamsim(
                pretrained=True,
                device=device,
                cache_dir=str(folder),
                normalize_embeds=True,
                dreamsim_type=variant.removesuffix("_patch"),
                use_patch_model=variant.endswith("_patch"),
            )
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise DataContractError(
            f"DreamSim's {variant} can't be made from {folder} ({type(error).__name__}:"
            f" {first}). Its files must be whole and of this network; unpack"
            f" {VARIANTS[variant].url} there again."
        ) from error
    return network


def _check_installed(variant: str, folder: Path, *, download: bool) -> None:
    needed = VARIANTS[variant]
    lacking = [name for name in needed.from_archive if not (folder / name).exists()]
    lacks = [f"{', '.join(lacking)} (unpack {needed.url} there)"] if lacking else []
    for name, url in needed.others.items():
        if not (folder / name).exists():
            lacks.append(f"{name} (from {url})")
    package = find_spec("dreamsim") is not None
    install = "pip install -e '.[dreamsim]'"
    if lacks and not download:
        also = "" if package else f" The package is missing too: {install}."
        raise MissingExtraError(
            f"DreamSim's weights are not in {folder}, where they are looked for;"
            f" it lacks {'; '.join(lacks)}. Their authors publish them there; put them"
            f" into the folder, name another with --weights, or fetch them with"
            f" --weights download.{also}"
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
