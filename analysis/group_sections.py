"""Sections on groups of units: pairs by several tests, the declared order, depth."""

import numpy as np
import pandas as pd

from analysis.agreement import Agreement
from analysis.blocks import Section, Table, numbers_of
from analysis.comparison import USUAL_ORDER, GroupComparison
from analysis.families import Family
from analysis.ordered import ordered_contrast
from analysis.pairwise import compact_letters, compare_pairs, sign_table
from analysis.wording import counted, interval, number, probability

RESAMPLES = 2000


def group_sections(
    found: Agreement, *, seed: int, level: float = 0.95
) -> tuple[Section, ...]:
    """Answer what is asked of the groups; nothing where there are none."""
    if found.groups is None:
        return ()
    made = [pairs_section(found, found.groups, level=level)]
    if len(set(USUAL_ORDER) & set(found.units["group"].dropna())) > 1:
        rng = np.random.default_rng(seed)
        made.append(contrast_section(found, rng=rng, level=level))
    return tuple(made)


def pairs_section(
    found: Agreement, groups: GroupComparison, *, level: float
) -> Section:
    """Show letters, the sign table, and the tests that ask for less."""
    letters = compact_letters(groups)
    signs = sign_table(groups)
    pairs = compare_pairs(found.units, level=level)
    rows = tuple(
        (
            f"{one.group_a} and {one.group_b}",
            number(one.superiority),
            interval(one.superiority_low, one.superiority_high),
            probability(one.mann_whitney_p),
            probability(one.brunner_munzel_p),
            one.note or "",
        )
        for one in pairs.pairs
    )
    families = [
        family_table(one)
        for one in (pairs.mann_whitney, pairs.brunner_munzel)
        if one is not None
    ]
    return Section(
        name="pairs",
        title="Groups, pair by pair",
        said=(
            "Letters: "
            + ", ".join(f"{name} {own or '–'}" for name, own in letters.items())
            + ". Groups that share a letter are not shown to differ (Conover, Holm).",
        ),
        tables=(
            Table(
                header=("Conover’s test, Holm", *map(str, signs.columns)),
                rows=tuple(
                    (str(name), *(str(one) or "–" for one in row))
                    for name, row in zip(signs.index, signs.to_numpy(), strict=True)
                ),
            ),
            Table(
                header=(
                    "pair",
                    "first higher",
                    "95% interval",
                    "Mann–Whitney",
                    "Brunner–Munzel",
                    "",
                ),
                rows=rows,
                caption="First higher: probability that a unit of the first group"
                " scores higher than one of the second.",
            ),
            *families,
        ),
        numbers={
            "letters": {str(name): str(own) for name, own in letters.items()},
            "signs": _nested(signs),
            "pairs": numbers_of(pairs),
        },
        brief=False,
    )


def family_table(family: Family) -> Table:
    """Return a declared family of tests with its corrected p-values."""
    rows = tuple(
        (
            str(row["test"]),
            probability(row["p_raw"]),
            probability(row["p_holm"]),
            probability(row["p_bh"]),
        )
        for row in family.table.to_dict("records")
    )
    tests = counted(family.n_tests, "test")
    return Table(
        header=("test", "alone", "Holm", "Benjamini–Hochberg"),
        rows=rows,
        caption=f"Declared family of {tests}: {family.name}.",
    )


def _nested(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    return {
        str(row): {str(name): str(value) for name, value in own.items()}
        for row, own in table.iterrows()
    }


def contrast_section(
    found: Agreement, *, rng: np.random.Generator, level: float
) -> Section:
    """Test whether HIS rises in the order in which units were chosen."""
    made = ordered_contrast(found.units, rng=rng, level=level, n_resamples=RESAMPLES)
    rows = tuple(
        (
            f"{row['higher']} less {row['lower']}",
            number(row["difference"]),
            interval(row["ci_low"], row["ci_high"]),
        )
        for row in made.steps.to_dict("records")
    )
    order = ", ".join(made.groups["group"])
    said = (
        f"Not tested: {made.note}."
        if made.concordance is None
        else f"Of the pairs of units from two groups, {number(made.concordance)}"
        f" ({interval(made.ci_low, made.ci_high) or 'no interval'}) stand in the"
        f" declared order ({order}), over {counted(made.n_units, 'unit')};"
        f" Jonckheere–Terpstra z = {number(made.z, 2)},"
        f" {probability(made.p_two_sided)} (two-sided); by permutation of units"
        f" {probability(made.p_permutation)} of a rise."
    )
    return Section(
        name="contrast",
        title="The declared contrast",
        said=(said,),
        tables=(Table(header=("step", "difference", "95% interval"), rows=rows),),
        numbers=numbers_of(made),
        methods=(
            f"The order of the groups ({order}) was declared before looking at HIS and"
            " tested by the test of Jonckheere (1954) and Terpstra, corrected for ties."
        ),
    )
