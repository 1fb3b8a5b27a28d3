"""Damaged answers of `get_env_model_data`: right days or a failed station that says why; the others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tests.in_process import sync
from tests.reliability.attack import Attack
from tests.reliability.bodies import RIGHT, Bad
from tests.reliability.bodies_env import BODIES, NO_DAYS
from tests.reliability.streams import SMALL, days_claimed, days_held, days_of, outcomes, station, stations
from tests.support import Tap, emulators, held

if TYPE_CHECKING:
    from collections.abc import Iterator

Emulate = Callable[..., Emulator]
ENV = "get_env_model_data"
RECORDS = 300


def bad_days(emulator: Emulator, bad: Bad, model_type: str = "ETo") -> Callable[[Request], Response]:
    """Return the fault that spoils the answers of one model; readings and the other model are as they should be."""

    def answer(request: Request) -> Response:
        right = emulator.answer(request)
        is_hit = ENV in request.path and request.params["model_type"] == model_type
        return bad.answer(right.body) if is_hit else right

    return answer


class AttackOfStations(Attack):
    """One run against a fleet in which each device's ETo is another bad answer, and its ETr as it should be."""

    about = " (ETo, port 1)"

    def days(self, device_sn: str, model_type: str) -> dict[Any, Any]:
        """Return what was written of a station."""
        written = days_of(self.run.records_of("env_model_data"))
        return {key: day for key, day in written.items() if key[:2] == (device_sn, model_type)}


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackOfStations]:
    """Let all bad answers loose on one run."""
    device_sns = {name: f"z6-{number:05}" for number, name in enumerate(BODIES)}
    devices = [Device(device_sn, records=RECORDS, sensors=SMALL[:1]) for device_sn in device_sns.values()]
    with emulators() as emulate:
        emulator = emulate(*devices, window=0.02)
        for name, bad in BODIES.items():
            emulator.fail(Fault(bad_days(emulator, bad), device_sns[name]))
        settings: dict[str, Any] = {"env_models": json.dumps(stations(emulator.device_sns)), "max_attempts": 2}
        yield AttackOfStations(emulator, Tap(tmp_path_factory.mktemp("attack")).sync(emulator, **settings), device_sns)


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words != RIGHT])
def test_a_bad_answer_fails_its_station_and_says_why(name: str, attack: AttackOfStations) -> None:
    """No day of it is written, no bookmark moves; the device's other model is whole."""
    device_sn = attack.device_sns[name]
    failure = attack.failure(name)

    assert failure is not None
    assert BODIES[name].words in failure
    assert len(failure) < 700
    assert attack.days(device_sn, "ETo") == {}
    assert attack.days(device_sn, "ETr") == days_held(attack.emulator, [station(device_sn, "ETr")])
    assert {place[1] for place, _ in days_claimed(attack.run.state) if place[0] == device_sn} == {"ETr"}
    assert outcomes(attack.run)[device_sn] == ("failed", f"ETo, port 1: {failure}")


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words == RIGHT])
def test_an_unusual_answer_is_read(name: str, attack: AttackOfStations) -> None:
    """What is only unusual arrives whole, each day once."""
    device_sn = attack.device_sns[name]

    assert attack.failure(name) is None
    held_days = days_held(attack.emulator, [station(device_sn)])
    assert attack.days(device_sn, "ETo") == held_days
    rows = attack.run.records_of("env_model_data")
    of_device = [row for row in rows if (row["device_sn"], row["model_type"]) == (device_sn, "ETo")]
    assert len(of_device) == len(held_days)
    claimed = dict(days_claimed(attack.run.state))
    assert claimed[device_sn, "ETo", 1] == max(key[-1] for key in held_days)


def test_bad_answers_end_in_lines_and_not_in_a_traceback(attack: AttackOfStations) -> None:
    """Exit code 1, one line for each failed station before the last one; the readings are whole."""
    failed = [attack.device_sns[name] for name, bad in BODIES.items() if bad.words != RIGHT]

    assert attack.run.exit_code == 1
    assert "Traceback" not in attack.run.stderr
    last_lines = attack.run.stderr.splitlines()[-len(failed) - 1 : -1]
    assert [line.partition(" (ETo, port 1) failed: ")[0][-8:] for line in last_lines] == failed
    assert attack.run.all_rows == held(attack.emulator)


@pytest.mark.parametrize("body", NO_DAYS.values(), ids=NO_DAYS)
def test_an_answer_without_days_loses_none(body: bytes, emulate: Emulate) -> None:
    """The station is current; what its bookmark knew stays, and the next days are written once."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL))
    entries = [station("z6-00001")]
    never = Fault(bad_days(emulator, Bad(lambda _: body)))
    first = sync(emulator, env_models=entries)
    emulator.grow(96 * 3)
    emulator.fail(never)
    empty = sync(emulator, env_models=entries, state=first.state)
    emulator.recover(never)
    third = sync(emulator, env_models=entries, state=empty.state)

    assert (empty.exit_code, empty.records_of("env_model_data")) == (0, [])
    assert dict(days_claimed(empty.state)) == dict(days_claimed(first.state))
    written = [*first.records_of("env_model_data"), *third.records_of("env_model_data")]
    assert days_of(written) == days_held(emulator, entries)
    assert len(third.records_of("env_model_data")) <= 4


def test_an_answer_that_ignores_its_range_writes_nothing_again(emulate: Emulate) -> None:
    """Neither start nor end: days before the look-back are left out, and so are those after `end_date`."""
    emulator = emulate(Device("z6-00001", records=96 * 30, sensors=SMALL))
    entries = [station("z6-00001")]

    def all_days(request: Request) -> Response:
        params = {name: told for name, told in request.params.items() if name not in {"start_date", "end_date"}}
        if ENV not in request.path:
            return emulator.answer(request)
        return emulator.answer(Request(request.path, params, request.authorization))

    emulator.fail(Fault(all_days))
    first = sync(emulator, env_models=entries, end_date="2026-01-20T12:00:00Z")
    rest = sync(emulator, env_models=entries, state=first.state)
    idle = sync(emulator, env_models=entries, state=rest.state)

    assert max(row["timestamp_utc"] for row in first.records_of("env_model_data")) <= "2026-01-20T12:00:00+00:00"
    written = [*first.records_of("env_model_data"), *rest.records_of("env_model_data")]
    assert days_of(written) == days_held(emulator, entries)
    assert len(written) == len(days_held(emulator, entries))
    assert idle.records_of("env_model_data") == []


@pytest.mark.parametrize(
    "refusal",
    [
        Response(500, b"<h1>Server Error (500)</h1>", "text/html"),
        Response(503, b"maintenance", "text/html"),
        Response(200, b"<html>maintenance</html>", "text/html"),
        Response(429, b'{"detail": "Device z6-00001 is over its limit of 1 call. The lock expires in 0.1 seconds."}'),
        Response(429, b"Too many requests", "text/html"),
    ],
    ids=["500", "503", "html", "429 with a time", "429 without one"],
)
def test_a_call_for_days_that_is_refused_for_a_while_brings_them_in_the_end(
    refusal: Response, emulate: Emulate
) -> None:
    """Each day once, and the readings of the device too."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL), window=0.05)
    left = 3

    def answer(request: Request) -> Response:
        nonlocal left
        if ENV not in request.path or not left:
            return emulator.answer(request)
        left -= 1
        return refusal

    emulator.fail(Fault(answer))
    entries = stations(["z6-00001"])

    run = sync(emulator, env_models=entries)

    assert run.exit_code == 0, run.stderr
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, entries)
    assert len(run.records_of("env_model_data")) == len(days_held(emulator, entries))
    assert run.all_rows == held(emulator)


def test_a_value_that_is_nan_is_null(emulate: Emulate) -> None:
    """As the bare word, which is no JSON; the next run has nothing to say of it."""
    emulator = emulate(
        Device("z6-00001", records=RECORDS, sensors=SMALL, silences=((100, 5 * 86_400),)), empty_days="nan"
    )
    entries = [station("z6-00001")]

    run = sync(emulator, env_models=entries)
    idle = sync(emulator, env_models=entries, state=run.state)

    values = [row["value"] for row in run.records_of("env_model_data")]
    assert values.count(None) >= 4
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, entries)
    assert idle.records_of("env_model_data") == []
