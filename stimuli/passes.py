"""One network's pass over an image set: its layers, its streams, its checkpoints."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data.errors import DataContractError
from data.formats import Header, software_versions
from data.images import ImageSet
from data.recordings import VERSION, Recording
from data.units import UnitId
from stimuli.extremes import ActivationError, LayerStream, bytes_per_unit
from stimuli.layers import LayerRead, OutOfMemoryError, choose_layers, layer_type
from stimuli.networks import Network
from stimuli.record_checks import (
    available_bytes,
    check_before,
    label_indices,
    n_right,
    on_device,
)
from stimuli.record_config import Job, LabelCheck, RecordConfig
from stimuli.reductions import MAP_STATISTICS, LayerReader, check_reductions
from stimuli.unit_statistics import BlockTotals

_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.03}
"""Of a layer's largest activation; how far one may move when a batch is turned."""

_PACKAGES = ("numpy", "pillow", "torch")


class NetworkPass:
    """Takes batches in order, and ends with a recording.

    Parameters
    ----------
    images : ImageSet
    job : Job
    seed : int
        Breaks ties.
    batch_size : int
        Of the batches that :meth:`take` gets; the last one may be smaller.
    device : str
        Of torch.
    tell : callable
        Called with a line for the log.
    first_image : int
        Index of the image that comes first, for a pass over a part of the set; a
        multiple of :data:`stimuli.extremes.BLOCK`.
    keep_totals : bool
        Whether :attr:`totals` is filled.

    Attributes
    ----------
    n_done : int
        Index of the image that comes next.
    streams : dict of str to LayerStream
        By layer, and by layer and set for directions; after the first batch.
    made_by : dict
        What decides the recording's bytes, as JSON values.
    totals : dict of str to list of BlockTotals
        Every block's statistics, for who joins those of several passes.
    """

    def __init__(
        self,
        images: ImageSet,
        job: Job,
        *,
        seed: int,
        batch_size: int,
        device: str,
        tell: Callable[[str], None] = lambda text: None,
        first_image: int = 0,
        keep_totals: bool = False,
    ) -> None:
        self._images, self._job, self._seed, self._tell = images, job, seed, tell
        self._config, self._network = job.config, job.network
        check_before(images, job.network, job.config)
        self._labels = label_indices(images) if job.check_labels else {}
        self.made_by = self._settings(batch_size, device)
        self._batch_size = batch_size
        self.n_done = first_image
        self._n_right = 0
        self._layers: tuple[str, ...] | None = None
        self._reader: LayerReader | None = None
        self._used: dict[str, str] = {}
        self.streams: dict[str, LayerStream] = {}
        self.totals: dict[str, list[BlockTotals]] | None = {} if keep_totals else None
        self._resume()
        module = on_device(job.network.module, device)
        self._device = torch.device(device)
        self._directions = tuple(one.on(self._device) for one in job.config.directions)
        self._module = module

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are read."""
        return self._layers or ()

    @property
    def used(self) -> dict[str, str]:
        """The reduction of each layer."""
        return self._used

    @property
    def n_right(self) -> int:
        """How many labelled images have their label as top-1."""
        return self._n_right

    def take(self, batch: torch.Tensor) -> None:
        """Run the next images through the network.

        Raises
        ------
        DataContractError
            See :func:`stimuli.record.record_together`.
        """
        if self._layers is None:
            self._start(batch)
        done = 0
        while done < len(batch):
            part = batch[done : done + self._batch_size]
            try:
                values, maps, output = self._read(part)
            except OutOfMemoryError as error:
                self._halve(error)
                continue
            if not self.streams:
                self._check_repeats(part, values)
                self._make_streams(values)
            self._add(values, maps)
            self._n_right += n_right(output, self._labels, self.n_done, len(part))
            self.n_done += len(part)
            done += len(part)

    def _start(self, batch: torch.Tensor) -> None:
        asked = self._config.layers
        while True:
            filled = _filled(batch[: self._batch_size], self._batch_size)
            try:
                chosen = choose_layers(self._module, asked, filled.to(self._device))
                break
            except OutOfMemoryError as error:
                self._halve(error)
        self._layers = chosen.layers
        if chosen.left_out:
            path, reason = next(iter(chosen.left_out.items()))
            self._tell(
                f"{len(chosen.left_out)} of the layers that match are left out; the"
                f" first, {path!r}, {reason}."
            )

    def _open(self) -> LayerReader:
        if self._reader is None:
            assert self._layers is not None
            keys = [*self._layers, *(one.layer for one in self._directions)]
            check_reductions(self._config.reductions, keys)
            self._reader = LayerReader(
                self._module,
                self._layers,
                self._config.reductions,
                directions=self._directions,
                precision=self._config.precision,
                map_statistics=self._config.map_statistics,
            ).__enter__()
        return self._reader

    def close(self) -> None:
        """Take the hooks off the network."""
        if self._reader is not None:
            self._reader.__exit__()
            self._reader = None

    def _read(
        self, part: torch.Tensor
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]], object]:
        reader = self._open()
        filled = _filled(part, self._batch_size)
        values, output = reader(filled.to(self._device, non_blocking=True))
        self._used = reader.used
        kept = {layer: one[: len(part)] for layer, one in values.items()}
        maps = {layer: one[: len(part)] for layer, one in reader.maps.items()}
        return kept, maps, output

    def _halve(self, error: OutOfMemoryError) -> None:
        if self._batch_size == 1:
            raise DataContractError(
                f"The device {str(self._device)!r} has no room for a single image of"
                f" {self._network.name!r} ({error}). Free its memory, or name another"
                " with --device."
            ) from error
        smaller = max(1, self._batch_size // 2)
        self._tell(
            f"{self._network.name}: out of memory with {self._batch_size} images a"
            f" batch; going on with {smaller}. Activations change by rounding only."
        )
        self._batch_size = smaller
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_repeats(
        self, part: torch.Tensor, values: Mapping[str, NDArray[np.float32]]
    ) -> None:
        """Read half of the images again, turned round: each must give the same."""
        try:
            half = part[: (len(part) + 1) // 2]
            turned, _, _ = self._read(half.flip(0))
        except OutOfMemoryError:
            return
        for layer in self._layers or ():
            again = turned[layer][::-1]
            first = values[layer][: len(again)]
            largest = np.abs(first).max(initial=0)
            allowed = _TOLERANCE[self._config.precision] * largest
            if np.isfinite(largest) and not np.all(np.abs(first - again) <= allowed):
                raise DataContractError(
                    f"Layer {layer!r} gives other activations when the same images"
                    " come again beside others, so something in the network is random"
                    " or looks at the whole batch (dropout that stays on,"
                    " normalisation by the batch). Turn it off."
                )

    def _make_streams(self, values: Mapping[str, NDArray[np.float32]]) -> None:
        n_maps = len(MAP_STATISTICS) if self._config.map_statistics else 0
        n_units = sum(one.shape[1] for one in values.values())
        self._check_memory(n_units, len(values), n_maps)
        for layer, batch in values.items():
            self._make_stream(layer, batch.shape[1], n_maps)

    def _make_stream(self, layer: str, n_channels: int, n_maps: int) -> None:
        full = [unit for unit in self._config.full if unit.layer == layer]
        for unit in full:
            if unit.channel >= n_channels:
                raise DataContractError(
                    f"Unit '{unit}' is not there: layer {layer!r} has {n_channels}"
                    " channels, counted from 0. Name another."
                )
        totals: list[BlockTotals] | None = None
        if self.totals is not None:
            totals = self.totals[layer] = []
        name = self._network.name
        self.streams[layer] = LayerStream(
            [UnitId(name, layer, channel) for channel in range(n_channels)],
            n_kept=self._config.n_extremes,
            n_images=len(self._images.image_ids),
            full=full,
            seed=self._seed,
            n_map_statistics=0 if "/" in layer else n_maps,
            first_image=self.n_done,
            totals=totals,
        )

    def _check_memory(self, n_units: int, n_layers: int, n_maps: int) -> None:
        missing = [
            unit for unit in self._config.full if unit.layer not in self._all_keys()
        ]
        if missing:
            raise DataContractError(
                f"Unit '{missing[0]}' can't be kept in full; its layer is not among"
                " those that the patterns match. Add its layer, or leave the unit out."
            )
        per_unit = bytes_per_unit(self._config.n_extremes, n_map_statistics=n_maps)
        full = len(self._config.full) * len(self._images.image_ids) * 4
        needed = n_units * per_unit + full
        self._tell(
            f"{self._network.name}: {n_units:,} units of {n_layers:,} layers;"
            f" {needed / 1e9:.2f} GB of memory, however many images"
        )
        free = self._job.memory_bytes or available_bytes()
        if free is not None and needed > free:
            raise DataContractError(
                f"{n_units:,} units of {n_layers:,} layers with"
                f" {self._config.n_extremes} images at each end need"
                f" {needed / 1e9:.2f} GB of memory; {free / 1e9:.2f} GB are free."
                " Name fewer layers, keep fewer images (--n-extremes), or record the"
                " layers in several runs."
            )

    def _all_keys(self) -> set[str]:
        return {*(self._layers or ()), *(one.key for one in self._directions)}

    def _add(
        self,
        values: Mapping[str, NDArray[np.float32]],
        maps: Mapping[str, NDArray[np.float32]],
    ) -> None:
        try:
            for layer, stream in self.streams.items():
                stream.add(values[layer], maps.get(layer))
        except ActivationError as error:
            raise self._not_finite(error) from error

    def _not_finite(self, error: ActivationError) -> DataContractError:
        hint = (
            " Or compute with --precision float32."
            if self._config.precision != "float32"
            else ""
        )
        return DataContractError(
            f"Channel {error.unit.channel} of layer {error.unit.layer!r} is"
            f" {error.value} for image {self._images.image_ids[error.image]!r};"
            " activations must be finite. Check the network and its"
            f" preprocessing.{hint}"
        )

    def flush(self) -> None:
        """Merge what waits for a block to be full; after the last batch."""
        try:
            for stream in self.streams.values():
                stream.flush()
        except ActivationError as error:
            raise self._not_finite(error) from error

    def _settings(self, batch_size: int, device: str) -> dict[str, Any]:
        """Return what decides the recording's bytes, as JSON values."""
        config = self._config
        return {
            "images": self._images.fingerprint,
            "network": dict(self._network.config),
            "name": self._network.name,
            "weights": self._network.weights_hash,
            "layers": list(config.layers),
            "n_extremes": config.n_extremes,
            "reductions": dict(config.reductions),
            "full": [str(unit) for unit in config.full],
            "directions": [one.config for one in config.directions],
            "precision": config.precision,
            "map_statistics": config.map_statistics,
            "seed": self._seed,
            "batch_size": batch_size,
            "device": device,
            "software": software_versions(*_PACKAGES),
        }

    def save(self) -> None:
        """Write the job's checkpoint."""
        checkpoint = self._job.checkpoint
        if checkpoint is None or not self.streams:
            return
        state = {
            "n_done": self.n_done,
            "n_right": self._n_right,
            "batch_size": self._batch_size,
            "layers": self._layers,
            "used": self._used,
            "streams": {key: len(one.units) for key, one in self.streams.items()},
        }
        arrays: dict[str, NDArray[Any]] = {"state": np.array(json.dumps(state))}
        for number, stream in enumerate(self.streams.values()):
            for name, value in stream.state().items():
                arrays[f"{number}/{name}"] = value
        checkpoint.write(self.made_by, arrays)

    def _resume(self) -> None:
        checkpoint = self._job.checkpoint
        arrays = checkpoint.read(self.made_by) if checkpoint else None
        if arrays is None or checkpoint is None:
            return
        state = json.loads(str(arrays["state"]))
        self._layers, self._used = tuple(state["layers"]), state["used"]
        self._batch_size, self._n_right = state["batch_size"], state["n_right"]
        n_maps = len(MAP_STATISTICS) if self._config.map_statistics else 0
        for number, (layer, n_channels) in enumerate(state["streams"].items()):
            self._make_stream(layer, n_channels, n_maps)
            prefix = f"{number}/"
            self.streams[layer].restore(
                {
                    name.removeprefix(prefix): value
                    for name, value in arrays.items()
                    if name.startswith(prefix)
                }
            )
        self.n_done = state["n_done"]
        self._tell(
            f"{self._network.name}: going on after {self.n_done:,} images, from"
            f" {checkpoint.path}"
        )

    def result(self) -> tuple[Recording, LabelCheck | None]:
        """Return the recording, after the last batch."""
        self.flush()
        made = recording_of(
            self._images,
            self._network,
            self._config,
            self.streams,
            layers=self._layers or (),
            reductions=self._used,
            seed=self._seed,
        )
        check = LabelCheck(n_labelled=len(self._labels), n_right=self._n_right)
        return made, check if self._job.check_labels else None


def _filled(batch: torch.Tensor, batch_size: int) -> torch.Tensor:
    if len(batch) == batch_size:
        return batch
    filling = batch[:1].expand(batch_size - len(batch), *batch.shape[1:])
    return torch.cat([batch, filling])


def recording_of(
    images: ImageSet,
    network: Network,
    config: RecordConfig,
    streams: Mapping[str, LayerStream],
    *,
    layers: Sequence[str],
    reductions: Mapping[str, str],
    seed: int,
) -> Recording:
    """Return the recording that streams end with."""
    parts = list(streams.values())
    header = Header(
        format="recording",
        version=VERSION,
        config={
            **network.config,
            "name": network.name,
            "weights_hash": network.weights_hash,
            "layers": list(layers),
            "reductions": dict(reductions),
            **_layer_entries(network.module, layers),
            "directions": [one.config for one in config.directions],
            "n_extremes": config.n_extremes,
            "precision": config.precision,
        },
        seed=seed,
        made_from={"images": images.fingerprint, "weights": network.weights_hash},
        software=software_versions(*_PACKAGES),
    )
    extremes = [part.extremes() for part in parts]
    arrays: dict[str, Any] = {
        name: np.concatenate([one[name] for one in extremes]) for name in extremes[0]
    }
    return Recording(
        units=tuple(unit for part in parts for unit in part.units),
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
        statistics=_statistics(parts),
        full={unit: value for part in parts for unit, value in part.full.items()},
        header=header,
        **arrays,
    )


def _layer_entries(
    module: torch.nn.Module, layers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return each layer's type, and its place among the modules as defined."""
    paths = {layer: LayerRead.parse(layer).path for layer in layers}
    places = {path: place for place, (path, _) in enumerate(module.named_modules())}
    types = {
        layer: layer_type(module.get_submodule(path)) for layer, path in paths.items()
    }
    known = {layer: places[path] for layer, path in paths.items() if path in places}
    return {"layer_types": types, "layer_places": known}


def _statistics(parts: Sequence[LayerStream]) -> pd.DataFrame:
    columns = []
    for part in parts:
        own, means = part.columns(), part.map_means()
        for column, name in enumerate(MAP_STATISTICS):
            nothing = np.full(len(part.units), np.nan)
            own[name] = means[:, column] if means.shape[1] else nothing
        columns.append(own)
    names = [str(unit) for part in parts for unit in part.units]
    together = {
        name: np.concatenate([own[name] for own in columns]) for name in columns[0]
    }
    return pd.DataFrame({"unit": names, **together})
