"""One number a channel and image: how a layer's output becomes activations."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.modules.conv import _ConvNd

from data.errors import DataContractError
from data.units import near_names
from stimuli.directions import DirectionSet
from stimuli.layers import LayerRead, element_of, failure

Reduce = Callable[[torch.Tensor], torch.Tensor]

REDUCTIONS: dict[str, tuple[int, Reduce]] = {
    "none": (2, lambda output: output),
    "spatial_mean": (4, lambda output: output.mean(dim=(2, 3))),
    "spatial_mean_channels_last": (4, lambda output: output.mean(dim=(1, 2))),
    "token_mean": (3, lambda output: output.mean(dim=1)),
    "token_mean_tokens_first": (3, lambda output: output.mean(dim=0)),
    "class_token": (3, lambda output: output[:, 0]),
}
"""Name to number of dimensions and function to (batch, channels).

(batch, channels); (batch, channels, height, width); (batch, height, width, channels),
as in ConvNeXt's blocks; (batch, tokens, channels) with the class token in the mean;
(tokens, batch, channels), as in CLIP; the first token alone.
"""

DEFAULTS = {2: "none", 3: "token_mean", 4: "spatial_mean"}
"""Reduction by number of dimensions, where none is named."""

_CHANNELS_LAST = (torch.nn.Linear, torch.nn.LayerNorm)

PLACES: dict[str, Reduce] = {
    "none": lambda output: output[:, None],
    "spatial_mean": lambda output: output.flatten(2).transpose(1, 2),
    "spatial_mean_channels_last": lambda output: output.flatten(1, 2),
    "token_mean": lambda output: output,
    "token_mean_tokens_first": lambda output: output.transpose(0, 1),
    "class_token": lambda output: output[:, :1],
}
"""Reduction to the (batch, n_places, channels) that it takes in."""

MAP_STATISTICS = ("map_sparsity", "local_contrast")
"""What is averaged over a unit's maps where it is asked for: the share of places that
are 0 or below; the mean absolute difference between places that touch by a side (both
as in IMI's analysis of sparsity and local contrast)."""

PRECISIONS: dict[str, torch.dtype | None] = {
    "float32": None,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Type that the network computes in; activations are reduced in float32."""


def default_reduction(module: torch.nn.Module, output: torch.Tensor) -> str:
    """Return the reduction of a layer's output, where none is named.

    By the number of dimensions; and of four, the channels are the last where the
    layer, or the last one inside it, has as many channels as the last dimension and
    not as the second (the blocks of Swin, the linear layers of ConvNeXt).
    """
    name = DEFAULTS.get(output.ndim, "spatial_mean")
    if output.ndim != 4 or isinstance(module, _ConvNd):
        return name
    n_channels = _n_channels(module)
    second, last = output.shape[1], output.shape[3]
    if n_channels == last and (n_channels != second or type(module) in _CHANNELS_LAST):
        return "spatial_mean_channels_last"
    return name


def _n_channels(module: torch.nn.Module) -> int | None:
    found = None
    for one in module.modules():
        if isinstance(one, _ConvNd):
            found = one.out_channels
        elif isinstance(one, torch.nn.Linear):
            found = one.out_features
        elif isinstance(one, torch.nn.LayerNorm):
            found = one.normalized_shape[-1]
    return found


class LayerReader:
    """Reads layers of a network by forward hooks, reduced at once.

    A context manager: hooks are removed at its end. The reduction is done inside the
    hook, before a later in-place operation can change the layer's output.

    Parameters
    ----------
    layers : sequence of str
        Names as :class:`stimuli.layers.LayerRead` reads them; unique.
    reductions : mapping of str to str
        Layer to a name of :data:`REDUCTIONS`; others by :func:`default_reduction`.
    directions : sequence of DirectionSet
        Sets whose units are read too.
    precision : str
        One of :data:`PRECISIONS`.
    map_statistics : bool
        Whether :attr:`maps` is filled.

    Attributes
    ----------
    used : dict of str to str
        Reduction of each layer, known after the first batch.
    maps : dict of str to (batch, channels, 2) float32 array
        :data:`MAP_STATISTICS` of each layer with maps, of the last batch.

    Notes
    -----
    Two short cuts keep reading cheaper than running, and change no number but by
    rounding. An output that is the very tensor another layer returned is not reduced
    again. The mean of a batch normalisation's output follows from the mean of its
    input, where that was just reduced: in evaluation mode it is a multiplication and
    an addition for each channel.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        layers: Sequence[str],
        reductions: Mapping[str, str],
        *,
        directions: Sequence[DirectionSet] = (),
        precision: str = "float32",
        map_statistics: bool = False,
    ) -> None:
        self._module = module
        self._layers = tuple(layers)
        self._named = dict(reductions)
        self._dtype = PRECISIONS[precision]
        self._map_statistics = map_statistics
        self._directions: dict[str, list[DirectionSet]] = {}
        for one in directions:
            self._directions.setdefault(one.layer, []).append(one)
        names = dict.fromkeys([*layers, *self._directions])
        self._reads: dict[str, list[LayerRead]] = {}
        for read in map(LayerRead.parse, names):
            self._reads.setdefault(read.path, []).append(read)
        self._keys = (*self._layers, *(one.key for one in directions))
        self._runs: dict[str, int] = {}
        self._read: dict[str, torch.Tensor] = {}
        self._map_read: dict[str, torch.Tensor] = {}
        self._known = _KnownMeans()
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self.used: dict[str, str] = {}
        self.maps: dict[str, NDArray[np.float32]] = {}

    def __enter__(self) -> "LayerReader":
        for path in self._reads:
            submodule = self._module.get_submodule(path)
            self._handles.append(submodule.register_forward_hook(self._hook(path)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __call__(
        self, batch: torch.Tensor
    ) -> tuple[dict[str, NDArray[np.float32]], object]:
        """Run a batch; return (batch, n_units) of each layer and set, and the output.

        Raises
        ------
        OutOfMemoryError
            The batch does not fit; a smaller one may.
        DataContractError
            The network fails on it, or a layer has no single activation a channel.
        """
        for held in (self._read, self._map_read, self._runs):
            held.clear()
        self._known.forget()
        # Not inference mode: there, tensors don't tell that they were changed.
        with torch.no_grad(), self._autocast(batch.device):
            try:
                output = self._module(batch)
            except RuntimeError as error:
                raise failure(error, batch) from error
        self._check_ran()
        read = {key: self._checked(key, len(batch)) for key in self._keys}
        self.maps = {key: one.cpu().numpy() for key, one in self._map_read.items()}
        return to_arrays(read, together=batch.device.type != "cpu"), output

    def _autocast(self, device: torch.device) -> AbstractContextManager[object]:
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self._dtype)

    def _hook(
        self, path: str
    ) -> Callable[[torch.nn.Module, tuple[Any, ...], Any], None]:
        reads = self._reads[path]

        def look(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            run = self._runs[path] = self._runs.get(path, 0) + 1
            for read in reads:
                if read.run is None and run > 1:
                    raise DataContractError(
                        f"Layer {read.path!r} runs more than once on an image, so its"
                        " units have no single activation. Name one run:"
                        f" '{read.path}#1', '{read.path}#2', ..."
                    )
                if read.run in (None, run):
                    self._take(read, module, inputs, element_of(output, read))

        return look

    def _take(
        self,
        read: LayerRead,
        module: torch.nn.Module,
        inputs: tuple[Any, ...],
        output: torch.Tensor,
    ) -> None:
        layer = read.name
        name = self._named.get(layer) or self.used.get(layer)
        name = name or default_reduction(module, output)
        n_dimensions, reduce = REDUCTIONS[name]
        if output.ndim != n_dimensions:
            raise DataContractError(
                f"Layer {layer!r} returns shape {tuple(output.shape)}; the reduction"
                f" {name!r} needs {n_dimensions} dimensions. Name another layer, or"
                " another reduction with --reduction."
            )
        self.used[layer] = name
        reduced = self._known.find(output, name)
        if reduced is None:
            reduced = self._known.normalised(module, inputs, output, name)
        if reduced is None:
            reduced = reduce(output.float())
        self._known.keep(output, name, reduced)
        if layer in self._layers:
            self._read[layer] = reduced
            if self._map_statistics and name != "none":
                self._map_read[layer] = _map_statistics(output.float(), name)
        for directions in self._directions.get(layer, ()):
            places = PLACES[name](output)
            self._read[directions.key] = directions.activations(output, reduced, places)

    def _check_ran(self) -> None:
        for reads in self._reads.values():
            for read in reads:
                n_runs = self._runs.get(read.path, 0)
                if not n_runs:
                    raise DataContractError(
                        f"Layer {read.name!r} did not run when the network saw an"
                        " image; it must be part of the forward pass. Name another"
                        " layer."
                    )
                if read.run is not None and not 1 <= read.run <= n_runs:
                    raise DataContractError(
                        f"Layer {read.name!r} asks for run {read.run} of a module that"
                        f" runs {n_runs} times on an image; runs count from 1."
                        " Name another run."
                    )

    def _checked(self, key: str, n_images: int) -> torch.Tensor:
        values = self._read[key]
        if len(values) != n_images:
            raise DataContractError(
                f"Layer {key!r} gives activations for {len(values)} images of a batch"
                f" of {n_images}; the reduction {self.used[key]!r} does not fit its"
                " output. Name another with --reduction."
            )
        return values


class _KnownMeans:
    """Means of tensors that are still as they were when they were reduced."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[Any, int, str, torch.Tensor]] = {}
        self._scales: dict[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def forget(self) -> None:
        """Start a new batch."""
        self._by_id.clear()

    def keep(self, tensor: torch.Tensor, name: str, reduced: torch.Tensor) -> None:
        # A weak reference, so that the maps are freed as in a pass without hooks.
        known = (weakref.ref(tensor), tensor._version, name, reduced)
        self._by_id[id(tensor)] = known

    def find(self, tensor: torch.Tensor, name: str) -> torch.Tensor | None:
        known = self._by_id.get(id(tensor))
        if known is None:
            return None
        reference, version, of_name, reduced = known
        same = reference() is tensor and tensor._version == version
        return reduced if same and of_name == name else None

    def normalised(
        self,
        module: torch.nn.Module,
        inputs: tuple[Any, ...],
        output: torch.Tensor,
        name: str,
    ) -> torch.Tensor | None:
        if (
            type(module) is not torch.nn.BatchNorm2d
            or name != "spatial_mean"
            or output.dtype != torch.float32
            or module.running_mean is None
            or module.running_var is None
            or module._forward_hooks_with_kwargs
            or len(module._forward_hooks) > 1
        ):
            return None
        before = self.find(inputs[0], name)
        if before is None:
            return None
        if module not in self._scales:
            self._scales[module] = _scale_and_shift(module)
        scale, shift = self._scales[module]
        return torch.addcmul(shift, before, scale)


def _scale_and_shift(
    module: torch.nn.BatchNorm2d,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a batch normalisation multiplies by, and adds."""
    assert module.running_mean is not None
    assert module.running_var is not None
    scale = torch.rsqrt(module.running_var.double() + module.eps)
    if module.weight is not None:
        scale = scale * module.weight
    shift = -module.running_mean * scale
    if module.bias is not None:
        shift = shift + module.bias
    return scale.float(), shift.float()


def to_arrays(
    read: Mapping[str, torch.Tensor], *, together: bool
) -> dict[str, NDArray[np.float32]]:
    """Return arrays of (batch, n_units) tensors.

    Parameters
    ----------
    together : bool
        Whether to bring them in one transfer, as another device wants it.
    """
    if not together or not read:
        return {key: one.cpu().numpy() for key, one in read.items()}
    arrays = torch.cat(list(read.values()), dim=1).cpu().numpy()
    stops = np.cumsum([one.shape[1] for one in read.values()])[:-1]
    return dict(zip(read, np.split(arrays, stops, axis=1), strict=True))


def _map_statistics(output: torch.Tensor, name: str) -> torch.Tensor:
    """Return (batch, channels, 2): sparsity; contrast, NaN where there is no map."""
    sparsity = (PLACES[name](output) <= 0).float().mean(dim=1)
    if output.ndim != 4:
        contrast = torch.full_like(sparsity, torch.nan)
    else:
        first = 1 if name == "spatial_mean_channels_last" else 2
        sides = [output.diff(dim=dim).abs() for dim in (first, first + 1)]
        n_pairs = sum(side.shape[first] * side.shape[first + 1] for side in sides)
        total = sum(side.sum(dim=(first, first + 1)) for side in sides)
        contrast = torch.as_tensor(total) / max(n_pairs, 1)
    return torch.stack([sparsity, contrast], dim=2)


def check_reductions(reductions: Mapping[str, str], layers: Sequence[str]) -> None:
    """Raise where a reduction or the layer it is for is not known."""
    for layer, name in reductions.items():
        if name not in REDUCTIONS:
            raise DataContractError(
                f"Reduction {name!r} of layer {layer!r} is not known; it must be one of"
                f" {list(REDUCTIONS)}. {near_names(name, REDUCTIONS)}"
            )
        if layer not in layers:
            raise DataContractError(
                f"A reduction is given for layer {layer!r}, which is not recorded."
                f" {near_names(layer, layers)}"
            )
