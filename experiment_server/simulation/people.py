"""Who takes part in a simulation: abilities, habits, and carelessness of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.files import bytes_hash

Careless = Literal[
    "too_fast",
    "skips_instructions",
    "same_row",
    "fails_catch",
    "fails_practice",
    "takes_part_twice",
    "leaves_window",
    "ignores_instructed",
]

CARELESS: dict[Careless, str | None] = {
    "too_fast": "total_response_time",
    "skips_instructions": "instruction_time",
    "same_row": "row_variability",
    "fails_catch": "catch_trials",
    "fails_practice": None,
    "takes_part_twice": "participation",
    "leaves_window": "focus",
    "ignores_instructed": "instructed_trials",
}
"""Carelessness to the criterion of :mod:`data.exclusion` that should catch it.

Who never passes the practice does not get as far as being excluded.
"""

_RT_MEDIAN_MS, _RT_SPREAD, _LEAST_RT_MEDIAN_MS = 4500.0, 0.3, 2000.0
_FAST_RT_MEDIAN_MS = 450.0
_ABILITY_SPREAD = 0.35
_BIAS_SD = 0.25
_LAPSE_SHAPE = (1.5, 28.5)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One simulated participant; the same seed gives the same person.

    Attributes
    ----------
    name : str
        What the server knows them by.
    seed : int
        Of the simulation.
    careless : str or None
        One of :data:`CARELESS`.
    ability : float
        Factor on the margin, above 0; 1 is as sensitive as the machine's score.
    lapse : float
        Share of trials answered at random, in [0, 1].
    row_bias : float
        Added to the log odds of the upper row; above 0 prefers it.
    median_rt_ms : float
        Median response time.
    """

    name: str
    seed: int
    careless: Careless | None
    ability: float
    lapse: float
    row_bias: float
    median_rt_ms: float

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a generator that depends on nothing that happened before.

        So who goes on after a break answers as without it.
        """
        return _rng(self.seed, f"{self.name} {purpose}")


def draw_people(
    n: int, *, n_careless: int, seed: int, ability: float, kinds: Sequence[Careless]
) -> list[Person]:
    """Draw participants; some of them, at random places, careless in turn of each kind.

    Parameters
    ----------
    ability : float
        Median over people, above 0.
    kinds : sequence of str
        Kinds of carelessness to go through.
    """
    rng = _rng(seed, "who is careless")
    places = sorted(int(index) for index in rng.permutation(n)[:n_careless])
    careless = {place: kinds[i % len(kinds)] for i, place in enumerate(places)}
    return [
        _draw_person(f"simulated-{seed}-{i}", seed, careless.get(i), ability)
        for i in range(n)
    ]


def _draw_person(
    name: str, seed: int, careless: Careless | None, ability: float
) -> Person:
    rng = _rng(seed, name)
    rt = _RT_MEDIAN_MS * rng.lognormal(0, _RT_SPREAD)
    fast = careless == "too_fast"
    return Person(
        name=name,
        seed=seed,
        careless=careless,
        ability=ability * float(rng.lognormal(0, _ABILITY_SPREAD)),
        lapse=float(rng.beta(*_LAPSE_SHAPE)),
        row_bias=float(rng.normal(0, _BIAS_SD)),
        median_rt_ms=_FAST_RT_MEDIAN_MS if fast else max(rt, _LEAST_RT_MEDIAN_MS),
    )


def _rng(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(bytes_hash(purpose.encode())[:16], 16)])
