"""From what happened to the numbers that are told."""

from typing import Any

import numpy as np
from sqlalchemy import create_engine, text

from benchmarks.load.crowd import Log

KINDS = {"answer": "answers", "image": "images", "start": "starts", "step": "steps"}


def latencies(log: Log, kind: str, *, since: float, until: float) -> list[float]:
    """Return the times in ms of the requests that were due in a span."""
    return [
        (done - due) * 1e3
        for name, due, done in log.requests
        if name == kind and since <= due < until
    ]


def quantiles(values: list[float]) -> dict[str, float | int | None]:
    """Return the number, the median, and the tails of some times."""
    names = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
    if not values:
        return {"n": 0, **dict.fromkeys(names)}
    found = np.percentile(values, list(names.values()))
    return {"n": len(values)} | {
        name: round(float(value), 2) for name, value in zip(names, found, strict=True)
    }


def summary(log: Log, *, since: float, until: float) -> dict[str, Any]:
    """Return the times of each kind: in the span, but starts and steps of the run."""
    spans = {"answer": (since, until), "image": (since, until)}
    return {
        title: quantiles(
            latencies(
                log,
                kind,
                since=spans.get(kind, (0.0, until))[0],
                until=spans.get(kind, (0.0, until))[1],
            )
        )
        for kind, title in KINDS.items()
    }


def n_lost(url: str, log: Log) -> int:
    """Count acknowledged answers that the database does not hold."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT idempotency_key FROM answer"))
            stored = {str(row[0]) for row in rows}
    finally:
        engine.dispose()
    return len(set(log.acknowledged) - stored)
