import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataContractError
from data.selections import read_selection, read_unit_list, write_selection
from data.units import UnitId
from stimuli.selection import GROUPS, SelectConfig, select_units


def score_table(n_units=60, *, n_unscored=0, seed=0, decimals=6):
    rng = np.random.default_rng(seed)
    mis = rng.uniform(0.3, 1, size=n_units).round(decimals)
    mis[:n_unscored] = np.nan
    layers = ["a", "b"]
    names = [f"toy::{layers[index % 2]}::{index // 2}" for index in range(n_units)]
    return pd.DataFrame({"unit": names, "mis": mis})


def selected(scores, *, n=5, seed=0, exclude=(), **config):
    config = SelectConfig(n_per_group=n, **config)
    return select_units(scores, config, seed=seed, exclude=exclude)


def names_of(selection, group):
    units = selection.units
    return units.loc[units["group"] == group, "unit"].tolist()


@given(seed=st.integers(0, 50), n=st.integers(1, 10), decimals=st.integers(1, 6))
def test_groups_are_disjoint_and_full(seed, n, decimals):
    selection = selected(score_table(decimals=decimals), n=n, seed=seed)
    assert selection.units["unit"].is_unique
    assert selection.units["group"].value_counts().to_dict() == dict.fromkeys(GROUPS, n)


def test_easiest_and_hardest_are_the_ends_of_what_random_leaves():
    scores = score_table()
    selection = selected(scores)
    rest = scores[~scores["unit"].isin(names_of(selection, "random"))]
    ranked = rest.sort_values("mis")["unit"].tolist()
    assert names_of(selection, "hardest") == ranked[:5]
    assert names_of(selection, "easiest") == ranked[:-6:-1]


def test_random_units_do_not_depend_on_the_other_groups():
    scores = score_table()
    alone = selected(scores, groups=("random",))
    together = selected(scores)
    assert names_of(alone, "random") == names_of(together, "random")


def test_random_units_stand_for_the_whole_pool():
    scores = score_table()
    drawn = [
        name
        for seed in range(200)
        for name in names_of(selected(scores, seed=seed), "random")
    ]
    counts = pd.Series(drawn).value_counts().reindex(scores["unit"], fill_value=0)
    expected = 200 * 5 / 60
    # Six standard deviations: wide enough for 60 units, none of them left out.
    assert (counts - expected).abs().max() < 6 * np.sqrt(expected)


def test_units_without_a_score_are_never_chosen():
    scores = score_table(40, n_unscored=25)
    unscored = set(scores["unit"][:25])
    for seed in range(20):
        assert not unscored & set(selected(scores, seed=seed).units["unit"])


def test_the_order_of_the_table_plays_no_part():
    scores = score_table(decimals=1)
    other = scores.sample(frac=1, random_state=3)
    assert selected(scores).units.equals(selected(other).units)


def test_equal_scores_are_ranked_at_random():
    scores = score_table(decimals=1).assign(mis=0.5)
    easiest = [
        tuple(names_of(selected(scores, seed=seed), "easiest")) for seed in range(5)
    ]
    assert len(set(easiest)) == 5


def test_another_seed_draws_other_random_units():
    scores = score_table()
    first, other = (names_of(selected(scores, seed=s), "random") for s in (0, 1))
    assert set(first) != set(other)


def test_every_unit_has_its_reason_with_rank_score_and_seed():
    scores = score_table(2000, decimals=3)
    units = selected(scores, n=1, seed=8).units.set_index("group")
    best = scores["mis"].max()
    assert units["reason"]["easiest"] == f"rank 1 of 2,000 by MIS ({best:.3f})"
    assert units["reason"]["hardest"].startswith("rank 2,000 of 2,000 by MIS (0.3")
    assert units["reason"]["random"].startswith("drawn at random (seed 8); rank ")


def test_units_and_layers_can_be_kept_out():
    scores = score_table()
    left_out = [UnitId.parse(name) for name in scores["unit"][:20]]
    chosen = selected(scores, exclude=left_out, layers=("b",)).units["unit"]
    assert not set(chosen) & set(scores["unit"][:20])
    assert chosen.str.contains("::b::").all()


def test_groups_stand_in_the_order_asked():
    selection = selected(score_table(), groups=("hardest", "easiest"))
    assert list(selection.units["group"].unique()) == ["hardest", "easiest"]


def test_too_few_scored_units_are_counted():
    scores = score_table(20, n_unscored=6)
    with pytest.raises(
        DataContractError, match=r"14 scored units.* groups of 5 need 15"
    ):
        selected(scores)


def test_a_layer_without_units_offers_near_names():
    with pytest.raises(DataContractError, match=r"'c' has no unit.*such as 'a', 'b'"):
        selected(score_table(), layers=("c",))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_per_group": 0}, r"'n_per_group' is 0"),
        ({"groups": ("easyest",)}, r"'easyest' is not known.*mean 'easiest'"),
        ({"groups": ("random", "random")}, r"each once"),
    ],
)
def test_a_configuration_out_of_range_is_refused(config, message):
    with pytest.raises(DataContractError, match=message):
        SelectConfig(**{"n_per_group": 5} | config)


def test_a_written_selection_reads_back_equal(tmp_path):
    selection = selected(score_table())
    write_selection(tmp_path / "selection", selection)
    found = read_selection(tmp_path / "selection")
    assert found.header == selection.header
    assert found.units.astype(object).equals(selection.units.astype(object))


def test_unit_lists_are_read_from_folders_and_tables(tmp_path):
    selection = selected(score_table())
    units = tuple(map(UnitId.parse, selection.units["unit"]))
    write_selection(tmp_path / "selection", selection)
    selection.units.to_parquet(tmp_path / "units.parquet")
    for name in ("selection", "selection/units.csv", "units.parquet"):
        assert read_unit_list(tmp_path / name) == units


def test_a_list_with_something_else_than_units_is_refused(tmp_path):
    (tmp_path / "units.csv").write_text("unit\nconv1\n")
    with pytest.raises(DataContractError, match="'conv1' is not 'model::layer::"):
        read_unit_list(tmp_path / "units.csv")
