"""The encoders behind the score, by name; each is imported only when asked for."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from data.errors import DataContractError, MissingExtraError
from data.package_networks import is_package_network
from data.units import near_names
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder

__all__ = [
    "ENCODERS",
    "EncoderEntry",
    "ImageEncoder",
    "PairwiseEncoder",
    "default_tau",
    "load_encoder",
]


@dataclass(frozen=True)
class EncoderEntry:
    """Where an encoder's code is, and what a list of encoders says of it.

    Attributes
    ----------
    module : str
        Imported late; has ``load(variant, weights, device)``.
    variant : str
        Which of the module's networks.
    summary : str
    default_tau : float
        In units of the encoder's similarity.
    tau_source : str
        What the default rests on; goes into the header of every score table.
    """

    module: str
    variant: str
    summary: str
    default_tau: float
    tau_source: str


_AS_DREAMSIM = "the value for DreamSim cosines, not calibrated for this encoder"

ENCODERS = {
    "dreamsim": EncoderEntry(
        "mis.encoders.dreamsim_encoder",
        "ensemble",
        "DreamSim's ensemble, the similarity of the MIS paper; needs its weights",
        0.16,
        "the MIS paper",
    ),
    **{
        f"dreamsim-{variant.replace('_', '-')}": EncoderEntry(
            "mis.encoders.dreamsim_encoder",
            variant,
            "a single network of DreamSim; needs its weights",
            0.16,
            _AS_DREAMSIM,
        )
        for variant in (
            "open_clip_vitb32",
            "clip_vitb32",
            "dino_vitb16",
            "dino_vitb16_patch",
            "dinov2_vitb14",
            "dinov2_vitb14_patch",
            "synclr_vitb16",
        )
    },
    "efficientnet-lite0": EncoderEntry(
        "mis.encoders.efficientnet", "lite0", "pooled features", 0.16, _AS_DREAMSIM
    ),
    "efficientnet-lite1": EncoderEntry(
        "mis.encoders.efficientnet", "lite1", "pooled features", 0.16, _AS_DREAMSIM
    ),
    "efficientnet-lite2": EncoderEntry(
        "mis.encoders.efficientnet",
        "lite2",
        "pooled features; works offline, fair stand-in for a demo",
        0.16,
        _AS_DREAMSIM,
    ),
    "st-lpips": EncoderEntry(
        "mis.encoders.stlpips",
        "alex",
        "shift-tolerant LPIPS of pairs of images, low-level; works offline",
        0.05,
        "chosen so that scores spread as those of cosines do; not calibrated",
    ),
    **{
        f"lpips-{trunk}": EncoderEntry(
            "mis.encoders.lpips_encoder",
            trunk,
            "LPIPS of pairs of images, low-level; needs torchvision's trunk",
            0.05,
            "that of st-lpips; not calibrated",
        )
        for trunk in ("alex", "vgg", "squeeze")
    },
    "dists": EncoderEntry(
        "mis.encoders.dists",
        "vgg",
        "DISTS of pairs of images, structure and texture; needs torchvision's VGG-16",
        0.05,
        "that of st-lpips; not calibrated",
    ),
    "pixels": EncoderEntry(
        "mis.encoders.floors",
        "pixels",
        "32 × 32 pixels, a floor",
        0.16,
        _AS_DREAMSIM,
    ),
    "colour-histogram": EncoderEntry(
        "mis.encoders.floors",
        "colour-histogram",
        "8 × 8 × 8 colours, a floor",
        0.16,
        _AS_DREAMSIM,
    ),
}


def load_encoder(
    name: str, *, weights: Path | None = None, device: str = "cpu"
) -> ImageEncoder:
    """Load an encoder and its weights.

    Parameters
    ----------
    name : str
        A key of :data:`ENCODERS`; ``timm:NAME``, ``torchvision:NAME`` or
        ``open_clip:NAME/WEIGHTS``, each with ``@LAYER`` behind; another
        ``module:function``; or an entry point of an installed package.
    weights : Path, optional
        File or folder of the weights, for encoders that no package ships weights of;
        ``download`` where they may be fetched from their authors.
    device : str
        Of torch.

    Raises
    ------
    DataContractError
        There is no encoder of that name; near names are offered. Or it is broken, or
        torch has no such device here.
    MissingExtraError
        Its package or its weights are not there.
    """
    if device != "cpu":  # without torch for those who need none
        from mis.torch_kernels import checked_device

        checked_device(device)
    if name in ENCODERS or is_package_network(name):
        entry = ENCODERS.get(name) or _network_entry(name)
        try:
            module = import_module(entry.module)
            load: Callable[[], ImageEncoder] = partial(
                module.load, entry.variant, weights, device
            )
            return load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"The encoder {name!r} needs the package {error.name!r}."
                " Install it with: pip install -e '.[score]'"
            ) from error
    return _foreign(name, weights, device)


def default_tau(name: str, encoder: ImageEncoder) -> tuple[float, str]:
    """Return the tau of an encoder that a user names none for, and what it rests on.

    Another's encoder may have a ``default_tau`` and a ``tau_source`` of its own.

    Raises
    ------
    DataContractError
        The encoder's own is not above 0.
    """
    own = getattr(encoder, "default_tau", None)
    if own is None:
        entry = ENCODERS.get(name) or _network_entry(name)
        return entry.default_tau, entry.tau_source
    if not 0 < own < math.inf:
        raise DataContractError(
            f"'default_tau' of the encoder {name!r} is {own}; it must be above 0."
            " Give a tau with --tau, or mend the encoder."
        )
    return float(own), str(getattr(encoder, "tau_source", "the encoder's own default"))


def _network_entry(name: str) -> EncoderEntry:
    return EncoderEntry(
        "mis.encoders.networks", name, "pooled features", 0.16, _AS_DREAMSIM
    )


def _foreign(name: str, weights: Path | None, device: str) -> ImageEncoder:
    foreign = import_module("mis.encoders.foreign")
    points = foreign.points()
    if ":" not in name and name not in points:
        known = [*ENCODERS, *points]
        raise DataContractError(
            f"{name!r} is no encoder. {near_names(name, known)}"
            f" The encoders are: {', '.join(known)}; and those of --help."
        )
    if weights is not None:
        raise DataContractError(
            f"The encoder {name!r} brings its own weights; --weights has no part in"
            " it. Leave the option out."
        )
    if name in points:
        return foreign.load_point(points[name], device)
    return foreign.load_function(name, device)
