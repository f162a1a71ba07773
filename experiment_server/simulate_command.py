"""Let observers that are programs take part in a study, through the real server."""

import argparse
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from data.command_line import add_seed, existing_path, progress, run_command, say
from data.errors import ExperimentError, MissingExtraError
from data.files import folder_hash
from data.studies import Study, read_study
from experiment_server.simulation.people import CARELESS, Person

if TYPE_CHECKING:
    from experiment_server.simulation.observers import Observer

OBSERVERS = ("table", "similarity", "guess")
ABILITY = 2.5


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope simulate",
        description=__doc__ + " What they answer is marked as simulated for ever.",
    )
    parser.add_argument("study", type=existing_path, help="folder of a compiled study")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="URL", help="address of a running server")
    where.add_argument(
        "--serve", action="store_true", help="start a server, and stop it at the end"
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="the server's (default with --serve: STUDY.sqlite beside the study);"
        " who is finished there does not take part again",
    )
    parser.add_argument(
        "--sessions", type=int, default=60, help="participants in all (default 60)"
    )
    parser.add_argument(
        "--browser",
        type=int,
        default=0,
        metavar="N",
        help="of these in a real browser, at human pace (default 0)",
    )
    parser.add_argument(
        "--careless",
        type=int,
        default=0,
        metavar="N",
        help="of these careless, in turn: " + ", ".join(CARELESS) + " (default 0)",
    )
    parser.add_argument(
        "--observer", choices=OBSERVERS, required=True, help="how they answer"
    )
    parser.add_argument(
        "--table",
        type=existing_path,
        metavar="CSV",
        help="for table: columns 'unit' and 'proportion_correct'",
    )
    parser.add_argument(
        "--scores",
        type=existing_path,
        help="for similarity: the same tasks, scored by another encoder",
    )
    parser.add_argument(
        "--ability",
        type=float,
        default=ABILITY,
        help=f"for similarity: median factor on the margins (default {ABILITY})",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=4,
        help="sessions at the same time over HTTP (default 4)",
    )
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="PATH",
        help="where a picture of a main trial goes, from a session in a browser",
    )
    add_seed(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 all took part, 1 some found no place."""
    return run_command(build_parser(), _simulate, argv)


def _simulate(arguments: argparse.Namespace) -> int:
    # httpx takes its time; --help needs none of it.
    from experiment_server.database import default_url
    from experiment_server.simulation.people import draw_people
    from experiment_server.simulation.server_process import served

    _check(arguments)
    study = read_study(arguments.study)
    kinds = [
        kind
        for kind in CARELESS
        if kind != "ignores_instructed" or study.config.n_instructed_trials
    ]
    people = draw_people(
        arguments.sessions,
        n_careless=arguments.careless,
        seed=arguments.seed,
        ability=arguments.ability,
        kinds=kinds,
    )
    if arguments.server:
        finished: Counter[str] = Counter()
        if arguments.database:
            finished = _finished(study, arguments.database, make=False)
        _check_server(arguments.server, study)
        return _take_part(arguments, study, people, finished, arguments.server)
    url = arguments.database or default_url(arguments.study)
    finished = _finished(study, url, make=True)
    with (
        _stopped_by_termination(),
        served(arguments.study, url, seed=arguments.seed) as server,
    ):
        return _take_part(arguments, study, people, finished, server)


def _check(arguments: argparse.Namespace) -> None:
    if find_spec("httpx") is None:
        raise MissingExtraError(
            "Simulated observers need the package 'httpx'."
            " Install it with: pip install '.[simulate]'"
        )
    for name, least in (("sessions", 1), ("browser", 0), ("careless", 0)):
        if getattr(arguments, name) < least:
            raise ExperimentError(
                f"--{name} is {getattr(arguments, name)}; it must be at least {least}."
            )
    if arguments.browser + arguments.careless > arguments.sessions:
        raise ExperimentError(
            f"--browser {arguments.browser} and --careless {arguments.careless} are"
            f" more than the {arguments.sessions} of --sessions. Raise --sessions."
        )
    if arguments.threads < 1 or arguments.ability <= 0:
        raise ExperimentError(
            f"--threads is {arguments.threads} and --ability {arguments.ability:g};"
            " threads must be at least 1 and the ability above 0."
        )
    needed = {"table": "--table", "similarity": "--scores"}.get(arguments.observer)
    if needed and not getattr(arguments, needed.removeprefix("--")):
        raise ExperimentError(
            f"--observer {arguments.observer} needs {needed}. Give it."
        )


def _finished(study: Study, url: str, *, make: bool) -> Counter[str]:
    from experiment_server.simulation.finished import finished_sessions

    return finished_sessions(study, url, make=make)


def _take_part(
    arguments: argparse.Namespace,
    study: Study,
    people: list[Person],
    finished: Counter[str],
    server: str,
) -> int:
    from experiment_server.simulation.crowd import Crowd
    from experiment_server.simulation.recognition import Recognition

    crowd = Crowd(
        server=server,
        observer=_observer(arguments, study),
        recognition=Recognition(study),
        n_threads=arguments.threads,
        screenshot=arguments.screenshot,
        finished=finished,
    )
    # Careful people sit at the browsers: their sessions are meant to count.
    careful = [person for person in people if person.careless is None]
    in_browser = careful[: arguments.browser]
    over_http = [person for person in people if person not in in_browser]
    todo_http, todo_browser = (
        [one for one in group if finished[one.name] < _n_sessions(one)]
        for group in (over_http, in_browser)
    )
    n_todo = len(todo_http) + len(todo_browser)
    with progress() as bar:
        task = bar.add_task("Simulated sessions", total=n_todo)
        tally = crowd.run(todo_http, todo_browser, lambda: bar.advance(task))
    screens = tally.screens
    print(f"SIMULATED by the observer {arguments.observer!r}, seed {arguments.seed}")
    print(f"Done before: {len(people) - n_todo} of {len(people)} participants")
    print(f"Complete:    {screens['end']} sessions, {len(todo_browser)} in a browser")
    print(f"Practice:    {screens['practice_failed']} sessions failed it")
    for name in sorted(set(screens) - {"end", "practice_failed"}):
        print(f"Other end:   {screens[name]} sessions at {name!r}")
    print(f"Answers:     {tally.n_answers}")
    if arguments.server:
        print(f"Server:      {server}")
    else:
        print(f"Database:    {_shown_database(arguments)}")
    return 1 if screens["study_full"] else 0


def _check_server(server: str, study: Study) -> None:
    import httpx

    try:
        reply = httpx.get(f"{server.rstrip('/')}/api/study", trust_env=False)
        served = reply.json()["study_id"]
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise ExperimentError(
            f"--server {server} is no study's server ({error}). Check the address, and"
            " that 'unitscope serve' runs there."
        ) from error
    if served != study.config.study_id:
        raise ExperimentError(
            f"--server {server} serves the study {served!r}; {study.folder} is"
            f" {study.config.study_id!r}. Give the study that it serves."
        )


def _shown_database(arguments: argparse.Namespace) -> str:
    from sqlalchemy import make_url

    from experiment_server.database import default_url, shown_url

    return shown_url(make_url(arguments.database or default_url(arguments.study)))


def _n_sessions(person: Person) -> int:
    return 2 if person.careless == "takes_part_twice" else 1


def _observer(arguments: argparse.Namespace, study: Study) -> "Observer":
    from experiment_server.simulation.observers import (
        TableObserver,
        similarity_observer,
        table_observer,
    )

    if arguments.observer == "guess":
        return TableObserver("guess", None)
    if arguments.observer == "table":
        return table_observer(arguments.table, study)
    if folder_hash(arguments.scores) == study.header.made_from.get("scores"):
        say(
            "note: these are the scores that the study was compiled with; how far"
            " people simulated from them agree with them says nothing."
        )
    return similarity_observer(arguments.scores, study)


@contextmanager
def _stopped_by_termination() -> Iterator[None]:
    """Turn a request to end into an interrupt, so that the server is stopped too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
