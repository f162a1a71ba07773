"""The command ``unitscope selfcheck``: whether an encoder gives published numbers."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from data.command_line import run_command
from data.errors import DataContractError
from data.images import DISPLAY_SIDE, decode
from mis.encoders import ENCODERS, ImageEncoder, load_encoder
from mis.encoders.protocol import padded

FILES = ("ref_1.png", "img_a_1.png", "img_b_1.png")
PUBLISHED = {"dreamsim": (0.4453, 0.2756)}
"""Distances of the reference to the two others, as the authors' README prints them."""

_TOLERANCE = 5e-4
_WHERE = "https://github.com/ssundaram21/dreamsim/tree/main/images"


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope selfcheck",
        description="Compare distances of the three images of DreamSim's repository"
        " with those that its authors publish: exit status 0 where they agree, 1 where"
        " not, 2 where it could not run.",
    )
    names = [name for name in ENCODERS if name.startswith("dreamsim")]
    parser.add_argument("encoder", choices=names, metavar="ENCODER", help="dreamsim")
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        help=f"folder with {', '.join(FILES)} (from {_WHERE})",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="folder of the weights, or 'download' (default ~/.cache/dreamsim)",
    )
    parser.add_argument("--device", default="cpu", help="of torch (default cpu)")
    return parser


def selfcheck(arguments: argparse.Namespace) -> int:
    """Run the command."""
    images = [_image(arguments.images / name) for name in FILES]
    encoder = load_encoder(
        arguments.encoder, weights=arguments.weights, device=arguments.device
    )
    found = distances(encoder, images)
    published = PUBLISHED.get(arguments.encoder)
    for name, value, expected in zip(
        FILES[1:], found, published or (None, None), strict=True
    ):
        beside = "" if expected is None else f", published {expected:.4f}"
        print(f"{FILES[0]} to {name}: {value:.4f}{beside}")
    if published is None:
        nearer = found[1] < found[0]
        print(
            f"No distances of {arguments.encoder} are published; people say that"
            f" {FILES[2]} is nearer. It {'agrees' if nearer else 'does NOT agree'}."
        )
        return 0 if nearer else 1
    agrees = bool(np.allclose(found, published, rtol=0, atol=_TOLERANCE))
    print("It agrees." if agrees else "It does NOT agree: check weights and packages.")
    return 0 if agrees else 1


def distances(encoder: ImageEncoder, images: list[Image.Image]) -> tuple[float, float]:
    """Return 1 - cosine of the first image and each of two others."""
    features = encoder.embed(padded(images, encoder.batch_size))[: len(images)]
    cosine = features[1:].astype(np.float64) @ features[0].astype(np.float64)
    return 1 - float(cosine[0]), 1 - float(cosine[1])


def _image(path: Path) -> Image.Image:
    if not path.is_file():
        raise DataContractError(
            f"{path} does not exist; the check needs {', '.join(FILES)} of DreamSim's"
            f" repository. Get them from {_WHERE}."
        )
    # DreamSim's own preprocessing: the whole image, whatever its shape.
    size = (DISPLAY_SIDE, DISPLAY_SIDE)
    image = decode(path.read_bytes(), path)
    return image.resize(size, Image.Resampling.BICUBIC)


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 agrees, 1 does not, 2 could not run."""
    return run_command(build_parser(), selfcheck, argv)
