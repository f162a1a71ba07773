"""Sections of a report: results put into sentences, tables and figures."""

from analysis.blocks import Drawn, Section, Table, records
from analysis.multiverse import Multiverse
from analysis.plot_multiverse import (
    NUMBER_WORDS,
    multiverse_data,
    multiverse_figure,
)
from analysis.wording import counted, interval, number, probability


def multiverse_section(found: Multiverse) -> Section:
    """Say what becomes of the report when other sessions count."""
    n_outcomes = len(found.sets)
    tried = counted(found.n_sets, "set") + " of exclusion criteria"
    if n_outcomes == 1:
        said = [f"All {tried} leave the same sessions: no number hangs on them."]
    else:
        said = [
            f"{tried} were tried; they leave {n_outcomes} different choices of"
            f" sessions, {_sessions(found)}."
        ]
        said += [conclusion_sentence(row) for row in records(found.conclusions)]
    drawn = {
        "multiverse": Drawn(
            figure=multiverse_figure(found),
            label="Numbers under every set of exclusion criteria",
            caption=(
                "Each column is a set of exclusion criteria, by rising correlation;"
                " below, which criteria are on (grey: in some of the sets that leave"
                " these sessions). The reported set is red. An open point leads to"
                " another conclusion than the reported one. Bars are 95% intervals"
                " (Student’s t over units, Welch, Fisher’s z)."
            ),
            data=multiverse_data(found),
        )
    }
    return Section(
        name="multiverse",
        title="Do the results hang on who is excluded?",
        said=tuple(said),
        tables=(_range_table(found),),
        figures=drawn if n_outcomes > 1 else {},
        numbers={
            "n_sets": found.n_sets,
            "sets": records(found.sets),
            "numbers": records(found.numbers),
            "conclusions": records(found.conclusions),
        },
        methods=(
            f"As a multiverse, Steegen et al. (2016), all numbers were computed again"
            f" under {tried}: every combination of the"
            " reported and IMI’s criteria, laxer and stricter thresholds, and each"
            " further criterion added."
        ),
    )


def _sessions(found: Multiverse) -> str:
    n = found.sets["n_sessions"]
    return f"from {n.min():,} to {n.max():,} of them"


def conclusion_sentence(row: dict[str, object]) -> str:
    """Return one conclusion and whether it hangs on a criterion."""
    said = f"“{row['conclusion']}” in {row['n_alike']} of {row['n_sets']} sets"
    if not row["hangs_on"]:
        return f"{said}: it hangs on no criterion."
    return f"{said}. It hangs on: {row['hangs_on']}."


def _range_table(found: Multiverse) -> Table:
    rows = []
    for name, own in found.numbers.groupby("number", sort=False):
        reported = own[own["set"] == 0].iloc[0]
        known = own["estimate"].dropna()
        if known.empty:
            continue
        p_values = own["p_value"].dropna()
        largest = probability(p_values.max()) if len(p_values) else ""
        rows.append(
            (
                NUMBER_WORDS.get(str(name), str(name)),
                number(reported["estimate"]),
                interval(float(known.min()), float(known.max())),
                largest,
            )
        )
    return Table(
        header=("number", "as reported", "least to most", "largest p"),
        rows=tuple(rows),
    )
