"""HTTP for participants. Each view reads, calls one function, and answers."""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from data.errors import ProjectError
from experiment_server import messages, steps
from experiment_server.answers import record_answer
from experiment_server.block_answers import record_at_once
from experiment_server.completion import judge_complete
from experiment_server.images import image_bytes, sent_image
from experiment_server.message_fields import Reply
from experiment_server.refusals import Refusal
from experiment_server.screens import state_of
from experiment_server.sessions import (
    Host,
    any_visit,
    join,
    live_session,
    resume,
    session_of,
)
from experiment_server.tables import SessionRecord

_BEARER: list[dict[str, list[Any]]] = [{"token": []}]
_Responses = dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]
_Json = tuple[Response, int]
_STATE: _Responses = {
    "200": messages.State,
    "401": messages.ErrorReply,
    "409": messages.ErrorReply,
}

api = APIBlueprint(
    "api",
    __name__,
    url_prefix="/api",
    abp_responses={"400": messages.ErrorReply, "503": messages.ErrorReply},
)
"""All paths of the API; :func:`experiment_server.app.create_app` registers it."""


def host() -> Host:
    """Return what this application serves."""
    found: Host = current_app.extensions["unitscope"]
    return found


def bearer_token() -> str:
    """Return the request's token; an unknown one is refused where it is looked up."""
    authorization = request.authorization
    if authorization is None or authorization.type != "bearer":
        return ""
    return authorization.token or ""


def present_state(token: str) -> messages.State:
    """Return the state of the session that a token belongs to."""
    here = host()
    with here.database.read() as db:
        return state_of(db, here.study, session_of(db, token), here.now())


def _state(db: Session, record: SessionRecord) -> messages.State:
    db.flush()
    return state_of(db, host().study, record, host().now())


def _json(reply: Reply, status: int = 200) -> _Json:
    return Response(reply.model_dump_json(), mimetype="application/json"), status


@api.get("/study", responses={"200": messages.StudyReply})
def get_study() -> _Json:
    """Tell what anyone may know of the study."""
    config = host().study.config
    return _json(
        messages.StudyReply(
            study_id=config.study_id,
            title=config.title,
            language=config.language,
            min_window=config.min_window,
            keys=config.keys,
            test_run_allowed=host().settings.test_run_allowed,
            n_trials=len(host().study.slots[0]),
            expected_minutes=config.expected_minutes,
            contact=config.contact,
            withdrawal=host().study.texts.get("withdrawal"),
        )
    )


@api.post(
    "/sessions",
    responses={
        "201": messages.JoinReply,
        "200": messages.JoinReply,
        "403": messages.ErrorReply,
        "409": messages.ErrorReply,
    },
)
def post_session(body: messages.Join) -> _Json:
    """Start a session (201), or go on with the participant's own (200)."""
    _judge()
    try:
        return _joined(body)
    except IntegrityError:
        # The same request, or person, came twice at once: this one goes on with what
        # the other has begun.
        return _joined(body)


def _joined(body: messages.Join) -> _Json:
    with host().database.write() as db:
        record, token, is_new = join(host(), db, body)
        reply = messages.JoinReply(token=token, state=_state(db, record))
    return _json(reply, 201 if is_new else 200)


@api.get("/session", responses=_STATE, security=_BEARER)
def get_session() -> _Json:
    """Tell where the session is."""
    return _json(present_state(bearer_token()))


@api.post(
    "/session/resume",
    responses={
        "200": messages.JoinReply,
        "401": messages.ErrorReply,
        "409": messages.ErrorReply,
    },
    security=_BEARER,
)
def post_resume(body: messages.Resume) -> _Json:
    """Go on in a page that was just loaded; only its new token may write now."""
    token = bearer_token()
    with any_visit(host(), token, timed_out_too=True) as (db, record, _):
        token = resume(db, record, body, host().now())
        reply = messages.JoinReply(token=token, state=_state(db, record))
    return _json(reply)


@api.post("/session/consent", responses=_STATE, security=_BEARER)
def post_consent(body: messages.Consent) -> _Json:
    """Agree to take part, or decline."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.decide_consent(host().study, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post("/session/instructions", responses=_STATE, security=_BEARER)
def post_instructions(body: messages.Instructions) -> _Json:
    """Go on from the instructions to the first practice trial."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.read_instructions(db, host().study, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post("/session/comprehension", responses=_STATE, security=_BEARER)
def post_comprehension(body: messages.Comprehension) -> _Json:
    """Answer the questions about the instructions."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.answer_questions(db, host().study, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post("/session/continue", responses=_STATE, security=_BEARER)
def post_continue(body: messages.Continue) -> _Json:
    """Leave "practice_again", "practice_passed" or "break"."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.go_on(host().study, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post(
    "/session/answers",
    responses={
        "201": messages.AnswerReply,
        "200": messages.AnswerReply,
        "401": messages.ErrorReply,
        "409": messages.ErrorReply,
    },
    security=_BEARER,
)
def post_answer(body: messages.Answer) -> _Json:
    """Store an answer: 201 for the first, 200 for a repeat of it."""
    here = host()
    token = bearer_token()
    stored = record_at_once(here, token, body, here.now())
    if stored is None:
        with any_visit(here, token) as (db, record, visit):
            is_newest = visit == record.visit
            stored = record_answer(
                db, here.study, record, body, here.now(), is_newest=is_newest
            )
    # The answer is on disk; nobody else has to wait for what follows.
    told = stored.correct
    feedback = None if told is None else messages.FeedbackReply(correct=told)
    with here.database.read() as db:
        state = state_of(db, here.study, stored.record, here.now(), stored.coming)
    reply = messages.AnswerReply(feedback=feedback, state=state)
    if stored.is_new and state.screen == "feedback":
        _judge(stored.record.number)
    return _json(reply, 201 if stored.is_new else 200)


def _judge(number: int | None = None) -> None:
    """Judge what is complete; a request succeeds whether or not this does."""
    here = host()
    try:
        judge_complete(here.database, here.criteria, number)
    except (SQLAlchemyError, ProjectError):
        current_app.logger.exception("A session was not judged; the next start will.")


@api.post(
    "/session/events",
    responses={"204": None, "401": messages.ErrorReply},
    security=_BEARER,
)
def post_events(body: messages.Events) -> tuple[str, int]:
    """Store what happened to the page."""
    with any_visit(host(), bearer_token()) as (db, record, visit):
        steps.store_events(db, record, visit, body)
    return "", 204


@api.post("/session/feedback", responses=_STATE, security=_BEARER)
def post_feedback(body: messages.Comment) -> _Json:
    """Store free feedback."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.comment(record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post("/session/finish", responses=_STATE, security=_BEARER)
def post_finish(body: messages.Finish) -> _Json:
    """End the session and tell its completion code."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.finish(db, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.post("/session/withdraw", responses=_STATE, security=_BEARER)
def post_withdraw(body: messages.Withdraw) -> _Json:
    """Leave the study, with or without deleting the answers."""
    with live_session(host(), bearer_token()) as (db, record):
        steps.withdraw(db, record, body, host().now())
        reply = _state(db, record)
    return _json(reply)


@api.get(
    "/images/<image>",
    responses={
        "200": {"description": "A JPEG", "content": {"image/jpeg": {}}},
        "404": messages.ErrorReply,
    },
)
def get_image(path: messages.ImagePath) -> Response:
    """Send a trial's image while its session may see it."""
    found = sent_image(host().database, host().study, path.image, host().now())
    if found is None:
        raise Refusal("not-found", "There is no such image now.")
    # Without a file's time, name or tag: they could differ between kinds of trials.
    return Response(
        image_bytes(host().study, found),
        mimetype="image/jpeg",
        headers={"Cache-Control": "private, max-age=3600"},
    )


@api.get("/openapi.json", responses={"200": {"description": "This description"}})
def get_openapi() -> dict[str, Any]:
    """Describe this API."""
    described: dict[str, Any] = current_app.api_doc  # type: ignore[attr-defined]
    return described
