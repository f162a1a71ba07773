"""What holds for every request and reply, whoever sends it."""

import io
import json

import pytest
from sqlalchemy import func, select

from experiment_server import views
from experiment_server.refusal_log import LINES_A_SECOND, RefusalLog
from experiment_server.sessions import hash_of
from experiment_server.tables import ParticipantRecord, SessionRecord

KEY = "00000000-0000-0000-0000-000000000000"
GETS = ["/", "/api/study", "/api/session", "/api/openapi.json", "/api/images/x"]
POSTS = {
    "consent": {"agreed": True, "consent_version": "v1-toy"},
    "instructions": {"time_elapsed_ms": 1.0},
    "continue": {"screen": "break", "time_elapsed_ms": 1.0},
    "answers": {
        "sequence": 0,
        "idempotency_key": KEY,
        "chosen": "upper",
        "confidence": 1,
        "rt_ms": 1.0,
        "time_elapsed_ms": 1.0,
        "input": "api",
    },
    "events": {"events": []},
    "feedback": {"text": ""},
    "finish": {"time_elapsed_ms": 1.0},
    "withdraw": {"delete_answers": True},
    "resume": {"resume_key": KEY},
    "comprehension": {"answers": [], "time_elapsed_ms": 1.0},
}


@pytest.fixture
def database_url(sqlite_url):
    """These rules are about requests; one database is enough for them."""
    return sqlite_url


@pytest.fixture
def client(serve):
    return serve().app.test_client()


def counts(client):
    database = client.application.extensions["unitscope"].database
    with database.read() as db:
        return [
            db.scalar(select(func.count()).select_from(table))
            for table in (SessionRecord, ParticipantRecord)
        ]


@pytest.mark.parametrize("path", GETS)
def test_a_link_previewer_starts_nothing(client, path):
    for method in (client.get, client.head):
        method(path + "?participant=anna&PROLIFIC_PID=5")
    assert counts(client) == [0, 0]


@pytest.mark.parametrize("step", POSTS)
@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic eDp5"])
def test_without_a_sessions_token_nothing_is_done(client, step, token):
    reply = client.post(
        f"/api/session/{step}", json=POSTS[step], headers={"Authorization": token}
    )
    assert (reply.status_code, reply.json["error"]) == (401, "unknown-session")


@pytest.mark.parametrize("step", POSTS)
def test_an_unknown_field_is_refused(serve, step):
    one = serve().participant()
    reply = one.post(step, POSTS[step] | {"is_admin": True})
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")
    assert "'is_admin'" in reply.json["detail"]
    assert one.get().json["screen"] == "consent"


@pytest.mark.parametrize(
    "body",
    [
        {"participant": ""},
        {"participant": "a\0b"},
        {"participant": "\ud800"},
        {"participant": "a" * 201},
        {"participant": 5},
        {"recruiter": "prolific"},
        {"window": {"width": 1}},
        {"window": {"width": -1, "height": 1, "device_pixel_ratio": 1}},
        {"join_key": None},
        {"join_key": "1"},
        [],
        "text",
    ],
)
def test_a_session_with_a_wrong_field_is_not_started(client, body):
    if isinstance(body, dict):
        body = {"join_key": KEY} | body
    reply = client.post("/api/sessions", json=body)
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")
    assert counts(client) == [0, 0]


def test_a_body_that_is_not_json_is_refused(client):
    reply = client.post("/api/sessions", data={"participant": "anna"})
    assert (reply.status_code, reply.json["error"]) == (415, "not-json")
    reply = client.post(
        "/api/sessions", data="{", headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")


@pytest.mark.parametrize("path", ["/api/sessions", "/api/nothing", "/api/session"])
def test_a_body_that_is_too_large_is_refused_on_every_path(client, path):
    reply = client.post(path, json={"participant": "a" * 300_000})
    assert (reply.status_code, reply.json["error"]) == (413, "too-large")


def test_a_body_without_a_length_is_read_up_to_the_limit(client):
    class Endless(io.RawIOBase):
        n_read = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            Endless.n_read += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    reply = client.post(
        "/api/sessions",
        content_type="application/json",
        environ_overrides={
            "wsgi.input": Endless(),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    assert (reply.status_code, reply.json["error"]) == (413, "too-large")
    assert Endless.n_read < 2**20


def test_a_refusal_leaves_one_line_without_persons_or_secrets(serve, caplog):
    one = serve().participant(participant="anna").walk_to("trial")
    image = one.state["trial"]["image"]
    one.walk_to("break")
    caplog.clear()
    one.post("continue", {"screen": "x\ny", "time_elapsed_ms": 1.0})
    one.client.get(image)
    one.client.post("/api/sessions", json={"anna\n": 1, "join_key": KEY})
    token = hash_of(one.token)[:12]
    assert caplog.messages == [
        f"refused: POST /api/session/continue, wrong-screen; token {token}",
        "refused: GET /api/images/<image>, not-found; token none",
        "refused: POST /api/sessions, bad-payload ('anna\\n'); token none",
    ]
    assert all(record.levelname == "WARNING" for record in caplog.records)


def test_a_flood_of_refusals_fills_no_log(client, caplog):
    now = [0.0]
    log = RefusalLog(client.application.logger, clock=lambda: now[0])
    client.application.extensions["refusals"] = log
    for _ in range(50):
        client.get("/api/session")
    assert len(caplog.messages) == LINES_A_SECOND
    now[0] = 1.0
    client.get("/api/session")
    assert caplog.messages[-1].endswith(f"and {50 - LINES_A_SECOND} more")


@pytest.mark.parametrize("step", POSTS)
def test_an_unknown_token_is_refused_while_the_database_is_locked(client, step):
    host = client.application.extensions["unitscope"]
    with host.database.write() as db:
        db.connection()
        reply = client.post(
            f"/api/session/{step}",
            json=POSTS[step],
            headers={"Authorization": "Bearer x"},
        )
    assert (reply.status_code, reply.json["error"]) == (401, "unknown-session")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/nothing", 404, "not-found"),
        ("/api/sessions", 405, "method-not-allowed"),
    ],
)
def test_errors_of_the_api_are_json_with_a_code(client, path, status, code):
    reply = client.get(path)
    assert (reply.status_code, reply.json["error"]) == (status, code)


@pytest.mark.parametrize("path", [*GETS, "/nothing", "/static/nothing.js"])
def test_every_reply_carries_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", [*GETS, "/api/nothing"])
def test_no_json_is_kept_by_a_cache(client, path):
    assert client.get(path).headers["Cache-Control"] == "no-store"


def test_the_page_says_that_it_needs_javascript_and_holds_no_inline_script(client):
    text = client.get("/").text
    assert "<noscript>" in text
    assert "JavaScript" in text
    assert text.count("<script") == text.count("<script src=") == 1
    assert "style=" not in text


def test_the_public_part_of_a_study_is_all_that_anyone_may_know(client):
    assert set(client.get("/api/study").json) == {
        "study_id",
        "title",
        "language",
        "min_window",
        "keys",
        "test_run_allowed",
        "n_trials",
        "expected_minutes",
        "contact",
        "withdrawal",
    }


def test_a_step_from_the_wrong_screen_comes_back_with_the_state(serve):
    one = serve().participant()
    reply = one.read()
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
    assert reply.json["state"] == one.get().json


def test_continue_names_the_screen_that_it_leaves(serve):
    one = serve().participant().walk_to("break")
    reply = one.post("continue", {"screen": "practice_passed", "time_elapsed_ms": 1.0})
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
    assert one.screen == "break"


def test_a_failure_of_the_server_is_json_and_tells_nothing(serve, monkeypatch, caplog):
    one = serve().participant()
    monkeypatch.setattr(views, "state_of", None)
    reply = one.get()
    assert (reply.status_code, reply.json["error"]) == (500, "server-error")
    assert "NoneType" not in reply.text
    assert "A request failed." in caplog.text


def test_the_openapi_file_lists_every_route_of_the_api(client):
    described = client.get("/api/openapi.json").json
    rules = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    listed = {
        (path, method)
        for path, methods in described["paths"].items()
        for method in methods
    }
    assert listed == rules


def test_the_openapi_file_resolves_and_names_every_body(client):
    described = client.get("/api/openapi.json").json
    schemas = described["components"]["schemas"]
    text = json.dumps(described)
    references = {
        part.split('"')[0] for part in text.split("#/components/schemas/")[1:]
    }
    assert references <= set(schemas)
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert ("requestBody" in operation) == (method == "post"), path
            assert operation["responses"]
            in_session = path.startswith("/api/session/") or path == "/api/session"
            assert bool(operation.get("security")) == in_session
    for name in ("Answer", "Join", "Withdraw"):
        assert schemas[name]["additionalProperties"] is False


def test_replies_are_what_the_openapi_file_says(client):
    schema = client.get("/api/openapi.json").json["components"]["schemas"]["State"]
    state = client.post("/api/sessions", json={"join_key": KEY}).json["state"]
    assert set(state) == set(schema["properties"])
