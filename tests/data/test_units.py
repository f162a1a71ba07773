import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataContractError
from data.units import UnitId, near_names

names = st.text(
    st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=20
)


@given(names, names, st.integers(0, 10**6))
def test_a_name_that_was_written_reads_back_equal(model, layer, channel):
    unit = UnitId(model, layer, channel)
    assert UnitId.parse(str(unit)) == unit


@pytest.mark.parametrize("text", ["", "a::b", "a::b::c", "a::b::-1", "a::::3", "a:b:3"])
def test_another_form_is_refused_with_an_example(text):
    with pytest.raises(DataContractError, match=f"{text!r} is not.*An example"):
        UnitId.parse(text)


def test_units_sort_by_channel_as_a_number():
    assert sorted([UnitId("a", "b", 10), UnitId("a", "b", 9)])[0].channel == 9


def test_near_names_come_first():
    assert "Did you mean 'layer4.2'" in near_names("layer42", ["conv1", "layer4.2"])


def test_without_a_near_name_some_are_shown():
    assert "There are 2, such as 'x', 'y'" in near_names("layer42", ["x", "y"])
