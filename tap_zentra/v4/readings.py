"""Stream `readings`: its columns, and how a response becomes records."""

from __future__ import annotations

import functools
import itertools
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import typing as th

from tap_zentra.bodies import beside_columns, clean_units, comparable
from tap_zentra.singer import columns, overlap
from tap_zentra.singer.bookmarks import Bookmark, known_of
from tap_zentra.singer.moments import iso_timestamp, latest_moment
from tap_zentra.singer.overlap import Overlap
from tap_zentra.singer.pages import Channel, Sighting, WholePage
from tap_zentra.singer.records import RecordsStream, columns_of
from tap_zentra.singer.stream import FleetStream, Purpose
from tap_zentra.v4.api import RECORD_BYTES, Account
from tap_zentra.v4.devices import NewestReader
from tap_zentra.v4.pagination import MridPaginator
from tap_zentra.v4.places import Places
from tap_zentra.v4.responses import (
    decode_page,
    device_name,
    order_of,
    page_size,
    require_page_of,
    timestamps_by_mrid,
)

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tap_zentra.calls.fleet import Reader
    from tap_zentra.calls.memory import Call
    from tap_zentra.settings import Settings
    from tap_zentra.singer.pages import Page
    from tap_zentra.v4.api import Api
    from tap_zentra.v4.pagination import Step
    from tap_zentra.v4.places import Series
    from tap_zentra.v4.responses import Reading

READINGS = th.PropertiesList(
    columns.DEVICE_SN,
    th.Property(
        "mrid",
        th.IntegerType,
        required=True,
        description="Measurement record ID: identifies a record within its device, and increases with each record.",
    ),
    columns.TIMESTAMP_UTC,
    columns.PORT_NUMBER,
    columns.MEASUREMENT,
    th.Property(
        "sub_sensor_index",
        th.IntegerType,
        required=True,
        description="0, or 1, 2, … for further sensors with the same port and measurement (such as depths of a profile "
        "probe).",
    ),
    columns.VALUE,
    th.Property(
        "units", th.StringType, description="Units, according to the account's preferences, for example `m³/m³`."
    ),
    th.Property("precision", th.IntegerType, description="Number of decimal places that the service shows."),
    th.Property(
        "error_flag",
        th.BooleanType,
        description="True when the service marks the reading as faulty.",
    ),
    th.Property("error_description", th.StringType, description="The service's description of the fault."),
    columns.LOCAL_DATETIME,
    th.Property("tz_offset", th.IntegerType, description="Offset of the local time from UTC, in seconds."),
    columns.DEVICE_NAME,
    th.Property("sensor_name", th.StringType, description="Type of sensor, for example `TEROS 11`."),
    th.Property("sensor_sn", th.StringType, description="Serial number of the sensor."),
    th.Property(
        "depth", th.StringType, description="Depth of the sensor as entered in ZENTRA Cloud (with `device_depth`)."
    ),
    columns.EXTRA,
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

    def __init__(
        self, device_sn: str, api: Api, settings: Settings, *, bookmark: Bookmark | None, newest: int | None, now: float
    ) -> None:
        """Stand at a bookmark; nothing is called yet.

        Args:
            device_sn: The device's serial number, as the user gave it.
            api: The account's calls.
            settings: Which readings are wanted, and how.
            bookmark: Where earlier syncs have stopped; None: there were none.
            newest: Moment of the newest reading that they have read, in seconds since 1970.
            now: The moment at which the run began, in seconds since 1970.
        """
        self._device_sn = device_sn
        self._api = api
        self._settings = settings
        self._now = now
        last_read = None if bookmark is None else bookmark.value
        self._places = Places(bookmark and bookmark.places)
        self._overlap = Overlap(last_read, reach=settings.mrid_lookback, state=bookmark and bookmark.overlap)
        self._paginator = MridPaginator(
            bookmark=last_read,
            page_size=settings.page_size,
            now=now,
            reread_from=self._overlap.start,
            start=settings.start_date,
            end=settings.end_date,
            newest=newest,
        )
        self._held: list[dict[str, Any]] = []
        self._known: dict[str, Any] = dict(known_of(bookmark))
        self._is_from_start = last_read is None

    @property
    def calls_left(self) -> float:
        """Calls still to be made, as far as known; infinite before the first response."""
        return self._paginator.records_left / self._settings.page_size

    @property
    def expected_bytes(self) -> float:
        """Bytes of the next body, at most, as far as can be told before it comes; infinite where nobody knows."""
        return self._paginator.records_expected * RECORD_BYTES

    @property
    def done(self) -> bool:
        """Whether the device has been read to its end."""
        return self._paginator.done

    def call(self, call: Call) -> bytes | bytearray:
        """Fetch the next page; on a worker thread."""
        return self._api.get_readings(
            self._device_sn,
            self._paginator.request,
            call,
            page_size=self._settings.page_size,
            depth=self._settings.device_depth,
        )

    def take(self, body: bytes | bytearray) -> WholePage:
        """Decode and check a response, and go on to the next page; on the main thread.

        Raises:
            NotJSONError: The response is cut off, or a page for people.
            UnexpectedBodyError: It is not what the service sends.
            NoProgressError: It would make the reader go in circles.
        """
        content = decode_page(body)
        require_page_of(content, self._device_sn)
        moments = timestamps_by_mrid(content)
        step = self._paginator.advance(
            content.pagination.max_mrid, moments, per_page=page_size(content), order=order_of(content)
        )
        if step.bookmark is None:
            self._overlap = Overlap(None, reach=self._settings.mrid_lookback)
        kept = {mrid: moments[mrid] for mrid in sorted(moments) if step.keeps(mrid)}
        self._note_device(device_name(content), kept)
        return self._page(self._places.series(content), kept, step)

    def _note_device(self, name: str | None, kept: Mapping[int, int]) -> None:
        """Take note of what stream `devices` tells, and later runs may not hear again."""
        if name:
            self._known["device_name"] = name
        if self._is_from_start and kept:
            self._is_from_start = False
            first_mrid, first_reading = next(iter(kept.items()))
            self._known |= {"first_mrid": first_mrid, "first_reading": first_reading}

    def _page(self, series: Sequence[Series], kept: Mapping[int, int], step: Step) -> WholePage:
        """Return what a page brings: its new records, and those of the records read again that have changed."""
        overlap = self._overlap
        first_read = min(kept, default=None) if overlap.start is None else None
        overlap.note(self._contents(series, kept), read_from=first_read)
        changed = overlap.settle(self._paginator.position)
        new = {mrid: moment for mrid, moment in kept.items() if not overlap.is_old(mrid)}
        records = functools.partial(
            reading_records, series, self._device_sn, wanted=new.keys() | (changed & kept.keys())
        )
        before = [record for record in self._held if record["mrid"] in changed]
        still_open = {mrid for mrid in kept if overlap.is_open(mrid)}
        self._held = [record for record in self._held if overlap.is_open(record["mrid"])]
        self._held += reading_records(series, self._device_sn, wanted=still_open)
        latest = latest_moment(self._now)
        return WholePage(
            records=lambda: itertools.chain(before, records()),
            bookmark=self._bookmark(step),
            positions=(min(new), max(new)) if new else None,
            moments=[moment for moment in kept.values() if moment <= latest],
            ahead=max((moment for moment in new.values() if moment > latest), default=None),
            rewritten=len(changed),
            warning=step.warning,
            went_back=self._paginator.went_back,
            known=self._known,
            sightings=functools.partial(sightings, series, kept, latest=latest),
        )

    def _contents(self, series: Sequence[Series], kept: Mapping[int, int]) -> dict[int, bytes]:
        """Return what those records hold that were read again, or that the next sync will read again."""
        newest = max(kept, default=0)
        wanted = [mrid for mrid in kept if self._overlap.is_wanted(mrid, newest)]
        start = self._settings.start_date
        if start is not None and self._overlap.has_no_beginning:
            # A state of 0.1.0: what comes before `start_date` was not read then, and is not to be read later.
            wanted = list(itertools.dropwhile(lambda mrid: kept[mrid] < start, wanted))
        return record_contents(series, wanted)

    def _bookmark(self, step: Step) -> Bookmark | None:
        if step.bookmark is None:
            return None
        return Bookmark(
            step.bookmark,
            overlap=self._overlap.as_state(step.bookmark),
            places=self._places.as_state() or None,
            known=dict(self._known) or None,
        )


class ReadingsStream(FleetStream[Account]):
    """Readings of all sensors, one record for each value."""

    name = "readings"
    schema: ClassVar[dict[str, Any]] = READINGS
    primary_keys: ClassVar[Sequence[str]] = READINGS_KEY
    replication_key = "mrid"

    @override
    def readers_of(
        self, device_sn: str, bookmark: Bookmark | None, newest: int | None, now: float
    ) -> Mapping[str, Reader[Page]]:
        api, settings = self.account.api, self.account.settings
        if self.purpose is Purpose.ASKED:
            return {"": NewestReader(device_sn, api, known=known_of(bookmark), now=now)}
        return {"": ReadingsReader(device_sn, api, settings, bookmark=bookmark, newest=newest, now=now)}


SHARED = ("device_sn", "mrid", "timestamp_utc", "local_datetime", "tz_offset", "device_name")
"""What the readings of a record have in common."""


class CompactReadingsStream(RecordsStream[Account], ReadingsStream):
    """Readings of all sensors, one record for each device and time."""

    name = "records"
    schema: ClassVar[dict[str, Any]] = columns_of(READINGS, SHARED)
    primary_keys = ("device_sn", "mrid", "timestamp_utc")
    shared = SHARED


def reading_records(series: Iterable[Series], device_sn: str, *, wanted: Collection[int]) -> Iterator[dict[str, Any]]:
    """Yield the records of stream `readings` that a page holds.

    Args:
        series: A page's readings by place.
        device_sn: The device's serial number, as the user gave it.
        wanted: The mrids whose readings become records.
    """
    if not wanted:
        return
    for measurement, port_number, sub_sensor_index, metadata, readings in series:
        units = clean_units(metadata.units)
        device_name = metadata.device_name or None
        sensor_name = metadata.sensor_name or None
        sensor_sn = metadata.sensor_sn or None
        depth = metadata.depth or None
        of_entry = beside_columns(metadata)
        for reading in readings:
            if reading.mrid in wanted:
                yield {
                    "device_sn": device_sn,
                    "mrid": reading.mrid,
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
                    "extra": _extra(of_entry, reading) if of_entry or reading.unknown else reading.extra,
                }


def sightings(series: Iterable[Series], kept: Mapping[int, int], *, latest: float) -> Iterator[Sighting]:
    """Yield which channels a page has readings of.

    Args:
        series: A page's readings by place.
        kept: The records that count: mrid -> moment in seconds since 1970.
        latest: A later moment can't be true.
    """
    for measurement, port_number, sub_sensor_index, metadata, readings in series:
        mrids = [reading.mrid for reading in readings if reading.mrid in kept]
        if mrids:
            moments = [moment for mrid in mrids if (moment := kept[mrid]) <= latest]
            channel = Channel(
                port_number,
                sub_sensor_index,
                measurement,
                metadata.sensor_name or "",
                metadata.sensor_sn or "",
                clean_units(metadata.units) or "",
            )
            yield Sighting(
                channel,
                (min(moments), max(moments)) if moments else None,
                (min(mrids), max(mrids)),
                metadata.depth or None,
                readings[-1].precision,
            )


def record_contents(series: Iterable[Series], wanted: Collection[int]) -> dict[int, bytes]:
    """Return what each of the wanted records holds, short: mrid -> digest of its values.

    Neither the order of entries nor the form of a number or of nothing makes a difference (17 or 17.0, null or NaN,
    null or ""). Names, depths and other descriptions don't count: a renamed device sends no new values.
    """
    rows: dict[int, list[bytes]] = {mrid: [] for mrid in wanted}
    if not wanted:
        return {}
    for measurement, port, index, metadata, readings in sorted(series, key=lambda one: one[:3]):
        units = clean_units(metadata.units)
        of_wanted = [reading for reading in readings if reading.mrid in rows]
        # Encoded here, a place at a time: as many tuples that stay would have Python look for cycles again and again.
        lines = _ENCODER.encode_lines(
            [
                (
                    measurement,
                    port,
                    index,
                    reading.timestamp_utc,
                    comparable(reading.value),
                    units,
                    reading.error_flag,
                    reading.error_description or None,
                )
                for reading in of_wanted
            ]
        ).splitlines()
        for reading, line in zip(of_wanted, lines, strict=True):
            rows[reading.mrid].append(line)
    return {mrid: overlap.content(b"[%b]" % b",".join(lines)) for mrid, lines in rows.items()}


_ENCODER = msgspec.json.Encoder()


def _extra(of_entry: dict[str, Any] | None, reading: Reading) -> dict[str, Any] | None:
    """Return the fields of an entry and of a reading that no column knows; a reading's win over an entry's."""
    of_reading = beside_columns(reading)
    return {**of_entry, **(of_reading or {})} if of_entry else of_reading
