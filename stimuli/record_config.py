"""What a recording is to hold, and what a run over the images is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from data.errors import DataContractError
from data.units import UnitId
from stimuli.checkpoints import Checkpoint
from stimuli.directions import DirectionSet
from stimuli.networks import Network
from stimuli.reductions import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """What is recorded.

    Attributes
    ----------
    layers : tuple of str
        Names of layers as :class:`stimuli.layers.LayerRead` reads them, patterns such
        as ``blocks.*.conv*``, or groups of :data:`stimuli.layers.TYPES`; all their
        channels are units. May be empty where there are directions.
    n_extremes : int
        Images kept at each end of every unit, above 0.
    reductions : mapping of str to str
        Layer to a name of :data:`stimuli.reductions.REDUCTIONS`, where the default
        for its number of dimensions does not fit.
    full : tuple of UnitId
        Units whose activations to all images are kept.
    directions : tuple of DirectionSet
        Directions and sparse autoencoders whose units are recorded in the same pass.
    precision : str
        Type that the network computes in, of :data:`stimuli.reductions.PRECISIONS`.
    map_statistics : bool
        Whether sparsity within maps and local contrast are recorded; takes longer.
    """

    layers: tuple[str, ...]
    n_extremes: int = 200
    reductions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    full: tuple[UnitId, ...] = ()
    directions: tuple[DirectionSet, ...] = ()
    precision: str = "float32"
    map_statistics: bool = False

    def __post_init__(self) -> None:
        if self.n_extremes < 1:
            raise DataContractError(
                f"'n_extremes' is {self.n_extremes}; it must be at least 1."
            )
        nothing = not self.layers and not self.directions
        if nothing or len(set(self.layers)) < len(self.layers):
            raise DataContractError(
                f"'layers' is {list(self.layers)}; it must name one or more layers,"
                " each once."
            )
        keys = [one.key for one in self.directions]
        if len(set(keys)) < len(keys):
            raise DataContractError(
                f"'directions' names the sets {keys}; each layer's must have names of"
                " their own. Rename a file."
            )
        if self.precision not in PRECISIONS:
            raise DataContractError(
                f"'precision' is {self.precision!r}; it must be one of"
                f" {list(PRECISIONS)}."
            )


@dataclass(frozen=True, kw_only=True)
class LabelCheck:
    """How many labelled images the network gets right."""

    n_labelled: int
    n_right: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """One network of a run, what is recorded of it, and where its checkpoints go."""

    network: Network
    config: RecordConfig
    checkpoint: Checkpoint | None = None
    check_labels: bool = False
    memory_bytes: int | None = None
    """Most that may be held; by default what the machine has free, as far as known."""
