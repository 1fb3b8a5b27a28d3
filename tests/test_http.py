"""Transport: one GET, with a function from request to response, or a server on raw sockets, in place of the network."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import requests

from tap_zentra.calls.errors import CallError, TransientError
from tap_zentra.calls.memory import BodyMemory
from tap_zentra.http import Transport
from tests.server import TOKEN, Response, Server
from tests.support import a_call

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_zentra.calls.memory import Call

URL = "https://zentra.example/api"


def _transport(timeout: float = 30) -> Transport:
    return Transport(
        header=("Authorization", f"Key {TOKEN}"), secret=TOKEN, timeout=timeout, user_agent="tap-zentra/1.2.3"
    )


def _get(transport: Transport | None = None, url: str = URL, call: Call | None = None) -> bytes | bytearray:
    return (transport or _transport()).get(url, {}, call or a_call()).body


def _error(server: Server, response: Response | Exception) -> CallError:
    """Return the error that a response becomes."""
    server.answer_with(response)
    with pytest.raises(CallError) as caught:
        _get()
    assert "\n" not in str(caught.value)
    return caught.value


def test_certificates_are_checked_and_time_is_limited(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call goes out unchecked, and none waits for ever."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    service.answer_with(Response(200))
    _get(_transport(timeout=7))

    assert service.options[0]["verify"] is True
    assert service.options[0]["timeout"] == 7


def test_a_netrc_file_does_not_replace_the_token(
    service: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password for the same host, in a file that other programs need, is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine zentra.example login me password mine\ndefault login you password yours\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service.answer_with(Response(200))
    _get()

    assert service.tokens == [f"Key {TOKEN}"]


def test_each_thread_has_its_own_connection(service: Server) -> None:
    """One client serves many threads at one time: each keeps its connections, and has none of another's."""
    service.answer_with(*(Response(200, str(number).encode()) for number in range(8)))
    transport = _transport()
    bodies: list[bytes | bytearray] = []
    together = threading.Barrier(4)

    def call_twice() -> None:
        for _ in range(2):
            together.wait()
            bodies.append(_get(transport))

    threads = [threading.Thread(target=call_twice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(bodies) == [str(number).encode() for number in range(8)]
    assert service.tokens == [f"Key {TOKEN}"] * 8
    # Four pairs of a thread and its connections, each of which has made two calls.
    assert sorted(Counter(service.connections).values()) == [2] * 4
    assert len({adapter for _, adapter in service.connections}) == 4


@pytest.mark.parametrize("error", [requests.ConnectTimeout("x"), requests.ReadTimeout("y")])
def test_a_time_out_says_how_long_was_waited(service: Server, error: Exception) -> None:
    """A call without an answer may succeed later."""
    caught = _error(service, error)

    assert type(caught) is TransientError
    assert str(caught) == "no response within 30 s"
    assert caught.__cause__ is None


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("reset"), requests.exceptions.ContentDecodingError("not gzip")]
)
def test_a_broken_call_says_why(service: Server, error: Exception) -> None:
    """Whatever happens to a connection, the call may succeed later."""
    caught = _error(service, error)

    assert type(caught) is TransientError
    assert str(caught) == f"the connection to zentra.example failed: {error}"


def test_an_answer_that_is_not_what_its_header_says_has_failed(service: Server) -> None:
    """A compressed body that is none may come right when asked for again."""
    assert type(_error(service, Response(200, b"{}", Content_Encoding="gzip"))) is TransientError


def test_a_refused_connection_is_told_in_a_few_words() -> None:
    """The system's reason is shown, without the libraries' wrapping and the URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent: list[int] = []
    with pytest.raises(TransientError) as caught:
        _get(None, f"http://127.0.0.1:{port}", a_call(lambda: sent.append(1)))

    assert str(caught.value) == f"the connection to 127.0.0.1:{port} failed: Connection refused"
    assert sent == []


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """A real server on this machine, which answers a connection's first request with some raw bytes."""
    servers: list[socketserver.TCPServer] = []

    def start(answer: bytes, seen: list[bytes] | None = None) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += self.request.recv(65_536)
                if seen is not None:
                    seen.append(request)
                self.request.sendall(answer)

        server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.handle_request, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.server_close()


def test_a_closed_account_leaves_no_connection_open() -> None:
    """The service need not keep what nobody uses any more, whichever thread has used it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = _transport()
        caller = threading.Thread(target=_get, args=[transport, f"http://127.0.0.1:{server.getsockname()[1]}"])
        caller.start()
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            caller.join()
            transport.close()
            connection.settimeout(30)
            assert connection.recv(1) == b""


def test_a_call_over_a_real_connection(serve: Callable[..., str]) -> None:
    """What holds in place of the network holds on it; and it is told when the request has gone out."""
    seen: list[bytes] = []
    sent: list[int] = []
    body = _get(
        None,
        serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", seen),
        a_call(lambda: sent.append(len(seen))),
    )

    assert body == b"{}"
    assert f"\r\nAuthorization: Key {TOKEN}\r\n".encode() in seen[0]
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}", "2 bytes read"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n",
            "",
        ),
        (b"", "without response"),
        (b"not HTTP\r\n\r\n", "not HTTP"),
    ],
)
def test_a_connection_that_breaks_off(serve: Callable[..., str], answer: bytes, reason: str) -> None:
    """A server that hangs up before the end of its answer, or says what no server says, has failed."""
    url = serve(answer)
    with pytest.raises(TransientError) as caught:
        _get(None, url)
    where, _, why = str(caught.value).partition(" failed: ")
    assert where == f"the connection to {url.removeprefix('http://')}"
    assert reason in why
    assert "127.0.0.1" not in why


@pytest.mark.parametrize("api_url", ["https://a..b", "https://" + "a" * 70 + ".com"])
def test_a_host_that_can_not_be_is_told(api_url: str) -> None:
    """A name that no network knows ends in one line."""
    with pytest.raises(TransientError):
        _get(None, api_url)


# Memory


class _ClockedMemory(BodyMemory):
    """Memory for which each body has to wait an hour, each time that it grows."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sizes: list[int] = []

    @override
    def grow(self, size: int, new_size: int) -> None:
        super().grow(size, new_size)
        self.now += 3600
        self.sizes.append(new_size)


@pytest.mark.parametrize(
    ("body", "headers", "reserved"),
    [
        pytest.param(bytes(1000), {"Content_Length": "1000"}, {1000}, id="as long as it says"),
        pytest.param(bytes(1000), {}, {10, 1000 + 10}, id="without length"),
        pytest.param(bytes(1000), {"Content_Encoding": "gzip", "Content_Length": "29"}, {10, 1000 + 10}, id="packed"),
        pytest.param(b"{}", {"Content_Length": str(10**12)}, {2000}, id="longer than any body"),
    ],
)
def test_memory_is_reserved_before_a_body_is_read(
    service: Server, monkeypatch: pytest.MonkeyPatch, body: bytes, headers: dict[str, str], reserved: set[int]
) -> None:
    """As much as the body will take: what it says, unless that is packed or a lie; else piece by piece."""
    monkeypatch.setattr("tap_zentra.http.INITIAL_BYTES", 10)
    monkeypatch.setattr("tap_zentra.http.MAX_BYTES", 2000)
    memory = _ClockedMemory()
    sent = gzip.compress(body, mtime=0) if "Content_Encoding" in headers else body
    service.answer_with(Response(200, sent, **headers))
    call = a_call(memory=memory)
    with contextlib.suppress(TransientError):  # a length that is a lie
        assert _get(call=call) == body

    assert set(memory.sizes) == reserved


def test_memory_is_reserved_piece_by_piece(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of unknown length has never more than the piece at hand and the next one."""
    monkeypatch.setattr("tap_zentra.http.INITIAL_BYTES", 10)
    monkeypatch.setattr("tap_zentra.http.CHUNK_BYTES", 10)
    memory = _ClockedMemory()
    service.answer_with(Response(200, bytes(50)))
    _get(call=a_call(memory=memory))

    assert memory.sizes == [10, 30, 50]


def test_waiting_for_memory_is_not_the_services_time(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long other bodies are in the way, before this one or in its middle: it has as long as ever."""
    monkeypatch.setattr("tap_zentra.http.INITIAL_BYTES", 10)
    monkeypatch.setattr("tap_zentra.http.CHUNK_BYTES", 10)
    memory = _ClockedMemory()
    transport = Transport(header=("x", "y"), secret=TOKEN, timeout=30, user_agent="x", clock=lambda: memory.now)
    service.answer_with(Response(200, bytes(50)))

    assert len(_get(transport, call=a_call(memory=memory))) == 50
    assert len(memory.sizes) > 2
