"""``unitscope sweep``: many networks recorded and scored alike, in one table."""

import argparse
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.command_line import add_cluster, progress, run_command, say
from data.errors import DataContractError
from data.files import whole_file
from data.images import read_image_set
from data.sweeps import SweepResults, read_sweep_file
from stimuli.sweep import run_sweep, seconds_of
from stimuli.sweep_plan import Rates, plan_of, plan_text, read_rates

_EPILOG = """\
models.toml:
  images = "images/"                 # image set; paths are seen from this file's folder
  layers = "@conv,@linear,@norm"     # as in unitscope record; may stand at a network
  encoder = "dreamsim"               # as in unitscope score; also encoder_weights, tau
  n_tasks = 20
  n_explanations = 9
  seed = 0                           # also batch_size, device, precision,
                                     # map_statistics, for all or at a network
  [[network]]
  network = "timm:resnet50"          # as in unitscope record
  weights = "resnet50.pt"
  accuracy = 0.761                   # for the analysis, where it is known

  [[network]]
  network = "my_network:net"
  name = "mine"
  [[network.checkpoint]]             # named mine@0, mine@1, ...
  epoch = 0
  weights = "epoch0.pt"
  accuracy = 0.001

The folder of --out holds networks.csv (one line a network), layers.csv, seconds.csv,
and runs/NETWORK/ with recording, tasks, scores and log.txt. The same command goes on
where it was stopped; what is done is not done again. A network that fails keeps its
reason in its line, and the others go on.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope sweep",
        description="Record many networks over one image set and score them with one"
        " encoder; unitscope sweep-report draws what comes of it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path, nargs="?", help="models.toml, see below")
    parser.add_argument(
        "--out", type=Path, help="folder of the sweep, to go on with too"
    )
    parser.add_argument(
        "--features", type=Path, help="feature store (default: beside the image set)"
    )
    add_cluster(parser)
    parser.add_argument(
        "--retry", action="store_true", help="try networks that failed again"
    )
    parser.add_argument(
        "--plan",
        nargs="?",
        const="",
        metavar="RATES.toml",
        help="run nothing; print what the MIS paper's sweep (835 networks, 1.28 million"
        " images) would take, or one with the sizes and rates of a file, whose names"
        " the plan prints",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 all done, 1 some failed, 2 could not run."""
    return run_command(build_parser(), _sweep, argv)


def _sweep(arguments: argparse.Namespace) -> int:
    if arguments.plan is not None:
        rates = read_rates(Path(arguments.plan)) if arguments.plan else Rates()
        print(plan_text(rates, plan_of(rates)))
        return 0
    for name in ("models", "out"):
        if getattr(arguments, name) is None:
            what = "models.toml" if name == "models" else "'--out'"
            raise DataContractError(
                f"{what} is missing; a sweep needs it. See unitscope sweep --help."
            )
    sweep = read_sweep_file(arguments.models)
    if not sweep.images.exists():
        raise DataContractError(
            f"{arguments.models}: the image set {sweep.images} does not exist. Check"
            " 'images'; it is seen from the file's folder."
        )
    fingerprint = read_image_set(sweep.images).fingerprint
    with _runner(arguments.cluster) as run_all, progress() as bar:
        task = bar.add_task("Networks", total=len(sweep.networks))

        def advance(name: str, status: str) -> None:
            bar.advance(task)
            say(f"{name}: {status}")

        results = run_sweep(
            sweep,
            arguments.out,
            fingerprint=fingerprint,
            features=arguments.features,
            retry=arguments.retry,
            run_all=run_all,
            advance=advance,
        )
    with whole_file(arguments.out / "seconds.csv") as part:
        seconds_of(results).to_csv(part, index=False)
    print(summary(results))
    return 0 if (results.networks["status"] == "done").all() else 1


@contextmanager
def _runner(
    cluster: str | None,
) -> Iterator[Callable[..., Iterator[tuple[int, str]]] | None]:
    if cluster is None:
        yield None
        return
    from stimuli.cluster import open_cluster, runs_on_cluster

    with open_cluster(cluster) as client:
        yield runs_on_cluster(client)


def summary(results: SweepResults) -> str:
    """Return a line for each network that is done, then for each that failed."""
    table = results.networks
    width = max(map(len, table["model"]))
    in_order = table.sort_values("status", key=lambda one: one != "done", kind="stable")
    lines = [
        f"{one['model']:<{width}}  {_said(one)}" for one in in_order.to_dict("records")
    ]
    counts = table["status"].value_counts()
    said = ", ".join(f"{counts[one]} {one}" for one in counts.index)
    lines.append(f"{said}: {results.folder / 'networks.csv'}")
    return "\n".join(lines)


def _said(row: dict[Hashable, Any]) -> str:
    if row["status"] != "done":
        known = isinstance(row["reason"], str)
        return f"{row['status']}: {row['reason']}" if known else str(row["status"])
    if not row["n_scored"]:
        return "no unit has a score"
    return (
        f"MIS {row['mis']:.3f}  {row['n_units']:,.0f} units,"
        f" {row['n_constant']:,.0f} constant"
    )


if __name__ == "__main__":
    raise SystemExit(main())
