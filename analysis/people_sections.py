"""Sections on the people: how their scores vary, agree, and depend on what."""

import numpy as np
import pandas as pd

from analysis.agreement import Agreement
from analysis.blocks import Drawn, Section, Table, numbers_of
from analysis.confidence import confidence_calibration, score_given_confidence
from analysis.consistency import repeat_consistency
from analysis.disattenuation import disattenuated_correlation
from analysis.his import score_table, with_layers
from analysis.noise_ceiling import bernoulli_ceiling
from analysis.participant_agreement import participant_agreement
from analysis.plot_curves import confidence_figure, position_figure
from analysis.position import position_effect
from analysis.reliability import unit_reliability
from analysis.response_times import response_times
from analysis.signal_detection import sensitivity
from analysis.wording import counted, interval, number, probability

RESAMPLES = 2000
"""Enough for two decimals of an interval; a report computes dozens of them."""


def people_sections(
    found: Agreement, responses: pd.DataFrame, *, seed: int, level: float = 0.95
) -> tuple[Section, ...]:
    """Answer what is asked of the people alone.

    Parameters
    ----------
    responses : DataFrame
        All answers of the sessions that count, in the condition of the report.
    """
    main = found.inclusion.main
    rngs = [
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)
    ]
    return (
        scores_section(main, rng=rngs[0], level=level),
        reliability_section(found, rng=rngs[1], level=level),
        signal_section(main, rng=rngs[2], level=level),
        confidence_section(main, rng=rngs[3], level=level),
        times_section(main, rng=rngs[4], level=level),
        course_section(main, responses, rng=rngs[5], level=level),
    )


def scores_section(
    main: pd.DataFrame, *, rng: np.random.Generator, level: float
) -> Section:
    """HIS of the condition, models and layers, over units, people and both."""
    named = with_layers(main).assign(all="all units")
    scored = {
        "": score_table(named, "all", rng=rng, level=level, n_resamples=RESAMPLES)
    }
    for column in ("model", "layer"):
        if 1 < named[column].nunique() <= 60:
            by = ["model", "layer"] if column == "layer" else "model"
            scored[column] = score_table(
                named, by, rng=rng, level=level, n_resamples=RESAMPLES
            )
    tables = [_score_rows(table, what) for what, table in scored.items()]
    notes = sorted({note for note in scored[""]["note"].dropna() if note})
    return Section(
        name="scores",
        title="HIS, and how far it would move",
        said=(
            "Over units: with other units and the same participants, as IMI published"
            " it. Over participants: with others and the same units. Over both: with"
            " other participants and other units.",
            *(f"{note.capitalize()}." for note in notes),
        ),
        tables=tuple(tables),
        numbers={what or "all": numbers_of(table) for what, table in scored.items()},
        methods=(
            "Intervals of HIS over units and over participants are BCa bootstraps; over"
            " both, units and participants are resampled together and the spread is"
            " scaled to the two-way variance of Owen (2007) and Cameron, Gelbach and"
            f" Miller (2011); {RESAMPLES:,} resamples."
        ),
    )


def _score_rows(table: pd.DataFrame, what: str) -> Table:
    key = [name for name in ("model", "layer") if name in table.columns]
    rows = []
    for row in table.to_dict("records"):
        named = " ".join(str(row[name]) for name in key) or "all units"
        rows.append(
            (
                named,
                str(row["n_units"]),
                str(row["n_participants"]),
                number(row["his"]),
                *(
                    interval(row[f"{over}_low"], row[f"{over}_high"])
                    for over in ("unit", "participant", "both")
                ),
            )
        )
    intervals = ("over units", "over participants", "over both")
    header = (what, "units", "participants", "HIS", *intervals)
    return Table(header=header, rows=tuple(rows))


def reliability_section(
    found: Agreement, *, rng: np.random.Generator, level: float
) -> Section:
    """How well people agree, and what that leaves for a machine to reach."""
    main = found.inclusion.main
    both = found.units.dropna(subset=["mis"])
    icc = unit_reliability(main, level=level)
    alike = participant_agreement(main, rng=rng, level=level, n_resamples=RESAMPLES)
    ceiling = bernoulli_ceiling(both, rng=rng)
    cleared = disattenuated_correlation(
        both["mis"],
        both["n_correct"],
        both["n_trials"],
        rng=rng,
        level=level,
        n_resamples=RESAMPLES,
    )
    split = found.ceiling
    units = counted(found.ceiling.n_units, "unit")
    rows = (
        (
            "split halves, Spearman–Brown",
            number(split.reliability),
            "",
            f"{units}; {split.n_splits:,} halves",
        ),
        ("noise ceiling from split halves", number(split.correlation), "", "its root"),
        (
            "noise ceiling, Bernoulli simulation",
            number(ceiling.correlation),
            interval(ceiling.low, ceiling.high),
            ceiling.note or f"{ceiling.n_simulated:,} data sets, their middle 95%",
        ),
        (
            "the same, noise of HIS taken out",
            number(ceiling.corrected),
            "",
            "the published procedure leaves it in",
        ),
        (
            "ICC of unit means",
            number(icc.mean),
            interval(icc.mean_low, icc.mean_high),
            icc.note or f"{number(icc.k, 1)} answers to a unit",
        ),
        (
            "ICC of single answers",
            number(icc.single),
            interval(icc.single_low, icc.single_high),
            "",
        ),
        (
            "Krippendorff’s alpha of correctness",
            number(alike.alpha),
            interval(alike.alpha_low, alike.alpha_high),
            alike.note or f"{alike.n_participants} participants",
        ),
        (
            "two participants both right or both wrong",
            number(alike.observed),
            "",
            f"{number(alike.expected)} by chance",
        ),
        (
            "Pearson r of MIS and HIS, as measured",
            number(cleared.raw),
            "",
            counted(cleared.n_units, "unit"),
        ),
        (
            "the same without noise of answers",
            number(cleared.estimate),
            interval(cleared.ci_low, cleared.ci_high),
            cleared.note or "",
        ),
    )
    return Section(
        name="reliability",
        title="How reliable HIS is, and what a perfect score would reach",
        said=(_sentence(cleared.caveat),),
        tables=(Table(header=("", "value", "95% interval", "from"), rows=rows),),
        numbers={
            "unit_reliability": numbers_of(icc),
            "participant_agreement": numbers_of(alike),
            "bernoulli_ceiling": numbers_of(ceiling),
            "disattenuated": numbers_of(cleared),
        },
        methods=(
            f"The Bernoulli ceiling correlates HIS with {ceiling.n_simulated:,} data"
            " sets simulated from it as in appendix C of Zimmermann et al. (2024)."
            " Intervals of the ICC are jackknifes over units, Miller (1974), on the"
            " logarithm of signal to noise."
        ),
    )


def signal_section(
    main: pd.DataFrame, *, rng: np.random.Generator, level: float
) -> Section:
    """Sensitivity, and a liking for one of the two rows."""
    found = sensitivity(main, rng=rng, level=level, n_resamples=RESAMPLES)
    basis = counted(found.n_trials, "answer")
    rows = tuple(
        (label, number(one.estimate), interval(one.ci_low, one.ci_high), basis)
        for label, one in (
            ("d' of the 2-AFC", found.dprime),
            ("criterion c (above 0: the lower row is liked)", found.criterion),
        )
    )
    return Section(
        name="sensitivity",
        title="Sensitivity",
        said=(_sentence(found.note),) if found.note else (),
        tables=(Table(header=("", "value", "95% interval", "from"), rows=rows),),
        numbers=numbers_of(found),
        methods="d' and criterion follow Macmillan and Creelman (2005), with the"
        " log-linear correction of Hautus (1995).",
        brief=False,
    )


def confidence_section(
    main: pd.DataFrame, *, rng: np.random.Generator, level: float
) -> Section:
    """Whether people know when they are right."""
    given = score_given_confidence(main, rng=rng, level=level, n_resamples=RESAMPLES)
    found = confidence_calibration(main, rng=rng, level=level, n_resamples=RESAMPLES)
    rows = tuple(
        (
            str(row["confidence"]),
            str(row["n_trials"]),
            number(row["proportion_correct"]),
            interval(row["ci_low"], row["ci_high"]),
            number(row["his"]),
            interval(row["unit_low"], row["unit_high"]),
            str(row["n_units"]),
        )
        for row in given.to_dict("records")
    )
    known = interval(found.auroc_low, found.auroc_high)
    header = (
        "confidence",
        "answers",
        "proportion correct",
        "95% interval",
        "HIS",
        "95% interval over units",
        "units",
    )
    return Section(
        name="confidence",
        title="Confidence",
        said=(
            "A right answer was given with more confidence than a wrong one of the"
            f" same person with probability {number(found.auroc)}"
            f" ({known or 'no interval'}; 0.5 is no knowledge).",
            _sentence(found.note),
        ),
        tables=(Table(header=header, rows=rows),),
        figures={
            "confidence": Drawn(
                figure=confidence_figure(found.levels),
                label="Proportion correct given confidence",
                caption="Proportion correct of the answers given with each confidence,"
                " with Wilson 95% intervals; the number of answers is below.",
                data=found.levels,
            )
        },
        numbers={
            "given_confidence": numbers_of(given),
            "calibration": numbers_of(found),
        },
        brief=False,
    )


def times_section(
    main: pd.DataFrame, *, rng: np.random.Generator, level: float
) -> Section:
    """Response times of right and wrong answers."""
    found = response_times(main, rng=rng, level=level, n_resamples=RESAMPLES)
    rows = tuple(
        (
            str(row["answers"]),
            str(row["n_trials"]),
            number(row["median_ms"], 0),
            f"{number(row['lower_quartile_ms'], 0)} to"
            f" {number(row['upper_quartile_ms'], 0)}",
        )
        for row in found.summary.to_dict("records")
    )
    header = ("answers", "n", "median in ms", "middle half")
    within = interval(found.difference_low_ms, found.difference_high_ms, 0)
    said = [
        "Wrong answers took"
        f" {number(found.difference_ms, 0)} ms longer than right ones"
        f" ({within or 'no interval'}; {probability(found.p_value)}; mean over"
        f" {counted(found.n_compared, 'participant')} of the difference of their"
        " medians)."
        if found.difference_ms is not None
        else "",
        _sentence(found.note) if found.note else "",
    ]
    return Section(
        name="response_times",
        title="Response times",
        said=tuple(one for one in said if one),
        tables=(Table(header=header, rows=rows),),
        numbers=numbers_of(found),
        brief=False,
    )


def course_section(
    main: pd.DataFrame,
    responses: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float,
) -> Section:
    """Whether people get better or tired, and agree with themselves."""
    found = position_effect(main, rng=rng, level=level, n_resamples=RESAMPLES)
    again = repeat_consistency(responses, rng=rng, level=level, n_resamples=RESAMPLES)
    said = []
    if found.halves_difference is not None:
        within = interval(found.halves_low, found.halves_high) or "no interval"
        said.append(
            "Proportion correct in the second half of sessions less that in the first:"
            f" {number(found.halves_difference)} ({within}); trend over the session"
            f" {probability(found.p_value)}."
        )
    if found.note:
        said.append(_sentence(found.note))
    if again.n_pairs:
        within = interval(again.ci_low, again.ci_high) or "no interval"
        said.append(
            f"Of {counted(again.n_pairs, 'task')} shown twice,"
            f" {number(again.proportion_same)} ({within}) were answered alike, where"
            f" {number(again.expected)} would be by chance; kappa"
            f" {number(again.kappa)}."
        )
    else:
        said.append("No task was shown to a person twice.")
    return Section(
        name="course",
        title="Along the session",
        said=tuple(said),
        figures={
            "position": Drawn(
                figure=position_figure(found.bins),
                label="Proportion correct along the session",
                caption="Proportion correct by place of the main trial in the session,"
                " with Wilson 95% intervals.",
                data=found.bins,
            )
        }
        if len(found.bins)
        else {},
        numbers={"position": numbers_of(found), "repeats": numbers_of(again)},
        brief=False,
    )


def _sentence(text: str) -> str:
    """Return a note as a sentence."""
    said = text[:1].upper() + text[1:]
    return said if said.endswith(".") else f"{said}."
