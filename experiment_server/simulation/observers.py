"""How well a simulated participant does a trial, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandera.pandas as pa
from scipy.special import expit, logit

from data.errors import DataContractError
from data.scores import read_scores
from data.studies import Row, Study, StudyTrial
from data.tables import read_csv
from experiment_server.simulation.people import Person
from experiment_server.simulation.recognition import ShownTrial

EASY = 0.99
"""Probability correct of trials that ask for attention only."""

FOLLOWED = 0.995
"""Probability that an instruction is followed."""

_CONFIDENCE_NOISE = 0.2
_RT_SPREAD = 0.35

TABLE = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "proportion_correct": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="a number in [0, 1]"
        ),
    },
    coerce=True,
    name="a table of planted proportions correct",
)


class Observer(Protocol):
    """What tells how well a person does a trial."""

    @property
    def name(self) -> str:
        """What marks its sessions in the database."""

    def probability_correct(self, trial: StudyTrial, person: Person) -> float:
        """Return the probability of a correct answer, in [0, 1]."""

    def row_bias(self, person: Person) -> float:
        """Return what is added to the log odds of the upper row."""


@dataclass(frozen=True)
class TableObserver:
    """Answers main trials with a probability correct that is planted for each unit.

    Attributes
    ----------
    planted : mapping of str to float
        By unit; None for 0.5 everywhere.
    """

    name: str
    planted: Mapping[str, float] | None

    def probability_correct(self, trial: StudyTrial, person: Person) -> float:
        """Return the planted value; practice and catch trials are easy."""
        if trial.kind != "main":
            return EASY
        return 0.5 if self.planted is None else self.planted[str(trial.task.unit)]

    def row_bias(self, person: Person) -> float:
        """Return none, so that what was planted is what is measured."""
        return 0.0


@dataclass(frozen=True)
class SimilarityObserver:
    """Answers by another encoder's margins, with ability, lapses and a row bias.

    Attributes
    ----------
    margins : mapping of str to float
        By task id.
    tau : float
        Scale of the margins, above 0.
    """

    name: str
    margins: Mapping[str, float]
    tau: float

    def probability_correct(self, trial: StudyTrial, person: Person) -> float:
        """Return ``lapse / 2 + (1 - lapse) * sigmoid(ability * margin / tau)``.

        The queries of a catch trial are among the explanations: only lapses fail.
        """
        if trial.kind == "catch":
            return 1 - person.lapse / 2
        margin = self.margins[trial.task.task_id]
        sigmoid = float(expit(person.ability * margin / self.tau))
        return person.lapse / 2 + (1 - person.lapse) * sigmoid

    def row_bias(self, person: Person) -> float:
        """Return the person's own."""
        return person.row_bias


def table_observer(path: Path, study: Study) -> TableObserver:
    """Read planted proportions correct for all units of a study.

    Raises
    ------
    DataContractError
        The table is broken, or lacks a unit of the study.
    """
    table = read_csv(path, TABLE)
    planted = dict(zip(table["unit"], table["proportion_correct"], strict=True))
    units = {str(trial.task.unit) for trial in study.of_kind("main")}
    if missing := sorted(units - planted.keys()):
        raise DataContractError(
            f"{path} lacks {len(missing)} of the study's {len(units)} units, first"
            f" {missing[0]!r}. Add a row for each."
        )
    return TableObserver("table", planted)


def similarity_observer(folder: Path, study: Study) -> SimilarityObserver:
    """Read an encoder's margins for all tasks of a study.

    Raises
    ------
    DataContractError
        The scores are broken, name no tau, or lack a task of the study.
    """
    scores = read_scores(folder)
    tau = scores.header.config.get("tau")
    if not isinstance(tau, int | float) or tau <= 0:
        raise DataContractError(
            f"{folder} names no 'tau' above 0, the scale of its margins. Score the"
            " tasks again."
        )
    table = scores.tasks
    margins = dict(zip(table["task_id"], table["margin"], strict=True))
    needed = {
        trial.task.task_id for trial in study.trials.values() if trial.kind != "catch"
    }
    if missing := sorted(needed - margins.keys()):
        raise DataContractError(
            f"{folder} lacks {len(missing)} of the study's tasks, first {missing[0]!r}."
            " Score the tasks that the study was compiled from."
        )
    return SimilarityObserver("similarity", margins, float(tau))


@dataclass(frozen=True)
class Choice:
    """What a person answers."""

    row: Row
    confidence: int
    rt_ms: float


def choose(
    observer: Observer,
    person: Person,
    shown: ShownTrial,
    *,
    n_levels: int,
    lock_ms: float,
    rng: np.random.Generator,
) -> Choice:
    """Draw a person's answer to a trial.

    Parameters
    ----------
    n_levels : int
        Levels of confidence; it follows the probability correct, with noise.
    lock_ms : float
        No answer is given earlier.
    """
    p = _probability_correct(observer, person, shown)
    certainty = abs(2 * p - 1)
    p_upper = p if shown.correct == "upper" else 1 - p
    if bias := observer.row_bias(person):
        p_upper = float(expit(logit(p_upper) + bias))
    if person.careless == "same_row" and shown.trial.kind != "practice":
        p_upper = 1.0
    row: Row = "upper" if rng.random() < p_upper else "lower"
    felt = certainty + rng.normal(0, _CONFIDENCE_NOISE)
    confidence = 1 + int(np.clip(felt * n_levels, 0, n_levels - 1))
    slowness = 1.2 - 0.4 * certainty
    rt_ms = person.median_rt_ms * slowness * float(rng.lognormal(0, _RT_SPREAD))
    return Choice(row, confidence, round(max(rt_ms, lock_ms + 50), 1))


def _probability_correct(
    observer: Observer, person: Person, shown: ShownTrial
) -> float:
    kind = shown.trial.kind
    if kind == "instructed":
        return 0.0 if person.careless == "ignores_instructed" else FOLLOWED
    wrong_at = {"fails_practice": "practice", "fails_catch": "catch"}
    if person.careless is not None:
        if wrong_at.get(person.careless) == kind:
            return 0.0
        if kind == "practice":
            # Who is meant to be caught later has to get that far.
            return 1.0
    return observer.probability_correct(shown.trial, person)
