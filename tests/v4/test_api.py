"""The calls of API v4 through their transport, with a function from request to response in place of the network."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from requests.structures import CaseInsensitiveDict

from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError, TransientError
from tap_zentra.http import Transport
from tap_zentra.settings import EnvModel, is_classic_token, read_settings
from tap_zentra.v4.api import Account, Api, lock_out_seconds, locks_account
from tap_zentra.v4.pagination import PageRequest
from tests.server import TOKEN, Response, Server
from tests.support import a_call

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
DEVICE_LIMIT = "Exceeded request limit of 1 call per 60 seconds. Lock out expires in 41 seconds."
STATION = EnvModel("z6-1", 2, "ETr", elevation=806, latitude=32.25, wind_measurement_height=2)
ACCOUNT_LIMIT = "Exceeded request limit of 60 calls per 60 seconds. Lock out expires in 5 seconds."


def _api(base_url: str = "https://zentra.example", timeout: float = 30, api_version: str = "v4") -> Api:
    return Api(
        Transport(
            header=("Authorization", f"Token {TOKEN}"), secret=TOKEN, timeout=timeout, user_agent="tap-zentra/1.2.3"
        ),
        base_url=base_url,
        api_version=api_version,
        device_call_limit=1,
    )


def _get(api: Api | None = None) -> bytes | bytearray:
    page = PageRequest(start_mrid=1)
    return (api or _api()).get_readings("z6-1", page, a_call(), page_size=10, depth=True)


def _refusal(service: Server, *answers: Response | Exception) -> CallError:
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
    service: Server, page: PageRequest, parameters: dict[str, str], *, depth: bool
) -> None:
    """Always ascending, always page 1, always JSON; one of the two starts; depths only when wanted."""
    service.answer_with(Response(200, b'{"data": {}}'))
    body = _api().get_readings("z6-12345", page, a_call(), page_size=500, depth=depth)
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


def test_the_request_says_who_asks(service: Server) -> None:
    """The token has the word `Token` before it, once; the tap has its name; an answer may be compressed."""
    service.answer_with(Response(200))
    _get()
    (request,) = service.requests

    assert request.method == "GET"
    assert request.headers["Authorization"] == f"Token {TOKEN}"
    assert request.headers["User-Agent"] == "tap-zentra/1.2.3"
    assert "gzip" in request.headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("api_url", "version", "url"),
    [
        ("https://zentra.example/", "v4", "https://zentra.example/api/v4/get_readings/"),
        ("https://zentra.example/base", "v3", "https://zentra.example/base/api/v3/get_readings/"),
        ("http://127.0.0.1:8080", "v4", "http://127.0.0.1:8080/api/v4/get_readings/"),
    ],
)
def test_the_url_is_the_servers_and_the_versions(service: Server, api_url: str, version: str, url: str) -> None:
    """The path is `/api/<version>/get_readings/` below the base URL."""
    service.answer_with(Response(200))
    _get(_api(api_url, api_version=version))

    assert service.urls == [url]


@pytest.mark.parametrize(
    ("start", "end", "dates"),
    [
        (None, None, {}),
        (1_769_860_859, None, {"start_date": "2026-01-30 12:00"}),
        (None, 1_769_860_859, {"end_date": "2026-02-01 12:00"}),
        (3600, 253_402_300_799, {"start_date": "1970-01-01 00:00", "end_date": "9999-12-31 23:59"}),
    ],
)
def test_daily_values_are_asked_for_by_these_parameters(
    service: Server, start: int | None, end: int | None, dates: dict[str, str]
) -> None:
    """With a day before and after what is wanted, because the service takes the device's local time."""
    service.answer_with(Response(200, b"a body"))
    body = _api().get_env_model_data(STATION, a_call(), start=start, end=end)
    sent = dict(parse_qsl(urlsplit(str(service.requests[0].url)).query))

    assert body == b"a body"
    assert service.urls == ["https://zentra.example/api/v4/get_env_model_data/"]
    assert json.loads(sent.pop("inputs")) == {"elevation": 806, "latitude": 32.25, "wind_measurement_height": 2}
    assert sent == {"device_sn": "z6-1", "model_type": "ETr", "port_num": "2", **dates}


# What comes back

MAINTENANCE = b"<html>\n<head><title>Down</title></head>\n<body>Back soon</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"detail": "Invalid token."}, TokenRefusedError, "rejected the token (401 Reason: Invalid token.)"),
        (401, MAINTENANCE, TokenRefusedError, "(401 Reason: 'Down Back soon')"),
        (403, {"detail": "No permission."}, DeviceFailedError, "rejected the call (403 Reason: No permission.)"),
        (404, {"detail": "Not found."}, DeviceFailedError, "(404 Reason: Not found.); check the serial number"),
        (400, {"detail": "Bad\nstart_mrid  "}, DeviceFailedError, "(400 Reason: Bad start_mrid)"),
        (400, {"detail": {"device_sn": ["wrong"]}}, DeviceFailedError, '{"device_sn": ["wrong"]}'),
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
    service: Server, status: int, body: object, kind: type[Exception], words: str
) -> None:
    """The kind decides what the tap does next; the words are the service's, on one line."""
    error = _refusal(service, Response(status, body))

    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_of_daily_values_says_which_entry_to_check(service: Server, status: int) -> None:
    """In one line, with the service's words: the entry's device, port and model, and where they stand."""
    service.answer_with(Response(status, {"detail": "There is no\nATMOS 41 on port 2."}))
    with pytest.raises(DeviceFailedError) as caught:
        _api().get_env_model_data(STATION, a_call(), start=None, end=None)

    assert str(caught.value).startswith(
        f"the service rejected the call ({status} Reason: There is no ATMOS 41 on port 2.); check device_sn z6-1 and "
        "port_number 2 (the ATMOS 41's) of the ETr entry in env_models, the server, and that the token's user has "
        "access to the device"
    )


@pytest.mark.parametrize(("status", "advised"), [(401, True), (403, True), (404, True), (400, False)])
def test_a_refusal_says_what_to_do_when_the_account_was_moved(service: Server, status: int, *, advised: bool) -> None:
    """An account in ZENTRA Cloud 2.0 gets nothing from this service; its owner learns which settings to change."""
    error = _refusal(service, Response(status, {"detail": "No."}))

    assert ("set api_version to v5 and auth_token to the account's key" in str(error)) is advised


def test_a_status_without_a_reason_is_a_status(service: Server) -> None:
    """HTTP/2 gateways send no reason phrase."""
    assert "(500: 'x')" in str(_refusal(service, Response(500, b"x", reason="")))


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
    service: Server, detail: str, seconds: float | None, *, account: bool
) -> None:
    """All digits of the text count, and whether it speaks of the account or of a limit that no device has."""
    error = _refusal(service, Response(429, {"detail": detail}))

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


def test_retry_after_comes_from_the_answers_headers(service: Server) -> None:
    """The header of the answer is looked at, and not only its body."""
    error = _refusal(service, Response(429, {"detail": DEVICE_LIMIT}, Retry_After="7", Date=DATE))

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
def test_the_token_is_in_no_error(service: Server, status: int, body: object) -> None:
    """Even a server that echoes the token does not get it into a message."""
    assert TOKEN not in str(_refusal(service, Response(status, body)))


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
def test_a_redirect_is_not_followed(service: Server, status: int, location: str) -> None:
    """One request goes out, wherever a redirect points to, and the message names that place."""
    error = _refusal(service, Response(status, Location=location), Response(200))

    assert type(error) is DeviceFailedError
    assert f"redirects ({status} Reason) to {location}; redirects are not followed; check api_url and server" in str(
        error
    )
    assert service.urls == ["https://zentra.example/api/v4/get_readings/"]


def test_a_redirect_that_says_not_where_to_is_a_refusal(service: Server) -> None:
    """A status alone leads nowhere."""
    error = _refusal(service, Response(302))

    assert type(error) is DeviceFailedError
    assert "rejected the call (302 Reason" in str(error)


def test_an_error_nested_too_deeply_is_told_by_its_status(service: Server) -> None:
    """An error's body that breaks the parser does not hide the error."""
    assert type(_refusal(service, Response(500, b"[" * 100_000))) is TransientError


@pytest.mark.parametrize("zone", ["99999999999999999999 07:28:00 GMT", "2026 07:28:00 +9999999999999999999999"])
def test_a_lock_out_until_no_date_is_read_from_the_words(zone: str) -> None:
    """A Retry-After that overflows a date is passed over."""
    headers = CaseInsensitiveDict({"Retry-After": f"Wed, 21 Oct {zone}", "Date": DATE})

    assert lock_out_seconds(headers, DEVICE_LIMIT) == 41


@pytest.mark.parametrize(
    "answer",
    [
        Response(400, {"detail": "x" * 280 + TOKEN}),
        Response(400, b"x" * 70 + TOKEN.encode()),
        Response(400, reason="Bad " + TOKEN),
        Response(302, Location=f"https://{TOKEN}.example/"),
    ],
)
def test_no_part_of_an_echoed_token_is_told(service: Server, answer: Response) -> None:
    """Neither a cut nor a header of the answer lets the token's beginning through."""
    assert TOKEN[:9] not in str(_refusal(service, answer))


# Memory


def test_before_the_first_response_full_pages_are_expected() -> None:
    """Fourteen calls for 2000 records go out, or sixty for fewer: no server has to wait with its response."""

    def first_calls(**settings: object) -> int:
        memory = Account.of(
            read_settings({"auth_token": TOKEN, "device_sns": "z6-1", **settings}), user_agent="x"
        ).memory
        calls = 0
        while memory.has_room() and calls < 100:
            memory.start_call(lambda: None)
            calls += 1
        return calls

    assert first_calls() == 14
    assert first_calls(page_size=400) > 60


def test_a_refused_token_of_another_form_is_named_as_what_it_probably_is(service: Server) -> None:
    """Classic's tokens have 40 digits and letters from a to f; a key of 2.0 is no such token, as far as is known."""
    service.answer_with(Response(401, {"detail": "Invalid token."}))
    transport = Transport(header=("Authorization", "Token k"), secret="k-e-y", timeout=30, user_agent="x")
    api = Api(
        transport,
        base_url="https://zentra.example",
        api_version="v4",
        device_call_limit=1,
        has_classic_token=is_classic_token("k-e-y"),
    )

    with pytest.raises(TokenRefusedError, match=r"if it is a key of ZENTRA Cloud 2.0 .* set api_version to v5"):
        _get(api)
    assert is_classic_token("0123456789abcdef0123456789abcdef01234567")
