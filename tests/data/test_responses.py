import numpy as np
import pandas as pd
import pytest

from data.errors import DataContractError
from data.responses import (
    RESPONSES,
    conditions,
    one_model,
    read_responses,
    refuse_a_session_twice,
    write_responses,
)
from data.tables import checked
from tests.analysis.toy import toy_responses

PLANTED = {f"m::l::{channel}": 0.8 for channel in range(12)}


@pytest.fixture
def study(rng):
    """Six sessions whose response times differ, as real ones do."""
    toy = toy_responses(PLANTED, rng=rng, n_sessions=6)
    own = toy.responses
    times = rng.gamma(4, 800, size=len(own))
    return type(toy)(
        responses=own.assign(rt_ms=times), sessions=toy.sessions, header=toy.header
    )


def test_a_study_in_which_everyone_answered_once_passes(study):
    refuse_a_session_twice(study.responses, "x")


def test_a_session_that_stands_there_twice_is_named(study):
    own = study.responses
    first = own["session_id"].iloc[0]
    twice = pd.concat([own, own[own["session_id"] == first]])
    n_rows = int((own["session_id"] == first).sum())
    with pytest.raises(
        DataContractError,
        match=f"x holds answers of session '{first}' twice .{n_rows} rows of 1 sess",
    ):
        refuse_a_session_twice(twice, "x")


def test_a_session_under_two_ids_is_named(study):
    own = study.responses
    copy = own[own["session_id"] == own["session_id"].iloc[0]]
    twice = pd.concat([own, copy.assign(session_id="zz", participant_id="other")])
    with pytest.raises(DataContractError, match=r"and 'zz' hold the same \d+ answers"):
        refuse_a_session_twice(twice.sample(frac=1, random_state=0), "x")


def test_sessions_that_differ_in_one_answer_are_two(study):
    own = study.responses
    copy = own[own["session_id"] == own["session_id"].iloc[0]].assign(session_id="zz")
    copy.loc[copy.index[-1], "confidence"] += 1
    refuse_a_session_twice(pd.concat([own, copy]), "x")


def test_programs_that_all_answer_after_the_same_time_are_not_one(study):
    own = study.responses.assign(rt_ms=550.0)
    copy = own[own["session_id"] == own["session_id"].iloc[0]].assign(session_id="zz")
    refuse_a_session_twice(pd.concat([own, copy]), "x")


def test_an_export_with_a_session_under_two_ids_is_refused(study, tmp_path):
    own = study.responses
    copy = own[own["session_id"] == own["session_id"].iloc[0]].assign(session_id="zz")
    doubled = type(study)(
        responses=pd.concat([own, copy], ignore_index=True),
        sessions=study.sessions,
        header=study.header,
    )
    write_responses(tmp_path / "export", doubled, pd.DataFrame())
    with pytest.raises(DataContractError, match="hold the same"):
        read_responses(tmp_path / "export")


@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
def test_a_response_time_must_be_finite(study, value):
    own = study.responses
    own.loc[3, "rt_ms"] = value
    with pytest.raises(DataContractError, match="must be a finite number of at least"):
        checked(own, RESPONSES, "x")


def test_an_unknown_optional_time_may_be_missing_but_not_infinite(study):
    own = study.responses
    checked(own.assign(onset_lag_ms=np.nan), RESPONSES, "x")
    with pytest.raises(DataContractError, match="'onset_lag_ms' holds inf"):
        checked(own.assign(onset_lag_ms=np.inf), RESPONSES, "x")


@pytest.fixture
def mixed(study):
    """Half of the sessions answered units of another model."""
    own = study.responses
    some = own["session_id"].isin(own["session_id"].unique()[:2])
    other = own["unit"].str.replace("m::", "other::")
    return own.assign(unit=own["unit"].mask(some, other))


def test_what_a_table_mixes_is_counted(mixed):
    found = conditions(mixed).set_index("model")
    assert found["n_sessions"].to_dict() == {"m": 4, "other": 2}
    assert found["n_units"].to_dict() == {"m": 12, "other": 12}
    assert found["n_trials"].sum() == (mixed["kind"] == "main").sum()


def test_one_model_is_kept_with_its_catch_trials(mixed):
    own = one_model(mixed, "other")
    assert own["session_id"].nunique() == 2
    assert set(own["kind"]) == set(mixed["kind"])
    main = own[own["kind"] == "main"]
    assert main["unit"].str.startswith("other::").all()


def test_a_table_of_one_model_needs_no_name(study):
    assert one_model(study.responses) is study.responses


def test_a_table_of_two_models_asks_for_one(mixed):
    with pytest.raises(DataContractError, match=r"units of 2 models: m, other\. Name"):
        one_model(mixed)


def test_an_unknown_model_is_named(mixed):
    with pytest.raises(DataContractError, match="of the model 'vit'"):
        one_model(mixed, "vit")


def test_an_export_from_before_there_were_more_columns_is_read(study, tmp_path):
    older = type(study)(
        responses=study.responses.drop(columns=["input", "zoom", "fullscreen"]),
        sessions=study.sessions.drop(columns=["n_interactions", "excluded_by"]),
        header=study.header,
    )
    write_responses(tmp_path / "export", older, pd.DataFrame())
    back = read_responses(tmp_path / "export")
    assert back.responses[["input", "zoom", "fullscreen"]].isna().all(axis=None)
    assert back.sessions["n_interactions"].isna().all()
    assert set(back.responses.columns) == set(study.responses.columns)


def test_a_column_that_was_always_there_may_not_be_missing(study, tmp_path):
    broken = type(study)(
        responses=study.responses.drop(columns=["rt_ms"]),
        sessions=study.sessions,
        header=study.header,
    )
    write_responses(tmp_path / "export", broken, pd.DataFrame())
    with pytest.raises(DataContractError, match="'rt_ms'"):
        read_responses(tmp_path / "export")
