"""What predicts a right answer, with participants and units as random effects."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student_t
from threadpoolctl import threadpool_limits

from analysis.comparison import group_order
from analysis.crossed import crossed_contrast
from analysis.crossed_likelihood import Crossed
from analysis.laplace import LaplaceFit, fit_crossed, sd_interval

Array = NDArray[np.float64]

CATEGORIES = ("group", "explanation_method", "difficulty")
BASELINES = {"group": "random", "explanation_method": "natural", "difficulty": "easy"}
POSITION = "position"
TRIALS_PER_POSITION = 10
FEWEST_LEVELS = 5
WITHOUT = "without group"


@dataclass(frozen=True, eq=False, kw_only=True)
class MixedModel:
    """A binomial mixed model with crossed random effects of units and participants.

    Attributes
    ----------
    terms : DataFrame
        One row a fixed effect: 'term', 'estimate' (log odds), 'se', 'ci_low',
        'ci_high', 'odds_ratio', 'p_value'. A category's term is its difference from
        the category's baseline; 'position' is per ten trials. Empty where ``note``
        says why.
    cells : DataFrame
        One row a combination of categories: the categories, 'n_units', 'n_trials',
        'simple' (unweighted mean of the units' proportions correct), 'simple_low',
        'simple_high', 'model' (proportion correct of a new participant on a new
        unit), 'model_low', 'model_high', 'disagrees' (the simple mean lies outside
        the model's interval).
    sd_unit, sd_participant : float or None
        Standard deviations of the random effects (log odds).
    sd_unit_interval, sd_participant_interval : (low, high) or None
    disagreements : tuple of str
        Where the model and the simple means tell different things, in sentences.
    baselines : mapping of str to str
        The level of each category that the others are held against.
    n_trials, n_units, n_participants : int
    level : float
        Coverage of the intervals.
    note : str or None
        What limits the result.
    """

    terms: pd.DataFrame = field(repr=False)
    cells: pd.DataFrame = field(repr=False)
    sd_unit: float | None
    sd_participant: float | None
    sd_unit_interval: tuple[float, float] | None
    sd_participant_interval: tuple[float, float] | None
    disagreements: tuple[str, ...]
    baselines: dict[str, str]
    n_trials: int
    n_units: int
    n_participants: int
    level: float
    note: str | None = None


TERM_COLUMNS = ("term", "estimate", "se", "ci_low", "ci_high", "odds_ratio", "p_value")


def mixed_model(main: pd.DataFrame, *, level: float = 0.95) -> MixedModel:
    """Fit a logistic mixed model to single answers.

    Fixed effects are those of group, explanation method, difficulty and position
    that vary and that the others do not tell already; units and participants are
    crossed random effects.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'participant_id', 'session_id', 'correct',
        'group', 'explanation_method', 'difficulty', 'trial_index'; of the last four,
        what is absent is left out. Where the participant is not known, the session
        stands for them.
    level : float
        Coverage of the intervals, in (0, 1).

    Notes
    -----
    Variances maximise the Laplace approximation of the restricted likelihood
    (:mod:`analysis.laplace`); intervals of fixed effects are those of Student's t
    with as many degrees of freedom as the smaller of units and participants, less
    the fixed effects. statsmodels' ``BinomialBayesMixedGLM`` is not used: its
    variational posterior leaves out what the random effects add to the uncertainty
    of fixed effects, and its intervals cover far less than they say.
    """
    participants = participant_names(main)
    n_levels = main["unit"].nunique(), participants.nunique()
    note = _why_not(main, *n_levels)
    if note:
        return _without_fit(len(main), *n_levels, level, note)
    design = _design(main)
    crossed = Crossed.of(
        main["correct"].to_numpy(dtype="float64"),
        design.values,
        main["unit"],
        participants if _repeats(participants) else None,
    )
    known = crossed.n_participants > 0
    # For matrices of a few hundred rows, more threads cost far more than they bring.
    with threadpool_limits(limits=1):
        fit = fit_crossed(crossed)
        unit_interval = sd_interval(crossed, fit, 0, level=level)
        participant_interval = (
            sd_interval(crossed, fit, 1, level=level) if known else None
        )
    terms = _terms(fit, design, level, min(n_levels))
    cells = _cells(main, participants, design, fit, level, min(n_levels))
    return MixedModel(
        terms=terms,
        cells=cells,
        sd_unit=fit.sds[0],
        sd_participant=fit.sds[1] if known else None,
        sd_unit_interval=unit_interval,
        sd_participant_interval=participant_interval,
        disagreements=_disagreements(main, participants, terms, cells, design, level),
        baselines=design.baselines,
        n_trials=len(main),
        n_units=n_levels[0],
        n_participants=n_levels[1],
        level=level,
        note=_limits(fit, known=known),
    )


def participant_names(main: pd.DataFrame) -> "pd.Series[str]":
    """Return who gave each answer: the participant, or the session where unknown.

    A release without identities may give all sessions one participant; then each
    session counts as a person.
    """
    sessions = main["session_id"]
    if "participant_id" not in main:
        return sessions
    named = main["participant_id"]
    if named.nunique() <= 1 < sessions.nunique():
        return sessions
    return named.where(named.notna(), sessions)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Design:
    values: Array
    names: tuple[str, ...]
    categories: tuple[str, ...]
    baselines: dict[str, str]
    table: pd.DataFrame


def _why_not(main: pd.DataFrame, n_units: int, n_participants: int) -> str | None:
    if min(n_units, n_participants) < FEWEST_LEVELS:
        return (
            f"a mixed model needs at least {FEWEST_LEVELS} units and participants;"
            f" there are {n_units} and {n_participants}"
        )
    if main["correct"].nunique() < 2:
        return "all answers are the same, so odds are not defined"
    if not _repeats(main["unit"]):
        return "each unit has one answer, so units can't be told from chance"
    return None


def _repeats(names: "pd.Series[str]") -> bool:
    return len(names) > 1.05 * names.nunique()


def _design(main: pd.DataFrame) -> _Design:
    """Return the columns that vary and add something to those before."""
    table = main.reindex(columns=list(CATEGORIES)).astype(object)
    table["group"] = table["group"].where(table["group"].notna(), WITHOUT)
    columns: list[Array] = [np.ones(len(main))]
    names, kept, baselines = ["intercept"], [], {}
    for category in CATEGORIES:
        order = _levels(table[category].dropna(), BASELINES[category])
        if len(order) < 2:
            continue
        baselines[category] = order[0]
        for name in order[1:]:
            column: Array = (table[category] == name).to_numpy().astype("float64")
            if _adds(columns, column):
                columns.append(column)
                names.append(f"{category}: {name}")
                kept.append(category)
    if "trial_index" in main and main["trial_index"].nunique() > 1:
        place = main["trial_index"].to_numpy(dtype="float64")
        place = (place - place.mean()) / TRIALS_PER_POSITION
        if _adds(columns, place):
            columns.append(place)
            names.append(POSITION)
    return _Design(
        values=np.column_stack(columns),
        names=tuple(names),
        categories=tuple(dict.fromkeys(kept)),
        baselines={name: baselines[name] for name in dict.fromkeys(kept)},
        table=table,
    )


def _levels(values: "pd.Series[str]", baseline: str) -> list[str]:
    order = group_order(values)
    return sorted(order, key=lambda name: name != baseline)


def _adds(columns: Sequence[Array], column: Array) -> bool:
    gram = np.column_stack([*columns, column])
    scale = np.linalg.norm(gram, axis=0)
    return bool(np.linalg.matrix_rank((gram / scale).T @ (gram / scale)) > len(columns))


def _terms(
    fit: LaplaceFit, design: _Design, level: float, n_levels: int
) -> pd.DataFrame:
    se = np.sqrt(np.diag(fit.covariance))
    df = max(n_levels - len(design.names), 1)
    half = student_t.ppf((1 + level) / 2, df) * se
    return pd.DataFrame(
        {
            "term": design.names,
            "estimate": fit.fixed,
            "se": se,
            "ci_low": fit.fixed - half,
            "ci_high": fit.fixed + half,
            "odds_ratio": np.exp(fit.fixed),
            "p_value": 2 * student_t.sf(np.abs(fit.fixed / se), df),
        },
        columns=list(TERM_COLUMNS),
    )


def _cells(
    main: pd.DataFrame,
    participants: "pd.Series[str]",
    design: _Design,
    fit: LaplaceFit,
    level: float,
    n_levels: int,
) -> pd.DataFrame:
    """Hold the model's proportion correct against the simple mean, cell by cell."""
    by = list(design.categories)
    quantile = student_t.ppf((1 + level) / 2, max(n_levels - len(design.names), 1))
    groups = design.table.groupby(by, sort=False).indices if by else {(): slice(None)}
    rows = []
    for key, places in groups.items():
        names = key if isinstance(key, tuple) else (key,)
        part = main.iloc[places]
        row = design.values[places][0].copy()
        if design.names[-1] == POSITION:
            row[-1] = 0
        middle = float(row @ fit.fixed)
        half = quantile * float(np.sqrt(row @ fit.covariance @ row))
        model = [
            population_proportion(middle + shift, *fit.sds)
            for shift in (0, -half, half)
        ]
        simple = crossed_contrast(
            part["correct"], part["unit"], participants.iloc[places], level=level
        )
        rows.append(
            dict(zip(by, names, strict=True))
            | {
                "n_units": part["unit"].nunique(),
                "n_trials": len(part),
                "simple": simple.estimate,
                "simple_low": simple.ci_low,
                "simple_high": simple.ci_high,
                "model": model[0],
                "model_low": model[1],
                "model_high": model[2],
                "disagrees": not model[1] <= simple.estimate <= model[2],
            }
        )
    return pd.DataFrame(rows)


def population_proportion(log_odds: float, *sds: float) -> float:
    """Return the mean proportion correct over random effects of some log odds."""
    sd = float(np.sqrt(sum(one**2 for one in sds)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    return float(weights @ expit(log_odds + sd * nodes) / weights.sum())


def _disagreements(
    main: pd.DataFrame,
    participants: "pd.Series[str]",
    terms: pd.DataFrame,
    cells: pd.DataFrame,
    design: _Design,
    level: float,
) -> tuple[str, ...]:
    said = []
    for _, row in cells[cells["disagrees"]].iterrows():
        cell = ", ".join(str(row[name]) for name in design.categories) or "all units"
        said.append(
            f"{cell}: the simple mean {row['simple']:.3f} lies outside the model's"
            f" interval {row['model_low']:.3f} to {row['model_high']:.3f}"
        )
    for _, term in terms.iterrows():
        category, _, name = str(term["term"]).partition(": ")
        if not name:
            continue
        names = design.table[category]
        simple = crossed_contrast(
            main["correct"],
            main["unit"],
            participants,
            groups=names,
            weights={name: 1.0, design.baselines[category]: -1.0},
            level=level,
        )
        if simple.ci_low is None or simple.ci_high is None:
            continue
        by_model = _sign(term["ci_low"], term["ci_high"])
        by_means = _sign(simple.ci_low, simple.ci_high)
        if by_model != by_means:
            words = {1: "higher", -1: "lower", 0: "not told apart"}
            said.append(
                f"{name} against {design.baselines[category]}: {words[by_model]} by the"
                f" model, {words[by_means]} by the simple means"
            )
    return tuple(said)


def _sign(low: float, high: float) -> int:
    return int(low > 0) - int(high < 0)


def _limits(fit: LaplaceFit, *, known: bool) -> str | None:
    notes = []
    if not fit.converged:
        notes.append("the fit did not converge; its numbers are not to be relied on")
    if not known:
        notes.append("hardly any participant answered twice, so none has an effect")
    if fit.at_zero[0]:
        notes.append("units differ no more than chance makes them")
    if known and fit.at_zero[1]:
        notes.append("participants differ no more than chance makes them")
    return "; ".join(notes) or None


def _without_fit(
    n_trials: int, n_units: int, n_participants: int, level: float, note: str
) -> MixedModel:
    return MixedModel(
        terms=pd.DataFrame(columns=list(TERM_COLUMNS)),
        cells=pd.DataFrame(),
        sd_unit=None,
        sd_participant=None,
        sd_unit_interval=None,
        sd_participant_interval=None,
        disagreements=(),
        baselines={},
        n_trials=n_trials,
        n_units=n_units,
        n_participants=n_participants,
        level=level,
        note=note,
    )
