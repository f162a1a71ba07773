"""Write a study's responses to files: ours, and IMI's 45 columns."""

import argparse
from pathlib import Path

from data.command_line import existing_path, run_command
from data.responses import write_responses
from data.studies import read_study
from experiment_server.database import default_url, open_database
from experiment_server.export import exported
from experiment_server.settings import utc_now


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(prog="unitscope export", description=__doc__)
    parser.add_argument("study", type=existing_path, help="folder of a compiled study")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="where the answers are (default: STUDY.sqlite beside the study)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write"
    )
    parser.add_argument(
        "--test-runs", action="store_true", help="write test runs too, marked as such"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 written, 2 could not run."""
    return run_command(build_parser(), _export, argv)


def _export(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.study)
    url = arguments.database or default_url(arguments.study)
    database = open_database(study, url, upgrade=False)
    try:
        responses, imi = exported(
            study, database, now=utc_now(), test_runs=arguments.test_runs
        )
    finally:
        database.close()
    write_responses(arguments.out, responses, imi)
    statuses = responses.sessions["status"].value_counts()
    counts = ", ".join(f"{n} {name}" for name, n in statuses.sort_index().items())
    print(f"Sessions:   {len(responses.sessions)} ({counts or 'none'})")
    print(f"Responses:  {len(responses.responses)}, of which {len(imi)} in IMI's form")
    if responses.n_simulated_sessions:
        print(
            f"SIMULATED:  {responses.n_simulated_sessions} of"
            f" {len(responses.sessions)} sessions were answered by programs"
        )
    print(f"Written to: {arguments.out}")
    return 0
