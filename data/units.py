"""The one name a unit has in every table, file and address of the project."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from data.errors import DataContractError


@dataclass(frozen=True, order=True, slots=True)
class UnitId:
    """One channel of one layer of one model, or one direction in that layer.

    Attributes
    ----------
    model : str
        The network under study, without ``::``.
    layer : str
        The module's path in the network, such as ``layer4.2.conv3``; with ``#2``
        for the second time that it runs on an image, with ``[0]`` or ``[name]`` for
        an element of what it returns. For directions of a layer, their set's name
        follows after a slash: ``layer4.2.conv3/sae``.
    channel : int
        Index from 0; of the direction, where these are directions.
    """

    model: str
    layer: str
    channel: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``model::layer::channel``, which is what ``str(unit)`` writes."""
        parts = text.split("::")
        if len(parts) != 3 or not all(parts) or not parts[2].isdecimal():
            raise DataContractError(
                f"Unit name {text!r} is not 'model::layer::channel'."
                " An example: 'resnet50::layer4.2.conv3::17'."
            )
        model, layer, channel = parts
        return cls(model, layer, int(channel))

    def __str__(self) -> str:
        return f"{self.model}::{self.layer}::{self.channel}"


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """Return a sentence that offers the known names nearest to ``name``."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=most, cutoff=0.5)
    shown = near or known[:most]
    text = ", ".join(repr(other) for other in shown)
    return (
        f"Did you mean {text}?" if near else f"There are {len(known)}, such as {text}."
    )
