"""Which model, explanations and difficulty a row of IMI's table belongs to."""

import pandas as pd

from data.errors import DataContractError

_METHODS = {"natural": "natural", "optimized": "synthetic"}
_NAMED = r"^(?P<model>.+?)(?:_hard(?P<hard>\d+))?_(?P<method>natural|optimized)-\d+$"


def imi_conditions(table: pd.DataFrame, source: object) -> pd.DataFrame:
    """Tell each row's condition, from ``task_id`` where that names one.

    ``model`` and ``mode`` are used only where ``task_id`` is a study's own, as in our
    exports; practice and catch rows then take their session's. Nothing is guessed.

    Parameters
    ----------
    table : DataFrame
        As :func:`data.imi.read_imi` gives it.
    source : object
        Where the table is from, for the message.

    Returns
    -------
    DataFrame
        As many rows, in order: 'model', 'explanation_method', 'difficulty', 'unit'.

    Raises
    ------
    DataContractError
        A row's condition or a main trial's unit can't be told, or ``correct``
        contradicts ``choice``.
    """
    named = _named(table["task_id"])
    main = ~(table["catch_trial"].astype(bool) | table["is_demo"].astype(bool))
    _refuse(
        (table["choice"] == "b") != table["correct"].astype(bool),
        "'correct' does not follow from 'choice'",
        "'b' is correct and 'a' is not",
        source,
    )
    method = named["method"].fillna(table["mode"].where(main)).map(_METHODS)
    by_session = method.groupby([table["task_id"], table["response_index"]])
    method = method.fillna(by_session.transform("first"))
    model = table["model"].where(table["catch_trial"].astype(bool), named["model"])
    model = model.fillna(table["model"])
    lacking = {
        "whether explanations were natural or optimized": method.isna(),
        "the model": main & model.isna(),
        "the unit ('layer' and 'channel')": main
        & (table["layer"].isna() | table["channel"].isna()),
    }
    for what, gaps in lacking.items():
        _refuse(gaps, f"nothing tells {what}", "IMI's 'task_id' does", source)
    model = model.fillna("unknown")
    layer = table["layer"].fillna("practice")
    channel = table["channel"].fillna(0).astype("int64").astype(str)
    return pd.DataFrame(
        {
            "model": model,
            "explanation_method": method,
            "difficulty": ("p" + named["hard"]).fillna("easy"),
            "unit": model + "::" + layer + "::" + channel,
        }
    )


def _named(task_id: pd.Series) -> pd.DataFrame:
    """Take apart what IMI calls a task: 'model', 'hard', 'method', empty in ours."""
    names = pd.Series(task_id.unique(), dtype="str")
    parts = names.str.extract(_NAMED).set_index(names)
    return parts.loc[task_id].set_axis(task_id.index)


def _refuse(rows: pd.Series, what: str, must: str, source: object) -> None:
    if rows.any():
        first = int(rows.to_numpy().argmax()) + 1
        raise DataContractError(
            f"{source}: {what} in data row {first} ({int(rows.sum())} such rows);"
            f" {must}. Use the table as it was released."
        )


def imi_notes(
    table: pd.DataFrame, responses: pd.DataFrame, mixed: pd.DataFrame
) -> tuple[str, ...]:
    """Say what limits the use of a table in IMI's form.

    Parameters
    ----------
    table, responses : DataFrame
        IMI's rows and ours, in the same order.
    mixed : DataFrame
        :func:`data.responses.conditions` of ``responses``.

    Returns
    -------
    tuple of str
        Whole sentences: unknown participants, columns that ``task_id`` contradicts,
        several conditions in one file, sessions that are too short.
    """
    notes = []
    unknown = responses["participant_id"].isna()
    if unknown.all():
        notes.append(
            "The file names no participants: each session is taken for a person, so a"
            " person with two sessions counts as two."
        )
    elif unknown.any():
        notes.append(
            f"{int(unknown.sum())} of {len(unknown)} rows name no participant."
        )
    return (*notes, *_overruled(table), *_mixture(mixed), *_short(responses))


def _overruled(table: pd.DataFrame) -> list[str]:
    """Compare 'model' and 'mode' with 'task_id', which is right in the release."""
    named = _named(table["task_id"])
    hard = named["model"] + "_hard" + named["hard"]
    expected = {"model": hard.fillna(named["model"]), "mode": named["method"]}
    main = ~(table["catch_trial"].astype(bool) | table["is_demo"].astype(bool))
    notes = []
    for column, right in expected.items():
        wrong = main & right.notna() & (table[column] != right)
        pairs = pd.DataFrame({"says": table[column], "right": right})[wrong]
        shown = pairs.drop_duplicates().head(3).itertuples(index=False)
        named_pairs = ", ".join(f"{says} for {right}" for says, right in shown)
        if wrong.any():
            notes.append(
                f"{column!r} is not what 'task_id' names in {int(wrong.sum())} rows"
                f" ({named_pairs}); 'task_id' is used."
            )
    return notes


def _mixture(mixed: pd.DataFrame) -> list[str]:
    if len(mixed) < 2:
        return []
    models = ", ".join(sorted(mixed["model"].unique()))
    methods = ", ".join(sorted(mixed["explanation_method"].unique()))
    levels = ", ".join(sorted(mixed["difficulty"].unique()))
    return [
        f"The file mixes {len(mixed)} conditions (models: {models}; explanations:"
        f" {methods}; queries: {levels}); a score is of one condition at a time."
    ]


def _short(responses: pd.DataFrame) -> list[str]:
    main = responses[responses["kind"] == "main"]
    sizes = main.groupby("session_id", sort=False).size()
    if len(sizes) < 2:
        return []
    usual = int(sizes.mode().max())
    short = sizes[sizes < usual]
    if short.empty:
        return []
    last = responses["session_id"].iloc[-1]
    which = last if last in short.index else short.index[0]
    cut = " It stands last: the file may be cut off." if which == last else ""
    return [
        f"{len(short)} of {len(sizes)} sessions have fewer main trials than the usual"
        f" {usual}, such as {which!r} with {short[which]}.{cut}"
    ]
