"""The released answers of Borowski et al. 2021, Experiment I, in our columns."""

from functools import cache

from data.borowski import read_borowski

CONDITIONS = ("natural", "optimized", "none_pre", "none_post")

_NAME = "experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"


def borowski_answers(shared):
    """One row an answer, with the authors' names of the conditions."""
    return _read(shared / "data/borowski2021_experiment1" / _NAME).copy()


@cache
def _read(path):
    table = read_borowski(path).responses
    return table.assign(condition=table["condition"].replace("synthetic", "optimized"))
