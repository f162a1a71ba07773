"""How fast margins are computed, beside a loop over units and the speed of memory.

    python benchmarks/score.py [--quick] [--out artifacts/bench/score.json]

One run times, on the same random tasks: a loop over units as public code has it, every
kernel, and the floor: what copying the bytes takes that the kernel has to move. Then
time against units, images, N, K and features, as curves with slopes, and the peak
memory of 10^5 and of 10^7 units. Seconds of the cores are given beside those of the
clock: other programs on the machine take no part in them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mis.kernels import n_cores
from mis.margins import streamed_margins, task_margins_from_features
from mis.plan import Plan, Sizes, gather_bytes, gram_bytes, make_plan
from tests.mis import reference

N_TASKS, N_EXPLANATIONS, N_FEATURES = 20, 9, 1792
BLOCK = 20_000
Tasks = tuple[NDArray[np.int32], NDArray[np.int32]]


def seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the least time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def cpu_seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the least time of a few runs that the cores were busy with it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peak_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage tells is at least what the process that started this one had.
        line = next(
            one for one in status.read_text().splitlines() if one.startswith("VmHWM")
        )
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def copied_bytes_per_s(n_threads: int) -> float:
    """Return how fast memory is copied that no cache holds, in bytes read."""
    blocks = [np.ones(2**25, dtype=np.float32) for _ in range(n_threads)]
    targets = [np.empty_like(one) for one in blocks]

    def work() -> None:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(np.copyto, targets, blocks))

    return sum(one.nbytes for one in blocks) / seconds(work, repeats=5)


def unit_norm(n_images: int, n_features: int, seed: int = 0) -> NDArray[np.float32]:
    """Return random features."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_images, n_features), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features


def random_tasks(
    n_units: int,
    n_images: int,
    *,
    n_tasks: int = N_TASKS,
    n_explanations: int = N_EXPLANATIONS,
) -> Tasks:
    """Return queries and explanations of some units."""
    rng = np.random.default_rng(n_units)
    shape = (n_units, n_tasks, 2)
    queries = rng.integers(n_images, size=shape, dtype=np.int32)
    more = (*shape, n_explanations)
    return queries, rng.integers(n_images, size=more, dtype=np.int32)


def blocks(n_units: int, n_images: int) -> Iterator[Tasks]:
    """Yield the tasks of many units; each block is the first with images shifted."""
    queries, explanations = random_tasks(min(BLOCK, n_units), n_images)
    for number in range(0, n_units, BLOCK):
        stop = min(BLOCK, n_units - number)
        shift = np.int32(number // BLOCK)
        yield (
            (queries[:stop] + shift) % n_images,
            (explanations[:stop] + shift) % n_images,
        )


def loop_over_units(features: NDArray[np.float32], tasks: Tasks) -> NDArray[np.float32]:
    """Compute margins as public code does: unit by unit, task by task."""
    queries, explanations = tasks
    margins = np.empty(queries.shape[:2], dtype=np.float32)
    n_explanations = explanations.shape[3]
    for unit in range(len(queries)):
        for task in range(queries.shape[1]):
            query = features[queries[unit, task]]
            shown = features[explanations[unit, task].ravel()]
            fit = (query @ shown.T).reshape(2, 2, n_explanations).mean(axis=-1)
            margins[unit, task] = (fit[0, 0] - fit[0, 1]) - (fit[1, 0] - fit[1, 1])
    return margins


def plan_for(
    features: NDArray[np.floating], tasks: Tasks, n_units: int, **options: Any
) -> Plan:
    """Return a plan for as many units as there will be."""
    sizes = Sizes(
        n_images=len(features),
        n_features=features.shape[1],
        n_units=n_units,
        n_tasks=tasks[1].shape[1],
        n_explanations=tasks[1].shape[3],
        itemsize=features.dtype.itemsize,
    )
    return make_plan(sizes, **options)


def case(
    n_images: int, n_units: int, ways: dict[str, tuple[int, dict[str, Any]]]
) -> dict[str, Any]:
    """Time the loop, some ways and the floor on one size.

    Parameters
    ----------
    ways : mapping of str to (int, dict)
        Units that are timed, and options of the plan.
    """
    features = unit_norm(n_images, N_FEATURES)
    tasks = random_tasks(min(n_units, BLOCK), n_images)
    few = (tasks[0][:100], tasks[1][:100])
    looped = loop_over_units(features, few)
    loop = 100 / seconds(lambda: loop_over_units(features, few))
    loop_cpu = 100 / cpu_seconds(lambda: loop_over_units(features, few))
    copied = copied_bytes_per_s(n_cores())
    found: dict[str, Any] = {
        "n_images": n_images,
        "n_units": n_units,
        "copied_gb_per_s": copied / 1e9,
        "loop_units_per_s": loop,
        "loop_units_per_cpu_s": loop_cpu,
        "reference_units_per_s": plain_units_per_s(features, tasks),
        "ways": {},
    }
    for name, (timed, options) in ways.items():
        plan = plan_for(features, tasks, timed, **options)
        stored = features.astype(np.float16) if "float16" in name else features
        # First, so that loading torch is no part of what is timed.
        first = task_margins_from_features(stored, *few, plan=plan)
        result = run_way(stored, n_images, timed, plan)
        result["largest_difference"] = float(np.abs(first - looped).max())
        result["times_loop"] = result["units_per_s"] / loop
        result["times_loop_by_cpu"] = result["units_per_cpu_s"] / loop_cpu
        result["times_floor"] = result["seconds"] / (result["floor_bytes"] / copied)
        found["ways"][name] = result
    return found


def run_way(
    features: NDArray[np.floating], n_images: int, n_units: int, plan: Plan
) -> dict[str, Any]:
    """Time one way, all margins kept."""
    margins = np.empty((n_units, N_TASKS), dtype=np.float32)
    fresh = list(blocks(min(n_units, BLOCK), n_images))
    n_blocks = -(-n_units // BLOCK)
    tasks = (fresh[0] for _ in range(n_blocks))
    start, busy = time.perf_counter(), time.process_time()
    place = 0
    for found in streamed_margins(features, tasks, plan=plan):
        stop = min(place + len(found), n_units)
        margins[place:stop] = found[: stop - place]
        place = stop
    took, busy = time.perf_counter() - start, time.process_time() - busy
    sizes = plan.sizes
    n_look_ups = n_units * N_TASKS * 4 * N_EXPLANATIONS
    indices = 4 * n_units * N_TASKS * 2 * (N_EXPLANATIONS + 1)
    floor = gather_bytes(sizes)
    if plan.strategy == "gram":
        # A similarity is four bytes, but comes with the line that it is in.
        floor = 64 * n_look_ups + indices + sizes.gram_matrix_bytes
    return {
        "n_units": n_units,
        "seconds": took,
        "cpu_seconds": busy,
        "units_per_s": n_units / took,
        "units_per_cpu_s": n_units / busy,
        "floor_bytes": floor,
        "modelled_bytes": gram_bytes(sizes)
        if plan.strategy == "gram"
        else gather_bytes(sizes),
        "columns": plan.columns,
        "passes": plan.n_passes,
    }


def plain_units_per_s(features: NDArray[np.float32], tasks: Tasks) -> float:
    """Return the speed of the reference in plain Python, for a unit's first tasks."""
    f = reference.cosine(features)
    start = time.perf_counter()
    for task in range(2):
        reference.margin(f, tasks[0][0, task], tasks[1][0, task])
    return 2 / N_TASKS / (time.perf_counter() - start)


def curve(name: str, values: list[int], **base: int) -> dict[str, Any]:
    """Time the chosen way against one size; the slope is of the logarithms."""
    sizes = {"units": 2000, "images": 2000, "n": 20, "k": 9, "features": 1024} | base
    points = []
    for value in values:
        own = sizes | {name: value}
        features = unit_norm(own["images"], own["features"])
        tasks = random_tasks(
            own["units"], own["images"], n_tasks=own["n"], n_explanations=own["k"]
        )
        row = {name: value}
        for strategy in ("gather", "gram"):
            plan = plan_for(
                features, tasks, own["units"], strategy=strategy, backend="torch"
            )
            row[strategy] = seconds(
                lambda features=features, tasks=tasks, plan=plan: (
                    task_margins_from_features(features, *tasks, plan=plan)
                ),
                repeats=2,
            )
        points.append(row)
    logs = np.log([point[name] for point in points])
    slopes = {
        way: float(np.polyfit(logs, np.log([point[way] for point in points]), 1)[0])
        for way in ("gather", "gram")
    }
    return {"against": name, "base": sizes, "points": points, "slopes": slopes}


def stream_part(n_units: int, n_images: int = 2000) -> dict[str, Any]:
    """Score many synthetic units and tell time and peak memory of this process."""
    features = unit_norm(n_images, N_FEATURES)
    tasks = random_tasks(10, n_images)
    plan = plan_for(features, tasks, n_units, backend="torch")
    total, start = 0.0, time.perf_counter()
    for margins in streamed_margins(features, blocks(n_units, n_images), plan=plan):
        total += float((1 / (1 + np.exp(-margins / 0.16))).mean(axis=1).sum())
    return {
        "n_units": n_units,
        "seconds": time.perf_counter() - start,
        "mean_mis": total / n_units,
        "peak_mb": peak_mb(),
    }


def in_process(n_units: int) -> dict[str, Any]:
    """Return :func:`stream_part` of a process of its own."""
    command = [sys.executable, __file__, "--stream", str(n_units)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


def main(argv: list[str] | None = None) -> int:
    """Print tables. Exit status: 1 where a way is off by more than its error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of all units")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/score.json"))
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.stream:
        sys.stdout.write(json.dumps(stream_part(arguments.stream)) + "\n")
        return 0
    part = 10 if arguments.quick else 1
    gather, gram = {"strategy": "gather"}, {"strategy": "gram"}
    on_torch, on_numpy = {"backend": "torch"}, {"backend": "numpy"}
    large = case(
        20_000,
        10_000 // part,
        {
            "gather, torch": (10_000 // part, gather | on_torch),
            "gather, torch, float16": (10_000 // part, gather | on_torch),
            "gather, torch, streamed": (
                10_000 // part,
                gather | on_torch | {"memory": 12 * 2**20},
            ),
            "gather, numpy": (2_000 // part, gather | on_numpy),
            "gram, torch": (10_000 // part, gram | on_torch),
        },
    )
    many = case(
        2_000,
        1_000_000 // part,
        {
            "gram, torch": (1_000_000 // part, gram | on_torch),
            "gram, numpy": (100_000 // part, gram | on_numpy),
            "gather, torch": (10_000 // part, gather | on_torch),
        },
    )
    curves = [
        curve("units", [500, 1000, 2000, 4000, 8000]),
        curve("images", [500, 1000, 2000, 4000, 8000]),
        curve("n", [5, 10, 20, 40]),
        curve("k", [1, 3, 9, 27]),
        curve("features", [256, 512, 1024, 2048]),
    ]
    streams = [in_process(10**5), in_process(10**7 // part)]
    found = {
        "cores": n_cores(),
        "load": os.getloadavg(),
        "cases": [large, many],
        "curves": curves,
        "memory": streams,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    show(found)
    off = [
        way["largest_difference"] > (4 * 2**-10 if "float16" in name else 1e-5)
        for one in found["cases"]
        for name, way in one["ways"].items()
    ]
    return int(any(off))


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(width=100)
    for one in found["cases"]:
        table = Table(
            *("", "units", "s", "units/s", "× loop", "by cores", "× floor", "off by"),
            title=f"{one['n_images']:,} images × {N_FEATURES} features, N={N_TASKS},"
            f" K={N_EXPLANATIONS}; copying {one['copied_gb_per_s']:.1f} GB/s",
        )
        loop, plain = one["loop_units_per_s"], one["reference_units_per_s"]
        table.add_row("plain Python", "", "", f"{plain:,.1f}", f"{plain / loop:.3f}")
        table.add_row("loop over units", "100", "", f"{loop:,.0f}", "1.0")
        for name, way in one["ways"].items():
            table.add_row(
                name,
                f"{way['n_units']:,}",
                f"{way['seconds']:.2f}",
                f"{way['units_per_s']:,.0f}",
                f"{way['times_loop']:.1f}",
                f"{way['times_loop_by_cpu']:.1f}",
                f"{way['times_floor']:.2f}",
                f"{way['largest_difference']:.0e}",
            )
        console.print(table)
    table = Table("time against", "gather, slope", "gram, slope", "values")
    for one in found["curves"]:
        values = ", ".join(str(point[one["against"]]) for point in one["points"])
        slopes = [f"{one['slopes'][way]:.2f}" for way in ("gather", "gram")]
        table.add_row(one["against"], *slopes, values)
    console.print(table)
    for one in found["memory"]:
        speed = one["n_units"] / one["seconds"]
        console.print(
            f"{one['n_units']:,} units streamed: {one['seconds']:.1f} s"
            f" ({speed:,.0f} units/s), peak memory {one['peak_mb']:.0f} MB"
        )


if __name__ == "__main__":
    sys.exit(main())
