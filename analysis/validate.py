"""Hold human scores against machine scores: a study's, or the published ones."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.command_line import add_seed, existing_path, run_command, say
from data.files import file_hash, folder_hash
from data.formats import Header, software_versions, write_header

if TYPE_CHECKING:
    from analysis.claim_values import Evidence
    from analysis.claims import Claim
    from analysis.report import Report
    from data.scores import Scores


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
        "scores",
        nargs="?",
        type=existing_path,
        help="folder that 'unitscope score' wrote, or a table with 'unit' and 'mis'",
    )
    parser.add_argument(
        "--selection",
        type=existing_path,
        metavar="FOLDER",
        help="groups of units (default: those of the responses)",
    )
    parser.add_argument(
        "--criteria",
        default="imi",
        metavar="imi|none|FILE",
        help="which sessions are excluded; FILE is TOML or JSON (default imi)",
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
        if arguments.responses is None:
            _refuse_options_of_a_study(parser, arguments)
            return _reproduce(arguments)
        if arguments.scores is None:
            parser.error("the scores are missing; give RESPONSES and SCORES")
        return _validate(arguments)

    return run_command(parser, command, None if argv is None else list(argv))


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
    names = ("selection", "explanation_method", "difficulty", "min_r", "out")
    for name in names:
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            parser.error(f"--{option} needs RESPONSES and SCORES")


def _validate(arguments: argparse.Namespace) -> int:
    from analysis.report import text_report, write_json_report, write_report
    from analysis.wording import warnings_of

    say("Reading responses and scores, resampling …")
    report = _report(arguments)
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


def _report(arguments: argparse.Namespace) -> "Report":
    """Read what the arguments name and compute everything."""
    from analysis.agreement import agreement
    from analysis.calibration import calibration
    from analysis.inclusion import read_criteria
    from analysis.report import Report
    from analysis.wording import Check
    from data.responses import read_responses
    from data.scores import read_score_table, read_scores

    criteria = read_criteria(arguments.criteria)
    found = agreement(
        read_responses(arguments.responses),
        read_score_table(arguments.scores),
        criteria=criteria,
        seed=arguments.seed,
        groups=_selected_groups(arguments.selection),
        explanation_method=arguments.explanation_method,
        difficulty=arguments.difficulty,
    )
    scores = read_scores(arguments.scores) if arguments.scores.is_dir() else None
    required = arguments.min_r
    inputs = _inputs(arguments)
    return Report(
        agreement=found,
        calibration=(
            None if scores is None else calibration(found.inclusion.main, scores.tasks)
        ),
        checks=(
            ()
            if required is None
            else (
                Check(
                    name="Pearson r of MIS and HIS",
                    value=found.correlations[0].estimate,
                    required=required,
                ),
            )
        ),
        machine=_machine(scores),
        seed=arguments.seed,
        criteria=arguments.criteria,
        inputs={kind: str(path) for kind, path in inputs.items()},
        made_from={kind: _fingerprint(path) for kind, path in inputs.items()},
    )


def _inputs(arguments: argparse.Namespace) -> dict[str, Path]:
    named = {
        kind: getattr(arguments, kind) for kind in ("responses", "scores", "selection")
    }
    if arguments.criteria not in {"imi", "none"}:
        named["criteria"] = Path(arguments.criteria)
    return {kind: path for kind, path in named.items() if path is not None}


def _fingerprint(path: Path) -> str:
    return folder_hash(path) if path.is_dir() else file_hash(path)


def _selected_groups(path: Path | None) -> Mapping[str, str] | None:
    if path is None:
        return None
    from data.selections import read_selection

    units = read_selection(path).units
    return dict(zip(units["unit"], units["group"], strict=True))


def _machine(scores: "Scores | None") -> str | None:
    """Say which machine gave the scores, where they tell."""
    config = {} if scores is None else scores.header.config
    known = [f"{name} {config[name]}" for name in ("encoder", "tau") if name in config]
    return ", ".join(known) or None


def _reproduce(arguments: argparse.Namespace) -> int:
    """Hold published numbers against ours, on the data at hand."""
    from analysis.claims import claims_hold, published_claims
    from analysis.claims_report import claim_lines, model_lines
    from data.published import read_claims, read_imi_model_scores

    evidence = _evidence(arguments)
    claims = published_claims(read_claims(), evidence, seed=arguments.seed)
    if arguments.json:
        _write_claims(arguments.json, claims, arguments.seed)
    imi = read_imi_model_scores()
    print("\n".join(model_lines(imi.title, imi.table)))
    print()
    print("\n".join(claim_lines(claims)))
    return 0 if claims_hold(claims) else 1


def _evidence(arguments: argparse.Namespace) -> "Evidence":
    """Read what ships and what the arguments name."""
    from analysis.claim_values import Evidence
    from data.published import read_borowski2021

    return Evidence(borowski_units=read_borowski2021().table)


def _write_claims(path: Path, claims: "Sequence[Claim]", seed: int) -> None:
    from analysis.claims_report import claims_json

    header = Header(
        format="claims",
        version=2,
        config={},
        seed=seed,
        software=software_versions("numpy", "scipy", "statsmodels"),
    )
    write_header(path, header, claims=claims_json(claims))


if __name__ == "__main__":
    sys.exit(main())
