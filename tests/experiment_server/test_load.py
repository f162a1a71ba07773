"""The load benchmark in small: it finishes, and nothing is lost or refused."""

import json

import pytest

from benchmarks.load.__main__ import main
from benchmarks.load.crowd import Log
from benchmarks.load.measure import latencies, n_lost, quantiles


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("load") / "load.json"
    options = ["--sessions", "5", "--seconds", "5", "--ramp-to", "6"]
    options += ["--ramp-step", "2"]
    options += ["--memory-sessions", "0", "--databases", "sqlite"]
    assert main([*options, "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_nothing_is_lost_or_refused(report):
    assert {run["server"] for run in report["runs"]} == {"floor", "ours"}
    for run in report["runs"]:
        assert run["acknowledged"] > 0
        assert (run["lost"], run["refused"]) == (0, 0)


def test_every_figure_has_its_floor_beside_it(report):
    assert [one["sessions"] for one in report["ratios_to_floor"]] == [5]
    for run in report["runs"]:
        assert run["images"]["n"] > 0
        assert run["starts"]["n"] > 0


def test_the_profile_names_where_the_time_goes(report):
    ours = next(run for run in report["runs"] if run["server"] == "ours")
    assert ours["profile"]["n_samples"] > 0
    assert sum(ours["profile"]["places"].values()) == pytest.approx(1, abs=0.02)


def test_an_acknowledged_answer_that_is_not_stored_counts_as_lost(tmp_path):
    from sqlalchemy import create_engine, text

    url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE answer (idempotency_key TEXT)"))
        connection.execute(text("INSERT INTO answer VALUES ('one')"))
    engine.dispose()
    assert n_lost(url, Log(acknowledged=["one", "two"])) == 1


def test_times_count_from_when_a_request_was_due():
    log = Log(requests=[("answer", 10.0, 10.5), ("image", 10.0, 11.0)])
    assert latencies(log, "answer", since=10, until=11) == [500.0]
    assert quantiles([500.0])["p99_ms"] == 500.0
