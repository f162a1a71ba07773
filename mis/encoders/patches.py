"""Images as LPIPS and its kin were trained on them: small, in [-1, 1]."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from mis.encoders.protocol import pixels

SIDE = 64
"""Side in pixels of the patches that these metrics were trained on."""


def resized(image: Image.Image) -> Image.Image:
    """Return an image with that side; one that has it, as it is."""
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def patches(images: Sequence[Image.Image], device: str) -> Tensor:
    """Return (n, 3, 64, 64) values in [-1, 1] on a device."""
    batch = (
        torch.from_numpy(pixels([resized(image) for image in images]))
        .permute(0, 3, 1, 2)
        .contiguous()
    )
    return batch.to(device).float() / 127.5 - 1
