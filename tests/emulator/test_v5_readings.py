"""What v5 tells of a device's readings, and the ground truth of it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows as rows_v4
from tap_zentra.emulator.v5.readings import DESCRIPTIONS, columns
from tests.emulator.support import TOKEN, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_zentra.emulator.v5.query import Units

START = datetime(2025, 3, 1, tzinfo=UTC)
ASCENDING: dict[str, Any] = {"start_datetime": "2025-03-01", "end_datetime": "2025-03-31", "direction": "ascending"}
KEY = ("timestamp", "port_num", "sensor_name", "measurement")
PLACE = ("timestamp_utc", "port_number", "measurement", "sub_sensor_index")
SERIES = 32
"""Of a device with a profile probe, its own signal among them."""
IN_ERROR: dict[str, Any] = {"records": 300, "error_rate": 0.3}


def station(**attributes: Any) -> Device:
    """Return a device with a profile probe, without errors, with a record every 15 minutes."""
    usual: dict[str, Any] = {"start": START, "records": 12, "error_rate": 0, "name": "Bog", "sensors": PROFILE_STATION}
    return Device("z6-1", **usual | attributes)


def values(device: Device, **options: Any) -> list[dict[str, Any]]:
    """Return the rows that the service sends, ascending."""
    return list(Cloud([device], **options).v5_body(**ASCENDING)["values"])


def truth(device: Device, units: Units = "metric", **options: Any) -> list[dict[str, Any]]:
    """Return what the service holds."""
    return list(columns(device, Options(**options), units))


def as_a_client_reads(sent: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the columns of rows, taken apart as a client would."""
    seen: Counter[tuple[object, ...]] = Counter()
    read = []
    for row in sent:
        key = tuple(row[name] for name in KEY)
        order, seen[key] = seen[key], seen[key] + 1
        position = row.get("position")
        extra = {name: row[name] for name in ("position", "reading_id") if row.get(name) is not None}
        read.append(
            {
                "device_sn": "z6-1",
                "timestamp_utc": datetime.fromtimestamp(row["timestamp"], UTC).isoformat(),
                "port_number": -1 if row["port_num"] is None else row["port_num"],
                "sensor_name": row["sensor_name"],
                "measurement": row["measurement"],
                "sub_sensor_index": order if position is None else position,
                "value": row["value"],
                "units": row["unit"].replace("m3/m3", "m³/m³") or None,
                "error_code": row["error_code"],
                "error_flag": row["error_code"] != 0,
                "error_description": DESCRIPTIONS.get(row["error_code"]),
                "local_datetime": row["datetime"],
                "device_name": "Bog",
                "extra": extra or None,
            }
        )
    return read


def in_order(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return columns in the order of the ground truth."""
    names = ("timestamp_utc", "port_number", "sensor_name", "measurement", "sub_sensor_index")
    return sorted(found, key=lambda row: tuple(row[name] for name in names))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": True, "reading_ids": True},
        {"entry_order": "shuffled"},
        {"entry_order": "shuffled", "positions": True},
        {"late_values": "absent"},
        {"late_values": "null"},
        {"logger_port": "minus-one", "timestamps": "float", "unit_spelling": "plain"},
    ],
)
@pytest.mark.parametrize(
    "device",
    [
        station(),
        station(**IN_ERROR, gaps=((20, 40),), tz_offset=7200),
        station(clock=((5, 8, -3600),)),
    ],
    ids=["plain", "errors", "a clock that was behind"],
)
def test_the_answer_is_what_the_device_holds(device: Device, options: dict[str, Any]) -> None:
    """Taken apart as a client would, it has the values and the indices of the ground truth, in its order."""
    held = truth(device, **options)

    assert in_order(as_a_client_reads(values(device, **options))) == held == in_order(held)


def test_values_are_those_of_v4() -> None:
    """The same at the same moment, null where v4 has no number; v5 has the device's signal beside them."""
    device = station(**IN_ERROR)
    held = {tuple(row[name] for name in PLACE): row["value"] for row in truth(device)}

    of_v4 = {tuple(row[name] for name in PLACE): row["value"] for row in rows_v4(device, Options())}
    assert {key: value for key, value in held.items() if key[2] != "Signal"} == of_v4
    assert sum(key[2] == "Signal" for key in held) == 300


def test_a_change_of_the_accounts_units_changes_nothing() -> None:
    """Units are a matter of the call."""
    assert truth(station(units_changed_at=3)) == truth(station())


def test_units_are_imperial_on_request() -> None:
    """Temperatures are the same in °F; what has no imperial unit is the same number."""
    metric, imperial = truth(station()), truth(station(), "imperial")

    for one, other in zip(metric, imperial, strict=True):
        if one["units"] == "°C":
            assert other["units"] == "°F"
            assert other["value"] == pytest.approx(one["value"] * 1.8 + 32)
        elif one["units"] in {"%", "m³/m³", "kPa", None}:
            assert one == other
    units = {row["units"] for row in imperial}
    assert {"in", "in/h", "mph", "mi"} <= units
    sent = Cloud([station()]).v5_body(**ASCENDING, units="imperial")["values"]
    assert in_order(as_a_client_reads(sent)) == imperial


def test_errors_have_codes() -> None:
    """Of all kinds: with METER's words, with a number that is kept, with a code nobody knows, and null with code 0."""
    held = truth(station(**IN_ERROR))
    codes = {row["error_code"] for row in held}

    assert set(DESCRIPTIONS) - {130} <= codes
    assert codes - set(DESCRIPTIONS) == {0, 199}
    assert {row["error_code"] for row in held if row["error_flag"] and row["value"] is not None} == {136}
    assert any(row["value"] is None and row["error_code"] == 0 for row in held)
    assert {row["error_description"] for row in held if row["error_code"] in {0, 199}} == {None}


def test_entries_of_a_profile_probe_have_equal_keys() -> None:
    """Only their order tells the depths apart, unless positions are sent: 1 to 4, and null for other sensors."""
    plain, told = values(station(records=1)), values(station(records=1), positions=True)

    probe = [row for row in told if row["sensor_name"] == "TEROS 54" and row["measurement"] == "Water Content"]
    assert [row["position"] for row in probe] == [1, 2, 3, 4]
    assert {row["position"] for row in told if row["sensor_name"] != "TEROS 54"} == {None}
    assert all("position" not in row for row in plain)


def test_readings_may_have_ids() -> None:
    """Each its own."""
    told = values(station(), reading_ids=True)

    assert len({row["reading_id"] for row in told}) == len(told)
    assert all("reading_id" not in row for row in values(station()))


@pytest.mark.parametrize(("port", "sent"), [("minus-one", -1), ("null", None)])
def test_the_devices_own_port_is_minus_one_or_null(port: Literal["minus-one", "null"], sent: int | None) -> None:
    """It has the signal's strength, which v4 does not tell."""
    signal = [row for row in values(station(), logger_port=port) if row["measurement"] == "Signal"]

    assert {(row["port_num"], row["sensor_name"], row["unit"]) for row in signal} == {(sent, "Signal Strength", "%")}


@pytest.mark.parametrize(("form", "kind"), [("int", int), ("float", float)])
def test_timestamps_are_whole_numbers_or_not(form: Literal["int", "float"], kind: type) -> None:
    """The same moment in both forms."""
    stamp = values(station(), timestamps=form)[0]["timestamp"]

    assert (type(stamp), stamp) == (kind, START.timestamp())


@pytest.mark.parametrize(("spelling", "unit"), [("plain", "m3/m3"), ("superscript", "m³/m³")])
def test_units_are_spelled_in_one_of_two_ways(spelling: Literal["plain", "superscript"], unit: str) -> None:
    """Those of water content; the ground truth has the superscript."""
    sent = {row["unit"] for row in values(station(), unit_spelling=spelling) if row["measurement"] == "Water Content"}
    held = {row["units"] for row in truth(station(), unit_spelling=spelling) if row["measurement"] == "Water Content"}

    assert (sent, held) == ({unit}, {"m³/m³"})


def test_rows_of_a_moment_may_be_shuffled() -> None:
    """In an order of its own at each moment, with the same rows."""
    plain = values(station(), positions=True)
    shuffled = values(station(), positions=True, entry_order="shuffled")

    assert [row["timestamp"] for row in shuffled] == [row["timestamp"] for row in plain]
    assert sorted(map(str, shuffled)) == sorted(map(str, plain))
    orders = [
        tuple((row["sensor_name"], row["measurement"], row["position"]) for row in shuffled[first : first + SERIES])
        for first in range(0, len(shuffled), SERIES)
    ]
    assert len(set(orders)) == len(orders) == 12


def test_rows_may_come_twice() -> None:
    """Those of every fifth record, one right after the other; the ground truth has them once."""
    once, sent = values(station(), reading_ids=True), values(station(), reading_ids=True, duplicates=True)

    fifth = {START.timestamp() + (mrid - 1) * 900 for mrid in (5, 10)}
    assert sent == [same for row in once for same in [row] * (2 if row["timestamp"] in fifth else 1)]
    assert truth(station(), duplicates=True) == truth(station())


def test_optional_fields_may_come_in_odd_forms() -> None:
    """Codes as texts, no local time, a NUL in the name: columns are empty, and what came is in `extra`."""
    body = Cloud([station()], odd_fields=True).v5_body(**ASCENDING)
    held = truth(station(), odd_fields=True)

    assert {row["error_code"] for row in body["values"]} == {"0"}
    assert [row["timestamp"] for row in body["values"] if row["datetime"] is None] == [
        START.timestamp() + 6 * 900
    ] * SERIES
    assert body["metadata"]["device_name"] == "B\0og"
    assert {row["device_name"] for row in held} == {"B\N{REPLACEMENT CHARACTER}og"}
    assert {(row["error_code"], row["error_flag"], str(row["extra"])) for row in held} == {
        (None, None, "{'error_code': '0'}")
    }
    assert sum(row["local_datetime"] is None for row in held) == SERIES


def test_late_values_are_null_or_absent_in_the_newest_record() -> None:
    """And are complete when the next one is there."""
    newest = START.timestamp() + 11 * 900

    def sent(device: Device, late: str) -> list[object]:
        return [row["value"] for row in values(device, late_values=late) if row["timestamp"] == newest]

    assert sent(station(), "null").count(None) == SERIES // 2
    assert len(sent(station(), "absent")) == SERIES // 2
    assert sent(station(records=13), "null") == sent(station(), "none")


def test_the_answer_tells_where_the_device_is() -> None:
    """Location and coordinates as text: between quotes, as zeros, or not at all."""
    fleet = [Device(f"z6-{number}", records=0) for number in range(40)]
    cloud = Cloud(fleet)

    told = [cloud.v5_body(device.device_sn)["metadata"] for device in fleet]

    assert {one["device_name"] for one in told} == {"Station"}
    assert {one["device_id"] for one in told} == {device.device_sn for device in fleet}
    coordinates = {one["coordinates"] for one in told}
    assert {None, "'0.0', '0.0'"} < coordinates
    assert any(one and one.startswith("'") and one.count("'") == 4 for one in coordinates - {"'0.0', '0.0'"})
    assert {one["location"].count("/") for one in told if one["location"]} == {2}


def test_the_key_is_in_no_answer() -> None:
    """Whatever is asked for."""
    cloud = Cloud([station()], next_url=True)

    for answer in (cloud.v5(key=TOKEN), cloud.v5(None, api_key=TOKEN), cloud.v5(start_datetime=TOKEN)):
        assert TOKEN.encode() not in answer.body
