"""Directions in a layer's activations, and sparse autoencoders, as units."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.errors import DataContractError, MissingExtraError
from data.files import file_hash
from data.recordings import read_arrays
from data.units import near_names

KINDS = ("directions", "relu", "gated", "top-k", "jump-relu")

NAMES: dict[str, str] = {
    "directions": "(n_units, channels): one direction a row",
    "W_enc": "(channels, n_units): the encoder; or 'encoder.weight', transposed",
    "b_enc": "(n_units,): its bias; or 'encoder.bias'",
    "b_dec": "(channels,): taken off the layer's output first, where it is there",
    "r_mag": "(n_units,): gated, scale of the magnitudes as a logarithm",
    "b_mag": "(n_units,): gated, their bias",
    "b_gate": "(n_units,): gated, bias of the gate",
    "k": "one whole number: top-k, how many units stay on at a place",
    "threshold": "(n_units,): JumpReLU, below which a unit is off",
}
"""The arrays of a file of directions or of a sparse autoencoder."""

_ALIASES = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "pre_bias": "b_dec"}
_UNUSED = ("W_dec", "decoder.weight", "decoder.bias")
_CHUNK_BYTES = 2**26

REDUCTIONS = ("mean", "max", "first")
"""What becomes of a unit's values at the places of a map: their mean; their highest;
or the layer is reduced first, as its own channels are, and then encoded."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DirectionSet:
    """Directions of a layer, or a sparse autoencoder's units.

    A unit of the set is named ``model::layer/name::index``.

    Attributes
    ----------
    layer : str
        Whose output they read.
    name : str
        Of the set, without '/' and '::'.
    kind : str
        One of :data:`KINDS`. With x the layer's output less 'b_dec' and pre = x W_enc
        + b_enc: 'directions' is W x; 'relu' is max(pre, 0); 'gated' is max(x W_enc
        exp(r_mag) + b_mag, 0) where x W_enc + b_gate > 0 (Rajamanoharan et al. 2024);
        'top-k' is max(pre, 0) of the k highest at each place (Gao et al. 2024);
        'jump-relu' is pre where it is above 'threshold'.
    weights : mapping of str to tensor
        As :data:`NAMES` says.
    reduction : str
        One of :data:`REDUCTIONS`; for linear directions 'mean' and 'first' are equal.
    source_hash : str
        SHA-256 of the file they are from.
    """

    layer: str
    name: str
    kind: str
    weights: Mapping[str, torch.Tensor] = field(repr=False)
    reduction: str = "mean"
    source_hash: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or "/" in self.name or "::" in self.name:
            raise DataContractError(
                f"The set of directions is named {self.name!r}; unit names are"
                " 'model::layer/name::index', so it must be some text without '/' and"
                " '::'. Rename its file."
            )
        if self.reduction not in REDUCTIONS:
            raise DataContractError(
                f"The reduction of directions is {self.reduction!r}; it must be one of"
                f" {list(REDUCTIONS)}. {near_names(self.reduction, REDUCTIONS)}"
            )
        _check_shapes(self)

    @property
    def key(self) -> str:
        """Name of the layer in the names of the set's units."""
        return f"{self.layer}/{self.name}"

    @property
    def n_channels(self) -> int:
        """Channels that the layer must have."""
        first = self.weights["directions" if self.kind == "directions" else "W_enc"]
        return int(first.shape[1 if self.kind == "directions" else 0])

    @property
    def n_units(self) -> int:
        """Units in the set."""
        first = self.weights["directions" if self.kind == "directions" else "W_enc"]
        return int(first.shape[0 if self.kind == "directions" else 1])

    @property
    def config(self) -> dict[str, Any]:
        """What is written into a recording; JSON values."""
        return {
            "layer": self.layer,
            "name": self.name,
            "kind": self.kind,
            "reduction": self.reduction,
            "sha256": self.source_hash,
        }

    def on(self, device: torch.device) -> "DirectionSet":
        """Return the set with its weights on a device."""
        weights = {name: one.to(device) for name, one in self.weights.items()}
        return DirectionSet(**vars(self) | {"weights": weights})

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        """Return (..., n_units) for (..., n_channels) values of the layer."""
        weights = self.weights
        if self.kind == "directions":
            return values @ weights["directions"].T
        x = values - weights["b_dec"] if "b_dec" in weights else values
        product = x @ weights["W_enc"]
        if self.kind == "gated":
            size = product * torch.exp(weights["r_mag"]) + weights["b_mag"]
            return torch.relu(size) * (product + weights["b_gate"] > 0)
        pre = product + weights["b_enc"]
        if self.kind == "jump-relu":
            return pre * (pre > weights["threshold"])
        if self.kind == "top-k":
            highest = pre.topk(int(weights["k"]), dim=-1)
            empty = torch.zeros_like(pre)
            return empty.scatter(-1, highest.indices, highest.values.relu())
        return torch.relu(pre)

    def activations(
        self, output: torch.Tensor, reduced: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        """Return (batch, n_units) for one output of the layer.

        Parameters
        ----------
        output : tensor
            As the layer returned it; named in messages.
        reduced : (batch, n_channels) tensor
            The layer's own activations.
        places : (batch, n_places, n_channels) tensor
            The output at every place that the reduction takes in.
        """
        if reduced.shape[1] != self.n_channels:
            raise DataContractError(
                f"The directions {self.name!r} have {self.n_channels} channels; layer"
                f" {self.layer!r} has {reduced.shape[1]} (its output has the shape"
                f" {tuple(output.shape)}). Give the directions of this layer."
            )
        linear = self.kind == "directions" and self.reduction == "mean"
        if linear or self.reduction == "first":
            return self.encode(reduced)
        rows = max(1, _CHUNK_BYTES // (4 * places.shape[1] * self.n_units))
        parts = []
        for some in torch.split(places.float(), rows):
            encoded = self.encode(some)
            mean = self.reduction == "mean"
            parts.append(encoded.mean(dim=1) if mean else encoded.amax(dim=1))
        return torch.cat(parts)


def _check_shapes(made: DirectionSet) -> None:
    weights, n, channels = made.weights, made.n_units, made.n_channels
    expected = {
        "directions": (n, channels),
        "W_enc": (channels, n),
        "b_dec": (channels,),
    }
    for name, value in weights.items():
        shape = () if name == "k" else expected.get(name, (n,))
        if tuple(value.shape) != shape:
            raise DataContractError(
                f"{name!r} of the directions {made.name!r} has the shape"
                f" {tuple(value.shape)}; it must have {shape}. It is {NAMES[name]}."
            )
        if not torch.isfinite(value).all():
            raise DataContractError(
                f"{name!r} of the directions {made.name!r} holds values that are not"
                " finite. Make the file again."
            )
    if "k" in weights and not 1 <= int(weights["k"]) <= n:
        raise DataContractError(
            f"'k' of the directions {made.name!r} is {int(weights['k'])}; it must be"
            f" in [1, {n}]. It is how many units stay on at a place."
        )


def read_directions(
    path: Path, *, layer: str, name: str | None = None, reduction: str = "mean"
) -> DirectionSet:
    """Read directions or a sparse autoencoder's encoder from a file.

    Parameters
    ----------
    path : Path
        ``.npy`` with an (n_units, channels) array; or ``.npz``, ``.pt``, ``.pth`` or
        ``.safetensors`` with the arrays of :data:`NAMES`. Which arrays are there
        decides the kind: 'directions'; 'r_mag', 'b_mag' and 'b_gate' (gated); 'k'
        (top-k); 'threshold' (JumpReLU); else ReLU.
    layer : str
    name : str or None
        Of the set; the file's name without its ending by default.

    Raises
    ------
    DataContractError
        The file is missing or broken, or its arrays don't make one of the kinds.
    MissingExtraError
        A safetensors file without the package that reads it.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {
        ".npy": _read_npy,
        ".npz": read_arrays,
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".safetensors": _read_safetensors,
    }
    if path.suffix not in readers:
        raise DataContractError(
            f"{path} is no file of directions; it must end in one of {list(readers)}."
            " See unitscope record --help."
        )
    if not path.is_file():
        raise DataContractError(
            f"{path} does not exist. Check the path of the directions."
        )
    weights = _as_weights(readers[path.suffix](path), path)
    return DirectionSet(
        layer=layer,
        name=name or path.stem,
        kind=_kind(weights, path),
        weights=weights,
        reduction=reduction,
        source_hash=file_hash(path),
    )


def _as_weights(arrays: Mapping[str, Any], path: Path) -> dict[str, torch.Tensor]:
    weights = {}
    for key, value in arrays.items():
        name = _ALIASES.get(key, key)
        if key in _UNUSED:
            continue
        if name not in NAMES:
            raise DataContractError(
                f"{path} holds {name!r}, which is no array of directions or of a"
                f" sparse autoencoder. {near_names(name, NAMES)}"
            )
        tensor = torch.as_tensor(value).detach().to("cpu", torch.float32)
        weights[name] = (tensor.T if key == "encoder.weight" else tensor).clone()
    return weights


def _kind(weights: Mapping[str, torch.Tensor], path: Path) -> str:
    needed = {
        "directions": ("directions",),
        "gated": ("W_enc", "r_mag", "b_mag", "b_gate"),
        "top-k": ("W_enc", "b_enc", "k"),
        "jump-relu": ("W_enc", "b_enc", "threshold"),
        "relu": ("W_enc", "b_enc"),
    }
    marks = {"directions": "directions", "b_gate": "gated", "r_mag": "gated"}
    marks |= {"k": "top-k", "threshold": "jump-relu"}
    kinds = {marks[name] for name in weights if name in marks} or {"relu"}
    kind = sorted(kinds)[0]
    absent = [name for name in needed[kind] if name not in weights]
    if len(kinds) > 1 or absent:
        problem = f"lacks {absent}" if absent else f"mixes {sorted(kinds)}"
        raise DataContractError(
            f"{path} {problem}; a {kind!r} set needs {list(needed[kind])}."
            " See unitscope record --help."
        )
    matrix = weights["directions" if kind == "directions" else "W_enc"]
    if matrix.ndim != 2:
        raise DataContractError(
            f"{path} holds a matrix of shape {tuple(matrix.shape)}; it must have two"
            " dimensions. See unitscope record --help."
        )
    return kind


def _read_npy(path: Path) -> dict[str, Any]:
    try:
        return {"directions": np.load(path, allow_pickle=False)}
    except (OSError, ValueError, EOFError) as error:
        raise DataContractError(
            f"{path} is not a whole NPY file ({error}). Make the file again."
        ) from error


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataContractError(
            f"{path} can't be read as weights of torch ({type(error).__name__})."
            " Save a state dict of tensors with torch.save."
        ) from error
    if isinstance(content, torch.Tensor):
        content = {"directions": content}
    if not isinstance(content, Mapping):
        raise DataContractError(
            f"{path} holds {type(content).__name__}; it must hold a mapping of names"
            " to tensors. Save a state dict of tensors with torch.save."
        )
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs the package 'safetensors'."
            " Install it with: pip install '.[score]'"
        ) from error
    try:
        return dict(load_file(path))
    except Exception as error:
        raise DataContractError(
            f"{path} is not a whole safetensors file ({error}). Get the file again."
        ) from error
