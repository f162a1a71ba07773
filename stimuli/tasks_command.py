"""``unitscope tasks``: a recording to 2-AFC tasks, for people and machine alike."""

import argparse
from pathlib import Path
from typing import Literal

from data.command_line import add_seed, existing_path, run_command
from data.files import folder_hash
from data.recordings import read_recording
from data.selections import read_unit_list
from data.tasks import TaskConfig, TaskSet, draw_tasks, write_tasks


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope tasks",
        description="Draw the tasks of every unit of a recording. Units that are"
        " constant, or whose queries could be tied, get none, and a reason.",
    )
    parser.add_argument("recording", type=existing_path, help="folder of the recording")
    parser.add_argument(
        "--n-tasks", type=int, default=20, help="tasks a unit (default 20)"
    )
    parser.add_argument(
        "--n-explanations",
        type=int,
        default=9,
        help="explanations of each polarity (default 9)",
    )
    parser.add_argument(
        "--difficulty",
        type=_difficulty,
        default="easy",
        help="easy (default): queries are next to the explanations; or a percentile"
        " in (50, 100), such as 95, which needs the units' full activations",
    )
    parser.add_argument(
        "--tied-units",
        choices=["report", "draw"],
        default="report",
        help="units whose queries could be tied: report them (default), or draw tasks"
        " all the same, as published code does",
    )
    parser.add_argument(
        "--units",
        type=existing_path,
        help="draw for these units alone: a selection's folder, or a table with a"
        " column 'unit'",
    )
    add_seed(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tasks")
    return parser


def _difficulty(text: str) -> Literal["easy"] | float:
    if text == "easy":
        return "easy"
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 'easy' nor a percentile such as 95"
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _tasks, argv)


def _tasks(arguments: argparse.Namespace) -> int:
    config = TaskConfig(
        n_tasks=arguments.n_tasks,
        n_explanations=arguments.n_explanations,
        difficulty=arguments.difficulty,
        tied_units=arguments.tied_units,
    )
    tasks = draw_tasks(
        read_recording(arguments.recording),
        config,
        seed=arguments.seed,
        units=read_unit_list(arguments.units) if arguments.units else None,
        made_from=folder_hash(arguments.recording),
    )
    write_tasks(arguments.out, tasks)
    print(summary(tasks))
    print(f"Tasks: {arguments.out}")
    return 0


def summary(tasks: TaskSet) -> str:
    """Return how many units have tasks, how many don't and why, and the ties."""
    table = tasks.table
    constant = table["reason"].str.startswith("constant").fillna(False)
    without = table["reason"].notna()
    with_tasks = table[~without]
    lines = [
        f"{len(with_tasks):,} of {len(table):,} units have {tasks.config.n_tasks} tasks"
        f" each; {int(constant.sum()):,} are constant,"
        f" {int((without & ~constant).sum()):,} have tied queries"
    ]
    if len(with_tasks):
        worst = with_tasks.sort_values(["tie_share", "unit"]).iloc[-1]
        lines.append(
            "Largest share of tied images among units with tasks:"
            f" {worst['tie_share']:.3f} ({worst['unit']})"
        )
    return "\n".join(lines)
