"""What was aimed at and what was measured: one table over artifacts/bench/*.json.

    python benchmarks/summary.py [--folder artifacts/bench]

Where a figure is missed, the last column says what the profile holds against it.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
Found = dict[str, Any]


class Aim(NamedTuple):
    """One line: where the figure is, what it must reach, and why it may not.

    ``least`` says whether the figure must be at least the target, or at most.
    """

    what: str
    file: str
    target: float
    least: bool
    shown: str
    value: Callable[[Found], float]
    reason: Callable[[Found], str]


def _way(case: int, name: str, figure: str) -> Callable[[Found], float]:
    return lambda found: float(found["cases"][case]["ways"][name][figure])


def _kernel(case: int, name: str) -> Callable[[Found], str]:
    def reason(found: Found) -> str:
        one, load = found["cases"][case], found["load"][0]
        way = one["ways"][name]
        return (
            f"a second of a core does {way['times_loop_by_cpu']:.1f} × the loop's;"
            f" {way['cpu_seconds'] / way['seconds']:.1f} of {found['cores']} cores were"
            f" had (load {load:.1f}), copying {one['copied_gb_per_s']:.1f} GB/s"
        )

    return reason


def _outside(found: Found) -> str:
    parts = [f"{label} {seconds:.1f} s" for label, seconds in found["largest_outside"]]
    return f"outside: {', '.join(parts)} (load {found['load'][0]:.1f})"


def _share(encoder: str) -> tuple[Callable[[Found], float], Callable[[Found], str]]:
    def row(found: Found) -> Found:
        return next(one for one in found["shares"] if one["encoder"] == encoder)

    def reason(found: Found) -> str:
        rest = row(found)["seconds"] - row(found)["seconds_in_network"]
        return (
            f"{rest:.2f} s: first images decoded, pairs put in order"
            f" (load {found['load'][0]:.1f})"
        )

    return lambda found: float(row(found)["share_in_network"]), reason


def _growth(points: list[Found], figure: str) -> float:
    return float(points[-1][figure] / points[0][figure])


def _peaks(points: list[Found], along: str) -> str:
    return ", ".join(f"{one[along]:,}: {one['peak_mb']:,.0f} MB" for one in points)


AIMS = [
    Aim(
        "gather: 10^4 units beside a loop over units", "score", 5, True, "{:.1f} ×",
        _way(0, "gather, torch", "times_loop"), _kernel(0, "gather, torch"),
    ),
    Aim(
        "gather: beside copying its bytes", "score", 2, False, "{:.2f} ×",
        _way(0, "gather, torch", "times_floor"), _kernel(0, "gather, torch"),
    ),
    Aim(
        "Gram: 10^6 units beside a loop over units", "score", 50, True, "{:.1f} ×",
        _way(1, "gram, torch", "times_loop"), _kernel(1, "gram, torch"),
    ),
    Aim(
        "Gram: beside copying its bytes", "score", 2, False, "{:.2f} ×",
        _way(1, "gram, torch", "times_floor"), _kernel(1, "gram, torch"),
    ),
    Aim(
        "all layers of EfficientNet-Lite0 over the bare pass", "record", 0.15, False,
        "{:.1%}", lambda found: float(found["overhead"]["over"]),
        lambda found: f"{found['overhead']['n_units']:,} units are reduced and ranked",
    ),
    Aim(
        "record + features + score inside forward passes", "whole_run", 0.9, True,
        "{:.1%}", lambda found: float(found["share_in_passes"]), _outside,
    ),
    Aim(
        "features of efficientnet-lite2 in its network", "encoders", 0.9, True,
        "{:.1%}", *_share("efficientnet-lite2"),
    ),
    Aim(
        "pairs of st-lpips in its network", "encoders", 0.9, True,
        "{:.1%}", *_share("st-lpips"),
    ),
    Aim(
        "memory of record: 5,000 images beside 500", "record", 1.1, False, "{:.2f} ×",
        lambda found: _growth(found["memory_by_images"], "peak_mb"),
        lambda found: _peaks(found["memory_by_images"], "n_images"),
    ),
    Aim(
        "memory of kernels: 10^7 units beside 10^5", "score", 1.1, False, "{:.2f} ×",
        lambda found: _growth(found["memory"], "peak_mb"),
        lambda found: _peaks(found["memory"], "n_units"),
    ),
    Aim(
        "memory of the command: more units beside 10^5", "score_memory", 1.1, False,
        "{:.2f} ×", lambda found: _growth(found["points"], "peak_mb"),
        lambda found: _peaks(found["points"], "n_units"),
    ),
]  # fmt: skip


def main() -> int:
    """Print the table. Exit status: 0, as a missed figure is no failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "artifacts/bench")
    arguments = parser.parse_args()
    table = Table("figure", "target", "measured", "", "what holds it")
    for aim in AIMS:
        path = arguments.folder / f"{aim.file}.json"
        relation = "≥" if aim.least else "≤"
        target = f"{relation} {aim.shown.format(aim.target)}"
        try:
            found = json.loads(path.read_text())
            value, reason = aim.value(found), aim.reason(found)
        except (FileNotFoundError, KeyError, StopIteration):
            table.add_row(aim.what, target, "not measured", "", "")
            continue
        met = value >= aim.target if aim.least else value <= aim.target
        is_memory = aim.what.startswith("memory")
        table.add_row(
            aim.what,
            target,
            aim.shown.format(value),
            "met" if met else "missed",
            reason if is_memory or not met else "",
        )
    Console(width=150, highlight=False).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
