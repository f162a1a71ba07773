"""One number a channel and image: how a layer's output becomes activations."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import DataContractError
from data.units import near_names

REDUCTIONS: dict[str, tuple[int, Callable[[torch.Tensor], torch.Tensor]]] = {
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


class LayerReader:
    """Reads layers of a network by forward hooks, reduced at once.

    A context manager: hooks are removed at its end. The reduction is done inside the
    hook, before a later in-place operation can change the layer's output.

    Parameters
    ----------
    layers : sequence of str
        Module paths; unique and present in ``module``.
    reductions : mapping of str to str
        Layer to a name of :data:`REDUCTIONS`; others by :data:`DEFAULTS`.

    Attributes
    ----------
    used : dict of str to str
        Reduction of each layer, known after the first batch.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        layers: tuple[str, ...],
        reductions: Mapping[str, str],
    ) -> None:
        self._module = module
        self._layers = layers
        self._named = dict(reductions)
        self._read: dict[str, torch.Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self.used: dict[str, str] = {}

    def __enter__(self) -> "LayerReader":
        for layer in self._layers:
            hook = self._hook(layer)
            submodule = self._module.get_submodule(layer)
            self._handles.append(submodule.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def __call__(
        self, batch: torch.Tensor
    ) -> tuple[dict[str, NDArray[np.float32]], object]:
        """Run a batch; return (batch, channels) of each layer, and the output."""
        self._read.clear()
        with torch.inference_mode():
            try:
                output = self._module(batch)
            except RuntimeError as error:
                raise DataContractError(
                    f"The network fails on a batch of shape {tuple(batch.shape)}:"
                    f" {str(error).splitlines()[0]}. Check its preprocessing, the"
                    " batch size and the device."
                ) from error
        missing = [layer for layer in self._layers if layer not in self._read]
        if missing:
            raise DataContractError(
                f"Layer {missing[0]!r} did not run when the network saw an image; it"
                " must be part of the forward pass. Name another layer."
            )
        read = {layer: self._checked(layer, len(batch)) for layer in self._layers}
        return read, output

    def _hook(self, layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def read(_module: torch.nn.Module, _inputs: object, output: object) -> None:
            if layer in self._read:
                raise DataContractError(
                    f"Layer {layer!r} runs more than once on an image, so its units"
                    " have no single activation. Name the layer before or after it."
                )
            self._read[layer] = self._reduced(layer, output)

        return read

    def _reduced(self, layer: str, output: object) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise DataContractError(
                f"Layer {layer!r} returns {type(output).__name__}; it must return one"
                " tensor. Name a layer inside it."
            )
        name = self._named.get(layer) or DEFAULTS.get(output.ndim, "spatial_mean")
        n_dimensions, reduce = REDUCTIONS[name]
        if output.ndim != n_dimensions:
            raise DataContractError(
                f"Layer {layer!r} returns shape {tuple(output.shape)}; the reduction"
                f" {name!r} needs {n_dimensions} dimensions. Name another layer, or"
                " another reduction with --reduction."
            )
        self.used[layer] = name
        return reduce(output.float())

    def _checked(self, layer: str, n_images: int) -> NDArray[np.float32]:
        values = self._read[layer].cpu().numpy()
        if len(values) != n_images:
            raise DataContractError(
                f"Layer {layer!r} gives activations for {len(values)} images of a batch"
                f" of {n_images}; the reduction {self.used[layer]!r} does not fit its"
                " output. Name another with --reduction."
            )
        return values


def check_reductions(reductions: Mapping[str, str], layers: tuple[str, ...]) -> None:
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
