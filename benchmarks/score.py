"""How fast the score is, beside a plain reference and the speed of memory.

One run times the two strategies and the per-unit reference on the same random tasks,
and tells how near each comes to the floor that moving its bytes sets:

    python benchmarks/score.py [--units 2000] [--images 2000] [--features 1280]
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mis.margins import (
    cheaper_strategy,
    gather_bytes,
    gram_bytes,
    task_margins_from_features,
)
from tests.mis import reference

N_TASKS, N_EXPLANATIONS = 20, 9


def seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the least time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def memory_bytes_per_s() -> float:
    """Return the speed of adding up an array that no cache holds."""
    block = np.ones(2**26, dtype=np.float32)
    return block.nbytes / seconds(lambda: block.sum())


def main(argv: list[str] | None = None) -> int:
    """Print the table. Exit status: 1 where the ways disagree by more than 1e-5."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    rng = np.random.default_rng(arguments.seed)
    features = rng.normal(size=(arguments.images, arguments.features))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features = features.astype(np.float32)
    shape = (arguments.units, N_TASKS, 2)
    queries = rng.integers(arguments.images, size=shape, dtype=np.int32)
    explanations = rng.integers(
        arguments.images, size=(*shape, N_EXPLANATIONS), dtype=np.int32
    )
    sizes = {
        "n_units": arguments.units,
        "n_tasks": N_TASKS,
        "n_explanations": N_EXPLANATIONS,
        "n_features": arguments.features,
    }
    moved = {
        "gather": gather_bytes(itemsize=4, **sizes),
        "gram": gram_bytes(n_images=arguments.images, **sizes),
    }
    speed = memory_bytes_per_s()
    chosen = cheaper_strategy(n_images=arguments.images, **sizes)
    table = Table(
        *("", "s", "units/s", "GB moved", "floor, s", "× floor"),
        title=f"{arguments.units} units × {N_TASKS} tasks, {arguments.images} images"
        f" × {arguments.features} float32; memory {speed / 1e9:.1f} GB/s;"
        f" chosen: {chosen}",
    )
    margins = {}
    for strategy, n_bytes in moved.items():

        def work(strategy: str = strategy) -> None:
            margins[strategy] = task_margins_from_features(
                features, queries, explanations, strategy=strategy
            )

        took, floor = seconds(work), n_bytes / speed
        table.add_row(
            strategy,
            f"{took:.3f}",
            f"{arguments.units / took:,.0f}",
            f"{n_bytes / 1e9:.2f}",
            f"{floor:.3f}",
            f"{took / floor:.1f}",
        )
    took, largest = time_reference(features, queries, explanations, margins["gather"])
    table.add_row("reference, one unit", f"{took:.3f}", f"{1 / took:,.1f}")
    strategies = np.abs(margins["gather"] - margins["gram"]).max()
    table.caption = (
        f"largest difference between the strategies {strategies:.1e},"
        f" from the reference {largest:.1e}"
    )
    Console(width=100).print(table)
    return 0 if max(strategies, largest) < 1e-5 else 1


def time_reference(
    features: NDArray[np.float32],
    queries: NDArray[np.int32],
    explanations: NDArray[np.int32],
    margins: NDArray[np.float32],
) -> tuple[float, float]:
    """Return the reference's seconds for the first unit, and the largest difference."""
    f = reference.cosine(features)
    start = time.perf_counter()
    plain = [
        reference.margin(f, queries[0, task], explanations[0, task])
        for task in range(N_TASKS)
    ]
    took = time.perf_counter() - start
    return took, float(np.abs(margins[0] - np.array(plain)).max())


if __name__ == "__main__":
    sys.exit(main())
