import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal

from analysis.comparison import compare_groups
from analysis.simulated_scores import (
    implied_sd,
    simulated_comparison,
    simulated_unit_scores,
)
from data.errors import DataContractError
from data.published import read_imi_model_scores


@pytest.fixture(scope="module")
def published():
    return read_imi_model_scores().table


@pytest.mark.parametrize("explanation_method", ["natural", "synthetic"])
def test_simulated_units_have_the_published_means_spreads_and_sizes(
    published, explanation_method, rng
):
    own = published[published["explanation_method"] == explanation_method]
    drawn = simulated_unit_scores(own, rng=rng)
    found = drawn.groupby("group")["his"].agg(["mean", "std", "size"])
    found = found.loc[own["model"]]
    assert found["mean"].to_numpy() == pytest.approx(own["his"].to_numpy(), abs=1e-3)
    assert found["std"].to_numpy() == pytest.approx(implied_sd(own), abs=1e-3)
    assert found["size"].tolist() == own["n_units"].tolist()
    assert drawn["his"].between(0, 1).all()
    assert drawn["simulated"].all()


def test_implied_spreads_are_as_published(published):
    # imi-method: between units .10 to .16 natural, .11 to .18 synthetic.
    sd = implied_sd(published)
    natural = published["explanation_method"] == "natural"
    assert sd[natural].between(0.095, 0.165).all()
    assert sd[~natural].between(0.105, 0.185).all()


def test_imis_models_differ_in_every_simulated_study(published, rng):
    natural = simulated_comparison(published, "natural", rng=rng, n_studies=12)
    assert (natural.df, natural.n_units, len(natural.pairs)) == (8, 740, 36)
    assert natural.share_found == 1
    assert natural.statistic_low > 40
    assert natural.note.startswith("simulated: 12 sets of unit scores")
    synthetic = simulated_comparison(published, "synthetic", rng=rng, n_studies=12)
    assert (synthetic.df, len(synthetic.pairs)) == (6, 21)
    assert synthetic.share_found == 1


def test_pairs_far_apart_are_found_and_near_ones_are_not(published, rng):
    found = simulated_comparison(published, "natural", rng=rng, n_studies=12)
    pairs = found.pairs.set_index(["group_a", "group_b"])
    assert pairs.loc[("GoogLeNet", "ConvNeXT"), "share_found"] == 1
    assert pairs.loc[("GoogLeNet", "Clip ResNet"), "share_found"] < 0.2
    assert pairs.loc[("GoogLeNet", "ConvNeXT"), "difference"] == pytest.approx(0.0998)


def test_one_study_has_the_tests_of_any_other(published, rng):
    own = published[published["explanation_method"] == "natural"]
    found = simulated_comparison(
        own, "natural", rng=np.random.default_rng(4), n_studies=1
    )
    drawn = simulated_unit_scores(own, rng=np.random.default_rng(4))
    whole = compare_groups(drawn, rng=rng, n_resamples=9)
    assert found.statistic == pytest.approx(whole.statistic)
    ours = {
        frozenset((r.group_a, r.group_b)): r.p_holm_median
        for r in found.pairs.itertuples()
    }
    theirs = {
        frozenset((r.group_a, r.group_b)): r.p_holm for r in whole.pairs.itertuples()
    }
    assert ours == pytest.approx(theirs)
    assert kruskal(*(g["his"] for _, g in drawn.groupby("group"))).statistic == (
        pytest.approx(found.statistic)
    )


def test_equal_published_means_are_told_apart_at_the_nominal_rate(rng):
    same = pd.DataFrame(
        {
            "model": list("abc"),
            "explanation_method": "natural",
            "his": 0.75,
            "ci_low": 0.72,
            "ci_high": 0.78,
            "n_units": 80,
        }
    )
    found = simulated_comparison(same, "natural", rng=rng, n_studies=25)
    # Means are set, not drawn, so that studies differ even less than by chance.
    assert found.share_found < 0.05


def test_a_method_without_models_is_refused(published, rng):
    with pytest.raises(DataContractError, match="0 models have scores with 'mixed'"):
        simulated_comparison(published, "mixed", rng=rng)
