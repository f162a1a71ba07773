"""Tasks, images, a selection and scores to a self-contained study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.atlases import least_padded, padded
from data.errors import DataContractError
from data.files import bytes_hash, whole_folder
from data.formats import Header, software_versions
from data.images import ImageSet
from data.scores import Scores
from data.selections import Selection
from data.studies import (
    STUDY_VERSION,
    Cells,
    Kind,
    Presentation,
    Row,
    StudyConfig,
    StudyTrial,
    write_study_files,
)
from data.tasks import Task, TaskSet
from data.units import UnitId
from stimuli.atlas import atlas_jpeg, draw_cells
from stimuli.compile_pools import Pools, choose_pools
from stimuli.compile_slots import (
    SideBalance,
    TaskTurns,
    draw_units,
    in_turn,
    presented,
    purpose_rng,
    spread,
)
from stimuli.compile_texts import right_options, study_texts

_IMAGES_IN_MEMORY = 1500
"""Of 150 kB each; images of extreme ranks occur in many tasks."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Materials:
    """What a study is compiled from.

    Attributes
    ----------
    tasks : TaskSet
    images : ImageSet
        The set that the tasks were drawn from.
    selection : Selection
        The units of the main trials.
    scores : Scores
        Of the same tasks; they choose practice, catch and instructed trials.
    made_from : mapping of str to str
        Fingerprint of each of them.
    network : mapping
        The configuration of the recording, or empty where it is not known.
    """

    tasks: TaskSet
    images: ImageSet
    selection: Selection
    scores: Scores
    made_from: Mapping[str, str]
    network: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made_from = self.scores.header.made_from.get("tasks")
        if made_from is not None and made_from != self.made_from["tasks"]:
            raise DataContractError(
                "The scores were made from other tasks than those given. Give the tasks"
                " that were scored, or score these."
            )
        for image_id, content in zip(
            self.tasks.image_ids, self.tasks.content, strict=True
        ):
            if self.images.content_hash(image_id) != content:
                raise DataContractError(
                    f"Image {image_id!r} has another content in the image set than in"
                    " the tasks. Give the image set that was recorded, or record"
                    " again."
                )

    @property
    def groups(self) -> dict[UnitId, str]:
        """The selected units with their group."""
        units = self.selection.units
        names = map(UnitId.parse, units["unit"])
        return dict(zip(names, units["group"], strict=True))


@dataclass(frozen=True)
class PlannedTrial:
    """A trial before its atlas is drawn."""

    kind: Kind
    task: Task
    group: str | None = None
    obvious: bool | None = None
    instructed_query: Row | None = None


@dataclass(frozen=True)
class Plan:
    """All that is decided before the first image is read.

    Attributes
    ----------
    trials : dict of str to PlannedTrial
        By trial id.
    slots : tuple of tuple of Presentation
    """

    trials: dict[str, PlannedTrial]
    slots: tuple[tuple[Presentation, ...], ...]


def compile_study(
    folder: Path,
    materials: Materials,
    config: StudyConfig,
    *,
    seed: int,
    tasks_per_unit: int | None = None,
    advance: Callable[[int], None] = lambda n_trials: None,
) -> None:
    """Write a study, whole or not at all; equal inputs give equal bytes.

    Parameters
    ----------
    tasks_per_unit : int or None
        How many of each selected unit's tasks are shown (IMI: 11); None for all.
    advance : callable
        Told the number of atlases after each one.

    Raises
    ------
    DataContractError
        The materials don't fit together or don't suffice for ``config``.
    """
    plan = plan_study(materials, config, seed=seed, tasks_per_unit=tasks_per_unit)
    with whole_folder(folder) as part:
        trials = _write_atlases(part / "atlases", materials, plan, seed, advance)
        write_study_files(
            part,
            config=config,
            trials=trials,
            slots=plan.slots,
            texts=study_texts(
                config,
                materials.tasks.config.n_explanations,
                materials.tasks.config.explanation_method,
            ),
            header=_header(materials, seed, tasks_per_unit),
            comprehension=right_options(config),
        )


def _write_atlases(
    folder: Path,
    materials: Materials,
    plan: Plan,
    seed: int,
    advance: Callable[[int], None],
) -> list[StudyTrial]:
    """Draw all atlases, all of one size in bytes; return the trials in their order."""
    display = lru_cache(_IMAGES_IN_MEMORY)(materials.images.display)
    config = materials.tasks.config
    folder.mkdir()
    drawn: list[tuple[str, Cells, Path]] = []
    n_bytes = 0
    # By trial id, so that even the order of writing tells nothing.
    for trial_id in sorted(plan.trials):
        task = plan.trials[trial_id].task
        cells = draw_cells(task, purpose_rng(seed, f"cells {trial_id}"))
        content = atlas_jpeg(task, cells, display)
        path = folder / (_opaque(seed, f"atlas {trial_id}", length=32) + ".jpg")
        path.write_bytes(content)
        n_bytes = max(n_bytes, least_padded(content))
        drawn.append((trial_id, cells, path))
        advance(len(plan.trials))
    trials = []
    for trial_id, cells, path in drawn:
        content = padded(path.read_bytes(), n_bytes)
        path.write_bytes(content)
        planned = plan.trials[trial_id]
        trials.append(
            StudyTrial(
                trial_id=trial_id,
                kind=planned.kind,
                task=planned.task,
                atlas=path.name,
                atlas_sha256=bytes_hash(content),
                cells=cells,
                group=planned.group,
                obvious=planned.obvious,
                explanation_method=config.explanation_method,
                difficulty=str(config.difficulty),
                instructed_query=planned.instructed_query,
            )
        )
    return trials


def plan_study(
    materials: Materials,
    config: StudyConfig,
    *,
    seed: int,
    tasks_per_unit: int | None = None,
) -> Plan:
    """Decide which trials there are and what each slot shows.

    Raises
    ------
    DataContractError
        As in :func:`compile_study`.
    """
    tasks, groups = materials.tasks, materials.groups
    n_tasks = _shown_tasks(tasks.config.n_tasks, tasks_per_unit)
    for unit in groups:
        tasks.row(unit)
    units = draw_units(
        groups,
        n_slots=config.n_slots,
        n_main_trials=config.n_main_trials,
        rng=purpose_rng(seed, "units"),
    )
    pools = choose_pools(tasks, materials.scores, groups, config)
    trials: dict[str, PlannedTrial] = {}
    turns = TaskTurns(n_tasks, purpose_rng(seed, "tasks"))
    slots = []
    for own in units:
        slot = []
        for unit in own:
            task = tasks.task(unit, turns.next(unit))
            slot.append(_add(trials, PlannedTrial("main", task, groups[unit]), seed))
        slots.append(slot)
    extra = _extra_trials(trials, pools, config, seed)
    return Plan(trials, _slots(trials, slots, extra, config, seed))


def _extra_trials(
    trials: dict[str, PlannedTrial], pools: Pools, config: StudyConfig, seed: int
) -> list[list[str]]:
    """Add the trials of all pools; return each slot's catch and instructed ones."""
    for task in pools.example:
        _add(trials, PlannedTrial("example", task), seed)
    for task in pools.obvious:
        _add(trials, PlannedTrial("practice", task, obvious=True), seed)
    for task in pools.less_obvious:
        _add(trials, PlannedTrial("practice", task, obvious=False), seed)
    catch = [_add(trials, PlannedTrial("catch", task), seed) for task in pools.catch]
    rows: tuple[Row, Row] = ("upper", "lower")
    instructed = [
        _add(
            trials,
            PlannedTrial("instructed", task, instructed_query=rows[index % 2]),
            seed,
        )
        for index, task in enumerate(pools.instructed)
    ]
    instructed_slots = in_turn(
        instructed,
        n_slots=config.n_slots,
        n=config.n_instructed_trials,
        rng=purpose_rng(seed, "instructed trials"),
    )
    return [[*catch, *own] for own in instructed_slots]


def _slots(
    trials: dict[str, PlannedTrial],
    main_slots: Sequence[Sequence[str]],
    extra_slots: Sequence[Sequence[str]],
    config: StudyConfig,
    seed: int,
) -> tuple[tuple[Presentation, ...], ...]:
    order_rng = purpose_rng(seed, "order")
    main_balance = SideBalance(config, purpose_rng(seed, "sides of main trials"))
    extra_balance = SideBalance(config, purpose_rng(seed, "sides of other trials"))
    slots = []
    for main, extra in zip(main_slots, extra_slots, strict=True):
        # Balanced by unit: a single task is shown too seldom.
        units = [str(trials[trial_id].task.unit) for trial_id in main]
        sides = dict(zip(main, main_balance.sides(units), strict=True))
        sides |= dict(zip(extra, extra_balance.sides(extra), strict=True))
        slots.append(presented(spread(main, extra, order_rng), sides))
    return tuple(slots)


def _add(trials: dict[str, PlannedTrial], planned: PlannedTrial, seed: int) -> str:
    trial_id = _opaque(seed, f"trial {planned.kind} {planned.task.task_id}", length=16)
    trials[trial_id] = planned
    return trial_id


def _opaque(seed: int, name: str, *, length: int) -> str:
    """Return a name that looks random and is the same for the same seed."""
    return bytes_hash(f"{seed} {name}".encode())[:length]


def _shown_tasks(n_tasks: int, tasks_per_unit: int | None) -> int:
    if tasks_per_unit is None:
        return n_tasks
    if not 1 <= tasks_per_unit <= n_tasks:
        raise DataContractError(
            f"'tasks_per_unit' is {tasks_per_unit}; it must be in [1, {n_tasks}], as"
            f" each unit has {n_tasks} tasks. Lower it, or draw more tasks."
        )
    return tasks_per_unit


def _header(materials: Materials, seed: int, tasks_per_unit: int | None) -> Header:
    return Header(
        format="study",
        version=STUDY_VERSION,
        config={
            "tasks": dict(materials.tasks.header.config),
            "tasks_per_unit": tasks_per_unit,
            "scores": dict(materials.scores.header.config),
            "selection": dict(materials.selection.header.config),
            "network": dict(materials.network),
        },
        seed=seed,
        made_from=dict(materials.made_from),
        software=software_versions("numpy", "pillow", "scipy"),
    )
