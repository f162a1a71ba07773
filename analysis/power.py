"""How large a study has to be for the width or power that is wanted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.cost import Cost, Pay, study_cost
from analysis.power_simulation import FEWEST_UNITS, QUESTIONS, Outcomes, outcomes
from analysis.simulated_studies import StudyDesign, Variances
from analysis.units_needed import units_needed

CURVE = (0.4, 0.7, 1.0, 1.4, 2.0)
MOST_UNITS = 5000

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a study has to reach; None where a question is not asked.

    Attributes
    ----------
    his, correlation, contrast : float or None
        Largest mean width of the 95% interval.
    power : float or None
        Least share of studies that tell both steps of the contrast from 0.
    """

    his: float | None = None
    correlation: float | None = None
    contrast: float | None = None
    power: float | None = None

    def goals(self) -> list[tuple[str, str, float]]:
        """Return (question, 'width' or 'power', value) of what is asked."""
        widths = [
            (question, "width", value)
            for question in QUESTIONS
            if (value := getattr(self, question)) is not None
        ]
        return widths + (
            [] if self.power is None else [("contrast", "power", self.power)]
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class PowerPlan:
    """Designs that reach what is wanted, one a number of answers per unit.

    Attributes
    ----------
    designs : DataFrame
        One row a number of answers: 'answers_per_unit', 'n_units' (missing where
        even very many are not enough), 'n_participants', 'n_paid', 'hours',
        'reward', 'total', then for each question 'his', 'correlation', 'contrast'
        the units it needs alone ('..._units'), the mean width that the design
        gives ('..._width') with its standard error ('..._error'), and 'power',
        'power_error'; 'cheapest' marks one.
    curve : DataFrame
        'answers_per_unit', 'n_units', 'n_participants', 'total', and widths and
        power as above, for designs around those.
    variances : Variances
    wanted : Wanted
    pay : Pay
    main_trials, n_simulations, seed : int
    """

    designs: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    variances: Variances
    wanted: Wanted
    pay: Pay
    main_trials: int
    n_simulations: int
    seed: int


def power_plan(
    variances: Variances,
    wanted: Wanted,
    pay: Pay,
    *,
    answers: Sequence[int],
    main_trials: int,
    n_simulations: int,
    seed: int,
    most_units: int = MOST_UNITS,
    tell: Progress = lambda _: None,
) -> PowerPlan:
    """Find the fewest units for each number of answers, and what they cost.

    Parameters
    ----------
    answers : sequence of int
        Answers per unit to try.
    n_simulations : int
        Studies for each number that is reported; the search uses half.
    most_units : int
        Units that there are; a design that needs more is out of reach.
    tell : callable
        Is told in words what is done next.

    Notes
    -----
    Each number of answers has its own generator, so that one more changes no other.
    """
    designs, curve = [], []
    for n_answers in answers:
        rng = np.random.default_rng([seed, n_answers])
        start = StudyDesign(
            n_units=min(60, most_units),
            answers_per_unit=n_answers,
            main_trials=main_trials,
        )
        tell(f"searching, {n_answers} answers per unit")
        needed = _needed(variances, wanted, start, n_simulations // 2, most_units, rng)
        row: dict[str, Any] = {"answers_per_unit": n_answers} | {
            f"{question}_units": units for question, units in needed.items()
        }
        tell(f"simulating {n_answers} answers per unit")
        found = _enough(
            variances, wanted, pay, start, needed, n_simulations, most_units, rng
        )
        designs.append(row | (found or {}))
        if found:
            design = replace(start, n_units=found["n_units"])
            curve += _curve(variances, design, pay, n_simulations // 4, rng, tell)
    return PowerPlan(
        designs=_with_cheapest(pd.DataFrame(designs)),
        curve=pd.DataFrame(curve),
        variances=variances,
        wanted=wanted,
        pay=pay,
        main_trials=main_trials,
        n_simulations=n_simulations,
        seed=seed,
    )


def _enough(
    variances: Variances,
    wanted: Wanted,
    pay: Pay,
    start: StudyDesign,
    needed: Mapping[str, int | None],
    n_simulations: int,
    most_units: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Return the first design that reaches all of it, None where none does."""
    known = [units for units in needed.values() if units is not None]
    if len(known) < len(needed):
        return None
    in_groups = wanted.contrast is not None or wanted.power is not None
    n_units = max(known)
    while True:
        # Groups are of one size.
        n_units = 3 * -(-n_units // 3) if in_groups else n_units
        if n_units > most_units:
            return None
        design = replace(start, n_units=n_units)
        found = design_row(variances, design, pay, n_simulations, rng)
        if _reached(found, wanted):
            return found
        # One question's search stopped short of what another's design gives.
        n_units = max(n_units + 1, round(1.02 * n_units))


def _reached(row: Mapping[str, Any], wanted: Wanted) -> bool:
    """Say whether a design reaches all of it, within one error of its simulation.

    Who asked until a design is over the line would take one that was lucky.
    """
    return all(
        row["power"] + row["power_error"] >= value
        if goal == "power"
        else row[f"{question}_width"] - row[f"{question}_error"] <= value
        for question, goal, value in wanted.goals()
    )


def design_row(
    variances: Variances,
    design: StudyDesign,
    pay: Pay,
    n_simulations: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return what one design costs and gives; a question it is too small for is NaN."""
    cost: Cost = study_cost(design.n_participants, design.trials_each, pay)
    row: dict[str, Any] = {
        "answers_per_unit": design.answers_per_unit,
        "n_units": design.n_units,
        "n_participants": design.n_participants,
        "n_paid": cost.n_paid,
        "hours": cost.hours,
        "reward": cost.reward,
        "total": cost.total,
    }
    for question in QUESTIONS:
        found = None
        if design.n_units >= FEWEST_UNITS[question]:
            found = outcomes(
                question, variances, design, n_simulations=n_simulations, rng=rng
            )
        row |= _question_row(question, found)
    return row


def _question_row(question: str, found: Outcomes | None) -> dict[str, object]:
    row: dict[str, object] = {
        f"{question}_width": np.nan if found is None else found.width,
        f"{question}_error": np.nan if found is None else found.width_error,
    }
    if question == "contrast":
        row["power"] = np.nan if found is None else found.power
        row["power_error"] = np.nan if found is None else found.power_error
    return row


def _needed(
    variances: Variances,
    wanted: Wanted,
    start: StudyDesign,
    n_simulations: int,
    most_units: int,
    rng: np.random.Generator,
) -> dict[str, int | None]:
    needed: dict[str, int | None] = {}
    for question, goal, value in wanted.goals():
        name = "power" if goal == "power" else question
        needed[name] = units_needed(
            question,
            variances,
            start,
            value,
            goal=goal,
            n_simulations=max(n_simulations, 20),
            rng=rng,
            most=most_units,
        )
    return needed


def _curve(
    variances: Variances,
    design: StudyDesign,
    pay: Pay,
    n_simulations: int,
    rng: np.random.Generator,
    tell: Progress,
) -> list[dict[str, object]]:
    found = []
    for share in CURVE:
        n_units = max(6, 3 * round(share * design.n_units / 3))
        tell(f"curve: {n_units} units with {design.answers_per_unit} answers")
        tried = replace(design, n_units=n_units)
        found.append(design_row(variances, tried, pay, max(n_simulations, 20), rng))
    return found


def _with_cheapest(designs: pd.DataFrame) -> pd.DataFrame:
    total = designs.get("total", pd.Series(np.nan, index=designs.index))
    best = total == total.min()
    return designs.assign(cheapest=best & ~best.duplicated())
