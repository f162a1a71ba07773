"""Weights from files: read, checked against the network, or refused with the reason."""

import contextlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.errors import DataContractError


def read_state(path: Path) -> dict[str, Any]:
    """Return a state dict that torch.save or safetensors wrote.

    Raises
    ------
    DataContractError
        The file is missing, cut off or something else.
    """
    if not path.is_file():
        raise DataContractError(
            f"{path} does not exist; it must be a file of weights. Check --weights."
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = import_module("safetensors.torch").load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataContractError(
            f"{path} can't be read as weights of torch ({type(error).__name__});"
            " it may be cut off. Get the file again, or save a state dict with"
            " torch.save."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise DataContractError(
            f"{path} holds {type(state).__name__}; it must hold a state dict."
            " Save module.state_dict() with torch.save."
        )
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): one for name, one in state.items()}
    return state


def fit(module: nn.Module, state: Mapping[str, Any], path: Path, name: str) -> None:
    """Put a state dict into a module.

    Raises
    ------
    DataContractError
        It is of another network; what is missing, of another shape or too much is
        counted.
    """
    own = module.state_dict()
    missing = [one for one in own if one not in state]
    extra = [one for one in state if one not in own]
    other = [
        one
        for one in own
        if one in state and getattr(state[one], "shape", None) != own[one].shape
    ]
    if missing or extra or other:
        raise DataContractError(
            f"{path} does not fit {name!r}: {len(missing)} weights are missing,"
            f" {len(other)} have another shape, {len(extra)} are too many; first"
            f" {(missing or other or extra)[0]!r}. Give the weights of this network."
        )
    module.load_state_dict(dict(state))


@cache
def let_torchvision_load() -> torch.library.Library | None:
    """Let torchvision load beside a torch for CPUs, whose operators it expects.

    A torchvision that is built for CUDA registers fake versions of operators that
    only its CUDA library defines. None of them is used here.
    """
    if find_spec("torchvision") is None or hasattr(torch.ops.torchvision, "nms"):
        return None
    with contextlib.suppress(RuntimeError, OSError):
        import_module("torchvision")
        return None
    for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    return library
