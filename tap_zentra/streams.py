"""The streams: schema, keys, and how a page becomes messages and bookmarks."""

from __future__ import annotations

import contextlib
import functools
import itertools
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Stream
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_zentra import schemas
from tap_zentra.bookmarks import REPLICATION_KEY, Bookmarks
from tap_zentra.fleet import Device, DevicePage, Fleet
from tap_zentra.pagination import MridPaginator
from tap_zentra.report import Report, state
from tap_zentra.schedule import Schedule

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from singer_sdk import Tap

    from tap_zentra.call_limits import CallLimits
    from tap_zentra.client import Client
    from tap_zentra.settings import Settings
    from tap_zentra.writer import Writer

RECORDS_AT_ONCE = 1000
"""Records that are built and written in one go: enough for speed, little enough for memory and for stopping."""

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


class StoppedError(FatalSyncError):
    """A run that a signal ended. What was read has been written.

    Attributes:
        signal_number: The signal.
    """

    def __init__(self, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; what was read is written, the next run goes on from there")
        self.signal_number = signal_number


@dataclass(frozen=True)
class Account:
    """What the streams share: the settings, one client and one set of call limits."""

    settings: Settings
    client: Client
    call_limits: CallLimits


class ReadingsStream(Stream):
    """Readings of all sensors, one record for each value."""

    name = "readings"
    schema: ClassVar[dict[str, Any]] = schemas.READINGS
    primary_keys = schemas.READINGS_KEY
    replication_key = REPLICATION_KEY
    is_sorted = True
    # `records` makes what the schema says; converting each field once more would halve the speed.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, account: Account | None) -> None:
        """Make the stream.

        Args:
            tap: The tap.
            account: What the streams share; None when the tap only shows its catalog.
        """
        super().__init__(tap)
        self._account = account
        self._fleet: Fleet | None = None
        self._stopped_by: int | None = None
        self._clock = time.monotonic
        self._state_written_at = self._clock()

    def stop(self, signal_number: int) -> None:
        """End the sync soon, with all that was read written; may be called from a signal handler."""
        self._stopped_by = signal_number
        if self._fleet is not None:
            self._fleet.stop()

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
        if self._account is None:
            raise SyncFailedError(["the settings are not valid, so nothing can be read"])
        bookmarks = Bookmarks(self.stream_state)
        fleet, report = self._line_up(self._account, bookmarks)

        def between_pages() -> None:
            report.progress()
            if write_messages and self._state_is_due():
                self._write_state_message()

        with self.get_record_counter() as counter, self.get_sync_timer(), contextlib.closing(self._account.client):
            try:
                for page in fleet.pages(between_pages):
                    for records in self._written(page, write_messages=write_messages):
                        yield from records
                        counter.increment(len(records))
                    self._move_bookmark(page, bookmarks)
            finally:
                if write_messages:
                    self._write_state_message()
        if self._is_test:
            self._raise_if_incomplete()
        else:
            report.summary()

    @override
    def log_sync_costs(self) -> None:
        """End the run with what went wrong; the SDK calls this once all streams have been synced."""
        self._raise_if_incomplete()

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE

    @property
    def _is_test(self) -> bool:
        """Whether this is `--test` or another run that ends after some records."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _line_up(self, account: Account, bookmarks: Bookmarks) -> tuple[Fleet, Report]:
        """Make the fleet, each device at its bookmark, and the report on it."""
        settings = account.settings
        # One device is enough to test a connection; more would use up their minute for nothing.
        device_sns = settings.device_sns[:1] if self._is_test else settings.device_sns
        schedule = Schedule(
            device_sns,
            account.call_limits,
            window=settings.call_limit_window,
            max_calls=settings.max_concurrent_calls,
            max_attempts=settings.max_attempts,
            now=self._clock(),
        )
        devices = [
            Device(
                turn,
                MridPaginator(
                    bookmark=bookmarks.get(turn.device_sn) if self._is_incremental else None,
                    page_size=settings.page_size,
                    lookback=settings.mrid_lookback,
                    start=settings.start_date,
                    end=settings.end_date,
                ),
                newest=bookmarks.newest(turn.device_sn),
            )
            for turn in schedule.turns
        ]
        report = Report(devices, self.logger, settings=settings, clock=self._clock)
        self._fleet = Fleet(
            devices,
            schedule,
            functools.partial(account.client.get_readings, page_size=settings.page_size, depth=settings.device_depth),
            threads=settings.max_concurrent_calls,
            device_call_limit=settings.device_call_limit,
            logger=self.logger,
            clock=self._clock,
        )
        if self._stopped_by is not None:
            self._fleet.stop()
        return self._fleet, report

    def _written(self, page: DevicePage, *, write_messages: bool) -> Iterator[list[dict[str, Any]]]:
        """Write a page's records, and yield what has been written, portion by portion."""
        for records in self._portions(page):
            self._check_max_record_limit(page.device.readings)
            if write_messages:
                self._write_records(records)
                self.state_manager.is_flushed = False
            page.device.readings += len(records)
            yield records

    def _portions(self, page: DevicePage) -> Iterator[list[dict[str, Any]]]:
        """Yield a page's records by the thousand, with the columns that are selected, until a signal comes."""
        columns = [
            name
            for name in self.schema["properties"]
            if name in self.effective_schema["properties"] and self.mask["properties", name]
        ]
        records = page.records()
        if len(columns) < len(self.schema["properties"]):
            records = ({name: record[name] for name in columns} for record in records)
        at_once = min(RECORDS_AT_ONCE, self.ABORT_AT_RECORD_COUNT or RECORDS_AT_ONCE)
        while self._stopped_by is None and (portion := list(itertools.islice(records, at_once))):
            yield portion

    def _move_bookmark(self, page: DevicePage, bookmarks: Bookmarks) -> None:
        """Move a device's bookmark over a page that has been written, unless a signal cut the page short."""
        if page.bookmark is not None and self._stopped_by is None and self._is_incremental:
            bookmarks.set(page.device.device_sn, page.bookmark, page.newest)
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

    def _raise_if_incomplete(self) -> None:
        """Raise what keeps a run from ending with exit code 0.

        Raises:
            StoppedError: A signal ended the run.
            SyncFailedError: The token was refused, or a device was not read to its end.
        """
        if self._stopped_by is not None:
            raise StoppedError(self._stopped_by)
        if self._fleet is None:
            return
        if self._fleet.token_error is not None:
            raise SyncFailedError(
                [f"{self._fleet.token_error}; check auth_token, and server: a token is valid on one server only"]
            )
        failed = [device.turn for device in self._fleet.devices if state(device) == "failed"]
        if failed:
            raise SyncFailedError([f"{turn.device_sn} failed: {turn.failure}" for turn in failed])
