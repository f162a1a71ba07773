"""Shards of a recording: parts of the image set, joined to one machine's bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import lcm
from os import replace as rename
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from data.errors import DataContractError
from data.images import ImageSet
from data.recordings import Recording
from data.units import UnitId
from stimuli.checkpoints import Checkpoint
from stimuli.decoding import batches
from stimuli.extremes import BLOCK, LayerStream
from stimuli.passes import NetworkPass, recording_of
from stimuli.record_checks import label_indices
from stimuli.record_config import Job, LabelCheck
from stimuli.reductions import MAP_STATISTICS
from stimuli.unit_statistics import BlockTotals

SHARD_IMAGES = 8192
"""Images of a shard, as a rule; a worker that dies loses no more."""


@dataclass(frozen=True, kw_only=True, order=True)
class Shard:
    """Images ``first`` to ``stop - 1`` of a set."""

    first: int
    stop: int

    @property
    def file_name(self) -> str:
        """Name of the file that holds what is recorded of it."""
        return f"{self.first:09d}-{self.stop:09d}.npz"


def shards_of(n_images: int, *, n_each: int, batch_size: int) -> list[Shard]:
    """Split a set where both blocks and batches end, so that no sum or batch changes.

    Parameters
    ----------
    n_images : int
    n_each : int
        Images wanted in a shard; rounded up.
    batch_size : int
    """
    step = lcm(BLOCK, batch_size)
    each = -(-n_each // step) * step
    return [
        Shard(first=first, stop=min(first + each, n_images))
        for first in range(0, n_images, each)
    ]


def record_shard(
    images: ImageSet,
    job: Job,
    shard: Shard,
    folder: Path,
    *,
    seed: int,
    batch_size: int,
    device: str,
    workers: int,
) -> None:
    """Record a shard and write its file whole; where it stands, nothing is done.

    Two that record the same shard write the same content, whoever is last.
    """
    one = NetworkPass(
        images,
        job,
        seed=seed,
        batch_size=batch_size,
        device=device,
        first_image=shard.first,
        keep_totals=True,
    )
    if is_recorded(folder, shard, one.made_by):
        return
    groups = batches(
        images,
        [job.network],
        batch_size,
        start=shard.first,
        stop=shard.stop,
        workers=workers,
    )
    try:
        for (batch,) in groups:
            one.take(batch)
        one.flush()
    finally:
        groups.close()
        one.close()
    own = Checkpoint(path=folder / f"{shard.file_name}.{uuid4().hex}.npz")
    own.write(one.made_by, _arrays_of(one, shard))
    rename(own.path, folder / shard.file_name)


def is_recorded(folder: Path, shard: Shard, made_by: Mapping[str, Any]) -> bool:
    """Return whether a shard's file stands; raise where other settings made it."""
    return Checkpoint(path=folder / shard.file_name).read(made_by) is not None


def _arrays_of(one: NetworkPass, shard: Shard) -> dict[str, NDArray[Any]]:
    state = {
        "layers": one.layers,
        "used": one.used,
        "n_right": one.n_right,
        "streams": {key: len(stream.units) for key, stream in one.streams.items()},
    }
    arrays: dict[str, NDArray[Any]] = {"state": np.array(json.dumps(state))}
    assert one.totals is not None
    for number, (key, stream) in enumerate(one.streams.items()):
        full = [values[shard.first : shard.stop] for values in stream.full.values()]
        n_images = shard.stop - shard.first
        own: dict[str, NDArray[Any]] = {
            "top": stream.top.ranked(),
            "bottom": stream.bottom.ranked(),
            "full": np.array(full, dtype=np.float32).reshape(-1, n_images),
        }
        for field in fields(BlockTotals):
            blocks = [getattr(total, field.name) for total in one.totals[key]]
            own[f"totals_{field.name}"] = np.array(blocks)
        arrays |= {f"{number}/{name}": value for name, value in own.items()}
    return arrays


def joined(
    images: ImageSet,
    job: Job,
    shards: Sequence[Shard],
    folder: Path,
    *,
    seed: int,
    made_by: Mapping[str, Any],
) -> tuple[Recording, LabelCheck | None]:
    """Return the recording of all shards, the same as one machine's bit for bit.

    Parameters
    ----------
    shards : sequence of Shard
        All of the set; they are joined in the order of the images.
    made_by : mapping
        See :attr:`stimuli.passes.NetworkPass.made_by`.

    Raises
    ------
    DataContractError
        A shard's file is missing, broken, or was made by other settings.
    """
    streams: dict[str, LayerStream] = {}
    state: dict[str, Any] = {}
    n_right = 0
    for shard in sorted(shards):
        path = folder / shard.file_name
        arrays = Checkpoint(path=path).read(made_by)
        if arrays is None:
            raise DataContractError(
                f"{path} does not exist; every shard must be recorded before they are"
                " joined. Run the command again."
            )
        own = json.loads(str(arrays["state"]))
        if not streams:
            state = own
            streams = _streams(images, job, own["streams"], seed=seed)
        if (own["streams"], own["used"]) != (state["streams"], state["used"]):
            raise DataContractError(
                f"{path} holds other layers than the first shard; a network must run"
                " the same modules on every image. Name layers that always run."
            )
        n_right += own["n_right"]
        for number, stream in enumerate(streams.values()):
            prefix = f"{number}/"
            _join(stream, {k: v for k, v in arrays.items() if k.startswith(prefix)})
    recording = recording_of(
        images,
        job.network,
        job.config,
        streams,
        layers=tuple(state["layers"]),
        reductions=state["used"],
        seed=seed,
    )
    if not job.check_labels:
        return recording, None
    n_labelled = len(label_indices(images))
    return recording, LabelCheck(n_labelled=n_labelled, n_right=n_right)


def _streams(
    images: ImageSet, job: Job, widths: Mapping[str, int], *, seed: int
) -> dict[str, LayerStream]:
    config = job.config
    n_maps = len(MAP_STATISTICS) if config.map_statistics else 0
    return {
        layer: LayerStream(
            [UnitId(job.network.name, layer, channel) for channel in range(width)],
            n_kept=config.n_extremes,
            n_images=len(images.image_ids),
            full=[unit for unit in config.full if unit.layer == layer],
            seed=seed,
            n_map_statistics=0 if "/" in layer else n_maps,
        )
        for layer, width in widths.items()
    }


def _join(stream: LayerStream, arrays: Mapping[str, NDArray[Any]]) -> None:
    own = {name.partition("/")[2]: value for name, value in arrays.items()}
    names = [field.name for field in fields(BlockTotals)]
    blocks = zip(*(own[f"totals_{name}"] for name in names), strict=True)
    totals = [BlockTotals(**dict(zip(names, block, strict=True))) for block in blocks]
    stream.join(own["top"], own["bottom"], totals, own["full"])
