"""What the devices of a fleet go through: calls by worker threads, answers on the main thread, one by one.

`schedule` decides whose turn it is; this module lends it threads and the clock, sorts answers from errors, and knows
what became of each device. It knows neither the network nor Singer.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zentra.client import (
    DeviceRefusedError,
    LockedOutError,
    ServiceFailedError,
    TokenRefusedError,
)
from tap_zentra.pagination import MridPaginator, NoProgressError, PageRequest, Step
from tap_zentra.records import (
    BIGGEST_MRID,
    Body,
    NotJSONError,
    Page,
    UnexpectedBodyError,
    decode_page,
    page_size,
    reading_records,
    require_answer_to,
    timestamps,
)
from tap_zentra.schedule import Phase, Schedule, Turn

if TYPE_CHECKING:
    import logging

Fetch = Callable[[str, PageRequest, Callable[[], None]], Body]
"""One call: serial number, page, what to do when the request has gone out -> body, or an error of a kind."""


@dataclass(eq=False)
class Device:
    """A device in this run.

    Attributes:
        turn: Its place in the order of calls.
        paginator: Its way from the bookmark to the newest record.
        pages: Pages that were read.
        readings: Readings that were written.
        mrids: Lowest and highest mrid that was read.
        newest: Moment of the newest reading that was read, in this run or before, in seconds since 1970.
        missing: Records that the service does not have although it has later ones.
    """

    turn: Turn
    paginator: MridPaginator
    pages: int = 0
    readings: int = 0
    mrids: tuple[int, int] | None = None
    newest: int | None = None
    missing: int = 0

    @property
    def device_sn(self) -> str:
        """Serial number."""
        return self.turn.device_sn

    def note(self, records: dict[int, int], step: Step) -> None:
        """Take note of a page: its records (mrid -> moment) and what is to be done with them."""
        self.pages += 1
        self.missing += step.missing
        kept = [mrid for mrid in records if step.below_mrid is None or mrid < step.below_mrid]
        if kept:
            known = self.mrids or (kept[0], kept[0])
            self.mrids = min(known[0], *kept), max(known[1], *kept)
            self.newest = max(self.newest or 0, *(records[mrid] for mrid in kept))


@dataclass(frozen=True)
class DevicePage:
    """A page of a device, decoded and found to be in order.

    Attributes:
        device: Whose page it is.
        bookmark: The device's bookmark once the page has been written, if it has one.
        newest: Moment of the device's newest reading up to this page, in seconds since 1970.
    """

    device: Device
    bookmark: int | None
    newest: int | None
    _content: Page = field(repr=False)
    _step: Step = field(repr=False)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the page's records of stream `readings`."""
        below = BIGGEST_MRID + 1 if self._step.below_mrid is None else self._step.below_mrid
        return reading_records(self._content, self.device.device_sn, since=self._step.since, below_mrid=below)


class Fleet:
    """Reads many devices in turn, page by page.

    Attributes:
        devices: What became of each device.
        token_error: Set when the service refused the token; nothing more is called then.
        stopped: Whether `stop` was called.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        schedule: Schedule,
        fetch: Fetch,
        *,
        threads: int,
        device_call_limit: int,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the fleet ready; nothing is called yet.

        Args:
            devices: The devices, one for each turn of the schedule.
            schedule: The order of calls.
            fetch: Makes one call; used by many threads at once.
            threads: Calls that may be under way at one time.
            device_call_limit: Calls that the service allows a device; a 429 that names more is the account's.
            logger: Where to say what a device went through.
            clock: Monotonic, in seconds.
        """
        self.devices = devices
        self.token_error: TokenRefusedError | None = None
        self.stopped = False
        self._by_turn = {device.turn: device for device in devices}
        self._schedule = schedule
        self._fetch = fetch
        self._threads = min(threads, len(devices))
        self._device_call_limit = device_call_limit
        self._logger = logger
        self._clock = clock
        self._changed = threading.Condition()
        self._answers: queue.SimpleQueue[tuple[Device, Body | Exception] | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """End the reading after the page at hand; may be called from a signal handler."""
        self.stopped = True
        self._answers.put(None)

    def pages(self, between_pages: Callable[[], None]) -> Iterator[DevicePage]:
        """Yield the pages of all devices in the order in which they arrive, until every device is done or failed.

        Args:
            between_pages: Called when no page is being written, once a second at least.
        """
        for number in range(self._threads):
            # A daemon: a call that hangs must not keep the process alive.
            threading.Thread(target=self._work, name=f"call-{number}", daemon=True).start()
        try:
            while not self.stopped and not self._finished():
                between_pages()
                page = self._next_page()
                if page is not None:
                    yield page
        finally:
            with self._scheduling():
                self._schedule.close()

    def _finished(self) -> bool:
        with self._changed:
            return self._schedule.finished

    @contextlib.contextmanager
    def _scheduling(self) -> Iterator[float]:
        """Have the schedule to oneself; what changes in it is news for every waiting thread."""
        with self._changed:
            yield self._clock()
            self._changed.notify_all()

    def _work(self) -> None:
        """Call for whichever device's turn it is, until there is nothing left to call for."""
        while (turn := self._next_turn()) is not None:
            device = self._by_turn[turn]
            # In no variable: a thread that waits for its next turn would keep the body in memory.
            self._answers.put((device, self._answer(device)))

    def _answer(self, device: Device) -> Body | Exception:
        try:
            return self._fetch(
                device.device_sn, device.paginator.request, functools.partial(self._on_sent, device.turn)
            )
        except Exception as error:  # noqa: BLE001 - the main thread sorts them
            return error

    def _on_sent(self, turn: Turn) -> None:
        now = self._clock()
        with self._changed:
            self._schedule.sent(turn, now)

    def _next_turn(self) -> Turn | None:
        with self._changed:
            while not self._schedule.closed:
                now = self._clock()
                decision = self._schedule.next_call(now)
                if isinstance(decision, Turn):
                    return decision
                self._changed.wait(None if decision is None else decision - now)
        return None

    def _next_page(self) -> DevicePage | None:
        """Wait for an answer, for a second at most; return it if it is a page."""
        try:
            answer = self._answers.get(timeout=1)
        except queue.Empty:
            return None
        return None if answer is None else self._take(*answer)

    def _take(self, device: Device, answer: Body | Exception) -> DevicePage | None:
        """Sort an answer: a page, a delay, or the end of its device."""
        try:
            if isinstance(answer, Exception):
                raise answer
            return self._take_page(device, answer)
        except TokenRefusedError as error:
            self.token_error = error
            with self._scheduling():
                self._schedule.give_up(device.turn, str(error))
                self._schedule.close()
        except LockedOutError as error:
            self._lock_out(device, error)
        except (ServiceFailedError, NotJSONError) as error:
            with self._scheduling() as now:
                attempts = self._schedule.try_again(device.turn, str(error), now)
            if attempts is not None:
                self._logger.warning("%s: %s; attempt %d failed, it tries again", device.device_sn, error, attempts)
        except (DeviceRefusedError, UnexpectedBodyError, NoProgressError) as error:
            with self._scheduling():
                self._schedule.give_up(device.turn, str(error))
        if device.turn.phase is Phase.FAILED:
            self._logger.error("%s failed: %s", device.device_sn, device.turn.failure)
        return None

    def _take_page(self, device: Device, body: Body) -> DevicePage:
        content = decode_page(body)
        require_answer_to(content, device.device_sn)
        records = timestamps(content)
        step = device.paginator.advance(content.pagination.max_mrid, records, per_page=page_size(content))
        device.note(records, step)
        with self._scheduling() as now:
            self._schedule.go_on(device.turn, device.paginator.records_left, now)
        if step.warning:
            self._logger.warning("%s: %s", device.device_sn, step.warning)
        return DevicePage(device, step.bookmark, device.newest, content, step)

    def _lock_out(self, device: Device, error: LockedOutError) -> None:
        account = error.names_account or error.calls not in {None, self._device_call_limit}
        with self._scheduling() as now:
            seconds = self._schedule.lock_out(device.turn, str(error), error.seconds, now, account=account)
        if seconds is not None:
            who = "the account" if account else "the device"
            self._logger.warning("%s: %s is locked out for %g s: %s", device.device_sn, who, seconds, error)
