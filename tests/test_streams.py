"""All streams of a run together: whole runs in this process, against the emulator."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Fault, Response, eventful_fleet
from tap_zentra.singer.sensors import SENSORS_KEY
from tap_zentra.v4.env_model import ENV_MODEL_DATA_KEY
from tests.in_process import sync
from tests.support import by_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zentra.emulator import Emulator
    from tests.support import Run

    Emulate = Callable[..., Emulator]

INPUTS: dict[str, Any] = {"elevation": 806, "latitude": 32.25}


def _models(*stations: tuple[str, int, str]) -> str:
    return json.dumps(
        [
            {"device_sn": device_sn, "port_number": port, "model_type": model, **INPUTS}
            for device_sn, port, model in stations
        ]
    )


def _days(emulator: Emulator, *stations: tuple[str, int, str]) -> dict[tuple[Any, ...], object]:
    """Return the value of each day that the service has, by key, with the day's end in seconds since 1970."""
    return {
        (device_sn, model, port, day["timestamp_utc"]): day["value"]
        for device_sn, port, model in stations
        for day in emulator.env_model(device_sn, port, model, **INPUTS)
    }


def _written_days(run: Run) -> dict[tuple[Any, ...], float | None]:
    rows = by_key(run.records_of("env_model_data"), ENV_MODEL_DATA_KEY)
    return {(*key[:3], _seconds(key[3])): row["value"] for key, row in rows.items()}


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _channels(records: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    rows = by_key(records, SENSORS_KEY)
    return {key: (_seconds(row["first_seen_utc"]), _seconds(row["last_seen_utc"])) for key, row in rows.items()}


def _channels_of(emulator: Emulator, api_version: str) -> dict[tuple[Any, ...], tuple[object, object]]:
    tell = emulator.channels_v5 if api_version == "v5" else emulator.channels
    return {
        (device_sn, *(channel[name] for name in SENSORS_KEY[1:])): (
            channel["first_timestamp"],
            channel["last_timestamp"],
        )
        for device_sn in emulator.device_sns
        for channel in tell(device_sn)
    }


@pytest.mark.parametrize("api_version", ["v4", "v5"])
@pytest.mark.parametrize("page_size", [100, 2000])
def test_every_channel_is_told_of_with_its_time(api_version: str, page_size: int, emulate: Emulate) -> None:
    """Swapped probes, moved ports and changed units show as records; one for each channel, whatever the pages are."""
    visible = [device for device in eventful_fleet(interval=3600) if not device.of_another_user and not device.clock]
    emulator = emulate(*visible)
    settings: dict[str, Any] = {"page_size": page_size} if api_version == "v4" else {}

    run = sync(emulator, api_version=api_version, **settings)

    assert run.exit_code == 0, run.stderr
    assert _channels(run.records_of("sensors")) == _channels_of(emulator, api_version)


@pytest.mark.parametrize("api_version", ["v4", "v5"])
def test_a_clock_that_is_ahead_is_no_moment_of_a_channel(api_version: str, emulate: Emulate) -> None:
    """The channels are there, and none is said to have been seen in the future."""
    emulator = emulate(Device("z6-00001", records=20, clock=((15, 18, 400 * 86_400),)))
    run = sync(emulator, api_version=api_version)

    latest = max(last for _, last in _channels(run.records_of("sensors")).values())
    assert latest == emulator.device("z6-00001").timestamp(20)


def test_each_days_evapotranspiration_is_written_once(emulate: Emulate) -> None:
    """Of each station and model; what has not changed is not written again, and what is new is."""
    fleet = [Device("z6-00001", records=300), Device("z6-00002", records=500), Device("z6-00003", records=40)]
    emulator = emulate(*fleet)
    stations = [("z6-00001", 1, "ETo"), ("z6-00001", 1, "ETr"), ("z6-00002", 1, "ETo")]
    first = sync(emulator, env_models=_models(*stations))
    before = _days(emulator, *stations)
    idle = sync(emulator, state=first.state, env_models=_models(*stations))
    emulator.grow(200, "z6-00001")
    grown = sync(emulator, state=idle.state, env_models=_models(*stations))

    assert (first.exit_code, idle.exit_code, grown.exit_code) == (0, 0, 0)
    assert _written_days(first) == before
    assert idle.records_of("env_model_data") == []
    after = _days(emulator, *stations)
    assert _written_days(grown) == {key: value for key, value in after.items() if before.get(key, ...) != value}
    assert {key[0] for key in _written_days(grown)} == {"z6-00001"}


def test_a_station_that_is_added_later_is_read_from_its_start(emulate: Emulate) -> None:
    """And one whose inputs were corrected, for its values change; the others go on from where they were."""
    emulator = emulate(Device("z6-00001", records=300), Device("z6-00002", records=300))
    one, other = ("z6-00001", 1, "ETo"), ("z6-00001", 1, "ETr")
    first = sync(emulator, env_models=_models(one))
    added = sync(emulator, state=first.state, env_models=_models(one, other))
    corrected = json.loads(_models(one, other))
    corrected[0]["elevation"] = 80
    again = sync(emulator, state=added.state, env_models=json.dumps(corrected))

    assert _written_days(added) == _days(emulator, other)
    assert _written_days(again).keys() == _days(emulator, one).keys()


def test_a_device_whose_readings_fail_keeps_no_station_from_being_remembered(emulate: Emulate) -> None:
    """The state has what was written, although the first stream has nothing to say."""
    emulator = emulate(Device("z6-00001", of_another_user=True), Device("z6-00002", records=300))
    station = ("z6-00002", 1, "ETo")

    run = sync(emulator, device_sns="z6-00001", env_models=_models(station))

    assert run.exit_code == 1
    assert _written_days(run) == _days(emulator, station)
    (partition,) = run.state["bookmarks"]["env_model_data"]["partitions"]
    assert _seconds(partition["replication_key_value"]) == max(key[3] for key in _days(emulator, station))


def test_one_streams_failure_hides_no_others(emulate: Emulate) -> None:
    """A wrong port and a device of another user are both named, by `devices` as well; all else is written."""
    emulator = emulate(Device("z6-00001", records=50), Device("z6-00002", of_another_user=True))
    right, wrong = ("z6-00001", 1, "ETo"), ("z6-00001", 3, "ETr")

    run = sync(emulator, env_models=_models(right, wrong))

    assert [line.split(":")[0] for line in run.stderr.splitlines()] == [
        "z6-00002 failed",
        "z6-00001 (ETr, port 3) failed",
    ]
    assert _written_days(run) == _days(emulator, right)
    outcomes = {row["device_sn"]: (row["outcome"], row["error"]) for row in run.records_of("devices")}
    assert {device_sn: outcome for device_sn, (outcome, _) in outcomes.items()} == {
        "z6-00001": "failed",
        "z6-00002": "failed",
    }
    assert outcomes["z6-00001"][1].startswith(
        "ETr, port 3: the service rejected the call (400 Bad Request: There is no"
    )
    assert "403 Forbidden" in outcomes["z6-00002"][1]


@pytest.mark.parametrize("stream", ["readings", "env_model_data", "devices", "sensors"])
def test_a_map_that_fails_in_one_stream_leaves_the_others_alone(stream: str, emulate: Emulate) -> None:
    """They are written as if it were not there, and the run names what failed."""
    emulator = emulate(*(Device(f"z6-0000{number}", records=120) for number in (1, 2)))
    settings: dict[str, Any] = {"env_models": _models(("z6-00001", 1, "ETo")), "page_size": 50}
    whole = sync(emulator, **settings)
    maps = {stream: {"x": "1 / 0"}}

    run = sync(emulator, stream_maps=maps, **settings)

    assert run.exit_code == 1
    assert run.stderr.startswith(f"stream map of {stream}: `x: 1 / 0` failed for the record with ")
    for other in {"readings", "env_model_data", "sensors"} - {stream, "sensors" if stream == "readings" else ""}:
        assert _without_order(run.records_of(other)) == _without_order(whole.records_of(other))
    assert run.records_of(stream) == []


def _without_order(records: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(record) for record in records)


def test_the_last_things_known_of_a_device_stay_when_it_fails(emulate: Emulate) -> None:
    """So that a dashboard does not lose its name on the day that matters."""
    emulator = emulate(Device("z6-00001", name="Meadow", records=50))
    first = sync(emulator)
    emulator.fail(Fault(lambda _: Response(403, b'{"detail": "No."}')))
    failed = sync(emulator, state=first.state)
    (before,), (after,) = first.records_of("devices"), failed.records_of("devices")

    told = ("device_name", "first_reading_utc", "last_reading_utc", "first_mrid", "last_mrid")
    assert [after[name] for name in told] == [before[name] for name in told]
    assert (before["device_name"], before["first_mrid"], before["last_mrid"]) == ("Meadow", 1, 50)
    assert (after["outcome"], after["readings_read"]) == ("failed", 0)


def test_the_place_of_a_device_stays_when_it_is_not_asked(emulate: Emulate) -> None:
    """An idle run of API v5 asks no device, and tells all the same where each is."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=50) for number in range(1, 7)))
    first = sync(emulator, api_version="v5")
    idle = sync(emulator, api_version="v5", state=first.state)
    truth = {device["device_id"]: device for device in emulator.devices_v5()}

    for run in (first, idle):
        rows = {row["device_sn"]: row for row in run.records_of("devices")}
        assert rows.keys() == truth.keys()
        for device_sn, row in rows.items():
            latitude, longitude = truth[device_sn]["latitude"], truth[device_sn]["longitude"]
            place = (latitude or None, longitude or None)
            assert (row["location"], row["latitude"], row["longitude"]) == (truth[device_sn]["location"], *place)
            assert row["outcome"] == "current"
    assert [row["calls"] for row in idle.records_of("devices")] == [0] * 6


def test_devices_alone_cost_one_call_each(emulate: Emulate) -> None:
    """The newest reading is what is asked for: alive or not is what the table is for."""
    emulator = emulate(Device("z6-00001", name="Meadow", records=5000), Device("z6-00002", records=0))
    emulator.let_window_pass()

    run = sync(emulator, streams=["devices"])

    assert len(emulator.calls) == 2
    rows = {row["device_sn"]: row for row in run.records_of("devices")}
    meadow = rows["z6-00001"]
    assert (meadow["device_name"], meadow["last_mrid"], meadow["outcome"]) == ("Meadow", 5000, "current")
    assert _seconds(meadow["last_reading_utc"]) == emulator.device("z6-00001").timestamp(5000)
    assert (rows["z6-00002"]["last_reading_utc"], rows["z6-00002"]["last_mrid"]) == (None, None)
    assert {message["stream"] for message in run.messages if message["type"] != "STATE"} == {"devices"}


def test_devices_alone_cost_the_list_alone(emulate: Emulate) -> None:
    """With API v5."""
    emulator = emulate(*(Device(f"z6-0000{number}", records=50) for number in (1, 2)))

    run = sync(emulator, api_version="v5", streams=["devices"])

    assert [call.path for call in emulator.calls] == ["/v5/devices"]
    rows = run.records_of("devices")
    newest = [emulator.device(row["device_sn"]).timestamp(50) for row in rows]
    assert [_seconds(row["last_reading_utc"]) for row in rows] == newest
    assert [(row["outcome"], row["error"]) for row in rows] == [("not asked", None)] * 2


@pytest.mark.parametrize(("api_version", "readings"), [("v4", "readings"), ("v5", "readings_v5")])
def test_sensors_alone_cost_the_calls_of_the_readings(api_version: str, readings: str, emulate: Emulate) -> None:
    """And move no bookmark of theirs: what was not written is not passed over."""
    fleet = [replace(device, of_another_user=False) for device in eventful_fleet(interval=3600)[:3]]
    emulator = emulate(*fleet)
    settings: dict[str, Any] = {"page_size": 100} if api_version == "v4" else {}
    whole = sync(emulator, api_version=api_version, **settings)
    calls = len(emulator.calls)

    alone = sync(emulator, api_version=api_version, streams=["sensors"], **settings)

    assert len(emulator.calls) == 2 * calls
    assert _without_order(alone.records_of("sensors")) == _without_order(whole.records_of("sensors"))
    assert alone.records == []
    assert not alone.state.get("bookmarks", {}).get(readings)
