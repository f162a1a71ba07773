"""Sections on the machine's tau, and on how large the next study has to be."""

import numpy as np

from analysis.agreement import Agreement
from analysis.blocks import Section, Table, numbers_of
from analysis.precision import correlation_plan
from analysis.tau import fit_tau
from analysis.wording import counted, interval, number
from data.errors import DataContractError
from data.scores import Scores

UNITS = (50, 100, 200, 400, 800)
ANSWERS = (10, 30, 60)


def tau_section(
    found: Agreement, scores: Scores | None, *, seed: int, level: float = 0.95
) -> Section | None:
    """Fit tau to the answers, and tell the number that units outside the fit give.

    Returns
    -------
    Section or None
        None where the margins of single tasks are not known.
    """
    if scores is None:
        return None
    title = "Which tau suits the answers"
    try:
        fit = fit_tau(
            found.units,
            scores.tasks,
            rng=np.random.default_rng(seed),
            n_repeats=5,
            level=level,
        )
    except DataContractError as error:
        return Section(name="tau", title=title, said=(f"Not fitted: {error}",))
    if fit.tau is None:
        return Section(name="tau", title=title, said=(f"Not fitted: {fit.note}.",))
    spread = interval(fit.out_low, fit.out_high)
    rows = (
        ("tau", number(fit.tau), interval(fit.tau_low, fit.tau_high), ""),
        ("log-loss, units of the fit", number(fit.in_sample), "", "too good"),
        (
            "log-loss, units outside the fit",
            number(fit.out_of_sample),
            "",
            f"{spread}, by how the folds were drawn",
        ),
    )
    used = scores.header.config.get("tau")
    said = f"The scores of this report used tau {used}. " if used is not None else ""
    said += (
        f"Fitted to {counted(fit.n_trials, 'answer')} to {counted(fit.n_units, 'unit')}"
        f" and cross-validated over units in {fit.n_folds} folds; only the number for"
        " units outside the fit is honest."
    )
    noted = (f"{fit.note[:1].upper()}{fit.note[1:]}.",) if fit.note else ()
    return Section(
        name="tau",
        title=title,
        said=(said, *noted),
        tables=(Table(header=("", "value", "95% interval", ""), rows=rows),),
        numbers=numbers_of(fit),
        methods=(
            "The interval of tau is on its logarithm, by the sandwich variance over"
            " units."
        ),
        brief=False,
    )


def plan_section(found: Agreement, *, level: float = 0.95) -> Section | None:
    """Tell what correlation and width each size of study can expect.

    Returns
    -------
    Section or None
        None where the correlation without noise, or the reliability, is unknown.
    """
    true, reliability = found.disattenuated, found.ceiling.reliability
    if true is None or reliability is None:
        return None
    own = found.units.dropna(subset=["mis"])
    plan = correlation_plan(
        true_correlation=float(np.clip(true, -0.99, 0.99)),
        reliability=reliability,
        n_measured=float(own["n_trials"].mean()),
        n_units=UNITS,
        n_answers=ANSWERS,
        level=level,
    )
    rows = tuple(
        (
            str(row["n_units"]),
            str(row["n_answers"]),
            f"{row['n_answers_total']:,}",
            number(row["correlation"], 2),
            number(row["width"], 2),
        )
        for row in plan.to_dict("records")
    )
    header = ("units", "answers a unit", "answers", "expected r", "width of interval")
    return Section(
        name="plan",
        title="How large the next study has to be",
        said=(
            "If the next study is like this one. Widths are of the analytic interval;"
            " where HIS is skewed the bootstrap’s is a tenth wider. Costs, and other"
            " questions: unitscope power, which simulates the bootstrap’s.",
        ),
        tables=(Table(header=header, rows=rows),),
        numbers={"plan": numbers_of(plan)},
        brief=False,
    )
