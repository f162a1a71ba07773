"""One kill: at a moment, of real processes, and what the next call makes of it."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from data.files import file_hash
from tests.kills.parts import MAY_DIFFER, Part, called

_POLL_S = 0.002
_MOST_TRIES = 6
_LIMIT_S = 300.0
"""After which a call counts as one that hangs."""


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A part's run that nobody kills.

    Attributes
    ----------
    seconds : mapping of str to (float, float)
        For each way to kill, when its pattern was there and when the run ended.
    contents : mapping of str to str
        Each file that is compared to its hash.
    """

    seconds: dict[str, tuple[float, float]]
    contents: dict[str, str]


@dataclass(kw_only=True)
class Point:
    """What a kill did.

    Attributes
    ----------
    share : float
        When it struck, in [0, 1] of what an undisturbed run takes from there on.
    after_s : float
        Seconds from there.
    on_disk : dict of str to int
        Bytes of each file when it struck.
    differs : list of str
        Files that are not an undisturbed run's.
    left_over : list of str
        What half-written files remain.
    trouble : str or None
        What the next call said, where it failed.
    """

    way: str
    share: float
    after_s: float = 0.0
    n_too_late: int = 0
    on_disk: dict[str, int] = field(default_factory=dict)
    differs: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    trouble: str | None = None

    @property
    def equal(self) -> bool:
        """Whether the run ended with the bytes of an undisturbed one."""
        return not self.differs and self.trouble is None


def undisturbed(part: Part, out: Path) -> Undisturbed:
    """Run a part's command to its end, and once more without a cluster."""
    process = _started(part, out)
    begun = time.monotonic()
    seen: dict[str, float] = {}
    while process.poll() is None:
        for way, pattern in part.begun.items():
            if way not in seen and _is_there(out, pattern):
                seen[way] = time.monotonic() - begun
        time.sleep(_POLL_S)
    total = time.monotonic() - begun
    if process.returncode != 0 or seen.keys() != part.begun.keys():
        raise RuntimeError(f"{part.name} did not run: {_said(out)}")
    found = contents(part, out)[0]
    if part.alone and found != expected(part, out.with_name(f"{out.name}-alone")):
        raise RuntimeError(f"{part.name} gives other bytes than without a cluster")
    seconds = {way: (first, total) for way, first in seen.items()}
    return Undisturbed(seconds=seconds, contents=found)


def expected(part: Part, out: Path) -> dict[str, str]:
    """Return what a part's command must give: each file's hash."""
    part = replace(part, words=part.alone or part.words)
    process = _started(part, out)
    if process.wait() != 0:
        raise RuntimeError(f"{part.name} did not run: {_said(out)}")
    return contents(part, out)[0]


def killed(
    part: Part,
    usual: Undisturbed,
    out: Path,
    points: Sequence[Point],
    rng: np.random.Generator,
) -> None:
    """Kill a run at each moment in turn, call it again, and compare what it ends with.

    Where a run ends before its next moment, that one strikes a new run after half the
    time.
    """
    for point in points:
        first, total = usual.seconds[point.way]
        point.after_s = point.share * (total - first) / part.in_a_row
    left, n_runs = list(points), 0
    while left:
        own = out / f"run-{n_runs}"
        n_runs += 1
        process = _started(part, own)
        struck: list[Point] = []
        while left and _struck(part, own, process, left[0], rng):
            struck.append(left.pop(0))
            if struck[-1].way != "worker":
                process.wait()
                process = called(part.words(own), _log(own))
        if left:
            left[0].n_too_late += 1
            left[0].after_s /= 2
            if left[0].n_too_late == _MOST_TRIES:
                left[0].trouble = f"{_MOST_TRIES} runs ended before it: {_said(own)}"
                left.pop(0)
        _compare(part, usual, own, process, struck)


def _compare(
    part: Part,
    usual: Undisturbed,
    out: Path,
    process: subprocess.Popen[bytes],
    struck: Sequence[Point],
) -> None:
    try:
        trouble = _trouble(process, out)
    finally:
        _kill_group(process)
    found, left_over = contents(part, out)
    names = sorted(found.keys() | usual.contents.keys())
    differs = [one for one in names if found.get(one) != usual.contents.get(one)]
    for point in struck:
        point.trouble, point.differs, point.left_over = trouble, differs, left_over


def _started(part: Part, out: Path) -> subprocess.Popen[bytes]:
    out.mkdir(parents=True)
    part.prepare(out)
    return called(part.words(out), _log(out))


def _log(out: Path) -> Path:
    return out.with_name(f"{out.name}.txt")


def _said(out: Path) -> str:
    return _log(out).read_text(errors="replace")[-2000:]


def _is_there(out: Path, pattern: str) -> bool:
    return not pattern or next(out.glob(pattern), None) is not None


def _struck(
    part: Part,
    out: Path,
    process: subprocess.Popen[bytes],
    point: Point,
    rng: np.random.Generator,
) -> bool:
    """Wait for the moment and kill; return False where the run ended before it."""
    while not _is_there(out, part.begun[point.way]):
        if process.poll() is not None:
            return False
        time.sleep(_POLL_S)
    try:
        process.wait(point.after_s)
    except subprocess.TimeoutExpired:
        return _strike(process, point, out, rng)
    return False


def _strike(
    process: subprocess.Popen[bytes],
    point: Point,
    out: Path,
    rng: np.random.Generator,
) -> bool:
    if point.way == "worker":
        workers = _workers(process)
        if not workers:
            return False
        workers[rng.integers(len(workers))].kill()
    else:
        _kill_group(process, alone=point.way == "command")
    point.on_disk = {
        one.relative_to(out).as_posix(): size
        for one in sorted(out.rglob("*"))
        if (size := _size(one)) is not None
    }
    return True


def _size(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_size if path.is_file() else None
    return None


def _workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for one in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(one.cmdline()):
                    found.append(one)
    return sorted(found, key=lambda one: one.pid)


def _kill_group(process: subprocess.Popen[bytes], *, alone: bool = False) -> None:
    with suppress(ProcessLookupError):
        if alone:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _trouble(process: subprocess.Popen[bytes], out: Path) -> str | None:
    try:
        status = process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"hangs for {_LIMIT_S:g} s: {_said(out)}"
    return f"ended with status {status}: {_said(out)}" if status else None


def contents(part: Part, out: Path) -> tuple[dict[str, str], list[str]]:
    """Return the hash of each file that is compared, and what was left half-written."""
    found, left_over = {}, []
    for path in {one for pattern in part.compared for one in out.glob(pattern)}:
        name = path.relative_to(out)
        if not path.is_file() or path.name in MAY_DIFFER:
            continue
        if any(one.startswith(".") for one in name.parts):
            left_over.append(name.as_posix())
        else:
            found[name.as_posix()] = file_hash(path)
    return found, sorted(left_over)
