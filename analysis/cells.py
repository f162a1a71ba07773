"""Proportion correct in each cell of the designs of Borowski et al. 2021."""

import pandas as pd

from analysis.his import participant_mean

CELL = (
    "experiment",
    "explanation_method",
    "grid_mode",
    "n_explanations",
    "expert_level",
)

CELL_WORDS = {
    "natural": "natural",
    "synthetic": "synthetic",
    "none": "no explanations",
    "min_max": "minimal and maximal",
    "max": "maximal only",
    "expert": "experts",
    "lay": "lay people",
}


def cells(answers: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Average each cell over its participants, as its authors did.

    Parameters
    ----------
    answers : DataFrame
        Main trials with the columns of :data:`data.borowski_tables.CONDITIONS`.

    Returns
    -------
    DataFrame
        One row a cell: the columns of :data:`CELL`, 'n_participants', 'n_trials',
        'proportion_correct' (mean over participants), 'two_se' (NaN for a single
        participant), 'ci_low', 'ci_high' (Student's t over participants; NaN where
        there is none).
    """
    rows = []
    for key, own in answers.groupby(list(CELL), dropna=False, sort=True):
        found = participant_mean(own, level=level)
        rows.append(
            (
                *key,
                found.n_participants,
                found.n_trials,
                found.mean,
                found.two_se,
                found.ci_low,
                found.ci_high,
            )
        )
    columns = [
        *CELL,
        "n_participants",
        "n_trials",
        "proportion_correct",
        "two_se",
        "ci_low",
        "ci_high",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"two_se": float, "ci_low": float, "ci_high": float})


def cell_label(row: pd.Series) -> str:
    """Return a cell in words."""
    if row["explanation_method"] == "none":
        shown = CELL_WORDS["none"]
    else:
        n, mode = row["n_explanations"], CELL_WORDS[row["grid_mode"]]
        shown = f"{CELL_WORDS[row['explanation_method']]}, {n} {mode}"
    level = row["expert_level"]
    who = "" if pd.isna(level) else f", {CELL_WORDS[level]}"
    return f"{row['experiment']}: {shown}{who}"
