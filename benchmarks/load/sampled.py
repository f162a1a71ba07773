"""Serves a study as ``unitscope serve`` does, and counts where its threads are.

    python -m benchmarks.load.sampled SAMPLES_PATH serve STUDY ...

From when SAMPLES_PATH exists, every thread of a worker is looked at fifty times a
second; each worker writes what it saw beside it. What waits for work does not count.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import unitscope

EVERY_S = 0.02
WRITE_EVERY_S = 2.0

PLACES = {
    "_take_turn": "waiting for the turn to write to SQLite",
    "do_commit": "the database's commit",
    "sqlite3": "SQLite",
    "psycopg": "psycopg and PostgreSQL",
    "sqlalchemy": "SQLAlchemy",
    "pydantic": "pydantic",
    "flask_openapi3": "flask-openapi3",
    "werkzeug": "Flask and Werkzeug",
    "flask": "Flask and Werkzeug",
    "gunicorn": "gunicorn: reading requests, sending replies",
    "data/atlases": "the atlas's cells",
    "experiment_server": "our own code",
}
"""Part of a file's path or function's name to what it is; the innermost counts."""

IDLE = {"wait", "_worker", "select", "_wait_for_tstate_lock", "run_callbacks"}


def start_sampling(path: Path) -> None:
    """Sample this process from a thread of its own, once ``path`` is there."""
    threading.Thread(target=_sample, args=(path,), daemon=True).start()


def _sample(path: Path) -> None:
    own = threading.get_ident()
    places: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    while not path.exists():
        time.sleep(0.5)
    written = time.monotonic()
    while True:
        time.sleep(EVERY_S)
        for thread, frame in sys._current_frames().items():
            if thread != own and frame.f_code.co_name not in IDLE:
                _count(frame, places, functions)
        if time.monotonic() - written > WRITE_EVERY_S:
            written = time.monotonic()
            content = {"places": places, "functions": functions}
            path.with_suffix(f".{os.getpid()}.json").write_text(json.dumps(content))


def _count(frame: FrameType, places: Counter[str], functions: Counter[str]) -> None:
    seen: set[str] = set()
    place = ""
    inner: FrameType | None = frame
    while inner is not None:
        path, name = inner.f_code.co_filename, inner.f_code.co_name
        if not place:
            place = next((PLACES[part] for part in PLACES if part in path + name), "")
        if "/experiment_server/" in path:
            seen.add(f"{Path(path).stem}.{name}")
        inner = inner.f_back
    places[place or "other"] += 1
    functions.update(seen)


if __name__ == "__main__":
    os.register_at_fork(
        after_in_child=lambda: start_sampling(Path(sys.argv[1]).absolute())
    )
    sys.exit(unitscope.main(sys.argv[2:]))
