"""The web application: a factory, and what holds for every reply."""

import socket
from contextlib import suppress
from pathlib import Path

from flask import Flask, Response, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from sqlalchemy.exc import InternalError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from data.studies import Study, read_study
from experiment_server.database import Database, open_database
from experiment_server.messages import ErrorReply
from experiment_server.readiness import check_ready
from experiment_server.refusal_log import RefusalLog
from experiment_server.refusals import STATUS_OF, Refusal
from experiment_server.sessions import Host
from experiment_server.settings import ServerSettings
from experiment_server.views import api, bearer_token, host, present_state

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

_CODE_OF_HTTP = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "not-json",
}


def create_app(
    study: Study | Path,
    database: Database | str,
    settings: ServerSettings | None = None,
) -> Flask:
    """Build the application that serves one study from one database.

    Parameters
    ----------
    study : Study or Path
        A study, or the folder of one.
    database : Database or str
        An open database, or the URL of one that is made or brought up to date.

    Raises
    ------
    ProjectError
        The study or the database can't be used.
    """
    settings = settings or ServerSettings()
    if not isinstance(study, Study):
        study = read_study(study)
        check_ready(study)
    if isinstance(database, str):
        database = open_database(
            study, database, busy_timeout_s=settings.busy_timeout_s, upgrade=True
        )
    app = OpenAPI(
        "experiment_server",
        info=Info(
            title="Unitscope",
            version="1",
            description="How a participant, or a program, takes part in a study.",
        ),
        security_schemes={"token": {"type": "http", "scheme": "bearer"}},
        validation_error_status=400,
        validation_error_model=ErrorReply,
        validation_error_callback=_bad_payload,
        doc_ui=False,
        static_folder="static",
        template_folder="templates",
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["unitscope"] = Host(
        study=study, database=database, settings=settings
    )
    app.register_api(api)
    app.add_url_rule("/", "page", _page)
    app.add_url_rule("/self-test", "self_test", _self_test)
    app.extensions["refusals"] = RefusalLog(app.logger)
    app.before_request(_read_body)
    app.after_request(_add_headers)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(OperationalError, _busy)
    # PostgreSQL that was set to read-only.
    app.register_error_handler(InternalError, _busy)
    app.register_error_handler(TimeoutError, _busy)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _server_error)
    return app


def _page() -> ResponseReturnValue:
    """Send the page; it starts nothing."""
    return render_template("page.html", study=host().study.config)


def _self_test() -> ResponseReturnValue:
    """Send the experimenter's self-test of a browser; it starts nothing either."""
    return render_template("self_test.html", study=host().study.config)


def _read_body() -> None:
    """Read the body up to its limit, whatever the path: the rest is cut off."""
    try:
        # A body without a length is read up to the limit, without an error.
        if len(request.get_data()) >= host().settings.max_body_bytes:
            raise RequestEntityTooLarge
    except RequestEntityTooLarge:
        _cut_off()
        raise
    if request.method == "POST" and not request.is_json:
        raise Refusal("not-json", "A request's body is JSON with its Content-Type.")
    try:
        # Kept for whoever reads it next, so that it is read once.
        request.get_json(silent=True)
    except RecursionError:
        raise Refusal("bad-payload", "The body is nested too deeply.") from None


def _cut_off() -> None:
    # The web server would read the whole body before the next request.
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)


def _tell(code: str, field: str = "") -> None:
    log: RefusalLog = current_app.extensions["refusals"]
    log.tell(code, field)


def _add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    is_page = request.path in ("/", "/self-test")
    if is_page:
        # A page that shares its process with no other site gets the finest clock.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    if is_page or response.is_json or response.status_code == 204:
        response.headers["Cache-Control"] = "no-store"
    return response


def _reply(reply: ErrorReply) -> Response:
    response = Response(reply.model_dump_json(), mimetype="application/json")
    response.status_code = STATUS_OF[reply.error]
    return response


def _bad_payload(error: ValidationError) -> Response:
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:80] or "body"
    _tell("bad-payload", name)
    given = repr(first["input"])
    shown = given if len(given) < 80 else given[:77] + "..."
    return _reply(ErrorReply.of("bad-payload", f"{name!r} is {shown}; {first['msg']}."))


def _refused(refusal: Refusal) -> Response:
    state = None
    if refusal.with_state:
        state = present_state(bearer_token())
    _tell(refusal.code)
    return _reply(ErrorReply.of(refusal.code, refusal.detail, state))


def _busy(error: Exception) -> Response:
    _tell("database-busy", str(getattr(error, "orig", None) or error).splitlines()[0])
    response = _reply(
        ErrorReply.of(
            "database-busy", "Nothing was stored; send the same request again."
        )
    )
    response.headers["Retry-After"] = "1"
    return response


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if not request.path.startswith("/api/"):
        return error
    if error.response is not None:
        # A reply that was made where the error was found.
        return error.response
    code = _CODE_OF_HTTP.get(error.code or 500, "bad-payload")
    _tell(code)
    return _reply(ErrorReply.of(code, error.description or str(error)))


def _server_error(error: Exception) -> Response:
    current_app.logger.exception("A request failed.")
    return _reply(
        ErrorReply.of(
            "server-error", "The server failed; send the same request again later."
        )
    )
