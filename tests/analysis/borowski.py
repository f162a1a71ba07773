"""The released answers of Borowski et al. 2021, Experiment I, in our columns."""

import pandas as pd

CONDITIONS = ("natural", "optimized", "none_pre", "none_post")


def borowski_answers(shared):
    """One row an answer: 'unit', 'session_id' (a person), 'kind', 'condition' …"""
    raw = pd.read_csv(
        shared / "data/borowski2021_experiment1"
        "/experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"
    )
    raw = raw[raw["trial_type"].isin(["main", "practice"])]
    kind = raw["trial_type"].mask(raw["catch_trial"], "catch")
    return pd.DataFrame(
        {
            "unit": raw["unit_name"],
            "session_id": raw["subject_id"].astype(str),
            "kind": kind,
            "condition": raw["instr_type"],
            "correct": raw["correct"].astype(bool),
            "confidence": raw["abs_conf_rating"],
        }
    )
