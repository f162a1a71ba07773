"""The command ``unitscope score``: tasks to machine interpretability scores."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.command_line import progress, run_command, say
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header, read_header, software_versions
from data.images import ImageSet, read_image_set
from data.recordings import Recording, read_recording
from data.scores import (
    VERSION,
    Scores,
    read_scores,
    summary_of,
    write_score_parts,
)
from data.task_blocks import BLOCK, StoredTasks, open_tasks
from data.tasks import TaskSet, read_tasks
from mis import methods
from mis.encoders import ENCODERS, default_tau, load_encoder
from mis.encoders.protocol import (
    ImageEncoder,
    PairwiseEncoder,
    by_features,
    encoder_fingerprint,
)
from mis.fresh_pairs import FreshPairs
from mis.inputs import (
    StoredFeatures,
    check_images,
    margin_plan,
    margins_by,
    named_images,
    pair_features,
)
from mis.methods import METHODS
from mis.plan import DEFAULT_MEMORY
from mis.score import probabilities, rescored, score_units, unit_table
from mis.tau_file import Scale, given_scale


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope score",
        description="Score every unit of a task set with the machine observer (MIS).",
        epilog="encoders: "
        + "; ".join(f"{name} ({one.summary})" for name, one in ENCODERS.items())
        + "; timm:NAME, torchvision:NAME or open_clip:NAME/WEIGHTS, each with @LAYER"
        " behind; module:function; entry points of the group unitscope.encoders",
    )
    parser.add_argument("tasks", type=Path, nargs="?", help="task set")
    parser.add_argument("--images", type=Path, help="image set of the tasks")
    parser.add_argument("--out", type=Path, help="folder for the scores")
    parser.add_argument(
        "--encoder", default="dreamsim", help="what compares images (default dreamsim)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="file or folder of the encoder's weights, or 'download' from its authors"
        " (DreamSim: default ~/.cache/dreamsim)",
    )
    parser.add_argument(
        "--tau",
        help="temperature in units of the similarity, above 0, or a file of 'unitscope"
        " fit', whose slope and offset are taken too (default 0.16, the MIS paper's for"
        " DreamSim; st-lpips 0.05; calibrated for DreamSim only)",
    )
    parser.add_argument(
        "--features",
        type=Path,
        help="folder of the feature store (default: features beside the image set)",
    )
    parser.add_argument(
        "--half", action="store_true", help="store features as float16, half the size"
    )
    _add_methods(parser)
    _add_kernel(parser)
    return parser


def _add_methods(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margins",
        type=Path,
        metavar="SCORES",
        help="score again from the margins of these scores: no tasks, images or encoder"
        " are needed for another tau, fewer tasks or hard accuracy",
    )
    parser.add_argument(
        "--first", type=int, metavar="N", help="with --margins: first N tasks of a unit"
    )
    parser.add_argument(
        "--method", default="mis", choices=METHODS, help="how to score (default mis)"
    )
    parser.add_argument(
        "--recording", type=Path, help="recording of the tasks, where the method needs"
    )
    parser.add_argument(
        "--list-methods", action="store_true", help="tell what each method is"
    )


def _add_kernel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        choices=["auto", "gather", "gram"],
        default="auto",
        help="how to compute margins (default: what moves fewer bytes)",
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch, such as cuda (default cpu)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=DEFAULT_MEMORY / 1e9,
        metavar="GB",
        help="memory for features and similarities (default %(default).3g GB)",
    )
    parser.add_argument(
        "--explain", action="store_true", help="say how margins are computed, and why"
    )


def score(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.list_methods:
        for name, one in METHODS.items():
            print(f"{name}: {one.summary}; needs {one.needs}; {one.source}")
        return 0
    _check_arguments(arguments)
    if arguments.margins:
        return _score_again(arguments)
    tasks = open_tasks(arguments.tasks)
    tasks_hash = folder_hash(arguments.tasks)
    if METHODS[arguments.method].needs == "recording":
        scores = _from_recording(arguments, tasks_hash)
        return _written(arguments.out, [scores])
    image_set = read_image_set(arguments.images)
    used = named_images(len(tasks.image_ids), tasks.indices())
    check_images(tasks.image_ids, tasks.content, image_set, used)
    encoder = load_encoder(
        arguments.encoder, weights=arguments.weights, device=arguments.device
    )
    needs = METHODS[arguments.method].needs
    if needs != "margins" and isinstance(encoder, PairwiseEncoder):
        raise DataContractError(
            f"The method {arguments.method!r} needs cosines of features; the encoder"
            f" {arguments.encoder!r} compares images in pairs. Give another encoder."
        )
    header = _header(arguments, tasks_hash, image_set, encoder)
    probabilities(np.zeros(1), tau=header.config["tau"])
    if _stands(arguments.out, header):
        print(f"Nothing to do: {_summary(arguments.out)}")
        return 0
    recording, wanted = _recording_of(arguments, tasks), used
    parts: Iterable[TaskSet] = tasks.blocks()
    if recording is not None:
        # What a recording holds of all units is in memory, and so may the tasks be.
        parts = [read_tasks(arguments.tasks)]
        wanted = np.union1d(used, _recorded_images(recording, parts[0]))
        check_images(tasks.image_ids, tasks.content, image_set, wanted)
    stored = pair_features(
        tasks.image_ids,
        tasks.content,
        wanted,
        image_set=image_set,
        encoder=encoder,
        name=arguments.encoder,
        root=arguments.features or arguments.images.resolve().parent / "features",
        dtype="float16" if arguments.half else "float32",
        memory=int(arguments.memory * 1e9),
    )
    scored = _scorer(arguments, tasks, stored, used, encoder, header, recording)
    return _written(arguments.out, _followed(map(scored, parts), tasks.n_units))


def _check_arguments(arguments: argparse.Namespace) -> None:
    needs = METHODS[arguments.method].needs
    wanted: dict[str, bool] = {"--out": True}
    if arguments.margins:
        if needs != "margins":
            raise DataContractError(
                f"The method {arguments.method!r} needs {needs}; margins are enough for"
                " 'mis' and 'hard-accuracy' only. Give the tasks instead of --margins."
            )
    else:
        wanted |= {"TASKS": True, "--images": needs != "recording"}
        wanted["--recording"] = "recording" in needs
    for name, needed in wanted.items():
        given = getattr(arguments, name.strip("-").lower())
        if needed and given is None:
            raise DataContractError(
                f"{name} is not given; the method {arguments.method!r} needs it."
                " See unitscope score --help."
            )


def _scorer(
    arguments: argparse.Namespace,
    tasks: StoredTasks,
    stored: StoredFeatures | FreshPairs,
    used: NDArray[np.integer],
    encoder: ImageEncoder,
    header: Header,
    recording: Recording | None,
) -> Callable[[TaskSet], Scores]:
    """Return the function that scores a part of the tasks by comparing images."""
    method = arguments.method
    if METHODS[method].needs == "margins":
        return _by_margins(arguments, tasks, stored, used, encoder, header)
    assert isinstance(stored, StoredFeatures)  # no pairwise encoder came so far

    def scored(part: TaskSet) -> Scores:
        if method == "interpretability-index":
            values = methods.interpretability_index(stored.of, part)
        elif method == "top-similarity":
            values = methods.top_similarity(stored.of, part)
        else:
            assert recording is not None  # _check_arguments asked for it
            rows = [recording.row(unit) for unit in part.units]
            values = methods.monosemanticity(stored.of, recording, rows)
        return _method_scores(part, method, values, header)

    return scored


def _by_margins(
    arguments: argparse.Namespace,
    tasks: StoredTasks,
    stored: StoredFeatures | FreshPairs,
    used: NDArray[np.integer],
    encoder: ImageEncoder,
    header: Header,
) -> Callable[[TaskSet], Scores]:
    plan = None
    if by_features(encoder) and isinstance(stored, StoredFeatures):
        strategy = None if arguments.strategy == "auto" else arguments.strategy
        plan = margin_plan(
            tasks.n_units,
            tasks.config,
            stored,
            used,
            memory=int(arguments.memory * 1e9),
            strategy=strategy,
            device=arguments.device,
        )
    if arguments.explain:
        for line in plan.explained() if plan else _explained_pairs(stored):
            say(line)
    margins = margins_by(stored, encoder, used, plan=plan)
    config = header.config

    def scored(part: TaskSet) -> Scores:
        scores = score_units(
            part,
            margins(part),
            tau=config["tau"],
            slope=config.get("slope", 1.0),
            offset=config.get("offset", 0.0),
            header=header,
        )
        return _as_method(scores, arguments.method)

    return scored


def _followed(parts: Iterable[Scores], n_units: int) -> Iterator[Scores]:
    """Yield the scores, with a bar where there is more than one part to wait for."""
    if n_units <= BLOCK:
        yield from parts
        return
    with progress() as bar:
        line = bar.add_task("Scores", total=n_units)
        for scores in parts:
            bar.advance(line, len(scores.scored_units))
            yield scores


def _explained_pairs(stored: StoredFeatures | FreshPairs) -> list[str]:
    lines = ["this encoder compares images in pairs: each pair once"]
    if isinstance(stored, FreshPairs):
        lines.append(
            "their features are more than the memory: not stored, but made anew in"
            f" blocks of {stored.block_size:,} images"
        )
    return lines


def _as_method(scores: Scores, method: str) -> Scores:
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


def _from_recording(arguments: argparse.Namespace, tasks_hash: str) -> Scores:
    tasks = read_tasks(arguments.tasks)
    recording = _recording_of(arguments, tasks)
    assert recording is not None  # _check_arguments asked for it
    rows = [recording.row(unit) for unit in tasks.units]
    values = methods.from_statistics(arguments.method, recording, rows)
    header = Header(
        format="scores",
        version=VERSION,
        config=_method_config(arguments.method),
        made_from={"tasks": tasks_hash, "recording": folder_hash(arguments.recording)},
        software=software_versions("numpy"),
    )
    return _method_scores(tasks, arguments.method, values, header)


def _recording_of(
    arguments: argparse.Namespace, tasks: TaskSet | StoredTasks
) -> Recording | None:
    """Return the recording where the method needs it, checked against the tasks."""
    if "recording" not in METHODS[arguments.method].needs:
        return None
    recording = read_recording(arguments.recording)
    if (recording.image_ids, recording.content) != (tasks.image_ids, tasks.content):
        raise DataContractError(
            f"The recording {arguments.recording} is over other images than the tasks"
            " were drawn from. Give the recording of the tasks."
        )
    return recording


def _recorded_images(recording: Recording, tasks: TaskSet) -> np.ndarray[Any, Any]:
    if all(unit in recording.full for unit in tasks.units):
        return np.arange(len(recording.image_ids))
    rows = [recording.row(unit) for unit in tasks.units]
    return np.union1d(recording.top_index[rows], recording.bottom_index[rows])


def _score_again(arguments: argparse.Namespace) -> int:
    """Score from margins that are stored."""
    scores = read_scores(arguments.margins)
    scale = _scale_again(arguments, scores.header)
    config = {
        name: value
        for name, value in scores.header.config.items()
        if name not in {"slope", "offset"}
    } | _method_config(arguments.method)
    header = replace(
        scores.header,
        version=VERSION,
        config=config | scale.config | {"first_tasks": arguments.first},
        made_from={
            **scores.header.made_from,
            "scores": folder_hash(arguments.margins),
        },
        software=software_versions("numpy", "scipy", "torch"),
    )
    again = rescored(
        scores,
        tau=scale.tau,
        slope=scale.slope,
        offset=scale.offset,
        n_tasks=arguments.first,
        header=header,
    )
    return _written(arguments.out, [_as_method(again, arguments.method)])


def _scale_again(arguments: argparse.Namespace, before: Header) -> Scale:
    """Return the scale that is asked for, or that of the scores before."""
    if arguments.tau is not None:
        return given_scale(arguments.tau, encoder=before.config.get("encoder"))
    config = before.config
    if config.get("tau") is None:
        raise DataContractError(
            f"The scores {arguments.margins} have no tau. Give one with --tau."
        )
    return Scale(
        tau=config["tau"],
        slope=config.get("slope", 1.0),
        offset=config.get("offset", 0.0),
        source="as before",
        fitted="slope" in config,
    )


def _method_config(method: str) -> dict[str, Any]:
    if method == "mis":
        return {"method": method}
    entry = METHODS[method]
    return {"method": method, "scale": entry.scale, "source": entry.source}


def _header(
    arguments: argparse.Namespace,
    tasks_hash: str,
    image_set: ImageSet,
    encoder: ImageEncoder,
) -> Header:
    if arguments.tau is None:
        tau, source = default_tau(arguments.encoder, encoder)
        scale = Scale(tau=tau, source=source)
    else:
        scale = given_scale(arguments.tau, encoder=arguments.encoder)
    made_from = {"tasks": tasks_hash, "images": image_set.fingerprint}
    if "recording" in METHODS[arguments.method].needs:
        made_from["recording"] = folder_hash(arguments.recording)
    return Header(
        format="scores",
        version=VERSION,
        config={
            "encoder": arguments.encoder,
            "encoder_config": dict(encoder.config),
            "encoder_fingerprint": encoder_fingerprint(encoder),
            "half": arguments.half,
            **scale.config,
            **_method_config(arguments.method),
        },
        made_from=made_from,
        software=software_versions("numpy", "scipy", "torch"),
    )


def _stands(folder: Path, header: Header) -> bool:
    """Return whether ``folder`` already holds what would be made."""
    path = folder / "scores.json"
    if not path.exists():
        return False
    try:
        found, _ = read_header(path, format="scores", versions=(VERSION,))
    except DataContractError:
        return False
    return found == header


def _written(folder: Path, parts: Iterable[Scores]) -> int:
    write_score_parts(folder, parts)
    print(_summary(folder))
    return 0


def _summary(folder: Path) -> str:
    header, n_units, n_scored, mean = summary_of(folder)
    config = header.config
    what = "MIS" if config.get("method", "mis") == "mis" else config["method"]
    of_all = f"mean {what} {mean:.3f}, " if n_scored else ""
    how = ""
    if "encoder" in config:
        how = f"encoder {config['encoder']}, tau {config['tau']:g}: "
    return (
        f"{n_scored} units scored, {n_units - n_scored} without a score (NaN with a"
        f" reason), {of_all}{how}{folder / 'mis.parquet'}"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), score, argv)
