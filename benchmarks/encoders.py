"""What encoders cost, and their margins on IMI's practice and catch units.

Prints a table of every encoder that can be loaded here, and the share of a run over
images that is spent inside the network; writes both to artifacts/bench/encoders.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# As the command line does, before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.record import synthetic_images
from data.errors import ProjectError
from data.formats import Header
from data.images import (
    ImageSet,
    decode,
    describe_images,
    display_crop,
    read_image_set,
    write_image_set,
)
from mis.batches import Batches
from mis.encoders import ENCODERS, default_tau, load_encoder
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder
from mis.features import fill_store, open_store
from mis.fresh_pairs import FreshPairs
from mis.margins import task_margins
from mis.score import probabilities

N_EXPLANATIONS = 9
CONSOLE = Console(width=160, highlight=False)


class Timed:
    """An encoder that adds up the time spent inside it."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def embed(self, images: Sequence[Image.Image]) -> Any:
        """Embed, and add the time."""
        start = time.perf_counter()
        found = self._encoder.embed(images)
        self.seconds += time.perf_counter() - start
        return found


class TimedPairs(Timed):
    """The same for an encoder of pairs."""

    def similarity(self, first: Any, second: Any) -> Any:
        """Compare, and add the time."""
        start = time.perf_counter()
        found = self._encoder.similarity(first, second)  # type: ignore[attr-defined]
        self.seconds += time.perf_counter() - start
        return found


def margin_of(encoder: ImageEncoder, folder: Path) -> float:
    """Return the margin of the task of a folder of IMI."""
    paths = [path for end in ("max", "min") for path in _paths(folder, end)]
    images = [display_crop(decode(path.read_bytes(), path)) for path in paths]
    features = Batches(encoder).embed(images).reshape(2, 10, -1)
    query, explanations = features[:, 9], features[:, :N_EXPLANATIONS]
    similarity = np.empty((2, 2, N_EXPLANATIONS))
    for one in range(2):
        for other in range(2):
            if isinstance(encoder, PairwiseEncoder):
                repeated = np.repeat(query[one][None], N_EXPLANATIONS, axis=0)
                found = encoder.similarity(repeated, explanations[other])
            else:
                found = explanations[other] @ query[one]
            similarity[one, other] = found
    return float(task_margins(similarity))


def _paths(folder: Path, end: str) -> list[Path]:
    """Return nine explanations and the query; of catch units index 9 is the query."""
    if (folder / "queries").is_dir():
        paths = sorted((folder / "references").glob(f"{end}_*.png"))
        return [*paths, folder / "queries" / f"{end}.png"]
    return [folder / "natural_images" / f"{end}_{n}.png" for n in range(10)]


def margins(
    names: Sequence[str], folders: list[Path], weights: Path | None
) -> list[dict[str, Any]]:
    """Return one row for each encoder that loads, and each folder."""
    rows = []
    for name in names:
        try:
            encoder = load_encoder(name, weights=weights if "sim" in name else None)
        except ProjectError as error:
            CONSOLE.print(f"{name}: left out ({str(error)[:60]} …)")
            continue
        tau = default_tau(name, encoder)[0]
        for folder in folders:
            margin = margin_of(encoder, folder)
            probability = float(probabilities(np.array([margin]), tau=tau)[0])
            unit = "/".join(folder.parts[-2:])
            rows.append(
                {"encoder": name, "unit": unit, "margin": margin, "p": probability}
            )
    return rows


def shares(name: str, image_set: ImageSet, root: Path) -> dict[str, Any]:
    """Return how much of a run over images, and over pairs, is inside the network."""
    encoder = load_encoder(name)
    pairs = isinstance(encoder, PairwiseEncoder)
    timed: Any = TimedPairs(encoder) if pairs else Timed(encoder)
    encoder.embed([image_set.display(image_set.image_ids[0])] * encoder.batch_size)
    start = time.perf_counter()
    if pairs:
        n_images = len(image_set.image_ids)
        fresh = FreshPairs(
            batches=Batches(timed),
            image_set=image_set,
            image_ids=image_set.image_ids,
            used=np.arange(n_images),
            memory=2**30,
        )
        rng = np.random.default_rng(0)
        first, second = rng.integers(0, n_images, (2, 5 * n_images))
        fresh.similarity(np.minimum(first, second), np.maximum(first, second))
    else:
        store = open_store(root, name, timed)
        fill_store(store, timed, image_set, image_set.image_ids)
    seconds = time.perf_counter() - start
    return {
        "encoder": name,
        "n_images": len(image_set.image_ids),
        "seconds": seconds,
        "seconds_in_network": timed.seconds,
        "share_in_network": timed.seconds / seconds,
    }


def image_set(photographs: Path | None, n_images: int, folder: Path) -> ImageSet:
    """Return an image set of photographs, or of synthetic ones of the usual size."""
    if photographs is None:
        return synthetic_images(folder / "images", n_images, side=(500, 375))
    root = photographs.resolve()
    names = sorted(one.name for one in root.glob("*.jpg"))[:n_images]
    manifest = pd.DataFrame(describe_images(root, names))
    header = Header(format="images", version=1, config={})
    write_image_set(folder / "images", root=root, manifest=manifest, header=header)
    return read_image_set(folder / "images")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imi", type=Path, help="folder of IMI's stimuli")
    parser.add_argument(
        "--photographs", type=Path, help="folder of JPEG files (default: synthetic)"
    )
    parser.add_argument("--n-images", type=int, default=128)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--weights", type=Path, help="of DreamSim")
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts/bench")
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    if arguments.imi:
        folders = sorted(arguments.imi.glob("catch/*/channel_*"))
        folders += sorted(arguments.imi.glob("practice_natural/trials/trial_*"))
        result["margins"] = margins(arguments.encoders, folders, arguments.weights)
        table = pd.DataFrame(result["margins"])
        for value in ("margin", "p"):
            wide = table.pivot(index="unit", columns="encoder", values=value)
            CONSOLE.print(f"{value}\n{wide.round(3).to_string()}\n")
    with tempfile.TemporaryDirectory() as folder:
        images = image_set(arguments.photographs, arguments.n_images, Path(folder))
        result["shares"] = [
            shares(name, images, Path(folder) / "features")
            for name in ("efficientnet-lite2", "st-lpips")
        ]
    CONSOLE.print(pd.DataFrame(result["shares"]).to_string(index=False))
    result["load"] = os.getloadavg()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "encoders.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
