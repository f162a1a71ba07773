import json

import pandas as pd
import pytest

from data.errors import DataContractError
from data.file_kinds import file_kind
from data.formats import Header, write_header
from data.imi import IMI_COLUMNS
from data.responses import read_responses

FIRST = "subject_id,trial_nr,instr_type,trial_type,query_order,conf_rating,RT\n"
SECOND = FIRST.strip() + ",batch_block,instruction_grid_mode,n_instruction_patches\n"
IMI = ",".join(IMI_COLUMNS) + "\n"


@pytest.fixture
def kind(tmp_path):
    """A function that writes a text and tells its kind."""

    def tell(text, name="x.csv"):
        (tmp_path / name).write_text(text)
        return file_kind(tmp_path / name)

    return tell


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (FIRST, "borowski_1"),
        (SECOND, "borowski_2"),
        (IMI, "imi"),
        ("," + IMI, "imi"),
        ("\ufeff" + IMI, "imi"),
        ("unit,mis\n", "score_table"),
        ("session_id,trial_index,unit,correct\n", "response_table"),
        (",subject_id,trial_name,trial_nr,rating,rt\n", "borowski_ratings"),
        ("Submission id,Participant id,Status\n", "prolific"),
        ('"HITId","HITTypeId","WorkerId"\n', "mturk"),
        ("a,b\n", "unknown"),
    ],
)
def test_a_table_is_known_by_its_columns(kind, header, name):
    assert kind(header).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("a\n", "no table with a header"),
        ("a,b\n", "a CSV with unknown columns such as a, b"),
        (FIRST.strip() + "," + IMI, "a CSV that mixes columns of IMI and of Borowski"),
        (IMI.replace(",", ";"), "a table whose columns are separated by semicolons"),
        (IMI.replace(",", "\t"), "a table whose columns are separated by tabs"),
        (FIRST.strip() + ",batch_block\n", "Experiment II, without ['instruction"),
    ],
)
def test_what_is_unknown_or_mixed_is_explained(kind, text, words):
    found = kind(text)
    assert found.name == "unknown"
    assert words in found.words


@pytest.mark.parametrize(
    ("name", "start", "words"),
    [
        ("x.xlsx", b"PK\x03\x04", "an Excel workbook"),
        ("x.zip", b"PK\x03\x04", "a ZIP archive"),
        ("x.pd.pkl", b"\x80\x04\x95", "a Python pickle"),
        ("x.csv", b"\xff\xfeu\x00", "no text in UTF-8"),
        ("x.parquet", b"PAR1cut", "a Parquet file that was cut off"),
    ],
)
def test_what_is_no_text_is_explained(tmp_path, name, start, words):
    (tmp_path / name).write_bytes(start)
    assert file_kind(tmp_path / name).words.startswith(words)


def test_a_folder_of_the_project_is_known_by_its_header(tmp_path):
    header = Header(format="scores", version=1, config={})
    write_header(tmp_path / "scores.json", header)
    assert file_kind(tmp_path).name == "scores"
    assert file_kind(tmp_path / "scores.json").words == (
        "the header of a folder of machine scores"
    )


def test_an_export_is_an_export_though_it_holds_imis_form(tmp_path):
    header = Header(format="responses", version=1, config={})
    write_header(tmp_path / "export.json", header)
    (tmp_path / "responses.csv").write_text(IMI)
    assert file_kind(tmp_path).name == "export"


@pytest.mark.parametrize(
    ("files", "name", "words"),
    [
        ({}, "unknown", "an empty folder"),
        ({"a.txt": "x"}, "unknown", "a folder that holds no known table"),
        ({"a.csv": FIRST, "b.csv": SECOND}, "borowski_folder", "Borowski et al. 2021"),
        ({"a.csv": IMI}, "imi_folder", "IMI's response tables"),
        ({"a.csv": IMI, "b.csv": FIRST}, "unknown", "answers of two studies"),
    ],
)
def test_a_folder_is_known_by_its_tables(tmp_path, files, name, words):
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    found = file_kind(tmp_path)
    assert found.name == name
    assert words in found.words


def test_json_without_a_header_is_unknown(kind):
    assert kind(json.dumps({"a": 1}), "x.json").name == "unknown"


def test_nothing_is_named(tmp_path):
    with pytest.raises(DataContractError, match="nothing does not exist"):
        file_kind(tmp_path / "nothing")


def test_scores_in_the_place_of_answers_are_explained(tmp_path):
    pd.DataFrame({"unit": ["m::l::0"], "mis": [0.5]}).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(
        DataContractError, match=r"is a table of machine scores; .* as the scores"
    ):
        read_responses(tmp_path / "m.parquet")


def test_a_folder_with_several_tables_asks_for_one(tmp_path):
    (tmp_path / "a.csv").write_text(IMI)
    with pytest.raises(DataContractError, match="Name one of them, such as responses"):
        read_responses(tmp_path)


def test_a_known_table_without_a_column_is_named_by_its_reader(tmp_path):
    (tmp_path / "a.csv").write_text(IMI.replace("choice,", ""))
    with pytest.raises(DataContractError, match=r"lacks the columns \['choice'\]"):
        read_responses(tmp_path / "a.csv")


def test_an_imi_table_without_rows_holds_no_answers(tmp_path):
    (tmp_path / "a.csv").write_text(IMI)
    with pytest.raises(DataContractError, match="holds no answers, only a header"):
        read_responses(tmp_path / "a.csv")
