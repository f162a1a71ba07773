"""Bring the files of a Zenodo record: resumed where broken off, whole or not at all."""

import errno
import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data.errors import DataContractError, NetworkError

IMI_RECORD = "https://zenodo.org/api/records/8131197"
"""The release of the IMI study."""

ATTEMPTS = 5
"""How often in a row a download may stop without having brought a byte."""

_ATTEMPTS_AT_A_RECORD = 3
_CHUNK = 1 << 18
_LARGEST_RECORD = 1 << 24
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_ALGORITHMS = ("md5", "sha256", "sha512", "sha1")

Report = Callable[[int], None]
"""Called with how many bytes of a file lie on the disk."""


class _Interrupted(Exception):
    """A request that another attempt may bring further."""


class _RangeRefused(Exception):
    """The server has nothing from this byte on."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a record.

    Attributes
    ----------
    name : str
        Without a folder.
    size : int
        In bytes.
    algorithm, checksum : str
        Such as ``"md5"`` and 32 hexadecimal digits.
    url : str
    """

    name: str
    size: int
    algorithm: str
    checksum: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How a server is asked.

    Attributes
    ----------
    timeout_s : float
        How long a server may be silent.
    pause_s : float
        Before the second attempt; doubled before each further one.
    attempts : int
        See :data:`ATTEMPTS`.
    """

    timeout_s: float = 30.0
    pause_s: float = 1.0
    attempts: int = ATTEMPTS


def record_files(
    record_url: str, connection: Connection | None = None
) -> tuple[RemoteFile, ...]:
    """Ask a record which files it has, sorted by name.

    Raises
    ------
    NetworkError
        The server can't be reached, or answers with something else.
    """
    connection = connection or Connection()
    content = _patiently(record_url, connection)
    entries = content.get("files") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise NetworkError(
            f"{record_url} lists no files; a Zenodo record has a list 'files'. Check"
            " the address; a login page of a network may have answered in its place."
        )
    files = [_remote_file(entry, record_url) for entry in entries]
    return tuple(sorted(files, key=lambda file: file.name))


def _record(url: str, connection: Connection) -> Any:
    with _opened(url, {"Accept": "application/json"}, connection) as reply:
        text = reply.read(_LARGEST_RECORD)
    try:
        return json.loads(text)
    except ValueError as error:
        raise NetworkError(
            f"{url} did not answer with JSON, as a Zenodo record does. Check the"
            " address; a login page of a network may have answered in its place."
        ) from error


def _remote_file(entry: Any, record_url: str) -> RemoteFile:
    try:
        name, size = entry["key"], entry["size"]
        algorithm, _, checksum = entry["checksum"].partition(":")
        url = urllib.parse.urljoin(record_url, entry["links"]["self"])
    except (KeyError, TypeError, AttributeError) as error:
        raise NetworkError(
            f"{record_url} describes a file without {error}; Zenodo gives 'key',"
            " 'size', 'checksum' and 'links.self'. Check the address."
        ) from error
    _refuse_other_addresses(url)
    plain = isinstance(name, str) and re.fullmatch(r"[^/\\\x00]+", name)
    if not plain or name.startswith("."):
        raise NetworkError(
            f"{record_url} names a file {name!r}; it must be a plain name. Nothing was"
            " fetched."
        )
    if algorithm not in _ALGORITHMS or not re.fullmatch(r"[0-9a-f]+", checksum):
        raise NetworkError(
            f"{record_url} gives {name!r} the checksum {entry['checksum']!r}; it must"
            f" be one of {', '.join(_ALGORITHMS)} and its digits. Nothing was fetched."
        )
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise NetworkError(
            f"{record_url} gives {name!r} the size {size!r}; it must be a number of"
            " bytes. Nothing was fetched."
        )
    return RemoteFile(
        name=name, size=size, algorithm=algorithm, checksum=checksum, url=url
    )


def is_fetched(file: RemoteFile, folder: Path) -> bool:
    """Whether the file lies in ``folder``, with the right size and checksum."""
    path = Path(folder) / file.name
    return path.is_file() and _is_right(path, file)


def fetch_file(
    file: RemoteFile,
    folder: Path,
    *,
    report: Report = lambda done: None,
    connection: Connection | None = None,
) -> Path:
    """Bring one file; go on where an earlier call stopped.

    What has come so far lies beside it in ``.NAME.CHECKSUM.part``, and becomes the
    file when size and checksum are right. What turns out wrong is fetched anew from
    the start, once.

    Parameters
    ----------
    report : callable
        Is given the number of bytes that are there, also when it falls back to 0.

    Raises
    ------
    NetworkError
        The server can't be reached, breaks off again and again, sends too much, or
        its bytes don't have the record's checksum; a part is kept only where it may
        be the file's beginning.
    DataContractError
        Another file of this name is there.
    """
    connection = connection or Connection()
    path = Path(folder) / file.name
    if path.exists():
        if is_fetched(file, folder):
            report(file.size)
            return path
        raise DataContractError(
            f"{path} is there and is not the record's file ({file.size} bytes,"
            f" {file.algorithm} {file.checksum}). Move it away, or name another folder."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path, file)
    _complete(file, part, report, connection)
    if not _is_right(part, file):
        # Pieces of two different states of a file may have been put together.
        part.unlink()
        _complete(file, part, report, connection)
    if not _is_right(part, file):
        part.unlink()
        raise NetworkError(
            f"{file.url} sent {file.size} bytes that are not {file.name}: their"
            f" {file.algorithm} is not {file.checksum}. Nothing was kept; fetch again"
            " later, or from another network."
        )
    with part.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(part, path)
    return path


def _complete(
    file: RemoteFile, part: Path, report: Report, connection: Connection
) -> None:
    """Ask for what is missing until the part has the file's size."""
    failures, furthest = 0, 0
    while _size(part) != file.size or not part.exists():
        furthest = max(furthest, _size(part))
        try:
            _append(file, part, report, connection)
            reason = "it stopped early"
        except _Interrupted as error:
            reason = str(error)
        after = _size(part)
        if after > file.size:
            part.unlink()
            raise NetworkError(
                f"{file.url} sends more than the {file.size} bytes of {file.name}."
                " Nothing was kept; fetch again later."
            )
        failures = 0 if after > furthest else failures + 1
        if after < file.size and failures >= connection.attempts:
            raise NetworkError(
                f"{file.name} broke off at {after} of {file.size} bytes and went no"
                f" further in {failures} attempts ({reason}). What came is kept; fetch"
                " again to go on."
            )
        if after < file.size and failures:
            time.sleep(connection.pause_s * 2 ** (failures - 1))


def _append(
    file: RemoteFile, part: Path, report: Report, connection: Connection
) -> None:
    """Ask once for the rest of a part, and write what comes."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with _opened(file.url, headers, connection) as reply:
            goes_on = reply.status == 206 and _range_start(reply) == start
            # A server may ignore the range, or send another one.
            with part.open("ab" if goes_on else "wb") as target:
                if reply.status != 206 or goes_on:
                    _copy(reply, target, file.size, report)
    except _RangeRefused:
        part.unlink()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and _is_local(error):
            raise
        raise _Interrupted(_reason(error)) from error


def _copy(reply: IO[bytes], target: IO[bytes], size: int, report: Report) -> None:
    done = target.tell()
    report(done)
    while done <= size and (chunk := reply.read(_CHUNK)):
        target.write(chunk)
        done += len(chunk)
        report(min(done, size))


def _opened(
    url: str, headers: dict[str, str], connection: Connection
) -> http.client.HTTPResponse:
    _refuse_other_addresses(url)
    request = urllib.request.Request(
        url, headers={"User-Agent": "unitscope", **headers}
    )
    try:
        reply: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=connection.timeout_s
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _RangeRefused from error
        if error.code in _TRANSIENT:
            raise _Interrupted(f"the server answered {error.code}") from error
        raise NetworkError(
            f"{url} answered {error.code} {error.reason}. Check the address, or look"
            " at the record in a browser."
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _Interrupted(_reason(error)) from error
    return reply


def _refuse_other_addresses(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise NetworkError(
            f"{url} is no web address; it must start with https://. Check the address."
        )


def _patiently(record_url: str, connection: Connection) -> Any:
    """Ask for the record, and again where that may help."""
    attempts = min(connection.attempts, _ATTEMPTS_AT_A_RECORD)
    for attempt in range(attempts):
        try:
            return _record(record_url, connection)
        except (_Interrupted, OSError, http.client.HTTPException) as error:
            reason = _reason(error)
        if attempt + 1 < attempts:
            time.sleep(connection.pause_s * 2**attempt)
    host = urllib.parse.urlsplit(record_url).netloc
    page = record_url.replace("/api/records/", "/records/")
    raise NetworkError(
        f"{host} can't be reached ({reason}). Check the network, or download the files"
        f" from {page} with a browser, elsewhere: they are read as they are."
    )


def _range_start(reply: http.client.HTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _is_local(error: OSError) -> bool:
    """Whether the disk failed and not the network."""
    full_or_closed = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
    return error.filename is not None or error.errno in full_or_closed


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__)


def _part(path: Path, file: RemoteFile) -> Path:
    """Name the checksum, so that another version's bytes are never gone on with."""
    return path.with_name(f".{file.name}.{file.checksum[:12]}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_right(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, file.algorithm).hexdigest()
    return digest == file.checksum


def needed_bytes(files: Iterable[RemoteFile], folder: Path) -> int:
    """Return how many bytes are still to come."""
    folder = Path(folder)
    return sum(
        file.size - _size(_part(folder / file.name, file))
        for file in files
        if not (folder / file.name).exists()
    )
