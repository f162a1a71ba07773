"""How often each interval holds the truth, in simulated studies: ``make coverage``."""

import argparse
import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.coverage_page import page
from analysis.error_rates import Rejected, false_findings
from analysis.power_simulation import outcomes
from analysis.recovery import SOURCES, Held
from analysis.scenarios import SCENARIOS, Scenario
from analysis.units_needed import units_needed
from data.command_line import add_seed, progress, run_command
from data.files import whole_file

LOWEST, HIGHEST = 0.93, 0.97
GREATEST_RATE, LEAST_RATE = 0.07, 0.03
MOST_BIAS = 0.4
"""In standard deviations of the estimate; less hardly moves an interval's coverage."""
N_SEARCHES = 4
SELDOM = MappingProxyType({"variational": 5})
"""What is slow and not used is asked only every so many studies."""
BATCH = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Tables:
    """What simulated studies with known truth say.

    Attributes
    ----------
    coverage : DataFrame
        One row an interval: 'scenario', 'quantity', 'method', 'claims', 'n_studies'
        (that gave an interval), 'coverage', 'error' (standard error), 'below',
        'above' (shares with the truth below or above the interval), 'width' (mean),
        'verdict'.
    estimates : DataFrame
        One row an estimator: 'scenario', 'quantity', 'method', 'claims', 'n_studies',
        'truth', 'estimate' (mean), 'sd', 'error' (of the mean), 'verdict'.
    rates : DataFrame
        One row a test: 'scenario', 'test', 'n_studies', 'rate' (of false findings),
        'error', 'verdict'.
    """

    coverage: pd.DataFrame
    estimates: pd.DataFrame
    rates: pd.DataFrame


def coverage_tables(
    *,
    n_studies: int,
    seed: int,
    n_processes: int = 1,
    tell: Callable[[int], None] = lambda _: None,
) -> Tables:
    """Simulate studies with known truth and count whose intervals hold it."""
    batches = [
        range(start, min(start + BATCH, n_studies))
        for start in range(0, n_studies, BATCH)
    ]
    found: list[Held] = []
    rejected: list[Rejected] = []
    work = partial(_batch, seed=seed)
    with ExitStack() as stack:
        spread: Callable[..., Iterable[tuple[list[Held], list[Rejected]]]] = map
        if n_processes > 1:
            # Spares workers what statsmodels' corrections for many tests collect.
            pool = ProcessPoolExecutor(n_processes, initializer=gc.freeze)
            spread = stack.enter_context(pool).map
        for numbers, (held, tests) in zip(batches, spread(work, batches), strict=True):
            found += held
            rejected += tests
            tell(len(numbers))
    table = pd.DataFrame([vars(held) for held in found])
    return Tables(
        coverage=_counted(table),
        estimates=_recovered(table),
        rates=_rates(pd.DataFrame([vars(one) for one in rejected])),
    )


def power_table(*, n_studies: int, seed: int) -> pd.DataFrame:
    """Hold what plans promise against fresh simulated studies.

    Returns
    -------
    DataFrame
        'scenario', 'question', 'goal', 'wanted', 'n_units' (mean of a few searches),
        'fresh' (what as many fresh studies of those give), 'error' (standard error,
        searches included), 'verdict'.
    """
    goals = (
        ("his", "width", 0.06),
        ("correlation", "width", 0.25),
        ("contrast", "width", 0.12),
        ("contrast", "power", 0.8),
    )
    rows = []
    scenario = SCENARIOS[0]
    for number, (question, goal, wanted) in enumerate(goals):
        searches = [
            _promise(
                scenario,
                question,
                goal,
                wanted,
                n_studies=n_studies // N_SEARCHES,
                seed=[seed, number, one],
            )
            for one in range(N_SEARCHES)
        ]
        kept = [one for one in searches if one is not None]
        if not kept:
            continue
        n_units, fresh, within = np.array(kept).T
        between = fresh.std(ddof=1) if len(kept) > 1 else 0.0
        error = max(between, within.mean()) / len(kept) ** 0.5
        value = float(fresh.mean())
        # Units are whole, and three for the contrast.
        slack = 3 * error + 0.005 * wanted
        rows.append(
            {
                "scenario": scenario.name,
                "question": question,
                "goal": goal,
                "wanted": wanted,
                "n_units": float(n_units.mean()),
                "fresh": value,
                "error": float(error),
                "verdict": "as promised" if abs(value - wanted) <= slack else "off",
            }
        )
    return pd.DataFrame(rows)


def _promise(
    scenario: Scenario,
    question: str,
    goal: str,
    wanted: float,
    *,
    n_studies: int,
    seed: Sequence[int],
) -> tuple[int, float, float] | None:
    """Search once, and return the units, what fresh studies give, and its error."""
    n_units = units_needed(
        question,
        scenario.variances,
        scenario.design,
        wanted,
        goal=goal,
        n_simulations=n_studies,
        rng=np.random.default_rng([*seed, 0]),
    )
    if n_units is None:
        return None
    fresh = outcomes(
        question,
        scenario.variances,
        replace(scenario.design, n_units=n_units),
        n_simulations=n_studies,
        rng=np.random.default_rng([*seed, 1]),
    )
    if goal == "width":
        return n_units, fresh.width, fresh.width_error
    return n_units, fresh.power, fresh.power_error


def _batch(numbers: Sequence[int], *, seed: int) -> tuple[list[Held], list[Rejected]]:
    studies = [
        (scenario, [seed, number, where])
        for number in numbers
        for where, scenario in enumerate(SCENARIOS)
    ]
    held = [
        one
        for scenario, key in studies
        for place, (name, source) in enumerate(SOURCES.items())
        if key[1] % SELDOM.get(name, 1) == 0
        for one in source(scenario, np.random.default_rng([*key, place]))
    ]
    tests = [
        one
        for scenario, key in studies
        for one in false_findings(scenario, np.random.default_rng([*key, len(SOURCES)]))
    ]
    return held, tests


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    table = table[np.isfinite(table["low"]) & np.isfinite(table["high"])]
    table = table.assign(
        covered=table["truth"].between(table["low"], table["high"]),
        below=table["truth"] < table["low"],
        above=table["truth"] > table["high"],
        width=table["high"] - table["low"],
    )
    keys = ["scenario", "quantity", "method", "claims"]
    rows = table.groupby(keys, sort=False).agg(
        n_studies=("covered", "size"),
        coverage=("covered", "mean"),
        below=("below", "mean"),
        above=("above", "mean"),
        width=("width", "mean"),
    )
    rows = rows.reset_index()
    return rows.assign(
        error=_share_error(rows["coverage"], rows["n_studies"]),
        verdict=[
            _verdict(share, claims=claims)
            for share, claims in zip(rows["coverage"], rows["claims"], strict=True)
        ],
    )


def _share_error(share: "pd.Series[float]", n: "pd.Series[int]") -> "pd.Series[float]":
    """Return the standard error of a share, never 0."""
    share = (share * n + 1) / (n + 2)
    return (share * (1 - share) / n) ** 0.5


def _verdict(coverage: float, *, claims: bool) -> str:
    if not claims:
        return "falls short, and claims less" if coverage < LOWEST else "holds here"
    if coverage > HIGHEST:
        return "wider than claimed"
    return "as claimed" if coverage >= LOWEST else "off"


def _recovered(table: pd.DataFrame) -> pd.DataFrame:
    table = table[np.isfinite(table["estimate"])]
    keys = ["scenario", "quantity", "method", "claims"]
    rows = table.groupby(keys, sort=False).agg(
        n_studies=("estimate", "size"),
        truth=("truth", "mean"),
        estimate=("estimate", "mean"),
        sd=("estimate", "std"),
        error=("estimate", "sem"),
    )
    rows = rows.reset_index()
    off = (rows["estimate"] - rows["truth"]).abs() > MOST_BIAS * rows["sd"]
    said = rows["claims"].map({True: "off", False: "off, and claims less"})
    return rows.assign(verdict=said.where(off, "recovers"))


def _rates(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.groupby(["scenario", "test", "claims"], sort=False)["rejected"]
    found = rows.agg(n_studies="size", rate="mean").reset_index()
    said = np.where(found["rate"] < LEAST_RATE, "stricter than claimed", "as claimed")
    off = found["claims"].map({True: "off", False: "off, and claims less"})
    return found.assign(
        error=_share_error(found["rate"], found["n_studies"]),
        verdict=np.where(found["rate"] > GREATEST_RATE, off, said),
    )


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
        tables = coverage_tables(
            n_studies=arguments.studies,
            seed=arguments.seed,
            n_processes=arguments.processes,
            tell=lambda n: bar.advance(task, n),
        )
        bar.add_task("plans and fresh studies", total=None)
        power = power_table(n_studies=arguments.studies, seed=arguments.seed)
    command = (
        f"python -m analysis.coverage --studies {arguments.studies}"
        f" --seed {arguments.seed}"
    )
    text = page(tables, power, command=command)
    if arguments.out:
        with whole_file(arguments.out) as part:
            part.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    shown = (tables.coverage, tables.estimates, tables.rates, power)
    verdicts = [verdict for table in shown for verdict in table["verdict"]]
    return 1 if "off" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
