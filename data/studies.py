"""A compiled study: all that a server, a lab or an archive needs to run it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from data.errors import DataContractError
from data.exclusion import IMI, ExclusionCriteria
from data.files import read_json, write_json
from data.formats import Header, read_header, write_header
from data.images import DISPLAY_SIDE
from data.tasks import Task
from data.units import UnitId, near_names

Polarity = Literal["positive", "negative"]
Side = Literal["left", "right"]
Row = Literal["upper", "lower"]
Kind = Literal["example", "practice", "main", "catch", "instructed"]

ATLAS_COLUMNS = 5

STUDY_VERSION = 2
"""Of a study's folder; since 2, the cells of an atlas can change places."""


class StudyConfig(BaseModel):
    """The settings of a study. Times in ms; sizes in CSS pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = "Which image belongs to the right?"
    language: Literal["en", "de"] = "en"
    contact: str = Field("the researchers who sent you here", min_length=1)
    n_slots: int = Field(ge=1, description="sessions to fill with valid data")
    n_main_trials: int = Field(ge=1, description="per session")
    n_catch_trials: int = Field(5, ge=0, description="per session")
    n_instructed_trials: int = Field(2, ge=0, description="per session")
    n_obvious_practice: int = Field(4, ge=0, description="per practice round")
    n_less_obvious_practice: int = Field(1, ge=0, description="per practice round")
    max_practice_rounds: int = Field(3, ge=1)
    confidence_levels: int = Field(3, ge=2, le=6)
    sides: Literal["balanced", "fixed"] = Field(
        "balanced", description="fixed: positive explanations always right, as in IMI"
    )
    feedback: Literal["practice", "all", "none"] = "practice"
    show_score: bool = Field(False, description="running count of correct answers")
    keys: bool = Field(True, description="whether keys give answers, beside the mouse")
    wording: dict[str, str] = Field(
        default_factory=dict,
        description="the study's own words in trials, by the page's names for them",
    )
    instructions: Literal["own", "imi"] = Field(
        "own", description="imi: its pages, in its order"
    )
    comprehension: bool = Field(
        True, description="questions about the instructions before practice"
    )
    max_comprehension_attempts: int = Field(2, ge=1)
    fullscreen: Literal["off", "ask"] = Field(
        "off", description="whether the page offers to fill the screen"
    )
    expected_minutes: float | None = Field(
        None, gt=0, description="told at the start; None: by the number of trials"
    )
    lock_ms: int = Field(500, ge=0, description="answers are locked after onset")
    blank_ms: int = Field(150, ge=0, description="between two trials")
    feedback_delay_ms: int = Field(350, ge=0)
    feedback_ms: int = Field(1150, ge=0)
    break_every: int | None = Field(
        20, ge=1, description="trials of the main block, of any kind, between breaks"
    )
    min_window: tuple[int, int] = (940, 600)
    lease_minutes: float = Field(60, gt=0, description="of a slot without an answer")
    after_lease: Literal["end", "resume"] = Field(
        "end", description="resume: who comes back goes on while the slot is free"
    )
    exclusion: ExclusionCriteria = Field(
        IMI, description="the pre-registered criteria, for server and analysis"
    )

    @classmethod
    def of(cls, settings: Mapping[str, Any], source: object = "The study") -> Self:
        """Check settings.

        Raises
        ------
        DataContractError
            Names the first setting that is missing, unknown or out of range.
        """
        try:
            return cls(**settings)
        except pydantic.ValidationError as error:
            said = _worded(dict(error.errors()[0]), cls.model_fields)
            raise DataContractError(f"{source}: {said}") from error

    @field_validator("exclusion", mode="before")
    @classmethod
    def _off_is_none(cls, value: Any) -> Any:
        # TOML, in which settings are written, has no word for nothing.
        if not isinstance(value, dict):
            return value
        return {name: None if one == "off" else one for name, one in value.items()}

    @model_validator(mode="after")
    def _practice_has_trials(self) -> Self:
        if self.n_obvious_practice + self.n_less_obvious_practice == 0:
            raise ValueError(
                "'n_obvious_practice' and 'n_less_obvious_practice' are both 0; a"
                " practice round needs at least one trial. Raise one of them."
            )
        return self


def _worded(error: Mapping[str, Any], known: Iterable[str]) -> str:
    """Say what pydantic found, as this project does."""
    name = ".".join(str(part) for part in error["loc"])
    if not name:
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{name!r} is missing; a study needs it. Add this setting."
    if error["type"] == "extra_forbidden":
        return f"{name!r} is no setting of a study. {near_names(name, known)}"
    said = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return f"{name!r} is {error['input']!r}; {said}. Mend this setting."


IMI_PRESET: dict[str, Any] = {
    "n_main_trials": 40,
    "n_catch_trials": 5,
    "n_instructed_trials": 0,
    "sides": "fixed",
    "feedback": "all",
    "show_score": True,
    "lock_ms": 1500,
    "keys": False,
    "blank_ms": 0,
    "instructions": "imi",
    "comprehension": False,
    "fullscreen": "ask",
    "break_every": None,
}
"""What IMI did, where our own defaults differ."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Which cell of the atlas holds which image; cells count row by row from 0.

    This is the answer: it stays on the server.
    """

    positive_query: int
    negative_query: int
    positive_explanations: tuple[int, ...]
    negative_explanations: tuple[int, ...]

    def query(self, polarity: Polarity) -> int:
        """Return the cell of a query."""
        return self.positive_query if polarity == "positive" else self.negative_query

    def explanations(self, polarity: Polarity) -> tuple[int, ...]:
        """Return the cells of a polarity's explanations, the most extreme first."""
        if polarity == "positive":
            return self.positive_explanations
        return self.negative_explanations


@dataclass(frozen=True, kw_only=True)
class StudyTrial:
    """One task in its place in a study, with its atlas.

    Attributes
    ----------
    trial_id : str
        Opaque and unique in the study.
    kind : str
        "example" trials stand in the instructions only.
    obvious : bool or None
        For practice trials.
    task : Task
        Its queries are as shown: those of a catch trial are also explanations.
    group : str or None
        The group that the unit was selected for.
    explanation_method, difficulty : str
    atlas : str
        File name in ``atlases/``; says nothing about the trial.
    atlas_sha256 : str
    cells : Cells
    instructed_query : "upper", "lower" or None
        What the instruction of an instructed trial asks for.
    """

    trial_id: str
    kind: Kind
    task: Task
    atlas: str
    atlas_sha256: str
    cells: Cells
    group: str | None = None
    obvious: bool | None = None
    explanation_method: str = "natural"
    difficulty: str = "easy"
    instructed_query: Row | None = None


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """A trial as one participant is to see it."""

    trial_id: str
    positive_side: Side
    upper_query: Polarity

    @property
    def right_polarity(self) -> Polarity:
        """The polarity on the right, which the question is about."""
        return "positive" if self.positive_side == "right" else "negative"

    def shown(self, row: Row) -> Polarity:
        """Return the polarity of the query in a row."""
        if row == "upper":
            return self.upper_query
        return "negative" if self.upper_query == "positive" else "positive"


def correct_row(trial: StudyTrial, presentation: Presentation) -> Row:
    """Return the row whose choice is correct."""
    if trial.instructed_query is not None:
        return trial.instructed_query
    asked = asked_polarity(trial, presentation)
    return "upper" if presentation.upper_query == asked else "lower"


def asked_polarity(trial: StudyTrial, presentation: Presentation) -> Polarity:
    """Return the polarity that a trial's question is about.

    That of the examples on the right; where only the left has some, theirs; and where
    there are none, the positive one: the page asks which image the unit responds to
    more strongly.
    """
    right = presentation.right_polarity
    left: Polarity = "negative" if right == "positive" else "positive"
    for polarity in (right, left):
        if trial.cells.explanations(polarity):
            return polarity
    return "positive"


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """A study as it lies in its folder.

    Attributes
    ----------
    folder : Path
    config : StudyConfig
    trials : mapping of str to StudyTrial
        By trial id.
    slots : tuple of tuple of Presentation
        What the session of each slot shows after practice, in order.
    texts : mapping
        'consent' (str), 'consent_version' (str), 'instructions' (list of pages with
        'text' and 'highlight'), 'debrief' (str), where there are any 'comprehension'
        (list of 'question' and 'options') and 'withdrawal' (str: what stopping means
        for the answers and the pay); paragraphs are separated by an empty line,
        **bold** is the only markup.
    header : Header
    comprehension : tuple of int
        The right option of each question about the instructions, from 0.
    """

    folder: Path
    config: StudyConfig
    trials: Mapping[str, StudyTrial]
    slots: tuple[tuple[Presentation, ...], ...]
    texts: Mapping[str, Any]
    header: Header = field(repr=False)
    comprehension: tuple[int, ...] = ()

    def of_kind(self, kind: Kind) -> list[StudyTrial]:
        """Return the trials of one kind, by id."""
        return list(self._by_kind.get(kind, ()))

    @cached_property
    def _by_kind(self) -> Mapping[Kind, Sequence[StudyTrial]]:
        found: dict[Kind, list[StudyTrial]] = {}
        for trial in sorted(self.trials.values(), key=lambda one: one.trial_id):
            found.setdefault(trial.kind, []).append(trial)
        return found

    def atlas_path(self, trial: StudyTrial) -> Path:
        """Return where the trial's atlas lies."""
        return self.folder / "atlases" / trial.atlas


def questions_match(study: Study) -> bool:
    """Whether every question about the instructions has a right option, and one."""
    questions = study.texts.get("comprehension") or []
    return len(questions) == len(study.comprehension) and all(
        0 <= right < len(one["options"])
        for one, right in zip(questions, study.comprehension, strict=True)
    )


def n_cells(*, n_images: int) -> int:
    """Return how many cells an atlas of ``n_images`` has: whole rows."""
    return -(-n_images // ATLAS_COLUMNS) * ATLAS_COLUMNS


def cell_position(cell: int) -> tuple[int, int]:
    """Return the left and top of a cell in atlas pixels."""
    row, column = divmod(cell, ATLAS_COLUMNS)
    return column * DISPLAY_SIDE, row * DISPLAY_SIDE


def atlas_size(*, n_images: int) -> tuple[int, int]:
    """Return width and height of an atlas in pixels, both multiples of 16."""
    rows = n_cells(n_images=n_images) // ATLAS_COLUMNS
    return ATLAS_COLUMNS * DISPLAY_SIDE, rows * DISPLAY_SIDE


def write_study_files(
    folder: Path,
    *,
    config: StudyConfig,
    trials: Sequence[StudyTrial],
    slots: Sequence[Sequence[Presentation]],
    texts: Mapping[str, Any],
    header: Header,
    comprehension: Sequence[int] = (),
) -> None:
    """Write all but the atlases: ``study.json``, ``texts.json`` and ``server/``.

    ``server/`` holds the answers and is never sent to a browser.
    """
    write_json(folder / "server" / "trials.json", [asdict(one) for one in trials])
    write_json(
        folder / "server" / "slots.json",
        [[asdict(one) for one in slot] for slot in slots],
    )
    if comprehension:
        write_json(folder / "server" / "comprehension.json", list(comprehension))
    write_json(folder / "texts.json", dict(texts))
    write_header(folder / "study.json", header, settings=config.model_dump(mode="json"))


def read_study(folder: Path) -> Study:
    """Read a compiled study.

    Raises
    ------
    DataContractError
        A part is missing, broken or of another version.
    """
    folder = Path(folder)
    header, own = read_header(
        folder / "study.json", format="study", versions=(STUDY_VERSION,)
    )
    config = StudyConfig.of(own["settings"], folder / "study.json")
    listed = folder / "server" / "trials.json"
    try:
        trials = [_trial(entry) for entry in read_json(listed)]
        slots = tuple(
            tuple(Presentation(**one) for one in slot)
            for slot in read_json(folder / "server" / "slots.json")
        )
    except (KeyError, TypeError) as error:
        raise DataContractError(
            f"{listed} or slots.json beside it is not what 'unitscope compile' writes"
            f" ({error}). Compile the study again."
        ) from error
    return Study(
        folder=folder,
        config=config,
        trials={trial.trial_id: trial for trial in trials},
        slots=slots,
        texts=read_json(folder / "texts.json"),
        header=header,
        comprehension=_comprehension(folder / "server" / "comprehension.json"),
    )


def _comprehension(path: Path) -> tuple[int, ...]:
    right = read_json(path) if path.exists() else []
    if isinstance(right, list) and all(type(one) is int for one in right):
        return tuple(right)
    raise DataContractError(
        f"{path} is no list of the right options' numbers. Compile the study again."
    )


def _trial(entry: dict[str, Any]) -> StudyTrial:
    task, cells = dict(entry["task"]), dict(entry["cells"])
    for part in (task, cells):
        for name in ("positive_explanations", "negative_explanations"):
            part[name] = tuple(part[name])
    task["unit"] = UnitId(**task["unit"])
    return StudyTrial(**(entry | {"task": Task(**task), "cells": Cells(**cells)}))
