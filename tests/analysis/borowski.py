"""The released answers of Borowski et al. 2021, Experiment I, in our columns."""

import json
from functools import cache

from data.borowski import read_borowski

CONDITIONS = ("natural", "optimized", "none_pre", "none_post")

_NAME = "experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"


def borowski_answers(shared):
    """One row an answer, with the authors' names of the conditions."""
    return _read(shared / "data/borowski2021_experiment1" / _NAME).copy()


def golden_statistics(shared):
    """Another program's numbers of every cell, such as ``I|main|natural``."""
    path = shared / "data/borowski2021_experiment1/golden_statistics.json"
    return json.loads(path.read_text())


def golden_cell(shared, condition):
    """Return a condition's main answers, or all catch answers, and their numbers."""
    table, golden = borowski_answers(shared), golden_statistics(shared)
    if condition == "catch":
        return table.query("kind == 'catch'"), golden["I|catch|all"]
    own = table.query("kind == 'main' and condition == @condition")
    return own, golden[f"I|main|{condition}"]


@cache
def _read(path):
    table = read_borowski(path).responses
    return table.assign(condition=table["condition"].replace("synthetic", "optimized"))
