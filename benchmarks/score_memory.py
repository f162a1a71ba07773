"""Peak memory of ``unitscope score`` against the number of units.

    python benchmarks/score_memory.py [--units 100000 1000000]

Synthetic tasks of many units are written to disk and scored by the command, as a user
runs it, in a process of its own for each size. Few tasks and few features, so that it
is over soon: what grows with units is the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import pandas as pd

from benchmarks.record import peak_bytes, synthetic_images
from data.formats import Header, write_header
from data.images import ImageSet
from data.tasks import TaskConfig

CONFIG = TaskConfig(n_tasks=4, n_explanations=3)


def write_synthetic_tasks(folder: Path, images: ImageSet, n_units: int) -> None:
    """Write a task set of random images for as many units as asked for."""
    rng, n_images = np.random.default_rng(0), len(images.image_ids)
    shape = (n_units, CONFIG.n_tasks, 2)
    explained = (*shape, CONFIG.n_explanations)
    folder.mkdir(parents=True)
    np.savez(
        folder / "tasks.npz",
        queries=rng.integers(n_images, size=shape, dtype=np.int32),
        explanations=rng.integers(n_images, size=explained, dtype=np.int32),
    )
    names = [f"net::layer{one // 1000}::{one % 1000}" for one in range(n_units)]
    table = pd.DataFrame({"unit": names, "tie_share": 0.0, "reason": None})
    table.astype({"reason": "str"}).to_parquet(folder / "units.parquet", index=False)
    manifest = {"image_id": images.image_ids, "sha256": images.manifest["sha256"]}
    pd.DataFrame(manifest).to_parquet(folder / "images.parquet", index=False)
    header = Header(format="tasks", version=1, config=asdict(CONFIG))
    write_header(folder / "tasks.json", header)


def scored(folder: Path, n_units: int) -> dict[str, Any]:
    """Score in a process of its own; return time and peak memory."""
    images, tasks = folder / "images", folder / f"tasks-{n_units}"
    arguments = [str(tasks), "--images", str(images), "--encoder", "pixels"]
    arguments += ["--out", str(folder / f"scores-{n_units}")]
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--child", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if run.returncode:
        raise SystemExit(f"unitscope score failed:\n{run.stderr}")
    return {
        "n_units": n_units,
        "tasks_mb": (tasks / "tasks.npz").stat().st_size / 1e6,
        "seconds": time.perf_counter() - start,
        "peak_mb": int(run.stdout.splitlines()[-1]) / 1e6,
    }


def main() -> int:
    """Run the benchmark."""
    if sys.argv[1:2] == ["--child"]:
        import unitscope

        status = unitscope.main(["score", *sys.argv[2:]])
        sys.stdout.write(f"{peak_bytes()}\n")
        return status
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, nargs="+", default=[10**5, 10**6])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "artifacts/bench/score_memory.json"
    )
    arguments = parser.parse_args()
    points = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = synthetic_images(folder / "images", 64, side=(64, 48))
        for n_units in arguments.units:
            write_synthetic_tasks(folder / f"tasks-{n_units}", images, n_units)
            points.append(scored(folder, n_units))
            one = points[-1]
            sys.stdout.write(
                f"{n_units:,} units, {one['tasks_mb']:,.0f} MB of tasks, through the"
                f" command: {one['seconds']:.1f} s, peak {one['peak_mb']:,.0f} MB\n"
            )
    found = {"points": points, "load": os.getloadavg()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
