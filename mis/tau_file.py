"""How margins become scores: a tau that is given, fitted, or the scores' own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataContractError
from data.formats import Header, read_header


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How margins become a unit's score: ``sigmoid(offset + slope · logit(MIS))``.

    Attributes
    ----------
    tau : float
        Of the MIS, in units of the similarity.
    slope, offset : float
        1 and 0 leave MIS as it is.
    source : str
        What they rest on, in words.
    fitted : bool
        Whether slope and offset come from a fit.
    """

    tau: float
    slope: float = 1.0
    offset: float = 0.0
    source: str
    fitted: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """What a header says of it: slope and offset where a fit named them."""
        more = {"slope": self.slope, "offset": self.offset} if self.fitted else {}
        return {"tau": self.tau, "tau_source": self.source, **more}


def scale_of(header: Header) -> Scale:
    """Return the scale of scores, as their header's ``config`` holds it."""
    config = header.config
    return Scale(
        tau=config["tau"],
        slope=config.get("slope", 1.0),
        offset=config.get("offset", 0.0),
        source=config.get("tau_source", "not told"),
        fitted="slope" in config,
    )


def given_scale(text: str, *, encoder: str | None) -> Scale:
    """Return a scale from a number, which is tau, or from a file of a fit.

    Parameters
    ----------
    encoder : str or None
        Name of the encoder whose margins are to be scaled: tau is in units of its
        similarity. None where it is not known.

    Raises
    ------
    DataContractError
        It is neither; the fit is of another encoder, or found no tau, or a slope that
        is not above 0.
    """
    try:
        return Scale(tau=float(text), source="given")
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise DataContractError(
            f"'tau' is {text!r}; it must be a number above 0 or a file that 'unitscope"
            " fit' wrote. Check the path."
        )
    header, own = read_header(path, format="fit", versions=(1,))
    fitted_to = header.config.get("encoder")
    if None not in (encoder, fitted_to) and encoder != fitted_to:
        raise DataContractError(
            f"{path} was fitted to margins of the encoder {fitted_to!r}; these are of"
            f" {encoder!r}, and tau is in units of an encoder's similarity. Fit to"
            " scores of this encoder, or give the number itself if you mean it."
        )
    if own.get("tau") is None:
        raise DataContractError(
            f"{path} holds no tau: {own.get('note')}. Give a number, or fit to more"
            " answers."
        )
    slope, offset = float(own.get("slope", 1.0)), float(own.get("offset", 0.0))
    if not (0 < slope < np.inf and np.isfinite(offset)):
        raise DataContractError(
            f"{path} holds the slope {slope:g} and the offset {offset:g}; a slope must"
            " be above 0 and both must be finite. Fit again."
        )
    return Scale(
        tau=float(own["tau"]),
        slope=slope,
        offset=offset,
        source=(
            f"fitted to the answers for {own.get('n_units')} units, fit"
            f" {header.made_from['human']}"
        ),
        fitted=True,
    )
