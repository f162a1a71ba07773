"""How often each interval holds the truth, in simulated studies: ``make coverage``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.power_simulation import outcomes, units_needed
from analysis.recovery import DESIGN, N_RESAMPLES, PLANTED, SOURCES, TAU, Held
from data.command_line import add_seed, progress, run_command
from data.files import whole_file

LOWEST, HIGHEST = 0.93, 0.97
BATCH = 10


def coverage_table(
    *,
    n_studies: int,
    seed: int,
    n_processes: int = 1,
    tell: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate studies with known truth and count whose intervals hold it.

    Returns
    -------
    DataFrame
        One row an interval: 'quantity', 'method', 'claims', 'n_studies' (that gave
        an interval), 'coverage', 'error' (standard error), 'width' (mean),
        'verdict'.
    """
    batches = [
        range(start, min(start + BATCH, n_studies))
        for start in range(0, n_studies, BATCH)
    ]
    found: list[Held] = []
    work = partial(_batch, seed=seed)
    if n_processes == 1:
        for numbers in batches:
            found += work(numbers)
            tell(len(numbers))
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            for numbers, held in zip(batches, pool.map(work, batches), strict=True):
                found += held
                tell(len(numbers))
    return _counted(found)


def power_table(*, n_studies: int, seed: int) -> pd.DataFrame:
    """Hold what a plan promises against fresh simulated studies.

    Returns
    -------
    DataFrame
        'question', 'goal', 'wanted', 'n_units', 'fresh' (what as many fresh studies
        give), 'error' (standard error), 'verdict'.
    """
    goals = (
        ("his", "width", 0.06),
        ("correlation", "width", 0.25),
        ("contrast", "width", 0.12),
        ("contrast", "power", 0.8),
    )
    rows = []
    for number, (question, goal, wanted) in enumerate(goals):
        n_units = units_needed(
            question,
            PLANTED,
            DESIGN,
            wanted,
            goal=goal,
            n_simulations=n_studies,
            rng=np.random.default_rng([seed, number, 0]),
        )
        if n_units is None:
            continue
        fresh = outcomes(
            question,
            PLANTED,
            replace(DESIGN, n_units=n_units),
            n_simulations=n_studies,
            rng=np.random.default_rng([seed, number, 1]),
        )
        value = fresh.width if goal == "width" else fresh.power
        error = fresh.width_error if goal == "width" else fresh.power_error
        # One step of the search is a few per cent of the units.
        slack = 3 * np.sqrt(2) * error + 0.02 * wanted
        rows.append(
            {
                "question": question,
                "goal": goal,
                "wanted": wanted,
                "n_units": n_units,
                "fresh": value,
                "error": error,
                "verdict": "as promised" if abs(value - wanted) <= slack else "off",
            }
        )
    return pd.DataFrame(rows)


def _batch(numbers: Sequence[int], *, seed: int) -> list[Held]:
    return [
        held
        for number in numbers
        for source in SOURCES.values()
        for held in source(np.random.default_rng([seed, number]))
    ]


def _counted(found: Sequence[Held]) -> pd.DataFrame:
    table = pd.DataFrame([vars(held) for held in found])
    table = table[np.isfinite(table["low"]) & np.isfinite(table["high"])]
    table = table.assign(
        covered=table["truth"].between(table["low"], table["high"]),
        width=table["high"] - table["low"],
    )
    rows = table.groupby(["quantity", "method", "claims"], sort=False).agg(
        n_studies=("covered", "size"),
        coverage=("covered", "mean"),
        width=("width", "mean"),
    )
    rows = rows.reset_index()
    share = (rows["coverage"] * rows["n_studies"] + 1) / (rows["n_studies"] + 2)
    return rows.assign(
        error=(share * (1 - share) / rows["n_studies"]) ** 0.5,
        verdict=[
            _verdict(row.coverage, claims=row.claims) for row in rows.itertuples()
        ],
    )


def _verdict(coverage: float, *, claims: bool) -> str:
    if not claims:
        return "falls short, and claims less" if coverage < LOWEST else "holds here"
    if coverage > HIGHEST:
        return "wider than claimed"
    return "as claimed" if coverage >= LOWEST else "off"


def page(coverage: pd.DataFrame, power: pd.DataFrame, *, command: str) -> str:
    """Return both tables as Markdown, with the command that makes them."""
    v, d = PLANTED, DESIGN
    lines = [
        "# Coverage of 95% intervals",
        "",
        f"Made by `{command}` (`make coverage`).",
        "",
        f"Each study: {d.n_units} units, {d.answers_per_unit} answers each, sessions of"
        f" at most {d.main_trials} main trials ({d.n_participants} participants). HIS"
        f" {v.mean:g}; standard deviations {v.sd_unit:g} between units and"
        f" {v.sd_participant:g} between participants (log odds); groups {v.step:g}"
        f" apart; MIS correlates {v.correlation:g} with HIS that has no noise; tau"
        f" {TAU:g}. Bootstraps have {N_RESAMPLES} resamples (tau: 200).",
        "",
        "| quantity | method | coverage | ± | width | studies | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.quantity} | {row.method} | {row.coverage:.1%} | {row.error:.1%}"
            f" | {row.width:.3f} | {row.n_studies} | {row.verdict} |"
            for row in coverage.itertuples()
        ),
        "",
        f"*As claimed*: between {LOWEST:.0%} and {HIGHEST:.0%}. ± is the standard error"
        " of the simulation.",
        "",
        "# Promises of `unitscope power`",
        "",
        "| question | goal | wanted | units | fresh studies give | ± | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row.question} | {row.goal} | {row.wanted:g} | {row.n_units}"
            f" | {row.fresh:.4f} | {row.error:.4f} | {row.verdict} |"
            for row in power.itertuples()
        ),
        "",
    ]
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.coverage", description=__doc__
    )
    parser.add_argument(
        "--studies", type=int, default=1000, help="simulated studies (default 1000)"
    )
    parser.add_argument(
        "--processes", type=int, default=2, help="that work at once (default 2)"
    )
    parser.add_argument("--out", type=Path, help="write the page here (Markdown)")
    add_seed(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 1 where an interval does not do as it claims."""
    return run_command(build_parser(), _command, None if argv is None else list(argv))


def _command(arguments: argparse.Namespace) -> int:
    with progress() as bar:
        task = bar.add_task("simulated studies", total=arguments.studies)
        coverage = coverage_table(
            n_studies=arguments.studies,
            seed=arguments.seed,
            n_processes=arguments.processes,
            tell=lambda n: bar.advance(task, n),
        )
    power = power_table(n_studies=arguments.studies, seed=arguments.seed)
    command = (
        f"python -m analysis.coverage --studies {arguments.studies}"
        f" --seed {arguments.seed}"
    )
    text = page(coverage, power, command=command)
    if arguments.out:
        with whole_file(arguments.out) as part:
            part.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    verdicts = [*coverage["verdict"], *power["verdict"]]
    return 1 if "off" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
