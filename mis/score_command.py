"""The command ``unitscope score``: tasks to machine interpretability scores."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from data.command_line import progress, run_command
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header, read_header, software_versions
from data.images import ImageSet, read_image_set
from data.scores import VERSION, Scores, summary_of, write_score_parts
from data.task_blocks import BLOCK, open_tasks
from data.tasks import TaskSet, read_tasks
from mis.encoders import default_tau, load_encoder
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder, encoder_fingerprint
from mis.inputs import check_images, named_images, pair_features
from mis.methods import METHODS
from mis.score import probabilities
from mis.score_again import score_again
from mis.score_options import build_parser, check_arguments
from mis.scorers import (
    ScoreInputs,
    from_recording,
    method_config,
    recorded_images,
    recording_of,
    scorer,
)
from mis.tau_file import Scale, given_scale


def score(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.list_methods:
        for name, one in METHODS.items():
            print(f"{name}: {one.summary}; needs {one.needs}; {one.source}")
        return 0
    check_arguments(arguments)
    if arguments.margins:
        return _written(arguments.out, [score_again(arguments)])
    tasks = open_tasks(arguments.tasks)
    tasks_hash = folder_hash(arguments.tasks)
    if METHODS[arguments.method].needs == "recording":
        scores = from_recording(arguments, tasks_hash)
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
    recording, wanted = recording_of(arguments, tasks), used
    parts: Iterable[TaskSet] = tasks.blocks()
    if recording is not None:
        # What a recording holds of all units is in memory, and so may the tasks be.
        parts = [read_tasks(arguments.tasks)]
        wanted = np.union1d(used, recorded_images(recording, parts[0]))
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
    inputs = ScoreInputs(
        tasks=tasks,
        encoder=encoder,
        stored=stored,
        used=used,
        recording=recording,
        header=header,
    )
    scored = scorer(arguments, inputs)
    return _written(arguments.out, _followed(map(scored, parts), tasks.n_units))


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
            **method_config(arguments.method),
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
