"""Functions that a user names on the command line, as ``module:function``."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from data.errors import DataContractError
from data.files import file_hash
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
    _look_here_too()
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


def _look_here_too() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def source_hash(name: str) -> str | None:
    """Return the SHA-256 of the file of the module that ``module:function`` names.

    Nothing of it is run, so a module that can't be imported has one too. What it
    imports is not looked at.

    Returns
    -------
    str or None
        None where there is no such module, or no Python file behind it.
    """
    _look_here_too()
    importlib.invalidate_caches()
    first, *rest = name.partition(":")[0].split(".")
    try:
        found = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    folders = found.submodule_search_locations or []
    paths = [Path(folder, *rest) for folder in folders] if rest else []
    files = [
        *(path.with_name(f"{path.name}.py") for path in paths),
        *(path / "__init__.py" for path in paths),
    ]
    if not rest and found.origin:
        files = [Path(found.origin)]
    return next((file_hash(one) for one in files if one.is_file()), None)
