"""Sweeps: many networks recorded and scored alike, with one line for each network."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pandera.pandas as pa
import pydantic

from data.errors import DataContractError
from data.files import file_hash, folder_hash, whole_file
from data.formats import Header, read_header, write_header
from data.functions import source_hash
from data.tables import checked, read_csv

VERSION = 1
"""Of the sweeps that are written."""

LAYER_TYPES = ("conv", "linear", "batch_norm", "layer_norm", "group_norm", "other")
"""What a layer's module is; 'other' stands for blocks, activations and directions."""

STATUSES = ("done", "failed", "pending")


def _share() -> pa.Column:
    return pa.Column(
        "float64",
        pa.Check.in_range(0, 1),
        nullable=True,
        description="a number in [0, 1], or empty",
    )


NETWORKS = pa.DataFrameSchema(
    {
        "model": pa.Column(str, unique=True, description="unique"),
        "network": pa.Column(str),
        "status": pa.Column(
            str, pa.Check.isin(STATUSES), description=f"one of {list(STATUSES)}"
        ),
        "reason": pa.Column(str, nullable=True),
        "epoch": pa.Column("float64", pa.Check.ge(0), nullable=True),
        "accuracy": _share(),
        "n_layers": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "n_units": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "n_scored": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "n_constant": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        **{
            name: _share() for name in ("mis", "hard_accuracy", "median", "low", "high")
        },
        "sd": pa.Column("float64", pa.Check.ge(0), nullable=True),
        **{f"mis_{one}": _share() for one in LAYER_TYPES},
    },
    coerce=True,
    name="the results table of a sweep",
)
"""One row a network: 'mis' is the mean over its units that have a score, 'low' and
'high' are their 5th and 95th percentile, and 'mis_conv' and the like the mean over the
units of layers of a type; empty where a network is not done."""

LAYERS = pa.DataFrameSchema(
    {
        "model": pa.Column(str),
        "layer": pa.Column(str),
        "layer_type": pa.Column(
            str, pa.Check.isin(LAYER_TYPES), description=f"one of {list(LAYER_TYPES)}"
        ),
        "position": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="in [0, 1]"
        ),
        "n_units": pa.Column("int64", pa.Check.ge(1), description="1 or above"),
        "n_scored": pa.Column("int64", pa.Check.ge(0), description="0 or above"),
        **{name: _share() for name in ("mean", "median")},
        "sd": pa.Column("float64", pa.Check.ge(0), nullable=True),
        **{name: _share() for name in ("low", "high")},
        "hard_accuracy": _share(),
        "share_constant": _share(),
    },
    coerce=True,
    unique=["model", "layer"],
    name="the layers of a sweep",
)
"""One row a layer of a network that is done; 'position' is 0 for the first of its
recorded layers, in the order in which the network defines them, and 1 for the last."""


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class _Common(_Strict):
    layers: str | None = None
    batch_size: int | None = pydantic.Field(default=None, ge=1)
    device: str | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    map_statistics: bool | None = None


class _Checkpoint(_Strict):
    epoch: float = pydantic.Field(ge=0)
    weights: str
    accuracy: float | None = pydantic.Field(default=None, ge=0, le=1)


class _Network(_Common):
    network: str
    name: str | None = None
    weights: str | None = None
    accuracy: float | None = pydantic.Field(default=None, ge=0, le=1)
    epoch: float | None = pydantic.Field(default=None, ge=0)
    checkpoint: tuple[_Checkpoint, ...] = ()


class _Sweep(_Common):
    images: str
    encoder: str = "dreamsim"
    encoder_weights: str | None = None
    tau: float | None = pydantic.Field(default=None, gt=0)
    n_tasks: int = pydantic.Field(default=20, ge=1)
    n_explanations: int = pydantic.Field(default=9, ge=1)
    seed: int = pydantic.Field(default=0, ge=0)
    network: tuple[_Network, ...] = pydantic.Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class SweepNetwork:
    """One network of a sweep, or one checkpoint of its training.

    Attributes
    ----------
    name : str
        The ``model`` of its units' names.
    network, weights, layers : str
        As ``unitscope record`` takes them; ``weights`` may be None.
    epoch, accuracy : float or None
        What is known of it, for the analysis.
    options : dict
        'batch_size', 'device', 'precision', 'map_statistics'; None for a default.
    """

    name: str
    network: str
    weights: str | None
    layers: str
    epoch: float | None
    accuracy: float | None
    options: dict[str, Any]

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        return self.name.replace("/", "_")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is done alike for all networks.

    Attributes
    ----------
    images : Path
        Folder of the image set.
    encoder : str
    encoder_weights : str or None
    tau : float or None
        None for the encoder's own.
    n_tasks, n_explanations, seed : int
    networks : tuple of SweepNetwork
    """

    images: Path
    encoder: str
    encoder_weights: str | None
    tau: float | None
    n_tasks: int
    n_explanations: int
    seed: int
    networks: tuple[SweepNetwork, ...]

    def settings(self, network: SweepNetwork, *, fingerprint: str) -> dict[str, Any]:
        """Return what decides a network's results, as JSON values.

        Parameters
        ----------
        network : SweepNetwork
        fingerprint : str
            Of the image set.
        """
        own = {
            "images": fingerprint,
            "name": network.name,
            "network": network.network,
            "weights": _content(network.weights),
            "network_source": _source(network.network),
            "layers": network.layers,
            **network.options,
            **self.scoring,
            "n_tasks": self.n_tasks,
            "n_explanations": self.n_explanations,
            "seed": self.seed,
        }
        return {
            name: one
            for name, one in own.items()
            # Without them, a sweep that was made before they were written stands.
            if one is not None or name not in _ADDED
        }

    @cached_property
    def scoring(self) -> dict[str, Any]:
        """Those of :meth:`settings` that decide scores alone, not the tasks."""
        return {
            "encoder": self.encoder,
            "encoder_weights": _content(self.encoder_weights),
            "encoder_source": _source(self.encoder),
            "tau": self.tau,
        }


_ADDED = ("network_source", "encoder_weights", "encoder_source")
SCORING = ("encoder", "encoder_weights", "encoder_source", "tau")
"""Names of :attr:`Sweep.scoring`."""

_PACKAGES = ("timm", "torchvision", "open_clip")


def _source(name: str) -> str | None:
    """Return the hash of the code of a ``module:function``; None for other names."""
    is_function = ":" in name and name.partition(":")[0] not in _PACKAGES
    return source_hash(name) if is_function else None


def _content(weights: str | None) -> str | None:
    """Return the hash of a file or folder, wherever it lies; other words as given."""
    path = Path(weights) if weights else None
    if path and path.is_file():
        return file_hash(path)
    return folder_hash(path) if path and path.is_dir() else weights


def read_sweep_file(path: Path) -> Sweep:
    """Read a ``models.toml``; paths in it are seen from its own folder.

    Raises
    ------
    DataContractError
        It is no TOML, has an entry that is unknown or out of range, a network has no
        layers, or two networks have one name.
    """
    path = Path(path)
    try:
        found = _Sweep.model_validate(
            tomllib.loads(path.read_text(encoding="utf-8")), strict=False
        )
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path; unitscope sweep --help shows what"
            " stands in such a file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is no TOML ({error}). Mend that place."
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataContractError(
            f"{path}: entry {where!r} is {_shown(first)}: {first['msg'].lower()}."
            " Mend it; unitscope sweep --help shows what stands in such a file."
        ) from error
    networks = tuple(
        one for given in found.network for one in _networks_of(given, found, path)
    )
    _check_names(networks, path)
    return Sweep(
        images=path.parent / found.images,
        encoder=found.encoder,
        encoder_weights=_weights(found.encoder_weights, path),
        tau=found.tau,
        n_tasks=found.n_tasks,
        n_explanations=found.n_explanations,
        seed=found.seed,
        networks=networks,
    )


def _shown(error: Any) -> str:
    return "missing" if error["type"] == "missing" else repr(error["input"])[:60]


def _networks_of(given: _Network, common: _Sweep, path: Path) -> list[SweepNetwork]:
    layers = given.layers or common.layers
    if not layers:
        raise DataContractError(
            f"{path}: network {given.network!r} has no 'layers'; they must be named"
            " for it or at the top for all, such as layers = '@conv,@linear,@norm'."
        )
    name = given.name or given.network.rpartition(":")[2].partition("/")[0]
    options = {
        option: getattr(common if own is None else given, option)
        for option in ("batch_size", "device", "precision", "map_statistics")
        for own in [getattr(given, option)]
    }
    checkpoints: Sequence[_Checkpoint | _Network] = given.checkpoint or (given,)
    return [
        SweepNetwork(
            name=f"{name}@{one.epoch:g}" if given.checkpoint else name,
            network=given.network,
            weights=_weights(one.weights, path),
            layers=layers,
            epoch=one.epoch,
            accuracy=one.accuracy,
            options=options,
        )
        for one in checkpoints
    ]


def _weights(given: str | None, path: Path) -> str | None:
    if given is None or given in ("download", "random"):
        return given
    return str(path.parent / given)


def _check_names(networks: Sequence[SweepNetwork], path: Path) -> None:
    seen: set[str] = set()
    for one in networks:
        bad = not one.name.strip(". ") or "::" in one.name or "\\" in one.name
        if bad or one.folder in seen:
            what = "can't name a folder and units" if bad else "occurs twice"
            raise DataContractError(
                f"{path}: the network name {one.name!r} {what}; every network must have"
                " a name of its own, without '::'. Give one with 'name'."
            )
        seen.add(one.folder)


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepResults:
    """What a sweep has found so far.

    Attributes
    ----------
    networks, layers : DataFrame
        See :data:`NETWORKS` and :data:`LAYERS`.
    folder : Path
        Holds ``runs/NETWORK/recording``, ``tasks`` and ``scores`` of each.
    header : Header
    """

    networks: pd.DataFrame
    layers: pd.DataFrame
    folder: Path
    header: Header

    def run(self, model: str) -> Path:
        """Return the folder of a network's results."""
        return self.folder / "runs" / model.replace("/", "_")


def write_sweep(results: SweepResults) -> None:
    """Write both tables and the header beside the runs; each file is whole."""
    for name, table, schema in (
        ("networks.csv", results.networks, NETWORKS),
        ("layers.csv", results.layers, LAYERS),
    ):
        with whole_file(results.folder / name) as part:
            checked(table, schema, name).to_csv(part, index=False)
    write_header(results.folder / "sweep.json", results.header)


def read_sweep(folder: Path) -> SweepResults:
    """Read what :func:`write_sweep` wrote.

    Raises
    ------
    DataContractError
        A part is missing or broken.
    """
    folder = Path(folder)
    header, _ = read_header(folder / "sweep.json", format="sweep", versions=(VERSION,))
    return SweepResults(
        networks=read_csv(folder / "networks.csv", NETWORKS),
        layers=read_csv(folder / "layers.csv", LAYERS),
        folder=folder,
        header=header,
    )
