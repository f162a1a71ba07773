"""The command ``unitscope score``: tasks to machine interpretability scores."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.command_line import progress, run_command
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header, read_header, software_versions
from data.images import ImageSet, read_image_set
from data.scores import Scores, read_scores, write_scores
from data.tasks import TaskSet, read_tasks
from mis.encoders import ENCODERS, load_encoder
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder, encoder_fingerprint
from mis.features import fill_store, open_store
from mis.score import (
    probabilities,
    score_units,
    task_margins_from_features,
    task_margins_from_pairs,
)

_PAIR_BYTES = 32 * 2**20


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope score",
        description="Score every unit of a task set with the machine observer (MIS).",
        epilog="encoders: "
        + "; ".join(f"{name} ({one.summary})" for name, one in ENCODERS.items()),
    )
    parser.add_argument("tasks", type=Path, help="task set")
    parser.add_argument(
        "--images", type=Path, required=True, help="image set of the tasks"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the scores")
    parser.add_argument(
        "--encoder", default="dreamsim", help="what compares images (default dreamsim)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="folder of the encoder's weights (DreamSim: default ~/.cache/dreamsim)",
    )
    parser.add_argument(
        "--tau",
        type=float,
        help="temperature in units of the similarity, above 0 (default 0.16, the MIS"
        " paper's for DreamSim; st-lpips 0.05; calibrated for DreamSim only)",
    )
    parser.add_argument(
        "--features",
        type=Path,
        help="folder of the feature store (default: features beside the image set)",
    )
    parser.add_argument(
        "--half", action="store_true", help="store features as float16, half the size"
    )
    return parser


def check_images(
    tasks: TaskSet, image_set: ImageSet, used: NDArray[np.integer]
) -> None:
    """Check that the image set holds the images that the tasks were drawn from.

    Raises
    ------
    DataContractError
        An image is not in the set, or has other content there.
    """
    content = dict(zip(image_set.image_ids, image_set.manifest["sha256"], strict=True))
    names = [tasks.image_ids[index] for index in used]
    absent = [one for one in names if one not in content]
    if absent:
        raise DataContractError(
            f"The image set at {image_set.root} lacks {len(absent)} of the"
            f" {len(names)} images of the tasks, first {absent[0]!r}."
            " Give the image set that the tasks were drawn from."
        )
    other = [
        tasks.image_ids[index]
        for index in used
        if content[tasks.image_ids[index]] != tasks.content[index]
    ]
    if other:
        raise DataContractError(
            f"{len(other)} images of the image set at {image_set.root} are not those of"
            f" the tasks, first {other[0]!r}: their content is another. Give the image"
            " set that the tasks were drawn from, or record and draw the tasks again."
        )


def margins_of(
    tasks: TaskSet,
    used: NDArray[np.integer],
    matrix: NDArray[np.floating],
    rows: dict[str, int],
    encoder: ImageEncoder,
) -> NDArray[np.float32]:
    """Return the (n_units, n_tasks) margins from stored features.

    Parameters
    ----------
    used : (n_used,) int array
        The image indices that the tasks name.
    matrix : (n_stored, n_features) float array
    rows : mapping of str to int
        Row of each stored image by its content.
    """
    row_of = np.array([rows[tasks.content[index]] for index in used], dtype=np.int64)
    queries = np.searchsorted(used, tasks.queries)
    explanations = np.searchsorted(used, tasks.explanations)
    if not isinstance(encoder, PairwiseEncoder):
        # Only the rows in use, in the tasks' order: what else is stored has no part.
        return task_margins_from_features(matrix[row_of], queries, explanations)
    pairwise = encoder
    step = max(1, _PAIR_BYTES // (4 * encoder.n_features))

    def similarity(
        first: NDArray[np.integer], second: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        starts = range(0, len(first), step)
        cuts = [slice(start, start + step) for start in starts]
        values = [
            pairwise.similarity(matrix[row_of[first[cut]]], matrix[row_of[second[cut]]])
            for cut in cuts
        ]
        return np.concatenate([np.empty(0, dtype=np.float32), *values])

    return task_margins_from_pairs(similarity, queries, explanations)


def score(arguments: argparse.Namespace) -> int:
    """Run the command."""
    tasks = read_tasks(arguments.tasks)
    image_set = read_image_set(arguments.images)
    used = np.union1d(tasks.queries, tasks.explanations)
    check_images(tasks, image_set, used)
    encoder = load_encoder(arguments.encoder, weights=arguments.weights)
    header = _header(arguments, folder_hash(arguments.tasks), image_set, encoder)
    probabilities(np.zeros(1), tau=header.config["tau"])
    if _stands(arguments.out, header):
        print(f"Nothing to do: {_summary(read_scores(arguments.out), arguments.out)}")
        return 0
    root = arguments.features or arguments.images.resolve().parent / "features"
    dtype = "float16" if arguments.half else "float32"
    store = open_store(root, arguments.encoder, encoder, dtype=dtype)
    names = [tasks.image_ids[index] for index in used]
    with progress() as bar:
        line = bar.add_task(f"Features ({arguments.encoder})", total=len(names))
        fill_store(
            store,
            encoder,
            image_set,
            names,
            advance=lambda n_images: bar.advance(line, n_images),
        )
    margins = margins_of(tasks, used, store.matrix(), store.rows(), encoder)
    scores = score_units(tasks, margins, tau=header.config["tau"], header=header)
    write_scores(arguments.out, scores)
    print(_summary(scores, arguments.out))
    return 0


def _header(
    arguments: argparse.Namespace,
    tasks_hash: str,
    image_set: ImageSet,
    encoder: ImageEncoder,
) -> Header:
    entry = ENCODERS[arguments.encoder]
    default = arguments.tau is None
    return Header(
        format="scores",
        version=1,
        config={
            "encoder": arguments.encoder,
            "encoder_config": dict(encoder.config),
            "encoder_fingerprint": encoder_fingerprint(encoder),
            "half": arguments.half,
            "tau": entry.default_tau if default else arguments.tau,
            "tau_source": entry.tau_source if default else "given",
        },
        made_from={"tasks": tasks_hash, "images": image_set.fingerprint},
        software=software_versions("numpy", "scipy", "torch"),
    )


def _stands(folder: Path, header: Header) -> bool:
    """Return whether ``folder`` already holds what would be made."""
    path = folder / "scores.json"
    if not path.exists():
        return False
    try:
        found, _ = read_header(path, format="scores", versions=(1,))
    except DataContractError:
        return False
    return found == header


def _summary(scores: Scores, folder: Path) -> str:
    units = scores.units
    n_scored = int(units["mis"].notna().sum())
    mean = f"mean MIS {units['mis'].mean():.3f}, " if n_scored else ""
    return (
        f"{n_scored} units scored, {len(units) - n_scored} without a score (NaN with a"
        f" reason), {mean}encoder {scores.header.config['encoder']},"
        f" tau {scores.header.config['tau']:g}: {folder / 'mis.parquet'}"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), score, argv)
