"""The file that ``unitscope fit`` writes: a tau, and what it was fitted to."""

from pathlib import Path

from data.errors import DataContractError
from data.formats import read_header


def given_tau(text: str) -> tuple[float, str]:
    """Return a tau and what it rests on, from a number or a file of a fit.

    Raises
    ------
    DataContractError
        It is neither, or the fit found no tau.
    """
    try:
        return float(text), "given"
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise DataContractError(
            f"'tau' is {text!r}; it must be a number above 0 or a file that 'unitscope"
            " fit' wrote. Check the path."
        )
    header, own = read_header(path, format="fit", versions=(1,))
    if own.get("tau") is None:
        raise DataContractError(
            f"{path} holds no tau: {own.get('note')}. Give a number, or fit to more"
            " answers."
        )
    n_units = own.get("n_units")
    return float(own["tau"]), (
        f"fitted to the answers for {n_units} units, fit {header.made_from['human']}"
    )
