from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.agreement import agreement
from analysis.calibration import calibration
from data.exclusion import IMI
from tests.analysis.toy import toy_responses, toy_scores, toy_units

UNITS = toy_units(9)
MIS = dict(zip(UNITS, np.linspace(0.97, 0.5, 9), strict=True))
GROUPS = dict(
    zip(UNITS, ["easiest"] * 3 + ["random"] * 3 + ["hardest"] * 3, strict=True)
)


@pytest.fixture(scope="module")
def found():
    toy = toy_responses(
        MIS,
        rng=np.random.default_rng(1),
        n_sessions=12,
        groups=GROUPS,
        sessions={0: {"catch": 0.2}, 1: {"status": "withdrawn"}},
    )
    return agreement(toy, toy_scores(MIS), criteria=IMI, seed=0)


def texts(figure):
    figure.draw_without_rendering()
    return {
        text.get_text()
        for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    }


def test_every_unit_with_both_scores_is_a_point(found):
    some = found.units.assign(mis=found.units["mis"].where(found.units.index > 1))
    (axes,) = plots.scatter_figure(some, simulated=False).axes
    points = np.concatenate(
        [container.lines[0].get_xydata() for container in axes.containers]
    )
    shown = some.dropna(subset=["mis"])
    assert sorted(map(tuple, points)) == sorted(
        zip(shown["mis"], shown["his"], strict=True)
    )


@pytest.mark.parametrize(
    ("simulated", "whose"), [(True, "simulated observers"), (False, "people")]
)
def test_the_axis_says_whose_answers_they_are(found, simulated, whose):
    label = f"HIS (proportion correct of {whose})"
    scatter = plots.scatter_figure(found.units, simulated=simulated)
    groups = plots.groups_figure(found.units, found.groups, simulated=simulated)
    assert label in texts(scatter)
    assert label in texts(groups)


def test_groups_have_their_sizes_means_and_verdicts(found):
    shown = texts(plots.groups_figure(found.units, found.groups, simulated=False))
    assert {"hardest\n3 units", "random\n3 units", "easiest\n3 units"} <= shown
    mean = found.groups.groups.set_index("group").loc["random", "his"]
    assert f"{mean:.2f}" in shown
    assert any("hardest" in text and "Holm p" in text for text in shown)


def test_the_funnel_tells_what_was_lost(found):
    shown = texts(plots.funnel_figure(found.inclusion))
    assert {"12", "11  (1 withdrawn)", "10  (1 excluded)", "catch trials"} <= shown


def test_the_funnel_can_be_without_criteria(found):
    empty = replace(found.inclusion, criteria=found.inclusion.criteria.iloc[:0])
    assert len(plots.funnel_figure(empty).axes) == 1


def test_calibration_has_a_point_for_each_bin(found, rng):
    tasks = found.inclusion.main[["task_id"]].drop_duplicates()
    tasks = tasks.assign(probability=rng.uniform(0.5, 1, len(tasks)))
    result = calibration(found.inclusion.main, tasks, n_bins=4)
    (axes,) = plots.calibration_figure(result, simulated=False).axes
    assert len(axes.containers[0].lines[0].get_xdata()) == 4


def test_units_without_a_group_are_named_so_beside_groups(found):
    some = found.units.assign(group=found.units["group"].where(found.units.index > 2))
    (axes,) = plots.scatter_figure(some, simulated=False).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "no group"


def test_points_of_equal_score_are_moved_apart():
    offset = plots._spread(np.array([0.5, 0.5, 0.5, 0.9]))
    assert len(set(offset[:3])) == 3
    assert offset[3] == 0
    assert offset.sum() == pytest.approx(0)


def test_drawing_changes_no_global_setting(found):
    before = dict(mpl.rcParams)
    plots.scatter_figure(found.units, simulated=False)
    assert dict(mpl.rcParams) == before


def test_a_figure_without_groups_has_no_legend(found):
    alone = found.units.assign(group=pd.Series([None] * 9, dtype="object"))
    (axes,) = plots.scatter_figure(alone, simulated=False).axes
    assert axes.get_legend() is None
