import numpy as np
import pandas as pd
import pytest

from analysis.claim_values import STATISTICS
from analysis.claims import claims_hold, published_claims
from analysis.evidence import Evidence
from data.published import DATA_WORDS, PublishedValue, read_borowski2021, read_claims
from tests.analysis.toy import toy_responses, toy_units


def value(**differing):
    return PublishedValue(
        **{
            "claim": "HIS of a model",
            "study": "a study",
            "source": "a paper",
            "kind": "published",
            "value": 0.75,
            "tolerance": 0.01,
            "data": ("imi",),
            "statistic": "model_his",
            "where": {"model": "toy", "explanation_method": "natural"},
        }
        | differing
    )


@pytest.fixture(scope="module")
def imi():
    truth = dict.fromkeys(toy_units(8), 1.0)
    return toy_responses(truth, rng=np.random.default_rng(0))


def claim(responses, **differing):
    main = responses.responses[responses.responses["kind"] == "main"]
    (found,) = published_claims([value(**differing)], Evidence(imi=main), seed=0)
    return found


def test_every_claim_names_a_statistic_and_data_that_exist():
    for one in read_claims():
        assert set(one.data) <= set(DATA_WORDS)
        assert one.statistic in STATISTICS or one.data == ("interventional",)


def test_every_claim_is_told_once():
    named = [(one.study, one.claim) for one in read_claims()]
    assert len(named) == len(set(named))


def test_what_lies_within_the_tolerance_is_reproduced(imi):
    found = claim(imi, value=0.995)
    assert found.verdict == "reproduced"
    assert found.ours == 1
    assert claim(imi, value=0.98).verdict == "not reproduced"


def test_without_its_data_a_claim_is_neither(imi):
    found = claim(imi, data=("imi", "imi_mis"))
    assert found.verdict == "needs data: MIS of IMI’s units (--scores FILE)"
    assert claims_hold([found])


def test_a_model_that_the_answers_lack_is_needed_still(imi):
    found = claim(imi, where={"model": "other"})
    assert found.verdict == "needs data: answers to this model"
    assert not found.checkable


def test_the_order_of_units_changes_no_claim():
    table = read_borowski2021().table
    values = [one for one in read_claims() if one.data == ("borowski_units",)]
    shuffled = table.sample(frac=1, random_state=1, ignore_index=True)
    for first, second in zip(
        published_claims(values, Evidence(borowski_units=table), seed=0),
        published_claims(values, Evidence(borowski_units=shuffled), seed=0),
        strict=True,
    ):
        assert first.ours == pytest.approx(second.ours, abs=0.01)
        assert pd.isna(first.ci_low) == pd.isna(second.ci_low)
