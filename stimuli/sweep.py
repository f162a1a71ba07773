"""Sweeps: each network is recorded and scored in processes of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import DataContractError
from data.files import read_json, write_json
from data.formats import Header, read_header, software_versions, write_header
from data.sweeps import (
    LAYERS,
    NETWORKS,
    SCORING,
    VERSION,
    Sweep,
    SweepNetwork,
    SweepResults,
    write_sweep,
)
from stimuli.sweep_summaries import summaries, summarize

STEPS = ("recording", "tasks", "scores")
"""Folders that the steps of a run write, each named as its header."""

_INTERRUPTED = {130, -2, -15}
"""Statuses of a step that was stopped from outside: it says nothing of the network."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network's part of a sweep; plain values, so that it can be sent.

    Attributes
    ----------
    folder : str
        Where its results go.
    settings : mapping
        See :meth:`data.sweeps.Sweep.settings`.
    commands : tuple of tuple of str
        What each of :data:`STEPS` runs, as words after ``unitscope``.
    """

    folder: str
    settings: Mapping[str, Any]
    commands: tuple[tuple[str, ...], ...]


def planned(
    sweep: Sweep,
    network: SweepNetwork,
    folder: Path,
    *,
    fingerprint: str,
    features: Path | None = None,
) -> Run:
    """Return what is to be run for a network; paths are absolute."""
    own = folder.resolve() / "runs" / network.folder
    images = str(sweep.images.resolve())
    record = ["record", "--images", images, "--network", network.network]
    record += ["--name", network.name, "--layers", network.layers]
    record += ["--n-extremes", str(sweep.n_tasks * (sweep.n_explanations + 1))]
    record += ["--seed", str(sweep.seed), "--out", str(own / "recording")]
    record += ["--weights", _absolute(network.weights)] if network.weights else []
    for option, value in network.options.items():
        if value is not None and value is not False:
            words = [] if value is True else [str(value)]
            record += [f"--{option.replace('_', '-')}", *words]
    tasks = ["tasks", str(own / "recording"), "--n-tasks", str(sweep.n_tasks)]
    tasks += ["--n-explanations", str(sweep.n_explanations)]
    tasks += ["--seed", str(sweep.seed), "--out", str(own / "tasks")]
    score = ["score", str(own / "tasks"), "--images", images]
    score += ["--encoder", sweep.encoder, "--out", str(own / "scores")]
    weights = sweep.encoder_weights
    score += ["--weights", _absolute(weights)] if weights else []
    score += ["--tau", str(sweep.tau)] if sweep.tau is not None else []
    score += ["--features", str(features.resolve())] if features else []
    if network.options["device"]:
        score += ["--device", network.options["device"]]
    return Run(
        folder=str(own),
        settings=sweep.settings(network, fingerprint=fingerprint),
        commands=(tuple(record), tuple(tasks), tuple(score)),
    )


def _absolute(weights: str) -> str:
    is_word = weights in ("download", "random")
    return weights if is_word else str(Path(weights).resolve())


def state_of(run: Run) -> str:
    """Return 'done', 'failed' or 'pending' for a run with just these settings."""
    made = _made(run)
    return str(made["status"]) if made else "pending"


def _made(run: Run) -> dict[str, Any] | None:
    settings, own = _state(run)
    return own if settings == run.settings else None


def _state(run: Run) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
    path = Path(run.folder) / "run.json"
    if not path.exists():
        return None, {}
    header, own = read_header(path, format="sweep-run", versions=(VERSION,))
    return header.config, own


def run_network(run: Run, *, retry: bool = False) -> str:
    """Run a network's steps as far as they are not done; harmless to repeat.

    A second call for the same network waits until the first one's processes have
    ended, even where the caller of these was killed.

    Returns
    -------
    str
        'done', 'failed', or 'pending' where a step was interrupted.
    """
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder) as lock:
        _remove_half_written(folder)
        made = _made(run)
        if made is None:
            _start_anew(run)
        elif made["status"] == "done" or (made["status"] == "failed" and not retry):
            return str(made["status"])
        for step, command in zip(STEPS, run.commands, strict=True):
            if (folder / step / f"{step}.json").exists():
                continue
            status, seconds = _called(command, folder / "log.txt", lock)
            _note_seconds(folder, step, seconds)
            if status in _INTERRUPTED:
                return "pending"
            if status != 0:
                reason = _reason(folder / "log.txt", step, status)
                _write_state(run, "failed", reason)
                return "failed"
        summarize(folder)
        _write_state(run, "done", None)
        return "done"


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    # Processes inherit the lock, so it outlives a caller that is killed.
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _remove_half_written(folder: Path) -> None:
    """Remove what killed processes left; whoever has the lock is the only writer."""
    patterns = [".*.part", *(f".{step}.*" for step in STEPS)]
    for one in {one for pattern in patterns for one in folder.glob(pattern)}:
        if one.is_dir():
            shutil.rmtree(one)
        else:
            one.unlink()


def _start_anew(run: Run) -> None:
    """Remove what other settings made; tasks stay where only the scoring changed."""
    folder = Path(run.folder)
    before, now = _state(run)[0], run.settings
    if before is not None and all(
        before.get(one) == now.get(one)
        for one in (before.keys() | now.keys()) - set(SCORING)
    ):
        shutil.rmtree(folder / "scores", ignore_errors=True)
    else:
        for step in STEPS:
            shutil.rmtree(folder / step, ignore_errors=True)
        for name in ("recording.unfinished.npz", "log.txt", "seconds.json"):
            (folder / name).unlink(missing_ok=True)
    _write_state(run, "pending", None)


def _called(command: tuple[str, ...], log: Path, lock: int) -> tuple[int, float]:
    begun = time.monotonic()
    # The folder that the sweep was started in may hold networks and Unitscope itself.
    here = [os.getcwd(), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(here))}
    with log.open("ab") as out:
        out.write(f"$ unitscope {' '.join(command)}\n".encode())
        out.flush()
        ended = subprocess.run(
            [sys.executable, "-m", "unitscope", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            pass_fds=(lock,),
            check=False,
        )
    return ended.returncode, time.monotonic() - begun


def _note_seconds(folder: Path, step: str, seconds: float) -> None:
    path = folder / "seconds.json"
    known = read_json(path) if path.exists() else {}
    write_json(path, known | {step: round(known.get(step, 0) + seconds, 1)})


def _reason(log: Path, step: str, status: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if status < 0:
        return (
            f"{step}: the process was ended by signal {-status}, most often for want"
            " of memory"
        )
    errors = [line for line in lines if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else lines[-1]
    return f"{step}: {said}"


def _write_state(run: Run, status: str, reason: str | None) -> None:
    header = Header(
        format="sweep-run",
        version=VERSION,
        config=dict(run.settings),
        seed=run.settings["seed"],
        software=software_versions("numpy", "torch"),
    )
    path = Path(run.folder) / "run.json"
    write_header(path, header, status=status, reason=reason)


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    fingerprint: str,
    features: Path | None = None,
    retry: bool = False,
    run_all: Callable[..., Iterator[tuple[int, str]]] | None = None,
    advance: Callable[[str, str], None] = lambda name, status: None,
) -> SweepResults:
    """Run all networks that are not done, and keep the results table up to date.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
    fingerprint : str
        Of the image set.
    features : Path, optional
        Feature store; by default beside the image set.
    retry : bool
        Whether networks that failed are tried again.
    run_all : callable, optional
        Takes the runs and ``retry``, yields (index, status) as they end; by default
        they run here, one after the other.
    advance : callable
        Called with a network's name and status when it has ended.

    Raises
    ------
    DataContractError
        ``folder`` holds something else, or a worker broke beyond repair.
    """
    _refuse_a_foreign_folder(folder)
    runs = [
        planned(sweep, one, folder, fingerprint=fingerprint, features=features)
        for one in sweep.networks
    ]
    found = results_of(sweep, runs, folder, fingerprint=fingerprint)
    write_sweep(found)
    # Steps are looked at here, so a sweep that is done starts no worker.
    states = [state_of(run) for run in runs]
    due = {"pending", "failed"} if retry else {"pending"}
    for index, status in enumerate(states):
        if status not in due:
            advance(sweep.networks[index].name, status)
    waiting = [index for index, status in enumerate(states) if status in due]
    ended = (run_all or _one_by_one)([runs[index] for index in waiting], retry=retry)
    for place, status in ended:
        found = results_of(sweep, runs, folder, fingerprint=fingerprint)
        write_sweep(found)
        advance(sweep.networks[waiting[place]].name, status)
    return found


def _one_by_one(runs: list[Run], *, retry: bool) -> Iterator[tuple[int, str]]:
    for index, run in enumerate(runs):
        yield index, run_network(run, retry=retry)


def _refuse_a_foreign_folder(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "sweep.json").exists():
            raise DataContractError(
                f"{folder} holds files of something else; a sweep needs a folder of its"
                " own. Name an empty folder, a new one, or the sweep to go on with."
            )
        read_header(folder / "sweep.json", format="sweep", versions=(VERSION,))


def results_of(
    sweep: Sweep, runs: list[Run], folder: Path, *, fingerprint: str
) -> SweepResults:
    """Return both tables, made of what the runs have written so far."""
    rows, layers = [], []
    for network, run in zip(sweep.networks, runs, strict=True):
        made = _made(run) or {"status": "pending", "reason": None}
        row = {
            "model": network.name,
            "network": network.network,
            "status": made["status"],
            "reason": made["reason"],
            "epoch": network.epoch,
            "accuracy": network.accuracy,
        }
        if made["status"] == "done":
            summary, own = summaries(Path(run.folder))
            row |= summary
            layers.append(own)
        rows.append(row)
    header = Header(
        format="sweep",
        version=VERSION,
        config={
            "encoder": sweep.encoder,
            "tau": sweep.tau,
            "n_tasks": sweep.n_tasks,
            "n_explanations": sweep.n_explanations,
            "networks": [run.settings["name"] for run in runs],
        },
        seed=sweep.seed,
        made_from={"images": fingerprint},
        software=software_versions("numpy", "torch"),
    )
    return SweepResults(
        networks=pd.DataFrame(rows).reindex(columns=list(NETWORKS.columns)),
        layers=pd.concat(layers) if layers else pd.DataFrame(columns=[*LAYERS.columns]),
        folder=folder,
        header=header,
    )


def seconds_of(results: SweepResults) -> pd.DataFrame:
    """Return how long each step of each network took; empty where it was not run."""
    rows = []
    for model in results.networks["model"]:
        path = results.run(model) / "seconds.json"
        rows.append({"model": model, **(read_json(path) if path.exists() else {})})
    return pd.DataFrame(rows).reindex(columns=["model", *STEPS])
