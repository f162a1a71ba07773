"""The figures that every report has, each with its caption and the data behind it."""

from analysis import plots
from analysis.agreement import Agreement
from analysis.blocks import Drawn
from analysis.calibration import Calibration
from analysis.comparison import GroupComparison
from analysis.inclusion import Inclusion
from analysis.wording import counted, number


def core_figures(found: Agreement, calibration: Calibration | None) -> dict[str, Drawn]:
    """Draw units, groups, calibration and sessions, where there are results."""
    simulated = found.inclusion.n_simulated > 0
    drawn = {"scatter": units_drawn(found, simulated=simulated)}
    if found.groups is not None:
        drawn["groups"] = groups_drawn(found, found.groups, simulated=simulated)
    if calibration is not None:
        drawn["calibration"] = calibration_drawn(calibration, simulated=simulated)
    drawn["funnel"] = sessions_drawn(found.inclusion)
    return drawn


def units_drawn(found: Agreement, *, simulated: bool) -> Drawn:
    """Draw HIS against MIS, with the band that no score can be expected to leave."""
    columns = ["unit", "group", "mis", "his", "ci_low", "ci_high", "n_trials"]
    caption = (
        "Each point is a unit; bars are Wilson 95% intervals of its HIS. On the"
        " diagonal a unit’s tasks are solved as often as the machine expects. The band"
        " is the ceiling: it holds about 95% of the HIS that chance alone would give if"
        " each unit’s true proportion correct were its MIS (as many answers as the"
        " median"
        f" unit has: {int(found.units['n_trials'].median())})."
    )
    r, ceiling = found.correlations[0].estimate, found.ceiling.correlation
    said = f"r = {number(r, 2)}, ceiling {number(ceiling, 2)}"
    return Drawn(
        figure=plots.scatter_figure(found.units, simulated=simulated, said=said),
        label="HIS against MIS of every unit",
        caption=caption,
        data=found.units.dropna(subset=["mis"])[columns],
    )


def groups_drawn(
    found: Agreement, groups: GroupComparison, *, simulated: bool
) -> Drawn:
    """Draw units by group with means and intervals."""
    return Drawn(
        figure=plots.groups_figure(found.units, groups, simulated=simulated),
        label="HIS by group of units",
        caption=(
            "Points are units, squares their mean with its BCa 95% interval over units."
            " Below, all pairs by Conover’s test with Holm’s correction."
        ),
        data=groups.groups,
    )


def calibration_drawn(found: Calibration, *, simulated: bool) -> Drawn:
    """Draw the proportion correct against the machine's probability."""
    return Drawn(
        figure=plots.calibration_figure(found, simulated=simulated),
        label="Proportion correct against the machine’s probability",
        caption=(
            f"{counted(found.n_trials, 'answer')} to {counted(found.n_tasks, 'task')}"
            " that the machine scored, in bins of about as many answers each; bars are"
            " Wilson 95% intervals. Brier score of the machine’s probabilities"
            f" {number(found.brier_score)}; always saying the overall proportion"
            f" correct gives {number(found.brier_of_mean)}."
        ),
        data=found.bins,
    )


def sessions_drawn(inclusion: Inclusion) -> Drawn:
    """Draw sessions from opened to counted, and what excluded them."""
    steps = inclusion.funnel.rename(columns={"step": "name"})
    criteria = inclusion.criteria.rename(
        columns={"criterion": "name", "n_excluded": "n_sessions", "n_only": "alone"}
    )
    parted = "Above, s" if len(criteria) else "S"
    below = (
        " Below, completed sessions that each criterion excludes; a session can break"
        " several."
    )
    return Drawn(
        figure=plots.funnel_figure(inclusion),
        label="Sessions from opened to counted, and what excluded them",
        caption=f"{parted}essions that were opened, completed and counted."
        + (below if len(criteria) else ""),
        data=criteria[["name", "n_sessions", "alone"]]
        if len(criteria)
        else steps[["name", "n_sessions"]],
    )
