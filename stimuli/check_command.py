"""``unitscope check``: what is missing, repeated, leaking or unbalanced."""

import argparse
import sys
from pathlib import Path

from data.command_line import existing_path, progress, run_command
from data.studies import read_study
from stimuli.check import Checked, check_study


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope check",
        description="Name what is missing, repeated, leaking or unbalanced in a"
        " compiled study. Exit status: 0 clean, 1 something was found, 2 could not be"
        " checked.",
    )
    parser.add_argument("study", type=existing_path, help="folder of the study")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _check, argv)


def _check(arguments: argparse.Namespace) -> int:
    study = read_study(Path(arguments.study))
    with progress() as bar:
        task = bar.add_task("Checking the study", total=len(study.trials))
        checked = check_study(study, advance=lambda: bar.advance(task))
    sys.stdout.write(report(checked))
    return 1 if checked.findings else 0


def report(checked: Checked) -> str:
    """Return facts and findings as a table, and the verdict on the last line."""
    rows = [*checked.facts, *((one.kind, one.detail) for one in checked.findings)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    n = len(checked.findings)
    verdict = f"{n} {'thing' if n == 1 else 'things'} found" if n else "Nothing found"
    return "\n".join([*lines, f"{verdict}: missing, repeated, leaking, unbalanced", ""])
