"""Serve a compiled study to participants."""

import argparse
import os
from pathlib import Path

from data.command_line import existing_path, run_command
from data.errors import ExperimentError
from data.exclusion import IMI, ExclusionCriteria
from data.files import write_json
from data.studies import read_study
from experiment_server.database import (
    Database,
    default_url,
    open_database,
    shown_url,
)
from experiment_server.readiness import check_page, check_ready
from experiment_server.settings import ServerSettings

CRITERIA = {
    "imi": IMI,
    "none": ExclusionCriteria(
        max_practice_rounds=None,
        min_catch_share=None,
        min_total_time_s=None,
        max_total_time_s=None,
        min_row_answers=None,
        min_instruction_time_s=None,
        single_participation=False,
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(prog="unitscope serve", description=__doc__)
    parser.add_argument("study", type=existing_path, help="folder of a compiled study")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="where answers are kept: sqlite:///PATH or postgresql+psycopg://..."
        " (default: STUDY.sqlite beside the study)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="0 for any free one (default 8000)"
    )
    parser.add_argument(
        "--workers",
        type=_above_zero,
        help="processes (default 2)",
    )
    parser.add_argument(
        "--threads",
        type=_above_zero,
        help="threads of a process (default 8)",
    )
    parser.add_argument(
        "--test-run-allowed",
        action="store_true",
        help="take sessions that never count, by ?test_run=1",
    )
    parser.add_argument(
        "--repeats-allowed",
        action="store_true",
        help="let a person who has finished take part again, and mark that session",
    )
    parser.add_argument(
        "--exclusion",
        choices=sorted(CRITERIA),
        help="criteria by which a complete session frees its slot (default: those that"
        " the study was compiled with)",
    )
    parser.add_argument(
        "--draw-seed",
        type=int,
        metavar="N",
        help="draw the same for a session in every run, for rehearsals only: people"
        " could compute what they will be shown",
    )
    parser.add_argument(
        "--access-log", action="store_true", help="log requests with their addresses"
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="JSON with url, database and pid, written when requests are accepted",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 ended as asked, 2 could not run."""
    return run_command(build_parser(), _serve, argv)


def _above_zero(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _serve(arguments: argparse.Namespace) -> int:
    # gunicorn and Flask take their time; --help needs neither.
    from experiment_server.app import create_app
    from experiment_server.web_server import (
        THREADS,
        WORKERS,
        WebServer,
        listening_socket,
    )

    if not 0 <= arguments.port <= 65535:
        raise ExperimentError(
            f"--port is {arguments.port}; it must be in [0, 65535]. Give another one."
        )
    check_page()
    study = read_study(arguments.study)
    check_ready(study)
    settings = ServerSettings(
        test_run_allowed=arguments.test_run_allowed,
        repeats_allowed=arguments.repeats_allowed,
        criteria=CRITERIA[arguments.exclusion] if arguments.exclusion else None,
        draw_seed=arguments.draw_seed,
    )
    url = arguments.database or default_url(arguments.study)
    listener = listening_socket(arguments.host, arguments.port)
    database = open_database(study, url, upgrade=True)
    shown = shown_url(database.url)
    # Connections must not be shared with the workers.
    database.close()
    port = listener.getsockname()[1]
    link = _link(arguments.host, port)

    def on_ready() -> None:
        print(f"Study:    {study.config.title} ({study.config.study_id})")
        print(f"Answers:  {shown}")
        print(f"Open:     {link}", flush=True)
        if arguments.ready_file:
            ready = {"url": link, "database": shown, "pid": os.getpid()}
            write_json(arguments.ready_file, ready)

    WebServer(
        lambda: create_app(study, _opened(url, settings), settings),
        listener,
        workers=arguments.workers or WORKERS,
        threads=arguments.threads or THREADS,
        access_log=arguments.access_log,
        on_ready=on_ready,
    ).run()
    return 0


def _opened(url: str, settings: ServerSettings) -> Database:
    """Open a database that was checked before the workers started."""
    return Database(url, busy_timeout_s=settings.busy_timeout_s)


def _link(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
