"""A proxy between clients and server that loses, repeats, delays and cuts off."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.journal import Exchange, Journal, parsed
from tests.chaos.plan import Fault, Plan
from tests.chaos.witness import Witness

HEADER = b"x-chaos-person"
TIMEOUT_S = 25.0
MOST_OFFLINE = 6

BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n"
    b"Content-Length: 24\r\nConnection: close\r\n\r\n<h1>502 Bad Gateway</h1>"
)


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    person: int
    method: str
    path: str
    token: str | None
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """The bytes to send on."""
        return self.head + self.body

    @property
    def is_answer(self) -> bool:
        """Whether it stores an answer."""
        return self.method == "POST" and self.path.endswith("/answers")


class Proxy:
    """Passes requests on to a server, with the faults of a plan.

    Parameters
    ----------
    address : callable
        Returns the server's host and port, or None while there is no server.
    before : callable
        Awaited with the number of requests so far and the request, before it is sent
        on; strikes the server.
    witness : Witness
        Looks at every exchange before it begins, and before the client sees the reply.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        address: Callable[[], tuple[str, int] | None],
        before: Callable[[int, Request], Awaitable[Callable[[], None] | None]],
        witness: Witness,
    ) -> None:
        self.plan = plan
        self.journal = journal
        self.address = address
        self.before = before
        self.witness = witness
        self.quiet = False
        self.started = time.monotonic()
        self._of_person: Counter[int] = Counter()
        self._offline: Counter[int] = Counter()
        self._late: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen on a free port; returns the address for clients."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Stop listening, and let what is still under way come to its end."""
        assert self._server is not None
        self._server.close()
        if self._late:
            await asyncio.wait(self._late, timeout=TIMEOUT_S)

    async def settle(self) -> None:
        """End all faults, and wait for the requests that were kept back."""
        self.quiet = True
        if self._late:
            await asyncio.wait(self._late, timeout=TIMEOUT_S)

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            # Cancelled is who is still here when the run is over.
            with contextlib.suppress(
                OSError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                request = await _read_request(reader)
                if request is not None:
                    await self._handle(request, writer)
        finally:
            writer.close()

    async def _handle(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = self._fault(request)
        kind = fault.kind if fault else ""
        value = fault.value if fault else 0.0
        if kind in ("refused", "offline"):
            _abort(writer)
            return
        if kind == "bad_gateway":
            await _send(writer, BAD_GATEWAY)
            return
        if kind == "late_duplicate":
            # The client sends it again; this copy comes after that one or later.
            self._later(request, 0.05 + value)
            _abort(writer)
            return
        if kind == "delayed":
            await asyncio.sleep(0.02 + 0.6 * value)
        if kind == "truncated_request":
            await self._cut_off(request, value)
            _abort(writer)
            return
        if kind == "duplicated":
            self._later(request, 0.02 * value)
        reply, exchange = await self._pass_on(request)
        await self._reply(writer, kind, value, reply, exchange)

    def _fault(self, request: Request) -> Fault | None:
        number = self._of_person[request.person]
        self._of_person[request.person] += 1
        if self.quiet or request.person < 0:
            return None
        if self._offline[request.person]:
            self._offline[request.person] -= 1
            return Fault(kind="offline", value=0.0)
        fault = self.plan.fault(request.person, number)
        if fault is not None:
            if fault.kind == "offline":
                self._offline[request.person] = int(MOST_OFFLINE * fault.value)
            struck = {"person": request.person, "request": number}
            what = {"kind": fault.kind, "value": round(fault.value, 6)}
            where = {"method": request.method, "path": request.path[:80]}
            self.journal.struck.append(struck | what | where)
        return fault

    def _later(self, request: Request, wait_s: float) -> None:
        async def send() -> None:
            await asyncio.sleep(wait_s)
            await self._pass_on(request)

        task = asyncio.create_task(send())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _pass_on(self, request: Request) -> tuple[bytes, Exchange]:
        """Send a request to the server; returns an empty reply where none came."""
        number = len(self.journal.exchanges)
        exchange = Exchange(
            number=number,
            person=request.person,
            method=request.method,
            path=request.path,
            token=request.token,
            body=parsed(request.body) if request.body else None,
            started=self.now,
        )
        self.journal.exchanges.append(exchange)
        await self.witness.prepare(exchange)
        strike = None if self.quiet else await self.before(number, request)
        reply = b""
        with contextlib.suppress(OSError, TimeoutError):
            reply = await asyncio.wait_for(self._forward(request.raw), TIMEOUT_S)
        if strike is not None:
            strike()
        exchange.ended = self.now
        reply = _understand(reply, exchange)
        if reply:
            await self.witness.check(exchange)
        return reply, exchange

    async def _forward(self, raw: bytes) -> bytes:
        address = self.address()
        if address is None:
            return b""
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(raw)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()

    async def _cut_off(self, request: Request, value: float) -> None:
        """Send a part of a request to the server and break the connection off."""
        address = self.address()
        part = request.raw[: max(1, int(value * (len(request.raw) - 1)))]
        if address is None:
            return
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address)
            writer.write(part)
            await writer.drain()
            _abort(writer)

    async def _reply(
        self,
        writer: asyncio.StreamWriter,
        kind: str,
        value: float,
        reply: bytes,
        exchange: Exchange,
    ) -> None:
        if not reply:
            # No server: now as a gateway would say it, now as a broken line.
            if exchange.number % 2:
                await _send(writer, BAD_GATEWAY)
            else:
                _abort(writer)
            return
        if kind == "lost_reply":
            _abort(writer)
            return
        if kind == "truncated_reply":
            await _send(writer, reply[: int(value * (len(reply) - 1))])
            _abort(writer)
            return
        if kind == "unanswered":
            await asyncio.sleep(3.0)
            _abort(writer)
            return
        if kind == "slow_reply":
            await asyncio.sleep(0.02 + 0.6 * value)
        await _send(writer, reply)
        exchange.told = True


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head[:-4].split(b"\r\n")
    method, path, _ = line.split(b" ", 2)
    headers = dict(one.split(b":", 1) for one in lines if b":" in one)
    headers = {name.strip().lower(): text.strip() for name, text in headers.items()}
    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    kept = [
        one
        for one in lines
        if not one.lower().startswith((b"connection:", HEADER, b"accept-encoding:"))
    ]
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return Request(
        person=int(headers.get(HEADER, b"-1")),
        method=method.decode(),
        path=path.decode(),
        token=token.decode("latin-1") if scheme.lower() == b"bearer" else None,
        head=b"\r\n".join([line, *kept, b"Connection: close", b"", b""]),
        body=body,
    )


def _understand(reply: bytes, exchange: Exchange) -> bytes:
    """Note what a reply says; an incomplete one counts as none."""
    head, gap, body = reply.partition(b"\r\n\r\n")
    if not gap:
        return b""
    line, *lines = head.split(b"\r\n")
    headers = dict(one.split(b":", 1) for one in lines if b":" in one)
    headers = {name.strip().lower(): text.strip() for name, text in headers.items()}
    expected = int(headers.get(b"content-length", b"0"))
    if len(body) < expected and exchange.method != "HEAD":
        return b""
    exchange.status = int(line.split(b" ")[1])
    exchange.is_json = headers.get(b"content-type", b"").startswith(b"application/json")
    if exchange.is_json:
        exchange.reply = parsed(body)
    return reply


async def _send(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Break a connection off as a dead line does, with what was not sent yet."""
    writer.transport.abort()
