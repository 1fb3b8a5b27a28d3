"""The calls of API v4 through their transport, with a function from request to response in place of the network."""

from __future__ import annotations

import io
import json
import socket
import socketserver
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError, TransientError
from tap_zentra.http import Transport
from tap_zentra.v4.api import Api, lock_out_seconds, locks_account
from tap_zentra.v4.pagination import PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "0123456789abcdef0123456789abcdef01234567"
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
DEVICE_LIMIT = "Exceeded request limit of 1 call per 60 seconds. Lock out expires in 41 seconds."
ACCOUNT_LIMIT = "Exceeded request limit of 60 calls per 60 seconds. Lock out expires in 5 seconds."


class _Answer(HTTPResponse):
    """An answer of the service: a status, a body, headers."""

    def __init__(self, status: int, body: object = b"{}", reason: str = "Reason", **headers: str) -> None:
        super().__init__(
            body=io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode()),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            status=status,
            reason=reason,
            preload_content=False,
        )


class _Service:
    """A whole server: answers each request with the next of some answers, and remembers the requests."""

    def __init__(self) -> None:
        self.answers: Iterator[_Answer | Exception] = iter(())
        self.requests: list[requests.PreparedRequest] = []
        self.connections: list[tuple[int, requests.adapters.HTTPAdapter]] = []
        self.options: list[dict[str, Any]] = []

    def answer_with(self, *answers: _Answer | Exception) -> None:
        """Set what the next requests are answered with."""
        self.answers = iter(answers)

    def send(
        self, adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Take the place of a connection."""
        self.requests.append(request)
        self.connections.append((threading.get_ident(), adapter))
        self.options.append(options)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return adapter.build_response(request, answer)

    @property
    def urls(self) -> list[str]:
        """Return the URLs that were asked for, without parameters."""
        return [str(request.url).split("?")[0] for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        """Return what each request said of its sender."""
        return [request.headers.get("Authorization") for request in self.requests]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> _Service:
    """A server in place of the network."""
    service = _Service()

    def send(
        adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        return service.send(adapter, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    return service


def _transport(timeout: float = 30) -> Transport:
    return Transport(
        header=("Authorization", f"Token {TOKEN}"), secret=TOKEN, timeout=timeout, user_agent="tap-zentra/1.2.3"
    )


def _api(base_url: str = "https://zentra.example", timeout: float = 30, api_version: str = "v4") -> Api:
    return Api(_transport(timeout), base_url=base_url, api_version=api_version, device_call_limit=1)


def _nothing() -> None:
    """Do nothing when a request has gone out."""


def _get(api: Api | None = None, on_sent: Callable[[], None] = _nothing) -> bytes | bytearray:
    page = PageRequest(start_mrid=1)
    return (api or _api()).get_readings("z6-1", page, on_sent, page_size=10, depth=True)


def _refusal(service: _Service, *answers: _Answer | Exception) -> CallError:
    """Return the error that an answer becomes."""
    service.answer_with(*answers)
    with pytest.raises(CallError) as caught:
        _get()
    assert "\n" not in str(caught.value)
    return caught.value


# What is sent


@pytest.mark.parametrize(
    ("page", "depth", "parameters"),
    [
        (PageRequest(start_mrid=0), False, {"start_mrid": "0"}),
        (PageRequest(start_mrid=112800), True, {"start_mrid": "112800", "device_depth": "true"}),
        (PageRequest(start_date=1_769_860_859), False, {"start_date": "2026-01-31 12:00"}),
        (PageRequest(start_date=0), True, {"start_date": "1970-01-01 00:00", "device_depth": "true"}),
    ],
)
def test_a_page_is_asked_for_by_these_parameters(
    service: _Service, page: PageRequest, parameters: dict[str, str], *, depth: bool
) -> None:
    """Always ascending, always page 1, always JSON; one of the two starts; depths only when wanted."""
    service.answer_with(_Answer(200, b'{"data": {}}'))
    body = _api().get_readings("z6-12345", page, _nothing, page_size=500, depth=depth)
    sent = parse_qsl(urlsplit(str(service.requests[0].url)).query)

    assert body == b'{"data": {}}'
    assert service.urls == ["https://zentra.example/api/v4/get_readings/"]
    assert dict(sent) == {
        "device_sn": "z6-12345",
        "per_page": "500",
        "page_num": "1",
        "sort_by": "ascending",
        "output_format": "json",
        **parameters,
    }
    assert len(sent) == len(dict(sent))


def test_the_request_says_who_asks(service: _Service) -> None:
    """The token has the word `Token` before it, once; the tap has its name; an answer may be compressed."""
    service.answer_with(_Answer(200))
    _get()
    (request,) = service.requests

    assert request.method == "GET"
    assert request.headers["Authorization"] == f"Token {TOKEN}"
    assert request.headers["User-Agent"] == "tap-zentra/1.2.3"
    assert "gzip" in request.headers["Accept-Encoding"]


def test_certificates_are_checked_and_time_is_limited(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call goes out unchecked, and none waits for ever."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    service.answer_with(_Answer(200))
    _get(_api(timeout=7))

    assert service.options[0]["verify"] is True
    assert service.options[0]["timeout"] == 7


@pytest.mark.parametrize(
    ("api_url", "version", "url"),
    [
        ("https://zentra.example/", "v4", "https://zentra.example/api/v4/get_readings/"),
        ("https://zentra.example/base", "v3", "https://zentra.example/base/api/v3/get_readings/"),
        ("http://127.0.0.1:8080", "v4", "http://127.0.0.1:8080/api/v4/get_readings/"),
    ],
)
def test_the_url_is_the_servers_and_the_versions(service: _Service, api_url: str, version: str, url: str) -> None:
    """The path is `/api/<version>/get_readings/` below the base URL."""
    service.answer_with(_Answer(200))
    _get(_api(api_url, api_version=version))

    assert service.urls == [url]


def test_a_netrc_file_does_not_replace_the_token(
    service: _Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password for the same host, in a file that other programs need, is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine zentra.example login me password mine\ndefault login you password yours\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service.answer_with(_Answer(200))
    _get()

    assert service.tokens == [f"Token {TOKEN}"]


def test_each_thread_has_its_own_connection(service: _Service) -> None:
    """One client serves many threads at one time: each keeps its connections, and has none of another's."""
    service.answer_with(*(_Answer(200, str(number).encode()) for number in range(8)))
    api = _api()
    bodies: list[bytes | bytearray] = []
    together = threading.Barrier(4)

    def call_twice() -> None:
        for _ in range(2):
            together.wait()
            bodies.append(_get(api))

    threads = [threading.Thread(target=call_twice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(bodies) == [str(number).encode() for number in range(8)]
    assert service.tokens == [f"Token {TOKEN}"] * 8
    # Four pairs of a thread and its connections, each of which has made two calls.
    assert sorted(Counter(service.connections).values()) == [2] * 4
    assert len({adapter for _, adapter in service.connections}) == 4


# What comes back

MAINTENANCE = b"<html>\n<head><title>Down</title></head>\n<body>Back soon</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"detail": "Invalid token."}, TokenRefusedError, "refuses the token (401 Reason: Invalid token.)"),
        (401, MAINTENANCE, TokenRefusedError, "(401 Reason: 'Down Back soon')"),
        (403, {"detail": "No permission."}, DeviceFailedError, "refuses the call (403 Reason: No permission.)"),
        (404, {"detail": "Not found."}, DeviceFailedError, "(404 Reason: Not found.); check the serial number"),
        (400, {"detail": "Bad\nstart_mrid  "}, DeviceFailedError, "(400 Reason: Bad start_mrid)"),
        (400, {"detail": {"device_sn": ["wrong"]}}, DeviceFailedError, "{'device_sn': ['wrong']}"),
        (400, {"error": "no detail"}, DeviceFailedError, '{"error": "no detail"}'),
        (400, ["a list"], DeviceFailedError, "a list"),
        (400, b"null", DeviceFailedError, "'null'"),
        (400, b"", DeviceFailedError, "(400 Reason: '')"),
        (400, {"detail": "x" * 1000}, DeviceFailedError, "x" * 300 + ")"),
        (418, b"\xff\x00", DeviceFailedError, "418"),
        (204, b"", DeviceFailedError, "204"),
        (302, b"", DeviceFailedError, "302"),
        (500, {"detail": "Oops"}, TransientError, "the service failed (500 Reason: Oops)"),
        (502, MAINTENANCE, TransientError, "(502 Reason: 'Down Back soon')"),
        (503, b"", TransientError, "(503 Reason: '')"),
        (599, b"{", TransientError, "(599 Reason: '{')"),
        (429, {"detail": DEVICE_LIMIT}, LockedOutError, DEVICE_LIMIT),
        (429, b"Slow down", LockedOutError, "'Slow down'"),
    ],
)
def test_an_answer_becomes_an_error_of_a_kind(
    service: _Service, status: int, body: object, kind: type[Exception], words: str
) -> None:
    """The kind decides what the tap does next; the words are the service's, on one line."""
    error = _refusal(service, _Answer(status, body))

    assert type(error) is kind
    assert words in str(error)


def test_a_status_without_a_reason_is_a_status(service: _Service) -> None:
    """HTTP/2 gateways send no reason phrase."""
    assert "(500: 'x')" in str(_refusal(service, _Answer(500, b"x", reason="")))


@pytest.mark.parametrize(
    ("detail", "seconds", "account"),
    [
        (DEVICE_LIMIT, 41, False),
        (ACCOUNT_LIMIT, 5, True),
        ("Exceeded request limit of 60 calls per 60 seconds for this user.", None, True),
        ("Exceeded request limit of 1 call per 60 seconds for this user.", None, True),
        ("Account locked. Lock out expires in 12.5 seconds.", 12.5, True),
        ("Lock out expires in 1 second.", 1, False),
        ("Lock out expires in 123 seconds.", 123, False),
        ("Too many requests", None, False),
        ("Too many superusers", None, False),
    ],
)
def test_a_lock_out_says_how_long_and_whose(
    service: _Service, detail: str, seconds: float | None, *, account: bool
) -> None:
    """All digits of the text count, and whether it speaks of the account or of a limit that no device has."""
    error = _refusal(service, _Answer(429, {"detail": detail}))

    assert isinstance(error, LockedOutError)
    assert (error.seconds, error.account) == (seconds, account)
    assert str(error) == detail


def test_a_limit_is_the_accounts_if_it_is_not_the_devices() -> None:
    """Whatever the service allows a device, by the settings."""
    words = "Exceeded request limit of 5 calls per 60 seconds."

    assert locks_account(words, device_call_limit=1)
    assert not locks_account(words, device_call_limit=5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"retry-after": " 17 "}, 17),
        ({"Retry-After": "17.5"}, 17.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "9" * 400}, float("inf")),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2026 09:29:00 +0200", "Date": DATE}, 60),
        ({"Retry-After": "Wednesday, 21-Oct-26 07:28:05 GMT", "Date": DATE}, 5),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:30 GMT", "Date": DATE}, -30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 41),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "soon"}, 41),
        ({"Retry-After": "Wed, 99 Oct 2026 07:28:30 GMT", "Date": DATE}, 41),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 -0000", "Date": DATE}, 41),
        ({"Retry-After": "soon", "Date": DATE}, 41),
        ({"Retry-After": "-5"}, 41),
        ({"Retry-After": "1e3"}, 41),
        ({"Retry-After": "nan"}, 41),
        ({"Retry-After": ""}, 41),
        ({"Retry-After": ","}, 41),
        ({}, 41),
    ],
)
def test_retry_after_wins_over_the_text(headers: dict[str, str], seconds: float) -> None:
    """Seconds, or a date by the server's own clock; what is neither leaves the text's word."""
    assert lock_out_seconds(CaseInsensitiveDict(headers), DEVICE_LIMIT) == seconds


def test_a_lock_out_of_no_known_length_has_none() -> None:
    """Neither a header nor a text that says it."""
    assert lock_out_seconds(CaseInsensitiveDict(), "Too many requests") is None


def test_retry_after_comes_from_the_answers_headers(service: _Service) -> None:
    """The header of the answer is looked at, and not only its body."""
    error = _refusal(service, _Answer(429, {"detail": DEVICE_LIMIT}, Retry_After="7", Date=DATE))

    assert isinstance(error, LockedOutError)
    assert error.seconds == 7


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize(
    "body",
    [
        {"detail": f"Authorization: Token {TOKEN} is not valid"},
        {"detail": [TOKEN]},
        f"<html>Token {TOKEN}</html>".encode(),
        {"token": TOKEN},
    ],
)
def test_the_token_is_in_no_error(service: _Service, status: int, body: object) -> None:
    """Even a server that echoes the token does not get it into a message."""
    assert TOKEN not in str(_refusal(service, _Answer(status, body)))


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "/api/v4/elsewhere/",
        "../elsewhere/",
        "https://zentra.example/api/v4/elsewhere/",
        "https://evil.example/api/v4/get_readings/",
        "//evil.example/",
        "http://zentra.example/api/v4/get_readings/",
        "https://zentra.example@evil.example/",
        "https://evil.example\\@zentra.example/",
        "https:///evil.example/",
        "ftp://zentra.example/",
        "http://[::1",
        "https://zentra.example:99999/",
    ],
)
def test_a_redirect_is_not_followed(service: _Service, status: int, location: str) -> None:
    """One request goes out, wherever a redirect points to, and the message names that place."""
    error = _refusal(service, _Answer(status, Location=location), _Answer(200))

    assert type(error) is DeviceFailedError
    assert f"redirects ({status} Reason) to {location}, which is not followed; check api_url and server" in str(error)
    assert service.urls == ["https://zentra.example/api/v4/get_readings/"]


def test_a_redirect_that_says_not_where_to_is_a_refusal(service: _Service) -> None:
    """A status alone leads nowhere."""
    error = _refusal(service, _Answer(302))

    assert type(error) is DeviceFailedError
    assert "refuses the call (302 Reason" in str(error)


# No answer, or half of one


@pytest.mark.parametrize("error", [requests.ConnectTimeout("x"), requests.ReadTimeout("y")])
def test_a_time_out_says_how_long_was_waited(service: _Service, error: Exception) -> None:
    """A call without an answer may succeed later."""
    caught = _refusal(service, error)

    assert type(caught) is TransientError
    assert str(caught) == "no response within 30 s"
    assert caught.__cause__ is None


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("reset"), requests.exceptions.ContentDecodingError("not gzip")]
)
def test_a_broken_call_says_why(service: _Service, error: Exception) -> None:
    """Whatever happens to a connection, the call may succeed later."""
    caught = _refusal(service, error)

    assert type(caught) is TransientError
    assert str(caught) == f"the connection failed: {error}"


def test_an_answer_that_is_not_what_its_header_says_has_failed(service: _Service) -> None:
    """A compressed body that is none may come right when asked for again."""
    assert type(_refusal(service, _Answer(200, b"{}", Content_Encoding="gzip"))) is TransientError


def test_a_refused_connection_is_told_in_a_few_words() -> None:
    """The system's reason is shown, without the libraries' wrapping and the URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent: list[int] = []
    with pytest.raises(TransientError) as caught:
        _get(_api(f"http://127.0.0.1:{port}"), on_sent=lambda: sent.append(1))

    assert str(caught.value) == "the connection failed: Connection refused"
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
        api = _api(f"http://127.0.0.1:{server.getsockname()[1]}")
        caller = threading.Thread(target=_get, args=[api])
        caller.start()
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            caller.join()
            api.close()
            connection.settimeout(30)
            assert connection.recv(1) == b""


def test_a_call_over_a_real_connection(serve: Callable[..., str]) -> None:
    """What holds in place of the network holds on it; and it is told when the request has gone out."""
    seen: list[bytes] = []
    sent: list[int] = []
    body = _get(
        _api(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", seen)),
        on_sent=lambda: sent.append(len(seen)),
    )

    assert body == b"{}"
    assert f"\r\nAuthorization: Token {TOKEN}\r\n".encode() in seen[0]
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}", "2 bytes read"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n",
            "the connection failed: ",
        ),
        (b"", "without response"),
        (b"not HTTP\r\n\r\n", "not HTTP"),
    ],
)
def test_a_connection_that_breaks_off(serve: Callable[..., str], answer: bytes, reason: str) -> None:
    """A server that hangs up before the end of its answer, or says what no server says, has failed."""
    with pytest.raises(TransientError) as caught:
        _get(_api(serve(answer)))
    assert str(caught.value).startswith("the connection failed: ")
    assert reason in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_an_error_nested_too_deeply_is_told_by_its_status(service: _Service) -> None:
    """An error's body that breaks the parser does not hide the error."""
    assert type(_refusal(service, _Answer(500, b"[" * 100_000))) is TransientError


@pytest.mark.parametrize("zone", ["99999999999999999999 07:28:00 GMT", "2026 07:28:00 +9999999999999999999999"])
def test_a_lock_out_until_no_date_is_read_from_the_words(zone: str) -> None:
    """A Retry-After that overflows a date is passed over."""
    headers = CaseInsensitiveDict({"Retry-After": f"Wed, 21 Oct {zone}", "Date": DATE})

    assert lock_out_seconds(headers, DEVICE_LIMIT) == 41


@pytest.mark.parametrize(
    "answer",
    [
        _Answer(400, {"detail": "x" * 280 + TOKEN}),
        _Answer(400, b"x" * 70 + TOKEN.encode()),
        _Answer(400, reason="Bad " + TOKEN),
        _Answer(302, Location=f"https://{TOKEN}.example/"),
    ],
)
def test_no_part_of_an_echoed_token_is_told(service: _Service, answer: _Answer) -> None:
    """Neither a cut nor a header of the answer lets the token's beginning through."""
    assert TOKEN[:9] not in str(_refusal(service, answer))


@pytest.mark.parametrize("api_url", ["https://a..b", "https://" + "a" * 70 + ".com"])
def test_a_host_that_can_not_be_is_told(api_url: str) -> None:
    """A name that no network knows ends in one line."""
    with pytest.raises(TransientError):
        _get(_api(api_url))
