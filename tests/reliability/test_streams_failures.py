"""What goes wrong in one stream of v4 hides nothing of the others, and does not stop them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tests.in_process import sync
from tests.reliability.streams import (
    SMALL,
    V4_STREAMS,
    channels_held,
    channels_of,
    days_held,
    days_of,
    outcomes,
    station,
    stations,
)
from tests.support import bookmarks, held, is_schema_of

if TYPE_CHECKING:
    from tests.support import Run

Emulate = Callable[..., Emulator]

ENV = "get_env_model_data"
READINGS = "get_readings"
RECORDS = 300


def small_fleet(count: int = 3) -> list[Device]:
    """Return devices of three days, with a weather station and a probe."""
    return [Device(f"z6-{number:05}", records=RECORDS, sensors=SMALL) for number in range(1, count + 1)]


def only(emulator: Emulator, endpoint: str, response: Response) -> Callable[[Request], Response]:
    """Return the fault of one endpoint: the others answer as they should."""
    return lambda request: response if endpoint in request.path else emulator.answer(request)


REFUSED = Response(403, json.dumps({"detail": "You do not have permission to perform this action."}).encode())


def require_all(run: Run, emulator: Emulator, streams: tuple[str, ...], entries: list[dict[str, Any]]) -> None:
    """Require that a run has brought some streams whole."""
    if "readings" in streams:
        assert run.all_rows == held(emulator)
        assert bookmarks(run.state) == dict.fromkeys(emulator.device_sns, RECORDS)
    if "env_model_data" in streams:
        assert days_of(run.records_of("env_model_data")) == days_held(emulator, entries)
    if "sensors" in streams:
        assert channels_of(run.records_of("sensors")) == channels_held(emulator)
    if "devices" in streams:
        assert list(outcomes(run)) == emulator.device_sns


BROKEN_MAP = {"broken": "no_such_column + 1"}


@pytest.mark.parametrize("on_device_failure", ["fail", "warn"])
@pytest.mark.parametrize("failing", V4_STREAMS)
def test_a_stream_map_that_fails_ends_its_stream_alone(failing: str, on_device_failure: str, emulate: Emulate) -> None:
    """The others are whole, but for what the readings are read for; one line names the map, whatever the settings."""
    emulator = emulate(*small_fleet())
    entries = stations(emulator.device_sns)

    run = sync(
        emulator,
        env_models=entries,
        stream_maps={failing: BROKEN_MAP},
        page_size=100,
        on_device_failure=on_device_failure,
    )

    assert run.exit_code == 1
    assert [line.partition(":")[0] for line in run.stderr.splitlines()] == [f"stream map of {failing}"]
    depends = {"readings": ("readings", "sensors")}
    gone = depends.get(failing, (failing,))
    require_all(run, emulator, tuple(stream for stream in V4_STREAMS if stream not in gone), entries)
    assert run.records_of(failing) == []


def test_a_stream_map_of_the_readings_that_fails_is_told_of_each_device(emulate: Emulate) -> None:
    """In the stream `devices`, which says that none was read; no bookmark has moved."""
    emulator = emulate(*small_fleet())

    run = sync(emulator, stream_maps={"readings": BROKEN_MAP})

    told = outcomes(run)
    assert {outcome for outcome, _ in told.values()} == {"failed"}
    assert all("stream map of readings" in str(error) for _, error in told.values())
    assert bookmarks(run.state) == {}


@pytest.mark.parametrize("on_device_failure", ["fail", "warn"])
def test_a_device_that_fails_in_one_stream_is_whole_in_the_other(on_device_failure: str, emulate: Emulate) -> None:
    """Each failure has a line of its own; `devices` names all of a device's; with `warn` the run ends well."""
    emulator = emulate(*small_fleet(4))
    both, in_readings, in_days, _ = emulator.device_sns
    emulator.fail(Fault(only(emulator, "/get_", REFUSED), both))
    emulator.fail(Fault(only(emulator, READINGS, REFUSED), in_readings))
    emulator.fail(Fault(only(emulator, ENV, REFUSED), in_days))
    entries = [station(device_sn) for device_sn in emulator.device_sns]

    run = sync(emulator, env_models=entries, on_device_failure=on_device_failure)

    assert run.rows == {device_sn: held(emulator, device_sn) for device_sn in emulator.device_sns[2:]}
    whole = [entry for entry in entries if entry["device_sn"] not in {both, in_days}]
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, whole)
    told = outcomes(run)
    assert [outcome for outcome, _ in told.values()] == ["failed", "failed", "failed", "current"]
    assert str(told[both][1]).count("403") == 2
    assert "ETo, port 1: " in str(told[both][1])
    assert str(told[in_readings][1]).startswith("the service rejected")
    assert str(told[in_days][1]).startswith("ETo, port 1: the service rejected")
    if on_device_failure == "warn":
        assert run.exit_code == 0
    else:
        assert [line.partition(" failed: ")[0] for line in run.stderr.splitlines()] == [
            both,
            in_readings,
            f"{both} (ETo, port 1)",
            f"{in_days} (ETo, port 1)",
        ]


def test_a_wrong_port_fails_its_entry_alone(emulate: Emulate) -> None:
    """The other entry of the same device is read, its bookmark kept, and the line names what to check."""
    emulator = emulate(*small_fleet(1))
    right, wrong = station("z6-00001"), station("z6-00001", port_number=3)

    run = sync(emulator, env_models=[wrong, right])

    (line,) = run.stderr.splitlines()
    assert line.startswith("z6-00001 (ETo, port 3) failed: ")
    assert "port_number 3" in line
    require_all(run, emulator, ("readings", "sensors"), [])
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, [right])
    ((_, error),) = outcomes(run).values()
    assert str(error).startswith("ETo, port 3: ")
    again = sync(emulator, env_models=[wrong, right], state=run.state)
    assert again.records_of("env_model_data") == []
    right_alone = sync(emulator, env_models=[right], state=run.state)
    assert (right_alone.exit_code, right_alone.records_of("env_model_data")) == (0, [])


def test_a_station_of_another_user_leaves_the_rest_whole(emulate: Emulate) -> None:
    """It fails in both streams, the other devices in none."""
    mine, foreign = small_fleet(1)[0], Device("z6-09999", of_another_user=True, sensors=SMALL)
    emulator = emulate(mine, foreign)
    entries = stations(emulator.device_sns)

    run = sync(emulator, env_models=entries)

    assert run.rows == {"z6-00001": held(emulator)} | {}
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, entries)
    assert [line.partition(" failed: ")[0] for line in run.stderr.splitlines()] == [
        "z6-09999",
        "z6-09999 (ETo, port 1)",
        "z6-09999 (ETr, port 1)",
    ]
    assert {sn: outcome for sn, (outcome, _) in outcomes(run).items()} == {"z6-00001": "current", "z6-09999": "failed"}


@pytest.mark.parametrize("call", [1, 2, 5])
def test_a_token_that_is_refused_in_the_middle_is_told_of_each_device(call: int, emulate: Emulate) -> None:
    """Each has a row whose error says so, unless it had been read; what was read is in all streams."""
    emulator = emulate(*small_fleet(4))
    calls = 0

    def answer(request: Request) -> Response:
        nonlocal calls
        calls += 1
        return emulator.answer(request) if calls < call else Response(401, b'{"detail": "Invalid token."}')

    emulator.fail(Fault(answer))
    entries = stations(emulator.device_sns)

    run = sync(emulator, env_models=entries, max_concurrent_calls=1, on_device_failure="warn")

    assert run.exit_code == 1
    assert len(run.stderr.splitlines()) == 1
    assert "rejected the token" in run.stderr
    told = outcomes(run)
    assert list(told) == emulator.device_sns
    assert all(error for outcome, error in told.values() if outcome != "current")
    assert {channel[0] for channel in channels_of(run.records_of("sensors"))} == run.rows.keys()
    for device_sn, rows in run.rows.items():
        assert max(key[1] for key in rows) == bookmarks(run.state)[device_sn]


def test_with_warn_a_run_in_which_every_device_fails_in_days_fails(emulate: Emulate) -> None:
    """No device was read to its end in all that was wanted, so later steps have to know."""
    emulator = emulate(*small_fleet())
    emulator.fail(Fault(only(emulator, ENV, REFUSED)))

    run = sync(emulator, env_models=stations(emulator.device_sns), on_device_failure="warn")

    assert run.exit_code == 1
    require_all(run, emulator, ("readings", "sensors", "devices"), [])


def test_a_station_alone_in_env_models_has_no_readings(emulate: Emulate) -> None:
    """Its row in `devices` tells of none: neither a day nor its bookmark passes for a reading or an mrid."""
    mine, other = small_fleet(2)
    emulator = emulate(mine, other)
    alone = other.device_sn
    entries = [station(alone), station(alone.upper(), "ETr"), station(mine.device_sn.upper())]

    run = sync(emulator, device_sns=[mine.device_sn], env_models=entries)

    assert run.exit_code == 0, run.stderr
    assert run.rows.keys() == {mine.device_sn}
    rows = {row["device_sn"]: row for row in run.records_of("devices")}
    assert rows.keys() == {mine.device_sn, alone}
    row = rows[alone]
    assert (row["outcome"], row["readings_read"], row["calls"]) == ("current", 0, 2)
    assert {name: told for name, told in row.items() if "reading_utc" in name or "mrid" in name} == {
        "first_reading_utc": None,
        "last_reading_utc": None,
        "first_mrid": None,
        "last_mrid": None,
    }
    assert {row["device_sn"] for row in run.records_of("env_model_data")} == {mine.device_sn, alone}
    again = sync(emulator, device_sns=[mine.device_sn], env_models=entries, state=run.state)
    assert again.records_of("env_model_data") == []
    rows = {row["device_sn"]: row for row in again.records_of("devices")}
    assert (rows[alone]["last_mrid"], rows[alone]["last_reading_utc"]) == (None, None)


def test_an_idle_run_brings_a_row_for_each_device_and_no_more(emulate: Emulate) -> None:
    """Nothing of readings and days; of sensors what was looked at again, with its last reading."""
    emulator = emulate(*small_fleet(2))
    settings: dict[str, Any] = {"env_models": stations(emulator.device_sns)}
    first = sync(emulator, **settings)

    idle = sync(emulator, **settings, state=first.state)

    assert idle.exit_code == 0
    assert idle.records == []
    assert idle.records_of("env_model_data") == []
    assert outcomes(idle) == dict.fromkeys(emulator.device_sns, ("current", None))
    seen, there = channels_of(idle.records_of("sensors")), channels_held(emulator)
    assert {key: channel["last_mrid"] for key, channel in seen.items()} == {
        key: channel["last_mrid"] for key, channel in there.items()
    }
    before = {row["device_sn"]: row for row in first.records_of("devices")}
    for row in idle.records_of("devices"):
        lasting = ("device_name", "first_reading_utc", "last_reading_utc", "first_mrid", "last_mrid")
        assert {name: row[name] for name in lasting} == {name: before[row["device_sn"]][name] for name in lasting}


@pytest.mark.parametrize("days_back", [0, 1, 6])
def test_a_day_that_is_corrected_is_written_once(days_back: int, emulate: Emulate) -> None:
    """Within the look-back, whichever day it is, with its new value; the next run has nothing to say of it."""
    emulator = emulate(Device("z6-00001", records=96 * 12, sensors=SMALL))
    entries = [station("z6-00001")]
    first = sync(emulator, env_models=entries)
    number = -1 - days_back

    def corrected(request: Request) -> Response:
        right = emulator.answer(request)
        if ENV not in request.path:
            return right
        body = json.loads(right.body)
        body["data"]["readings"][number] |= {"value": 9.9}
        return Response(200, json.dumps(body).encode())

    emulator.fail(Fault(corrected))
    second = sync(emulator, env_models=entries, state=first.state)
    third = sync(emulator, env_models=entries, state=second.state)

    (row,) = second.records_of("env_model_data")
    assert row["value"] == 9.9
    assert row["timestamp_utc"] == first.records_of("env_model_data")[number]["timestamp_utc"]
    assert second.records == []
    assert third.records_of("env_model_data") == []


def test_a_state_of_0_1_0_goes_on_with_all_streams(emulate: Emulate) -> None:
    """It knows readings alone, and these without an overlap: no reading comes again, all days and channels come."""
    emulator = emulate(*small_fleet(2))
    partitions = [
        {"context": {"device_sn": device_sn}, "replication_key": "mrid", "replication_key_value": RECORDS}
        for device_sn in emulator.device_sns
    ]
    entries = stations(emulator.device_sns)

    run = sync(emulator, env_models=entries, state={"bookmarks": {"readings": {"partitions": partitions}}})

    assert run.exit_code == 0, run.stderr
    assert run.records == []
    require_all(run, emulator, ("env_model_data", "devices"), entries)
    assert channels_of(run.records_of("sensors")).keys() == channels_held(emulator).keys()
    assert bookmarks(run.state) == dict.fromkeys(emulator.device_sns, RECORDS)


def test_a_device_that_is_read_again_comes_again_in_all_streams(emulate: Emulate) -> None:
    """Its readings and days from their start, its channels with their first reading; nothing of another device."""
    emulator = emulate(*small_fleet(2))
    entries = stations(emulator.device_sns)
    first = sync(emulator, env_models=entries)

    again = sync(emulator, env_models=entries, state=first.state, reread_device_sns=["z6-00002"])

    assert again.all_rows == held(emulator, "z6-00002")
    assert days_of(again.records_of("env_model_data")) == days_held(emulator, stations(["z6-00002"]))
    told = channels_of(again.records_of("sensors"))
    of_device = {key: channel for key, channel in told.items() if key[0] == "z6-00002"}
    assert of_device == channels_held(emulator, "z6-00002")
    assert bookmarks(again.state) == bookmarks(first.state)


def test_all_failures_are_named_at_the_end(emulate: Emulate) -> None:
    """Of maps, devices and stations together, in one place, a line each; the rest is whole."""
    emulator = emulate(*small_fleet(3))
    emulator.fail(Fault(only(emulator, READINGS, REFUSED), "z6-00001"))
    entries = [station("z6-00002"), station("z6-00003", port_number=5)]

    run = sync(emulator, env_models=entries, stream_maps={"sensors": BROKEN_MAP})

    starts = ["z6-00001 failed: ", "z6-00003 (ETo, port 5) failed: ", "stream map of sensors: "]
    assert len(run.stderr.splitlines()) == len(starts)
    for start, line in zip(starts, run.stderr.splitlines(), strict=True):
        assert line.startswith(start)
    assert run.rows == {device_sn: held(emulator, device_sn) for device_sn in emulator.device_sns[1:]}
    assert days_of(run.records_of("env_model_data")) == days_held(emulator, entries[:1])
    assert [outcome for outcome, _ in outcomes(run).values()] == ["failed", "current", "failed"]


def test_a_moment_of_a_row_in_devices_is_that_of_the_runs_end(emulate: Emulate) -> None:
    """So that whoever joins it with other tables knows how old it is; every device of a run has the same."""
    emulator = emulate(*small_fleet(2))
    before = datetime.now(UTC).replace(microsecond=0)

    run = sync(emulator)

    moments = {datetime.fromisoformat(row["synced_at"]) for row in run.records_of("devices")}
    assert len(moments) == 1
    assert before <= moments.pop() <= datetime.now(UTC)


def test_without_env_models_nobody_hears_of_days(emulate: Emulate) -> None:
    """No SCHEMA, no call, no record, and the state has no bookmark."""
    emulator = emulate(*small_fleet(1))

    run = sync(emulator)

    assert run.exit_code == 0
    assert not any(is_schema_of(message, "env_model_data") for message in run.messages)
    assert not any(ENV in call.path for call in emulator.calls)
    assert not run.state["bookmarks"].get("env_model_data")
