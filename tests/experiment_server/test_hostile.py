"""Input that no honest client sends: a fixed code, a sentence, and nothing changed."""

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from uuid import uuid4

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import ignored_auth
from sqlalchemy import event, text

from experiment_server.refusals import STATUS_OF
from experiment_server.simulation.server_process import served
from tests.chaos.hostile import ANSWER, BAD_BODIES, JSON, ROUTES

STATES = ["consent", "instructions", "trial", "practice_passed", "break", "feedback"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
ENDS = ["withdrawn", "declined", "end"]


@pytest.fixture
def database_url(sqlite_url):
    """These rules are about requests; one database is enough for them."""
    return sqlite_url


def dump(database):
    """Everything that the database holds."""
    with database.engine.connect() as connection:
        tables = connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ).scalars()
        return {
            table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))
            for table in tables
        }


def assert_refused(reply, *codes):
    """Check that a reply is a listed refusal, with its own status and a sentence."""
    content = reply.get_json(silent=True)
    assert content is not None, (reply.status_code, reply.text[:200])
    assert STATUS_OF[content["error"]] == reply.status_code < 500, content
    assert content["detail"].endswith(".")
    assert len(content["detail"]) < 500
    assert not codes or content["error"] in codes, content


@pytest.mark.parametrize("screen", STATES)
def test_no_malformed_body_changes_anything_on_any_screen(serve, screen):
    served = serve()
    one = served.participant(participant="anna").walk_to(screen)
    before = dump(served.database)
    for path in ROUTES:
        for body, kind in BAD_BODIES:
            headers = {**one.headers, "Content-Type": kind}
            reply = one.client.post(path, data=body, headers=headers)
            if reply.status_code < 300:
                pytest.fail(f"{path} took {body[:80]!r}")
            assert_refused(reply)
    assert dump(served.database) == before


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_does_anything(serve, method):
    served = serve()
    one = served.participant()
    before = dump(served.database)
    for path in [*ROUTES, "/api/session", "/api/study", "/api/images/x", "/", "/x"]:
        if method == "POST" and path in ROUTES:
            continue
        reply = one.client.open(
            path, method=method, headers=one.headers, json={"delete_answers": True}
        )
        assert reply.status_code < 500
    assert dump(served.database) == before


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer " + "a" * 8000,
        "Bearer \u00ff\u00fe",
        "Bearer ' OR 1=1 --",
        "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
        "bearer\tx",
    ],
)
def test_a_missing_or_foreign_token_opens_nothing(serve, token):
    served = serve()
    served.participant(participant="anna").walk_to("trial")
    client = served.app.test_client()
    before = dump(served.database)
    headers = {} if token is None else {"Authorization": token}
    for path in ROUTES[1:]:
        reply = client.post(path, json={}, headers=headers)
        assert_refused(reply, "unknown-session", "bad-payload")
    assert_refused(client.get("/api/session", headers=headers), "unknown-session")
    assert dump(served.database) == before


def test_a_token_opens_only_its_own_session(serve):
    served = serve()
    anna = served.participant(participant="anna").walk_to("trial")
    bert = served.participant(participant="bert").walk_to("trial")
    with_hers = bert.answer_body() | {"idempotency_key": str(uuid4())}
    before = anna.get().json
    assert bert.post("answers", with_hers).status_code == 201
    assert anna.get().json == before
    bert.post("withdraw", {"delete_answers": True})
    assert anna.get().json == before


@pytest.mark.parametrize("sequence", [1, 2, 7, 10_000, 2**31, 2**62])
def test_no_sequence_but_the_open_one_takes_an_answer(serve, sequence):
    served = serve()
    one = served.participant().walk_to("trial")
    before = dump(served.database)
    body = one.answer_body(sequence=sequence)
    assert_refused(one.post("answers", body), "wrong-sequence", "bad-payload")
    assert dump(served.database) == before


@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_has_ended_takes_nothing_more(serve, end):
    served = serve()
    one = served.participant()
    if end == "declined":
        one.consent(agreed=False)
    elif end == "withdrawn":
        one.walk_to("trial").post("withdraw", {"delete_answers": False})
    else:
        one.walk_to("end")
    assert one.screen == end
    before = dump(served.database)
    bodies = {
        "consent": {"agreed": True, "consent_version": "v1-toy"},
        "instructions": {"time_elapsed_ms": 1.0},
        "continue": {"screen": "break", "time_elapsed_ms": 1.0},
        "answers": ANSWER | {"sequence": 99},
        "feedback": {"text": "more"},
    }
    for step, body in bodies.items():
        assert_refused(one.post(step, body), "wrong-screen", "wrong-sequence")
    assert dump(served.database) == before


@pytest.mark.parametrize(
    "path",
    [
        "/api/images/../../etc/passwd",
        "/api/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/images/%00",
        "/api/images/" + "a" * 5000,
        "/api/images/%ff%fe",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/bundle/../../settings.py",
        "/api/session/answers/",
        "//api/session",
        "/api/%73ession",
        "/?" + "a" * 5000,
    ],
)
def test_odd_paths_read_no_file_and_break_nothing(serve, path):
    served = serve()
    one = served.participant().walk_to("trial")
    reply = one.client.get(path, headers=one.headers)
    assert reply.status_code < 500
    assert "import" not in reply.text
    assert "root:" not in reply.text


def test_a_database_that_is_read_only_refuses_and_loses_nothing(serve):
    served = serve()
    one = served.participant().walk_to("trial")
    before = dump(served.database)

    @event.listens_for(served.database.engine, "begin")
    def read_only(connection):
        connection.exec_driver_sql("PRAGMA query_only = ON")

    body = one.answer_body()
    reply = one.post("answers", body)
    assert (reply.status_code, reply.json["error"]) == (503, "database-busy")
    assert reply.headers["Retry-After"] == "1"
    event.remove(served.database.engine, "begin", read_only)
    served.database.engine.dispose()
    assert dump(served.database) == before
    assert one.post("answers", body).status_code == 201


@pytest.fixture(scope="module")
def address(toy_folder, tmp_path_factory):
    database = tmp_path_factory.mktemp("hostile") / "answers.sqlite"
    with served(toy_folder, f"sqlite:///{database}") as url:
        yield url.removeprefix("http://").rstrip("/").split(":")


def post(address, path, body, **headers):
    with closing(http.client.HTTPConnection(*address, timeout=20)) as line:
        headers = {"Content-Type": JSON} | headers
        line.request("POST", path, body=body, headers=headers)
        reply = line.getresponse()
        return reply.status, json.loads(reply.read() or b"{}")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gigabyte_is_cut_off_early(address, chunked):
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1e9"
    length = length.replace(b"1e9", b"1000000000")
    head = b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: "
    head += JSON.encode() + b"\r\n" + length + b"\r\n\r\n"
    block = b"a" * 65_536
    piece = b"10000\r\n" + block + b"\r\n" if chunked else block
    n_sent = 0
    host, port = address
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head)
        with suppress(ConnectionError):
            while n_sent < 1_000_000_000:
                n_sent += line.send(piece)
    # What lies in the buffers of both sides is sent in any case.
    assert n_sent < 50_000_000


def test_a_body_that_never_comes_blocks_nobody_else(address):
    host, port = address
    head = b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: "
    head += JSON.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
    waiting = [socket.create_connection((host, int(port))) for _ in range(4)]
    for line in waiting:
        line.sendall(head)
    status, reply = post(
        address, "/api/sessions", json.dumps({"join_key": str(uuid4())})
    )
    for line in waiting:
        line.close()
    assert status == 201, reply


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\0" * 1000,
    ],
)
def test_what_is_not_http_harms_nothing(address, request_bytes):
    host, port = address
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(request_bytes)
        line.shutdown(socket.SHUT_WR)
        reply = b""
        with suppress(ConnectionResetError):
            while block := line.recv(65_536):
                reply += block
    assert not reply or b" 4" in reply[:20] or b" 505" in reply[:20]
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as line:
        line.request("GET", "/api/study")
        assert line.getresponse().status == 200


def test_a_flood_of_bad_requests_leaves_the_others_served(address):
    """As fast as two cores can send them; the honest one beside is served."""
    ended = threading.Event()

    def flood(number):
        statuses = set()
        while not ended.is_set():
            path = ROUTES[number % len(ROUTES)]
            body, kind = BAD_BODIES[number % 5]
            headers = {"Content-Type": kind, "Authorization": "Bearer no"}
            statuses.add(post(address, path, body, **headers)[0])
            number += 7
        return statuses

    with ThreadPoolExecutor(4) as pool:
        floods = [pool.submit(flood, number) for number in range(4)]
        try:
            time.sleep(1.0)
            body = json.dumps({"join_key": str(uuid4())})
            status, reply = post(address, "/api/sessions", body)
            assert status == 201, reply
            token = {"Authorization": f"Bearer {reply['token']}"}
            agreed = {"agreed": True, "consent_version": "v1-toy"}
            status, state = post(
                address, "/api/session/consent", json.dumps(agreed), **token
            )
            assert (status, state["screen"]) == (200, "instructions")
        finally:
            ended.set()
        statuses = set().union(*(one.result() for one in floods))
    assert statuses <= {400, 401}


@pytest.mark.parametrize("screen", ["instructions", "trial", "feedback"])
def test_schemathesis_finds_nothing(serve, make_study, screen):
    served = serve(make_study(n_slots=80))
    api = schemathesis.openapi.from_wsgi("/api/openapi.json", served.app)
    for found in api.get_all_operations():
        one = served.participant().walk_to(screen)
        try_cases(found.ok(), one.headers)


def try_cases(operation, headers):
    """Send an operation what its description allows, and what it does not."""

    @hypothesis.settings(
        max_examples=15,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def check(case):
        # What a wrong token opens is tested above, on every route.
        case.call_and_validate(headers=headers, excluded_checks=[ignored_auth])

    check()
