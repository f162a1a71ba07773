"""``python -m benchmarks.page_memory``: whether the page grows over many trials."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from data.command_line import progress
from data.files import write_json
from data.studies import read_study
from experiment_server.browser import running_chromium
from tests.experiment_server.toy_study import make_toy_study
from tests.experiment_server.visitor import Visitor, running_site

N_PRACTICE = 2
SETTINGS = {
    "n_slots": 1,
    "n_catch_trials": 0,
    "n_instructed_trials": 0,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 1,
    "break_every": None,
    "lock_ms": 0,
    "feedback_delay_ms": 0,
    "feedback_ms": 0,
    "blank_ms": 0,
}
ALLOWED_BYTES_PER_TRIAL = 10_000
"""jsPsych keeps the data of every trial; more than that would be a leak."""

ALLOWED_NODES_PER_TRIAL = 0.1


def main(argv: list[str] | None = None) -> int:
    """Measure heap, DOM nodes and listeners early and late; exit 1 if they grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300, help="main trials")
    parser.add_argument("--early", type=int, default=50, help="trial to compare with")
    parser.add_argument("--out", type=Path, default=Path("artifacts/page_memory.json"))
    arguments = parser.parse_args(argv)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    found = measure(arguments.early, arguments.trials)
    write_json(arguments.out, found)
    sys.stdout.write(report(found))
    return 0 if found["passed"] else 1


def measure(early: int, last: int) -> dict[str, Any]:
    """Answer a whole study in a browser and measure at two of its trials."""
    with tempfile.TemporaryDirectory() as place, running_chromium() as browser:
        study = read_study(
            make_toy_study(
                Path(place) / "study", n_explanations=9, n_main_trials=last, **SETTINGS
            )
        )
        with running_site(study, Path(place)) as site, progress() as bar:
            task = bar.add_task("Trials", total=last)
            visitor = Visitor(browser.new_context(), site)
            visitor.pass_practice()
            taken = {}
            for number in range(1, last + 1):
                sequence = visitor.sequence()
                if number in (early, last):
                    taken[number] = _now(visitor.page)
                visitor.answer(("upper", "lower")[number % 2])
                visitor.wait_until_gone(sequence)
                bar.advance(task)
            visitor.wait_for("feedback")
            visitor.context.close()
    return _compared(taken[early], taken[last], last - early)


def _now(page: Any) -> dict[str, float]:
    """Return what the page holds after everything that can be freed is."""
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.enable")
    for _ in range(3):
        client.send("HeapProfiler.collectGarbage")
    counted = client.send("Memory.getDOMCounters")
    heap = client.send("Runtime.getHeapUsage")
    client.detach()
    return {
        "heap_bytes": heap["usedSize"],
        "backing_bytes": heap.get("backingStorageSize", 0),
        "n_nodes": counted["nodes"],
        "n_listeners": counted["jsEventListeners"],
    }


def _compared(
    early: dict[str, float], late: dict[str, float], n_trials: int
) -> dict[str, Any]:
    growth = {name: (late[name] - early[name]) / n_trials for name in early}
    allowed = {
        "heap_bytes": ALLOWED_BYTES_PER_TRIAL,
        "backing_bytes": ALLOWED_BYTES_PER_TRIAL,
        "n_nodes": ALLOWED_NODES_PER_TRIAL,
        "n_listeners": ALLOWED_NODES_PER_TRIAL,
    }
    return {
        "n_trials_between": n_trials,
        "early": early,
        "late": late,
        "growth_per_trial": growth,
        "allowed_per_trial": allowed,
        "passed": all(growth[name] <= allowed[name] for name in allowed),
    }


def report(found: dict[str, Any]) -> str:
    """Return a short table."""
    lines = [f"{'':14}{'early':>12}{'late':>12}{'a trial':>12}{'allowed':>12}"]
    for name, each in found["growth_per_trial"].items():
        lines.append(
            f"{name:14}{found['early'][name]:12,.0f}{found['late'][name]:12,.0f}"
            f"{each:12,.2f}{found['allowed_per_trial'][name]:12,.1f}"
        )
    lines.append("passed" if found["passed"] else "grows")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
