"""The command, as its own process: ready, in use, killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from data.errors import ExperimentError
from data.studies import read_study
from experiment_server import readiness
from tests.experiment_server.participant import Participant
from tests.experiment_server.toy_study import make_toy_study

COMMAND = [sys.executable, "-m", "unitscope", "serve"]


class Reply:
    """An httpx reply with the names of Flask's test client."""

    def __init__(self, reply):
        self.status_code, self.data, self.headers = (
            reply.status_code,
            reply.content,
            reply.headers,
        )
        self.json = self.get_json()

    def get_json(self, silent=True):
        try:
            return json.loads(self.data)
        except ValueError:
            return None


class Client:
    """What a Participant needs, over real HTTP."""

    def __init__(self, url):
        self.http = httpx.Client(base_url=url, timeout=30)

    def get(self, path, headers=None):
        return Reply(self.http.get(path, headers=headers))

    def post(self, path, json, headers=None):
        return Reply(self.http.post(path, json=json, headers=headers))


@pytest.fixture
def page():
    """The page that make setup builds; without it there is nothing to serve."""
    if not all((readiness.BUNDLE / name).is_file() for name in readiness.PAGE_FILES):
        pytest.fail("the page is not built; run make setup")


@contextmanager
def serving(folder, *options):
    ready = folder.parent / "ready.json"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--port", "0", "--ready-file", str(ready), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the server was not ready"
            time.sleep(0.05)
        yield process, json.loads(ready.read_text())
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture
def folder(tmp_path, page):
    return make_toy_study(tmp_path / "study")


def test_a_walk_over_http_ends_with_a_code(folder):
    with serving(folder) as (process, ready):
        client = Client(ready["url"])
        one = Participant(client, read_study(folder))
        one.join(observer="guess")
        one.walk_to("end")
        assert one.state["completion_code"]
        client.http.close()
        os.kill(ready["pid"], signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Open:     {ready['url']}" in out
    assert "study.sqlite" in out
    assert err == ""


@pytest.mark.postgres
def test_postgres_is_served_by_two_processes(folder, postgres_url):
    with serving(folder, "--database", postgres_url) as (_, ready):
        client = Client(ready["url"])
        one = Participant(client, read_study(folder))
        one.join()
        one.walk_to("trial", practice=False)
        children = subprocess.run(
            ["ps", "--ppid", str(ready["pid"]), "-o", "pid="],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        client.http.close()
    assert len(children) == 2


def test_an_acknowledged_answer_outlives_a_killed_server(folder):
    study = read_study(folder)
    with serving(folder) as (process, ready):
        client = Client(ready["url"])
        one = Participant(client, study)
        one.join()
        one.walk_to("trial", practice=False)
        one.answer()
        os.killpg(process.pid, signal.SIGKILL)
        client.http.close()
    with serving(folder) as (_, ready):
        one.client = Client(ready["url"])
        assert one.get().json == one.state
        repeated = one.post("answers", one.sent[-1])
        assert repeated.status_code == 200
        one.client.http.close()


def run(*arguments):
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_port_in_use_is_one_line_and_status_2(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, out, err = run(folder, "--port", taken.getsockname()[1])
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "can't be used" in err
    assert "--port 0" in err
    assert not (folder.parent / "study.sqlite").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--database", "sqlite:////no/such/a.sqlite"], "folder /no/such does not"),
        (["--port", "70000"], "must be in [0, 65535]"),
        (["--host", "203.0.113.7"], "203.0.113.7:0 can't be used"),
    ],
)
def test_what_cant_be_served_is_one_line_and_status_2(folder, options, said):
    status, out, err = run(folder, "--port", "0", *options)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


def test_a_folder_that_is_no_study_is_one_line_and_status_2(tmp_path, page):
    status, _, err = run(tmp_path, "--port", "0")
    assert status == 2
    assert "study.json does not exist" in err
    assert err.count("\n") == 1


def test_without_the_page_it_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr(readiness, "BUNDLE", tmp_path)
    with pytest.raises(ExperimentError, match="Build it with: make setup"):
        readiness.check_page()
