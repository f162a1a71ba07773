"""Why a request is refused: fixed codes for clients, one sentence for people."""

from collections.abc import Mapping
from types import MappingProxyType

STATUS_OF: Mapping[str, int] = MappingProxyType(
    {
        "bad-payload": 400,
        "unknown-session": 401,
        "test-run-not-allowed": 403,
        "not-found": 404,
        "method-not-allowed": 405,
        "study-full": 409,
        "wrong-screen": 409,
        "wrong-sequence": 409,
        "already-answered": 409,
        "taken-over": 409,
        "key-used": 409,
        "other-consent-version": 409,
        "too-large": 413,
        "not-json": 415,
        "server-error": 500,
        "database-busy": 503,
    }
)
"""Code to HTTP status; a client decides by the code."""


class Refusal(Exception):
    """A request that is refused.

    Attributes
    ----------
    code : str
        One of :data:`STATUS_OF`.
    detail : str
        One sentence for whoever reads a log.
    with_state : bool
        Whether the reply carries the session's present state.
    """

    def __init__(self, code: str, detail: str, *, with_state: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.with_state = with_state

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS_OF[self.code]
