"""Hold human scores against machine scores: a study's, or the published ones."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data.command_line import add_seed, existing_path, run_command, say


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope validate",
        description=(
            "Score units by people (HIS), hold a machine's score (MIS) against it, and"
            " write a report. Without arguments: reproduce published numbers."
            " Exit status: 0 all checks hold, 1 one fell short, 2 could not run."
        ),
    )
    parser.add_argument(
        "responses",
        nargs="?",
        type=existing_path,
        help="folder that 'unitscope export' wrote, or a CSV in IMI's form",
    )
    parser.add_argument(
        "first_scores",
        nargs="?",
        metavar="scores",
        type=existing_path,
        help="folder that 'unitscope score' wrote, or a table with 'unit' and 'mis'",
    )
    parser.add_argument(
        "--responses",
        dest="named_responses",
        type=existing_path,
        metavar="PATH",
        help="the responses, as a named option",
    )
    parser.add_argument(
        "--scores",
        dest="more_scores",
        type=existing_path,
        action="append",
        default=[],
        metavar="PATH",
        help="scores, as a named option; give several to compare them with the first",
    )
    parser.add_argument(
        "--borowski",
        type=existing_path,
        metavar="FOLDER",
        help="raw CSVs of Borowski et al. 2021: check the claims about them",
    )
    parser.add_argument(
        "--imi",
        type=existing_path,
        metavar="CSV",
        help="responses_main.csv of the IMI release: check the claims about it",
    )
    parser.add_argument(
        "--selection",
        type=existing_path,
        metavar="FOLDER",
        help="groups of units (default: those of the responses)",
    )
    parser.add_argument(
        "--criteria",
        default="study",
        metavar="study|imi|none|FILE",
        help="which sessions are excluded; FILE is TOML or JSON (default: as the study"
        " was compiled, and as IMI where the answers don't tell)",
    )
    parser.add_argument(
        "--explanation-method",
        choices=("natural", "synthetic"),
        help="where the responses mix them",
    )
    parser.add_argument(
        "--difficulty", help="where the responses mix them, such as easy"
    )
    parser.add_argument(
        "--min-r",
        type=_correlation_bound,
        metavar="R",
        help="least Pearson r that passes",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write report.html and figures here"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every number here"
    )
    add_seed(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 0 passed, 1 fell short, 2 could not run."""
    parser = build_parser()

    def command(arguments: argparse.Namespace) -> int:
        _settle_inputs(parser, arguments)
        if arguments.responses is None:
            _refuse_options_of_a_study(parser, arguments)
            return _reproduce(arguments)
        if not arguments.scores:
            parser.error("the scores are missing; give RESPONSES and SCORES")
        return _validate(arguments)

    return run_command(parser, command, None if argv is None else list(argv))


def _settle_inputs(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> None:
    """Bring both ways of naming inputs together, and refuse what contradicts."""
    if arguments.responses and arguments.named_responses:
        parser.error("the responses are given twice; give them once")
    arguments.responses = arguments.responses or arguments.named_responses
    first = [] if arguments.first_scores is None else [arguments.first_scores]
    arguments.scores = [*first, *arguments.more_scores]
    published = [
        f"--{name}" for name in ("borowski", "imi") if getattr(arguments, name)
    ]
    if arguments.responses and published:
        parser.error(
            f"{' and '.join(published)} check published claims, responses are a study's"
            " own; give one of them"
        )


def _correlation_bound(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number in [-1, 1]")
    return value


def _refuse_options_of_a_study(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> None:
    names = ("selection", "explanation_method", "difficulty", "min_r")
    for name in names:
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            parser.error(f"--{option} needs RESPONSES and SCORES")


def _validate(arguments: argparse.Namespace) -> int:
    from analysis.page import write_report
    from analysis.report import text_report, write_json_report
    from analysis.study import StudyInputs, study_report
    from analysis.wording import warnings_of

    say("Reading responses and scores, resampling …")
    report = study_report(
        StudyInputs(
            responses=arguments.responses,
            scores=tuple(arguments.scores),
            selection=arguments.selection,
            criteria=arguments.criteria,
            explanation_method=arguments.explanation_method,
            difficulty=arguments.difficulty,
            min_r=arguments.min_r,
        ),
        seed=arguments.seed,
    )
    for warning in warnings_of(report.agreement):
        say(f"note: {warning}")
    if arguments.out:
        write_report(arguments.out, report)
    if arguments.json:
        write_json_report(arguments.json, report)
    sys.stdout.write(text_report(report))
    if arguments.out:
        print(f"\nReport: {arguments.out / 'report.html'}")
    return 0 if report.holds else 1


def _reproduce(arguments: argparse.Namespace) -> int:
    """Hold published numbers against ours, on the data at hand."""
    from analysis.claims import claims_hold
    from analysis.claims_page import (
        claims_text,
        write_claims_json,
        write_claims_report,
    )
    from analysis.published_studies import PublishedInputs, claims_report

    if arguments.borowski or arguments.imi:
        say("Reading the data that claims are checked on, resampling …")
    report = claims_report(
        PublishedInputs(
            borowski=arguments.borowski,
            imi=arguments.imi,
            scores=tuple(arguments.scores),
        ),
        seed=arguments.seed,
        with_studies=arguments.out is not None,
    )
    if arguments.out:
        write_claims_report(arguments.out, report)
    if arguments.json:
        write_claims_json(arguments.json, report)
    sys.stdout.write(claims_text(report))
    if arguments.out:
        print(f"\nReport: {arguments.out / 'report.html'}")
    return 0 if claims_hold(report.claims) else 1


if __name__ == "__main__":
    sys.exit(main())
