"""Plan a study: units, answers, participants and money for a wanted precision."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.command_line import add_seed, existing_path, progress, run_command, say
from data.errors import DataContractError

if TYPE_CHECKING:
    from analysis.cost import Pay
    from analysis.inclusion import Inclusion
    from analysis.power import Wanted
    from analysis.simulated_studies import Variances

ANSWERS = (10, 20, 30, 40)
WIDTHS = {"his": 0.05, "correlation": 0.2, "contrast": 0.1}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope power",
        description=(
            "Find how many units, answers, participants and how much money a wanted"
            " precision takes, by simulating studies from the variances of a pilot or"
            " of published studies. Without widths: 0.05 for HIS, 0.2 for the"
            " correlation, 0.1 for the contrast. Exit status: 0 done, 1 not even"
            " very many units are enough, 2 could not run."
        ),
    )
    parser.add_argument(
        "pilot",
        nargs="?",
        type=existing_path,
        help="folder that 'unitscope export' wrote, or a CSV in IMI's form",
    )
    parser.add_argument(
        "--published",
        choices=("imi", "borowski2021"),
        default="imi",
        help="whose variances, where there is no pilot (default imi)",
    )
    parser.add_argument(
        "--explanation-method",
        choices=("natural", "synthetic"),
        default="natural",
        help="of the published study, or of the pilot (default natural)",
    )
    parser.add_argument(
        "--criteria",
        default="imi",
        metavar="imi|none|FILE",
        help="which of the pilot's sessions are excluded (default imi)",
    )
    _add_wanted(parser)
    _add_study(parser)
    _add_money(parser)
    parser.add_argument(
        "--simulations",
        type=_number(int, 20, 1_000_000),
        default=400,
        metavar="N",
        help="studies for each number that is printed (default 400)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write power.json, power.csv, curve.csv and power.svg here",
    )
    add_seed(parser)
    return parser


def _add_wanted(parser: argparse.ArgumentParser) -> None:
    words = {
        "his": "HIS of all units",
        "correlation": "the correlation of MIS and HIS",
        "contrast": "each step, hardest to random to easiest",
    }
    for question, what in words.items():
        parser.add_argument(
            f"--{question}-width",
            type=_number(float, 0.001, 2),
            metavar="W",
            help=f"largest mean width of the 95%% interval of {what}",
        )
    parser.add_argument(
        "--power",
        type=_number(float, 0.01, 0.999),
        metavar="P",
        help="least share of studies that tell both steps of the contrast from 0",
    )
    parser.add_argument(
        "--step",
        type=_number(float, 0.001, 0.45),
        default=0.1,
        help="difference in HIS between neighbouring groups (default 0.1)",
    )
    parser.add_argument(
        "--correlation",
        type=_number(float, 0, 0.999),
        metavar="R",
        help="of MIS with HIS that has no noise (default 0.78, Borowski et al. 2021)",
    )


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--answers",
        type=_answers,
        default=ANSWERS,
        metavar="N,N,…",
        help="answers per unit to try (default 10,20,30,40)",
    )
    parser.add_argument(
        "--main-trials",
        type=_number(int, 1, 1000),
        default=40,
        metavar="N",
        help="most main trials of a session (default 40)",
    )

    parser.add_argument(
        "--most-units",
        type=_number(int, 6, 100_000),
        default=5000,
        metavar="N",
        help="units that there are to choose from (default 5000)",
    )


def _add_money(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pay",
        type=_number(float, 0, 1000),
        metavar="AMOUNT",
        help="an hour (default what Prolific advises: 9 GBP, 12 USD)",
    )
    parser.add_argument(
        "--currency",
        choices=("GBP", "USD"),
        default="GBP",
        help="of pay and cost (default GBP)",
    )
    parser.add_argument(
        "--platform-fee",
        type=_fee,
        default="academic",
        metavar="academic|corporate|SHARE",
        help="share of the rewards (default academic: 0.333, read 2026-09-20)",
    )
    parser.add_argument(
        "--vat",
        type=_number(float, 0, 1),
        default=0.0,
        metavar="SHARE",
        help="on the fee, where it is due (default 0)",
    )
    parser.add_argument(
        "--minutes",
        type=_number(float, 0.1, 600),
        help="of a session (default that of the pilot, or IMI's 11.2 for 40 trials)",
    )
    parser.add_argument(
        "--excluded",
        type=_number(float, 0, 0.95),
        metavar="SHARE",
        help="of paid sessions that do not count (default of the pilot, or 0.25)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 1 out of reach, 2 could not run."""
    return run_command(build_parser(), _plan, None if argv is None else list(argv))


def _number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            word = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a {word} in [{low:g}, {high:g}]"
            )
        return value

    return parse


def _answers(text: str) -> tuple[int, ...]:
    one = _number(int, 1, 1000)
    return tuple(sorted({one(part) for part in text.split(",")}))


def _fee(text: str) -> str | float:
    return text if text in {"academic", "corporate"} else _number(float, 0, 2)(text)


def _plan(arguments: argparse.Namespace) -> int:
    from analysis.cost import pay_warning
    from analysis.power import power_plan
    from analysis.power_report import text_plan, write_plan

    inclusion = _pilot(arguments)
    variances = _variances(arguments, inclusion)
    pay = _pay(arguments, inclusion)
    warning = pay_warning(pay)
    if warning:
        say(f"warning: {warning}")
    answers = arguments.answers
    with progress() as bar:
        # A search, the design itself, and five designs around it.
        task = bar.add_task("starting", total=7 * len(answers))

        def tell(what: str) -> None:
            bar.update(task, description=what, advance=1)

        plan = power_plan(
            variances,
            _wanted(arguments),
            pay,
            answers=answers,
            main_trials=arguments.main_trials,
            n_simulations=arguments.simulations,
            seed=arguments.seed,
            most_units=arguments.most_units,
            tell=tell,
        )
    if inclusion is not None and inclusion.simulated_notice:
        print(f"{inclusion.simulated_notice}\n")
    print("\n".join(text_plan(plan)))
    if arguments.out:
        write_plan(arguments.out, plan)
        print(f"\nWritten: {arguments.out}")
    return 0 if plan.designs["cheapest"].any() else 1


def _pilot(arguments: argparse.Namespace) -> "Inclusion | None":
    if arguments.pilot is None:
        return None
    from dataclasses import replace

    from analysis.inclusion import include, read_criteria
    from data.responses import read_responses

    found = include(read_responses(arguments.pilot), read_criteria(arguments.criteria))
    method = arguments.explanation_method
    main = found.main[found.main["explanation_method"] == method]
    if main.empty:
        raise DataContractError(
            f"The pilot has no main trial with {method} explanations that counts."
            " Name the other method with --explanation-method, or set --criteria."
        )
    return replace(found, main=main)


def _variances(
    arguments: argparse.Namespace, inclusion: "Inclusion | None"
) -> "Variances":
    from analysis.power_variances import (
        borowski_variances,
        imi_variances,
        pilot_variances,
    )

    assumed = {"step": arguments.step, "correlation": arguments.correlation}
    if inclusion is not None:
        return pilot_variances(inclusion, **assumed)
    published = imi_variances if arguments.published == "imi" else borowski_variances
    return published(explanation_method=arguments.explanation_method, **assumed)


def _pay(arguments: argparse.Namespace, inclusion: "Inclusion | None") -> "Pay":
    from analysis.cost import ADVISED_PAY, PLATFORM_FEES, Pay
    from analysis.power_variances import pilot_session

    given: dict[str, Any] = {} if inclusion is None else pilot_session(inclusion)
    for name in ("minutes", "excluded"):
        if getattr(arguments, name) is not None:
            given[name] = getattr(arguments, name)
    if arguments.minutes is not None:
        given["trials"] = arguments.main_trials
    fee = arguments.platform_fee
    advised = ADVISED_PAY[arguments.currency].value
    return Pay(
        per_hour=advised if arguments.pay is None else arguments.pay,
        currency=arguments.currency,
        platform_fee=PLATFORM_FEES[fee].value if isinstance(fee, str) else fee,
        vat=arguments.vat,
        **given,
    )


def _wanted(arguments: argparse.Namespace) -> "Wanted":
    from analysis.power import Wanted

    widths = {name: getattr(arguments, f"{name}_width") for name in WIDTHS}
    if all(value is None for value in widths.values()) and arguments.power is None:
        widths = dict(WIDTHS)
    return Wanted(power=arguments.power, **widths)


if __name__ == "__main__":
    sys.exit(main())
