"""Small pictures, and networks of a few lines that take them."""

import numpy as np
import pandas as pd
import torch
from PIL import Image

from data.formats import Header
from data.images import describe_images, read_image_set, write_image_set

SIDE = 16


def save_pictures(folder, n_images, *, seed=0, size=(24, 20)):
    """Write smooth, coloured pictures that no hash takes for one another."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(n_images):
        coarse = rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:04d}.png")
    return folder


def image_set_of(folder, *, labels=None):
    """Make an image set of all the files in a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    manifest = pd.DataFrame(list(describe_images(folder, names)))
    if labels is not None:
        manifest["label"] = labels
    header = Header(format="images", version=1, config={})
    place = folder.parent / f"{folder.name}-set"
    write_image_set(place, root=folder, manifest=manifest, header=header)
    return read_image_set(place)


def toy_preprocess(image):
    pixels = np.array(image.resize((SIDE, SIDE)), dtype=np.float32) / 255 - 0.5
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


class Tokens(torch.nn.Module):
    """Pixels of a map as (batch, tokens, channels), after a class token of ones."""

    def forward(self, maps):
        tokens = maps.flatten(2).transpose(1, 2)
        return torch.cat([torch.ones_like(tokens[:, :1]), tokens], dim=1)


class Toy(torch.nn.Module):
    """Convolution, ReLU (in place), tokens, classes; the ReLU silences many units."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 5, stride=2)
        self.relu = torch.nn.ReLU(inplace=True)
        self.tokens = Tokens()
        self.head = torch.nn.Linear(6, 4)
        self.unused = torch.nn.Identity()

    def forward(self, images):
        maps = self.relu(self.conv(images))
        return self.head(self.tokens(maps).mean(dim=1))


def toy_module():
    """A trained-looking network: fixed weights, one dead unit, one mostly silent."""
    torch.manual_seed(3)
    module = Toy()
    with torch.no_grad():
        module.conv.bias[0] = -100.0
        module.conv.bias[1] = -0.35
    return module


def toy():
    return toy_module(), toy_preprocess


def not_a_network():
    return "weights.pt"


def wrong_preprocessing():
    return toy_module(), 224


def failing():
    raise RuntimeError("no weights here")
