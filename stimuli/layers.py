"""Which layers of a network are meant: by path, by pattern, by type, by run."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from data.errors import DataContractError
from data.units import near_names

_NAME = re.compile(r"(?P<path>[^#\[\]]+)(#(?P<run>\d+))?(?P<elements>(\[[^\]]+\])*)")
_PATTERN = re.compile(r"[*?]")
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True, order=True, kw_only=True)
class LayerRead:
    """One output of a network that is read on every image.

    Attributes
    ----------
    name : str
        As it stands in the names of units: the path, then ``#2`` for the second run
        on an image, then ``[0]`` or ``[key]`` for an element of a tuple or mapping.
    path : str
        The module's path in the network.
    run : int or None
        Counted from 1; None for a module that runs once.
    elements : tuple of str
        From the outermost tuple or mapping inwards.
    """

    name: str
    path: str
    run: int | None = None
    elements: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str) -> "LayerRead":
        """Read a layer's name."""
        found = _NAME.fullmatch(name)
        if not found:
            raise DataContractError(
                f"Layer {name!r} can't be read; it must be a module's path, then '#2'"
                " for its second run, then '[0]' for an element of its output."
                " --list-layers prints the paths."
            )
        return cls(
            name=name,
            path=found["path"],
            run=int(found["run"]) if found["run"] else None,
            elements=tuple(re.findall(r"\[([^\]]+)\]", found["elements"])),
        )


def is_convolution(_path: str, module: nn.Module) -> bool:
    """Tell whether a module is a convolution."""
    return isinstance(module, _ConvNd)


def is_linear(_path: str, module: nn.Module) -> bool:
    """Tell whether a module is a linear layer."""
    return isinstance(module, nn.Linear)


def is_norm(_path: str, module: nn.Module) -> bool:
    """Tell whether a module normalises: batch, layer, group, instance, RMS."""
    named = type(module).__name__.lower()
    return isinstance(module, _NORMS) or named.endswith(("norm", "norm2d"))


def layer_type(module: nn.Module) -> str:
    """Return which of :data:`data.sweeps.LAYER_TYPES` a module is."""
    kinds = {
        "conv": _ConvNd,
        "linear": nn.Linear,
        "batch_norm": _NormBase,
        "layer_norm": nn.LayerNorm,
        "group_norm": nn.GroupNorm,
    }
    return next(
        (name for name, kind in kinds.items() if isinstance(module, kind)), "other"
    )


def _is_block(path: str, module: nn.Module, parents: Mapping[str, nn.Module]) -> bool:
    parent = parents.get(path.rpartition(".")[0])
    plain = (nn.Sequential, nn.ModuleList)
    inner = list(module.modules())[1:]
    return (
        isinstance(parent, plain)
        and type(module) not in plain
        and any(is_convolution("", one) or is_linear("", one) for one in inner)
    )


TYPES: dict[str, tuple[str, ...]] = {
    "@conv": ("@conv",),
    "@linear": ("@linear",),
    "@norm": ("@norm",),
    "@block": ("@block",),
    "@all": ("@conv", "@linear", "@norm", "@block"),
}
"""Groups of layers: convolutions; linear layers; normalisation; block outputs (items
of a Sequential or ModuleList that hold convolutions or linear layers); all of these.
"""


def matching_paths(module: nn.Module, asked: str) -> tuple[str, ...]:
    """Return the module paths that a pattern or a group of :data:`TYPES` matches.

    A module that stands under two paths is named once, by the first.

    Raises
    ------
    DataContractError
        Nothing matches.
    """
    modules = dict(module.named_modules())
    if asked.startswith("@"):
        if asked not in TYPES:
            raise DataContractError(
                f"Layer group {asked!r} is not known; it must be one of"
                f" {list(TYPES)}. {near_names(asked, TYPES)}"
            )
        tests: dict[str, Callable[[str, nn.Module], bool]] = {
            "@conv": is_convolution,
            "@linear": is_linear,
            "@norm": is_norm,
            "@block": lambda path, one: _is_block(path, one, modules),
        }
        wanted = [tests[name] for name in TYPES[asked]]
        found = [
            path
            for path, one in modules.items()
            if path and any(test(path, one) for test in wanted)
        ]
    else:
        found = [path for path in modules if path and fnmatchcase(path, asked)]
    if not found:
        raise DataContractError(
            f"No layer of the network matches {asked!r}."
            f" {near_names(asked, [path for path in modules if path])}"
        )
    return tuple(found)


def matching_groups(
    module: nn.Module, asked: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return what each of the patterns and groups that are asked for matches.

    A group of which the network has no layer is left out as long as another matches:
    '@conv,@linear,@norm' fits every network of a sweep.

    Raises
    ------
    DataContractError
        A pattern matches nothing, or no group does.
    """
    found: dict[str, tuple[str, ...]] = {}
    lacking: DataContractError | None = None
    for one in filter(is_group, asked):
        try:
            found[one] = matching_paths(module, one)
        except DataContractError as error:
            if one not in TYPES:
                raise
            lacking = lacking or error
    if lacking and not found:
        raise lacking
    return found


def is_group(asked: str) -> bool:
    """Tell whether a layer is asked for by a pattern or a group, not by its name."""
    return asked.startswith("@") or bool(_PATTERN.search(asked))


def check_layer(module: nn.Module, name: str, network: str) -> None:
    """Raise where a layer's name is not one of a network's module paths.

    Raises
    ------
    DataContractError
        There is no such module, or it is another's second name.
    """
    read = LayerRead.parse(name)
    known = [path for path, _ in module.named_modules() if path]
    if read.path in known:
        return
    every = dict(module.named_modules(remove_duplicate=False))
    if read.path in every:
        first = next(
            path for path, one in module.named_modules() if one is every[read.path]
        )
        raise DataContractError(
            f"Layer {read.path!r} is the same module as {first!r}, and its units go by"
            f" that name. Name {first!r}; its runs are '{first}#1', '{first}#2', ..."
        )
    raise DataContractError(
        f"Layer {read.path!r} is not in the network {network!r}."
        f" {near_names(read.path, known)}"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Chosen:
    """Layers that were asked for, each by the name of one output.

    Attributes
    ----------
    layers : tuple of str
    left_out : mapping of str to str
        Modules that a pattern or group matched and that have no activations to
        record, with the reason.
    """

    layers: tuple[str, ...]
    left_out: Mapping[str, str]


def choose_layers(
    module: nn.Module, asked: Sequence[str], batch: torch.Tensor
) -> Chosen:
    """Turn patterns and groups into names, by a look at what one pass returns.

    A module that runs twice gives ``path#1`` and ``path#2``; one that returns a tuple
    or a mapping gives an element each. What was named stays as it was named.
    """
    groups = matching_groups(module, asked)
    if not groups:
        return Chosen(layers=tuple(asked), left_out={})
    paths = dict.fromkeys(path for found in groups.values() for path in found)
    seen = _outputs(module, paths, batch)
    left_out: dict[str, str] = {}
    names: dict[str, None] = {}
    for one in asked:
        for path in groups.get(one, ()):
            found, reason = _names(path, seen[path])
            names |= dict.fromkeys(found)
            if reason:
                left_out[path] = reason
        if not is_group(one):
            names[one] = None
    if not names:
        path, reason = next(iter(left_out.items()))
        raise DataContractError(
            f"None of the {len(left_out)} layers that {list(asked)} match has"
            f" activations; the first, {path!r}, {reason}. Name others."
        )
    return Chosen(layers=tuple(names), left_out=left_out)


def _outputs(
    module: nn.Module, paths: Iterable[str], batch: torch.Tensor
) -> dict[str, list[dict[str, int]]]:
    """Return, for each module and run, the dimensions of each tensor it returns."""
    seen: dict[str, list[dict[str, int]]] = {path: [] for path in paths}

    def hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[path].append(dict(_tensors(output)))

        return look

    handles = [
        module.get_submodule(path).register_forward_hook(hook(path)) for path in seen
    ]
    try:
        with torch.no_grad():
            module(batch)
    except RuntimeError as error:
        raise failure(error, batch) from error
    finally:
        for handle in handles:
            handle.remove()
    return seen


class OutOfMemoryError(Exception):
    """The device has no room for a batch of this size."""


def failure(error: RuntimeError, batch: torch.Tensor) -> Exception:
    """Return what to raise where a network fails on a batch."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    if isinstance(error, torch.OutOfMemoryError) or any(
        sign in reason.lower() for sign in signs
    ):
        return OutOfMemoryError(reason)
    return DataContractError(
        f"The network fails on a batch of shape {tuple(batch.shape)}: {reason}."
        " Check its preprocessing, the batch size and the device."
    )


def _tensors(output: Any, inside: str = "") -> Iterable[tuple[str, int]]:
    if isinstance(output, torch.Tensor):
        yield inside, output.ndim if output.is_floating_point() else 0
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _tensors(value, f"{inside}[{key}]")
    elif isinstance(output, (tuple, list)):
        for index, value in enumerate(output):
            yield from _tensors(value, f"{inside}[{index}]")


def _names(
    path: str, runs: Sequence[Mapping[str, int]]
) -> tuple[list[str], str | None]:
    if not runs:
        return [], "does not run when the network sees an image"
    names = []
    for number, elements in enumerate(runs, start=1):
        run = f"#{number}" if len(runs) > 1 else ""
        names += [
            f"{path}{run}{element}"
            for element, n_dimensions in elements.items()
            if 2 <= n_dimensions <= 4
        ]
    return names, None if names else "returns no tensor of 2, 3 or 4 dimensions"


def element_of(output: Any, read: LayerRead) -> torch.Tensor:
    """Return the tensor that a layer's name points to.

    Raises
    ------
    DataContractError
        There is none; its elements are named.
    """
    found = output
    for element in read.elements:
        if isinstance(found, Mapping) and element in found:
            found = found[element]
        elif (
            isinstance(found, (tuple, list))
            and element.isdecimal()
            and int(element) < len(found)
        ):
            found = found[int(element)]
        else:
            raise DataContractError(
                f"Layer {read.name!r} has no element '[{element}]'."
                f" {_elements_text(output, read)}"
            )
    if not isinstance(found, torch.Tensor):
        raise DataContractError(
            f"Layer {read.name!r} returns {type(found).__name__}; it must return one"
            f" tensor. {_elements_text(output, read)}"
        )
    return found


def _elements_text(output: Any, read: LayerRead) -> str:
    base = read.path + (f"#{read.run}" if read.run else "")
    names = [f"'{base}{element}'" for element, _ in _tensors(output)]
    return f"Name {' or '.join(names[:4])}." if names else "Name a layer inside it."
