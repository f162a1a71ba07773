"""Exports with planted proportions correct, in the contract's own tables."""

import numpy as np
import pandas as pd

from data.formats import Header
from data.responses import RESPONSES, SESSIONS, Responses
from data.tables import checked

_RESPONSE = {
    "participant_id": None,
    "study_id": "toy",
    "practice_round": pd.NA,
    "group": None,
    "explanation_method": "natural",
    "difficulty": "easy",
    "positive_side": "right",
    "confidence": 2,
    "rt_ms": 2000.0,
    "shown_at": None,
    "answered_at": None,
    "interrupted": False,
    "onset_method": None,
    "onset_lag_ms": np.nan,
    "frame_ms": np.nan,
    "decode_ms": np.nan,
    "simulated": True,
    "observer": "table",
}

_SESSION = {
    "status": "complete",
    "recruiter": "link",
    "instruction_time_s": 40.0,
    "total_time_s": 400.0,
    "n_practice_rounds": 1,
    "n_focus_losses": 0,
    "n_reloads": 0,
    "multi_participation": False,
    "test_run": False,
    "simulated": True,
    "observer": "table",
}


def toy_responses(
    planted,
    *,
    rng,
    n_sessions=30,
    n_catch=5,
    groups=None,
    simulated=True,
    sessions=None,
):
    """Answers of sessions that each meet every unit once.

    Parameters
    ----------
    planted : dict of str to float
        Unit to proportion correct.
    groups : dict of str to str
        Unit to group.
    sessions : dict of int to dict
        Session number to what differs in its row of the session table; 'catch' is
        the share of catch trials right.
    """
    special = sessions or {}
    rows, session_rows = [], []
    for number in range(n_sessions):
        own = dict(special.get(number, {}))
        catch = own.pop("catch", 1.0)
        name = f"s{number:03d}"
        asked = [("main", unit, p) for unit, p in planted.items()]
        asked += [("catch", "toy::catch::0", catch)] * n_catch
        for index, (kind, unit, p) in enumerate(asked):
            if kind == "main":
                correct = rng.random() < p
            else:
                correct = index - len(planted) < round(p * n_catch)
            chosen = "positive" if correct else "negative"
            other = "negative" if correct else "positive"
            rows.append(
                _RESPONSE
                | {
                    "session_id": name,
                    "trial_index": index,
                    "kind": kind,
                    "task_id": f"{unit}#natural-easy#{number % 20}",
                    "unit": unit,
                    "task_number": number % 20,
                    "group": (groups or {}).get(unit),
                    # Both rows are used alike, so that no session falls by that.
                    "upper_query": chosen if index % 2 else other,
                    "chosen_query": chosen,
                    "correct": correct,
                    "time_elapsed_ms": 1000.0 * index,
                    "simulated": simulated,
                    "observer": "table" if simulated else None,
                }
            )
        session_rows.append(
            _SESSION
            | {"simulated": simulated, "observer": "table" if simulated else None}
            | {"session_id": name}
            | own
        )
    return Responses(
        responses=checked(_filled(rows, RESPONSES), RESPONSES, "toy"),
        sessions=checked(_filled(session_rows, SESSIONS), SESSIONS, "toy"),
        header=Header(format="responses", version=1, config={"study_id": "toy"}),
    )


def _filled(rows, schema):
    return pd.DataFrame(rows).reindex(columns=list(schema.columns))


def toy_units(n):
    return [f"toy::layer{index // 10}::{index:03d}" for index in range(n)]


def toy_scores(mis, **more):
    """A score table from unit to MIS."""
    return pd.DataFrame({"unit": list(mis), "mis": list(mis.values()), **more})
