import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.families import Test, corrected


def family(p_values, **more):
    tests = [Test(name=f"t{i}", p_value=p) for i, p in enumerate(p_values)]
    return corrected("a question", tests, **more)


p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=30)
@given(p_lists)
def test_holm_is_its_step_down_rule(p_values):
    table = family(p_values).table.sort_values("p_raw", kind="stable")
    m = len(table)
    stepped = [min(1, (m - i) * p) for i, p in enumerate(table["p_raw"])]
    np.testing.assert_allclose(table["p_holm"], np.maximum.accumulate(stepped))


@settings(max_examples=30)
@given(p_lists)
def test_benjamini_hochberg_is_its_step_up_rule(p_values):
    table = family(p_values).table.sort_values("p_raw", kind="stable")
    m = len(table)
    stepped = [min(1, p * m / (i + 1)) for i, p in enumerate(table["p_raw"])]
    expected = np.minimum.accumulate(stepped[::-1])[::-1]
    np.testing.assert_allclose(table["p_bh"], expected)


def test_benjamini_and_hochbergs_own_example_rejects_four():
    # Their paper of 1995, section 3.1: Bonferroni and Holm reject 3, theirs 4.
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
    ]  # fmt: skip
    table = family(p_values).table
    assert table["rejected_bh"].sum() == 4
    assert table["rejected_holm"].sum() == 3


def test_tests_stay_in_the_order_of_their_declaration():
    assert family([0.5, 0.001, 0.2]).table["test"].tolist() == ["t0", "t1", "t2"]


def test_a_family_prints_its_question_and_every_test():
    text = str(family([0.5, 0.001]))
    assert text.splitlines()[0] == "Family of 2 tests: a question"
    assert "t1  p = 0.001, Holm 0.002, Benjamini–Hochberg 0.002" in text


def test_a_family_without_tests_is_refused():
    with pytest.raises(ValueError, match="'a question' has no tests"):
        family([])


def test_a_test_that_stands_there_twice_is_refused():
    tests = [Test(name="same", p_value=0.1)] * 2
    with pytest.raises(ValueError, match="has the test 'same' more than once"):
        corrected("a question", tests)


@pytest.mark.parametrize("p_value", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(p_value):
    with pytest.raises(ValueError, match="'p_value' of 'x' is"):
        Test(name="x", p_value=p_value)
