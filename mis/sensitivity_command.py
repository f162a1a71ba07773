"""The command ``unitscope sensitivity``: what a score owes to the choices behind it."""

import argparse
from collections.abc import Iterable, Iterator
from functools import partial
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.command_line import add_seed, existing_path, progress, run_command
from data.errors import DataContractError
from data.files import folder_hash, whole_folder
from data.formats import Header, software_versions, write_header
from data.images import ImageSet, read_image_set
from data.recordings import Recording, read_recording
from data.tasks import TaskConfig, TaskSet, draw_tasks
from mis import sensitivity as analyses
from mis.encoders import default_tau, load_encoder
from mis.encoders.protocol import by_features
from mis.inputs import (
    StoredFeatures,
    check_images,
    margin_plan,
    margins_by,
    pair_features,
)
from mis.score import probabilities
from mis.sensitivity_figures import draw
from mis.sensitivity_setting import Analysis, Margins, MarginsOf, Setting, reference
from mis.tau_file import given_scale

_MOST_ROWS = 40  # of a table on the page; the CSV has all


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope sensitivity",
        description="Vary what a score depends on: the number of tasks (both ways of"
        " the MIS paper), explanations, tau, seeds, ties, encoder and images.",
    )
    parser.add_argument("recording", type=existing_path, help="recording")
    parser.add_argument("--images", type=existing_path, required=True, help="image set")
    parser.add_argument(
        "--encoder",
        nargs="+",
        default=["dreamsim"],
        help="the reference's encoder, then others to compare (default dreamsim)",
    )
    parser.add_argument("--weights", type=Path, help="folder of the encoder's weights")
    parser.add_argument(
        "--tau", help="of the first encoder: a number or a file of 'unitscope fit'"
    )
    parser.add_argument("--features", type=Path, help="folder of the feature store")
    parser.add_argument(
        "--recordings",
        type=existing_path,
        nargs="*",
        default=[],
        help="recordings of the same network and images with other seeds (tie orders)",
    )
    parser.add_argument(
        "--n-tasks", type=int, help="N (default 20, or what is recorded)"
    )
    parser.add_argument("--n-explanations", type=int, default=9, help="K (default 9)")
    parser.add_argument(
        "--seeds", type=int, default=10, help="other seeds of the tasks (default 10)"
    )
    parser.add_argument(
        "--units", type=int, default=500, help="most units, at random (default 500)"
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch, such as cuda (default cpu)"
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=["svg", "pdf", "png"],
        default=["svg"],
        help="formats of the figures (default svg)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the page")
    add_seed(parser)
    return parser


def sensitivity(arguments: argparse.Namespace) -> int:
    """Run the command."""
    for name, least in (("units", 2), ("seeds", 1), ("n_explanations", 1)):
        if getattr(arguments, name) < least:
            raise DataContractError(
                f"--{name.replace('_', '-')} is {getattr(arguments, name)}; it must be"
                f" at least {least}."
            )
    recording = read_recording(arguments.recording)
    config = _config(arguments, recording)
    draw_tasks(recording, config, seed=arguments.seed, units=[])  # is it large enough?
    others = {str(path): read_recording(path) for path in arguments.recordings}
    for label, one in others.items():
        if (one.image_ids, one.content) != (recording.image_ids, recording.content):
            raise DataContractError(
                f"The recording {label} is over other images than"
                f" {arguments.recording}. Give recordings of the same image set."
            )
    image_set = read_image_set(arguments.images)
    used = _recorded(recording, others.values())
    check_images(recording.image_ids, recording.content, image_set, used)
    observers = {
        name: _observer(arguments, name, recording, image_set, used)
        for name in dict.fromkeys(arguments.encoder)
    }
    first = arguments.encoder[0]
    tau = observers[first][1]
    if arguments.tau is not None:
        tau = given_scale(arguments.tau, encoder=first).tau
    probabilities(np.zeros(1), tau=tau)
    setting = reference(
        recording,
        config,
        observers[first][0],
        tau=tau,
        seed=arguments.seed,
        encoder=first,
        most_units=arguments.units,
    )
    rest = {name: one for name, one in observers.items() if name != first}
    found = list(_analysed(setting, arguments.seeds, others, rest))
    _write(arguments, setting, found)
    for analysis in found:
        print(f"{analysis.title}: {analysis.said}")
    print(f"Figures, tables and a page: {arguments.out / 'sensitivity.html'}")
    return 0


def _config(arguments: argparse.Namespace, recording: Recording) -> TaskConfig:
    n_explanations = arguments.n_explanations
    most = min(recording.n_extremes, len(recording.image_ids) // 2)
    n_tasks = arguments.n_tasks
    if n_tasks is None:
        n_tasks = max(1, min(20, most // (n_explanations + 1)))
    return TaskConfig(n_tasks=n_tasks, n_explanations=n_explanations)


def _recorded(recording: Recording, others: Iterable[Recording]) -> NDArray[np.integer]:
    named = np.zeros(len(recording.image_ids), dtype=np.bool_)
    for one in [recording, *others]:
        named[one.top_index] = named[one.bottom_index] = True
    return np.flatnonzero(named)


def _observer(
    arguments: argparse.Namespace,
    name: str,
    recording: Recording,
    image_set: ImageSet,
    used: NDArray[np.integer],
) -> tuple[MarginsOf, float]:
    """Return the function from tasks to margins under an encoder, and its tau."""
    device = arguments.device
    encoder = load_encoder(name, weights=arguments.weights, device=device)
    stored = pair_features(
        recording.image_ids,
        recording.content,
        used,
        image_set=image_set,
        encoder=encoder,
        name=name,
        root=arguments.features or arguments.images.resolve().parent / "features",
    )

    def of(tasks: TaskSet) -> Margins:
        plan = None
        if isinstance(stored, StoredFeatures) and by_features(encoder):
            n_units = len(tasks.units)
            plan = margin_plan(n_units, tasks.config, stored, used, device=device)
        return margins_by(stored, encoder, used, plan=plan)(tasks)

    return of, default_tau(name, encoder)[0]


def _analysed(
    setting: Setting,
    n_seeds: int,
    others: dict[str, Recording],
    encoders: dict[str, tuple[MarginsOf, float]],
) -> Iterator[Analysis]:
    work = [
        partial(analyses.number_of_tasks, setting),
        partial(analyses.number_of_explanations, setting),
        partial(analyses.temperature, setting),
        partial(analyses.seeds, setting, n_seeds=n_seeds),
        partial(analyses.ties, setting, others),
        partial(analyses.encoders, setting, encoders),
        partial(analyses.image_set_size, setting),
    ]
    with progress() as bar:
        line = bar.add_task("Analyses", total=len(work))
        for one in work:
            yield one()
            bar.advance(line)


def _write(
    arguments: argparse.Namespace, setting: Setting, found: list[Analysis]
) -> None:
    header = Header(
        format="sensitivity",
        version=1,
        config={
            "n_tasks": setting.config.n_tasks,
            "n_explanations": setting.config.n_explanations,
            "tau": setting.tau,
            "encoders": arguments.encoder,
            "seeds": arguments.seeds,
            "units": len(setting.units),
        },
        seed=arguments.seed,
        made_from={"recording": folder_hash(arguments.recording)},
        software=software_versions("numpy", "scipy", "matplotlib"),
    )
    with whole_folder(arguments.out) as part:
        for one in found:
            one.table.to_csv(part / f"{one.name}.csv", index=False, lineterminator="\n")
            draw(one, [part / f"{one.name}.{kind}" for kind in arguments.formats])
        page = _page(setting, found, arguments.formats[0])
        (part / "sensitivity.html").write_text(page, encoding="utf-8")
        write_header(
            part / "sensitivity.json",
            header,
            analyses={
                one.name: {
                    "title": one.title,
                    "said": one.said,
                    "fixed": one.fixed,
                    "table": f"{one.name}.csv",
                }
                for one in found
            },
        )


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem;
  padding: 0 1rem; color: #1c1c1c; }
h2 { margin-top: 2.5rem; } img { max-width: 100%; }
.fixed { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; font-size: 0.8rem; }
th, td { padding: 0.1rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }
"""


def _page(setting: Setting, found: list[Analysis], kind: str) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Sensitivity of MIS</title><style>{_STYLE}</style>",
        "<h1>What the scores owe to choices</h1>",
        f"<p>Reference: {escape(setting.fixed())}; mean MIS"
        f" {setting.scores.mean():.3f}. One choice is varied at a time.</p>",
    ]
    for one in found:
        table = one.table.head(_MOST_ROWS)
        rows = table.to_html(index=False, border=0, float_format="{:.4f}".format)
        more = len(one.table) - len(table)
        rest = f" ({more:,} more rows in {one.name}.csv)" if more else ""
        parts += [
            f"<h2>{escape(one.title)}</h2><p>{escape(one.said)}</p>",
            f"<img src='{one.name}.{kind}' alt='{escape(one.said, quote=True)}'>",
            f"<p class='fixed'>Held fixed: {escape(one.fixed)}.</p>",
            f"<details><summary>Table{rest}</summary>{rows}</details>",
        ]
    return "\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), sensitivity, argv)
