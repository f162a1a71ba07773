"""Networks of timm, torchvision and open_clip: what a name of theirs stands for."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.errors import DataContractError, MissingExtraError
from data.units import near_names
from data.weights import put_state, read_state

PACKAGES = {
    "timm": "timm",
    "torchvision": "torchvision",
    "open_clip": "open-clip-torch",
}
"""What stands before the colon of a network's name, and the name to install it by."""

WEIGHTS = "'download' (from where the package has them), 'random', or a file"
"""What ``--weights`` takes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PackageNetwork:
    """A network as its package makes it, and how it wants its images.

    Attributes
    ----------
    module : torch.nn.Module
        For open_clip, the image tower.
    preprocess : callable
        The package's own, from an RGB image to a (3, side, side) float tensor.
    side : int
        Of that tensor, in pixels.
    mean, sd : (float, float, float)
        Of each colour in [0, 1], which the preprocessing takes out.
    """

    module: Any
    preprocess: Callable[[Any], Any]
    side: int
    mean: tuple[float, ...]
    sd: tuple[float, ...]


def is_package_network(name: str) -> bool:
    """Tell names such as ``timm:resnet50`` from ``module:function``."""
    package, colon, _ = name.partition(":")
    return package in PACKAGES and bool(colon)


def make_package_network(name: str, weights: str | None) -> PackageNetwork:
    """Make a network of a package, with weights.

    Torch and the package are imported by the call, so that servers and analyses load
    this module without them.

    Parameters
    ----------
    name : str
        ``timm:resnet50``, ``torchvision:resnet50`` or ``open_clip:ViT-B-32/openai``
        (model and the name of its weights, which is needed for a download only).
    weights : str or None
        See :data:`WEIGHTS`; None is refused.

    Raises
    ------
    DataContractError
        No such network, or weights that don't fit.
    MissingExtraError
        The package is not installed.
    """
    if weights is None:
        raise DataContractError(
            f"{name!r} comes without weights; --weights must be {WEIGHTS}. Give one."
        )
    package, _, own_name = name.partition(":")
    makers = {"timm": _timm, "torchvision": _torchvision, "open_clip": _open_clip}
    let_torchvision_load()
    try:
        made = makers[package](own_name, weights == "download")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{name!r} needs the package {error.name!r}."
            " Install it with: pip install -e '.[networks]'"
        ) from error
    if weights not in {"download", "random"}:
        put_state(made.module, read_state(Path(weights)), Path(weights), name)
    return made


def let_torchvision_load() -> None:
    """Let torchvision load beside a torch for CPUs, whose operators it expects.

    A torchvision that is built for CUDA registers fake versions of operators that
    only its CUDA library defines. None of them is used here.
    """
    if find_spec("torchvision") is None:
        return
    if hasattr(import_module("torch").ops.torchvision, "nms"):
        return
    try:
        import_module("torchvision")
    except (RuntimeError, OSError):
        for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare_operators()


@cache
def _declare_operators() -> Any:
    """Declare what torchvision looks for; it stands as long as what is returned."""
    library = import_module("torch").library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    return library


def _timm(name: str, download: bool) -> PackageNetwork:
    timm = import_module("timm")
    if not timm.is_model(name):
        raise _unknown("timm has no network", name, timm.list_models())
    module = _made(lambda: timm.create_model(name, pretrained=download), name)
    settings = timm.data.resolve_data_config({}, model=module)
    return PackageNetwork(
        module=module,
        preprocess=timm.data.create_transform(**settings),
        side=int(settings["input_size"][-1]),
        mean=tuple(settings["mean"]),
        sd=tuple(settings["std"]),
    )


def _torchvision(name: str, download: bool) -> PackageNetwork:
    models = import_module("torchvision").models
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision has no network", name, known)
    published = models.get_model_weights(name).DEFAULT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of GoogLeNet's random start
        module = _made(
            lambda: models.get_model(name, weights=published if download else None),
            name,
        )
    preprocess = published.transforms()
    return PackageNetwork(
        module=module,
        preprocess=preprocess,
        side=int(preprocess.crop_size[0]),
        mean=tuple(preprocess.mean),
        sd=tuple(preprocess.std),
    )


def _open_clip(name: str, download: bool) -> PackageNetwork:
    open_clip = import_module("open_clip")
    model, _, published = name.partition("/")
    if model not in open_clip.list_models():
        raise _unknown("open_clip has no model", model, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(model)
    if download and published not in tags:
        raise _unknown(
            f"open_clip:{model}/WEIGHTS: there are no weights", published, tags
        )
    whole, _, preprocess = _made(
        lambda: open_clip.create_model_and_transforms(
            model, pretrained=published if download else None
        ),
        name,
    )
    tower = whole.visual
    side = tower.image_size
    return PackageNetwork(
        module=tower,
        preprocess=preprocess,
        side=int(side[0] if isinstance(side, (tuple, list)) else side),
        mean=tuple(tower.image_mean or open_clip.OPENAI_DATASET_MEAN),
        sd=tuple(tower.image_std or open_clip.OPENAI_DATASET_STD),
    )


def _unknown(what: str, name: str, known: Sequence[str]) -> DataContractError:
    return DataContractError(f"{what} {name!r}. {near_names(name, known)}")


def _made(make: Callable[[], Any], name: str) -> Any:
    try:
        return make()
    except (OSError, RuntimeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise DataContractError(
            f"{name!r} can't be made ({type(error).__name__}: {first}). Where weights"
            " can't be downloaded, give --weights FILE."
        ) from error
