"""A service of v5 that says one thing and does another: nothing is skipped, nothing is doubled, and every run ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tap_zentra.emulator import STANDARD_STATION, Emulator, Fault, Request, Response
from tests.in_process import sync
from tests.reliability.v5 import ALL_DEVICES, V5, held, keyed, small_device, standing
from tests.support import TOKEN, Tap

Emulate = Callable[..., Emulator]
Spoil = Callable[[dict[str, Any]], object]


def spoilt(emulator: Emulator, spoil: Spoil) -> Callable[[Request], Response]:
    """Return the fault that changes every right answer."""

    def answer(request: Request) -> Response:
        body = json.loads(emulator.answer(request).body)
        spoil(body)
        return Response(body=json.dumps(body).encode())

    return answer


def otherwise(emulator: Emulator, **params: str | None) -> Callable[[Request], Response]:
    """Return the fault that heeds other parameters than those that were sent; None: none of this name."""

    def answer(request: Request) -> Response:
        if "next_token" in request.params:
            return emulator.answer(request)
        changed = {name: value for name, value in {**request.params, **params}.items() if value is not None}
        return emulator.answer(replace(request, params=changed))

    return answer


def test_a_service_that_ignores_direction_loses_nothing_silently(emulate: Emulate) -> None:
    """Where the newest month comes first, the device fails before a bookmark says that the older ones were read."""
    emulator = emulate(small_device(1), small_device(2), meets_limit=True)
    emulator.fail(Fault(otherwise(emulator, direction="descending"), "z6-00001"))

    run = sync(emulator, **V5)

    assert run.exit_code == 1
    assert "z6-00001 failed: the service ignores direction" in run.stderr.splitlines()[-1]
    assert keyed(run.records) == held(emulator, "z6-00002")
    assert standing(run.state).keys() == {"z6-00002"}


def test_a_single_month_that_comes_newest_first_is_read(emulate: Emulate) -> None:
    """Behind a page that is the only one there is nothing to lose."""
    emulator = emulate(small_device(1, records=15))
    emulator.fail(Fault(otherwise(emulator, direction="descending"), "z6-00001"))

    run = sync(emulator, api_version="v5", end_date="2026-01-31")

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)


def test_a_service_that_ignores_the_start_brings_nothing_twice(emulate: Emulate) -> None:
    """What lies before the look-back of a bookmark is left out, however much of it comes."""
    emulator = emulate(small_device(1))
    first = sync(emulator, api_version="v5", end_date="2026-03-10")
    emulator.fail(Fault(otherwise(emulator, start_datetime=None), "z6-00001"))

    second = sync(emulator, state=first.state, **V5)

    assert second.exit_code == 0, second.stderr
    assert keyed(first.records + second.records) == held(emulator)


def test_a_service_that_ignores_the_end_brings_nothing_beyond_it(emulate: Emulate) -> None:
    """What lies behind end_date is left out, and comes in a run for which it is wanted."""
    emulator = emulate(small_device(1))
    fault = Fault(otherwise(emulator, end_datetime=None), "z6-00001")
    emulator.fail(fault)

    first = sync(emulator, api_version="v5", end_date="2026-02-10")
    emulator.recover(fault)
    second = sync(emulator, state=first.state, **V5)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert max(row["timestamp_utc"] for row in first.records) <= "2026-02-10T00:00:00+00:00"
    assert keyed(first.records + second.records) == held(emulator)


def test_pages_that_never_end_fail_their_device_alone(emulate: Emulate) -> None:
    """Empty pages with a new token each are asked for so many times, and then no more; others are read."""
    emulator = emulate(small_device(1, records=0), small_device(2), device_burst=10_000)
    numbers = iter(range(10**6))

    def empty(body: dict[str, Any]) -> None:
        body["values"] = []
        body["pagination"]["next_token"] = f"more-{next(numbers)}"

    def never_ending(request: Request) -> Response:
        plain = {name: value for name, value in request.params.items() if name != "next_token"}
        return spoilt(emulator, empty)(replace(request, params=plain))

    emulator.fail(Fault(never_ending, "z6-00001"))

    run = sync(emulator, **V5)

    assert run.exit_code == 1
    assert run.stderr == "z6-00001 failed: 1000 pages in a row contained nothing new"
    assert keyed(run.records) == held(emulator, "z6-00002")


def test_data_that_are_lost_for_a_while_are_read_later(emulate: Emulate) -> None:
    """While a page of the service is empty that had readings, the bookmark stays; once they are back they arrive."""
    emulator = emulate(small_device(1))
    first = sync(emulator, api_version="v5", end_date="2026-02-10")
    fault = Fault(spoilt(emulator, lambda body: body.update(values=[])), "z6-00001")
    emulator.fail(fault)

    second = sync(emulator, state=first.state, **V5)
    emulator.recover(fault)
    third = sync(emulator, state=second.state, **V5)

    assert standing(second.state) == standing(first.state)
    assert second.records == []
    assert keyed(first.records) | keyed(third.records) == held(emulator)


LISTS: dict[str, Spoil] = {
    "no devices": lambda body: body.update(devices=[]),
    "newest readings long ago": lambda body: [one["data_range"].update(last_measurement=1) for one in body["devices"]],
    "newest readings in the future": lambda body: [
        one["data_range"].update(last_measurement=4_000_000_000) for one in body["devices"]
    ],
    "newest readings as text": lambda body: [
        one["data_range"].update(last_measurement="yesterday") for one in body["devices"]
    ],
    "no data_range": lambda body: [one.pop("data_range") for one in body["devices"]],
    "each device twice": lambda body: body.update(devices=2 * body["devices"]),
    "entries that are none": lambda body: body["devices"].extend([None, 7, {}, {"device_id": None}, {"device_id": ""}]),
    "a thousand pages": lambda body: body.update(pagination={"total_pages": 1000}),
    "less than no pages": lambda body: body.update(pagination={"total_pages": -1}),
    "a pagination that is none": lambda body: body.update(pagination=[]),
}


@pytest.mark.parametrize("spoil", LISTS.values(), ids=LISTS)
def test_a_list_that_lies_keeps_no_named_device_from_being_read(spoil: Spoil, emulate: Emulate) -> None:
    """Whatever the list says, the devices of device_sns are read whole and once; the state goes on."""
    emulator = emulate(small_device(1), small_device(2))
    emulator.fail(Fault(spoilt(emulator, spoil), "devices"))

    first = sync(emulator, **V5)
    second = sync(emulator, state=first.state, **V5)

    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr
    assert keyed(first.records + second.records) == held(emulator)


BROKEN_LISTS: dict[str, tuple[bytes, str]] = {
    "a page for people": (b"<html>Sign in</html>", "not JSON"),
    "a list": (b"[]", "unexpected response format"),
    "no devices": (b"{}", "missing required field `devices`"),
    "devices that are none": (b'{"devices": {}}', "`$.devices`"),
    "an error with status 200": (b'{"detail": "hiccup"}', "hiccup"),
    "nothing but brackets": (b"[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("body", "words"), BROKEN_LISTS.values(), ids=BROKEN_LISTS)
def test_a_list_that_is_none_is_told_in_a_line(body: bytes, words: str, emulate: Emulate) -> None:
    """Without device_sns the run fails with what was wrong of the list; no device is called."""
    emulator = emulate(small_device(1))
    emulator.fail(Fault(lambda _: Response(body=body), "devices"))

    run = sync(emulator, max_attempts=1, **ALL_DEVICES)

    assert run.exit_code == 1
    assert words in run.stderr.splitlines()[-1]
    assert run.records == []


ECHOES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "in a page for people": lambda *_: f"<html>{TOKEN}</html>".encode(),
    "in a detail": lambda *_: json.dumps({"detail": f"You sent {TOKEN}"}).encode(),
    "in an object": lambda *_: json.dumps({"detail": {TOKEN: [TOKEN]}}).encode(),
    "across the end of a long detail": lambda *_: json.dumps({"detail": 280 * "a" + TOKEN}).encode(),
    "as the serial number": lambda right, device_sn: right.replace(device_sn, TOKEN.encode()),
    "as the device's name": lambda right, _: right.replace(b'"Station"', f'"{TOKEN}"'.encode()),
    "as the units": lambda right, _: right.replace(b'"unit":"', b'"unit":"' + TOKEN.encode()),
    "as an unknown field": lambda right, _: right.replace(b'"port_num"', f'"{TOKEN}":1,"port_num"'.encode()),
    "as a measurement": lambda right, _: right.replace(b'"measurement":"', f'"measurement":"{TOKEN}'.encode()),
    "as the next token": lambda right, _: right.replace(b'"next_token":null', f'"next_token":"{TOKEN}"'.encode()),
}


def test_a_service_that_echoes_the_key_gets_it_nowhere(emulate: Emulate, tap: Tap) -> None:
    """However an answer repeats the key, neither log at debug level nor records nor state hold a piece of it."""
    answers = [(status, text) for status in (200, 404, 422, 429, 500) for text in ECHOES.values()]
    sensors = STANDARD_STATION[-2:]
    devices = [small_device(number, records=3, sensors=sensors) for number in range(len(answers))]
    emulator = emulate(*devices, device_burst=10)

    def echo(status: int, text: Callable[[bytes, bytes], bytes]) -> Callable[[Request], Response]:
        return lambda request: Response(status, text(emulator.answer(request).body, (request.device_sn or "").encode()))

    for device, (status, text) in zip(devices, answers, strict=True):
        emulator.fail(Fault(echo(status, text), device.device_sn, 2))

    run = tap.sync(emulator, loglevel="DEBUG", max_attempts=2, **V5)

    assert TOKEN[:15] not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
