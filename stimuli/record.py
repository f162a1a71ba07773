"""Recording: one pass of a network over an image set, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch

from data.errors import DataContractError
from data.formats import Header, software_versions
from data.images import ImageSet
from data.recordings import Recording
from data.units import UnitId, near_names
from stimuli.extremes import LayerStream
from stimuli.networks import Network, layer_names
from stimuli.reductions import LayerReader, check_reductions

BATCH_SIZE = 4
"""A CPU is fastest where a batch's maps stay below 32 MiB, so that the memory
allocator reuses them: EfficientNet-Lite0 takes 15 ms an image in batches of 4, 44 ms
in batches of 32. A GPU wants more."""

_LOADERS = 4


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """What is recorded.

    Attributes
    ----------
    layers : tuple of str
        Module paths; all their channels are units.
    n_extremes : int
        Images kept at each end of every unit, above 0.
    reductions : mapping of str to str
        Layer to a name of :data:`stimuli.reductions.REDUCTIONS`, where the default
        for its number of dimensions does not fit.
    full : tuple of UnitId
        Units whose activations to all images are kept.
    """

    layers: tuple[str, ...]
    n_extremes: int = 200
    reductions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    full: tuple[UnitId, ...] = ()

    def __post_init__(self) -> None:
        if self.n_extremes < 1:
            raise DataContractError(
                f"'n_extremes' is {self.n_extremes}; it must be at least 1."
            )
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise DataContractError(
                f"'layers' is {list(self.layers)}; it must name one or more layers,"
                " each once."
            )


@dataclass(frozen=True, kw_only=True)
class LabelCheck:
    """How many labelled images the network gets right."""

    n_labelled: int
    n_right: int


def record(
    images: ImageSet,
    network: Network,
    config: RecordConfig,
    *,
    seed: int,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    check_labels: bool = False,
    advance: Callable[[int], None] = lambda n_images: None,
) -> tuple[Recording, LabelCheck | None]:
    """Record the extreme images of every unit of the layers named.

    Every batch has the same shape (the last is filled up with its first image, and
    the filling is thrown away), so every image meets the same kernels. The same
    machine, package versions and batch size give the same bytes in every process.
    Another batch size may choose other kernels: activations then agree to about
    1e-5, relative; exact zeros stay exact, and ties are broken alike, since their
    keys know nothing of batches. Sums are added in blocks of a constant size.

    Parameters
    ----------
    batch_size : int
        Above 0.
    device : str
        Of torch, such as ``"cpu"`` or ``"cuda"``.
    check_labels : bool
        Compare the network's strongest output with labels that start with a class
        index.
    advance : callable
        Called with the number of images after each batch.

    Returns
    -------
    Recording, LabelCheck or None

    Raises
    ------
    DataContractError
        Before the pass: the set is too small, or a layer, unit or device is not
        there. During it: a layer has no single activation a channel, or activations
        are not finite.
    """
    _check_before(images, network, config, batch_size)
    labels = _label_indices(images) if check_labels else {}
    module = _on_device(network.module, device)
    streams: dict[str, LayerStream] = {}
    n_done = n_right = 0
    with LayerReader(module, config.layers, config.reductions) as reader:
        for batch in _batches(images, network, batch_size):
            values, output = reader(_filled(batch, batch_size).to(device))
            if not streams:
                streams = _streams(values, images, network, config, seed)
            for layer, stream in streams.items():
                kept = values[layer][: len(batch)]
                _check_finite(kept, layer, images, n_done)
                stream.add(kept)
            n_right += _n_right(output, labels, n_done, len(batch))
            n_done += len(batch)
            advance(len(batch))
    for stream in streams.values():
        stream.flush()
    recording = _recording(
        images, network, config, streams, reductions=reader.used, seed=seed
    )
    check = LabelCheck(n_labelled=len(labels), n_right=n_right)
    return recording, check if check_labels else None


def _check_before(
    images: ImageSet, network: Network, config: RecordConfig, batch_size: int
) -> None:
    n_images, needed = len(images.image_ids), 2 * config.n_extremes
    if n_images < needed:
        raise DataContractError(
            f"The image set has {n_images} images; 'n_extremes' {config.n_extremes} at"
            f" each end needs at least {needed}, so that no image is at both. Add"
            " images, or lower 'n_extremes' (it is n_tasks * (n_explanations + 1))."
        )
    if batch_size < 1:
        raise DataContractError(f"'batch_size' is {batch_size}; it must be at least 1.")
    known = layer_names(network.module)
    for layer in config.layers:
        if layer not in known:
            raise DataContractError(
                f"Layer {layer!r} is not in the network {network.name!r}."
                f" {near_names(layer, known)}"
            )
    check_reductions(config.reductions, config.layers)
    for unit in config.full:
        if unit.model != network.name or unit.layer not in config.layers:
            raise DataContractError(
                f"Unit '{unit}' can't be kept in full; this recording is of the network"
                f" {network.name!r} and the layers {list(config.layers)}."
                " Add its layer, or leave the unit out."
            )
    if network.module.training or any(m.training for m in network.module.modules()):
        raise DataContractError(
            f"The network {network.name!r} is in training mode, where dropout and"
            " batch statistics change activations. Call its eval() first."
        )


def _on_device(module: torch.nn.Module, device: str) -> torch.nn.Module:
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DataContractError(
            f"'device' is {device!r}, which torch can't use here ({reason})."
            " Name another, such as 'cpu'."
        ) from error


def _batches(
    images: ImageSet, network: Network, batch_size: int
) -> Iterator[torch.Tensor]:
    """Yield (n, channels, height, width) in the set's order; loads one batch ahead."""
    waiting: deque[Future[torch.Tensor]] = deque()
    ids = iter(images.image_ids)
    with ThreadPoolExecutor(max_workers=_LOADERS) as loaders:
        try:
            while True:
                for image_id in ids:
                    waiting.append(loaders.submit(_load, images, network, image_id))
                    if len(waiting) == 2 * batch_size:
                        break
                if not waiting:
                    return
                n = min(batch_size, len(waiting))
                yield _stacked([waiting.popleft().result() for _ in range(n)])
        finally:
            for one in waiting:
                one.cancel()


def _load(images: ImageSet, network: Network, image_id: str) -> torch.Tensor:
    loaded = network.preprocess(images.load(image_id))
    if not isinstance(loaded, torch.Tensor) or loaded.ndim != 3:
        shape = f" of shape {tuple(loaded.shape)}" if hasattr(loaded, "shape") else ""
        raise DataContractError(
            f"The preprocessing of {network.name!r} gives"
            f" {type(loaded).__name__}{shape}; it must give a tensor"
            " (channels, height, width)."
        )
    return loaded


def _stacked(loaded: Sequence[torch.Tensor]) -> torch.Tensor:
    shapes = {tuple(one.shape) for one in loaded}
    if len(shapes) > 1:
        raise DataContractError(
            f"The network's preprocessing gives images of the shapes {sorted(shapes)};"
            " all must have one shape. Crop or resize in it."
        )
    return torch.stack(list(loaded))


def _filled(batch: torch.Tensor, batch_size: int) -> torch.Tensor:
    filling = batch[:1].expand(batch_size - len(batch), *batch.shape[1:])
    return torch.cat([batch, filling])


def _streams(
    values: Mapping[str, np.ndarray],
    images: ImageSet,
    network: Network,
    config: RecordConfig,
    seed: int,
) -> dict[str, LayerStream]:
    streams = {}
    for layer, batch in values.items():
        n_channels = batch.shape[1]
        full = [unit for unit in config.full if unit.layer == layer]
        for unit in full:
            if unit.channel >= n_channels:
                raise DataContractError(
                    f"Unit '{unit}' is not there: layer {layer!r} has {n_channels}"
                    " channels, counted from 0. Name another."
                )
        streams[layer] = LayerStream(
            [UnitId(network.name, layer, channel) for channel in range(n_channels)],
            n_kept=config.n_extremes,
            n_images=len(images.image_ids),
            full=full,
            seed=seed,
        )
    return streams


def _check_finite(values: np.ndarray, layer: str, images: ImageSet, start: int) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        image, channel = np.argwhere(bad)[0]
        raise DataContractError(
            f"Channel {channel} of layer {layer!r} is {values[image, channel]} for"
            f" image {images.image_ids[start + image]!r}; activations must be finite."
            " Check the network and its preprocessing."
        )


def _label_indices(images: ImageSet) -> dict[int, int]:
    """Return the class index of each image whose label starts with one."""
    indices = {}
    for row, label in enumerate(images.manifest["label"]):
        first = str(label).split(maxsplit=1)[0] if pd.notna(label) else ""
        if first.isdecimal():
            indices[row] = int(first)
    if not indices:
        raise DataContractError(
            "No image has a label that starts with a class index, such as"
            " '243 bull mastiff', so there is no top-1 to check."
            " Leave out --check-labels, or write the labels into images.csv."
        )
    return indices


def _n_right(output: object, labels: Mapping[int, int], start: int, n: int) -> int:
    if not labels:
        return 0
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        raise DataContractError(
            "The network's output is no (images, classes) tensor, so labels can't be"
            " checked. Leave out --check-labels."
        )
    chosen = output[:n].argmax(dim=1).tolist()
    return sum(labels.get(start + i) == index for i, index in enumerate(chosen))


def _recording(
    images: ImageSet,
    network: Network,
    config: RecordConfig,
    streams: Mapping[str, LayerStream],
    *,
    reductions: Mapping[str, str],
    seed: int,
) -> Recording:
    parts = list(streams.values())
    statistics = [part.statistics.table(part.units) for part in parts]
    header = Header(
        format="recording",
        version=1,
        config={
            **network.config,
            "name": network.name,
            "weights_hash": network.weights_hash,
            "layers": list(config.layers),
            "reductions": dict(reductions),
            "n_extremes": config.n_extremes,
        },
        seed=seed,
        made_from={"images": images.fingerprint, "weights": network.weights_hash},
        software=software_versions("numpy", "pillow", "torch"),
    )
    return Recording(
        units=tuple(unit for part in parts for unit in part.units),
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
        top_index=np.concatenate([part.top.index for part in parts]),
        top_value=np.concatenate([part.top.value for part in parts]),
        bottom_index=np.concatenate([part.bottom.index for part in parts]),
        bottom_value=np.concatenate([part.bottom.value for part in parts]),
        statistics=pd.concat(statistics, ignore_index=True),
        full={unit: value for part in parts for unit, value in part.full.items()},
        header=header,
    )
