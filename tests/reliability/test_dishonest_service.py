"""A service that says one thing and does another: nobody is fooled, nothing is skipped, and every run ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tap_zentra.v4.pagination import EMPTY_PAGES_IN_A_ROW, MridPaginator, NoProgressError
from tests.support import TOKEN, Tap, bookmarks, held

Emulate = Callable[..., Emulator]
Spoil = Callable[[dict[str, Any]], dict[str, Any]]


def spoilt(emulator: Emulator, spoil: Spoil) -> Callable[[Request], Response]:
    """Return the fault that changes every right answer."""

    def answer(request: Request) -> Response:
        return Response(body=json.dumps(spoil(json.loads(emulator.answer(request).body))).encode())

    return answer


def no_data(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a service that has lost its data, and knows yet how much there was."""
    return body | {"data": {}}


def test_a_first_sync_without_any_data_is_not_called_nothing_new(emulate: Emulate, tap: Tap) -> None:
    """A device that has a newest record and brings none is told of in a warning."""
    emulator = emulate(Device("z6-00001", records=60), device_limit=100)
    emulator.fail(Fault(spoilt(emulator, no_data)))

    run = tap.sync(emulator, page_size=20)

    assert "z6-00001: its newest record is mrid 60, but the service returned no records" in run.stderr
    assert bookmarks(run.state) == {}


def test_data_that_is_lost_for_a_while_is_read_later(emulate: Emulate, tap: Tap) -> None:
    """While the service has lost its data the bookmark stays; once they are back they arrive."""
    emulator = emulate(Device("z6-00001", records=60), device_limit=100)
    first = tap.sync(emulator, page_size=20)
    emulator.grow(50)
    fault = Fault(spoilt(emulator, no_data))
    emulator.fail(fault)

    second = tap.sync(emulator, page_size=20, state=first.state)
    emulator.recover(fault)
    third = tap.sync(emulator, page_size=20, state=second.state)

    assert "its newest record is mrid 110, but the service returned nothing after mrid 60" in second.stderr
    assert bookmarks(second.state) == {"z6-00001": 60}
    assert first.rows["z6-00001"] | third.rows["z6-00001"] == held(emulator)


def test_a_service_that_cuts_pages_shorter_loses_nothing(emulate: Emulate, tap: Tap) -> None:
    """When it allows fewer records than asked for, an empty page is skipped by what it allows."""
    emulator = emulate(Device("z6-00001", records=120, gaps=((11, 33), (50, 94))), pages="ids", device_limit=100)

    def five_at_most(request: Request) -> Response:
        return emulator.answer(replace(request, params={**request.params, "per_page": "5"}))

    emulator.fail(Fault(five_at_most))

    run = tap.sync(emulator, page_size=20)

    assert run.exit_code == 0, run.stderr
    assert run.rows["z6-00001"] == held(emulator)


def test_empty_pages_without_end_come_to_an_end() -> None:
    """A newest record beyond all reason does not keep a device for ever: it fails, and says why."""
    reader = MridPaginator(bookmark=5, page_size=2000, now=0)

    for _ in range(EMPTY_PAGES_IN_A_ROW):
        reader.advance(2**62, {})

    with pytest.raises(NoProgressError, match="empty pages in a row"):
        reader.advance(2**62, {})
    assert reader.done


@pytest.mark.long
@pytest.mark.parametrize(("megabytes", "words"), [(200, "1 current"), (300, "larger than 256 MiB")])
def test_a_body_of_hundreds_of_megabytes(megabytes: int, words: str, emulate: Emulate, tap: Tap) -> None:
    """Up to a bound it is read like any other; beyond, its device fails."""
    emulator = emulate(Device("z6-00001", records=5))
    emulator.fail(Fault(lambda request: Response(body=emulator.answer(request).body + megabytes * 2**20 * b" ")))

    run = tap.sync(emulator)

    assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert run.rows.get("z6-00001", {}) == (held(emulator) if run.exit_code == 0 else {})


ECHOES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "in a page for people": lambda *_: f"<html>{TOKEN}</html>".encode(),
    "in the middle of an excerpt's end": lambda *_: b"<p>" + 60 * b"a" + TOKEN.encode(),
    "in a detail": lambda *_: json.dumps({"detail": f"You sent Token {TOKEN}"}).encode(),
    "across the end of a long detail": lambda *_: json.dumps({"detail": 280 * "a" + TOKEN}).encode(),
    "in half a body": lambda *_: b'{"authorization": "Token ' + TOKEN.encode(),
    "as the serial number": lambda right, device_sn: right.replace(device_sn, TOKEN.encode()),
    "as the device's name": lambda right, _: right.replace(b'"Station"', f'"{TOKEN}"'.encode()),
    "as the units": lambda right, _: right.replace(b'"units":"', b'"units":"' + TOKEN.encode()),
    "as an unknown field": lambda right, _: right.replace(b'"port_number"', f'"{TOKEN}":1,"port_number"'.encode()),
    "as a measurement with an error in it": lambda right, _: right.replace(
        b'"Air Temperature":[', f'"{TOKEN}":[null],"Air Temperature":['.encode()
    ),
}


def test_a_service_that_echoes_the_token_gets_it_nowhere(emulate: Emulate, tap: Tap) -> None:
    """However an answer repeats the token, neither log at debug level nor records nor state hold a piece of it."""
    answers = list(itertools.product((200, 404, 429, 500), ECHOES.values()))
    devices = [Device(f"z6-{number:05}", records=3) for number in range(len(answers))]
    emulator = emulate(*devices, device_limit=10)

    def echo(status: int, text: Callable[[bytes, bytes], bytes]) -> Callable[[Request], Response]:
        return lambda request: Response(
            status, text(emulator.answer(request).body, request.params["device_sn"].encode())
        )

    for device, (status, text) in zip(devices, answers, strict=True):
        emulator.fail(Fault(echo(status, text), device.device_sn, 2))

    run = tap.sync(emulator, loglevel="DEBUG", max_attempts=2)

    assert TOKEN[:15] not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
