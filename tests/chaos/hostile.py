"""Requests that no honest client sends, drawn from a seed."""

import json

import numpy as np

ANSWER = {
    "sequence": 0,
    "idempotency_key": "00000000-0000-0000-0000-000000000000",
    "chosen": "upper",
    "confidence": 1,
    "rt_ms": 1.0,
    "time_elapsed_ms": 1.0,
    "input": "api",
}

ROUTES = [
    "/api/sessions",
    "/api/session/resume",
    "/api/session/consent",
    "/api/session/instructions",
    "/api/session/comprehension",
    "/api/session/continue",
    "/api/session/answers",
    "/api/session/events",
    "/api/session/feedback",
    "/api/session/finish",
    "/api/session/withdraw",
]

JSON = "application/json"

BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", JSON),
    (b"{", JSON),
    (b"[]", JSON),
    (b"null", JSON),
    (b"7", JSON),
    (b'"text"', JSON),
    (b"\xff\xfe\x00{", JSON),
    (b'{"a": "\xed\xa0\x80"}', JSON),
    (b'{"a": NaN}', JSON),
    (b'{"time_elapsed_ms": 1e999, "screen": "break"}', JSON),
    (b"[" * 5000 + b"]" * 5000, JSON),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, JSON),
    (b'{"text": ' + b"9" * 5000 + b"}", JSON),
    (b'{"delete_answers": "yes"}', JSON),
    (b'{"delete_answers": true, "session_id": "1"}', JSON),
    (b'{"agreed": 1, "consent_version": "v1-toy"}', JSON),
    (b'{"text": 5}', JSON),
    (b'{"text": "' + b"a" * 10_001 + b'"}', JSON),
    (b'{"time_elapsed_ms": -1}', JSON),
    (b'{"events": [{}]}', JSON),
    (b'{"participant": "' + b"a" * 300_000 + b'"}', JSON),
    (b"participant=anna", "application/x-www-form-urlencoded"),
    (b"<xml/>", "application/xml"),
    (b"{}", "text/plain"),
    (b'{"x": 1}', "application/json; charset=no-such"),
    *(
        (json.dumps(ANSWER | change).encode(), JSON)
        for change in (
            {"sequence": -1},
            {"sequence": 10**30},
            {"sequence": "0"},
            {"sequence": 1.5},
            {"sequence": 2**63},
            {"confidence": 0},
            {"confidence": 10**20},
            {"chosen": "left"},
            {"chosen": None},
            {"rt_ms": "1"},
            {"rt_ms": 1e300},
            {"time_elapsed_ms": None},
            {"idempotency_key": "x" * 36},
            {"idempotency_key": ""},
            {"input": "telepathy"},
            {"shown_at": "yesterday"},
            {"shown_at": "2026-01-01T00:00:00"},
            {"onset": {"method": "\0"}},
            {"correct": True},
        )
    ),
]
"""Bodies that no route takes, with their Content-Type."""


def malformed(
    rng: np.random.Generator,
) -> tuple[str, str, bytes, dict[str, str]]:
    """Return method, path, body and headers of a request that must be refused."""
    path = ROUTES[int(rng.integers(len(ROUTES)))]
    if rng.random() < 0.2:
        method = ("PUT", "DELETE", "PATCH", "TRACE")[int(rng.integers(4))]
        return method, path, b"{}", {"Content-Type": JSON}
    body, kind = BAD_BODIES[int(rng.integers(len(BAD_BODIES)))]
    return "POST", path, body, {"Content-Type": kind}
