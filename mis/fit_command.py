"""The command ``unitscope fit``: tau from people's answers, checked on other units."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data.command_line import add_seed, existing_path, run_command
from data.errors import DataContractError
from data.exclusion import IMI, exclusion_table
from data.files import file_hash, folder_hash
from data.formats import Header, software_versions, write_header
from data.responses import Responses, read_responses
from data.scores import read_scores
from data.tables import read_csv
from mis.fit import (
    MODELS,
    Answered,
    Fit,
    answered,
    chance_loss,
    common_mean_loss,
    fit_model,
    own_mean_loss,
)

COUNTS = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "n_correct": pa.Column("int64", pa.Check.ge(0), description="0 or above"),
        "n_trials": pa.Column("int64", pa.Check.gt(0), description="above 0"),
    },
    coerce=True,
    name="a table of answers by unit",
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope fit",
        description="Fit the machine observer's tau to people's answers.",
    )
    parser.add_argument("scores", type=existing_path, help="scores with margins")
    parser.add_argument(
        "--human",
        type=existing_path,
        required=True,
        help="answers: an export folder, a CSV in IMI's form, or a CSV with the columns"
        " unit, n_correct, n_trials",
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="tau",
        help="whose tau is kept; all are fitted and compared (default tau alone)",
    )
    parser.add_argument(
        "--criteria",
        choices=["imi", "none"],
        default="imi",
        help="which sessions count (default: those that IMI's criteria leave)",
    )
    parser.add_argument(
        "--repeats", type=int, default=10, help="draws of the folds (default 10)"
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the fit")
    add_seed(parser)
    return parser


def human_counts(path: Path, *, criteria: str) -> pd.DataFrame:
    """Return 'unit', 'n_correct' and 'n_trials' of the answers that count.

    Main trials with natural images and easy queries, of complete sessions that are no
    test runs.

    Raises
    ------
    DataContractError
        The file holds no answers, or breaks its schema.
    """
    if path.suffix == ".csv" and _is_counts(path):
        table = read_csv(path, COUNTS)
        bad = table[table["n_correct"] > table["n_trials"]]
        if len(bad):
            raise DataContractError(
                f"{path} has more correct answers than trials for {len(bad)} units,"
                f" first {bad['unit'].iloc[0]!r}. Check the table."
            )
        return table[["unit", "n_correct", "n_trials"]]
    main = _counted(read_responses(path), criteria=criteria)
    counts = main.groupby("unit", as_index=False).agg(
        n_correct=("correct", "sum"), n_trials=("correct", "size")
    )
    if counts.empty:
        raise DataContractError(
            f"{path} holds no answers that count: none is a main trial with natural"
            f" images of a session that the criteria {criteria!r} leave."
            " Give other answers, or --criteria none."
        )
    return counts


def _is_counts(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return "n_correct" in file.readline()


def _counted(responses: Responses, *, criteria: str) -> pd.DataFrame:
    sessions = responses.sessions[~responses.sessions["test_run"]]
    sessions = sessions[sessions["status"] == "complete"]
    own = responses.responses
    own = own[own["session_id"].isin(sessions["session_id"])]
    if criteria == "imi":
        table = exclusion_table(own, sessions, IMI)
        out = set(table.loc[table["excluded"], "session_id"])
        own = own[~own["session_id"].isin(out)]
    natural = own["explanation_method"] == "natural"
    easy = own["difficulty"].astype("str") == "easy"
    return own[(own["kind"] == "main") & natural & easy]


def fit(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.repeats < 1:
        raise DataContractError(
            f"--repeats is {arguments.repeats}; it must be at least 1."
        )
    scores = read_scores(arguments.scores)
    if scores.margins is None:
        raise DataContractError(
            f"The scores {arguments.scores} hold no margins. Score the tasks again."
        )
    counts = human_counts(arguments.human, criteria=arguments.criteria)
    data = answered(counts, scores.scored_units, scores.margins)
    rng = np.random.default_rng(arguments.seed)
    fits = {
        model: fit_model(data, model, rng=rng, n_repeats=arguments.repeats)
        for model in MODELS
    }
    header = _header(arguments, scores.header)
    _write(arguments.out, header, data, fits, arguments.model)
    for line in _report(data, fits):
        print(line)
    chosen = fits[arguments.model]
    print(f"tau {chosen.tau:.4g} {_interval(chosen.tau_low, chosen.tau_high)}", end="")
    print(f": unitscope score --tau {arguments.out} uses it")
    return 0


def _header(arguments: argparse.Namespace, scores: Header) -> Header:
    human = arguments.human
    return Header(
        format="fit",
        version=1,
        config={
            "model": arguments.model,
            "criteria": arguments.criteria,
            "repeats": arguments.repeats,
            "n_folds": 5,
            "encoder": scores.config.get("encoder"),
            "encoder_fingerprint": scores.config.get("encoder_fingerprint"),
        },
        seed=arguments.seed,
        made_from={
            "scores": folder_hash(arguments.scores),
            "human": folder_hash(human) if human.is_dir() else file_hash(human),
        },
        software=software_versions("numpy", "scipy"),
    )


def _write(
    path: Path, header: Header, data: Answered, fits: dict[str, Fit], model: str
) -> None:
    used = zip(data.units, data.n_correct, data.n_trials, strict=True)
    chosen = fits[model]
    write_header(
        path,
        header,
        tau=chosen.tau,
        slope=chosen.slope,
        offset=chosen.offset,
        tau_interval=[chosen.tau_low, chosen.tau_high],
        models=[asdict(one) for one in fits.values()],
        log_loss={
            "chance": chance_loss(),
            "common_mean": common_mean_loss(data),
            "own_mean": own_mean_loss(data),
        },
        n_units=len(data.units),
        n_answers=int(data.n_trials.sum()),
        units=[[unit, int(right), int(n)] for unit, right, n in used],
    )


def _report(data: Answered, fits: dict[str, Fit]) -> list[str]:
    lines = [
        f"{int(data.n_trials.sum()):,} answers for {len(data.units)} units;"
        " log-loss in nats an answer, for units outside the fit:",
        f"  {'chance':<18} {chance_loss():.4f}",
        f"  {'one share for all':<18} {common_mean_loss(data):.4f}",
    ]
    for name, one in fits.items():
        more = f"tau {one.tau:.4g} {_interval(one.tau_low, one.tau_high)}"
        if "slope" in name:
            more += (
                f", slope {one.slope:.3g} {_interval(one.slope_low, one.slope_high)}"
            )
        if "offset" in name:
            offset = _interval(one.offset_low, one.offset_high)
            more += f", offset {one.offset:.3g} {offset}"
        edge = "; tau at the end of what was searched" if one.at_edge else ""
        lines.append(f"  {name:<18} {one.out_of_sample:.4f}  ({more}{edge})")
    return [*lines, f"  {'own share':<18} {own_mean_loss(data):.4f}"]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "[not bounded]"
    return f"[{low:.4g}, {high:.4g}]"


def main(argv: list[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), fit, argv)
