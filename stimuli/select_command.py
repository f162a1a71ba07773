"""``unitscope select``: groups of units for a study, from a score table."""

import argparse
from pathlib import Path

from data.command_line import add_seed, existing_path, run_command
from data.files import file_hash, folder_hash
from data.scores import read_score_table
from data.selections import Selection, read_unit_list, write_selection
from stimuli.selection import GROUPS, SelectConfig, select_units


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope select",
        description="Choose disjoint groups of units by MIS. Random units are drawn"
        " first, from all scored units; the easiest and the hardest come from the"
        " rest.",
    )
    parser.add_argument(
        "--scores",
        type=existing_path,
        required=True,
        help="folder that unitscope score wrote, or a .parquet or .csv with the"
        " columns 'unit' and 'mis'",
    )
    parser.add_argument(
        "--n", type=int, default=10, help="units in each group (default 10)"
    )
    parser.add_argument(
        "--groups",
        type=_names,
        default=GROUPS,
        help=f"of {', '.join(GROUPS)}, between commas (default: all)",
    )
    parser.add_argument(
        "--layers", type=_names, default=(), help="only these, between commas"
    )
    parser.add_argument(
        "--exclude",
        type=existing_path,
        help="units not to choose: a selection's folder, or a table with a column"
        " 'unit'",
    )
    add_seed(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the selection"
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _select, argv)


def _select(arguments: argparse.Namespace) -> int:
    path = arguments.scores
    selection = select_units(
        read_score_table(path),
        SelectConfig(
            n_per_group=arguments.n,
            groups=arguments.groups,
            layers=arguments.layers,
        ),
        seed=arguments.seed,
        exclude=read_unit_list(arguments.exclude) if arguments.exclude else (),
        made_from=folder_hash(path) if path.is_dir() else file_hash(path),
    )
    write_selection(arguments.out, selection)
    print(summary(selection))
    print(f"Selection: {arguments.out}")
    return 0


def summary(selection: Selection) -> str:
    """Return each group's size and its range of MIS."""
    lines = []
    for group, units in selection.units.groupby("group", sort=False):
        low, high = units["mis"].min(), units["mis"].max()
        lines.append(f"{group}: {len(units)} units, MIS {low:.3f} to {high:.3f}")
    return "\n".join(lines)
