"""What differs in the story between API v4 and v5: the fleet, the table, and what a user sets; knows no Meltano."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_zentra.emulator import Device, Emulator, fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# The last device has a profile probe: several sensors on one port.
RECORDS = (20, 90, 160, 280, 420)
GROWTH = {"z6-00001": 1, "z6-00002": 2, "z6-00005": 3}
SCHEMA = "zentra_demo"
# Smaller than the service's, so that a device needs several pages.
PAGE_SIZE = 150
# For pages of v5, which are months.
INTERVAL = timedelta(hours=4)


@dataclass(frozen=True)
class Api:
    """One of the two that the demo can be told for.

    Attributes:
        version: As the tap's setting has it.
        table: Where the readings are, in the schema `zentra_demo`.
        devices: Makes the fleet.
        variables: What makes the tap read an emulator.
        readings: All values that an emulator holds.
        limit: How often a device may be called, given the seconds of a window.
        sensor: What tells sensors apart within a device, most significant first.
        order: What a device's readings are ordered by.
        settings: What a user sets for devices of their own.
    """

    version: str
    table: str
    devices: Callable[[], list[Device]]
    variables: Callable[[Emulator], Mapping[str, str]]
    readings: Callable[[Emulator], Iterable[Mapping[str, object]]]
    limit: str
    sensor: str
    order: str
    settings: str

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

    @property
    def example(self) -> str:
        """A query to try."""
        columns = "device_sn, timestamp_utc::date as day, round(avg(value), 3) as water_content"
        soil = "measurement = 'Water Content' and port_number = 3"
        days = "group by device_sn, day order by device_sn, day"
        return f"select {columns} from {self.table} where {soil} {days}"  # noqa: S608 - as above


def _recent_fleet() -> list[Device]:
    """Return devices that have months behind them, and whose new records will not lie in the future."""
    due = datetime.now(UTC).replace(microsecond=0) - max(GROWTH.values()) * INTERVAL
    return fleet(len(RECORDS), RECORDS, interval=int(INTERVAL.total_seconds()), end=due)


def _all_that_the_key_sees(service: Emulator) -> Mapping[str, str]:
    return {name: value for name, value in service.environment_v5.items() if name != "TAP_ZENTRA_DEVICE_SNS"}


V4 = Api(
    version="v4",
    table=f"{SCHEMA}.readings",
    devices=lambda: fleet(len(RECORDS), RECORDS),
    variables=lambda service: {**service.environment, "TAP_ZENTRA_PAGE_SIZE": str(PAGE_SIZE)},
    readings=Emulator.readings,
    limit="One call to each device in {window:g} s (the real service: 60 s).",
    sensor="measurement, port_number, sub_sensor_index",
    order="mrid",
    settings="TAP_ZENTRA_AUTH_TOKEN=… TAP_ZENTRA_DEVICE_SNS=z6-12345,z6-12346",
)
V5 = Api(
    version="v5",
    table=f"{SCHEMA}.readings_v5",
    devices=_recent_fleet,
    variables=_all_that_the_key_sees,
    readings=Emulator.readings_v5,
    limit="Five calls to each device at once, then one in {window:g} s (the real service: 60 s).",
    sensor="measurement, port_number, sensor_name, sub_sensor_index",
    order="timestamp_utc",
    settings="TAP_ZENTRA_API_VERSION=v5 TAP_ZENTRA_AUTH_TOKEN=…",
)
APIS = {api.version: api for api in (V4, V5)}
