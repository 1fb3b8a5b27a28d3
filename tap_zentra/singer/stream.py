"""Streams of a run: how records become messages, and what streams that call have in common; knows no API."""

from __future__ import annotations

import contextlib
import enum
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from singer_sdk import Stream
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_zentra.calls.schedule import Outcome, Phase, Turn
from tap_zentra.settings import same_device
from tap_zentra.singer.bookmarks import Bookmarks, known_of
from tap_zentra.singer.moments import latest_moment
from tap_zentra.singer.pages import DeviceProgress

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig

    from tap_zentra.calls.fleet import Reader
    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.calls.memory import BodyMemory
    from tap_zentra.settings import Settings
    from tap_zentra.singer.bookmarks import Bookmark
    from tap_zentra.singer.pages import Page, Part
    from tap_zentra.singer.run import Run
    from tap_zentra.singer.writer import Writer


class SyncFailedError(FatalSyncError):
    """A run in which not every device was read to its end. What was read has been written.

    Attributes:
        lines: What failed and why, one line each.
        so_far: What was read and written all the same; None: there is nothing to say of that.
    """

    def __init__(self, lines: list[str], so_far: str | None = None) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.so_far = so_far

    @property
    def log_lines(self) -> list[str]:
        """The lines to end a log with: the last one says what was read, and behind a single failure it is the same."""
        if self.so_far is None:
            return self.lines
        if len(self.lines) == 1:
            return [f"{self.lines[0]}; {self.so_far}"]
        return [*self.lines, f"{len(self.lines)} failures, see the lines above; {self.so_far}"]


class StreamOfRun(Stream):
    """A stream whose records come from the run that all streams share.

    Attributes:
        run: The run; it sets itself.
        map_error: Set when a stream map failed, which ends the stream's part in the run: what it failed on.
        written: Records that were written, or handed over for a batch file.
    """

    is_sorted = True
    # The records are what the schema says; converting each field once more would halve the speed.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    fills_batch_files: ClassVar[bool] = True
    """Whether BATCH has files made of its records; else they would hold a few records each, so it writes these."""

    run: Run

    def __init__(self, tap: Tap, schema: dict[str, Any] | None = None) -> None:
        super().__init__(tap, schema)
        self.map_error: str | None = None
        self.written = 0
        self._has_schema = False
        self._columns: list[str] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the settings want anything of it; else it has no part in the run, selected or not."""
        return True

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        return self._sync_records(context, write_messages=False)

    @override
    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, None]:
        """Have the run go if it has not gone yet; then all streams of it are read.

        Devices are read in turn and not one partition after the other, so `context` has no meaning here. Without
        `write_messages` (BATCH) the caller writes this stream's records, and STATE behind them.
        """
        with self.get_record_counter() as counter, self.get_sync_timer():
            yield from self.run.read(self, write_messages=write_messages)
            counter.increment(self.written)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        return super().get_batch_config(config) if self.fills_batch_files else None

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[BaseBatchFileEncoding, list[str]]]:
        # Only here: the SDK's part of it takes a tenth of a start-up to import.
        from tap_zentra.singer.batch import GzipBatcher  # noqa: PLC0415

        batcher = GzipBatcher(self.tap_name, self.name, batch_config)
        # A file that can't be written ends the run here, and not after the line that says why.
        with contextlib.closing(self._sync_records(context, write_messages=False)) as records:
            for manifest in batcher.get_batches(records):
                yield batch_config.encoding, manifest

    @override
    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """Return no moment beyond which a bookmark must not go: no bookmark goes beyond what was written."""

    @override
    def _write_schema_message(self) -> None:
        """Write the SCHEMA message, once: whichever stream sets the run going has it written for all of them."""
        if self.is_wanted and not self._has_schema:
            self._has_schema = True
            super()._write_schema_message()

    def write_schema(self) -> None:
        """Write the SCHEMA message, unless it has been written."""
        self._write_schema_message()

    def write_state(self) -> None:
        """Write a STATE message with the bookmarks of all streams."""
        self._write_state_message()

    def write_some(self, records: list[dict[str, Any]], *, write_messages: bool = True) -> list[dict[str, Any]]:
        """Write records.

        Args:
            records: With all columns.
            write_messages: Whether they are to be written; else whoever asks for them does it.

        Returns:
            Them, with the columns that are selected.

        Raises:
            StreamMapError: A stream map can't be evaluated for one.
        """
        selected = self._selected_of(records)
        if write_messages and selected:
            self._write_records(selected)
            self.state_manager.is_flushed = False
        self.written += len(selected)
        return selected

    def _selected_of(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return records with the columns that are selected, and no more of them than a run wants that tests."""
        if self._columns is None:
            mapped = self.effective_schema["properties"]
            self._columns = [
                name for name in self.schema["properties"] if name in mapped and self.mask["properties", name]
            ]
        limit = self.ABORT_AT_RECORD_COUNT
        some = records if limit is None else records[: max(0, limit - self.written)]
        if len(self._columns) == len(self.schema["properties"]):
            return some
        return [{name: record[name] for name in self._columns} for record in some]

    def _write_records(self, records: list[dict[str, Any]]) -> None:
        """Write records as they are; one by one through the SDK only where stream maps want to see each."""
        maps = self.stream_maps
        if len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled:
            self.writer.write_records(maps[0].stream_alias, records, utc_now().isoformat())
            return
        for record in records:
            self._write_record_message(record)

    @property
    def writer(self) -> Writer:
        """What writes the tap's messages."""
        return cast("Writer", self._tap.message_writer)


class FollowingStream(StreamOfRun):
    """A stream that calls for nothing: its records tell of what others have read, and of what became of the devices."""

    reads_along: ClassVar[bool] = False
    """Whether the readings have to be read for it."""

    fills_batch_files = False

    def follow(self, device: DeviceProgress, part: Part) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - others look
        """Return the records that have to be written before the bookmark moves over a part of a page."""
        return ()

    def end(self, device: DeviceProgress) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - as above
        """Return the records that are to be written once a device has been read to its end."""
        return ()

    @abstractmethod
    def last(self, devices: Iterable[Sequence[DeviceProgress]], now: float) -> Iterable[dict[str, Any]]:
        """Return the records that are to be written at the end of the run.

        Args:
            devices: What became of each device, in each of its turns, the one of its readings first.
            now: The moment at which the run ends, in seconds since 1970.
        """


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


class Purpose(enum.Enum):
    """What a stream's devices are read for in a run."""

    WRITTEN = enum.auto()
    """The stream is selected: its records are written, and its bookmarks move."""
    READ_ALONG = enum.auto()
    """Only streams are selected that tell of what it reads: nothing of it is written, and no bookmark moves."""
    ASKED = enum.auto()
    """Only a stream is selected that tells how the devices are, which takes one call for each, or none."""


class FleetStream(StreamOfRun, Generic[AccountType]):
    """A stream that is read device by device, many in turn, each from its own bookmark.

    Attributes:
        purpose: What its devices are read for; None: it has no part in the run.
        devices: What becomes of each device, in the order of the settings.
        readers: Those of the devices that are called for.
        fleet_error: Set when nobody knows which devices there are: why.
    """

    is_followed: ClassVar[bool] = True
    """Whether the streams that call for nothing tell of its devices."""

    noun: ClassVar[str] = "device"
    """One of the things that it reads one after the other."""

    def __init__(self, tap: Tap, account: Callable[[], AccountType]) -> None:
        """Make the stream.

        Args:
            tap: The tap.
            account: What the streams share, made when it is first needed: the catalog needs none.
        """
        super().__init__(tap)
        self.purpose: Purpose | None = None
        self.devices: list[DeviceProgress] = []
        self.readers: dict[Turn, Reader[Page]] = {}
        self.fleet_error: str | None = None
        self._account = account
        self._bookmarks: Bookmarks | None = None
        self._standing: tuple[DeviceProgress, Callable[[], Bookmark | None]] | None = None

    @abstractmethod
    def readers_of(
        self, device_sn: str, bookmark: Bookmark | None, newest: int | None, now: float
    ) -> Mapping[str, Reader[Page]]:
        """Return a device's readers by what each reads of it, which is "" where there is one.

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

    def subscription_warning(self, device_sn: str, now: float) -> str | None:  # noqa: ARG002 - others know
        """Return what is to be said of a device's subscription; None: nothing.

        Args:
            device_sn: The device's serial number.
            now: In seconds since 1970.
        """
        return None

    @property
    def account(self) -> AccountType:
        """What the streams of the account share."""
        return self._account()

    @property
    def failures(self) -> list[str]:
        """Which devices have not been read to their end, and why: one line each; or why none could be written."""
        if (error := self.map_error or self.fleet_error) is not None:
            return [error]
        turns = [device.turn for device in self.devices]
        return [f"{turn.name} failed: {turn.failure}" for turn in turns if turn.outcome is Outcome.FAILED]

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

    def begin(self, purpose: Purpose, now: float, *, devices: int | None) -> None:
        """Make the readers, each device at its bookmark, and what is noted of each.

        Args:
            purpose: What the devices are read for.
            now: The moment at which the run began, in seconds since 1970.
            devices: How many are read at most; None: all.
        """
        self.purpose = purpose
        self._bookmarks = self.bookmarks()
        device_sns = self.device_sns(self._bookmarks)[:devices]
        reread = [one for one in device_sns if self._is_reread(one)]
        if reread and purpose is Purpose.WRITTEN:
            self.logger.info("re-reading from the start: %s", ", ".join(reread))
        if purpose is Purpose.WRITTEN and self.is_followed and device_sns and not self._bookmarks.device_sns:
            self.logger.info("the state has no bookmarks for %s: all devices are read from their start", self.name)
        for device_sn in device_sns:
            self._begin_device(device_sn, self._bookmarks, now)

    def write_part(self, device: DeviceProgress, part: Part, *, write_messages: bool) -> list[dict[str, Any]]:
        """Write a part of a page.

        Args:
            device: Whose it is.
            part: The part.
            write_messages: Whether the records are to be written; else whoever asks for them does it.

        Returns:
            The records, with the columns that are selected.

        Raises:
            StreamMapError: A stream map can't be evaluated for one.
        """
        if self.purpose is not Purpose.WRITTEN:
            return []
        records = self.write_some(part.records, write_messages=write_messages)
        device.readings += len(records)
        return records

    def note_standing(self, device: DeviceProgress, part: Part) -> None:
        """Take note of where a device stands, now that a part has been written or handed over."""
        if part.bookmark is not None and self.purpose is Purpose.WRITTEN:
            self._standing = (device, part.bookmark)

    def move_bookmark(self) -> None:
        """Move the bookmark of the device at hand over what has been written."""
        if self._standing is None or self._bookmarks is None:
            return
        device, bookmark = self._standing
        self._standing = None
        device.bookmark = bookmark()
        if device.bookmark is not None and self._is_incremental:
            self._bookmarks.set(device.turn.device_sn, device.bookmark, device.newest)
            self.state_manager.is_flushed = False

    def _begin_device(self, device_sn: str, bookmarks: Bookmarks, now: float) -> None:
        bookmark = self._start(device_sn, bookmarks)
        newest = bookmarks.newest(device_sn, until=latest_moment(now))
        readers = self.readers_of(device_sn, bookmark, newest, now)
        turns = [Turn(device_sn, about, reader.calls_left) for about, reader in readers.items()]
        self.readers.update(zip(turns, readers.values(), strict=True))
        self.devices += [
            DeviceProgress(turn, bookmark=bookmark, newest=newest, known=known_of(bookmark))
            for turn in turns or [self._without_call(device_sn)]
        ]

    def _without_call(self, device_sn: str) -> Turn:
        """Return the turn of a device that is known to be read to its end, or of which nothing is wanted."""
        return Turn(device_sn, phase=Phase.WAITING if self.purpose is Purpose.ASKED else Phase.DONE)

    def _start(self, device_sn: str, bookmarks: Bookmarks) -> Bookmark | None:
        """Return where a device is read on from; None or without a value: from its start."""
        bookmark = bookmarks.get(device_sn) if self._is_incremental else None
        return bookmark.at_start() if bookmark is not None and self._is_reread(device_sn) else bookmark

    def _is_reread(self, device_sn: str) -> bool:
        return same_device(device_sn) in map(same_device, self.account.settings.reread_device_sns)

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE
