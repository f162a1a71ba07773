"""Weights of networks from files: read, put in, or refused with the reason."""

from importlib import import_module
from pathlib import Path
from typing import Any

from data.errors import DataContractError


def read_state(path: Path) -> dict[str, Any]:
    """Return a state dict that torch.save or safetensors wrote.

    'state_dict', 'model' and 'module.' around the names are taken off. Torch is
    imported by the call, so that servers and analyses load this module without it.

    Raises
    ------
    DataContractError
        The file is missing, cut off or something else.
    """
    if not path.is_file():
        raise DataContractError(
            f"{path} does not exist; it must be a file of weights. Check --weights."
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = import_module("safetensors.torch").load_file(path)
        else:
            torch = import_module("torch")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataContractError(
            f"{path} can't be read as weights of torch ({type(error).__name__});"
            " it may be cut off. Get the file again, or save a state dict with"
            " torch.save."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise DataContractError(
            f"{path} holds {type(state).__name__}; it must hold a state dict."
            " Save module.state_dict() with torch.save."
        )
    if state and all(str(name).startswith("module.") for name in state):
        return {name.removeprefix("module."): one for name, one in state.items()}
    return state


def put_state(module: Any, state: dict[str, Any], path: Path, name: str) -> None:
    """Put a state dict into a ``torch.nn.Module``.

    Parameters
    ----------
    path : Path
        Where the state is from, for the error.
    name : str
        The network's name, for the error.

    Raises
    ------
    DataContractError
        It is of another network; what is missing, of another shape or too much is
        counted, and the first of these named.
    """
    try:
        # Torch decides: it fills in, say, counters that older files lack.
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        own = module.state_dict()
        missing = [one for one in own if one not in state]
        extra = [one for one in state if one not in own]
        other = [
            one
            for one in own
            if one in state and getattr(state[one], "shape", None) != own[one].shape
        ]
        first = (missing or other or extra or [str(error)])[0]
        raise DataContractError(
            f"{path} does not fit {name!r}: {len(missing)} weights are missing,"
            f" {len(other)} have another shape, {len(extra)} are too many; first"
            f" {first!r}. Give the weights of this network."
        ) from error
