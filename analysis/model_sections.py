"""The section on the mixed model, and where it and simple means disagree."""

import pandas as pd

from analysis.blocks import Section, Table, numbers_of
from analysis.mixed_model import mixed_model
from analysis.wording import interval, number, probability


def model_section(main: pd.DataFrame, *, level: float = 0.95) -> Section:
    """Fit single answers with crossed random effects of units and participants."""
    found = mixed_model(main, level=level)
    if found.note and found.terms.empty:
        said = [f"The model was not fitted: {found.note}."]
    else:
        said = [
            "Random effects (standard deviations, log odds): units"
            f" {number(found.sd_unit)} ({_ends(found.sd_unit_interval)}), participants"
            f" {number(found.sd_participant)} ({_ends(found.sd_participant_interval)})."
        ]
        if found.note:
            said.append(f"{found.note[:1].upper()}{found.note[1:]}.")
        if found.disagreements:
            said += list(found.disagreements)
        else:
            said.append("The model and the simple means tell the same.")
    tables = []
    if len(found.terms):
        tables.append(_terms(found.terms))
    if len(found.cells):
        tables.append(_cells(found.cells))
    return Section(
        name="mixed_model",
        title="A model of single answers",
        said=tuple(said),
        tables=tuple(tables),
        numbers=numbers_of(found),
        methods=(
            "Single answers were fitted by a logistic mixed model with crossed random"
            " effects of units and participants (Laplace approximation of the"
            " restricted likelihood)."
        ),
        brief=False,
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return "no interval" if ends is None else interval(*ends)


def _terms(terms: pd.DataFrame) -> Table:
    rows = tuple(
        (
            str(row["term"]),
            number(row["estimate"]),
            interval(row["ci_low"], row["ci_high"]),
            number(row["odds_ratio"], 2),
            probability(row["p_value"]),
        )
        for row in terms.to_dict("records")
    )
    header = ("fixed effect", "log odds", "95% interval", "odds ratio", "p")
    return Table(header=header, rows=rows)


def _cells(cells: pd.DataFrame) -> Table:
    own = {
        "n_units",
        "n_trials",
        "simple",
        "simple_low",
        "simple_high",
        "model",
        "model_low",
        "model_high",
        "disagrees",
    }
    categories = [name for name in cells.columns if name not in own]
    rows = tuple(
        (
            ", ".join(str(row[name]) for name in categories) or "all",
            str(row["n_trials"]),
            number(row["simple"]),
            interval(row["simple_low"], row["simple_high"]),
            number(row["model"]),
            interval(row["model_low"], row["model_high"]),
            "disagree" if row["disagrees"] else "agree",
        )
        for row in cells.to_dict("records")
    )
    header = (
        "cell",
        "answers",
        "simple mean",
        "95% interval",
        "model",
        "95% interval",
        "",
    )
    return Table(header=header, rows=rows)
