"""``unitscope sweep-report``: what a sweep of networks says, with figures."""

import argparse
import sys
from pathlib import Path

from data.command_line import add_seed, existing_path, run_command


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope sweep-report",
        description="Tell what a sweep says of layer types, depth, width, sparsity,"
        " contrast, training, accuracy and constant units, with the MIS paper's figures"
        " as templates. Networks that are not done are named and left out.",
    )
    parser.add_argument(
        "sweep", type=existing_path, help="folder that unitscope sweep wrote"
    )
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument(
        "--also",
        type=existing_path,
        nargs="+",
        default=[],
        metavar="SCORES",
        help="other scores of the tasks in SWEEP/runs/NETWORK/tasks, such as another"
        " encoder's: whether they rank the units alike",
    )
    parser.add_argument(
        "--drop-ends",
        action="store_true",
        help="leave out each network's first and last recorded layer, as the MIS paper"
        " does",
    )
    add_seed(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), _report, argv)


def _report(arguments: argparse.Namespace) -> int:
    from analysis.sweep import find
    from analysis.sweep_page import sweep_text, write_sweep_report
    from analysis.sweep_sections import sections_of
    from data.sweeps import read_sweep

    results = read_sweep(arguments.sweep)
    found = find(
        results,
        also=arguments.also,
        seed=arguments.seed,
        drop_ends=arguments.drop_ends,
    )
    sections = sections_of(found)
    if arguments.out:
        write_sweep_report(
            arguments.out,
            found,
            sections,
            sweep=results.header,
            seed=arguments.seed,
            drop_ends=arguments.drop_ends,
        )
    sys.stdout.write(sweep_text(found, sections))
    if arguments.out:
        print(f"Report: {arguments.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
