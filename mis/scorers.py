"""From images, features or a recording to the scores of a part of the tasks."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.command_line import say
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header, software_versions
from data.recordings import Recording, read_recording
from data.scores import VERSION, Scores
from data.task_blocks import StoredTasks
from data.tasks import TaskSet, read_tasks
from mis import methods
from mis.encoders.protocol import ImageEncoder, by_features
from mis.fresh_pairs import FreshPairs
from mis.inputs import StoredFeatures, margin_plan, margins_by
from mis.methods import METHODS
from mis.score import score_units, unit_table
from mis.tau_file import scale_of


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreInputs:
    """What the tasks are scored by.

    Attributes
    ----------
    tasks : StoredTasks
    encoder : ImageEncoder
    stored : StoredFeatures or FreshPairs
        Features of the images that the tasks and the recording name.
    used : (n_used,) int array
        Sorted indices of the images that the tasks name.
    recording : Recording or None
        Where the method needs it.
    header : Header
        Of the scores.
    """

    tasks: StoredTasks
    encoder: ImageEncoder
    stored: StoredFeatures | FreshPairs = field(repr=False)
    used: NDArray[np.integer] = field(repr=False)
    recording: Recording | None
    header: Header


def scorer(
    arguments: argparse.Namespace, inputs: ScoreInputs
) -> Callable[[TaskSet], Scores]:
    """Return the function that scores a part of the tasks by comparing images."""
    method, stored, recording = arguments.method, inputs.stored, inputs.recording
    if METHODS[method].needs == "margins":
        return _by_margins(arguments, inputs)
    assert isinstance(stored, StoredFeatures)  # no pairwise encoder came so far

    def scored(part: TaskSet) -> Scores:
        if method == "interpretability-index":
            values = methods.interpretability_index(stored.of, part)
        elif method == "top-similarity":
            values = methods.top_similarity(stored.of, part)
        else:
            assert recording is not None  # check_arguments asked for it
            rows = [recording.row(unit) for unit in part.units]
            values = methods.monosemanticity(stored.of, recording, rows)
        return _method_scores(part, method, values, inputs.header)

    return scored


def _by_margins(
    arguments: argparse.Namespace, inputs: ScoreInputs
) -> Callable[[TaskSet], Scores]:
    stored, plan = inputs.stored, None
    if by_features(inputs.encoder) and isinstance(stored, StoredFeatures):
        strategy = None if arguments.strategy == "auto" else arguments.strategy
        plan = margin_plan(
            inputs.tasks.n_units,
            inputs.tasks.config,
            stored,
            inputs.used,
            memory=int(arguments.memory * 1e9),
            strategy=strategy,
            device=arguments.device,
        )
    if arguments.explain:
        for line in plan.explained() if plan else _explained_pairs(stored):
            say(line)
    margins = margins_by(stored, inputs.encoder, inputs.used, plan=plan)
    scale = scale_of(inputs.header)

    def scored(part: TaskSet) -> Scores:
        scores = score_units(
            part,
            margins(part),
            tau=scale.tau,
            slope=scale.slope,
            offset=scale.offset,
            header=inputs.header,
        )
        return as_method(scores, arguments.method)

    return scored


def _explained_pairs(stored: StoredFeatures | FreshPairs) -> list[str]:
    lines = ["this encoder compares images in pairs: each pair once"]
    if isinstance(stored, FreshPairs):
        lines.append(
            "their features are more than the memory: not stored, but made anew in"
            f" blocks of {stored.block_size:,} images"
        )
    return lines


def as_method(scores: Scores, method: str) -> Scores:
    """Return hard accuracy in the place of MIS, where that is asked for."""
    if method == "mis":
        return scores
    units = scores.units.assign(mis=scores.units["hard_accuracy"])
    return Scores(
        units=units,
        header=scores.header,
        margins=scores.margins,
        task_kind=scores.task_kind,
    )


def _method_scores(
    tasks: TaskSet, method: str, values: methods.Values, header: Header
) -> Scores:
    """Return a score table of a method, with its own values beside."""
    units = unit_table(tasks, mis=methods.scaled(method, values), value=values)
    gone = units["mis"].isna() & units["reason"].isna()
    units.loc[gone, "reason"] = f"{method} is not defined for this unit"
    return Scores(units=units, header=header)


def from_recording(arguments: argparse.Namespace, tasks_hash: str) -> Scores:
    """Score by what a recording holds of its units; no images are compared.

    Raises
    ------
    DataContractError
        The recording is not that of the tasks.
    """
    tasks = read_tasks(arguments.tasks)
    recording = recording_of(arguments, tasks)
    assert recording is not None  # check_arguments asked for it
    rows = [recording.row(unit) for unit in tasks.units]
    values = methods.from_statistics(arguments.method, recording, rows)
    header = Header(
        format="scores",
        version=VERSION,
        config=method_config(arguments.method),
        made_from={"tasks": tasks_hash, "recording": folder_hash(arguments.recording)},
        software=software_versions("numpy"),
    )
    return _method_scores(tasks, arguments.method, values, header)


def recording_of(
    arguments: argparse.Namespace, tasks: TaskSet | StoredTasks
) -> Recording | None:
    """Return the recording where the method needs it, else None.

    Raises
    ------
    DataContractError
        The recording is not that of the tasks.
    """
    if "recording" not in METHODS[arguments.method].needs:
        return None
    recording = read_recording(arguments.recording)
    if (recording.image_ids, recording.content) != (tasks.image_ids, tasks.content):
        raise DataContractError(
            f"The recording {arguments.recording} is over other images than the tasks"
            " were drawn from. Give the recording of the tasks."
        )
    return recording


def recorded_images(recording: Recording, tasks: TaskSet) -> NDArray[np.integer]:
    """Return indices of all images whose activations of the tasks' units are known."""
    if all(unit in recording.full for unit in tasks.units):
        return np.arange(len(recording.image_ids))
    rows = [recording.row(unit) for unit in tasks.units]
    return np.union1d(recording.top_index[rows], recording.bottom_index[rows])


def method_config(method: str) -> dict[str, Any]:
    """Return what a header says of the method."""
    if method == "mis":
        return {"method": method}
    entry = METHODS[method]
    return {"method": method, "scale": entry.scale, "source": entry.source}
