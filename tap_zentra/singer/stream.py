"""What all streams of a fleet have in common: pages become messages, bookmarks move, STATE is written; knows no API."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from singer_sdk import Stream
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_zentra.calls.fleet import Fleet
from tap_zentra.calls.schedule import Outcome, Phase, Schedule, Turn
from tap_zentra.settings import same_device
from tap_zentra.singer.bookmarks import Bookmarks
from tap_zentra.singer.maps import StreamMapError
from tap_zentra.singer.moments import latest_moment
from tap_zentra.singer.pages import DeviceProgress
from tap_zentra.singer.report import Report

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from singer_sdk import Tap

    from tap_zentra.calls.errors import TokenRefusedError
    from tap_zentra.calls.fleet import Reader
    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.calls.memory import BodyMemory
    from tap_zentra.settings import Settings
    from tap_zentra.singer.bookmarks import Bookmark
    from tap_zentra.singer.pages import Page, Part
    from tap_zentra.singer.writer import Writer

STATE_INTERVAL = 5.0
"""Seconds from one STATE message to the next, at least."""


class SyncFailedError(FatalSyncError):
    """A run in which not every device was read to its end. What was read has been written.

    Attributes:
        lines: What failed and why, one line each.
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class StreamAccount(Protocol):
    """What the streams of an account share."""

    @property
    def settings(self) -> Settings:
        """Valid ones."""

    @property
    def call_limits(self) -> CallLimits:
        """Those of the account and its devices."""

    @property
    def memory(self) -> BodyMemory:
        """For the bodies of its calls."""


AccountType = TypeVar("AccountType", bound=StreamAccount)


class FleetStream(Stream, Generic[AccountType]):
    """A stream that is read device by device, many in turn, each from its own bookmark.

    Attributes:
        map_error: Set when a stream map failed, which ends the stream's sync: what it failed on.
        fleet_error: Set when nobody knows which devices there are: why.
    """

    is_sorted = True
    # Readers make what the schema says; converting each field once more would halve the speed.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, account: Callable[[], AccountType]) -> None:
        """Make the stream.

        Args:
            tap: The tap.
            account: What the streams share, made when it is first needed: the catalog needs none.
        """
        super().__init__(tap)
        self.map_error: str | None = None
        self.fleet_error: str | None = None
        self._account = account
        self._fleets: list[Fleet[Any]] = []
        self._devices: list[DeviceProgress] = []
        self._standing: tuple[DeviceProgress, Callable[[], Bookmark | None]] | None = None
        self._is_stopped = False
        self._clock = time.monotonic
        self._now = time.time
        self._state_written_at = self._clock()

    @abstractmethod
    def reader(self, device_sn: str, bookmark: Bookmark | None, newest: int | None, now: float) -> Reader[Page]:
        """Return a device's reader.

        Args:
            device_sn: The device's serial number.
            bookmark: Where it stands; None: at its start.
            newest: Moment of its newest reading that is known, in seconds since 1970.
            now: The moment at which the run began, in seconds since 1970.
        """

    def device_sns(self, bookmarks: Bookmarks) -> Sequence[str]:  # noqa: ARG002 - others look at them
        """Return the devices to read; of those with equally many calls left, the one named first goes first.

        Args:
            bookmarks: Of all devices that were ever read.
        """
        return self.account.settings.device_sns

    def has_news(self, device_sn: str, bookmark: Bookmark | None, now: float) -> bool:  # noqa: ARG002 - as above
        """Return whether a device has to be asked; False: it is known to be read to its end, without a call.

        Args:
            device_sn: The device's serial number.
            bookmark: Where it stands.
            now: The moment at which the run began, in seconds since 1970.
        """
        return True

    @property
    def account(self) -> AccountType:
        """What the streams of the account share."""
        return self._account()

    @property
    def token_error(self) -> TokenRefusedError | None:
        """Set when the service has refused the token."""
        return next((fleet.token_error for fleet in self._fleets if fleet.token_error is not None), None)

    @property
    def failed_entirely(self) -> bool:
        """Whether more failed than some of the devices: a stream map, the fleet, or every device."""
        if self.map_error is not None or self.fleet_error is not None:
            return True
        return bool(self._devices) and all(device.outcome is not Outcome.CURRENT for device in self._devices)

    @property
    def failures(self) -> list[str]:
        """Which devices have not been read to their end, and why: one line each; or why none could be written."""
        if (error := self.map_error or self.fleet_error) is not None:
            return [error]
        turns = [device.turn for device in self._devices]
        return [f"{turn.device_sn} failed: {turn.failure}" for turn in turns if turn.outcome is not Outcome.CURRENT]

    def bookmarks(self) -> Bookmarks:
        """Return a view on the stream's part of the state.

        Raises:
            StateError: The state does not have the shape that this tap writes.
        """
        return Bookmarks(
            self.stream_state,
            replication_key=cast("str", self.replication_key),
            of_moments=self.is_timestamp_replication_key,
        )

    def stop(self) -> None:
        """End the sync soon, with all that was read written; may be called from a signal handler."""
        self._is_stopped = True
        for fleet in self._fleets:
            fleet.stop()

    def add_fleet(self, fleet: Fleet[Any]) -> None:
        """Have a fleet stopped with the stream, be it stopped already."""
        self._fleets.append(fleet)
        if self._is_stopped:
            fleet.stop()

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        return self._sync_records(context, write_messages=False)

    @override
    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, None]:
        """Read the fleet: write each page, then move its device's bookmark, and from time to time write STATE.

        A fleet is read in turn and not one partition after the other, so `context` has no meaning here. Without
        `write_messages` (BATCH) the caller writes the records, and STATE behind them.
        """
        bookmarks = self.bookmarks()
        fleet = self._make_fleet(bookmarks)
        report = self._make_report()

        def between_parts() -> None:
            report.progress()
            if write_messages and self._state_is_due():
                self._move_bookmark(bookmarks)
                self._write_state_message()

        with self.get_record_counter() as counter, self.get_sync_timer():
            try:
                for device, page in self._pages(fleet, between_parts):
                    for part in self._parts(page):
                        self._write(device, part, write_messages=write_messages)
                        yield from part.records
                        counter.increment(len(part.records))
                        self._note_standing(device, part)
                        between_parts()
                    self._move_bookmark(bookmarks)
            except StreamMapError as error:
                self.map_error = str(error)
            finally:
                self._move_bookmark(bookmarks)
                if write_messages:
                    self._write_state_message()
        self._end(report)

    @override
    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """Return no moment beyond which a bookmark must not go: no bookmark goes beyond what was written."""

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE

    @property
    def _is_test(self) -> bool:
        """Whether this is `--test` or another run that ends after some records."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _make_fleet(self, bookmarks: Bookmarks) -> Fleet[Page]:
        """Make the fleet, each device at its bookmark, and what is noted of each."""
        settings = self.account.settings
        now = self._now()
        # One device is enough to test a connection; more would use up their minute for nothing.
        device_sns = self.device_sns(bookmarks)[: 1 if self._is_test else None]
        reread = [one for one in device_sns if self._is_reread(one)]
        if reread:
            self.logger.info("reading from the start again: %s", ", ".join(reread))
        starts = {device_sn: self._start(device_sn, bookmarks) for device_sn in device_sns}
        schedule = Schedule(
            [one for one in device_sns if self._is_test or self.has_news(one, starts[one], now)],
            self.account.call_limits,
            window=settings.call_limit_window,
            max_calls=settings.max_concurrent_calls,
            max_attempts=settings.max_attempts,
            now=self._clock(),
        )
        turns = {turn.device_sn: turn for turn in schedule.turns}
        self._devices = [
            DeviceProgress(
                turns.get(device_sn) or Turn(device_sn, phase=Phase.DONE),
                bookmark=bookmark,
                newest=bookmarks.newest(device_sn, until=latest_moment(now)),
            )
            for device_sn, bookmark in starts.items()
        ]
        fleet: Fleet[Page] = Fleet(
            {
                device.turn: self.reader(device.turn.device_sn, device.bookmark, device.newest, now)
                for device in self._devices
                if device.turn in schedule.turns
            },
            schedule,
            memory=self.account.memory,
            threads=settings.max_concurrent_calls,
            logger=self.logger,
            clock=self._clock,
        )
        self.add_fleet(fleet)
        return fleet

    def _start(self, device_sn: str, bookmarks: Bookmarks) -> Bookmark | None:
        """Return where a device is read on from; None or without a value: from its start."""
        bookmark = bookmarks.get(device_sn) if self._is_incremental else None
        return bookmark.at_start() if bookmark is not None and self._is_reread(device_sn) else bookmark

    def _is_reread(self, device_sn: str) -> bool:
        return same_device(device_sn) in map(same_device, self.account.settings.reread_device_sns)

    def _make_report(self) -> Report:
        account = self.account
        return Report(
            self.name,
            self._devices,
            self.logger,
            limits=account.call_limits,
            settings=account.settings,
            by_mrid=not self.is_timestamp_replication_key,
            clock=self._clock,
        )

    def _pages(self, fleet: Fleet[Page], between_pages: Callable[[], None]) -> Iterator[tuple[DeviceProgress, Page]]:
        """Yield the fleet's pages, noted and told of."""
        by_turn = {device.turn: device for device in self._devices}
        for turn, page in fleet.pages(between_pages):
            device = by_turn[turn]
            device.note(page)
            if page.warning:
                self.logger.warning("%s: %s", turn.device_sn, page.warning)
            yield device, page

    def _parts(self, page: Page) -> Iterator[Part]:
        """Yield a page's parts, with the columns that are selected, until a signal comes."""
        columns = [
            name
            for name in self.schema["properties"]
            if name in self.effective_schema["properties"] and self.mask["properties", name]
        ]
        all_are_selected = len(columns) == len(self.schema["properties"])
        for part in page.parts():
            if self._is_stopped:
                return
            if all_are_selected:
                yield part
            else:
                yield replace(part, records=[{name: record[name] for name in columns} for record in part.records])

    def _write(self, device: DeviceProgress, part: Part, *, write_messages: bool) -> None:
        """Write a part's records, or as many as a run may write that ends after some records."""
        records = part.records[: self.ABORT_AT_RECORD_COUNT]
        self._check_max_record_limit(device.readings)
        if write_messages and records:
            self._write_records(records)
            self.state_manager.is_flushed = False
        device.readings += len(records)

    def _note_standing(self, device: DeviceProgress, part: Part) -> None:
        """Take note of where a device stands, now that a part has been written or handed over."""
        if part.bookmark is not None:
            self._standing = (device, part.bookmark)

    def _move_bookmark(self, bookmarks: Bookmarks) -> None:
        """Move the bookmark of the device at hand over what has been written."""
        if self._standing is None:
            return
        device, bookmark = self._standing
        self._standing = None
        device.bookmark = bookmark()
        if device.bookmark is not None and self._is_incremental:
            bookmarks.set(device.turn.device_sn, device.bookmark, device.newest)
            self.state_manager.is_flushed = False

    def _write_records(self, records: list[dict[str, Any]]) -> None:
        """Write records as they are; one by one through the SDK only where stream maps want to see each."""
        maps = self.stream_maps
        if len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled:
            self._writer.write_records(maps[0].stream_alias, records, utc_now().isoformat())
            return
        for record in records:
            self._write_record_message(record)

    @property
    def _writer(self) -> Writer:
        return cast("Writer", self._tap.message_writer)

    def _state_is_due(self) -> bool:
        now = self._clock()
        if now - self._state_written_at < STATE_INTERVAL or not self._writer.state_is_cheap:
            return False
        self._state_written_at = now
        return True

    def _end(self, report: Report) -> None:
        """Say what became of the devices, unless there is nothing to say but what a stream map failed on."""
        if self._is_test:
            self._raise_if_test_failed()
        elif self.map_error is None:
            report.summary()

    def _raise_if_test_failed(self) -> None:
        """Let `--test` fail here, for the SDK ends it without asking anybody what became of the devices."""
        if self.token_error is not None:
            raise SyncFailedError([str(self.token_error)])
        if self.failures and not self._is_stopped:
            raise SyncFailedError(self.failures)
