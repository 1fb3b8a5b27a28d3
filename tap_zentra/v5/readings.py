"""Stream `readings_v5`: its columns, and how a response becomes records."""

from __future__ import annotations

import functools
import math
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import UNSET
from singer_sdk import typing as th

from tap_zentra.bodies import NO_PORT, UnexpectedBodyError, clean_units, comparable
from tap_zentra.settings import same_device
from tap_zentra.singer import columns, overlap
from tap_zentra.singer.bookmarks import Bookmark, known_of
from tap_zentra.singer.moments import DAY, iso_timestamp, latest_moment
from tap_zentra.singer.overlap import Overlap
from tap_zentra.singer.pages import RECORDS_AT_ONCE, Channel, Page, Part, Sighting, WholePage
from tap_zentra.singer.records import RecordsStream, columns_of
from tap_zentra.singer.stream import FleetStream, Purpose
from tap_zentra.v5.account import Account
from tap_zentra.v5.api import PageTokenRefusedError
from tap_zentra.v5.devices import subscription_warning
from tap_zentra.v5.pagination import MonthPaginator
from tap_zentra.v5.responses import DataPage, Moment, decode_page, require_page_of

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from tap_zentra.calls.fleet import Reader
    from tap_zentra.calls.memory import Call
    from tap_zentra.settings import Settings
    from tap_zentra.singer.bookmarks import Bookmarks
    from tap_zentra.v5.api import Api
    from tap_zentra.v5.responses import ListedDevice, Series

READINGS_V5 = th.PropertiesList(
    columns.DEVICE_SN,
    columns.TIMESTAMP_UTC,
    th.Property(
        "port_number",
        th.IntegerType,
        required=True,
        description="Port of the device; -1 for the device itself.",
    ),
    th.Property(
        "sensor_name",
        th.StringType,
        required=True,
        description="Type of sensor, for example `TEROS 12`; empty if the service gives none.",
    ),
    columns.MEASUREMENT,
    th.Property(
        "sub_sensor_index",
        th.IntegerType,
        required=True,
        description="The service's `position` if it sends one; otherwise 0, or 1, 2, … for further values of the same "
        "port, sensor, measurement and time (such as depths of a profile probe), in the service's order.",
    ),
    columns.VALUE,
    th.Property(
        "units", th.StringType, description="Units, metric or imperial according to the settings, for example `m³/m³`."
    ),
    th.Property("error_code", th.IntegerType, description="The service's error code; 0 means no error."),
    th.Property("error_flag", th.BooleanType, description="True when the error code is not 0."),
    th.Property("error_description", th.StringType, description="METER's description of the error code."),
    columns.LOCAL_DATETIME,
    columns.DEVICE_NAME,
    columns.EXTRA,
).to_dict()
"""JSON schema of stream `readings_v5`: one record for each value."""

READINGS_V5_KEY = ("device_sn", "timestamp_utc", "port_number", "sensor_name", "measurement", "sub_sensor_index")
"""So many columns that no value can overwrite another: API v5 has no record number."""

KEPT_METADATA = ("device_name", "location", "coordinates")
"""What the state keeps of a page's metadata, as far as it is text; nobody knows what else the service may come to tell
there, and how much of it."""

LOOK_AHEAD = 31 * DAY
"""Seconds behind its bookmark up to which a device is read of which the list says that it has nothing new."""

ERROR_DESCRIPTIONS = {
    128: "Sensor calibration problem",
    129: "Excitation under-voltage",
    130: "Value temporarily out of range",
    131: "Sensor type not supported",
    132: "Sensor communication error",
    133: "Sensor reporting an error",
    134: "No response from sensor",
    136: "Value outside expected range",
    137: "Invalid value",
    138: "Alpha value too low",
    139: "Radiance value(s) too low",
    140: "Calculation exceeds limits",
    141: "Calculation error",
    142: "Value exceeds model limits",
    143: "No data available for the requested time/measurement",
    235: "Erased flash memory",
}
"""What the codes mean, in METER's words (its own client, `zentracloud` 0.1.4)."""


@dataclass(frozen=True, kw_only=True)
class MonthOfReadings(Page):
    """A page of a device, in the order of time, so that the bookmark may move within it.

    Attributes:
        before: Records of pages before that have turned out to have changed.
        moments_read: The moments of the page, in their order.
        wanted: The moments whose readings become records.
        lay_out: Tells the rows of a moment apart, and what their records have in common with others.
        bookmark_at: Where the device stands once all up to a moment has been written.
        bookmark: Where it stands once the page has been written; None: it has no bookmark yet.
    """

    before: list[dict[str, Any]]
    moments_read: Sequence[Moment]
    wanted: Collection[int]
    lay_out: Callable[[Moment], tuple[Moment, Blanks]]
    bookmark_at: Callable[[int], Bookmark | None]
    bookmark: Bookmark | None

    @override
    def parts(self) -> Iterator[Part]:
        records = list(self.before)
        read: list[tuple[int, Blanks]] = [(_seconds(record["timestamp_utc"]), [record]) for record in records]
        count = len(records)
        for moment in self.moments_read:
            told_apart, blanks = self.lay_out(moment)
            if moment.second in self.wanted:
                records += filled(told_apart, blanks)
            read.append((moment.second, blanks))
            count += len(blanks)
            if count >= RECORDS_AT_ONCE:
                bookmark = functools.partial(self.bookmark_at, moment.second)
                yield Part(records, bookmark, functools.partial(sightings, read))
                records, read, count = [], [], 0
        yield Part(records, lambda: self.bookmark, functools.partial(sightings, read))


class ReadingsReader:
    """One device's way through its readings, from its bookmark to the moment at which the run began.

    Attributes:
        calls_left: Calls still to be made, as far as known: one for each month.
        expected_bytes: Infinite: nobody knows how much a device measures.
        done: Whether the device has been read to its end.
    """

    def __init__(
        self,
        device_sn: str,
        api: Api,
        settings: Settings,
        *,
        bookmark: Bookmark | None,
        listed: ListedDevice | None,
        now: float,
    ) -> None:
        """Stand at a bookmark; nothing is called yet.

        Args:
            device_sn: The device's serial number, as the user gave it, or as the list has it.
            api: The key's calls.
            settings: Which readings are wanted, and how.
            bookmark: Where earlier syncs have stopped; None: there were none.
            listed: What the list says of the device; None: nothing.
            now: The moment at which the run began, in seconds since 1970.
        """
        self.expected_bytes = math.inf
        self._device_sn = device_sn
        self._api = api
        self._settings = settings
        self._asked_as = device_sn if listed is None else listed.device_id
        self._listed = listed
        self._now = int(now)
        self._before = bookmark or Bookmark(None)
        self._old = -1 if self._before.value is None else self._before.value
        self._end = min(self._last_possible(), self._now if settings.end_date is None else settings.end_date)
        self._standing = None if self._before.value is None else self._before
        self._reach = int(settings.lookback_days * DAY)
        self._overlap = Overlap(
            self._before.value,
            reach=self._reach,
            state=self._before.overlap,
            largest_group=DAY,
        )
        start = self._start()
        self._first = 0 if start is None else start
        self._newest: int | None = None
        self._carried: Moment | None = None
        """The last moment of the page before: nobody knows whether a page may end in the middle of one."""
        self._token_error: PageTokenRefusedError | None = None
        self._device_name: str | None = None
        self._known = known_of(bookmark)
        self._paginator = MonthPaginator(start=start, end=self._end)
        self._held: list[tuple[int, dict[str, Any]]] = []

    @property
    def calls_left(self) -> float:
        """Calls still to be made, as far as known; infinite before the first response."""
        return self._paginator.months_left

    @property
    def done(self) -> bool:
        """Whether the device has been read to its end."""
        return self._paginator.done

    def call(self, call: Call) -> bytes | bytearray:
        """Fetch the next page; on a worker thread.

        Returns:
            The body; nothing where the service did not take the page's token.
        """
        self._token_error = None
        try:
            return self._api.get_data(self._asked_as, self._paginator.request, call, units=self._settings.units)
        except PageTokenRefusedError as error:
            self._token_error = error
            return b""

    def take(self, body: bytes | bytearray) -> Page:
        """Decode and check a response, and go on to the next page; on the main thread.

        Raises:
            NotJSONError: The response is cut off, or a page for people.
            UnexpectedBodyError: It is not what the service sends, or comes in another order than was asked for.
            NoProgressError: It would make the reader go in circles.
            PageTokenRefusedError: Neither the page's token nor a time brings the rest.
        """
        if self._token_error is not None:
            return self._go_on_by_time(self._token_error)
        page = decode_page(body)
        require_page_of(page, self._device_sn)
        # One row beyond the end, in a page of an earlier month, says nothing of the months between.
        is_past_the_end = (
            bool(page.moments) and page.moments[-1] > self._end and self._paginator.is_last_month(page.moments[0])
        )
        self._require_order(page)
        page.begin_with(self._carried)
        kept = [moment for moment in page.moments if self._first <= moment <= self._end]
        self._paginator.advance(kept[-1] if kept else None, None if is_past_the_end else page.next_token)
        self._device_name = page.device_name
        name = {"device_name": page.device_name} if page.device_name else {}
        self._known = {**self._known, **name, **page.known}
        return self._settle(page, kept)

    def _settle(self, page: DataPage, kept: list[int]) -> MonthOfReadings:
        """Return what a page brings of the moments that are kept; the last one is carried on if more is to come."""
        self._carried = page[kept.pop()] if kept and not self.done else None
        if kept:
            self._newest = kept[-1]
            self._overlap.note(self._contents(page, kept[-1]), read_from=self._first)
        return self._page(page, kept)

    def _require_order(self, page: DataPage) -> None:
        """Refuse a page before or behind which older ones come: the bookmark would pass over them, or bring them twice.

        Raises:
            UnexpectedBodyError: It is one.
        """
        if page.is_descending and page.next_token:
            raise UnexpectedBodyError(
                "the service ignores direction: a page has the newest readings first, and more pages follow it"
            )
        earliest = next((moment for moment in page.moments if moment >= self._first), None)
        latest = self._carried.second if self._carried else self._newest
        if earliest is not None and latest is not None and earliest < latest:
            raise UnexpectedBodyError(
                f"a page goes back in time: {iso_timestamp(earliest)} comes after {iso_timestamp(latest)}"
            )

    def _go_on_by_time(self, error: PageTokenRefusedError) -> Page:
        """Ask by time for what a token stood for; it is no fault, so nothing is put off for it.

        Raises:
            PageTokenRefusedError: That has been tried.
        """
        if not self._paginator.go_on_by_time():
            raise PageTokenRefusedError(f"{error}; requesting by time instead of next_token did not help")
        if self.done:
            page = DataPage.of(self._device_sn, self._device_name, self._carried)
            return self._settle(page, list(page.moments))
        start = self._paginator.request.start
        if self._carried and start is not None and start <= self._carried.second:
            self._first = self._carried.second  # it comes again, and whole
            self._carried = None
        elif self._newest is not None and not self._carried:
            self._first = self._newest + 1
        warning = f"{error}; continuing by time instead of next_token"
        return WholePage(records=lambda: iter(()), bookmark=self._standing, warning=warning)

    def _start(self) -> int | None:
        """Return the first moment that is wanted; None: the device's first reading."""
        if self._old < 0:
            return self._settings.start_date
        start = self._old if self._overlap.start is None else self._overlap.start
        if self._overlap.has_no_beginning and self._settings.start_date is not None:
            # What comes before `start_date` was not read then, and is not to be read later.
            start = max(start, min(self._settings.start_date, self._old))
        return start

    def _page(self, page: DataPage, kept: Sequence[int]) -> MonthOfReadings:
        """Return what a page brings: its new readings, and those of the moments read again that have changed."""
        changed = self._overlap.settle(self._complete_below())
        new = [moment for moment in kept if moment > self._old]
        before = [record for moment, record in self._held if moment in changed]
        self._hold(page, kept)
        if kept or self.done:  # else it is where it was, and digests take time
            self._standing = self._bookmark()
        latest = latest_moment(self._now)
        ahead = [moment for moment in (self._last_listed(), *page.moments[-1:]) if moment > latest]
        return MonthOfReadings(
            before=before,
            moments_read=[page[moment] for moment in kept],
            wanted={*new, *changed.intersection(kept)},
            lay_out=functools.partial(lay_out, device_sn=self._device_sn, device_name=page.device_name),
            bookmark_at=functools.partial(self._bookmark_at, page),
            bookmark=self._standing,
            positions=(new[0], new[-1]) if new else None,
            moments=kept,
            ahead=max(ahead, default=None),
            rewritten=len(changed),
            known=self._known,
        )

    def _complete_below(self) -> int:
        """Return the moment before which everything has been read."""
        if self._paginator.done:
            return self._end + 1
        return 0 if self._newest is None else self._newest + 1

    def _contents(self, page: DataPage, newest: int) -> dict[int, bytes]:
        """Return what those moments hold that were read again, or that the next sync will read again."""
        return self._contents_between(page, self._first, min(self._old, self._end)) | self._new_contents(page, newest)

    def _new_contents(self, page: DataPage, newest: int) -> dict[int, bytes]:
        """Return what those new moments hold that the next sync will read again, should it go on at `newest`."""
        return self._contents_between(page, max(newest - self._reach, self._old, self._first - 1) + 1, newest)

    def _contents_between(self, page: DataPage, first: int, last: int) -> dict[int, bytes]:
        if not self._reach:
            return {}
        return {moment.second: moment_content(moment) for moment in page.between(first, last)}

    def _hold(self, page: DataPage, kept: Sequence[int]) -> None:
        """Keep the records of groups that have not been read to their end: whether they changed is not known yet."""
        self._held = [(moment, record) for moment, record in self._held if self._overlap.is_open(moment)]
        for moment in kept:
            if self._overlap.is_open(moment):
                records = reading_records(page[moment], device_sn=self._device_sn, device_name=page.device_name)
                self._held += [(moment, record) for record in records]

    def _last_possible(self) -> int:
        """Return the last moment to ask for: a device that fell silent years ago has no empty months to be read.

        A list that were wrong for ever would only delay what is new, and lose nothing.
        """
        is_silent = 0 < self._last_listed() <= self._old
        return min(self._now, self._old + LOOK_AHEAD) if is_silent else self._now

    def _last_listed(self) -> int:
        """Return when the device's last reading was made, as the list has it; 0: it does not say."""
        return (self._listed.last_measurement if self._listed else None) or 0

    def _bookmark(self) -> Bookmark | None:
        """Return where the device stands once the page at hand has been written."""
        value = max(self._old, -1 if self._newest is None else self._newest)
        if value < 0:
            return None
        asked = self._now if self.done else self._before.asked
        return Bookmark(value, overlap=self._overlap.as_state(value), asked=asked, known=self._kept_of_known)

    def _bookmark_at(self, page: DataPage, moment: int) -> Bookmark | None:
        """Return where the device stands in the middle of a page; called only if a state is written there."""
        if moment <= self._old:
            return self._before
        self._overlap.note(self._new_contents(page, moment))
        return Bookmark(moment, overlap=self._overlap.as_state(moment), known=self._kept_of_known)

    @property
    def _kept_of_known(self) -> dict[str, Any] | None:
        """What the state keeps of the metadata: a run in which the device is not asked tells it all the same."""
        return {name: told for name in KEPT_METADATA if isinstance(told := self._known.get(name), str)} or None


class ReadingsV5Stream(FleetStream[Account]):
    """Readings of all sensors from ZENTRA Cloud 2.0, one record for each value."""

    name = "readings_v5"
    schema: ClassVar[dict[str, Any]] = READINGS_V5
    primary_keys: ClassVar[Sequence[str]] = READINGS_V5_KEY
    replication_key = "timestamp_utc"

    @override
    def device_sns(self, bookmarks: Bookmarks) -> Sequence[str]:
        """Return the devices that the settings name, or else those of the list."""
        account = self.account
        devices = account.device_list
        devices.read(self.logger, self.run.add_fleet)
        named = account.settings.device_sns
        if self.run.token_error is not None:
            return named
        if devices.failure is not None:
            return named if self.run.is_stopped else self._without_list(devices.failure)
        listed = [device.device_id for device in devices]
        known = {same_device(one) for one in listed}
        if named:
            missing = [one for one in named if same_device(one) not in known]
            if missing:
                self.logger.warning("not in the device list, but requested anyway: %s", ", ".join(missing))
            return named
        gone = [one for one in bookmarks.device_sns if same_device(one) not in known]
        if gone:
            self.logger.warning("no longer in the device list; bookmarks are kept: %s", ", ".join(gone))
        foreign = [one for one in account.settings.reread_device_sns if same_device(one) not in known]
        if foreign:
            self.logger.warning("in reread_device_sns, but not in the device list: %s", ", ".join(foreign))
        if not listed:
            organization_id = account.settings.organization_id
            what = (
                "that the key's user has access to devices in ZENTRA Cloud 2.0"
                if organization_id is None
                else f"organization_id ({organization_id})"
            )
            self.fleet_error = f"the device list is empty, so no devices were read; check {what}"
        return listed

    def _without_list(self, failure: str) -> Sequence[str]:
        """Return the devices that are read although there is no list."""
        named = self.account.settings.device_sns
        if named:
            self.logger.warning(
                "could not read the device list (%s); reading the devices of device_sns without it", failure
            )
        else:
            self.fleet_error = (
                f"could not read the device list, so no devices were read: {failure}; to read devices without the "
                "list, name them in device_sns"
            )
        return named

    @override
    def readers_of(
        self, device_sn: str, bookmark: Bookmark | None, newest: int | None, now: float
    ) -> Mapping[str, Reader[Page]]:
        if self.purpose is Purpose.ASKED or not self._has_news(device_sn, bookmark, now):
            return {}
        account = self.account
        listed = account.device_list.get(device_sn)
        reader = ReadingsReader(device_sn, account.api, account.settings, bookmark=bookmark, listed=listed, now=now)
        return {"": reader}

    @override
    def subscription_warning(self, device_sn: str, now: float) -> str | None:
        return subscription_warning(self.account.device_list.get(device_sn), now)

    def _has_news(self, device_sn: str, bookmark: Bookmark | None, now: float) -> bool:
        """Return whether a device has to be asked: not if the list knows nothing newer, and it was within a day."""
        listed = self.account.device_list.get(device_sn)
        last = None if listed is None else listed.last_measurement
        if last is None or bookmark is None or bookmark.value is None or last > bookmark.value:
            return True
        return not (isinstance(bookmark.asked, int) and 0 <= now - bookmark.asked < DAY)


SHARED = ("device_sn", "timestamp_utc", "local_datetime", "device_name")
"""What the readings of a moment have in common."""


class CompactReadingsV5Stream(RecordsStream[Account], ReadingsV5Stream):
    """Readings of all sensors from ZENTRA Cloud 2.0, one record for each device and time."""

    name = "records_v5"
    schema: ClassVar[dict[str, Any]] = columns_of(READINGS_V5, SHARED)
    primary_keys = ("device_sn", "timestamp_utc")
    shared = SHARED


def reading_records(moment: Moment, *, device_sn: str, device_name: str | None) -> list[dict[str, Any]]:
    """Return the records of stream `readings_v5` that a moment becomes.

    Args:
        moment: All rows of a device at that moment.
        device_sn: The device's serial number, as the user gave it.
        device_name: What its owner calls it.
    """
    return filled(*lay_out(moment, device_sn=device_sn, device_name=device_name))


Blanks = list[dict[str, Any]]
"""A record for each row of a moment, with what it has in common with those of other moments."""


def lay_out(moment: Moment, *, device_sn: str, device_name: str | None) -> tuple[Moment, Blanks]:
    """Return a moment without repetitions, and its records as far as other moments have the same.

    Args:
        moment: All rows of a device at that moment.
        device_sn: The device's serial number, as the user gave it.
        device_name: What its owner calls it.
    """
    once = _without_repetitions(moment)
    # So many that they must not stay in memory.
    blanks_of = _blanks_of.__wrapped__ if len(once.series) > RECORDS_AT_ONCE else _blanks_of
    return once, blanks_of(device_sn, device_name, once.series, once.indices)


def filled(moment: Moment, blanks: Blanks) -> list[dict[str, Any]]:
    """Return the records of a moment, given what they have in common with those of other moments."""
    timestamps = moment.each(tuple(map(_iso, moment.timestamps)))
    local_datetimes = moment.each(tuple([local or None for local in moment.datetimes]))
    records = []
    for blank, value, timestamp, local in zip(blanks, moment.values, timestamps, local_datetimes, strict=True):
        record = blank.copy()
        record["timestamp_utc"] = timestamp
        record["value"] = value
        record["local_datetime"] = local
        records.append(record)
    if moment.error_codes != (0,):
        for record, code in zip(records, moment.each(moment.error_codes), strict=True):
            if code != 0:
                record["error_code"] = code
                record["error_flag"] = None if code is None else True
                record["error_description"] = ERROR_DESCRIPTIONS.get(code or 0)
    _tell_more(records, moment.more)
    return records


def _tell_more(records: list[dict[str, Any]], more: Mapping[str, Sequence[Any]]) -> None:
    """Put into `extra` what rows say that no column knows."""
    for name, cells in more.items():
        for record, cell in zip(records, cells, strict=True):
            if cell is not UNSET:
                if record["extra"] is None:
                    record["extra"] = {}
                record["extra"][name] = cell


def sightings(read: Iterable[tuple[int, Blanks]]) -> list[Sighting]:
    """Return which channels have been read.

    Args:
        read: Moments in their order, each with what its records have in common with those of others: mostly the same.
    """
    layouts: dict[int, tuple[Blanks, int, int]] = {}
    for moment, blanks in read:
        _, first, _ = layouts.get(id(blanks), (blanks, moment, moment))
        layouts[id(blanks)] = (blanks, first, moment)
    ends: dict[tuple[int, int, str, str, str | None], tuple[int, int]] = {}
    for blanks, first, last in layouts.values():
        for channel in map(_CHANNEL, blanks):
            known = ends.get(channel, (first, last))
            ends[channel] = (min(known[0], first), max(known[1], last))
    return [
        Sighting(Channel(port, index, measurement, sensor_name, "", units or ""), moments)
        for (port, index, measurement, sensor_name, units), moments in ends.items()
    ]


_CHANNEL = itemgetter("port_number", "sub_sensor_index", "measurement", "sensor_name", "units")


def _seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


_Place = tuple[int, str, str]
"""Port, sensor and measurement, as the key has them."""


def _place(series: Series) -> _Place:
    port, sensor, measurement, _ = series
    return (NO_PORT if port is None else port, sensor or "", measurement)


def _without_repetitions(moment: Moment) -> Moment:
    """Return a moment without the rows that say again, with the same id or position, what another has said.

    Rows with neither may be two depths that read the same, so all of them are kept.
    """
    told = [column for name in ("position", "reading_id") if (column := moment.more.get(name))]
    if not told or _are_distinct(told[-1]) or _are_distinct([*zip(moment.series, *told, strict=True)]):  # mostly
        return moment
    seen = set()
    chosen = []
    for row, identity in zip(_whole_rows(moment), zip(*told, strict=True), strict=True):
        has_identity = any(part is not UNSET for part in identity)
        chosen.append(not has_identity or row not in seen)
        seen.add(row)
    return moment.only(chosen)


def _whole_rows(moment: Moment) -> Iterator[bytes]:
    """Yield each row, with all that it says."""
    timestamps = tuple([timestamp + 0.0 for timestamp in moment.timestamps])
    columns = (timestamps, moment.datetimes, moment.error_codes)
    more = [[None if cell is UNSET else (cell,) for cell in column] for column in moment.more.values()]
    rows = zip(moment.series, moment.values, *map(moment.each, columns), *more, strict=True)
    return map(_ENCODER.encode, rows)


def _are_distinct(cells: Collection[Any]) -> bool:
    """Return whether all of some cells are known to differ from each other."""
    try:
        return len(set(cells)) == len(cells)
    except TypeError:  # lists or objects
        return False


@functools.lru_cache(maxsize=16)
def _blanks_of(
    device_sn: str, device_name: str | None, all_series: tuple[Series, ...], indices: tuple[int | None, ...]
) -> Blanks:
    """Return the same, made once: a device mostly has the same series, in the same order, at each moment."""
    free = _free_indices([_place(series) for series in all_series], indices)
    return [_blank(device_sn, device_name, series, index) for series, index in zip(all_series, free, strict=True)]


def _free_indices(places: Sequence[_Place], positions: Sequence[int | None]) -> Iterator[int]:
    """Yield an index for each row of a moment: its position, which may not be unique, as nothing of it is documented.

    Then, and for a row without one, it is the lowest index that is free.
    """
    taken: set[tuple[_Place, int]] = set()
    indices: list[int | None] = []
    for place, position in zip(places, positions, strict=True):
        index = position
        if index is not None and (place, index) not in taken:
            taken.add((place, index))
        else:
            index = None
        indices.append(index)
    next_index: Counter[_Place] = Counter()
    for place, known in zip(places, indices, strict=True):
        index = known
        if index is None:
            index = next_index[place]
            while (place, index) in taken:
                index += 1
            next_index[place] = index + 1
        yield index


@functools.lru_cache(maxsize=1024)
def _blank(device_sn: str, device_name: str | None, series: Series, index: int) -> dict[str, Any]:
    """Return a record of a series as it mostly is, to be copied: sooner done than naming all columns of each."""
    (port, sensor, measurement), unit = _place(series), series[3]
    return {
        "device_sn": device_sn,
        "timestamp_utc": None,
        "port_number": port,
        "sensor_name": sensor,
        "measurement": measurement,
        "sub_sensor_index": index,
        "value": None,
        "units": spelled_units(unit),
        "error_code": 0,
        "error_flag": False,
        "error_description": None,
        "local_datetime": None,
        "device_name": device_name or None,
        "extra": None,
    }


def moment_content(moment: Moment) -> bytes:
    """Return what a moment holds, short: a digest of its values.

    Neither the order of rows nor the form of a number makes a difference, nor a name of the device.
    """
    lines = _ENCODER.encode_lines(
        [
            (
                timestamp + 0.0,
                NO_PORT if port is None else port,
                sensor or "",
                measurement,
                index,
                comparable(value),
                spelled_units(unit),
                code,
            )
            for (port, sensor, measurement, unit), index, value, timestamp, code in zip(
                moment.series,
                moment.indices,
                moment.values,
                moment.each(moment.timestamps),
                moment.each(moment.error_codes),
                strict=True,
            )
        ]
    )
    return overlap.content(b"".join(sorted(lines.split(b"\n"))))


_ENCODER = msgspec.json.Encoder()


@functools.lru_cache(maxsize=256)
def spelled_units(units: str | None) -> str | None:
    """Return units in one spelling: the service has been seen to write both `m3/m3` and `m³/m³`."""
    cleaned = clean_units(units)
    return cleaned and cleaned.replace("m3/m3", "m³/m³")


def _iso(timestamp: float) -> str:
    whole = int(timestamp)
    return iso_timestamp(whole) if whole == timestamp else datetime.fromtimestamp(timestamp, UTC).isoformat()
