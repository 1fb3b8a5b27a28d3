"""A fleet is read: calls by worker threads, pages on the main thread, one by one.

`schedule` decides whose turn it is; this module lends it threads and the clock, and sorts pages from errors. What is
called, and what a page is, only the readers know.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tap_zentra.calls.errors import CallError, LockedOutError, TokenRefusedError, TransientError, counted
from tap_zentra.calls.refusals import LockOut
from tap_zentra.calls.schedule import Phase, Schedule, Turn

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_zentra.calls.memory import BodyMemory, Call

Body = bytes | bytearray
"""The body of a response."""

Page = TypeVar("Page")
Page_co = TypeVar("Page_co", covariant=True)


class Reader(Protocol[Page_co]):
    """One device's way through one endpoint. Only whoever has its turn may touch it."""

    @property
    def calls_left(self) -> float:
        """Calls still to be made, as far as known; infinite before the first response."""

    @property
    def expected_bytes(self) -> float:
        """Bytes of the next body, at most, as far as can be told before it comes; infinite where nobody knows."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to call for."""

    def call(self, call: Call) -> Body:
        """Fetch the next page; on a worker thread.

        Args:
            call: To be told when the request has gone out, and asked for memory before the body is read.

        Raises:
            CallError: No page came.
        """

    def take(self, body: Body) -> Page_co:
        """Decode and check a response, and go on to the next page; on the main thread.

        Raises:
            CallError: The response is no page of this device.
        """


class Fleet(Generic[Page]):
    """Reads many devices in turn, page by page.

    Attributes:
        turns: The devices' places in the order of calls.
        token_error: Set when the service refused the token; nothing more is called then.
        stopped: Whether `stop` was called.
    """

    def __init__(
        self,
        readers: Mapping[Turn, Reader[Page]],
        schedule: Schedule,
        *,
        memory: BodyMemory,
        threads: int,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the fleet ready; nothing is called yet.

        Args:
            readers: One for each turn of the schedule.
            schedule: The order of calls.
            memory: For the bodies of the account's calls.
            threads: Calls that may be under way at one time.
            logger: Where to say what a device went through.
            clock: Monotonic, in seconds.
        """
        self.token_error: TokenRefusedError | None = None
        self.stopped = False
        self.turns = list(readers)
        self._readers = readers
        self._schedule = schedule
        self._threads = min(threads, len(readers))
        self._logger = logger
        self._clock = clock
        self._memory = memory
        self._changed = memory.changed
        self._responses: queue.SimpleQueue[tuple[Turn, Call, Body | Exception] | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """End the reading after the page at hand; may be called from a signal handler."""
        self.stopped = True
        self._responses.put(None)

    def withdraw(self, turns: Iterable[Turn], reason: str) -> None:
        """Call no more for some devices, nobody can take their pages."""
        with self._scheduling():
            for turn in turns:
                self._schedule.withdraw(turn, reason)

    def pages(self, between_pages: Callable[[], None]) -> Iterator[tuple[Turn, Page]]:
        """Yield the pages of all devices in the order in which they arrive, until every device is done or failed.

        Args:
            between_pages: Called when no page is being written, once a second at least.
        """
        for number in range(0 if self.stopped else self._threads):
            # A daemon: a call that hangs must not keep the process alive.
            threading.Thread(target=self._work, name=f"call-{number}", daemon=True).start()
        try:
            while not self.stopped and not self._finished():
                between_pages()
                with self._next_page() as page:
                    if page is not None:
                        yield page
        finally:
            with self._scheduling():
                self._schedule.close()
                self._drop_responses()

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
        while (next_call := self._next_call()) is not None:
            # In no variable: a thread that waits for its next turn would keep the body in memory.
            self._respond(*next_call, self._call(*next_call))

    def _call(self, turn: Turn, call: Call) -> Body | Exception:
        try:
            body = self._readers[turn].call(call)
        except CallError as error:
            # Where it was raised, a part of the body is still held.
            error.__traceback__ = error.__context__ = None
            call.end()
            return error
        except Exception as error:  # noqa: BLE001 - the main thread sorts them
            return error
        call.complete(len(body))
        return body

    def _respond(self, turn: Turn, call: Call, response: Body | Exception) -> None:
        """Hand a response to the main thread, unless that waits for none any more."""
        with self._changed:
            if self._schedule.closed:
                call.end()
            else:
                self._responses.put((turn, call, response))

    def _drop_responses(self) -> None:
        """Give back the memory of the responses that nobody will take."""
        with contextlib.suppress(queue.Empty):
            while True:
                response = self._responses.get_nowait()
                if response is not None:
                    response[1].end()

    def _on_sent(self, turn: Turn) -> None:
        now = self._clock()
        with self._changed:
            self._schedule.sent(turn, now)

    def _next_call(self) -> tuple[Turn, Call] | None:
        with self._changed:
            while not self._schedule.closed:
                now = self._clock()
                decision = self._schedule.next_call(now, self._has_room)
                if isinstance(decision, Turn):
                    on_sent = functools.partial(self._on_sent, decision)
                    return decision, self._memory.start_call(on_sent, self._readers[decision].expected_bytes)
                self._changed.wait(None if decision is None else decision - now)
        return None

    def _has_room(self, turn: Turn) -> bool:
        return self._memory.has_room(self._readers[turn].expected_bytes)

    @contextlib.contextmanager
    def _next_page(self) -> Iterator[tuple[Turn, Page] | None]:
        """Wait for a response, for a second at most; provide it if it is a page, and keep its memory meanwhile."""
        try:
            response = self._responses.get(timeout=1)
        except queue.Empty:
            response = None
        if response is None:
            yield None
            return
        turn, call, body = response
        with call:
            page = self._take(turn, body)
            del response, body  # the page is as large
            yield page

    def _take(self, turn: Turn, response: Body | Exception) -> tuple[Turn, Page] | None:
        """Sort a response: a page, a delay, or the end of its device."""
        try:
            if isinstance(response, Exception):
                raise response
            page = self._readers[turn].take(response)
        except CallError as error:
            self._take_error(turn, error)
            return None
        with self._scheduling() as now:
            if self._readers[turn].done:
                self._schedule.finish(turn, now)
            else:
                self._schedule.go_on(turn, self._readers[turn].calls_left, now)
        return turn, page

    def _take_error(self, turn: Turn, error: CallError) -> None:
        match error:
            case LockedOutError():
                self._lock_out(turn, error)
            case TransientError():
                self._try_again(turn, error)
            case _:
                self._give_up(turn, error)
        if turn.phase is Phase.FAILED:
            self._logger.error("%s failed: %s", turn.name, turn.failure)

    def _give_up(self, turn: Turn, error: CallError) -> None:
        with self._scheduling() as now:
            self._schedule.give_up(turn, str(error), now)
            if isinstance(error, TokenRefusedError):
                self.token_error = error
                self._schedule.close()

    def _try_again(self, turn: Turn, error: TransientError) -> None:
        with self._scheduling() as now:
            attempts = self._schedule.try_again(turn, str(error), now)
        if attempts is not None:
            self._logger.warning("%s: %s; attempt %d failed; retrying", turn.name, error, attempts)

    def _lock_out(self, turn: Turn, error: LockedOutError) -> None:
        with self._scheduling() as now:
            result = self._schedule.lock_out(turn, str(error), error.seconds, now, account=error.account)
        if isinstance(result, LockOut):
            self._say_who_waits(turn, result, error)
        elif len(result) > 1:
            waiting = len({one.device_sn for one in result})
            self._logger.error(
                "the service refuses every call; skipping the rest of this run for %s", counted(waiting, "device")
            )

    def _say_who_waits(self, turn: Turn, lock_out: LockOut, error: LockedOutError) -> None:
        """Log a lock-out, unless the account waits for as long anyway."""
        if lock_out.is_news:
            what = (
                "call limit of the account reached; all devices wait"
                if lock_out.account
                else "call limit reached; waiting"
            )
            why = "" if lock_out.why is None else f" ({lock_out.why})"
            self._logger.warning("%s: %s %g s: %s%s", turn.name, what, lock_out.seconds, error, why)
