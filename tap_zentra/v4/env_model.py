"""Stream `env_model_data`: its columns, how a response becomes records, and where each weather station stands.

The service computes a day's evapotranspiration from a weather station's readings. A device may have several entries in
`env_models`, each of which is read on its own; the state has one bookmark for the device.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import typing as th

from tap_zentra.bodies import (
    EXTRA,
    LAST_TIMESTAMP,
    Integer,
    Timestamp,
    UnexpectedBodyError,
    clean_units,
    comparable,
    decode_leniently,
    is_anything,
    is_flag,
    is_integer,
    is_text,
    make_whole,
    objects,
    set_odd_fields_aside,
)
from tap_zentra.calls.errors import one_line
from tap_zentra.settings import same_device
from tap_zentra.singer import columns, overlap
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.moments import DAY, iso_timestamp, latest_moment, moment_of
from tap_zentra.singer.overlap import Overlap
from tap_zentra.singer.pages import RECORDS_AT_ONCE, Page, Part
from tap_zentra.singer.stream import FleetStream
from tap_zentra.v4.api import Account

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_zentra.bodies import Fields
    from tap_zentra.calls.memory import Call
    from tap_zentra.settings import EnvModel, Settings
    from tap_zentra.singer.bookmarks import Bookmarks
    from tap_zentra.v4.api import Api

ENV_MODEL_DATA = th.PropertiesList(
    columns.DEVICE_SN,
    th.Property(
        "model_type",
        th.StringType,
        required=True,
        description="Reference crop: `ETo` (grass) or `ETr` (alfalfa).",
    ),
    th.Property("port_number", th.IntegerType, required=True, description="Port of the weather station."),
    th.Property(
        "timestamp_utc",
        th.DateTimeType,
        required=True,
        description="Timestamp of the day: its end in the device's local time; ISO 8601, UTC.",
    ),
    th.Property(
        "value", th.NumberType, description="Evapotranspiration of the day, in `units`; null if there is no data."
    ),
    th.Property("units", th.StringType, description="Units, according to the account's preferences, for example `in`."),
    th.Property("error_flag", th.BooleanType, description="True when the service marks the day as faulty."),
    th.Property("error_description", th.StringType, description="The service's description of the fault."),
    columns.LOCAL_DATETIME,
    th.Property("tz_offset", th.IntegerType, description="Offset of the local time from UTC, in seconds."),
    th.Property(
        "elevation",
        th.NumberType,
        description="Elevation used in the model, in metres; from `env_models`.",
    ),
    th.Property("latitude", th.NumberType, description="Latitude used in the model, in degrees; from `env_models`."),
    th.Property(
        "wind_measurement_height",
        th.NumberType,
        description="Height of the wind measurement used in the model, in metres; from `env_models`.",
    ),
    columns.EXTRA,
).to_dict()
"""JSON schema of stream `env_model_data`: one record for each day of a weather station and a model."""

ENV_MODEL_DATA_KEY = ("device_sn", "model_type", "port_number", "timestamp_utc")
"""Without the inputs: what is computed anew with others takes the place of what was wrong."""


class Day(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A day's value as the service sends it; `timestamp_utc` is in seconds since 1970, `tz_offset` in seconds."""

    timestamp_utc: Timestamp
    value: int | float | None
    error_flag: bool | None = None
    error_description: str | None = None
    datetime: str | None = None
    tz_offset: Integer | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=EXTRA)


class Metadata(msgspec.Struct):
    """What all days of a response share."""

    data_source: str | None = None
    model_type: str | None = None
    units: str | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=EXTRA)


class ModelData(msgspec.Struct):
    """The days of a weather station, by one model."""

    readings: list[Day]
    metadata: Metadata | None = None


class _Response(msgspec.Struct):
    data: ModelData


_NO_RECORDS = re.compile(rb'[\s"]*no\s+records\s+for\s+this\s+timerange[\s".]*', re.IGNORECASE)
"""What an empty range is answered with, as a bare text: no JSON."""

_DAY_FIELDS: Fields = {
    "timestamp_utc": is_anything,
    "value": is_anything,
    "error_flag": is_flag,
    "error_description": is_text,
    "datetime": is_text,
    "tz_offset": is_integer,
}
_METADATA_FIELDS: Fields = {
    "data_source": is_anything,
    "model_type": is_anything,
    "units": is_text,
    # Of the response, not of a day: as columns they would make each day differ from sync to sync.
    "start": is_anything,
    "end": is_anything,
}


def decode_model_data(body: bytes | bytearray) -> ModelData:
    """Decode a response of `get_env_model_data`.

    Raises:
        NotJSONError: The body is no JSON text, nor the text that stands for no days.
        UnexpectedBodyError: A field is missing or of the wrong type; it is named.
    """
    if _NO_RECORDS.fullmatch(body):
        return ModelData([])
    raw = decode_leniently(body)
    if isinstance(raw, dict) and "data" not in raw and "detail" in raw:
        raise UnexpectedBodyError(f"the response has no data: {one_line(str(raw['detail']))}")
    for data in objects([raw.get("data")] if isinstance(raw, dict) else None):
        for metadata in objects([data.get("metadata")]):
            set_odd_fields_aside(metadata, _METADATA_FIELDS)
        for day in objects(data.get("readings")):
            set_odd_fields_aside(day, _DAY_FIELDS)
            make_whole(day, ["timestamp_utc"])
    try:
        return msgspec.convert(raw, _Response).data
    except msgspec.ValidationError as error:
        raise UnexpectedBodyError(f"unexpected response format: {error}") from None


def require_data_of(data: ModelData, station: EnvModel) -> None:
    """Refuse a response that is not what was asked for; one that does not say is taken.

    Raises:
        UnexpectedBodyError: It is of another device or another model, in whatever case.
    """
    metadata = data.metadata or Metadata()
    if metadata.data_source and same_device(metadata.data_source) != same_device(station.device_sn):
        raise UnexpectedBodyError(
            f"the response is for another device: metadata.data_source is {one_line(metadata.data_source, 80)!r}"
        )
    if metadata.model_type and metadata.model_type.casefold() != station.model_type.casefold():
        raise UnexpectedBodyError(
            f"the response is for a model other than {station.model_type}: metadata.model_type is "
            f"{one_line(metadata.model_type, 80)!r}"
        )


def days_by_moment(days: Iterable[Day]) -> dict[int, Day]:
    """Return the days in their order; of one that came twice the one with a value, else the last."""
    chosen: dict[int, Day] = {}
    for day in days:
        before = chosen.get(day.timestamp_utc)
        if before is None or before.value is None or day.value is not None:
            chosen[day.timestamp_utc] = day
    return dict(sorted(chosen.items()))


def day_record(day: Day, metadata: Metadata, station: EnvModel) -> dict[str, Any]:
    """Return the record of stream `env_model_data` that a day becomes."""
    return {
        "device_sn": station.device_sn,
        "model_type": station.model_type,
        "port_number": station.port_number,
        "timestamp_utc": iso_timestamp(day.timestamp_utc),
        "value": day.value,
        "units": clean_units(metadata.units),
        "error_flag": day.error_flag,
        "error_description": day.error_description or None,
        "local_datetime": day.datetime or None,
        "tz_offset": day.tz_offset,
        "elevation": station.elevation,
        "latitude": station.latitude,
        "wind_measurement_height": station.wind_measurement_height,
        "extra": {**(metadata.extra or {}), **(day.extra or {})} or None,
    }


def day_content(day: Day, metadata: Metadata) -> bytes:
    """Return what a day holds, short: neither the form of a number nor that of nothing makes a difference."""
    values = (comparable(day.value), clean_units(metadata.units), day.error_flag, day.error_description or None)
    return overlap.content(_ENCODER.encode(values))


_ENCODER = msgspec.json.Encoder()


def station_name(station: EnvModel) -> str:
    """Return what tells a device's weather stations and models from each other, for people: `ETo, port 1`."""
    return f"{station.model_type}, port {station.port_number}"


class StationBookmarks:
    """Where the weather stations of one device stand; the readers of them share it.

    In the state, `Bookmark.stations` is an object such as `{"ETo 1": {"at": "2026-01-31T22:59:59+00:00", "inputs":
    ["806.0", "32.25", "2.0"], "overlap": …}}`: the newest day that was written, what it was computed with, and what was
    read up to it. An entry that this class can't have written counts as none, so that its station is read from its
    start.
    """

    def __init__(self, bookmark: Bookmark | None, stations: Iterable[EnvModel]) -> None:
        """Stand at a bookmark.

        Args:
            bookmark: Where earlier syncs have left the device; None: there were none.
            stations: The device's entries in `env_models`. What the state has of others is kept.
        """
        self._bookmark = bookmark or Bookmark(None)
        self._stations = tuple(stations)
        known = self._bookmark.stations
        self._entries: dict[str, Any] = dict(known) if isinstance(known, dict) else {}

    def at(self, station: EnvModel) -> int | None:
        """Return a station's newest day that was written, in seconds since 1970.

        None: there is none, or it was computed with other inputs, which gave other values.
        """
        match self._entries.get(_place(station)):
            case {"at": str(text), "inputs": inputs} if inputs == _inputs(station):
                return moment_of(text)
        return None

    def overlap(self, station: EnvModel) -> Any:  # noqa: ANN401 - `Overlap` judges what the state holds
        """Return what the state has of a station's days up to there; to be asked for only where `at` is a moment."""
        return self._entries[_place(station)].get("overlap")

    def move(self, station: EnvModel, at: int, overlap: dict[str, Any] | None) -> Bookmark | None:
        """Take note of where a station stands, now that its days have been written.

        Args:
            station: One of the device's.
            at: Its newest day, in seconds since 1970.
            overlap: What `Overlap.as_state` says of the days up to it.

        Returns:
            Where the device stands.
        """
        self._entries[_place(station)] = {"at": iso_timestamp(at), "inputs": _inputs(station), "overlap": overlap}
        return self.bookmark()

    def bookmark(self) -> Bookmark | None:
        """Return where the device stands: where its last station does; None: none of them has a day yet."""
        if not self._entries:
            return None
        moments = [self.at(station) for station in self._stations]
        known = [moment for moment in moments if moment is not None]
        value = min(known, default=None) if len(known) == len(moments) else None
        return replace(self._bookmark, value=value, stations=dict(self._entries))


def _place(station: EnvModel) -> str:
    return f"{station.model_type} {station.port_number}"


def _inputs(station: EnvModel) -> list[str]:
    # As texts: targets made with Meltano's SDK end with an error at a state that has fractions.
    return [str(float(number)) for number in (station.elevation, station.latitude, station.wind_measurement_height)]


@dataclass(frozen=True, kw_only=True)
class DaysPage(Page):
    """The days of a station that are to be written.

    Attributes:
        records: They.
        bookmark: Tells where the device stands once they have been written, by all of its stations; None: nowhere yet.
    """

    records: list[dict[str, Any]]
    bookmark: Callable[[], Bookmark | None]

    @override
    def parts(self) -> Iterator[Part]:
        for first in range(0, len(self.records), RECORDS_AT_ONCE):
            yield Part(self.records[first : first + RECORDS_AT_ONCE])
        yield Part([], self.bookmark)


class EnvModelStream(FleetStream[Account]):
    """Daily evapotranspiration at weather stations, one record for each day, station and model."""

    name = "env_model_data"
    schema: ClassVar[dict[str, Any]] = ENV_MODEL_DATA
    primary_keys = ENV_MODEL_DATA_KEY
    replication_key = "timestamp_utc"
    is_followed = False
    noun = "station"
    fills_batch_files = False  # a year is some hundred records

    @property
    @override
    def is_wanted(self) -> bool:
        return bool(self.account.settings.env_models)

    @override
    def device_sns(self, bookmarks: Bookmarks) -> Sequence[str]:
        return list(dict.fromkeys(station.device_sn for station in self.account.settings.env_models))

    @override
    def readers_of(
        self, device_sn: str, bookmark: Bookmark | None, newest: int | None, now: float
    ) -> Mapping[str, EnvModelReader]:
        api, settings = self.account.api, self.account.settings
        stations = [station for station in settings.env_models if station.device_sn == device_sn]
        standing = StationBookmarks(bookmark, stations)
        return {
            station_name(station): EnvModelReader(station, api, settings, stations=standing, now=now)
            for station in stations
        }


class EnvModelReader:
    """One station's way through its days, in one call: the service is not known to have pages here.

    Attributes:
        calls_left: Calls still to be made: 1, then 0.
        expected_bytes: Infinite: nobody knows how many days there are.
        done: Whether the call has been answered.
    """

    def __init__(
        self, station: EnvModel, api: Api, settings: Settings, *, stations: StationBookmarks, now: float
    ) -> None:
        """Stand at a bookmark; nothing is called yet.

        Args:
            station: An entry of `env_models`.
            api: The account's calls.
            settings: Which days are wanted.
            stations: Where the stations of this device stand; all readers of the device have the same.
            now: The moment at which the run began, in seconds since 1970.
        """
        self.calls_left: float = 1
        self.expected_bytes = math.inf
        self.done = False
        self._station = station
        self._api = api
        self._stations = stations
        self._now = now
        self._old = stations.at(station)
        self._overlap = Overlap(
            self._old,
            # The newest day may not have been over when it was read.
            reach=max(1, settings.env_model_lookback_days) * DAY,
            state=None if self._old is None else stations.overlap(station),
            largest_group=DAY,
        )
        self._first = self._start(settings.start_date)
        # What is read again is read up to the bookmark, so that the digests are those of what was written.
        self._last = None if settings.end_date is None else max(settings.end_date, self._old or 0)

    def call(self, call: Call) -> bytes | bytearray:
        """Fetch the days; on a worker thread."""
        return self._api.get_env_model_data(self._station, call, start=self._first, end=self._last)

    def take(self, body: bytes | bytearray) -> DaysPage:
        """Decode and check the response; on the main thread.

        Raises:
            NotJSONError: The response is cut off, or a page for people.
            UnexpectedBodyError: It is not what the service sends.
        """
        data = decode_model_data(body)
        require_data_of(data, self._station)
        self.calls_left = 0
        self.done = True
        return self._page(data)

    def _start(self, start_date: int | None) -> int | None:
        """Return the first moment that is wanted; None: the device's first day."""
        if self._old is None:
            return start_date
        start = self._old if self._overlap.start is None else min(self._overlap.start, self._old)
        if self._overlap.has_no_beginning and start_date is not None:
            # What comes before `start_date` was not read then, and is not to be read later.
            start = max(start, min(start_date, self._old))
        return start

    def _page(self, data: ModelData) -> DaysPage:
        """Return what a response brings: new days, and those read again that have changed."""
        metadata = data.metadata or Metadata()
        first, last = self._first or 0, LAST_TIMESTAMP if self._last is None else self._last
        wanted = {moment: day for moment, day in days_by_moment(data.readings).items() if first <= moment <= last}
        latest = latest_moment(self._now)
        kept = {moment: day for moment, day in wanted.items() if moment <= latest}
        self._overlap.note({moment: day_content(day, metadata) for moment, day in kept.items()}, read_from=first)
        changed = self._overlap.settle(LAST_TIMESTAMP + 1)
        new = [moment for moment in kept if not self._overlap.is_old(moment)]
        return DaysPage(
            records=[day_record(kept[moment], metadata, self._station) for moment in sorted({*new, *changed})],
            bookmark=self._bookmark(max(kept, default=None)),
            positions=(new[0], new[-1]) if new else None,
            moments=list(kept)[-1:],  # gaps are the readings' business
            ahead=max((moment for moment in wanted if moment > latest), default=None),
            rewritten=len(changed),
        )

    def _bookmark(self, newest: int | None) -> Callable[[], Bookmark | None]:
        """Return what tells where the device stands once the page has been written.

        Args:
            newest: The newest day of the page; None: it has none, so that what was known of the days is kept.
        """
        if newest is None:
            return self._stations.bookmark
        at = newest if self._old is None else max(newest, self._old)
        return functools.partial(self._stations.move, self._station, at, self._overlap.as_state(at))
