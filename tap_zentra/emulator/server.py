"""The service on a port of this machine; knows sockets and the clock, and not how an answer comes about."""

from __future__ import annotations

import asyncio
import math
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiohttp import web

from tap_zentra.emulator import bodies
from tap_zentra.emulator.messages import Request, Response
from tap_zentra.emulator.service import CONTROL_ADDRESS
from tap_zentra.emulator.v5 import query as v5

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zentra.emulator.messages import Reception
    from tap_zentra.emulator.service import Service

HOST = "127.0.0.1"

NOTHING_SENT = ("reset", "hang")
"""Deliveries of which the client gets nothing."""

PARAMETERS = frozenset((*bodies.PARAMETERS, *v5.PARAMETERS))
"""Those of the service. Anything else that a client sends, a token perhaps, is not kept."""

STOPPING = 0.2
"""Seconds that answers under way are given when the server stops."""

LINGER = "hh" if os.name == "nt" else "ii"
"""How C's `struct linger` is laid out."""

BEAT = 0.005
"""Seconds. The event loop looks for what has arrived at least so often."""

TURNS = 8
"""Turns of the event loop from a connection's arrival to its call's being handled, at most."""

BUILDERS = 2
"""Threads that build answers. More would not build faster, and keep the arriving calls waiting."""

ROOM = 2**29
"""Bytes. While the bodies on their way are larger, no other one is built: a month of v5 can have 60 MB."""

SENT_TOGETHER = 2**18
"""Bytes. A larger body is sent piece by piece, as fast as the client takes it, and never copied as a whole."""


@dataclass(frozen=True)
class Call:
    """A call that the emulator has answered. It holds no token.

    Attributes:
        arrived: When, in seconds of `time.monotonic`.
        path: Such as `/api/v4/get_readings/` or `/v5/devices`.
        device_sn: Which device it asked for, None without.
        params: The parameters that the service knows.
        status: HTTP status of the answer; None: none was sent, because of a fault.
        injected: The kind of fault that hit it, None without.
        records: Number of records in the answer: mrids, in v5 moments.
    """

    arrived: float
    path: str
    device_sn: str | None
    params: Mapping[str, str]
    status: int | None
    injected: str | None
    records: int


class Server:
    """A web server in a thread of its own.

    Args:
        service: Answers the calls.
        port: Of this machine; 0: a free one.
        latency: Seconds before an answer is sent.
        on_call: Told of every call when its answer is ready to be sent.
    """

    def __init__(self, service: Service, *, port: int, latency: float, on_call: Callable[[Call], None]) -> None:
        self._service = service
        self._port = port
        self._latency = latency
        self._on_call = on_call
        self._started: Future[int] = Future()
        self._selector = _NotingSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._stopping = asyncio.Event()
        self._building = asyncio.Semaphore(BUILDERS)
        self._room = Room(ROOM)
        self._builders = ThreadPoolExecutor(BUILDERS, "zentra-emulator-builder")
        self._thread = threading.Thread(target=self._run, name="zentra-emulator")

    def start(self) -> str:
        """Start answering and return the base URL.

        Raises:
            OSError: The port cannot be had.
        """
        self._thread.start()
        return f"http://{HOST}:{self._started.result()}"

    def stop(self) -> None:
        """Break off what is under way and free the port."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._builders.shutdown()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        application = web.Application()
        application.router.add_post(CONTROL_ADDRESS, self._let_window_pass)
        application.router.add_get("/{path:.*}", self._handle, allow_head=False)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOPPING)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError as problem:
            self._started.set_exception(problem)
        else:
            self._started.set_result(runner.addresses[0][1])
        self._beat()
        await self._stopping.wait()
        await runner.cleanup()

    def _beat(self) -> None:
        self._loop.call_later(BEAT, self._beat)

    def _lateness(self, now: float) -> float:
        """Return how much earlier than now a call may have come: a busy machine lets this one notice it late.

        A call passes through some turns of the event loop before it is handled, so it can't have come before the
        first of them began. What the turns take on an idle machine does not count.
        """
        return max(0.0, now - self._selector.looked_at[0] - TURNS * BEAT)

    async def _let_window_pass(self, _request: web.Request) -> web.Response:
        self._service.let_window_pass()
        return web.Response(status=204)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        arrived = time.monotonic()
        call = Request(
            path=request.path,
            params=dict(request.query.items()),
            authorization=request.headers.get("Authorization"),
            api_key=request.headers.get("X-API-Key"),
            arrived=arrived,
            late=self._lateness(arrived),
            time=time.time(),
            base_url=f"http://{request.host}",
        )
        reception = self._service.receive(call)
        answer = await self._build(reception)
        try:
            await asyncio.sleep(arrived + self._latency - time.monotonic())
            self._on_call(_record(call, answer, reception.injected))
            return await self._deliver(request, answer)
        except ConnectionError:
            return web.Response()  # nobody gets it: the client has hung up
        finally:
            self._room.give_back(len(answer.body))

    async def _build(self, reception: Reception) -> Response:
        """Build an answer as soon as there is room for it, and take the room."""
        async with self._building:
            await self._room.wait()
            answer = await self._loop.run_in_executor(self._builders, reception.answer)
            if answer.delivery in NOTHING_SENT:
                answer = replace(answer, body=b"")
            self._room.take(len(answer.body))
        return answer

    async def _deliver(self, request: web.Request, answer: Response) -> web.StreamResponse:
        if answer.delivery == "whole" and len(answer.body) > SENT_TOGETHER:
            return await _send(request, answer, len(answer.body))
        if answer.delivery == "whole":
            return web.Response(
                status=answer.status,
                body=answer.body,
                content_type=answer.content_type,
                headers=answer.headers,
            )
        if answer.delivery in {"cut", "cut-chunked"}:
            return await _send(request, answer, len(answer.body) // 2)
        if answer.delivery == "hang":
            await self._stopping.wait()
        _reset(request)
        return web.Response()


class _NotingSelector(selectors.DefaultSelector):
    """Notes when it looks for what has arrived.

    Attributes:
        looked_at: The last `TURNS` moments, in seconds of `time.monotonic`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = deque([math.inf] * TURNS, maxlen=TURNS)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.looked_at.append(time.monotonic())
        return super().select(timeout)


class Room:
    """Bytes that the bodies on their way may take together; the last ones may exceed it."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Wait until there is room."""
        while self._left <= 0:
            self._changed.clear()
            await self._changed.wait()

    def take(self, size: int) -> None:
        """Take some of it."""
        self._left -= size

    def give_back(self, size: int) -> None:
        """Let others have what was taken."""
        self._left += size
        self._changed.set()


async def _send(request: web.Request, answer: Response, size: int) -> web.StreamResponse:
    """Send so much of the body, piece by piece; less than the whole is a broken answer, see `Delivery`."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    if answer.delivery == "cut-chunked":
        response.enable_chunked_encoding()
    else:
        response.content_length = len(answer.body)
    if answer.delivery == "cut":
        response.force_close()
    await response.prepare(request)
    body = memoryview(answer.body)[:size]
    for start in range(0, size, SENT_TOGETHER):
        await response.write(body[start : start + SENT_TOGETHER])
    await response.write_eof()
    return response


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    # Closed with nothing lingering, a connection is reset instead of ended.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER, 1, 0))
    transport.abort()


def _record(call: Request, answer: Response, injected: str | None) -> Call:
    return Call(
        arrived=call.arrived,
        path=call.path,
        device_sn=call.device_sn,
        params={name: value for name, value in call.params.items() if name in PARAMETERS},
        status=None if answer.delivery in NOTHING_SENT else answer.status,
        injected=injected,
        records=answer.records,
    )
