"""``python -m benchmarks.attacker``: guess the right answers from what is sent.

Learners see everything that reached the browser before each answer of a thousand
trials but the pictures themselves, which are the task. They must stay at chance, and
must find each leak that is planted on purpose. A few minutes.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.attacker.attack import (
    guessed_catch,
    guessed_from_page,
    guessed_row,
    pages_seen,
    second_look,
    served,
    toy_study,
)
from benchmarks.attacker.leaks import PLANTED, planted, telling_names
from benchmarks.attacker.learners import Guess
from benchmarks.attacker.traffic import overheard
from data.command_line import progress, run_command
from data.files import write_json
from data.studies import Study, read_study
from experiment_server.browser import running_chromium

Results = dict[str, dict[str, Guess]]


def build_parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks.attacker", description=__doc__)
    parser.add_argument("--sessions", type=int, default=25, help="over HTTP")
    parser.add_argument("--planted-sessions", type=int, default=10)
    parser.add_argument(
        "--page-sessions", type=int, default=5, help="in a browser; 0 for none"
    )
    parser.add_argument("--page-trials", type=int, default=20, help="of each of these")
    parser.add_argument(
        "--study", type=Path, help="a compiled study; without, one of noise is made"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("artifacts/attacker.json"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Attack. Exit status: 1 where something leaks, or a planted leak is missed."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    return run_command(build_parser(), _run, argv)


def _run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="unitscope-attacker-") as place:
        found, compared = _over_http(arguments, Path(place))
        if arguments.page_sessions:
            found |= _in_browser(arguments, Path(place))
    verdicts = {name: _verdict(name, found[name]) for name in found}
    write_json(
        arguments.out,
        {
            "settings": {**vars(arguments), "out": str(arguments.out)}
            | {"study": str(arguments.study) if arguments.study else None},
            "guesses": {
                name: {channel: one.as_record() for channel, one in own.items()}
                for name, own in found.items()
            },
            "second_look": compared,
            "passed": verdicts,
        },
    )
    console = Console()
    for name, own in found.items():
        console.print(_table(name, own, verdicts[name]))
    console.print(f"Two looks at the same trial: {compared}")
    return 0 if all(verdicts.values()) else 1


def _over_http(
    arguments: argparse.Namespace, place: Path
) -> tuple[Results, dict[str, float]]:
    n, n_planted, seed = arguments.sessions, arguments.planted_sessions, arguments.seed
    study = _study(arguments, place, max(n, n_planted))
    with progress() as bar:
        task = bar.add_task("Sessions over HTTP", total=n + n_planted)

        def advance() -> None:
            bar.advance(task)

        with served(study, place / "clean.sqlite") as app:
            seen = overheard(app, n, advance=advance)
        with served(study, place / "leaking.sqlite") as app, planted(app):
            leaking = overheard(
                app, n_planted, advance=advance, arrived=lambda: telling_names(app)
            )
    found: Results = {
        "the right row": guessed_row(seen, seed=seed),
        "catch trials": guessed_catch(seen, seed=seed),
        "the right row, leaks planted": guessed_row(leaking, seed=seed),
    }
    return found, second_look(seen)


def _in_browser(arguments: argparse.Namespace, place: Path) -> Results:
    n, n_trials, seed = arguments.page_sessions, arguments.page_trials, arguments.seed
    study = toy_study(
        place / "paged", n_slots=n, n_main_trials=n_trials, n_catch_trials=0, seed=seed
    )
    with running_chromium() as browser, progress() as bar:
        task = bar.add_task("Sessions in Chromium", total=n)
        clean, leaking = pages_seen(
            browser,
            study,
            place,
            n_sessions=n,
            n_trials=n_trials,
            advance=lambda: bar.advance(task),
        )
    return {
        "the right row, from the page": guessed_from_page(clean, seed=seed),
        "the right row, from the page, leak planted": guessed_from_page(
            leaking, seed=seed
        ),
    }


def _study(arguments: argparse.Namespace, place: Path, n_slots: int) -> Study:
    if arguments.study:
        return read_study(arguments.study)
    return toy_study(place / "study", n_slots=n_slots, seed=arguments.seed)


def _verdict(name: str, own: Mapping[str, Guess]) -> bool:
    """Whether nothing leaks, or every planted leak is found."""
    if "planted" not in name:
        return not any(one.is_leak for one in own.values())
    telling = ("markup",) if "page" in name else PLANTED
    return all(own[channel].is_leak for channel in telling)


def _table(name: str, own: Mapping[str, Guess], passed: bool) -> Table:
    made = Table(title=f"{name}: {'as it must be' if passed else 'NOT as it must be'}")
    for heading in ("channel", "right", "95% interval", "clues", "learner", ""):
        made.add_column(heading)
    for channel, one in own.items():
        made.add_row(
            channel,
            f"{one.accuracy:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            str(one.n_clues),
            one.learner,
            "told" if one.is_leak else "",
        )
    made.caption = f"{next(iter(own.values())).n_trials} trials; chance is 0.5"
    return made


if __name__ == "__main__":
    sys.exit(main())
