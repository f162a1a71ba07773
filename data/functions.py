"""Functions that a user names on the command line, as ``module:function``."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from data.errors import DataContractError
from data.units import near_names


def named_function(name: str) -> Callable[[], object]:
    """Import the function that ``module:function`` names.

    The current folder is looked in too, as ``python -m`` does and an installed command
    does not.

    Raises
    ------
    DataContractError
        The module can't be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise DataContractError(
            f"Module {module_name!r} of {name!r} can't be imported"
            f" ({type(error).__name__}: {error}). Install it, or run the command in"
            " the folder that holds it."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [one for one, _ in inspect.getmembers(module, callable)]
        raise DataContractError(
            f"Module {module_name!r} has no function {function_name!r}."
            f" {near_names(function_name, known)}"
        )
    return function
