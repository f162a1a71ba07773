"""The released answers of Borowski et al. 2021, Experiment I, in our columns."""

import pandas as pd

CONDITIONS = ("natural", "optimized", "none_pre", "none_post")


def borowski_answers(shared, trial_types=("main", "practice")):
    """One row an answer: 'unit', 'session_id' (a person), 'kind', 'condition' …

    Image a stood above image b, and the question was always which of them goes with
    the right-hand, strongly activating images.
    """
    raw = pd.read_csv(
        shared / "data/borowski2021_experiment1"
        "/experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"
    )
    raw = raw[raw["trial_type"].isin(trial_types)]
    kind = (
        raw["trial_type"].replace("repeated", "main").mask(raw["catch_trial"], "catch")
    )
    batch = raw["batch"].astype(str)
    task = raw["unit_name"] + "#" + raw["instr_type"] + "#" + batch
    positive_above = raw["query_order"] == "max_min"
    positive_chosen = positive_above == (raw["response"] == "a")
    polarity = {True: "positive", False: "negative"}
    return pd.DataFrame(
        {
            "unit": raw["unit_name"],
            "session_id": raw["subject_id"].astype(str),
            "kind": kind,
            "condition": raw["instr_type"],
            "correct": raw["correct"].astype(bool),
            "confidence": raw["abs_conf_rating"],
            "task_id": task + (kind == "catch").map({True: "#catch", False: ""}),
            "trial_index": raw["trial_nr"],
            "upper_query": positive_above.map(polarity),
            "chosen_query": positive_chosen.map(polarity),
            "rt_ms": 1000 * raw["RT"],
            "interrupted": False,
        }
    )
