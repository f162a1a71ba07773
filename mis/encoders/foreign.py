"""Encoders that others wrote: a function by name, or an entry point of a package."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.errors import DataContractError
from data.files import file_hash
from data.functions import named_function
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder

GROUP = "unitscope.encoders"
"""Group of entry points. Each is a function without arguments, as in a file."""


@dataclass(frozen=True, eq=False)
class ForeignEncoder:
    """Another's encoder, checked, with its source in the fingerprint.

    Attributes
    ----------
    encoder : ImageEncoder
    config : mapping of str to str
    default_tau : float or None
    tau_source : str
    """

    encoder: ImageEncoder
    config: Mapping[str, str]
    default_tau: float | None = None
    tau_source: str = "the encoder's own default"
    n_features: int = field(init=False)
    batch_size: int = field(init=False)
    is_squared_distance: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_features", self.encoder.n_features)
        object.__setattr__(self, "batch_size", self.encoder.batch_size)
        squared = bool(getattr(self.encoder, "is_squared_distance", False))
        object.__setattr__(self, "is_squared_distance", squared)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map display images to features, as the encoder does."""
        return self.encoder.embed(images)


class ForeignPairs(ForeignEncoder):
    """Another's encoder that compares images in pairs."""

    def similarity(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Compare rows pairwise, as the encoder does."""
        assert isinstance(self.encoder, PairwiseEncoder)
        return np.asarray(self.encoder.similarity(first, second), dtype=np.float32)


def points() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages by name."""
    return {one.name: one for one in sorted(entry_points(group=GROUP))}


def load_function(name: str, device: str) -> ImageEncoder:
    """Load ``module:function``; see :func:`checked` for what it may return."""
    return checked(_called(named_function(name), name), name, device)


def load_point(point: EntryPoint, device: str) -> ImageEncoder:
    """Load what a package offers.

    Raises
    ------
    DataContractError
        It raises, or gives no encoder.
    """
    name = f"{point.name} ({point.value}"
    name += f" of {point.dist.name})" if point.dist else ")"
    try:
        function = point.load()
    except Exception as error:
        raise _raised(name, error) from error
    return checked(_called(function, name), point.name, device)


def checked(
    made: tuple[Any, Callable[..., Any]], name: str, device: str
) -> ImageEncoder:
    """Return what a function made as an encoder.

    Parameters
    ----------
    made : (object, callable)
        An :class:`~mis.encoders.protocol.ImageEncoder`, a torch module whose output
        is pooled, or a pair of a module and its preprocessing; and what made it.

    Raises
    ------
    DataContractError
        It is none of these; what lacks is named.
    """
    encoder, function = made
    if not hasattr(encoder, "embed"):
        from mis.encoders.networks import from_module

        encoder = from_module(encoder, name, device)
    lacks = [
        f"{attribute} ({must})"
        for attribute, must, fits in (
            ("embed", "a method from images to features", callable),
            ("n_features", "an int above 0", _is_count),
            ("batch_size", "an int above 0", _is_count),
            ("config", "a mapping of str to str", _is_config),
        )
        if not fits(getattr(encoder, attribute, None))
    ]
    if lacks:
        raise DataContractError(
            f"What {name!r} returned ({type(encoder).__name__}) is no encoder; it needs"
            f" {', '.join(lacks)}. See mis/README.md."
        )
    tau = getattr(encoder, "default_tau", None)
    return (ForeignPairs if isinstance(encoder, PairwiseEncoder) else ForeignEncoder)(
        encoder,
        config={**encoder.config, "name": name, "source_sha256": _source(function)},
        default_tau=None if tau is None else float(tau),
        tau_source=getattr(encoder, "tau_source", ForeignEncoder.tau_source),
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _is_config(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(one, str) for pair in value.items() for one in pair
    )


def _source(function: Callable[..., Any]) -> str:
    """Return the hash of the file that holds the function; its weights are config."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        path = None
    return file_hash(Path(path)) if path and Path(path).is_file() else "unknown"


def _called(
    function: Callable[[], object], name: str
) -> tuple[object, Callable[[], object]]:
    try:
        return function(), function
    except Exception as error:
        raise _raised(name, error) from error


def _raised(name: str, error: Exception) -> DataContractError:
    return DataContractError(
        f"The encoder {name} raised {type(error).__name__}: {error}. It must return an"
        " encoder when called without arguments; mend it, or take another encoder."
    )
