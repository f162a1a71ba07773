import pandas as pd
import pandera.pandas as pa
import pytest

from data.errors import DataContractError
from data.scores import read_score_table
from data.tables import read_csv

TABLE = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, description="text"),
        "rt": pa.Column("float64", description="a number of ms"),
        "note": pa.Column(str, nullable=True, required=False),
    },
    coerce=True,
    name="a table of times",
)


def read(tmp_path, text):
    path = tmp_path / "times.csv"
    path.write_text(text)
    return read_csv(path, TABLE)


def test_numbers_with_points_are_read(tmp_path):
    assert read(tmp_path, "unit,rt\na,1.5\n")["rt"].tolist() == [1.5]


def test_a_file_without_a_last_line_break_is_whole(tmp_path):
    assert len(read(tmp_path, "unit,rt,note\na,1,x\nb,2,y")) == 2


def test_an_empty_last_cell_is_no_cut(tmp_path):
    table = read(tmp_path, "unit,rt,note\na,1,x\nb,2,\n")
    assert table["note"].isna().tolist() == [False, True]


@pytest.mark.parametrize("last", ["b,2", "b", "b,2\n"])
def test_a_row_that_was_cut_off_is_named(tmp_path, last):
    with pytest.raises(DataContractError, match="in the middle of data row 2"):
        read(tmp_path, "unit,rt,note\na,1,x\n" + last)


def test_a_table_that_was_cut_off_within_a_quoted_cell_is_named(tmp_path):
    with pytest.raises(DataContractError, match="ends within a quoted cell"):
        read(tmp_path, 'unit,rt,note\na,1,x\nb,2,"long no')


def test_two_tables_in_one_file_are_named(tmp_path):
    with pytest.raises(DataContractError, match="its header in data row 2: two tables"):
        read(tmp_path, "unit,rt\na,1\nunit,rt\nb,2\n")


def test_two_tables_with_row_numbers_in_one_file_are_named(tmp_path):
    with pytest.raises(DataContractError, match="its header in data row 2: two tables"):
        read(tmp_path, ",unit,rt\n0,a,1\n,unit,rt\n0,b,2\n")


def test_a_quoted_decimal_comma_is_named(tmp_path):
    with pytest.raises(DataContractError, match=r"1,5 in data row 1.*decimal comma"):
        read(tmp_path, 'unit,rt\na,"1,5"\n')


@pytest.mark.parametrize("rows", ["a,1,5\n", "a,1,5\nb,2,5\n", "a,1\nb,2,5\n"])
def test_a_decimal_comma_that_makes_a_cell_two_is_named(tmp_path, rows):
    with pytest.raises(DataContractError, match="A decimal comma makes one cell two"):
        read(tmp_path, "unit,rt\n" + rows)


@pytest.mark.parametrize(("separator", "words"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_named(tmp_path, separator, words):
    with pytest.raises(DataContractError, match=f"separates its columns with {words}"):
        read(tmp_path, separator.join(["unit", "rt"]) + "\n" + f"a{separator}1,5\n")


def test_a_score_that_is_missing_in_the_last_row_is_no_cut(tmp_path):
    pd.DataFrame({"unit": ["m::l::0", "m::l::1"], "mis": [0.5, None]}).to_csv(
        tmp_path / "mis.csv", index=False
    )
    assert read_score_table(tmp_path / "mis.csv")["mis"].isna().sum() == 1


@pytest.mark.parametrize("value", ["inf", "-inf", "1.2"])
def test_a_score_outside_its_range_is_refused(tmp_path, value):
    (tmp_path / "mis.csv").write_text(f"unit,mis\nm::l::0,{value}\n")
    with pytest.raises(DataContractError, match="must be a number in"):
        read_score_table(tmp_path / "mis.csv")
