"""The encoders behind the score, by name; each is imported only when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from data.errors import DataContractError, MissingExtraError
from data.units import near_names
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder

__all__ = [
    "ENCODERS",
    "EncoderEntry",
    "ImageEncoder",
    "PairwiseEncoder",
    "load_encoder",
]


@dataclass(frozen=True)
class EncoderEntry:
    """Where an encoder's code is, and what a list of encoders says of it.

    Attributes
    ----------
    module : str
        Imported late; has ``load(variant, weights)``.
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
    "dreamsim-open-clip-vitb32": EncoderEntry(
        "mis.encoders.dreamsim_encoder",
        "open_clip_vitb32",
        "DreamSim's smallest single network; needs its weights",
        0.16,
        _AS_DREAMSIM,
    ),
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
}


def load_encoder(name: str, *, weights: Path | None = None) -> ImageEncoder:
    """Load an encoder and its weights.

    Parameters
    ----------
    weights : Path, optional
        Folder of the weights, for encoders that no package ships weights of.

    Raises
    ------
    DataContractError
        There is no encoder of that name; near names are offered.
    MissingExtraError
        Its package or its weights are not there.
    """
    if name not in ENCODERS:
        raise DataContractError(
            f"{name!r} is no encoder. {near_names(name, ENCODERS)}"
            f" The encoders are: {', '.join(ENCODERS)}."
        )
    entry = ENCODERS[name]
    try:
        module = import_module(entry.module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The encoder {name!r} needs the package {error.name!r}."
            " Install it with: pip install -e '.[score]'"
        ) from error
    load: Callable[[], ImageEncoder] = partial(module.load, entry.variant, weights)
    return load()
