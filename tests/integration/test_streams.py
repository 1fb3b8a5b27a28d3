"""The tables of devices, sensors and daily evapotranspiration in a real PostgreSQL, beside those of the readings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import STANDARD_STATION, Device, Emulator
from tap_zentra.singer.sensors import SENSORS, SENSORS_BY_MRID
from tap_zentra.v4.devices import DEVICES
from tap_zentra.v4.env_model import ENV_MODEL_DATA
from tap_zentra.v5.devices import DEVICES_V5
from tests.integration.support import KEYS, Postgres, stored, stored_v5
from tools.loaders.check import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "date-time": "timestamp without time zone",
    "object": "jsonb",
}
SCHEMAS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "v4": {"devices": DEVICES, "sensors": SENSORS_BY_MRID, "env_model_data": ENV_MODEL_DATA},
    "v5": {"devices": DEVICES_V5, "sensors": SENSORS},
}

# Its probes are taken out, and put back, so that one run tells of them twice.
START = datetime(2025, 10, 20, tzinfo=UTC)
FLEET = (
    Device(
        "z6-00001",
        records=70,
        interval=43_200,
        start=START,
        refits=((21, STANDARD_STATION[:1]), (61, STANDARD_STATION)),
    ),
    Device("z6-00002", records=40, interval=43_200, start=START, units_changed_at=20),
)
STATION = {"elevation": 806.5, "latitude": 32.25, "wind_measurement_height": 2.0}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "v4": {
        "page_size": 20,
        "env_models": json.dumps([{"device_sn": "z6-00001", "port_number": 1, "model_type": "ETo", **STATION}]),
    },
    "v5": {"api_version": "v5", "end_date": "2026-01-31"},
}


@pytest.mark.parametrize("api", SCHEMAS)
def test_each_load_brings_the_tables_up_to_date(api: str, emulate: Emulate, postgres: Postgres) -> None:
    """After two loads there is one row for each device, sensor channel and day, as the service has them by now."""
    emulator = emulate(*FLEET)
    first = postgres.load(emulator, **SETTINGS[api])
    assert first.exit_codes == (0, 0), first.log
    _require_truth(api, emulator, postgres)

    readings = postgres.of("readings" if api == "v4" else "readings_v5")
    held = readings.count()
    emulator.grow(1, "z6-00001")
    second = postgres.load(emulator, state=first.state, **SETTINGS[api])

    assert second.exit_codes == (0, 0), second.log
    _require_truth(api, emulator, postgres)
    written = {device_sn: row["readings_read"] for device_sn, row in _devices(postgres).items()}
    assert written == {"z6-00001": readings.count() - held, "z6-00002": 0}


@pytest.mark.parametrize("api", SCHEMAS)
def test_the_tables_are_what_an_analyst_expects(api: str, emulate: Emulate, postgres: Postgres) -> None:
    """Moments are timestamps, numbers numbers, objects JSON; each table has the stream's key."""
    done = postgres.load(emulate(*FLEET[:1]), **SETTINGS[api])

    assert done.exit_codes == (0, 0), done.log
    for stream, schema in SCHEMAS[api].items():
        types = {name: TYPES[kind_of(column)] for name, column in schema["properties"].items()}
        assert (postgres.of(stream).types, postgres.of(stream).key) == (types, tuple(KEYS[stream]))


def _require_truth(api: str, emulator: Emulator, postgres: Postgres) -> None:
    if api == "v4":
        assert postgres.rows() == stored(emulator)
        assert _days(postgres) == _days_of(emulator)
        assert {one: row["last_mrid"] for one, row in _devices(postgres).items()} == {
            one: emulator.device(one).max_mrid for one in emulator.device_sns
        }
    else:
        assert postgres.of("readings_v5").rows() == stored_v5(emulator)
        assert {one: _told(row) for one, row in _devices(postgres).items()} == {
            str(entry["device_id"]): _told(entry) for entry in emulator.devices_v5()
        }
        assert all(row["extra"]["connectivity"] for row in _devices(postgres).values())
    assert {one: (row["outcome"], row["last_reading_utc"]) for one, row in _devices(postgres).items()} == {
        one: ("current", _newest(emulator, one)) for one in emulator.device_sns
    }
    assert _sensors(postgres) == _sensors_of(api, emulator)


def _devices(postgres: Postgres) -> dict[str, dict[str, Any]]:
    return {key[0]: row for key, row in postgres.of("devices").rows().items()}


def _told(row: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("organization_id", "organization_name", "device_type", "model", "location", "latitude", "longitude")
    return tuple(row[name] for name in names)


def _newest(emulator: Emulator, device_sn: str) -> datetime:
    return max(datetime.fromisoformat(str(row["timestamp_utc"])) for row in emulator.readings(device_sn)).replace(
        tzinfo=None
    )


def _sensors(postgres: Postgres) -> dict[tuple[Any, ...], datetime]:
    return {key: row["last_seen_utc"] for key, row in postgres.of("sensors").rows().items()}


def _sensors_of(api: str, emulator: Emulator) -> dict[tuple[Any, ...], datetime]:
    channels = emulator.channels if api == "v4" else emulator.channels_v5
    return {
        tuple((one | {"device_sn": device_sn})[name] for name in KEYS["sensors"]): _moment(one["last_timestamp"])
        for device_sn in emulator.device_sns
        for one in channels(device_sn)
    }


def _days(postgres: Postgres) -> dict[datetime, float | None]:
    rows = postgres.of("env_model_data").rows().values()
    assert {tuple(row[name] for name in STATION) for row in rows} == {tuple(STATION.values())}
    return {row["timestamp_utc"]: row["value"] for row in rows}


def _days_of(emulator: Emulator) -> dict[datetime, object]:
    return {_moment(day["timestamp_utc"]): day["value"] for day in emulator.env_model("z6-00001", 1, "ETo", **STATION)}


def _moment(seconds: object) -> datetime:
    """The columns have no zone; what they hold is UTC."""
    return datetime.fromtimestamp(int(str(seconds)), UTC).replace(tzinfo=None)
