"""What the streams of a run do together: one fleet, whose pages go to the streams that they are for; knows no API."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from tap_zentra.calls.fleet import Fleet
from tap_zentra.calls.schedule import Outcome, Phase, Schedule
from tap_zentra.settings import same_device
from tap_zentra.singer.maps import StreamMapError
from tap_zentra.singer.pages import outcome_of
from tap_zentra.singer.report import Progress, Report
from tap_zentra.singer.stream import FleetStream, FollowingStream, Purpose, SyncFailedError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator

    from tap_zentra.calls.errors import TokenRefusedError
    from tap_zentra.calls.schedule import Turn
    from tap_zentra.singer.pages import DeviceProgress, Page
    from tap_zentra.singer.stream import StreamOfRun

STATE_INTERVAL = 5.0
"""Seconds from one STATE message to the next, at least."""


class Run:
    """Reads the fleet for all streams that are selected, once, whichever of them the SDK syncs first.

    So one schedule orders all calls, and a device whose readings wait for its minute holds up no other stream. Streams
    that call for nothing follow the readings: what they have to tell is written before a bookmark moves over it.

    Attributes:
        is_stopped: Whether a signal has come.
    """

    def __init__(
        self,
        streams: Iterable[StreamOfRun],
        *,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make ready; nothing is called yet.

        Args:
            streams: Of an account, of which those take part that are selected when the run begins.
            logger: Where the lines go.
            clock: Monotonic, in seconds.
            now: The time of day, in seconds since 1970.
        """
        streams = list(streams)
        self.is_stopped = False
        self._calling = [stream for stream in streams if isinstance(stream, FleetStream)]
        self._following = [stream for stream in streams if isinstance(stream, FollowingStream)]
        self._logger = logger
        self._clock = clock
        self._now = now
        self._has_begun = False
        self._seconds: float | None = None  # that reading took; None: it has not ended
        self._fleets: list[Fleet[Any]] = []
        self._reading: list[FleetStream[Any]] = []
        self._places: dict[Turn, tuple[FleetStream[Any], DeviceProgress]] = {}
        self._handed_over: StreamOfRun | None = None
        self._state_written_at = clock()
        for stream in streams:
            stream.run = self

    @property
    def token_error(self) -> TokenRefusedError | None:
        """Set when the service has refused the token."""
        return next((fleet.token_error for fleet in self._fleets if fleet.token_error is not None), None)

    @property
    def why_not_asked(self) -> str | None:
        """Why devices were not called for that should have been; None: that is not so."""
        if self.token_error is not None:
            return str(self.token_error)
        return "the run ended before it was called" if self.is_stopped else None

    @property
    def failures(self) -> list[str]:
        """What has not been read to its end in any stream, and why: one line each."""
        return [failure for stream in self._calling for failure in stream.failures] + self._failures_of_followers

    @property
    def _failures_of_followers(self) -> list[str]:
        return [stream.map_error for stream in self._following if stream.map_error is not None]

    @property
    def so_far(self) -> str | None:
        """How much was read and written, for the last line of a run that failed; None: no device was known."""
        devices = self._by_device()
        if not devices:
            return None
        current = sum(outcome_of(turns) is Outcome.CURRENT for turns in devices)
        readings = sum(device.readings for _, device in self._places.values() if not device.turn.about)
        resumes = "; the next run resumes from there" if readings else ""
        return f"devices read to the end: {current} of {len(devices)}; readings written: {readings}{resumes}"

    @property
    def failed_entirely(self) -> bool:
        """Whether more failed than some of the devices: a stream map, the fleet, or something of every device."""
        if any(stream.map_error is not None for stream in (*self._calling, *self._following)):
            return True
        if any(stream.fleet_error is not None for stream in self._calling):
            return True
        devices = self._by_device()
        return bool(devices) and all(outcome_of(turns) is not Outcome.CURRENT for turns in devices)

    def add_fleet(self, fleet: Fleet[Any]) -> None:
        """Have a fleet stopped with the run, be it stopped already."""
        self._fleets.append(fleet)
        if self.is_stopped:
            fleet.stop()

    def stop(self) -> None:
        """End the run soon, with all that was read written; may be called from a signal handler."""
        self.is_stopped = True
        for fleet in self._fleets:
            fleet.stop()

    def read(self, lead: StreamOfRun, *, write_messages: bool) -> Iterator[dict[str, Any]]:
        """Read the fleet, unless that has been done: write each page, move its device's bookmark, write STATE.

        Args:
            lead: The stream that is synced.
            write_messages: Whether its records are to be written; else (BATCH) they are yielded, and whoever takes
                them writes them, and STATE.

        Raises:
            SyncFailedError: The run is one that tests, and the test failed.
        """
        if self._has_begun:
            return
        self._has_begun = True
        self._handed_over = None if write_messages else lead
        is_test = lead.ABORT_AT_RECORD_COUNT is not None
        began = self._clock()
        self._begin(is_test=is_test)
        fleet = self._make_fleet()
        try:
            for turn, page in fleet.pages(self._between_parts):
                stream, device = self._places[turn]
                yield from self._take(stream, device, page, fleet)
                if is_test and stream.written:
                    break
        finally:
            self._end()
        if is_test:
            self._raise_if_test_failed()
            return
        self._seconds = self._clock() - began

    def report(self) -> None:
        """Say how the run has ended, behind all else that is said: whoever reads a log begins at its end."""
        if self._seconds is None:
            return
        for stream in self._reading:
            if stream.map_error is None:  # else there is nothing to say but that
                self._report_on(stream).summary(seconds=self._seconds)

    def _begin(self, *, is_test: bool) -> None:
        """Write the SCHEMA of every selected stream, and make the streams ready that are read."""
        for stream in self._selected():
            stream.write_schema()
        purposes = {stream: purpose for stream in self._calling if (purpose := self._purpose_of(stream)) is not None}
        # One device is enough to test a connection; more would use up their minute for nothing.
        self._reading = list(purposes)[: 1 if is_test else None]
        now = self._now()
        for stream in self._reading:
            stream.begin(purposes[stream], now, devices=1 if is_test else None)
        self._places = {device.turn: (stream, device) for stream in self._reading for device in stream.devices}

    def _selected(self) -> list[StreamOfRun]:
        return [stream for stream in (*self._calling, *self._following) if stream.selected and stream.is_wanted]

    def _purpose_of(self, stream: FleetStream[Any]) -> Purpose | None:
        if stream in self._selected():
            return Purpose.WRITTEN
        followers = [follower for follower in self._following if follower.selected and stream.is_followed]
        if any(follower.reads_along for follower in followers):
            return Purpose.READ_ALONG
        return Purpose.ASKED if followers else None

    def _make_fleet(self) -> Fleet[Page]:
        """Make the fleet of all streams, and what tells how far it is."""
        readers = {turn: reader for stream in self._reading for turn, reader in stream.readers.items()}
        account = self._calling[0].account
        settings = account.settings
        schedule = Schedule(
            readers,
            account.call_limits,
            window=settings.call_limit_window,
            max_calls=settings.max_concurrent_calls,
            max_attempts=settings.max_attempts,
            now=self._clock(),
        )
        fleet: Fleet[Page] = Fleet(
            readers,
            schedule,
            memory=account.memory,
            threads=settings.max_concurrent_calls,
            logger=self._logger,
            clock=self._clock,
        )
        if self.token_error is not None:  # each device would be asked with a key that was refused just now
            fleet.stop()
        self.add_fleet(fleet)
        devices = [device for _, device in self._places.values()]
        self._progress = Progress(devices, self._logger, limits=account.call_limits, clock=self._clock)
        return fleet

    def _take(
        self, stream: FleetStream[Any], device: DeviceProgress, page: Page, fleet: Fleet[Page]
    ) -> Iterator[dict[str, Any]]:
        """Write a page, or hand over its records."""
        if stream.map_error is None:  # else it was on its way when that happened
            device.note(page)
            if page.warning:
                self._logger.warning("%s: %s", device.turn.name, page.warning)
            try:
                yield from self._take_parts(stream, device, page)
            except StreamMapError as error:
                stream.map_error = str(error)
            stream.move_bookmark()
        if stream.map_error is not None:
            fleet.withdraw(stream.readers, stream.map_error)
            _fail_if_done(device, stream.map_error)

    def _take_parts(self, stream: FleetStream[Any], device: DeviceProgress, page: Page) -> Iterator[dict[str, Any]]:
        """Write a page part by part, and what others have to tell of each before its device's bookmark moves over it.

        Raises:
            StreamMapError: A stream map can't be evaluated for a record.
        """
        is_handed_over = stream is self._handed_over
        followers = self._followers_of(stream)
        for part in page.parts():
            self._between_parts()
            if self.is_stopped:
                _fail_if_done(device, None)
                return
            records = stream.write_part(device, part, write_messages=not is_handed_over)
            if is_handed_over:
                yield from records
            for follower in followers:
                self._write_for(follower, follower.follow(device, part))
            stream.note_standing(device, part)
        if device.turn.phase is Phase.DONE:
            for follower in followers:
                self._write_for(follower, follower.end(device))

    def _followers_of(self, stream: FleetStream[Any]) -> list[FollowingStream]:
        """Return the streams that have to tell of a page before a bookmark moves over it."""
        return [follower for follower in self._following if follower.selected] if stream.is_followed else []

    def _write_for(self, follower: FollowingStream, records: Iterable[dict[str, Any]]) -> None:
        """Write the records of a stream that follows; one that fails does not keep the others from being read."""
        if follower.map_error is not None:
            return
        try:
            follower.write_some(list(records))
        except StreamMapError as error:
            follower.map_error = str(error)

    def _between_parts(self) -> None:
        self._progress.say()
        if self._handed_over is None and self._state_is_due():
            self._write_state()

    def _state_is_due(self) -> bool:
        now = self._clock()
        if now - self._state_written_at < STATE_INTERVAL or not self._calling[0].writer.state_is_cheap:
            return False
        self._state_written_at = now
        return True

    def _write_state(self) -> None:
        """Move the bookmark of the device at hand, and write STATE if anything has changed in any stream."""
        for stream in self._reading:
            stream.move_bookmark()
        changed = [selected for selected in self._selected() if not selected.state_manager.is_flushed]
        if changed:
            changed[0].write_state()
        for selected in changed:
            selected.state_manager.is_flushed = True

    def _end(self) -> None:
        """Write what the streams that follow have to tell in the end, and STATE."""
        devices = self._by_device()
        for follower in self._following:
            if follower.selected:
                self._write_for(follower, follower.last(devices, self._now()))
        for stream in self._reading:
            stream.move_bookmark()
        if self._handed_over is None:
            self._write_state()

    def _by_device(self) -> list[list[DeviceProgress]]:
        """Return the turns of each device, those of its readings first."""
        by_device: dict[str, list[DeviceProgress]] = {}
        for _, device in self._places.values():
            by_device.setdefault(same_device(device.turn.device_sn), []).append(device)
        return list(by_device.values())

    def _report_on(self, stream: FleetStream[Any]) -> Report:
        now = self._now()
        followers = [follower.name for follower in self._following if follower.selected]
        return Report(
            stream.name if stream.selected else " and ".join(followers),
            stream.devices,
            self._logger,
            noun=stream.noun,
            expects_news=stream.is_followed and stream.account.settings.end_date is None,
            by_mrid=not stream.is_timestamp_replication_key,
            subscription_warning=functools.partial(stream.subscription_warning, now=now),
            now=now,
        )

    def _raise_if_test_failed(self) -> None:
        """Let `--test` fail here, for the SDK ends it without asking anybody what became of the devices."""
        if self.token_error is not None:
            raise SyncFailedError([str(self.token_error)])
        # One record is enough, however much of its device is left.
        unread = [stream for stream in self._calling if not stream.written]
        failures = [failure for stream in unread for failure in stream.failures] + self._failures_of_followers
        if failures and not self.is_stopped:
            raise SyncFailedError(failures)


def _fail_if_done(device: DeviceProgress, reason: str | None) -> None:
    """Have a device whose last page has come, and was not written to its end, count as failed."""
    if device.turn.phase is Phase.DONE:
        device.turn.phase, device.turn.failure = Phase.FAILED, reason
