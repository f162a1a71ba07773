import numpy as np
import pytest

from analysis.imi_models import compare_answered_models, compare_published_models
from analysis.pairwise import compact_letters
from analysis.published_sections import models_section
from data.published import read_imi_model_scores
from tests.analysis.toy import toy_responses


@pytest.fixture(scope="module")
def published():
    return read_imi_model_scores().table


@pytest.fixture(scope="module")
def found(published):
    return compare_published_models(published, seed=0, n_studies=25)


def test_letters_of_simulated_scores_do_not_hang_on_the_seed(published, found):
    again = compare_published_models(published, seed=1, n_studies=25)
    for one, other in zip(found, again, strict=True):
        assert one.draws is not None
        sure = ~one.draws.pairs["share_found"].between(0.2, 0.8)
        first, second = (
            (each.groups.pairs["p_holm"] < 0.05).to_numpy() for each in (one, other)
        )
        assert (first == second)[sure].all()
        assert compact_letters(one.groups).str.len().min() > 0


def test_what_hangs_on_the_draw_is_named_with_its_share(found):
    section = models_section(found)
    said = " ".join(section.said)
    assert "each is the median of 25 draws" in said
    for one in found:
        share = one.draws.pairs["share_found"]
        n_sure = int((share >= 0.95).sum())
        assert f"{n_sure} of {len(share)} pairs differ in at least 95%" in said
        unsure = one.draws.pairs[(share > 0.05) & (share < 0.95)]
        for row in unsure.to_dict("records"):
            name = f"{row['group_a']} and {row['group_b']} ({row['share_found']:.0%})"
            assert name in said
    assert section.numbers["tests"][0]["pairs"][0].keys() >= {"share_found", "p_holm"}


def test_counted_answers_are_not_drawn(rng):
    planted = {
        f"{model}::layer::{channel}": chance
        for model, chance in (("a", 0.9), ("b", 0.6))
        for channel in range(8)
    }
    table = toy_responses(planted, rng=rng, n_sessions=12).responses
    (one,) = compare_answered_models(table, {"a": "A"}, seed=0)
    assert not one.simulated
    assert one.draws is None
    assert set(one.groups.groups["group"]) == {"A", "b"}
    assert np.isfinite(one.groups.statistic)
    assert "draws" not in " ".join(models_section((one,)).said)
