r"""Stream `readings`: its columns, and how a response becomes records.

Dirty details of the service that are settled here: units such as `" \\u00b0C"`, and entries that share a port.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import typing as th

from tap_zentra.singer.pages import Page
from tap_zentra.singer.stream import FleetStream
from tap_zentra.v4.api import Account
from tap_zentra.v4.pagination import MridPaginator
from tap_zentra.v4.responses import decode_page, page_size, require_page_of, timestamps_by_mrid

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zentra.v4.api import Api
    from tap_zentra.v4.responses import Metadata, Reading, ReadingsPage

READINGS = th.PropertiesList(
    th.Property("device_sn", th.StringType, required=True, description="Serial number of the device."),
    th.Property(
        "mrid",
        th.IntegerType,
        required=True,
        description="Measurement record id: one moment at one device. It grows with the device's records.",
    ),
    th.Property("timestamp_utc", th.DateTimeType, required=True, description="Moment of the reading, ISO 8601, UTC."),
    th.Property("port_number", th.IntegerType, required=True, description="Port of the device."),
    th.Property(
        "measurement",
        th.StringType,
        required=True,
        description="What was measured, as the service names it, for example `Water Content`.",
    ),
    th.Property(
        "sub_sensor_index",
        th.IntegerType,
        required=True,
        description="0; 1, 2, … for further values of the same record, port and measurement (profile probes).",
    ),
    th.Property("value", th.NumberType, description="The value, in `units`; null when the sensor gave none."),
    th.Property("units", th.StringType, description="Units as the account prefers them, for example `m³/m³`."),
    th.Property("precision", th.IntegerType, description="Decimal places that the service shows."),
    th.Property(
        "error_flag",
        th.BooleanType,
        required=True,
        description="True when the service marks the reading as faulty.",
    ),
    th.Property("error_description", th.StringType, description="What the service says of the fault."),
    th.Property("local_datetime", th.StringType, description="Moment in the device's local time, with its offset."),
    th.Property("tz_offset", th.IntegerType, description="The local time's offset from UTC, in seconds."),
    th.Property("device_name", th.StringType, description="Name of the device."),
    th.Property("sensor_name", th.StringType, description="Kind of sensor, for example `TEROS 11`."),
    th.Property("sensor_sn", th.StringType, description="Serial number of the sensor."),
    th.Property("depth", th.StringType, description="Depth of the sensor as entered in ZENTRA Cloud, if asked for."),
    th.Property(
        "extra",
        # Without `properties`, an empty set of which would have flattening drop the column.
        th.CustomType({"type": ["object"], "additionalProperties": True}),
        description="Fields that the columns above do not know.",
    ),
).to_dict()
"""JSON schema of stream `readings`: one record for each value."""

READINGS_KEY = ("device_sn", "mrid", "timestamp_utc", "port_number", "measurement", "sub_sensor_index")
"""So many columns that no value can overwrite another: not a second probe on a port, not a wiped device's record."""


class ReadingsReader:
    """One device's way through its readings, from its bookmark to its newest record.

    Attributes:
        calls_left: Calls still to be made, as far as known; a part of a call for a page that will not be full.
        done: Whether the device has been read to its end.
    """

    def __init__(self, device_sn: str, paginator: MridPaginator, api: Api, *, page_size: int, depth: bool) -> None:
        """Stand at a bookmark; nothing is called yet.

        Args:
            device_sn: The device's serial number, as the user gave it.
            paginator: Its way.
            api: The account's calls.
            page_size: Records of a full page.
            depth: Whether to ask for the depths of the sensors.
        """
        self._device_sn = device_sn
        self._paginator = paginator
        self._api = api
        self._page_size = page_size
        self._depth = depth

    @property
    def calls_left(self) -> float:
        """Calls still to be made, as far as known; infinite before the first response."""
        return self._paginator.records_left / self._page_size

    @property
    def done(self) -> bool:
        """Whether the device has been read to its end."""
        return self._paginator.done

    def call(self, on_sent: Callable[[], None]) -> bytes | bytearray:
        """Fetch the next page; on a worker thread."""
        return self._api.get_readings(
            self._device_sn, self._paginator.request, on_sent, page_size=self._page_size, depth=self._depth
        )

    def take(self, body: bytes | bytearray) -> Page:
        """Decode and check a response, and go on to the next page; on the main thread.

        Raises:
            NotJSONError: The response is cut off, or a page for people.
            UnexpectedBodyError: It is not what the service sends.
            NoProgressError: It would make the reader go in circles.
        """
        content = decode_page(body)
        require_page_of(content, self._device_sn)
        moments = timestamps_by_mrid(content)
        step = self._paginator.advance(content.pagination.max_mrid, moments, per_page=page_size(content))
        below = math.inf if step.below_mrid is None else step.below_mrid
        kept = [mrid for mrid in moments if mrid < below]
        return Page(
            records=functools.partial(reading_records, content, self._device_sn, since=step.since, below_mrid=below),
            bookmark=step.bookmark,
            mrids=(min(kept), max(kept)) if kept else None,
            newest=max((moments[mrid] for mrid in kept), default=None),
            missing=step.missing,
            warning=step.warning,
            went_back=self._paginator.went_back,
        )


class ReadingsStream(FleetStream[Account]):
    """Readings of all sensors, one record for each value."""

    name = "readings"
    schema: ClassVar[dict[str, Any]] = READINGS
    primary_keys = READINGS_KEY
    replication_key = "mrid"

    @override
    def reader(self, device_sn: str, bookmark: int | None) -> ReadingsReader:
        settings = self.account.settings
        paginator = MridPaginator(
            bookmark=bookmark,
            page_size=settings.page_size,
            lookback=settings.mrid_lookback,
            start=settings.start_date,
            end=settings.end_date,
        )
        return ReadingsReader(
            device_sn, paginator, self.account.api, page_size=settings.page_size, depth=settings.device_depth
        )


def reading_records(
    page: ReadingsPage, device_sn: str, *, since: int = 0, below_mrid: float = math.inf
) -> Iterator[dict[str, Any]]:
    """Yield the records of stream `readings` that a page holds, in the response's order.

    Args:
        page: A decoded response.
        device_sn: The device's serial number, as the user gave it.
        since: Moment in seconds since 1970; readings before it are left out.
        below_mrid: Readings of this mrid and above are left out.
    """
    for measurement, entries in page.data.items():
        # Entries that share a port are told apart by how often a record has been met there.
        met: dict[int, dict[int, int]] = {}
        for entry in entries:
            metadata = entry.metadata
            port_number = metadata.port_number
            met_on_port = met.setdefault(port_number, {})
            units = clean_units(metadata.units)
            device_name = metadata.device_name or None
            sensor_name = metadata.sensor_name or None
            sensor_sn = metadata.sensor_sn or None
            depth = metadata.depth or None
            for reading in entry.readings:
                mrid = reading.mrid
                sub_sensor_index = met_on_port.get(mrid, 0)
                met_on_port[mrid] = sub_sensor_index + 1
                if reading.timestamp_utc < since or mrid >= below_mrid:
                    continue
                yield {
                    "device_sn": device_sn,
                    "mrid": mrid,
                    "timestamp_utc": iso_timestamp(reading.timestamp_utc),
                    "port_number": port_number,
                    "measurement": measurement,
                    "sub_sensor_index": sub_sensor_index,
                    "value": reading.value,
                    "units": units,
                    "precision": reading.precision,
                    "error_flag": reading.error_flag,
                    "error_description": reading.error_description or None,
                    "local_datetime": reading.datetime or None,
                    "tz_offset": reading.tz_offset,
                    "device_name": device_name,
                    "sensor_name": sensor_name,
                    "sensor_sn": sensor_sn,
                    "depth": depth,
                    "extra": _extra(metadata, reading),
                }


def _extra(metadata: Metadata, reading: Reading) -> dict[str, Any] | None:
    """Return the fields of an entry and of a reading that no column knows; a reading's win over an entry's."""
    if metadata.extra is None:
        return reading.extra
    return {**metadata.extra, **(reading.extra or {})}


@lru_cache(maxsize=4096)
def iso_timestamp(seconds: int) -> str:
    """Return a moment, in seconds since 1970, as ISO 8601 in UTC; a page has 2000 of them for 48,000 readings."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


_ESCAPE = re.compile(r"\\u(?!0000|[dD][89a-fA-F])([0-9a-fA-F]{4})")


def clean_units(units: str | None) -> str | None:
    r"""Return units without blanks and escapes: `" m\\u00b3/m\\u00b3"` -> `"m³/m³"`, `""` -> None."""
    if not units:
        return None
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), units).strip() or None
