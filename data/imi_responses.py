"""IMI's released answers as our tables."""

import numpy as np
import pandas as pd

from data.formats import Header
from data.imi_conditions import imi_conditions, imi_notes
from data.responses import (
    ADDED,
    RESPONSES,
    SESSIONS,
    Responses,
    conditions,
    refuse_a_session_twice,
    refuse_no_answers,
)
from data.tables import checked, filled


def responses_from_imi(
    table: pd.DataFrame, *, source: str = "IMI's response table"
) -> Responses:
    """Translate IMI's rows into our tables.

    A session is ``task_id/response_index``. The condition is read from ``task_id``,
    see :func:`data.imi_conditions.imi_conditions`. Where a table carries no
    participant ids (the first release), 'participant_id' is missing.

    Raises
    ------
    DataContractError
        A row's condition or unit can't be told, columns contradict each other, or a
        session is there twice.
    """
    refuse_no_answers(table, source)
    table = table.reset_index(drop=True)
    condition = imi_conditions(table, source)
    method, difficulty = condition["explanation_method"], condition["difficulty"]
    unit = condition["unit"]
    number = table["batch"].fillna(0).clip(lower=0).astype("int64")
    participant = table["participant_id"].replace({"anonymized": None})
    simulated = participant.fillna("").str.startswith("simulated-")
    session = table["task_id"] + "/" + table["response_index"].astype(str)
    upper = table["switched_queries"].map({True: "positive", False: "negative"})
    kind = pd.Series(np.where(table["catch_trial"], "catch", "main"), table.index)
    responses = pd.DataFrame(
        {
            "session_id": session,
            "trial_index": table["trial_index"],
            "participant_id": participant,
            "study_id": table["task_id"].str.rsplit("-", n=1).str[0],
            "kind": kind.mask(table["is_demo"].astype(bool), "practice"),
            "practice_round": pd.array([pd.NA] * len(table), dtype="Int64"),
            "task_id": unit
            + "#"
            + method
            + "-"
            + difficulty
            + "#"
            + number.astype(str),
            "unit": unit,
            "task_number": number,
            "group": None,
            "explanation_method": method,
            "difficulty": difficulty,
            "positive_side": "right",
            "upper_query": upper,
            "chosen_query": table["choice"].map({"b": "positive", "a": "negative"}),
            "correct": table["correct"],
            "confidence": table["confidence"],
            "rt_ms": table["rt"],
            "shown_at": None,
            "answered_at": None,
            "time_elapsed_ms": table["time_elapsed"],
            "interrupted": False,
            "onset_method": None,
            "onset_lag_ms": np.nan,
            "frame_ms": np.nan,
            "decode_ms": np.nan,
            "simulated": simulated,
            "observer": None,
        }
    )
    refuse_a_session_twice(responses, source)
    responses = checked(filled(responses, RESPONSES, ADDED), RESPONSES, source)
    return Responses(
        responses=responses,
        sessions=checked(
            filled(_sessions(table, responses), SESSIONS, ADDED), SESSIONS, source
        ),
        header=Header(
            format="responses", version=1, config={"source": "IMI's response table"}
        ),
        notes=imi_notes(table, responses, conditions(responses)),
    )


def _sessions(table: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    first = ~responses["session_id"].duplicated()
    rows, own = table[first], responses[first]
    return pd.DataFrame(
        {
            "session_id": own["session_id"],
            "participant_id": own["participant_id"],
            "study_id": own["study_id"],
            "slot": rows["task_number"] - 1,
            "recruiter": "mturk",
            "status": "complete",
            "created_at": None,
            "consented_at": None,
            "finished_at": None,
            "consent_version": None,
            "instruction_time_s": rows["instruction_time_details_extracted"],
            "total_time_s": rows["total_response_time_details_extracted"],
            "n_practice_rounds": rows["demo_trials_details_extracted"].fillna(0),
            "n_focus_losses": 0,
            "n_reloads": 0,
            "window_width": np.nan,
            "window_height": np.nan,
            "device_pixel_ratio": np.nan,
            "feedback": None,
            "multi_participation": rows["multi_participation"],
            "test_run": False,
            "simulated": own["simulated"],
            "observer": None,
        }
    )
