"""What differs in the story between API v4 and v5: the fleet, the table, and what a user sets; knows no Meltano."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_zentra.emulator import Device, Emulator, fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# The last device has a profile probe: several sensors on one port.
RECORDS = (20, 90, 160, 280, 420)
GROWTH = {"z6-00001": 1, "z6-00002": 2, "z6-00005": 3}
SILENT = "z6-00003"
SILENCE = timedelta(days=3)
SCHEMA = "zentra_demo"
MEASUREMENT = "Water Content"
PORT = 3
# A query to try.
EXAMPLE = (
    f"select device_sn, local_date, value, units from {SCHEMA}.zentra_daily "  # noqa: S608 - our own name
    f"where measurement = '{MEASUREMENT}' and port_number = {PORT} order by device_sn, local_date"
)
# Smaller than the service's, so that a device needs several pages.
PAGE_SIZE = 150
INTERVAL = timedelta(minutes=15)
# For pages of v5, which are months.
INTERVAL_V5 = timedelta(hours=4)
# At devices that need fewer calls than others for their readings, so that the demo takes no longer.
STATIONS = [
    {"device_sn": device_sn, "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25}
    for device_sn in ("z6-00002", "z6-00004")
]


@dataclass(frozen=True)
class Api:
    """One of the two that the demo can be told for.

    Attributes:
        version: As the tap's setting has it.
        stream: The one that has the readings.
        others: Those that are loaded beside it.
        devices: Makes the fleet.
        variables: What makes the tap read an emulator.
        readings: All values that an emulator holds.
        limit: How often a device may be called, given the seconds of a window.
        sensor: What tells sensors apart within a device, most significant first.
        order: What a device's readings are ordered by.
        settings: What a user sets for devices of their own.
    """

    version: str
    stream: str
    others: tuple[str, ...]
    devices: Callable[[], list[Device]]
    variables: Callable[[Emulator], Mapping[str, str]]
    readings: Callable[[Emulator], Iterable[Mapping[str, object]]]
    limit: str
    sensor: str
    order: str
    settings: str

    @property
    def table(self) -> str:
        """Where the readings are."""
        return f"{SCHEMA}.{self.stream}"

    @property
    def latest(self) -> str:
        """A query: the latest values of the device that it is given."""
        return f"""
            select distinct on ({self.sensor})
                   measurement, port_number, value, units, to_char(timestamp_utc, 'YYYY-MM-DD HH24:MI')
            from {self.table}
            where device_sn = %s
            order by {self.sensor}, {self.order} desc
        """  # noqa: S608 - our own names


def _recent_fleet(interval: timedelta) -> list[Device]:
    """Return devices whose newest records are recent, but of one, and whose new ones will not lie in the future."""
    due = datetime.now(UTC).replace(microsecond=0) - max(GROWTH.values()) * interval
    devices = fleet(len(RECORDS), RECORDS, interval=int(interval.total_seconds()), end=due)
    return [
        replace(device, start=device.start - SILENCE) if device.device_sn == SILENT else device for device in devices
    ]


def _settings_of_v4(service: Emulator) -> Mapping[str, str]:
    return {
        **service.environment,
        "TAP_ZENTRA_PAGE_SIZE": str(PAGE_SIZE),
        "TAP_ZENTRA_ENV_MODELS": json.dumps(STATIONS),
    }


def _all_that_the_key_sees(service: Emulator) -> Mapping[str, str]:
    return {name: value for name, value in service.environment_v5.items() if name != "TAP_ZENTRA_DEVICE_SNS"}


V4 = Api(
    version="v4",
    stream="readings",
    others=("devices", "sensors", "env_model_data"),
    devices=lambda: _recent_fleet(INTERVAL),
    variables=_settings_of_v4,
    readings=Emulator.readings,
    limit="It allows one call to each device per {window:g} s (the real service: per 60 s).",
    sensor="measurement, port_number, sub_sensor_index",
    order="mrid",
    settings="TAP_ZENTRA_AUTH_TOKEN=… TAP_ZENTRA_DEVICE_SNS=z6-12345,z6-12346",
)
V5 = Api(
    version="v5",
    stream="readings_v5",
    others=("devices", "sensors"),
    devices=lambda: _recent_fleet(INTERVAL_V5),
    variables=_all_that_the_key_sees,
    readings=Emulator.readings_v5,
    limit="It allows five calls to each device at once, then one per {window:g} s (the real service: per 60 s).",
    sensor="measurement, port_number, sensor_name, sub_sensor_index",
    order="timestamp_utc",
    settings="TAP_ZENTRA_API_VERSION=v5 TAP_ZENTRA_AUTH_TOKEN=…",
)
APIS = {api.version: api for api in (V4, V5)}
