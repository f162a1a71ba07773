"""One line for the operator for each request that is refused, but no flood of them."""

import logging
import time
from collections.abc import Callable
from threading import Lock

from flask import request

from experiment_server.sessions import hash_of

LINES_A_SECOND = 5
"""Of one code; more of them are counted and told with the next line."""


class RefusalLog:
    """Writes code, route and session of refused requests, and nothing of persons."""

    def __init__(
        self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = Lock()
        self._lines: dict[str, tuple[float, int]] = {}

    def tell(self, code: str, field: str = "") -> None:
        """Write the line of the present request.

        The path is the route's own, since an image's name is a secret. The session is
        the beginning of its token's hash, as the table of tokens has it.
        """
        silent = self._n_silent(code)
        if silent is None:
            return
        route = request.url_rule.rule if request.url_rule else "no such path"
        authorization = request.authorization
        token = authorization.token if authorization else None
        self._logger.warning(
            "refused: %s %s, %s%s; token %s%s",
            request.method,
            route,
            code,
            f" ({field[:80]!r})" if field else "",
            hash_of(token)[:12] if token else "none",
            f"; and {silent} more" if silent else "",
        )

    def _n_silent(self, code: str) -> int | None:
        """Return how many lines were left out before this one; None: leave it out."""
        with self._lock:
            now = self._clock()
            since, n_lines = self._lines.get(code, (now, 0))
            if now - since >= 1:
                self._lines[code] = now, 1
                return max(0, n_lines - LINES_A_SECOND)
            self._lines[code] = since, n_lines + 1
            return 0 if n_lines < LINES_A_SECOND else None
