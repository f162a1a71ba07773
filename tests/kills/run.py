"""All kills of one part."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.kills.parts import Part
from tests.kills.points import Point, Undisturbed, killed, undisturbed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a part's kills."""

    part: str
    in_a_row: int
    usual: Undisturbed
    points: list[Point]

    @property
    def n_equal(self) -> int:
        """How many kills a run survived, to the bytes of an undisturbed one."""
        return sum(point.equal for point in self.points)

    @property
    def summary(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        ways = {
            way: sum(point.way == way for point in self.points)
            for way in self.usual.seconds
        }
        return {
            "part": self.part,
            "ways": ways,
            "undisturbed_s": round(max(s for _, s in self.usual.seconds.values()), 2),
            "n_points": len(self.points),
            "n_equal": self.n_equal,
            "in_a_row": self.in_a_row,
            "files": len(self.usual.contents),
            "points": [asdict(one) | {"equal": one.equal} for one in self.points],
        }


def drawn_points(part: Part, n_points: int, rng: np.random.Generator) -> list[Point]:
    """Spread moments over a run, a random one in each of its ``n_points`` parts.

    The ways to kill take turns, each with moments from all over the run; they come
    in a random order.
    """
    shares = (np.arange(n_points) + rng.random(n_points)) / n_points
    ways = list(part.begun)
    points = [
        Point(way=ways[number % len(ways)], share=float(round(share, 4)))
        for number, share in enumerate(shares)
    ]
    return [points[number] for number in rng.permutation(n_points)]


def run_part(
    part: Part,
    folder: Path,
    *,
    n_points: int,
    seed: int,
    advance: Callable[[Outcome], object] = lambda outcome: None,
) -> Outcome:
    """Run a part undisturbed, then once for each kill; ``folder`` is emptied.

    ``advance`` gets what is known after each kill.
    """
    rng = np.random.default_rng([seed, *part.name.encode()])
    shutil.rmtree(folder, ignore_errors=True)
    usual = undisturbed(part, folder / "undisturbed")
    outcome = Outcome(part=part.name, in_a_row=part.in_a_row, usual=usual, points=[])
    left = drawn_points(part, n_points, rng)
    while left:
        own = folder / f"after-{len(outcome.points)}"
        points, left = left[: part.in_a_row], left[part.in_a_row :]
        killed(part, usual, own, points, rng)
        if all(point.equal for point in points):
            shutil.rmtree(own)
        outcome.points.extend(points)
        advance(outcome)
    return outcome
