import json
import shutil

import pandas as pd
import pytest

from data.errors import DataContractError
from data.published import FOLDER, read_borowski2021, read_imi_model_scores


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "published")


@pytest.mark.parametrize("read", [read_borowski2021, read_imi_model_scores])
def test_every_published_table_names_its_sources_and_explains_its_columns(read):
    published = read()
    assert list(published.table.columns) == list(published.columns)
    for source in published.sources:
        assert {"what", "where", "commit", "paper", "licence"} == set(source)
    assert published.derived


def test_borowski_has_45_units_for_each_explanation_method():
    table = read_borowski2021().table
    assert table["explanation_method"].value_counts().to_dict() == {
        "natural": 45,
        "synthetic": 45,
    }
    assert (table["n_trials"] == 10).all()


def test_the_shipped_counts_are_those_of_the_released_answers(shared):
    raw = pd.read_csv(
        shared / "data/borowski2021_experiment1"
        "/experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"
    )
    main = raw[(raw["trial_type"] == "main") & ~raw["catch_trial"]]
    ours = read_borowski2021().table.groupby("explanation_method")
    for name, released in (("natural", "natural"), ("synthetic", "optimized")):
        counts = main[main["instr_type"] == released].groupby("unit_name")["correct"]
        table = ours.get_group(name)
        assert sorted(counts.sum()) == sorted(table["n_correct"])
        assert sorted(counts.size()) == sorted(table["n_trials"])


def test_the_shipped_mis_are_the_authors(shared):
    released = pd.read_csv(
        shared / "data/googlenet_mis/googlenet_per_unit_mis_dreamsim_natural.csv"
    )
    released.index = pd.Index(
        "googlenet::" + released["layer"] + "::" + released["unit"].astype(str)
    )
    table = read_borowski2021().table
    expected = released.loc[table["unit"]]
    assert table["mis"].to_numpy() == pytest.approx(expected["mis"], abs=1e-8)
    assert list(table["hard_accuracy"]) == list(expected["mis_hard_accuracy_20"])


def test_imi_has_nine_models_with_natural_explanations(shared):
    table = read_imi_model_scores().table
    natural = table[table["explanation_method"] == "natural"].set_index("model")
    assert len(natural) == 9
    released = pd.read_csv(
        shared / "data/imi_published/imi_model_scores_from_svg.csv"
    ).query("reference_mode == 'natural'")
    his = released.set_index("model")["his_mean_fig_scatter"]
    assert natural["his"].to_dict() == his.to_dict()
    assert ((natural["ci_low"] < natural["his"]) & (natural["his"] < 1)).all()


def test_more_right_answers_than_answers_are_refused(copy):
    path = copy / "borowski2021_experiment1_units.csv"
    path.write_text(path.read_text().replace(",6,10,", ",16,10,", 1))
    with pytest.raises(DataContractError, match="'n_correct' 16; it must be at most"):
        read_borowski2021(copy)


def test_a_share_above_one_is_refused_with_its_row(copy):
    path = copy / "imi_model_scores.csv"
    path.write_text(path.read_text().replace("0.87917", "87.917"))
    with pytest.raises(DataContractError, match=r"'his' holds 87\.917 in data row 1"):
        read_imi_model_scores(copy)


def test_a_published_table_of_another_version_is_refused(copy):
    path = copy / "imi_model_scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(DataContractError, match="published of version 2"):
        read_imi_model_scores(copy)


def test_a_published_table_without_sources_is_refused(copy):
    path = copy / "imi_model_scores.json"
    content = json.loads(path.read_text())
    del content["sources"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataContractError, match=r"lacks an entry .'sources'"):
        read_imi_model_scores(copy)
