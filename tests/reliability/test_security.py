"""The token goes to the service and nowhere else, and the network can't make the tap do what it should not."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tap_zentra.calls.errors import CallError, DeviceFailedError, TransientError
from tap_zentra.emulator import Device, Emulator, Fault
from tap_zentra.emulator.faults import KINDS
from tap_zentra.http import MAX_TIMEOUTS, Transport
from tap_zentra.settings import SettingsError, read_settings
from tap_zentra.v4.api import Api
from tap_zentra.v4.pagination import PageRequest
from tests.support import TOKEN, Tap, a_call, environment, held

if TYPE_CHECKING:
    from collections.abc import Iterator

Emulate = Callable[..., Emulator]
Talk = Callable[[socket.socket, bytes], None]
Serve = Callable[[Talk], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers on raw sockets that say anything; they end with the test."""
    servers: list[socket.socket] = []

    def start(talk: Talk) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=_accept, args=(server, talk), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in servers:
        server.close()


def _accept(server: socket.socket, talk: Talk) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with closing(connection):
            try:
                talk(connection, connection.recv(65_536))
            except OSError:
                continue


def says(answer: bytes) -> Talk:
    """Return what sends some bytes."""
    return lambda connection, _request: connection.sendall(answer)


def settings_for(url: str) -> dict[str, str]:
    """Return the settings of a run at debug level against a server."""
    return {
        "TAP_ZENTRA_API_URL": url,
        "TAP_ZENTRA_AUTH_TOKEN": TOKEN,
        "TAP_ZENTRA_DEVICE_SNS": "z6-1",
        "TAP_ZENTRA_CALL_LIMIT_WINDOW": "0.1",
        "TAP_ZENTRA_MAX_ATTEMPTS": "1",
        "TAP_ZENTRA_LOGLEVEL": "DEBUG",
    }


def api_at(url: str, clock: Callable[[], float] = time.monotonic) -> Api:
    """Return the calls of API v4 to a server."""
    header = ("Authorization", f"Token {TOKEN}")
    transport = Transport(header=header, secret=TOKEN, timeout=60, user_agent="x", clock=clock)
    return Api(transport, base_url=url, api_version="v4", device_call_limit=1)


SECRET = TOKEN.encode()

RUDE_ANSWERS = {
    "the token as the status line": SECRET + b"\r\n\r\n",
    "the token as the reason": b"HTTP/1.1 500 " + SECRET + b"\r\nContent-Length: 0\r\n\r\n",
    "the token in a header that is none": b"HTTP/1.1 500 x\r\nContent-Length: 0\r\nToken " + SECRET + b"\r\n\r\n",
    "the token as the length": b"HTTP/1.1 500 x\r\nContent-Length: " + SECRET + b"\r\n\r\n",
    "the token as a chunk's length": b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
    "the token as the encoding": b"HTTP/1.1 500 x\r\nContent-Length: 2\r\nContent-Encoding: " + SECRET + b"\r\n\r\n{}",
    "the token as the host of a redirect": b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: https://"
    + SECRET
    + b".example/\r\n\r\n",
    "the token as the path of a redirect": b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /" + SECRET + b"\r\n\r\n",
    "a redirect to bytes that are no text": b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: http://\xff\xfe/\r\n\r\n",
    "a redirect to no port": b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: http://a:99999/\r\n\r\n",
    "more headers than one reads": b"HTTP/1.1 200 x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "a status that is none": b"HTTP/1.1 999999 x\r\n\r\n",
    "a lock-out of another age": b"HTTP/1.1 429 x\r\nContent-Length: 0\r\n"
    b"Retry-After: Mon, 01 Jan 99999 00:00:00 +99999999999\r\n\r\n",
}


@pytest.mark.parametrize("answer", RUDE_ANSWERS.values(), ids=RUDE_ANSWERS)
def test_rude_answers_end_in_a_line_without_token_and_traceback(
    answer: bytes, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a server says at the level of HTTP is an error of a kind, and nothing of the token is shown."""
    api = api_at(serve(says(answer)))

    with caplog.at_level("DEBUG"), pytest.raises(CallError) as caught:
        api.get_readings("z6-1", PageRequest(start_mrid=0), a_call(), page_size=5, depth=True)

    shown = [record.getMessage() + str(record.exc_info or "") for record in caplog.records]
    assert TOKEN[:15] not in str(caught.value) + "".join(shown)


def test_a_server_that_repeats_the_request_gets_the_token_into_no_log(serve: Serve, tap: Tap) -> None:
    """The whole command line at debug level, against a server that sends back what it got."""
    run = tap.run(settings_for(serve(lambda connection, request: connection.sendall(request))))

    assert run.exit_code == 1
    assert TOKEN[:15] not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_headers_that_nobody_can_read_get_the_token_into_no_log(serve: Serve, tap: Tap) -> None:
    """Nor does what urllib3 says of broken headers."""
    run = tap.run(settings_for(serve(says(RUDE_ANSWERS["the token in a header that is none"]))))

    assert run.exit_code == 1
    assert TOKEN[:15] not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_the_token_is_in_no_output_whatever_fails(emulate: Emulate, tap: Tap) -> None:
    """Not on stdout, not on stderr at debug level, not in the SDK's metrics."""
    kinds = [kind for kind in KINDS if kind != "401"]
    devices = [Device(f"z6-{number:05}", records=5) for number in range(len(kinds))]
    faults = [Fault(kind, device.device_sn) for kind, device in zip(kinds, devices, strict=True)]
    emulator = emulate(*devices, faults=faults)

    run = tap.sync(emulator, loglevel="DEBUG", max_attempts=1, request_timeout=0.2, call_limit_window=0.01)

    assert run.exit_code == 1
    assert "METRIC" in run.stderr
    assert TOKEN[:15] not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_a_proxy_without_tls_never_sees_the_token(serve: Serve, emulate: Emulate, tap: Tap) -> None:
    """A call to this machine goes there directly, whatever proxies the environment names."""
    seen: list[bytes] = []
    proxy = serve(lambda _connection, request: seen.append(request))
    emulator = emulate(Device("z6-00001", records=5))
    variables = environment(emulator) | {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy}

    run = tap.run(variables)

    assert seen == []
    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)


ELSEWHERE = [
    "https://evil.example/api/v4/get_readings/",
    "//evil.example/",
    "http://127.0.0.2:{port}/",
    "http://localhost:{port}/",
    "https://127.0.0.1:{port}/",
    "http://127.0.0.1.evil.example:{port}/",
    "http://127.0.0.1:{port}@evil.example/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("location", ELSEWHERE)
def test_a_redirect_to_another_place_is_refused(location: str, serve: Serve) -> None:
    """Another host, another scheme, another spelling of this machine: one request, and the device is refused."""
    requests: list[bytes] = []

    def redirect(connection: socket.socket, request: bytes) -> None:
        requests.append(request)
        target = location.format(port=connection.getsockname()[1])
        connection.sendall(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n".encode())

    api = api_at(serve(redirect))

    with pytest.raises(DeviceFailedError, match="redirects are not followed"):
        api.get_readings("z6-1", PageRequest(start_mrid=0), a_call(), page_size=5, depth=True)
    assert len(requests) == 1


@pytest.mark.parametrize(
    "device_sn",
    ["z6-1/../x", "z6-1?a=b", "z6-1&per_page=1", "z6-1#x", "../z6-1", "z6-1%2Fx", "z6-1\r\nHost: evil", "z6;1", "é"],
)
def test_a_serial_number_can_not_change_the_url(device_sn: str) -> None:
    """What is no serial number is refused before any call."""
    with pytest.raises(SettingsError, match="device_sns should be a list of serial numbers"):
        read_settings({"auth_token": TOKEN, "device_sns": [device_sn]})


@pytest.mark.parametrize(
    "api_url",
    [
        "http://zentracloud.com",
        "http://192.168.0.1",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1\\@evil.example",
        "http://localhost.evil.example",
        "http://[::ffff:192.168.0.1]",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "//zentracloud.com",
    ],
)
def test_an_api_url_without_tls_is_for_this_machine_only(api_url: str) -> None:
    """The token goes over no open line."""
    with pytest.raises(SettingsError, match="api_url should be a base URL that begins with https://"):
        read_settings({"auth_token": TOKEN, "device_sns": "z6-1", "api_url": api_url})


def test_an_answer_that_drips_does_not_hold_a_device_for_ever(serve: Serve) -> None:
    """A server that sends a byte before every time-out is gave up after a few of them."""

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            connection.sendall(b" ")

    # By this clock each byte comes just before the time-out.
    clock = itertools.count(step=59).__next__
    api = api_at(serve(drip), clock=clock)

    with pytest.raises(TransientError, match=f"still incomplete after {MAX_TIMEOUTS * 60} s"):
        api.get_readings("z6-1", PageRequest(start_mrid=0), a_call(), page_size=5, depth=True)


def test_an_answer_without_end_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: an answer longer than any page is refused, however long it says it is."""
    monkeypatch.setattr("tap_zentra.http.MAX_BYTES", 2**20)

    def flood(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(2**16 * b" ")

    api = api_at(serve(flood))

    with pytest.raises(DeviceFailedError, match="the response is larger than 1 MiB"):
        api.get_readings("z6-1", PageRequest(start_mrid=0), a_call(), page_size=5, depth=True)
