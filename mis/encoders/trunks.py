"""Files of the networks that perceptual distances stand on, as torchvision has them."""

from pathlib import Path

import torch

from data.errors import MissingExtraError

TRUNKS = {
    "alex": ("alexnet", "alexnet-owt-7be5be79.pth"),
    "vgg": ("vgg16", "vgg16-397923af.pth"),
    "squeeze": ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}
"""Name of torchvision's network, and of the file that it publishes."""

_URL = "https://download.pytorch.org/models"


def trunk_path(trunk: str, weights: Path | None, encoder: str) -> Path:
    """Return the file of a trunk's weights.

    Parameters
    ----------
    trunk : str
        A key of :data:`TRUNKS`.
    weights : Path, optional
        The file, a folder that holds it, or ``download``; torch's own folder of
        downloads otherwise.
    encoder : str
        What needs it, for the error.

    Raises
    ------
    MissingExtraError
        It is not there.
    """
    network, name = TRUNKS[trunk]
    if weights is None:
        weights = Path(torch.hub.get_dir()) / "checkpoints"
    if str(weights) == "download":
        path = Path(torch.hub.get_dir()) / "checkpoints" / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(f"{_URL}/{name}", str(path))
        return path
    path = weights.expanduser()
    path = path if path.suffix in {".pth", ".pt", ".safetensors"} else path / name
    if not path.is_file():
        raise MissingExtraError(
            f"{path} is not there; the encoder {encoder!r} needs torchvision's"
            f" weights of {network} ({_URL}/{name}). Name the file or its folder with"
            " --weights, or fetch it with --weights download."
        )
    return path
