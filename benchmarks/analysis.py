"""How long a whole report takes, and how that grows with answers and resamples.

Each size is a simulated study of IMI's shape (756 units of nine models, sessions of 40
main and 5 catch trials), written as an export and read by ``unitscope validate`` in a
process of its own, on two cores:

    python benchmarks/analysis.py [--answers 10000,30000,130000]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.resampling import count_answers
from analysis.score_intervals import score_interval
from analysis.simulated_studies import StudyDesign, Variances, simulated_study
from data.formats import Header
from data.responses import RESPONSES, SESSIONS, Responses, write_responses
from data.tables import checked

MODELS, UNITS_A_MODEL, LAYERS = 9, 84, 12
MAIN, CATCH = 40, 5
MOST_SECONDS, MOST_GB, CORES = 60, 2, 2
RESAMPLES = (1000, 3000, 9999)
IMI_LIKE = Variances(
    mean=0.83,
    sd_unit=0.8,
    sd_participant=0.4,
    correlation=0.8,
    step=0.1,
    source="chosen near IMI's",
)


def study_of(
    n_answers: int, rng: np.random.Generator
) -> tuple[Responses, pd.DataFrame]:
    """Return a study of about so many answers, and a score table."""
    n_units = MODELS * UNITS_A_MODEL
    n_sessions = n_answers // (MAIN + CATCH)
    design = StudyDesign(
        n_units=n_units,
        answers_per_unit=max(round(n_sessions * MAIN / n_units), 1),
        main_trials=MAIN,
    )
    study = simulated_study(IMI_LIKE, design, rng=rng)
    names = np.array(
        [
            f"model{number % MODELS}::layer{number // MODELS % LAYERS:02d}::{number}"
            for number in range(n_units)
        ]
    )
    answers = study.answers().drop(columns=["session_id"])
    answers["unit"] = names[study.unit]
    people = answers["participant_id"].unique()
    catch = pd.DataFrame(
        {
            "participant_id": np.repeat(people, CATCH),
            "unit": "catch::catch::0",
            "kind": "catch",
            "correct": rng.random(len(people) * CATCH) < 0.97,
            "group": None,
        }
    )
    table = pd.concat([answers, catch], ignore_index=True)
    table = table.sort_values("participant_id", kind="stable", ignore_index=True)
    table["trial_index"] = table.groupby("participant_id").cumcount()
    scores = pd.DataFrame({"unit": names, "mis": 0.8 + 0.05 * study.mis})
    return (
        Responses(
            responses=_responses(table, rng),
            sessions=_sessions(people),
            header=Header(format="responses", version=1, config={"study_id": "large"}),
        ),
        scores,
    )


def _responses(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(table)
    task_number = rng.integers(0, 20, n)
    correct = table["correct"].to_numpy(dtype=bool)
    filled = table.assign(
        session_id="s" + table["participant_id"],
        task_id=table["unit"] + "#natural-easy#" + task_number.astype(str),
        task_number=task_number,
        explanation_method="natural",
        difficulty="easy",
        positive_side="right",
        upper_query=np.where(rng.random(n) < 0.5, "positive", "negative"),
        chosen_query=np.where(correct, "positive", "negative"),
        confidence=rng.integers(1, 4, n),
        rt_ms=rng.lognormal(8, 0.5, n),
        time_elapsed_ms=10_000.0 * (table["trial_index"] + 1),
        interrupted=False,
        simulated=True,
        observer="benchmark",
        study_id="large",
        practice_round=None,
    )
    return checked(filled.reindex(columns=list(RESPONSES.columns)), RESPONSES, "large")


def _sessions(people: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "session_id": [f"s{name}" for name in people],
            "participant_id": people,
            "status": "complete",
            "recruiter": "link",
            "study_id": "large",
            "instruction_time_s": 60.0,
            "total_time_s": 500.0,
            "n_practice_rounds": 1,
            "n_focus_losses": 0,
            "n_reloads": 0,
            "multi_participation": False,
            "test_run": False,
            "simulated": True,
            "observer": "benchmark",
        }
    )
    return checked(table.reindex(columns=list(SESSIONS.columns)), SESSIONS, "large")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What one whole report took.

    Attributes
    ----------
    n_answers : int
    seconds, cpu_seconds : float
        On the clock, and of all cores: on a machine that does nothing else about the
        same.
    gigabytes : float
        Most memory held at once.
    """

    n_answers: int
    seconds: float
    cpu_seconds: float
    gigabytes: float


def timed_report(n_answers: int, seed: int) -> Timed:
    """Write a study, and the report of it in a process of its own."""
    responses, scores = study_of(n_answers, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_responses(folder / "export", responses, pd.DataFrame({"rt": []}))
        scores.to_csv(folder / "scores.csv", index=False)
        command = [sys.executable, "-m", "analysis.validate", "export", "scores.csv"]
        start = time.perf_counter()
        run = subprocess.Popen(
            [*command, "--out", "report"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(run.pid, 0)
        took = time.perf_counter() - start
        run.returncode = os.waitstatus_to_exitcode(status)
        if run.returncode not in (0, 1) or not (folder / "report").is_dir():
            raise SystemExit(f"The report of {n_answers} answers was not written.")
    return Timed(
        n_answers=len(responses.responses),
        seconds=took,
        cpu_seconds=used.ru_utime + used.ru_stime,
        gigabytes=_gigabytes(used),
    )


def _gigabytes(used: resource.struct_rusage) -> float:
    # Linux counts in KiB, macOS in bytes.
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def seconds_of_resamples(n_answers: int, seed: int) -> list[float]:
    """Return the seconds of HIS's three intervals, for each of ``RESAMPLES``."""
    responses, _ = study_of(n_answers, np.random.default_rng(seed))
    table = responses.responses
    counts = count_answers(table[table["kind"] == "main"])
    found = []
    for n_resamples in RESAMPLES:
        start = time.perf_counter()
        for resample in ("unit", "participant", "both"):
            score_interval(
                counts,
                resample=resample,
                rng=np.random.default_rng(seed),
                n_resamples=n_resamples,
            )
        found.append(time.perf_counter() - start)
    return found


def main(argv: list[str] | None = None) -> int:
    """Print both tables. Exit status: 1 where the largest report takes too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", default="10000,30000,130000")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    sizes = sorted(int(part) for part in arguments.answers.split(","))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:CORES]))
    header = ("answers", "s", "CPU s", "GB")
    reports = Table(*header, title=f"whole report, {CORES} cores")
    timed = [timed_report(size, arguments.seed) for size in sizes]
    for one in timed:
        times = f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}"
        reports.add_row(f"{one.n_answers:,}", *times, f"{one.gigabytes:.2f}")
    growth = Table("resamples", "s", title=f"three intervals of HIS, {sizes[-1]:,}")
    seconds = seconds_of_resamples(sizes[-1], arguments.seed)
    for n_resamples, value in zip(RESAMPLES, seconds, strict=True):
        growth.add_row(f"{n_resamples:,}", f"{value:.2f}")
    console = Console(width=100)
    console.print(reports)
    console.print(growth)
    largest = timed[-1]
    fast = largest.seconds < MOST_SECONDS
    return 0 if fast and largest.gigabytes < MOST_GB else 1


if __name__ == "__main__":
    sys.exit(main())
