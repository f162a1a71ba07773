"""A plan of a study in words, and as files."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cost import CURRENCIES
from analysis.power import PowerPlan
from analysis.power_simulation import QUESTIONS
from analysis.wording import text_table
from data.files import whole_folder
from data.formats import Header, software_versions, write_header

HEADER = (
    *("answers/unit", "units", "sessions", "paid", "hours", "cost"),
    *("HIS width", "r width", "step width", "power", ""),
)


def text_plan(plan: PowerPlan) -> list[str]:
    """Return the plan for a terminal."""
    symbol = CURRENCIES[plan.pay.currency]
    v, pay = plan.variances, plan.pay
    rows = [_design_cells(row, symbol) for row in plan.designs.to_dict("records")]
    goals = [
        f"{question} {goal} {value:g}" for question, goal, value in plan.wanted.goals()
    ]
    return [
        f"Wanted: {', '.join(goals)}.",
        "",
        *text_table(rows, HEADER),
        "",
        f"Variances: {v.source}.",
        f"  HIS {v.mean:.3f}; SD between units {v.sd_unit:.2f}, between participants"
        f" {v.sd_participant:.2f} (log odds); step {v.step:g}; MIS correlates"
        f" {v.correlation:.2f} with HIS that has no noise.",
        f"Cost: {symbol}{pay.per_hour:g} an hour, {pay.minutes:.1f} minutes for"
        f" {pay.trials} main trials, platform fee {pay.platform_fee:.1%}, VAT on it"
        f" {pay.vat:.0%}; {pay.excluded:.0%} of paid sessions do not count.",
        f"Widths are means over {plan.n_simulations} simulated studies (seed"
        f" {plan.seed}) ± standard error, of 95% intervals for new units and new"
        " participants (r: a jackknife on"
        " Fisher's z, for new units).",
    ]


def _design_cells(row: dict[Any, Any], symbol: str) -> tuple[str, ...]:
    if row.get("n_units") is None or math.isnan(row.get("n_units", math.nan)):
        blank = [""] * 8
        return (str(row["answers_per_unit"]), "out of reach", *blank, "")
    widths = [
        "–"
        if math.isnan(row[f"{name}_width"])
        else f"{row[f'{name}_width']:.3f} ± {row[f'{name}_error']:.3f}"
        for name in QUESTIONS
    ]
    power = "–" if math.isnan(row["power"]) else f"{row['power']:.2f}"
    return (
        str(row["answers_per_unit"]),
        f"{row['n_units']:.0f}",
        f"{row['n_participants']:.0f}",
        f"{row['n_paid']:.0f}",
        f"{row['hours']:.1f}",
        f"{symbol}{row['total']:,.2f}",
        *widths,
        power,
        "cheapest" if row["cheapest"] else "",
    )


def write_plan(folder: Path, plan: PowerPlan) -> None:
    """Write ``power.json``, ``power.csv``, ``curve.csv`` and ``power.svg``."""
    from analysis.page import svg_of
    from analysis.power_figure import power_figure

    header = Header(
        format="power",
        version=1,
        config={"wanted": asdict(plan.wanted), "main_trials": plan.main_trials},
        seed=plan.seed,
        software=software_versions("numpy", "scipy", "pandas"),
    )
    with whole_folder(folder) as part:
        write_header(
            part / "power.json",
            header,
            variances=asdict(plan.variances),
            pay=asdict(plan.pay),
            n_simulations=plan.n_simulations,
            designs=_records(plan.designs),
            curve=_records(plan.curve),
        )
        for name, table in (("power", plan.designs), ("curve", plan.curve)):
            table.to_csv(part / f"{name}.csv", index=False, lineterminator="\n")
        svg = svg_of(power_figure(plan))
        (part / "power.svg").write_text(svg, encoding="utf-8")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [
        {
            str(name): value.item() if hasattr(value, "item") else value
            for name, value in row.items()
        }
        for row in plain.to_dict("records")
    ]
