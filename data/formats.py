"""The header that every file of the project carries: what it is and what made it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data.errors import DataContractError
from data.files import read_json, write_json

PREFIX = "unitscope/"


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file is, and what it would take to make it again.

    Attributes
    ----------
    format : str
        Kind of the file, such as ``"recording"``.
    version : int
        Version of that kind's layout, from 1.
    config : mapping
        The settings that made it; JSON values only.
    seed : int or None
        None where nothing random was done.
    made_from : mapping of str to str
        Fingerprint of each input by its kind.
    software : mapping of str to str
        Version of each package that the numbers depend on.
    """

    format: str
    version: int
    config: Mapping[str, Any]
    seed: int | None = None
    made_from: Mapping[str, str] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)


def software_versions(*packages: str) -> dict[str, str]:
    """Return the installed version of Unitscope and of each named package."""
    found = {}
    for package in ("unitscope", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_header(path: Path, header: Header, **more: Any) -> None:
    """Write a header as JSON; ``more`` are the file's own top-level entries."""
    content = asdict(header) | more
    write_json(path, content | {"format": PREFIX + header.format})


def read_header(
    path: Path, *, format: str, versions: tuple[int, ...]
) -> tuple[Header, dict[str, Any]]:
    """Read a header and the file's own entries.

    Raises
    ------
    DataContractError
        The file is of another kind, or of a version that this program can't read.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "format" not in content:
        raise DataContractError(
            f"{path} has no 'format' entry; Unitscope writes one into every file."
            f" Give a file that holds a {format}."
        )
    if content["format"] != PREFIX + format:
        raise DataContractError(
            f"{path} is of the format {content['format']!r};"
            f" it must be {PREFIX + format!r}. Give the file of the right kind."
        )
    if content.get("version") not in versions:
        known = " or ".join(str(one) for one in versions)
        raise DataContractError(
            f"{path} is a {format} of version {content.get('version')!r};"
            f" this program reads version {known}."
            " Make the file again, or use the Unitscope that wrote it."
        )
    names = {"config", "seed", "made_from", "software"}
    if "config" not in content:
        raise DataContractError(
            f"{path} has no 'config' entry; Unitscope writes one into every file."
            " Make the file again."
        )
    header = Header(
        format=format,
        version=content["version"],
        **{name: content[name] for name in names if name in content},
    )
    own = {
        name: value
        for name, value in content.items()
        if name not in names | {"format", "version"}
    }
    return header, own
