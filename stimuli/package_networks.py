"""Networks of timm, torchvision and open_clip by name."""

import importlib
import inspect
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from data.errors import DataContractError, MissingExtraError
from data.files import file_hash
from data.units import near_names

PACKAGES = ("timm", "torchvision", "open_clip")

WEIGHTS = "'download' (from where the package has them), 'random', or a file"
"""What ``--weights`` takes."""

_kept: list[Any] = []


def load_package_network(
    network: str, weights: str | None
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor], dict[str, Any]]:
    """Return a module, its preprocessing and what to write about both.

    Parameters
    ----------
    network : str
        ``timm:resnet50``; ``torchvision:resnet50``; or the image tower of
        ``open_clip:ViT-B-32/openai`` (model and the name of its weights, which is
        needed for a download only).
    weights : str or None
        See :data:`WEIGHTS`. A file is a state dict, as torch.save or safetensors
        writes it; 'module.' and 'state_dict' around it are taken off.

    Raises
    ------
    DataContractError
        No such network, or weights that don't fit.
    MissingExtraError
        The package is not installed.
    """
    package, _, name = network.partition(":")
    if weights is None:
        raise DataContractError(
            f"Network {network!r} comes without weights; --weights must be {WEIGHTS}."
            " Give one."
        )
    makers = {
        "timm": _timm,
        "torchvision": _torchvision,
        "open_clip": _open_clip,
    }
    _let_torchvision_load()
    try:
        module, preprocess = makers[package](name, weights == "download")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The network {network!r} needs the package {error.name!r}."
            f" Install it with: pip install '.[networks]'"
        ) from error
    config = {"network": network, "preprocess": f"{package}'s own for {name}"}
    config["weights"] = weights
    if weights not in {"download", "random"}:
        load_weights(module, Path(weights), network)
        config["weights"] = f"file {file_hash(Path(weights))}"
    return module, preprocess, config


def load_weights(module: torch.nn.Module, path: Path, network: str) -> None:
    """Put a state dict from a file into a module.

    Raises
    ------
    DataContractError
        The file is missing or broken, or is of another network: what is missing, of
        another shape or too much is counted and named.
    """
    if not path.is_file():
        raise DataContractError(f"{path} does not exist. --weights must be {WEIGHTS}.")
    state = _unwrapped(_read_state(path))
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        own = module.state_dict()
        missing = [name for name in own if name not in state]
        extra = [name for name in state if name not in own]
        other = [
            name
            for name in own
            if name in state and getattr(state[name], "shape", None) != own[name].shape
        ]
        first = (missing or other or extra or [str(error)])[0]
        raise DataContractError(
            f"{path} does not fit {network!r}: {len(missing)} weights are missing,"
            f" {len(other)} have another shape, {len(extra)} are too many; first"
            f" {first!r}. Give the weights of this network."
        ) from error


def _read_state(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            load_file = importlib.import_module("safetensors.torch").load_file
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataContractError(
            f"{path} can't be read as weights of torch ({type(error).__name__})."
            " Save a state dict with torch.save, or get the file again."
        ) from error
    if not isinstance(state, dict):
        raise DataContractError(
            f"{path} holds {type(state).__name__}; it must hold a state dict."
            " Save module.state_dict() with torch.save."
        )
    return state


def _unwrapped(state: dict[str, Any]) -> dict[str, Any]:
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): one for name, one in state.items()}
    return state


def _timm(
    name: str, download: bool
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    timm = importlib.import_module("timm")
    if not timm.is_model(name):
        known = timm.list_models()
        raise DataContractError(
            f"timm has no network {name!r}. {near_names(name, known)}"
        )
    module = _downloaded(lambda: timm.create_model(name, pretrained=download), name)
    settings = timm.data.resolve_data_config({}, model=module)
    return module, timm.data.create_transform(**settings)


def _torchvision(
    name: str, download: bool
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    models = importlib.import_module("torchvision.models")
    known = models.list_models(module=models)
    if name not in known:
        raise DataContractError(
            f"torchvision has no network {name!r}. {near_names(name, known)}"
        )
    published = models.get_model_weights(name).DEFAULT
    # Some need an argument to be made without a warning about how they are filled.
    more = {"init_weights": True} if name in {"googlenet", "inception_v3"} else {}
    taken = inspect.signature(models.get_model_builder(name)).parameters
    more = {} if download or "kwargs" not in taken else more
    module = _downloaded(
        lambda: models.get_model(name, weights=published if download else None, **more),
        name,
    )
    return module, published.transforms()


def _open_clip(
    name: str, download: bool
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    open_clip = importlib.import_module("open_clip")
    model, _, published = name.partition("/")
    if model not in open_clip.list_models():
        raise DataContractError(
            f"open_clip has no model {model!r}."
            f" {near_names(model, open_clip.list_models())}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if download and published not in tags:
        raise DataContractError(
            f"open_clip has no weights {published!r} of {model!r}; name them as"
            f" open_clip:{model}/WEIGHTS. {near_names(published, tags)}"
        )
    whole, _, preprocess = _downloaded(
        lambda: open_clip.create_model_and_transforms(
            model, pretrained=published if download else None
        ),
        name,
    )
    return whole.visual, preprocess


def _downloaded(make: Callable[[], Any], name: str) -> Any:
    try:
        return make()
    except (OSError, RuntimeError) as error:
        raise DataContractError(
            f"{name!r} can't be made ({type(error).__name__}:"
            f" {str(error).splitlines()[0]}). Where the weights can't be downloaded,"
            " give --weights FILE."
        ) from error


def _let_torchvision_load() -> None:
    """Declare the operators that a torchvision for CUDA expects of torch for CPUs."""
    if find_spec("torchvision") is None or hasattr(torch.ops.torchvision, "nms"):
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(  # type: ignore[no-untyped-call]
                f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        # The operators live as long as this does.
        _kept.append(library)
