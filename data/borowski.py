"""The released answers of Borowski et al. 2021, both experiments, as our tables.

What their files hold and where they mislead: a participant's trials of all conditions
stand in one table; catch trials have the ``trial_type`` 'main'; Experiment II reuses
the same codes of layer, branch and channel for other units in each ``batch_block``;
``subject_id_within_expert_type`` names two people, an expert and a lay person; few
response times are below 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from data.borowski_tables import CONDITIONS, EXPERIMENT_1, EXPERIMENT_2
from data.errors import DataContractError
from data.formats import Header
from data.responses import (
    ADDED,
    RESPONSES,
    SESSIONS,
    Responses,
    refuse_a_session_twice,
    refuse_no_answers,
)
from data.tables import checked, filled, read_csv

UNITS_CSV = Path(__file__).with_name("published") / "borowski2021_coded_units.csv"


def read_borowski(path: Path) -> Responses:
    """Read the main-trial CSV of Experiment I or II as it was released.

    A participant is a session. The positive explanations stood on the right, where
    there were any; query ``a`` was above. Units are InceptionV1 channels,
    ``googlenet::mixed4a_3x3_pre_relu_conv::65``; a code that the authors' mapping
    lacks becomes ``googlenet-coded::…`` and is noted.

    Raises
    ------
    DataContractError
        It is neither file, a value is not what its column holds, answers and
        correctness contradict each other, or a participant is there twice.
    """
    path = Path(path)
    from data.file_kinds import file_kind

    found = file_kind(path)
    if found.name not in {"borowski_1", "borowski_2"}:
        raise DataContractError(
            f"{path} is {found.words}; it must be the CSV of main trials of Borowski et"
            f" al. 2021, Experiment I or II. {found.advice or 'Check the path.'}"
        )
    second = found.name == "borowski_2"
    schema = EXPERIMENT_2 if second else EXPERIMENT_1
    table = _with_truths(read_csv(path, _as_text(schema)), schema, path)
    refuse_no_answers(table, path)
    _refuse_contradictions(table, path)
    responses = _responses(table, "II" if second else "I")
    refuse_a_session_twice(responses, path)
    coded = responses["unit"].str.startswith("googlenet-coded::")
    notes = _notes(responses, coded, n_negative=int((table["RT"] < 0).sum()))
    responses = checked(responses, CONDITIONS, path)
    responses = checked(filled(responses, RESPONSES, ADDED), RESPONSES, path)
    return Responses(
        responses=responses,
        sessions=checked(filled(_sessions(responses), SESSIONS, ADDED), SESSIONS, path),
        header=Header(
            format="responses", version=1, config={"source": schema.name[11:]}
        ),
        notes=notes,
    )


def read_borowski_folder(folder: Path) -> Mapping[str, Responses]:
    """Read the main-trial CSVs that a folder holds: ``"I"``, ``"II"`` or both.

    Raises
    ------
    DataContractError
        There is none, or two of one experiment.
    """
    from data.file_kinds import file_kind

    numbers = {"borowski_1": "I", "borowski_2": "II"}
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).glob("*.csv")):
        number = numbers.get(file_kind(path).name)
        if number in found:
            raise DataContractError(
                f"{folder} holds Experiment {number} twice: {found[number].name} and"
                f" {path.name}; it must be there once. Move one of them away."
            )
        if number is not None:
            found[number] = path
    if not found:
        raise DataContractError(
            f"{folder} is {file_kind(folder).words}; it must hold the CSV of main"
            " trials of Borowski et al. 2021, Experiment I or II, as released in"
            " data_from_human_experiments. Check the path."
        )
    return {number: read_borowski(path) for number, path in sorted(found.items())}


def _as_text(schema: pa.DataFrameSchema) -> pa.DataFrameSchema:
    columns = {name: pa.Column(nullable=True) for name in schema.columns}
    return pa.DataFrameSchema(columns, name=schema.name)


def _with_truths(
    table: pd.DataFrame, schema: pa.DataFrameSchema, source: Path
) -> pd.DataFrame:
    truth: dict[Any, Any] = {"True": True, "False": False}
    flags = {
        name: table[name].map(lambda text: truth.get(text, text), na_action="ignore")
        for name in ("catch_trial", "correct", "timeout")
    }
    return checked(table.assign(**flags), schema, source)


def _refuse_contradictions(table: pd.DataFrame, source: Path) -> None:
    upper_is_right = table["query_order"] == "max_min"
    checks = {
        "'correct' does not follow from 'response' and 'correct_response'": (
            table["correct"].astype(bool)
            != (table["response"] == table["correct_response"])
        ),
        "'correct_response' does not follow from 'query_order'": (
            upper_is_right != (table["correct_response"] == "a")
        ),
        "the sign of 'conf_rating' does not follow from 'response'": (
            (table["conf_rating"] < 0) != (table["response"] == "a")
        ),
        "'timeout' is True, so there was no answer": table["timeout"].astype(bool),
        "a repeated trial lacks 'old_trial_nr'": (
            (table["trial_type"] == "repeated") & table["old_trial_nr"].isna()
        ),
    }
    for words, broken in checks.items():
        if broken.any():
            first = int(broken.to_numpy().argmax()) + 1
            raise DataContractError(
                f"{source}: {words} in data row {first} ({int(broken.sum())} such"
                " rows); they must agree. Use the table as it was released."
            )


def _responses(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    second = experiment == "II"
    none = table["instr_type"].isin(["none_pre", "none_post"])
    method = table["instr_type"].replace({"optimized": "synthetic"})
    units = _units(table, experiment)
    person = f"borowski2021-{experiment}-" + table["subject_id"].astype(str)
    kind = table["trial_type"].mask(table["catch_trial"].astype(bool), "catch")
    patches = table["n_instruction_patches"] if second else 9
    mode = table["instruction_grid_mode"] if second else "min_max"
    cell = pd.DataFrame(
        {
            "experiment": experiment,
            "condition": method,
            "grid_mode": pd.Series(mode, table.index)
            .replace({"max_max": "max"})
            .mask(none, "none"),
            "n_explanations": pd.Series(patches, table.index).mask(none, 0),
            "expert_level": table["expert_level"].replace({"naive": "lay"})
            if second
            else None,
            "unit_selection": units["unit_selection"],
            "block": table["block_nr"],
            "repeat_of": table["old_trial_nr"].where(kind == "repeated"),
        }
    )
    upper = table["query_order"].map({"max_min": "positive", "min_max": "negative"})
    lower = table["query_order"].map({"max_min": "negative", "min_max": "positive"})
    number = table["batch"].astype("int64")
    shown = method.mask(none, "none")
    return pd.DataFrame(
        {
            "session_id": person,
            "trial_index": table["trial_nr"].astype("int64"),
            "participant_id": person,
            "study_id": f"borowski2021-{experiment}",
            "kind": kind,
            "practice_round": pd.Series(1, table.index, dtype="Int64").where(
                kind == "practice"
            ),
            "task_id": _task_ids(units["unit"], shown, cell, number),
            "unit": units["unit"],
            "task_number": number,
            "group": None,
            "explanation_method": shown,
            "difficulty": "easy",
            "positive_side": "right",
            "upper_query": upper,
            "chosen_query": upper.where(table["response"] == "a", lower),
            "correct": table["correct"].astype(bool),
            "confidence": table["conf_rating"].abs().astype("int64"),
            "rt_ms": table["RT"].clip(lower=0) * 1000,
            "shown_at": None,
            "answered_at": None,
            "time_elapsed_ms": float("nan"),
            "interrupted": False,
            "onset_method": None,
            "onset_lag_ms": float("nan"),
            "frame_ms": float("nan"),
            "decode_ms": float("nan"),
            "simulated": False,
            "observer": None,
            **cell,
        }
    )


def _task_ids(
    unit: pd.Series, shown: pd.Series, cell: pd.DataFrame, number: pd.Series
) -> pd.Series:
    """Name the task; the smaller displays of Experiment II are tasks of their own."""
    display = cell["grid_mode"] + "-" + cell["n_explanations"].astype(str)
    usual = display.isin(["min_max-9", "none-0"])
    form = shown + "-easy" + ("-" + display).mask(usual, "")
    return unit + "#" + form + "#" + number.astype(str)


def _units(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """Look up what the codes of a table mean: 'unit' and 'unit_selection'."""
    codes = pd.DataFrame(
        {
            "batch_block": table["batch_block"] if experiment == "II" else "",
            "layer": table["layer"].str.removeprefix("layer_"),
            "kernel_size": table["kernel_size"],
            "channel": table["channel"].str.removeprefix("channel_"),
        }
    )
    known = pd.read_csv(UNITS_CSV, dtype=str, keep_default_na=False)
    known = known[known["experiment"] == experiment]
    units = codes.merge(known, on=list(codes.columns), how="left", validate="m:1")
    unknown = units["unit"].isna()
    place = codes["batch_block"] + "/" + codes["layer"] + "/" + codes["kernel_size"]
    number = codes["channel"].where(codes["channel"].str.isdecimal(), "0")
    name = "googlenet-coded::" + place.str.removeprefix("/") + "::" + number
    return pd.DataFrame(
        {
            "unit": units["unit"].mask(unknown, name),
            "unit_selection": units["unit_selection"].mask(
                unknown, number.map({"1": "hand_picked"}).fillna("random")
            ),
        }
    )


def _notes(
    responses: pd.DataFrame, coded: pd.Series, *, n_negative: int
) -> tuple[str, ...]:
    notes = []
    if n_negative:
        notes.append(
            f"{n_negative} of {len(responses)} response times are below 0 in the file;"
            " they are read as 0 ms, and the answers count."
        )
    if coded.any():
        names = responses.loc[coded, "unit"]
        notes.append(
            f"{names.nunique()} units are coded in a way that the authors' mapping does"
            f" not list, such as {names.iloc[0]!r}; no machine score can be joined to"
            " them."
        )
    main = responses[responses["kind"] == "main"]
    displays = main[["grid_mode", "n_explanations"]].drop_duplicates()
    if (main["experiment"] == "II").any() and len(displays) > 1:
        notes.append(
            f"Experiment II mixes {len(displays)} displays ('grid_mode' and"
            " 'n_explanations') and two levels of expertise; a score by explanation"
            " method alone averages over them."
        )
    sizes = responses.groupby("session_id").size()
    usual = int(sizes.mode().max()) if len(sizes) else 0
    short = sizes[sizes < usual]
    if len(short):
        notes.append(
            f"{len(short)} of {len(sizes)} participants have fewer trials than the"
            f" usual {usual}, such as {short.index[0]!r} with {short.iloc[0]}: the file"
            " may be cut off."
        )
    return tuple(notes)


def _sessions(responses: pd.DataFrame) -> pd.DataFrame:
    first = responses.drop_duplicates("session_id")
    return pd.DataFrame(
        {
            "session_id": first["session_id"],
            "participant_id": first["participant_id"],
            "study_id": first["study_id"],
            "slot": pd.NA,
            "recruiter": "laboratory",
            "status": "complete",
            "created_at": None,
            "consented_at": None,
            "finished_at": None,
            "consent_version": None,
            "instruction_time_s": float("nan"),
            "total_time_s": float("nan"),
            "n_practice_rounds": 1,
            "n_focus_losses": 0,
            "n_reloads": 0,
            "window_width": 1920.0,
            "window_height": 1080.0,
            "device_pixel_ratio": float("nan"),
            "feedback": None,
            "multi_participation": False,
            "test_run": False,
            "simulated": False,
            "observer": None,
        }
    )
