"""Tasks: the one definition of the 2-AFC problem, for people and the machine alike."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from data.errors import DataContractError
from data.files import bytes_hash, whole_folder
from data.formats import Header, read_header, software_versions, write_header
from data.recordings import IMAGES, Recording, read_arrays, tie_keys
from data.tables import read_parquet
from data.units import UnitId, near_names

POSITIVE, NEGATIVE = 0, 1
"""Index of a polarity, for queries and for explanations."""

CONSTANT_RANGE = 1e-8
"""A unit whose activations span less than this is constant (MIS paper, App. F)."""

UNITS = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "tie_share": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="in [0, 1]"
        ),
        "reason": pa.Column(
            str, nullable=True, description="empty, or why the unit has no tasks"
        ),
    },
    coerce=True,
    name="the units of a task set",
)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """How tasks are drawn; stored beside the tasks it made.

    Attributes
    ----------
    n_tasks : int
        Tasks a unit (N of the MIS paper), above 0.
    n_explanations : int
        Explanations of each polarity in a task (K of the MIS paper), above 0.
    difficulty : "easy" or float
        "easy": queries are the images next to the explanations. A percentile in
        (50, 100), such as IMI's 99, 95 and 85: queries lie that far from the other
        end. Explanations are the most extreme images in either case.
    tied_units : "report" or "draw"
        What is done with a unit whose two queries can have equal activations, so
        that a task has no right answer: no tasks and a reason (the default), or
        tasks all the same, to compare with published code.
    explanation_method : "natural" or "synthetic"
        Images of the set, or feature visualizations.
    """

    n_tasks: int = 20
    n_explanations: int = 9
    difficulty: Literal["easy"] | float = "easy"
    tied_units: Literal["report", "draw"] = "report"
    explanation_method: Literal["natural", "synthetic"] = "natural"

    def __post_init__(self) -> None:
        for name in ("n_tasks", "n_explanations"):
            if getattr(self, name) < 1:
                raise DataContractError(
                    f"{name!r} is {getattr(self, name)}; it must be at least 1."
                )
        if self.difficulty != "easy" and not 50 < self.difficulty < 100:
            raise DataContractError(
                f"'difficulty' is {self.difficulty!r}; it must be 'easy' or a"
                " percentile in (50, 100), such as 95."
            )

    @property
    def n_extremes(self) -> int:
        """Images that a unit needs at each end: one a stratum and task."""
        return self.n_tasks * (self.n_explanations + 1)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One 2-AFC problem: no participant, no order, no screen.

    Attributes
    ----------
    task_id : str
        Unique; names unit, explanation method, difficulty and number.
    unit : UnitId
    number : int
        From 0 among the unit's tasks.
    positive_query, negative_query : str
        Image ids of what drives the unit strongly and weakly.
    positive_explanations, negative_explanations : tuple of str
        Image ids, one from every rank stratum, the most extreme first.
    """

    task_id: str
    unit: UnitId
    number: int
    positive_query: str
    negative_query: str
    positive_explanations: tuple[str, ...]
    negative_explanations: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """All images: positive query, negative query, then the explanations."""
        return (
            self.positive_query,
            self.negative_query,
            *self.positive_explanations,
            *self.negative_explanations,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class TaskSet:
    """All tasks of many units, as arrays of image indices.

    Attributes
    ----------
    units : (n_units,) tuple of UnitId
        The units that have tasks.
    image_ids : (n_images,) tuple of str
        What the indices point to.
    content : (n_images,) tuple of str
        SHA-256 of each image file.
    queries : (n_units, n_tasks, 2) int32 array
        Last axis: POSITIVE, NEGATIVE.
    explanations : (n_units, n_tasks, 2, n_explanations) int32 array
        Third axis: POSITIVE, NEGATIVE; last axis: strata, the most extreme first.
    table : DataFrame
        One row for every unit of the recording, also those without tasks: 'unit',
        'tie_share' (share of the images at its two ends whose activation equals
        that of another image at the same end), 'reason' (null where it has tasks).
    config : TaskConfig
    header : Header
    """

    units: tuple[UnitId, ...]
    image_ids: tuple[str, ...]
    content: tuple[str, ...]
    queries: NDArray[np.int32]
    explanations: NDArray[np.int32]
    table: pd.DataFrame
    config: TaskConfig
    header: Header = field(repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.units), self.config.n_tasks, 2)
        if self.queries.shape != shape or self.explanations.shape != (
            *shape,
            self.config.n_explanations,
        ):
            raise DataContractError(
                f"'queries' has shape {self.queries.shape} and 'explanations'"
                f" {self.explanations.shape}; {len(self.units)} units need {shape} and"
                f" {(*shape, self.config.n_explanations)}. Draw the tasks again."
            )

    @cached_property
    def _row(self) -> dict[UnitId, int]:
        return {unit: row for row, unit in enumerate(self.units)}

    def task_id(self, unit: UnitId, number: int) -> str:
        """Return the name of a unit's task."""
        method, difficulty = self.config.explanation_method, self.config.difficulty
        named = difficulty if difficulty == "easy" else f"p{difficulty:g}"
        return f"{unit}#{method}-{named}#{number}"

    def task(self, unit: UnitId, number: int) -> Task:
        """Return one task with its image ids.

        Raises
        ------
        DataContractError
            The unit has no tasks; its reason is given.
        """
        row = self.row(unit)
        ids = self.image_ids
        positive, negative = self.explanations[row, number]
        return Task(
            task_id=self.task_id(unit, number),
            unit=unit,
            number=number,
            positive_query=ids[self.queries[row, number, POSITIVE]],
            negative_query=ids[self.queries[row, number, NEGATIVE]],
            positive_explanations=tuple(ids[index] for index in positive),
            negative_explanations=tuple(ids[index] for index in negative),
        )

    def row(self, unit: UnitId) -> int:
        """Return a unit's row in the arrays; see :meth:`task` for errors."""
        if unit not in self._row:
            listed = self.table.loc[self.table["unit"] == str(unit), "reason"]
            if len(listed):
                raise DataContractError(
                    f"Unit '{unit}' has no tasks: {listed.iloc[0]}. Leave it out."
                )
            names = [str(one) for one in self.units]
            raise DataContractError(
                f"Unit '{unit}' is not in this task set. {near_names(str(unit), names)}"
            )
        return self._row[unit]

    def __iter__(self) -> Iterator[Task]:
        for unit in self.units:
            for number in range(self.config.n_tasks):
                yield self.task(unit, number)


def unit_rng(seed: int, unit: UnitId, purpose: str) -> np.random.Generator:
    """Return a generator that no other unit's presence can shift."""
    words = bytes_hash(f"{purpose} {unit}".encode())
    return np.random.default_rng([seed, int(words[:16], 16)])


def draw_tasks(
    recording: Recording,
    config: TaskConfig,
    *,
    seed: int,
    units: Iterable[UnitId] | None = None,
    made_from: str = "",
) -> TaskSet:
    """Draw the tasks of every unit, or of those named.

    Per polarity, the ``n_tasks * n_explanations`` most extreme images are
    explanations and the next ``n_tasks`` are queries. Both are cut into strata of
    ``n_tasks`` images by rank, every stratum is shuffled, and task *i* takes the
    *i*-th image of every stratum, so that all tasks of a unit are alike in strength
    and no image occurs twice among them.

    Parameters
    ----------
    made_from : str
        Fingerprint of the recording's folder, for the header.

    Raises
    ------
    DataContractError
        The recording or its image set is too small for ``config``, or a unit named
        is not in it.

    Notes
    -----
    MIS paper §3 and App. A.2; IMI's "fair batches". A unit's tasks depend on the
    recording, the configuration, the seed and its name, not on the other units.
    """
    _check_size(recording, config)
    chosen = list(recording.units if units is None else dict.fromkeys(units))
    rows, drawn, queries, explanations = [], [], [], []
    for unit in chosen:
        ends, reason = _ends(recording, unit, config)
        rows.append((str(unit), _tie_share(recording, unit, config), reason))
        if ends is None:
            continue
        rng = unit_rng(seed, unit, "tasks")
        strata = np.stack([_shuffled_strata(end, config, rng) for end in ends])
        drawn.append(unit)
        explanations.append(strata[:, :-1].transpose(2, 0, 1))
        queries.append(strata[:, -1].T)
    shape = (len(drawn), config.n_tasks, 2)
    return TaskSet(
        units=tuple(drawn),
        image_ids=recording.image_ids,
        content=recording.content,
        queries=np.array(queries, dtype=np.int32).reshape(shape),
        explanations=np.array(explanations, dtype=np.int32).reshape(
            *shape, config.n_explanations
        ),
        table=pd.DataFrame(rows, columns=list(UNITS.columns)).astype({"reason": "str"}),
        config=config,
        header=Header(
            format="tasks",
            version=1,
            config=asdict(config),
            seed=seed,
            made_from={"recording": made_from},
            software=software_versions("numpy"),
        ),
    )


def _check_size(recording: Recording, config: TaskConfig) -> None:
    needed, n_images = config.n_extremes, len(recording.image_ids)
    sizes = f"'n_tasks' {config.n_tasks} and 'n_explanations' {config.n_explanations}"
    if n_images < 2 * needed:
        raise DataContractError(
            f"The image set has {n_images} images; {sizes} need at least {2 * needed}"
            " so that no image is at both ends. Add images, or lower 'n_tasks'."
        )
    if recording.n_extremes < needed:
        raise DataContractError(
            f"The recording keeps {recording.n_extremes} images at each end; {sizes}"
            f" need {needed}. Record again with more, or lower 'n_tasks'."
        )
    if config.difficulty != "easy":
        start = _query_start(n_images, config)
        if (
            not config.n_tasks * config.n_explanations
            <= start
            <= (n_images // 2 - config.n_tasks)
        ):
            raise DataContractError(
                f"The percentile {config.difficulty:g} of {n_images} images starts the"
                f" queries at rank {start}; they must lie between the explanations and"
                " the middle. Add images, or name another percentile."
            )


def _query_start(n_images: int, config: TaskConfig) -> int:
    """Rank from the end of the first query, as in IMI's table of start positions."""
    if config.difficulty == "easy":
        return config.n_tasks * config.n_explanations
    return int((100 - config.difficulty) * n_images / 100)


def _ends(
    recording: Recording, unit: UnitId, config: TaskConfig
) -> tuple[tuple[NDArray[np.int32], NDArray[np.int32]] | None, str | None]:
    """Return image indices at both ends, explanations then queries; or a reason."""
    row = recording.row(unit)
    if recording.spans[row] < CONSTANT_RANGE:
        return None, f"constant: its activations span less than {CONSTANT_RANGE:g}"
    n_shown = config.n_tasks * config.n_explanations
    if config.difficulty == "easy":
        stop = config.n_extremes
        top, top_value = recording.top_index[row], recording.top_value[row]
        bottom, bottom_value = recording.bottom_index[row], recording.bottom_value[row]
        ranks = np.arange(stop)
    else:
        top, top_value, bottom, bottom_value = _ranked(recording, unit)
        start = _query_start(len(recording.image_ids), config)
        ranks = np.r_[np.arange(n_shown), np.arange(start, start + config.n_tasks)]
    weakest_positive = top_value[ranks[-1]]
    strongest_negative = bottom_value[ranks[-1]]
    if weakest_positive <= strongest_negative and config.tied_units == "report":
        return None, (
            "too few distinct activations: a positive query can have the same"
            f" activation as a negative one ({weakest_positive:g})"
        )
    return (top[ranks], bottom[ranks]), None


def _ranked(
    recording: Recording, unit: UnitId
) -> tuple[
    NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]
]:
    if unit not in recording.full:
        raise DataContractError(
            f"Unit '{unit}' has no full activations in this recording; a percentile"
            " as difficulty needs them. Record again and name the unit with --full."
        )
    value = recording.full[unit]
    images = np.arange(len(value), dtype=np.int32)
    # The recording's own keys, so that both ends are ordered as they are there.
    keys = tie_keys([unit], images, seed=recording.header.seed or 0)[0]
    top = np.lexsort((~keys, -value)).astype(np.int32)
    bottom = np.lexsort((keys, value)).astype(np.int32)
    return top, value[top], bottom, value[bottom]


def _shuffled_strata(
    end: NDArray[np.int32], config: TaskConfig, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return (n_explanations + 1, n_tasks) indices; the last stratum is queries."""
    strata = end.reshape(config.n_explanations + 1, config.n_tasks)
    return rng.permuted(strata, axis=1)


def _tie_share(recording: Recording, unit: UnitId, config: TaskConfig) -> float:
    row, n = recording.row(unit), config.n_extremes
    tied = 0
    for values in (recording.top_value[row, :n], recording.bottom_value[row, :n]):
        # Sorted, so that equal values stand side by side.
        same = values[1:] == values[:-1]
        tied += int(np.count_nonzero(np.r_[False, same] | np.r_[same, False]))
    return tied / (2 * n)


def write_tasks(folder: Path, tasks: TaskSet) -> None:
    """Write a task set whole or not at all."""
    with whole_folder(folder) as part:
        np.savez(
            part / "tasks.npz", queries=tasks.queries, explanations=tasks.explanations
        )
        tasks.table.to_parquet(part / "units.parquet", index=False)
        images = {"image_id": tasks.image_ids, "sha256": tasks.content}
        pd.DataFrame(images).to_parquet(part / "images.parquet", index=False)
        write_header(part / "tasks.json", tasks.header)


def read_tasks(folder: Path) -> TaskSet:
    """Read a task set.

    Raises
    ------
    DataContractError
        A part is missing, broken or of another version.
    """
    folder = Path(folder)
    header, _ = read_header(folder / "tasks.json", format="tasks", versions=(1,))
    table = read_parquet(folder / "units.parquet", UNITS)
    images = read_parquet(folder / "images.parquet", IMAGES)
    arrays = read_arrays(folder / "tasks.npz")
    return TaskSet(
        units=tuple(map(UnitId.parse, table.loc[table["reason"].isna(), "unit"])),
        image_ids=tuple(images["image_id"]),
        content=tuple(images["sha256"]),
        queries=arrays["queries"],
        explanations=arrays["explanations"],
        table=table,
        config=TaskConfig(**header.config),
        header=header,
    )
