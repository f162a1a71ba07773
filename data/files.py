"""Writing files whole or not at all, and telling whether two are the same."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import DataContractError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; rename it to ``path`` only when all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``path`` only when all went well.

    A folder that stands at ``path`` is replaced as a whole, but only when it is
    empty or one that this project wrote (it holds a JSON header); anything else is
    left alone.

    Raises
    ------
    DataContractError
        ``path`` is a file, or a folder with something else in it.
    """
    path = Path(path)
    _refuse_a_foreign_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    old = beside.with_name(beside.name + ".old")
    try:
        yield beside
        beside.chmod(0o755)
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(old, ignore_errors=True)


def _refuse_a_foreign_folder(path: Path) -> None:
    if path.is_file():
        raise DataContractError(
            f"{path} is a file; a folder is written there. Name another folder."
        )
    if path.is_dir() and any(path.iterdir()):
        headers = [read_json(file) for file in sorted(path.glob("*.json"))]
        ours = any(
            isinstance(header, dict)
            and str(header.get("format", "")).startswith("unitscope/")
            for header in headers
        )
        if not ours:
            raise DataContractError(
                f"{path} holds files that Unitscope did not write; it would be"
                " replaced as a whole. Name an empty folder or a new one."
            )


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataContractError
        There is no such file, or it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is not JSON ({error}). Make the file again."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` so that the same content gives the same bytes."""
    text = json.dumps(
        content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    with whole_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def bytes_hash(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with Path(path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """Return one SHA-256 over the names and bytes of all files below ``folder``."""
    total = hashlib.sha256()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode())
        total.update(bytes.fromhex(file_hash(path)))
    return total.hexdigest()
