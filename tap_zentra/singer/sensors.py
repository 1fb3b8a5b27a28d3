"""Stream `sensors`: which probe was where, by the readings of a run; knows no API."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_zentra.singer import columns
from tap_zentra.singer.moments import iso_timestamp
from tap_zentra.singer.stream import FollowingStream

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk import Tap

    from tap_zentra.singer.pages import Channel, DeviceProgress, Part, Sighting

HOUR = 3600
"""Seconds after which a channel that is not seen any more, while others are, has come to its end."""

_COLUMNS = (
    columns.DEVICE_SN,
    columns.PORT_NUMBER,
    th.Property(
        "sub_sensor_index",
        th.IntegerType,
        required=True,
        description="As in the readings: 0, or 1, 2, … for further sensors with the same port and measurement.",
    ),
    columns.MEASUREMENT,
    th.Property(
        "sensor_name",
        th.StringType,
        required=True,
        description="Type of sensor, for example `TEROS 12`; empty if the service gives none.",
    ),
    th.Property(
        "sensor_sn",
        th.StringType,
        required=True,
        description="Serial number of the sensor; empty if the service gives none, as with API v5.",
    ),
    th.Property(
        "units",
        th.StringType,
        required=True,
        description="Units of the values, for example `m³/m³`; empty if there are none.",
    ),
    th.Property("depth", th.StringType, description="Depth of the sensor as entered in ZENTRA Cloud (API v4)."),
    th.Property("precision", th.IntegerType, description="Number of decimal places that the service shows (API v4)."),
    th.Property(
        "first_seen_utc", th.DateTimeType, description="Time of the first of its readings that this run read, UTC."
    ),
    th.Property(
        "last_seen_utc", th.DateTimeType, description="Time of the last of its readings that this run read, UTC."
    ),
)
_MRIDS = (
    th.Property("first_mrid", th.IntegerType, description="Lowest mrid of its readings that this run read."),
    th.Property("last_mrid", th.IntegerType, description="Highest mrid of its readings that this run read."),
)

SENSORS = th.PropertiesList(*_COLUMNS).to_dict()
"""JSON schema of stream `sensors`: one record for each channel of a sensor that was seen in a run."""

SENSORS_BY_MRID = th.PropertiesList(*_COLUMNS, *_MRIDS).to_dict()
"""The same where the API has mrids."""

SENSORS_KEY = (
    "device_sn",
    "port_number",
    "sub_sensor_index",
    "measurement",
    "sensor_name",
    "sensor_sn",
    "units",
)
"""All that changes when a probe is swapped or moved, or the units of the account are changed."""


@dataclass
class _Seen:
    """What is known of a channel by now; moments in seconds since 1970. `is_told`: a record has said so."""

    moments: tuple[int, int] | None
    mrids: tuple[int, int] | None
    depth: str | None
    precision: int | None
    is_told: bool = False

    def add(self, sighting: Sighting) -> None:
        """Take note of more readings."""
        self.moments = _span(self.moments, sighting.moments)
        self.mrids = _span(self.mrids, sighting.mrids)
        self.depth = sighting.depth or self.depth
        self.precision = self.precision if sighting.precision is None else sighting.precision
        self.is_told = False


class SensorsStream(FollowingStream):
    """Channels of the sensors that were seen in the run: swapped probes and changed units show as records.

    A channel is told of at the end of its device, or where it ends before that: then no state can say that a reading
    has been passed over whose channel nobody was told of. One that comes back later is told of once more.
    """

    name = "sensors"
    primary_keys = SENSORS_KEY
    reads_along = True

    def __init__(self, tap: Tap, *, has_mrids: bool) -> None:
        """Make the stream.

        Args:
            tap: The tap.
            has_mrids: Whether the API has mrids.
        """
        super().__init__(tap, schema=SENSORS_BY_MRID if has_mrids else SENSORS)
        self._has_mrids = has_mrids
        self._seen: dict[str, dict[Channel, _Seen]] = {}

    @override
    def follow(self, device: DeviceProgress, part: Part) -> Iterator[dict[str, Any]]:
        """Yield the channels that have ended by a part of a page."""
        device_sn = device.turn.device_sn
        channels = self._seen.setdefault(device_sn, {})
        latest = 0
        for sighting in part.sightings():
            seen = channels.get(sighting.channel)
            if seen is None:
                channels[sighting.channel] = _Seen(sighting.moments, sighting.mrids, sighting.depth, sighting.precision)
            else:
                seen.add(sighting)
            latest = max(latest, sighting.moments[1] if sighting.moments else 0)
        for channel, seen in channels.items():
            if not seen.is_told and seen.moments is not None and seen.moments[1] < latest - HOUR:
                seen.is_told = True
                yield self._record(device_sn, channel, seen)

    @override
    def end(self, device: DeviceProgress) -> Iterator[dict[str, Any]]:
        return self._rest(device.turn.device_sn)

    @override
    def last(self, devices: Iterable[Sequence[DeviceProgress]], now: float) -> Iterator[dict[str, Any]]:
        for device_sn in list(self._seen):
            yield from self._rest(device_sn)

    def _rest(self, device_sn: str) -> Iterator[dict[str, Any]]:
        for channel, seen in self._seen.pop(device_sn, {}).items():
            if not seen.is_told:
                yield self._record(device_sn, channel, seen)

    def _record(self, device_sn: str, channel: Channel, seen: _Seen) -> dict[str, Any]:
        first, last = (None, None) if seen.moments is None else map(iso_timestamp, seen.moments)
        record = {
            "device_sn": device_sn,
            **channel._asdict(),
            "depth": seen.depth,
            "precision": seen.precision,
            "first_seen_utc": first,
            "last_seen_utc": last,
        }
        if self._has_mrids:
            record["first_mrid"], record["last_mrid"] = seen.mrids or (None, None)
        return record


def _span(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return from where to where two stretches reach together."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
