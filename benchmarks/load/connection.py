"""One kept connection of a simulated browser: HTTP/1.1 at a tenth of a library's cost.

The clients share the machine's cores with the server, so that what they take is
missing there.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class HttpReply:
    """A reply; only JSON is kept."""

    status: int
    n_bytes: int
    content: dict[str, Any]


class Connection(asyncio.Protocol):
    """Sends one request at a time; opens itself anew where the server closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpReply] | None = None
        self._head = b""
        self._body: list[bytes] = []
        self._left = 0
        self._status = 0
        self._n_bytes = 0
        self._is_json = False
        self.n_retries = 0

    async def request(
        self, method: str, path: str, body: object = None, token: str = ""
    ) -> HttpReply:
        """Send a request; send it again where the connection is lost meanwhile.

        Raises
        ------
        OSError, TimeoutError
            No reply came, three times over.
        """
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
            head += f"Content-Length: {len(content)}\r\n"
        message = head.encode() + b"\r\n" + content
        for _ in range(2):
            try:
                return await self._send(message)
            except ConnectionError:
                self.n_retries += 1
        return await self._send(message)

    async def _send(self, message: bytes) -> HttpReply:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, *self._address)
        assert self._transport is not None
        self._head, self._body = b"", []
        self._waiting = loop.create_future()
        self._transport.write(message)
        async with asyncio.timeout(TIMEOUT_S):
            return await self._waiting

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("closed"))

    def data_received(self, data: bytes) -> None:
        """Take part of a reply in."""
        if self._waiting is None or self._waiting.done():
            return
        if self._left == 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self._begin(self._head[:end], self._head[end + 4 :])
        self._left -= len(data)
        if self._is_json:
            self._body.append(data)
        if self._left <= 0:
            self._left = 0
            content = json.loads(b"".join(self._body)) if self._body else {}
            self._waiting.set_result(HttpReply(self._status, self._n_bytes, content))

    def _begin(self, head: bytes, rest: bytes) -> bytes:
        lines = head.lower().split(b"\r\n")
        self._status = int(lines[0].split()[1])
        names = dict(line.split(b": ", 1) for line in lines[1:])
        self._n_bytes = self._left = int(names.get(b"content-length", 0))
        self._is_json = self._n_bytes > 0 and names.get(
            b"content-type", b""
        ).startswith(b"application/json")
        return rest
