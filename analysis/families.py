"""Families of tests: what was tested together, and p-values corrected for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from pingouin import multicomp

SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Test:
    """One test of a family.

    Attributes
    ----------
    name : str
        What was tested, in words.
    p_value : float
        As if it were the only test, in [0, 1].
    """

    __test__ = False  # not one of pytest's

    name: str
    p_value: float

    def __post_init__(self) -> None:
        if not 0 <= self.p_value <= 1:
            raise ValueError(
                f"'p_value' of {self.name!r} is {self.p_value!r}; it must be in"
                " [0, 1]. Leave out tests that could not be made."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Family:
    """Tests that were declared together.

    Attributes
    ----------
    name : str
        What the tests have in common: the question that the family answers.
    table : DataFrame
        One row a test, in the order of declaration: 'test', 'p_raw', 'p_holm' (of at
        least one false finding), 'p_bh' (share of false findings), 'rejected_holm',
        'rejected_bh'.
    significance_level : float
    """

    name: str
    table: pd.DataFrame = field(repr=False)
    significance_level: float

    @property
    def n_tests(self) -> int:
        """How many tests were corrected for."""
        return len(self.table)

    def __str__(self) -> str:
        """Name the family and every test in it."""
        lines = [
            f"Family of {self.n_tests} {'test' if self.n_tests == 1 else 'tests'}:"
            f" {self.name}"
        ]
        width = max(len(name) for name in self.table["test"])
        lines += [
            f"  {row.test:<{width}}  p = {row.p_raw:.4g}, Holm {row.p_holm:.4g},"
            f" Benjamini–Hochberg {row.p_bh:.4g}"
            for row in self.table.itertuples(index=False)
        ]
        return "\n".join(lines)


def corrected(
    name: str,
    tests: Sequence[Test],
    *,
    significance_level: float = SIGNIFICANCE_LEVEL,
) -> Family:
    """Correct the p-values of a declared family by Holm, and by Benjamini–Hochberg.

    Parameters
    ----------
    name : str
        The question that the tests answer together.
    tests : sequence of Test
        All that were made, whatever came out; at least one.
    significance_level : float
        In (0, 1).

    Raises
    ------
    ValueError
        There are no tests, or two of one name.
    """
    names = [test.name for test in tests]
    if not names:
        raise ValueError(f"The family {name!r} has no tests; it must have at least 1.")
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise ValueError(
            f"The family {name!r} has the test {twice[0]!r} more than once; each must"
            " stand there once."
        )
    raw = [test.p_value for test in tests]
    holm = multicomp(raw, alpha=significance_level, method="holm")
    bh = multicomp(raw, alpha=significance_level, method="fdr_bh")
    return Family(
        name=name,
        table=pd.DataFrame(
            {
                "test": names,
                "p_raw": raw,
                "p_holm": holm[1],
                "p_bh": bh[1],
                "rejected_holm": holm[0],
                "rejected_bh": bh[0],
            }
        ),
        significance_level=significance_level,
    )
