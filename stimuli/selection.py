"""Choosing units for a study from a score table: easiest, hardest, and at random."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.errors import DataContractError
from data.formats import Header, software_versions
from data.selections import SELECTION, Selection
from data.units import UnitId, near_names

GROUPS = ("easiest", "random", "hardest")


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """How units are chosen; stored beside the selection.

    Attributes
    ----------
    n_per_group : int
        Units in each group, above 0.
    groups : tuple of str
        Of :data:`GROUPS`, each at most once.
    layers : tuple of str
        Only units of these layers; empty means all.
    """

    n_per_group: int
    groups: tuple[str, ...] = GROUPS
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n_per_group < 1:
            raise DataContractError(
                f"'n_per_group' is {self.n_per_group}; it must be at least 1."
            )
        for group in self.groups:
            if group not in GROUPS:
                raise DataContractError(
                    f"Group {group!r} is not known; it must be one of {list(GROUPS)}."
                    f" {near_names(group, GROUPS)}"
                )
        if not self.groups or len(set(self.groups)) < len(self.groups):
            raise DataContractError(
                f"'groups' is {list(self.groups)}; it must name one or more groups,"
                " each once."
            )


def select_units(
    scores: pd.DataFrame,
    config: SelectConfig,
    *,
    seed: int,
    exclude: Collection[UnitId] = (),
    made_from: str = "",
) -> Selection:
    """Choose disjoint groups of units by their MIS.

    Random units are drawn first, from all scored units, so that they stand for the
    whole pool whatever the other groups take; the easiest (highest MIS) and the
    hardest (lowest MIS) are then taken from the rest. Units with equal MIS are put
    in order at random. Units without a score are never chosen.

    Parameters
    ----------
    scores : DataFrame
        One row a unit: 'unit', 'mis' in [0, 1] or NaN. Its order plays no part.
    exclude : collection of UnitId
        Units that are left out of the pool.
    made_from : str
        Fingerprint of the score table, for the header.

    Raises
    ------
    DataContractError
        Fewer scored units are left than the groups need, or a layer has none.
    """
    pool = _pool(scores, config, exclude)
    needed = config.n_per_group * len(config.groups)
    if len(pool) < needed:
        raise DataContractError(
            f"{len(pool)} scored units are left to choose from; {len(config.groups)}"
            f" groups of {config.n_per_group} need {needed}. Score more units, or"
            " lower the number."
        )
    rng = np.random.default_rng(seed)
    ranked = _ranked(pool, rng)
    drawn = rng.choice(len(ranked), config.n_per_group, replace=False)
    rest = np.arange(len(ranked))
    if "random" in config.groups:
        rest = np.setdiff1d(rest, drawn)
    # The lowest MIS first in its own group.
    rows = {
        "easiest": rest[: config.n_per_group],
        "random": np.sort(drawn),
        "hardest": rest[::-1][: config.n_per_group],
    }
    parts = [_group(ranked, rows[group], group, seed) for group in config.groups]
    return Selection(
        units=pd.concat(parts, ignore_index=True),
        header=_header(config, seed, exclude, made_from),
    )


def _pool(
    scores: pd.DataFrame, config: SelectConfig, exclude: Collection[UnitId]
) -> pd.DataFrame:
    units = [UnitId.parse(name) for name in scores["unit"]]
    known = {unit.layer for unit in units}
    for layer in config.layers:
        if layer not in known:
            raise DataContractError(
                f"Layer {layer!r} has no unit in the score table."
                f" {near_names(layer, sorted(known))}"
            )
    left_out = set(exclude)
    wanted = [
        unit not in left_out and (not config.layers or unit.layer in config.layers)
        for unit in units
    ]
    return scores[np.array(wanted, dtype=bool) & scores["mis"].notna()]


def _ranked(pool: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return 'unit' and 'mis', the highest MIS first; ties in random order."""
    by_name = pool[["unit", "mis"]].sort_values("unit", ignore_index=True)
    order = np.lexsort((rng.permutation(len(by_name)), -by_name["mis"].to_numpy()))
    return by_name.iloc[order].reset_index(drop=True)


def _group(
    ranked: pd.DataFrame, rows: NDArray[np.integer], group: str, seed: int
) -> pd.DataFrame:
    chosen = ranked.iloc[rows].reset_index(drop=True)
    reasons = []
    for row, mis in zip(rows, chosen["mis"], strict=True):
        place = f"rank {row + 1:,} of {len(ranked):,} by MIS ({mis:.3f})"
        drawn = f"drawn at random (seed {seed}); " if group == "random" else ""
        reasons.append(drawn + place)
    return chosen.assign(group=group, reason=reasons)[list(SELECTION.columns)]


def _header(
    config: SelectConfig, seed: int, exclude: Collection[UnitId], made_from: str
) -> Header:
    return Header(
        format="selection",
        version=1,
        config={
            "n_per_group": config.n_per_group,
            "groups": list(config.groups),
            "layers": list(config.layers),
            "excluded_units": sorted(str(unit) for unit in exclude),
        },
        seed=seed,
        made_from={"scores": made_from},
        software=software_versions("numpy"),
    )
