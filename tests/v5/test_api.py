"""The calls of API v5 through their transport, with a function from request to response in place of the network."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from requests.structures import CaseInsensitiveDict

from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError, TransientError
from tap_zentra.http import Transport
from tap_zentra.settings import read_settings
from tap_zentra.v5.account import Account
from tap_zentra.v5.api import Api, Limits, PageTokenRefusedError, lock_out_seconds, locks_account
from tap_zentra.v5.pagination import PageRequest
from tests.server import Response, Server
from tests.support import a_call

KEY = "zc2-Key/of+an=account"
CLASSIC_TOKEN = "0123456789abcdef0123456789abcdef01234567"
NOW = 1_792_567_680
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
"""NOW, as a header says it."""

NEXT = NOW + 41
"""The moment of the next call that is allowed."""

FIRST = PageRequest(start=1_769_860_800, end=1_769_947_200)
LATER = PageRequest(start=1_769_860_800, end=1_769_947_200, token="_qCnZX4RqGUBAAAAAA==")


def _api(base_url: str = "https://zentra.example", key: str = KEY) -> Api:
    transport = Transport(header=("X-API-Key", key), secret=key, timeout=30, user_agent="tap-zentra/1.2.3")
    return Api(transport, base_url=base_url, key=key, now=lambda: NOW)


def _get(page: PageRequest = FIRST, key: str = KEY) -> bytes | bytearray:
    return _api(key=key).get_data("z6-1", page, a_call(), units="metric")


def _refusal(service: Server, answer: Response, page: PageRequest = FIRST, key: str = KEY) -> CallError:
    """Return the error that an answer becomes."""
    service.answer_with(answer)
    with pytest.raises(CallError) as caught:
        _get(page, key)
    assert "\n" not in str(caught.value)
    return caught.value


def _parameters(service: Server) -> dict[str, str]:
    sent = parse_qsl(urlsplit(str(service.requests[0].url)).query)
    assert len(sent) == len(dict(sent))
    return dict(sent)


# What is sent


@pytest.mark.parametrize(
    ("page", "parameters"),
    [
        (
            FIRST,
            {"start_datetime": "2026-01-31T12:00:00+00:00", "end_datetime": "2026-02-01T12:00:01+00:00"},
        ),
        (
            PageRequest(start=0, end=59),
            {"start_datetime": "1970-01-01T00:00:00+00:00", "end_datetime": "1970-01-01T00:01:00+00:00"},
        ),
        (PageRequest(start=None, end=1_769_947_200), {"end_datetime": "2026-02-01T12:00:01+00:00"}),
        (LATER, {"next_token": "_qCnZX4RqGUBAAAAAA=="}),
    ],
)
def test_a_page_is_asked_for_by_these_parameters(
    service: Server, page: PageRequest, parameters: dict[str, str]
) -> None:
    """Both moments in one form, the end a second later; a token stands for both, and has its direction beside it."""
    service.answer_with(Response(200, b'{"values": []}'))

    body = _api().get_data("z6-12345", page, a_call(), units="imperial")

    assert body == b'{"values": []}'
    assert service.urls == ["https://zentra.example/v5/devices/z6-12345/data"]
    assert _parameters(service) == {"direction": "ascending", "units": "imperial", **parameters}


@pytest.mark.parametrize(("organization_id", "parameters"), [(None, {}), ("org 1&x", {"organization_id": "org 1&x"})])
def test_the_list_is_asked_for_page_by_page(
    service: Server, organization_id: str | None, parameters: dict[str, str]
) -> None:
    """With all groups of fields in the one call, and only the organisation that is wanted."""
    groups = "max_min_timestamp,settings,hardware,connectivity,subscription"
    service.answer_with(Response(200, b'{"devices": []}'))

    body = _api().get_devices(3, a_call(), organization_id=organization_id)

    assert body == b'{"devices": []}'
    assert service.urls == ["https://zentra.example/v5/devices"]
    assert _parameters(service) == {"expand": groups, "page_num": "3", "limit": "1000", **parameters}


def test_the_request_says_who_asks(service: Server) -> None:
    """The key stands in the header that METER documents, and in no other; the tap has its name."""
    service.answer_with(Response(200))
    _get()
    (request,) = service.requests

    assert request.method == "GET"
    assert request.headers["X-API-Key"] == KEY
    assert request.headers["User-Agent"] == "tap-zentra/1.2.3"
    assert "Authorization" not in request.headers
    assert KEY not in str(request.url)


@pytest.mark.parametrize(
    ("api_url", "device_sn", "url"),
    [
        ("https://zentra.example/", "z6-1", "https://zentra.example/v5/devices/z6-1/data"),
        ("http://127.0.0.1:8080", "z6-1", "http://127.0.0.1:8080/v5/devices/z6-1/data"),
        ("https://zentra.example", "a/b?c=d", "https://zentra.example/v5/devices/a%2Fb%3Fc%3Dd/data"),
        ("https://zentra.example", "../x y", "https://zentra.example/v5/devices/..%2Fx%20y/data"),
    ],
)
def test_the_url_is_the_servers_and_the_devices(service: Server, api_url: str, device_sn: str, url: str) -> None:
    """A serial number leads to no other path, whatever is in it."""
    service.answer_with(Response(200))
    _api(api_url).get_data(device_sn, FIRST, a_call(), units="metric")

    assert service.urls == [url]


def test_the_settings_reach_the_request(service: Server) -> None:
    """An account made from settings has their server, key and name."""
    settings = read_settings({"auth_token": f"Bearer {KEY}", "api_version": "v5"})
    service.answer_with(Response(200), Response(200))
    account = Account.of(settings, user_agent="tap-zentra/9")
    account.api.get_data("z6-1", FIRST, a_call(), units="metric")
    named = Account.of(
        read_settings({"auth_token": KEY, "api_version": "v5", "user_agent": "field-office"}), user_agent="tap-zentra/9"
    )
    named.api.get_data("z6-1", FIRST, a_call(), units="metric")

    assert service.urls == ["https://api.zentracloud.io/v5/devices/z6-1/data"] * 2
    assert [request.headers["X-API-Key"] for request in service.requests] == [KEY, KEY]
    assert [request.headers["User-Agent"] for request in service.requests] == ["tap-zentra/9", "field-office"]


# What comes back

MAINTENANCE = b"<html>\n<head><title>Down</title></head>\n<body>Back soon</body></html>"
LIST_OF_FAULTS = [{"loc": ["query", "end_datetime"], "msg": "mixed zones", "type": "value_error"}]


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"detail": "Invalid key."}, TokenRefusedError, "rejected the key (401 Reason: Invalid key.)"),
        (401, MAINTENANCE, TokenRefusedError, "(401 Reason: 'Down Back soon')"),
        (403, {"detail": "No permission."}, DeviceFailedError, "rejected the call (403 Reason: No permission.)"),
        (404, {"detail": "Not found."}, DeviceFailedError, "(404 Reason: Not found.)"),
        (422, {"detail": LIST_OF_FAULTS}, DeviceFailedError, '"msg": "mixed zones"'),
        (422, {"detail": "mixed\nzones"}, DeviceFailedError, "(422 Reason: mixed zones)"),
        (400, b"", DeviceFailedError, "(400 Reason: '')"),
        (410, b"null", DeviceFailedError, "'null'"),
        (204, b"", DeviceFailedError, "204"),
        (418, b"\xff\x00", DeviceFailedError, "418"),
        (500, {"detail": "Oops"}, TransientError, "the service failed (500 Reason: Oops)"),
        (502, MAINTENANCE, TransientError, "(502 Reason: 'Down Back soon')"),
        (503, b"", TransientError, "(503 Reason: '')"),
        (504, b"{", TransientError, "(504 Reason: '{')"),
        (429, {"detail": f"Next allowed call at {NEXT}."}, LockedOutError, f"Next allowed call at {NEXT}."),
        (429, b"Slow down", LockedOutError, "'Slow down'"),
    ],
)
@pytest.mark.parametrize("page", [FIRST, LATER], ids=["by time", "by token"])
def test_an_answer_becomes_an_error_of_a_kind(
    service: Server, status: int, body: object, kind: type[CallError], words: str, *, page: PageRequest
) -> None:
    """The kind decides what the tap does next; the words are the service's, on one line."""
    error = _refusal(service, Response(status, body), page)

    is_of_the_token = page.token is not None and status in {400, 404, 410, 422}
    assert isinstance(error, kind)
    assert isinstance(error, PageTokenRefusedError) == is_of_the_token
    assert words in str(error)


def test_a_refused_list_is_no_refused_token(service: Server) -> None:
    """The list has none."""
    service.answer_with(Response(404, {"detail": "Not found."}))

    with pytest.raises(DeviceFailedError) as caught:
        _api().get_devices(1, a_call(), organization_id=None)
    assert not isinstance(caught.value, PageTokenRefusedError)


def test_a_refusal_says_what_to_check_of_what_was_refused(service: Server) -> None:
    """A serial number only where one was asked for, and nothing where the way goes on by time."""
    service.answer_with(Response(404, {"detail": "Not found."}))
    with pytest.raises(DeviceFailedError) as of_the_list:
        _api().get_devices(1, a_call(), organization_id=None)

    head = "the service rejected the call (404 Reason: Not found.)"
    assert str(of_the_list.value) == f"{head}; check the key's permissions, and organization_id if it is set"
    assert str(_refusal(service, Response(404, {"detail": "Not found."}))) == (
        f"{head}; check the serial number, and that the key's user has access to the device in ZENTRA Cloud 2.0"
    )
    of_a_token = _refusal(service, Response(404, {"detail": "Not found."}), PageRequest(0, 1, token="a"))
    assert str(of_a_token) == "the service rejected the page's next_token (404 Reason: Not found.)"


def test_a_refused_key_says_where_the_right_one_is(service: Server) -> None:
    """What to check, and where a key is made."""
    error = str(_refusal(service, Response(401, {"detail": "Invalid key."})))

    assert "check auth_token" in error
    assert "app.zentracloud.io: Profile, Integrations, Show Token" in error
    assert "Classic" not in error


@pytest.mark.parametrize("key", ["0123456789ABCDEF" * 3, CLASSIC_TOKEN[1:], CLASSIC_TOKEN + "0", "g" * 40])
def test_a_refused_key_that_looks_like_no_other_is_only_refused(service: Server, key: str) -> None:
    """Only what has the form of Classic's tokens is taken for one."""
    assert "Classic" not in str(_refusal(service, Response(401), key=key))


def test_a_refused_key_that_looks_like_classics_is_told_so(service: Server) -> None:
    """Forty digits of base 16: the account may not have been moved."""
    error = str(_refusal(service, Response(401), key=CLASSIC_TOKEN))

    assert "it looks like a token of ZENTRA Cloud Classic" in error
    assert "set api_version to v4" in error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(service: Server, status: int) -> None:
    """One request goes out, and the message names where the redirect points to."""
    error = _refusal(service, Response(status, Location="https://evil.example/"), LATER)

    assert f"redirects ({status} Reason) to https://evil.example/; redirects are not followed" in str(error)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500])
@pytest.mark.parametrize(
    "body",
    [
        {"detail": f"X-API-Key: {KEY} is not valid"},
        {"detail": [KEY]},
        {"detail": "x" * 290 + KEY},
        f"<html>{KEY}</html>".encode(),
    ],
)
@pytest.mark.parametrize("page", [FIRST, LATER], ids=["by time", "by token"])
def test_the_key_is_in_no_error(service: Server, status: int, body: object, page: PageRequest) -> None:
    """Even a server that echoes the key, or a part of it at a cut, does not get it into a message."""
    error = str(_refusal(service, Response(status, body, reason=f"Bad {KEY}"), page))

    assert KEY[:9] not in error


# Lock-outs

DETAILS = {
    "a text": f"Rate limit. Next allowed call at {NEXT}.",
    "a text with the epoch first": f"{NEXT} is the next allowed call, 1 per 60 s",
    "a text with another number first": f"Limit of 5 calls per 60 seconds. Next allowed call at {NEXT}.",
    "a fraction": f"Next allowed call at {NEXT}.0",
    "a number": NEXT,
    "a float": float(NEXT),
    "an object": {"message": "limit 5", "next_time_to_call": NEXT},
    "a list": [{"msg": "60 s"}, {"msg": f"at {NEXT}"}],
}


@pytest.mark.parametrize("detail", DETAILS.values(), ids=DETAILS)
def test_a_lock_out_ends_at_the_first_number_that_is_a_moment(service: Server, detail: object) -> None:
    """In whatever form it comes; by the server's clock, so that ours may be wrong."""
    by_server = _refusal(service, Response(429, {"detail": detail}, Date="Wed, 21 Oct 2026 07:28:30 GMT"))
    by_ours = _refusal(service, Response(429, {"detail": detail}))

    assert isinstance(by_server, LockedOutError)
    assert isinstance(by_ours, LockedOutError)
    assert (by_server.seconds, by_ours.seconds) == (11, 41)


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (f'{{"detail": "at {NEXT}"}}', {"date": DATE}, 41),
        (f'{{"detail": "at {NEXT}"}}', {"Date": "soon"}, 41),
        (f'{{"detail": "at {NEXT}"}}', {"Date": "Wed, 99 Oct 2026 07:28:00 GMT"}, 41),
        (f'{{"detail": "at {NEXT}"}}', {"Date": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, 41),
        (f'{{"detail": "at {NEXT}"}}', {"Retry-After": "7"}, 41),
        (f'{{"detail": "at {NOW - 30}"}}', {}, -30),
        (f'{{"next_time_to_call": {NEXT}}}', {}, 41),
        (f'"at {NEXT}"', {}, 41),
        (f"{NEXT}", {}, 41),
        (f'{{"{NEXT}": "next"}}', {}, 41),
        ('{"detail": "1500000000"}', {}, 1_500_000_000 - NOW),
        ('{"detail": "1499999999"}', {}, None),
        ('{"detail": "Rate limit. Next allowed call at 1000."}', {}, None),
        ('{"detail": "Slow down"}', {}, None),
        ('{"detail": "Slow down"}', {"Retry-After": "7"}, 7),
        ('{"detail": "Slow down"}', {"retry-after": " 7.5 "}, 7.5),
        ('{"detail": "Slow down"}', {"Retry-After": "soon"}, None),
        ('{"detail": "Slow down"}', {"Retry-After": "-7"}, None),
        ('{"detail": "Slow down"}', {"Retry-After": "nan"}, None),
        (f"<html>{NEXT}</html>", {}, None),
        ("", {}, None),
        ("[" * 100_000, {}, None),
        ('{"detail": ' + "9" * 5000 + "}", {}, None),
        ('{"detail": "' + "9" * 5000 + '"}', {}, float("inf")),
    ],
)
def test_a_lock_out_lasts_as_long_as_it_says(body: str, headers: dict[str, str], seconds: float | None) -> None:
    """Without a moment, as long as a header says; without either nobody knows."""
    assert lock_out_seconds(body.encode(), CaseInsensitiveDict(headers), NOW) == seconds


@pytest.mark.parametrize(
    ("words", "account"),
    [
        ("Rate limit. Next allowed call at 1792567721.", False),
        ("Rate limit of this device", False),
        ("Rate limit of this user", True),
        ("The Account may call once a minute", True),
        ("API key limit exceeded", True),
        ("a superuser, keyboards and accountants", False),
    ],
)
def test_a_lock_out_says_whose_it_is(service: Server, words: str, *, account: bool) -> None:
    """The key's if the words say so, else the device's."""
    error = _refusal(service, Response(429, {"detail": words}))

    assert isinstance(error, LockedOutError)
    assert (error.account, locks_account(words)) == (account, account)
    assert str(error) == words


# Limits


def test_each_device_has_a_burst_and_then_one_call_a_window() -> None:
    """And the key none, so that the devices never wait for each other; the list has a budget of its own."""
    limits = Limits.of(burst=5, device_limit=1, window=60)
    devices = [f"z6-{number}" for number in range(100)]

    assert all(limits.devices.take(device, 0.0) for device in devices for _ in range(5))
    assert not limits.devices.take("z6-1", 60.0)
    assert limits.devices.take("z6-1", 61.0)
    assert [limits.list.take("list", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert limits.devices.account_free_at() < 0


def test_a_device_may_be_allowed_more() -> None:
    """So many calls in each window, behind a burst of so many."""
    limits = Limits.of(burst=2, device_limit=3, window=60)

    assert [limits.devices.take("z6-1", 0.0) for _ in range(3)] == [True, True, False]
    assert limits.devices.take("z6-1", 20.5)
    assert not limits.devices.take("z6-1", 21.0)


def test_before_the_first_response_whole_months_are_expected() -> None:
    """Few calls go out until it is known how large bodies are: no server has to wait with its response."""
    memory = Account.of(read_settings({"auth_token": KEY, "api_version": "v5"}), user_agent="x").memory
    calls = 0
    while memory.has_room() and calls < 100:
        memory.start_call(lambda: None)
        calls += 1

    assert calls == 2
