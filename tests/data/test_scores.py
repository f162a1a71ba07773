import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import data.scores
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header
from data.margins import MarginsFile, read_margins
from data.scores import (
    Scores,
    layer_means,
    read_score_table,
    read_scores,
    summary_of,
    write_score_parts,
    write_scores,
)


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


@pytest.fixture
def margins(rng):
    return rng.normal(size=(2, 3)).astype(np.float32)


@pytest.fixture
def with_margins(margins):
    units = pd.DataFrame(
        {
            "unit": ["m::l#1::0", "m::l::1", "m::k::2"],
            "mis": [0.9, None, 0.6],
            "hard_accuracy": [1.0, None, 0.5],
            "n_tasks": [3, 0, 3],
            "reason": [None, "constant: all alike", None],
        }
    )
    header = Header(format="scores", version=2, config={"tau": 0.2})
    return Scores(units=units, margins=margins, header=header, task_kind="natural-p95")


def test_margins_are_kept_and_mapped_into_memory(with_margins, margins, tmp_path):
    write_scores(tmp_path / "scores", with_margins)
    read = read_scores(tmp_path / "scores")
    np.testing.assert_array_equal(read.margins, margins)
    assert read.scored_units == ["m::l#1::0", "m::k::2"]
    pd.testing.assert_frame_equal(read.tasks, with_margins.tasks)


def test_large_margins_are_memory_mapped(tmp_path):
    with (tmp_path / "margins.npy").open("wb") as file:
        out = MarginsFile(file)
        out.append(np.ones((3000, 20), dtype=np.float32))
        out.close()
    assert isinstance(read_margins(tmp_path / "margins.npy"), np.memmap)


def test_the_table_of_tasks_is_made_of_the_margins(with_margins, margins):
    tasks = with_margins.tasks
    assert tasks["task_id"][4] == "m::k::2#natural-p95#1"
    assert tasks["number"].tolist() == [0, 1, 2] * 2
    np.testing.assert_array_equal(tasks["margin"], margins.ravel())
    expected = 1 / (1 + np.exp(-margins.ravel().astype(float) / 0.2))
    np.testing.assert_allclose(tasks["probability"], expected)


def test_a_long_table_of_tasks_is_not_written_but_made_when_asked_for(
    with_margins, tmp_path, monkeypatch
):
    monkeypatch.setattr("data.scores._MOST_ROWS", 5)
    write_scores(tmp_path / "scores", with_margins)
    assert not (tmp_path / "scores" / "tasks.parquet").exists()
    read = read_scores(tmp_path / "scores")
    pd.testing.assert_frame_equal(read.tasks, with_margins.tasks)


def test_the_tasks_of_some_units_can_be_had_alone(with_margins):
    assert set(with_margins.tasks_of([1])["unit"]) == {"m::k::2"}


def test_scores_of_version_1_are_read(scores, tmp_path):
    folder = tmp_path / "scores"
    write_scores(folder, scores)
    content = json.loads((folder / "scores.json").read_text())
    for name in ("task_kind", "holds_margins", "holds_tasks"):
        del content[name]
    (folder / "scores.json").write_text(json.dumps(content | {"version": 1}))
    read = read_scores(folder)
    assert read.margins is None
    pd.testing.assert_frame_equal(read.tasks, scores.tasks, check_dtype=False)


def test_margins_of_other_units_are_refused(with_margins, margins):
    with pytest.raises(DataContractError, match="margins of 1 units; 2 units have"):
        Scores(
            units=with_margins.units, margins=margins[:1], header=with_margins.header
        )


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01", b"no array"])
def test_a_margins_file_that_was_cut_off_is_refused(tmp_path, content):
    (tmp_path / "margins.npy").write_bytes(content)
    with pytest.raises(DataContractError, match="is not a whole margins file"):
        read_margins(tmp_path / "margins.npy")


def test_margins_of_another_kind_are_refused(tmp_path):
    np.save(tmp_path / "margins.npy", np.zeros(3))
    with pytest.raises(DataContractError, match=r"float64 of shape \(3,\); it must be"):
        read_margins(tmp_path / "margins.npy")


def test_layers_are_summarized_apart_and_constant_units_counted(with_margins):
    means = layer_means(with_margins.units).set_index("layer")
    assert means.index.tolist() == ["l#1", "l", "k"]
    assert means["n_units"].tolist() == [1, 1, 1]
    assert means["n_scored"].tolist() == [1, 0, 1]
    assert means["share_constant"].tolist() == [0, 1, 0]
    assert means.loc["k", "mean"] == 0.6
    assert np.isnan(means.loc["l", "mean"])


PUBLISHED = [  # layer or module, units, mean MIS, median, mean hard accuracy
    ("conv2d0", 64, 0.8139, 0.8537, 0.9062),
    ("conv2d1", 64, 0.8356, 0.8586, 0.9570),
    ("conv2d2", 192, 0.8288, 0.8427, 0.9464),
    ("mixed3a_1x1", 64, 0.8311, 0.8744, 0.9336),
    ("mixed3a_3x3_bottleneck", 96, 0.7990, 0.8178, 0.9344),
    ("mixed3a_5x5_bottleneck", 16, 0.8928, 0.9088, 0.9938),
    ("mixed3a_pool_reduce", 32, 0.8306, 0.8744, 0.9281),
    ("mixed3a_3x3", 128, 0.7764, 0.8014, 0.9078),
    ("mixed3a_5x5", 32, 0.8349, 0.8639, 0.9344),
    ("mixed3b_1x1", 128, 0.8520, 0.8721, 0.9625),
    ("mixed3b_3x3_bottleneck", 128, 0.8615, 0.8758, 0.9703),
    ("mixed3b_5x5_bottleneck", 32, 0.7813, 0.8378, 0.8828),
    ("mixed3b_pool_reduce", 64, 0.8530, 0.8797, 0.9570),
    ("mixed3b_3x3", 192, 0.8529, 0.8634, 0.9706),
    ("mixed3b_5x5", 96, 0.7985, 0.8140, 0.9172),
    ("mixed4a_1x1", 192, 0.8821, 0.8896, 0.9833),
    ("mixed4a_3x3_bottleneck", 96, 0.8675, 0.8751, 0.9771),
    ("mixed4a_5x5_bottleneck", 16, 0.7891, 0.8392, 0.9094),
    ("mixed4a_pool_reduce", 64, 0.9158, 0.9276, 0.9938),
    ("mixed4a_3x3", 204, 0.8644, 0.8920, 0.9623),
    ("mixed4a_5x5", 48, 0.7367, 0.7662, 0.8802),
    ("mixed4b_1x1", 160, 0.9075, 0.9133, 0.9912),
    ("mixed4b_3x3_bottleneck", 112, 0.9046, 0.9158, 0.9897),
    ("mixed4b_5x5_bottleneck", 24, 0.9186, 0.9366, 0.9813),
    ("mixed4b_pool_reduce", 64, 0.9258, 0.9378, 0.9938),
    ("mixed4b_3x3", 224, 0.9122, 0.9215, 0.9900),
    ("mixed4b_5x5", 64, 0.9082, 0.9394, 0.9734),
    ("mixed4c", 664, 0.9302, None, None),
    ("mixed4d", 704, 0.9451, None, None),
    ("mixed4e", 1024, 0.9476, None, None),
    ("mixed5a", 1040, 0.9421, None, None),
    ("mixed5b_1x1", 384, 0.9039, 0.9085, 0.9849),
    ("mixed5b_3x3_bottleneck", 192, 0.9528, 0.9575, 0.9979),
    ("mixed5b_5x5_bottleneck", 48, 0.9111, 0.9197, 0.9781),
    ("mixed5b_pool_reduce", 128, 0.8705, 0.8737, 0.9613),
    ("mixed5b_3x3", 384, 0.9019, 0.9037, 0.9727),
    ("mixed5b_5x5", 128, 0.8584, 0.8650, 0.9516),
    ("softmax2_pre_activation_matmul", 1008, 0.9681, 0.9722, 0.9997),
]


@pytest.fixture(scope="module")
def googlenet(shared):
    path = shared / "data/googlenet_mis/googlenet_per_unit_mis_dreamsim_natural.csv"
    table = pd.read_csv(path)
    layer = table["layer"].str.removesuffix("_pre_relu_conv")
    units = "googlenet::" + layer + "::" + table["unit"].astype(str)
    hard = table["mis_hard_accuracy_20"]
    return pd.DataFrame({"unit": units, "mis": table["mis"], "hard_accuracy": hard})


@pytest.mark.parametrize(
    ("layer", "n_units", "mean", "median", "hard"), PUBLISHED, ids=lambda one: str(one)
)
def test_the_authors_layer_means_of_googlenet_come_out(
    googlenet, layer, n_units, mean, median, hard
):
    means = layer_means(googlenet).set_index("layer")
    if median is None:  # all six layers of a module
        own = means[means.index.str.startswith(layer)]
        assert own["n_units"].sum() == n_units
        found = np.average(own["mean"], weights=own["n_units"])
        assert found == pytest.approx(mean, abs=1e-4)
        return
    own = means.loc[layer]
    assert own["n_units"] == n_units
    found = own[["mean", "median", "hard_accuracy"]].tolist()
    assert found == pytest.approx([mean, median, hard], abs=1e-4)


def test_the_authors_mean_over_all_layers_of_googlenet_comes_out(googlenet):
    assert len(googlenet) == 8300
    assert googlenet["mis"].mean() == pytest.approx(0.9129, abs=1e-4)
    means = layer_means(googlenet)
    inner = ~means["layer"].str.contains("conv2d0|softmax2")
    weights = means.loc[inner, "n_scored"]
    assert weights.sum() == 7228
    mean = np.average(means.loc[inner, "mean"], weights=weights)
    assert mean == pytest.approx(0.9061, abs=1e-4)
    assert (means["share_constant"] == 0).all()


@pytest.mark.parametrize("size", [1, 5])
def test_scores_written_in_parts_have_the_bytes_of_those_written_whole(
    rng, tmp_path, size
):
    n_units = 11
    header = Header(format="scores", version=2, config={"tau": 0.2})
    margins = rng.normal(size=(n_units, 3)).astype(np.float32)
    units = pd.DataFrame({"unit": [f"m::l::{one}" for one in range(n_units)]})
    units = units.assign(mis=rng.random(n_units), n_tasks=3, reason=None)
    units = units.astype({"reason": "str"})
    parts = [
        Scores(
            units=units[start : start + size],
            margins=margins[start : start + size],
            header=header,
        )
        for start in range(0, n_units, size)
    ]
    write_score_parts(tmp_path / "parts", iter(parts))
    write_scores(
        tmp_path / "whole", Scores(units=units, margins=margins, header=header)
    )
    assert folder_hash(tmp_path / "parts") == folder_hash(tmp_path / "whole")
    assert (tmp_path / "parts" / "tasks.parquet").exists()
    _, n_all, n_scored, mean = summary_of(tmp_path / "parts")
    assert (n_all, n_scored) == (n_units, n_units)
    assert mean == pytest.approx(units["mis"].mean())


def test_a_part_that_fails_leaves_nothing(with_margins, tmp_path):
    def parts():
        yield with_margins
        raise DataContractError("a broken part")

    with pytest.raises(DataContractError, match="a broken part"):
        write_score_parts(tmp_path / "scores", parts())
    assert not list(tmp_path.iterdir())


def test_reasons_that_come_after_many_units_without_are_kept(
    with_margins, tmp_path, monkeypatch
):
    monkeypatch.setattr(data.scores, "_ROW_GROUP", 1)
    reasons = [np.nan, np.nan, "constant: all alike"]
    parts = [
        Scores(
            units=with_margins.units[row : row + 1].assign(
                reason=np.array([reason], dtype=object), n_tasks=0
            ),
            header=with_margins.header,
        )
        for row, reason in enumerate(reasons)
    ]
    write_score_parts(tmp_path / "scores", parts)
    read = read_scores(tmp_path / "scores").units
    assert read["unit"].tolist() == with_margins.units["unit"].tolist()
    assert read["reason"].isna().tolist() == [True, True, False]
