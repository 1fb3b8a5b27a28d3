"""What the attacks on all streams together share: what each of them should bring, and what a STATE claims of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tap_zentra.emulator.sensors import WATER_CONTENT, Measurement, Sensor
from tap_zentra.singer.sensors import SENSORS_KEY
from tap_zentra.v4.env_model import ENV_MODEL_DATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_zentra.emulator import Emulator
    from tests.support import Key, Run

V4_STREAMS = ("readings", "env_model_data", "devices", "sensors")
V5_STREAMS = ("readings_v5", "devices", "sensors")

STATION = Sensor("ATMOS 41", 1, (Measurement("Wind Speed", "m/s", 2, lambda now, _: now.wind),), "ATM-41")
"""A weather station that measures one thing, so that a record stays small."""

PROBE = Sensor("TEROS 11", 3, (WATER_CONTENT,), "T11-", ("10 cm",))
SMALL = (STATION, PROBE)

Channels = dict["Key", dict[str, Any]]
Days = dict["Key", dict[str, Any]]


def station(device_sn: str, model_type: str = "ETo", port_number: int = 1) -> dict[str, Any]:
    """Return an entry of `env_models`."""
    return {
        "device_sn": device_sn,
        "port_number": port_number,
        "model_type": model_type,
        "elevation": 800,
        "latitude": 46.75,
        "wind_measurement_height": 2,
    }


def stations(device_sns: Iterable[str]) -> list[dict[str, Any]]:
    """Return both models of each device."""
    return [station(device_sn, model_type) for device_sn in device_sns for model_type in ("ETo", "ETr")]


def seconds(moment: object) -> int:
    """Return a moment of a record in seconds since 1970."""
    return int(datetime.fromisoformat(str(moment)).timestamp())


def channels_held(emulator: Emulator, *device_sns: str) -> Channels:
    """Return the channels of some devices or of all, by the key of `sensors`."""
    return {
        (device_sn, *(channel[name] for name in SENSORS_KEY[1:])): channel
        for device_sn in device_sns or emulator.device_sns
        for channel in emulator.channels(device_sn)
    }


def channels_held_v5(emulator: Emulator, *device_sns: str) -> Channels:
    """Return the same of v5."""
    return {
        (device_sn, *(channel[name] for name in SENSORS_KEY[1:])): channel
        for device_sn in device_sns or emulator.device_sns
        for channel in emulator.channels_v5(device_sn)
    }


def channels_of(records: Iterable[Mapping[str, Any]]) -> Channels:
    """Return what records of `sensors`, of one run or of many, tell together of each channel, in the truth's form."""
    told: Channels = {}
    for record in records:
        key = tuple(record[name] for name in SENSORS_KEY)
        this = {name: record[name] for name in SENSORS_KEY[1:]}
        this |= _span("mrid", record.get("first_mrid"), record.get("last_mrid"))
        this |= _span("timestamp", seconds(record["first_seen_utc"]), seconds(record["last_seen_utc"]))
        told[key] = _merged(told.get(key, this), this)
    return told


def _span(name: str, first: int | None, last: int | None) -> dict[str, int]:
    return {} if first is None or last is None else {f"first_{name}": first, f"last_{name}": last}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    choose = {"first_mrid": min, "first_timestamp": min, "last_mrid": max, "last_timestamp": max}
    return {name: choose[name](told, other[name]) if name in choose else told for name, told in one.items()}


def days_held(emulator: Emulator, entries: Iterable[Mapping[str, Any]]) -> Days:
    """Return the values of all days of some stations, by the key of `env_model_data`."""
    days: Days = {}
    for entry in entries:
        inputs = {name: entry[name] for name in ("elevation", "latitude", "wind_measurement_height")}
        place = (entry["device_sn"], entry["model_type"], entry["port_number"])
        for day in emulator.env_model(place[0], place[2], place[1], **inputs):
            days[(*place, day["timestamp_utc"])] = {"value": day["value"], "error_flag": day["error_flag"]}
    return days


def days_of(records: Iterable[Mapping[str, Any]]) -> Days:
    """Return what the last record of each day says, in the truth's form."""
    return {
        (*(record[name] for name in ENV_MODEL_DATA_KEY[:3]), seconds(record["timestamp_utc"])): {
            "value": record["value"],
            "error_flag": record["error_flag"],
        }
        for record in records
    }


def days_claimed(state: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, int], int]]:
    """Yield each station that a STATE speaks of, with the newest day that it says has been written."""
    for partition in state["bookmarks"].get("env_model_data", {}).get("partitions", []):
        for place, entry in partition.get("stations", {}).items():
            model_type, port_number = place.split()
            yield (partition["context"]["device_sn"], model_type, int(port_number)), seconds(entry["at"])


def outcomes(run: Run) -> dict[str, tuple[str, str | None]]:
    """Return what `devices` says of each: outcome and error."""
    rows = run.records_of("devices")
    told = {row["device_sn"]: (row["outcome"], row["error"]) for row in rows}
    assert len(told) == len(rows)
    return told
