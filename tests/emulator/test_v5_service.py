"""Version 5 of the service from request to answer: who may ask, how often, and what goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from tap_zentra.emulator import Device, Fault, Request, Response
from tap_zentra.emulator.faults import KINDS
from tests.emulator.support import MIDNIGHT, TOKEN, Cloud, detail, v5_path

DATA = v5_path("z6-1")
OF_PAGES = ("other-device", "token-repeated", "token-refused")
"""Faults that the list of devices cannot have."""
START = datetime(2025, 3, 1, tzinfo=UTC)
ASCENDING: dict[str, Any] = {"start_datetime": "2025-03-01", "end_datetime": "2025-05-30", "direction": "ascending"}


def station(**attributes: Any) -> Device:
    """Return a device with a record every day over three months, from March 2025 on."""
    usual: dict[str, Any] = {"start": START, "records": 90, "interval": 86_400}
    return Device("z6-1", **usual | attributes)


@pytest.mark.parametrize("path", [DATA, v5_path(None)])
@pytest.mark.parametrize(
    ("authorization", "api_key", "status"),
    [
        (None, TOKEN, 200),
        (f"Bearer {TOKEN}", None, 200),
        ("Bearer wrong", TOKEN, 200),
        (None, None, 401),
        (None, "wrong", 401),
        (None, f"Bearer {TOKEN}", 401),
        (f"Token {TOKEN}", None, 401),
        (f"Bearer Bearer {TOKEN}", None, 401),
        (TOKEN, None, 401),
        ("Bearer ", None, 401),
        (f"Bearer {TOKEN}", "wrong", 401),
    ],
)
def test_the_key_comes_in_one_of_two_headers(
    path: str, authorization: str | None, api_key: str | None, status: int
) -> None:
    """Not in the form of v4."""
    cloud = Cloud([station()])

    assert cloud.receive({}, path, authorization=authorization, api_key=api_key).answer().status == status


def test_v4_does_not_know_the_headers_of_v5() -> None:
    """A client of v5 that asks v4 is refused."""
    assert Cloud([station()]).receive({"device_sn": "z6-1"}, authorization=None, api_key=TOKEN).answer().status == 401


@pytest.mark.parametrize(
    "path", ["/v5", "/v5/", "/v5/devices/", "/v5/devices/z6-1", "/v5/devices/z6-1/data/", "/v5/readings", "/v5devices"]
)
def test_other_paths_are_not_found(path: str) -> None:
    """Two endpoints exist, without a slash at their end."""
    cloud = Cloud([station()])

    assert cloud.receive({}, path, api_key=TOKEN).answer().status == 404


@pytest.mark.parametrize(("device_sn", "status"), [("z6-1", 200), ("z6-2", 403), ("z6-3", 404), ("Z6-1", 404)])
def test_a_device_has_to_be_the_users(device_sn: str, status: int) -> None:
    """Another user's is not allowed, an unknown one is not found."""
    cloud = Cloud([station(), Device("z6-2", of_another_user=True)])

    assert cloud.v5(device_sn).status == status


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("form", ["detail", "message", "html"])
def test_errors_have_one_of_three_forms(form: Literal["detail", "message", "html"], status: int) -> None:
    """A field of this name, or a page."""
    answer = Cloud([station()], error_form=form, faults=[Fault(str(status))]).v5()

    assert answer.status == status
    if form == "html":
        assert (answer.content_type, answer.body[:6]) == ("text/html", b"<html>")
    else:
        assert set(json.loads(answer.body)) == {form}


def test_a_wrong_parameter_is_told_in_a_list_or_as_text() -> None:
    """With its name in both."""
    listed, text = (Cloud([station()], validation_words=words).v5(window="24H") for words in ("list", "text"))

    assert (listed.status, text.status) == (422, 422)
    (entry,) = json.loads(listed.body)["detail"]
    assert set(entry) == {"loc", "msg", "type"}
    assert entry["loc"] == ["query", "window"]
    assert detail(text).startswith("window: ")


def test_of_two_forms_of_a_range_the_first_may_count() -> None:
    """By default they are refused."""
    asked: dict[str, Any] = {"start_datetime": "2025-03-02", "end_datetime": "2025-03-03", "window": "1h"}

    assert Cloud([station()]).v5(**asked).status == 422
    assert Cloud([station()], two_time_forms="first").v5_body(**asked)["values"]


def test_parameters_that_it_does_not_know_are_left_alone() -> None:
    """Clients send some."""
    assert Cloud([station()]).v5(latest="false", expand="settings").status == 200


def test_calls_are_limited_by_device_and_the_list_by_itself() -> None:
    """Five at once each; v4's limits have nothing to do with it."""
    cloud = Cloud([station(), Device("z6-2")], user_limit=1)

    for device_sn in ("z6-1", "z6-2", None):
        assert [cloud.v5(device_sn, at=0.0).status for _ in range(6)] == [200] * 5 + [429]
    assert cloud.call(device_sn="z6-1", at=0.0).status == 200
    assert [cloud.v5(at=60.0).status for _ in range(2)] == [200, 429]


def test_calls_with_a_wrong_key_do_not_count_and_those_with_wrong_parameters_do() -> None:
    """The key is checked before the limits, the parameters after them."""
    cloud = Cloud([station()], device_burst=1)

    assert cloud.receive({}, DATA, at=0.0, api_key="wrong").answer().status == 401
    assert cloud.v5(units="none", at=0.0).status == 422
    assert cloud.v5(at=0.0).status == 429


def test_the_limits_follow_the_options() -> None:
    """Three calls in each window of 6 s, two at once."""
    cloud = Cloud([station()], window=6.0, device_limit=3, device_burst=2)

    assert [cloud.v5(at=now).status for now in (0.0, 0.0, 0.0, 1.9, 2.0)] == [200, 200, 429, 429, 200]


@pytest.mark.parametrize(("budget", "statuses"), [("device", [200, 200]), ("key", [429, 200]), ("all", [429, 429])])
def test_a_budget_may_be_that_of_the_key_or_of_everybody(
    budget: Literal["device", "key", "all"], statuses: list[int]
) -> None:
    """Whether a call for one device stands in the way of another one and of the list."""
    cloud = Cloud([station(), Device("z6-2")], budget=budget, device_burst=1)
    cloud.v5("z6-1", at=0.0)

    assert [cloud.v5(device_sn, at=0.0).status for device_sn in ("z6-2", None)] == statuses


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("epoch", f"Rate limit. Next allowed call at {MIDNIGHT + 60}."),
        ("number-first", f"Exceeded the burst of 1 calls. Next allowed call at {MIDNIGHT + 60}."),
        ("number", MIDNIGHT + 60),
        ("object", {"message": "Rate limit.", "next_allowed_call": MIDNIGHT + 60}),
        ("none", "Rate limit."),
    ],
)
def test_a_refused_call_is_told_when_the_next_one_is_allowed(words: Any, told: object) -> None:
    """The Unix time, whole and rounded up, in the detail alone: there is no Retry-After."""
    cloud = Cloud([station()], device_burst=1, refusal_words=words, retry_after="seconds")
    cloud.v5(at=0.0)

    answer = cloud.v5(at=30.5)

    assert (answer.status, json.loads(answer.body), dict(answer.headers)) == (429, {"detail": told}, {})


def test_early_calls_may_extend_the_wait() -> None:
    """By the option that v4 has for it."""
    cloud = Cloud([station()], device_burst=1, extend_lockouts=True)

    assert [cloud.v5(at=now).status for now in (0.0, 30.0, 61.0, 121.0)] == [200, 429, 429, 200]


def test_when_a_window_passes_the_burst_is_back() -> None:
    """As if nobody had called for as long as it takes."""
    cloud = Cloud([station()])
    before = [cloud.v5(at=0.0).status for _ in range(6)]
    cloud.service.let_window_pass()

    assert [cloud.v5(at=0.0).status for _ in range(6)] == before == [200] * 5 + [429]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device_sn", ["z6-1", None])
def test_every_fault_hits_v5_too(kind: str, device_sn: str | None) -> None:
    """It is noted as injected and spoils the answer, and the next call gets a right one."""
    cloud = Cloud([station()], faults=[Fault(kind, times=1)])
    asked = Request(DATA, ASCENDING, api_key=TOKEN, time=MIDNIGHT)
    right = cloud.service.answer(asked)
    following = json.loads(right.body)["pagination"]["next_token"]

    hit = cloud.receive({"next_token": following}, v5_path(device_sn), api_key=TOKEN)
    spoilt = hit.answer()
    later = cloud.receive({"next_token": following}, v5_path(device_sn), at=3600.0, api_key=TOKEN).answer()

    assert (hit.injected, later.status) == (kind, 200)
    same = (spoilt.status, spoilt.body, spoilt.delivery) == (200, later.body, "whole")
    assert same == (device_sn is None and kind in OF_PAGES)


@pytest.mark.parametrize(
    ("kind", "words", "seconds"),
    [
        ("lockout", "Rate limit. Next allowed call at", 60),
        ("lockout-silent", "Rate limit.", 60),
        ("lockout-account", "Rate limit. Next allowed call at", 60),
    ],
)
def test_a_lock_out_locks_the_device_or_everything(kind: str, words: str, seconds: int) -> None:
    """For one window; a silent one does not say for how long."""
    cloud = Cloud([station(), Device("z6-2")], faults=[Fault(kind, times=1)])

    told = detail(cloud.v5(at=0.0))

    assert told == (words if kind == "lockout-silent" else f"{words} {MIDNIGHT + seconds}.")
    assert [cloud.v5(at=now).status for now in (59.0, 60.0)] == [429, 200]
    cloud = Cloud([station(), Device("z6-2")], faults=[Fault(kind, times=1)])
    cloud.v5(at=0.0)
    other = 429 if kind == "lockout-account" else 200
    assert [cloud.v5(device_sn, at=1.0).status for device_sn in ("z6-2", None)] == [other, other]


def test_a_token_may_be_repeated() -> None:
    """The page that it leads to is the same again, for as long as the fault lasts."""
    cloud = Cloud([station()], faults=[Fault("token-repeated", times=2)])

    first = cloud.v5_body(**ASCENDING)
    second = cloud.v5_body(next_token=first["pagination"]["next_token"])
    third = cloud.v5_body(next_token=second["pagination"]["next_token"])

    assert first["values"] == second["values"] == third["values"]
    assert first["pagination"]["next_token"] == second["pagination"]["next_token"]
    assert third["pagination"]["next_token"] != second["pagination"]["next_token"]


@pytest.mark.parametrize("status", ["422", "400", "404"])
def test_a_token_may_be_refused_in_mid_way(status: Literal["422", "400", "404"]) -> None:
    """A call without one is not hit, and does not use the fault up."""
    cloud = Cloud([station()], faults=[Fault("token-refused", times=1)], expired_token=status)

    first = cloud.v5_body(**ASCENDING)
    refused = cloud.v5(next_token=first["pagination"]["next_token"])
    again = cloud.v5(next_token=first["pagination"]["next_token"])

    assert [refused.status, again.status] == [int(status), 200]


def test_by_chance_a_refused_token_hits_no_call_without_one() -> None:
    """Which is answered as if nothing were wrong."""
    cloud = Cloud([station()], fault_rate=1.0, fault_kinds=["token-refused"])

    first = cloud.v5_body(**ASCENDING)

    assert cloud.v5(next_token=first["pagination"]["next_token"]).status == 422


def test_another_devices_page_may_come() -> None:
    """It is whole, and says whose it is."""
    page = Cloud([station()], faults=[Fault("other-device")]).v5_body(**ASCENDING)

    assert page["metadata"]["device_id"] == "z6-99999"
    assert page["values"]


def test_another_devices_page_may_come_in_v4_too() -> None:
    """And faults that v4 cannot have leave its answers alone."""
    cloud = Cloud([station()], faults=[Fault("other-device", times=1), Fault("token-refused"), Fault("token-repeated")])

    assert {entry["metadata"]["device_sn"] for _, entry in cloud.page().entries} == {"z6-99999"}
    assert {entry["metadata"]["device_sn"] for _, entry in cloud.page().entries} == {"z6-1"}


def test_a_fault_may_hit_the_list_alone() -> None:
    """It is called `devices` in the place of a device."""
    cloud = Cloud([station()], faults=[Fault.parse("500@devices")])

    assert [cloud.v5(None).status, cloud.v5().status] == [500, 200]


def test_a_fault_may_be_a_function() -> None:
    """It answers in the service's place."""
    fault = Fault(lambda request: Response(418, request.path.encode()), "z6-1")
    cloud = Cloud([station()], faults=[fault])

    assert (cloud.v5().status, cloud.v5().body) == (418, DATA.encode())


def test_by_default_a_page_has_what_is_known_and_no_more() -> None:
    """Fields that only some clients have seen come on request."""
    page = Cloud([station()]).v5_body(**ASCENDING)

    assert set(page) == {"metadata", "values", "pagination"}
    assert set(page["pagination"]) == {"next_token", "num_readings", "start_datetime", "end_datetime"}
    assert set(page["values"][0]) == {
        *("port_num", "measurement", "unit", "sensor_name"),
        *("value", "timestamp", "datetime", "error_code"),
    }
