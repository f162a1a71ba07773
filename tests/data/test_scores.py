from dataclasses import replace

import pandas as pd
import pytest

from data.errors import DataContractError
from data.formats import Header
from data.scores import Scores, read_score_table, read_scores, write_scores


@pytest.fixture
def scores():
    return Scores(
        units=pd.DataFrame(
            {
                "unit": ["m::l::0", "m::l::1"],
                "mis": [0.9, None],
                "hard_accuracy": [1.0, None],
                "n_tasks": [2, 0],
                "tie_share": [0.0, 1.0],
                "reason": [None, "constant"],
            }
        ),
        tasks=pd.DataFrame(
            {
                "task_id": ["m::l::0#natural-easy#0", "m::l::0#natural-easy#1"],
                "unit": ["m::l::0"] * 2,
                "number": [0, 1],
                "margin": [0.3, 0.4],
                "probability": [0.87, 0.92],
            }
        ),
        header=Header(format="scores", version=1, config={"tau": 0.16}),
    )


def test_scores_read_back_equal(scores, tmp_path):
    write_scores(tmp_path / "scores", scores)
    read = read_scores(tmp_path / "scores")
    pd.testing.assert_frame_equal(read.units, scores.units, check_dtype=False)
    pd.testing.assert_frame_equal(read.tasks, scores.tasks, check_dtype=False)
    assert read.header == replace(scores.header, version=2)


def test_a_unit_without_a_score_keeps_its_reason(scores, tmp_path):
    write_scores(tmp_path / "scores", scores)
    table = read_score_table(tmp_path / "scores").set_index("unit")
    assert pd.isna(table.loc["m::l::1", "mis"])
    assert table.loc["m::l::1", "reason"] == "constant"


def test_any_methods_scores_can_be_given_as_a_csv(tmp_path):
    (tmp_path / "x.csv").write_text("unit,mis\nm::l::0,0.5\nm::l::1,\n")
    assert read_score_table(tmp_path / "x.csv")["mis"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("unit,score\na::b::1,0.5\n", r"lacks the columns \['mis'\]"),
        ("unit,mis\na::b::1,0.5\na::b::2,high\n", "'mis' holds high in data row 2"),
        (
            "unit,mis\na::b::1,1.5\n",
            r"holds 1\.5 in data row 1; it must be a number in",
        ),
        ("unit,mis\na::b::1,0.5\na::b::1,0.6\n", "holds 'a::b::1' more than once"),
        ("", "is not a CSV with a header"),
    ],
)
def test_a_bad_table_is_refused_with_the_place(tmp_path, text, match):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataContractError, match=match):
        read_score_table(tmp_path / "x.csv")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataContractError, match=r"x\.parquet does not exist"):
        read_score_table(tmp_path / "x.parquet")


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(DataContractError, match=r"x\.txt is not a score table"):
        read_score_table(tmp_path / "x.txt")
