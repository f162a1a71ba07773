"""How much of a whole run passes inside forward passes: record, tasks, score.

    python benchmarks/whole_run.py [--n-images 2000] [--images FOLDER]

The three commands run as a user runs them, each in a process of its own, with clocks
around the forward passes, and around what comes before, between and behind them:
start-up, loading, ranking, finishing, hashing, writing. Every layer of the network is
recorded; the features that the score compares are made in the same run.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# As the command line does, before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

NETWORK, ENCODER = "efficientnet-lite0", "efficientnet-lite2"
TARGET = 0.9

PASSES = ("efficientnet_lite_pytorch.model", "EfficientNet.extract_features")
READING = ("stimuli.reductions", "LayerReader._take")
STAGES = {
    "record": [
        ("loading", "stimuli.networks", "load_network"),
        ("making streams", "stimuli.passes", "NetworkPass._make_streams"),
        ("ranking", "stimuli.passes", "NetworkPass._add"),
        ("finishing", "stimuli.passes", "NetworkPass.result"),
        ("writing", "stimuli.record_command", "write_recording"),
    ],
    "tasks": [
        ("reading", "stimuli.tasks_command", "read_recording"),
        ("hashing", "stimuli.tasks_command", "folder_hash"),
        ("drawing", "stimuli.tasks_command", "draw_tasks"),
        ("writing", "stimuli.tasks_command", "write_tasks"),
    ],
    "score": [
        ("hashing", "mis.score_command", "folder_hash"),
        ("indices", "mis.score_command", "named_images"),
        ("loading", "mis.score_command", "load_encoder"),
        ("margins and writing", "mis.score_command", "write_score_parts"),
    ],
}


class Clock(AbstractContextManager[None]):
    """Adds up wall seconds; a call inside another counts once."""

    def __init__(self) -> None:
        self.seconds, self._depth, self._start = 0.0, 0, 0.0

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._start


def clocked(module: str, name: str) -> Clock:
    """Put a clock around a function or method, wherever it is called from."""
    clock = Clock()
    *path, last = name.split(".")
    owner = functools.reduce(getattr, path, import_module(module))
    real: Callable[..., Any] = getattr(owner, last)

    @functools.wraps(real)
    def timed(*arguments: Any, **options: Any) -> Any:
        with clock:
            return real(*arguments, **options)

    setattr(owner, last, timed)
    return clock


def child(out: Path, started: float, arguments: list[str]) -> int:
    """Run one command with clocks, and write what they say."""
    command = arguments[0]
    import unitscope

    module = import_module(unitscope.COMMANDS[command][0])
    start_up = time.time() - started
    inside, reading = Clock(), Clock()
    if command != "tasks":
        inside = clocked(*PASSES)
    if command == "record":
        reading = clocked(*READING)
    # Torch is loaded by the command's own steps, or by the clocks just now.
    loaded = time.time() - started - start_up
    stages = {label: clocked(*where) for label, *where in STAGES[command]}
    status = int(module.main(arguments[1:]))
    wall = time.time() - started
    found = {
        "wall_s": wall,
        "in_passes_s": inside.seconds,
        "reading_in_passes_s": reading.seconds,
        "outside_s": {
            "start-up": start_up,
            "loading torch": loaded,
            **{label: clock.seconds for label, clock in stages.items()},
        },
        "processor_s": sum(os.times()[:2]),
    }
    out.write_text(json.dumps(found))
    return status


def timed_command(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in a process of its own; return its times."""
    out = folder / "times.json"
    me = [sys.executable, str(Path(__file__).resolve()), "--child", str(out)]
    run = subprocess.run(
        [*me, str(time.time()), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if run.returncode:
        raise SystemExit(f"unitscope {arguments[0]} failed:\n{run.stderr}")
    times: dict[str, Any] = json.loads(out.read_text())
    return times


def whole_run(folder: Path, images: Path) -> dict[str, Any]:
    """Record, draw tasks and score; return the times of each and the share."""
    recording, tasks = str(folder / "recording"), str(folder / "tasks")
    record = [*("--images", str(images), "--network", NETWORK), "--n-extremes", "200"]
    score = [*("--images", str(images), "--encoder", ENCODER)]
    score += ["--features", str(folder / "features"), "--out", str(folder / "scores")]
    steps = {
        "record": timed_command(
            folder, "record", *record, "--layers", "@all", "--out", recording
        ),
        "tasks": timed_command(folder, "tasks", recording, "--out", tasks),
        "score": timed_command(folder, "score", tasks, *score),
    }
    run = [steps["record"], steps["score"]]
    inside = sum(one["in_passes_s"] for one in run)
    everything = sum(one["wall_s"] for one in steps.values())
    return {
        "steps": steps,
        "share_in_passes": inside / sum(one["wall_s"] for one in run),
        "share_with_tasks": inside / everything,
        "reading_share": sum(one["reading_in_passes_s"] for one in run) / everything,
        "largest_outside": largest(steps),
    }


def largest(steps: dict[str, dict[str, Any]], n: int = 4) -> list[tuple[str, float]]:
    """Return what takes the most seconds outside forward passes."""
    found = [
        (f"{command}: {label}", seconds)
        for command, one in steps.items()
        if command != "tasks"
        for label, seconds in one["outside_s"].items()
    ]
    return sorted(found, key=lambda pair: -pair[1])[:n]


def main() -> int:
    """Run the benchmark."""
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
    from rich.console import Console
    from rich.table import Table

    from benchmarks.record import synthetic_images

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="image set (default: synthetic)")
    parser.add_argument("--n-images", type=int, default=2000)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "artifacts/bench/whole_run.json"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images, n_images = arguments.images, None
        if images is None:
            images, n_images = folder / "images", arguments.n_images
            synthetic_images(images, n_images, side=(500, 375))
        found = whole_run(folder, images)
    found |= {"n_images": n_images, "load": os.getloadavg(), "target": TARGET}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    console = Console(width=120, highlight=False)
    table = Table("command", "s", "in passes", "share", "outside, s")
    for name, one in found["steps"].items():
        outside = ", ".join(
            f"{label} {seconds:.1f}" for label, seconds in one["outside_s"].items()
        )
        share = one["in_passes_s"] / one["wall_s"]
        table.add_row(
            name,
            f"{one['wall_s']:.1f}",
            f"{one['in_passes_s']:.1f}",
            f"{share:.1%}",
            outside,
        )
    console.print(table)
    console.print(
        f"record + features + score: {found['share_in_passes']:.1%} in forward passes"
        f" (target {TARGET:.0%}); with tasks {found['share_with_tasks']:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
