"""Call limits and paginator against simple models, step by step in any order (stateful tests)."""

from __future__ import annotations

import math
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tap_zentra.calls.limits import LEAST_MARGIN, MARGIN
from tap_zentra.singer.moments import DAY
from tap_zentra.v4.api import call_limits
from tap_zentra.v4.pagination import MridPaginator, NoProgressError, Order
from tests.v4.service import PagedService, order_of

DEVICES = ("z6-1", "z6-2", "z6-3")
SECONDS = st.integers(0, 100).map(lambda tenths: tenths / 10)


class CallLimitsModel(RuleBasedStateMachine):
    """A list of all calls and two tables of locks, looked through from the start for every question."""

    window: ClassVar[float] = 10.0
    span: ClassVar[float] = window + max(MARGIN * window, LEAST_MARGIN)

    @initialize(user_limit=st.integers(1, 4), device_limit=st.integers(1, 3))
    def begin(self, user_limit: int, device_limit: int) -> None:
        """Start with nothing called."""
        self.limits = call_limits(user_limit=user_limit, device_limit=device_limit, window=self.window)
        self.user_limit, self.device_limit = user_limit, device_limit
        self.now = 100.0
        self.calls: list[tuple[str, float]] = []
        self.under_way: dict[str, float] = {}
        self.locks: dict[str, float] = {}

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        """Let the clock go on; a connection takes less than a window to make."""
        self._go_on_to(self.now + seconds)

    @rule(device_sn=st.sampled_from(DEVICES))
    def call(self, device_sn: str) -> None:
        """Call a device as soon as it may be called."""
        if device_sn in self.under_way:
            return
        while (free_at := max(self.limits.account_free_at(), self.limits.device_free_at(device_sn))) > self.now:
            self._go_on_to(free_at)
        assert self.limits.take(device_sn, self.now)
        self.under_way[device_sn] = self.now

    @rule(device_sn=st.sampled_from(DEVICES))
    def call_goes_out(self, device_sn: str) -> None:
        """Let a call go out now, which may be later than it was counted."""
        if device_sn in self.under_way:
            self.limits.recount(device_sn, self.under_way.pop(device_sn), self.now)
            self.calls.append((device_sn, self.now))

    @rule(device_sn=st.sampled_from(DEVICES), seconds=SECONDS)
    def device_is_locked(self, device_sn: str, seconds: float) -> None:
        """Lock a device."""
        self.limits.lock_device(device_sn, self.now + seconds)
        self.locks[device_sn] = max(self.locks.get(device_sn, 0.0), self.now + seconds)

    @rule(seconds=SECONDS)
    def account_is_locked(self, seconds: float) -> None:
        """Lock the account."""
        self.limits.lock_account(self.now + seconds)
        self.locks["account"] = max(self.locks.get("account", 0.0), self.now + seconds)

    @invariant()
    def limits_say_what_the_list_of_calls_says(self) -> None:
        """Both say when a call may go out: neither a moment earlier nor a moment later."""
        assert self._reached(self.limits.account_free_at()) == self._reached(self._free_at(None))
        for device_sn in DEVICES:
            assert self._reached(self.limits.device_free_at(device_sn)) == self._reached(self._free_at(device_sn))

    @invariant()
    def no_window_holds_too_many_calls(self) -> None:
        """Checked against the list of all calls that have gone out."""
        for device_sn, limit in [(None, self.user_limit), *((one, self.device_limit) for one in DEVICES)]:
            sent = sorted(moment for called, moment in self.calls if device_sn in {None, called})
            assert all(later - sent[index] > self.window for index, later in enumerate(sent[limit:]))

    def _go_on_to(self, moment: float) -> None:
        for device_sn, planned_at in sorted(self.under_way.items(), key=lambda item: item[1]):
            if planned_at + self.window <= moment:
                self.now = max(self.now, planned_at + self.window)
                self.call_goes_out(device_sn)
        self.now = moment

    def _free_at(self, device_sn: str | None) -> float:
        """Return when the last so many calls leave one before the last of them."""
        limit = self.user_limit if device_sn is None else self.device_limit
        moments = sorted(
            moment for called, moment in [*self.calls, *self.under_way.items()] if device_sn in {None, called}
        )
        free_at = moments[-limit] + self.span if len(moments) >= limit else -math.inf
        return max(free_at, self.locks.get(device_sn or "account", -math.inf))

    @staticmethod
    def _reached(moment: float) -> float:
        return round(moment, 6) if math.isfinite(moment) else moment


class MridPaginatorModel(RuleBasedStateMachine):
    """A set of mrids that is read by several paginators in turn, each from the bookmark of the one before."""

    @initialize(
        mrids=st.sets(st.integers(0, 60), max_size=40),
        page_size=st.integers(2, 12),
        ids=st.booleans(),
        lookback=st.sampled_from([0, 0, 5]),
        sorting=st.sampled_from(["mrid", "descending"]),
    )
    def begin(self, mrids: set[int], page_size: int, *, ids: bool, lookback: int, sorting: str) -> None:
        """Start with a device that nobody has read."""
        self.mrids, self.lookback = mrids, lookback
        self.service = PagedService({}, page_size, pages_hold_ids=ids, sorting=sorting)
        self.read: set[int] = set()
        self.held: set[int] = set()
        self.bookmark: int | None = None
        self._new_run()

    def _new_run(self) -> None:
        newest = None if self.bookmark is None else 900 * self.bookmark
        reread_from = None if self.bookmark is None else max(0, self.bookmark + 1 - self.lookback)
        self.reader = MridPaginator(
            bookmark=self.bookmark,
            page_size=self.service.page_size,
            now=50 * DAY,
            reread_from=reread_from,
            newest=newest,
        )
        self.calls = 0

    @rule()
    @precondition(lambda self: not self.reader.done)
    def a_page_arrives(self) -> None:
        """Answer the request, as the service would."""
        self.service.records = {mrid: 900 * mrid for mrid in self.mrids}
        newest, page = self.service.answer(self.reader.request)
        records = {mrid: 900 * mrid for mrid in page}
        step = self.reader.advance(newest, records, order=order_of(page, records))
        self.held = set(self.mrids)
        self.read |= {mrid for mrid in page if step.keeps(mrid)}
        self.bookmark = self.bookmark if step.bookmark is None else step.bookmark
        self.calls += 1

    @rule(mrids=st.lists(st.integers(1, 30), min_size=1, max_size=20))
    def the_device_grows(self, mrids: list[int]) -> None:
        """Add records behind the newest one, with or without gaps."""
        newest = max(self.mrids, default=0)
        self.mrids |= {newest + mrid for mrid in mrids}

    @rule()
    def the_run_is_cut_off(self) -> None:
        """Begin anew at the bookmark."""
        self._new_run()

    @invariant()
    def nothing_below_the_bookmark_is_missing(self) -> None:
        """The bookmark is a record, and every record up to it has been read."""
        if self.bookmark is not None:
            assert self.bookmark in self.mrids
            assert {mrid for mrid in self.mrids if mrid <= self.bookmark} <= self.read

    @invariant()
    def a_run_ends(self) -> None:
        """No run goes in circles, whatever holes its device has."""
        assert self.calls <= 5 * math.ceil((max(self.mrids, default=0) + 1) / self.service.page_size) + 5

    @invariant()
    def done_means_at_the_newest_record(self) -> None:
        """A device is done only when all that it held at its last answer has been read, to the newest record."""
        if self.reader.done:
            assert self.held <= self.read
            assert self.bookmark == max(self.held, default=None)


class DishonestServiceModel(RuleBasedStateMachine):
    """A service that answers anything at all: the paginator refuses it or goes forward, and always ends."""

    most_calls_in_one_place: ClassVar[int] = 12

    @initialize(
        bookmark=st.none() | st.integers(0, 50), page_size=st.integers(1, 12), start=st.none() | st.integers(0, 90_000)
    )
    def begin(self, bookmark: int | None, page_size: int, start: int | None) -> None:
        """Start anywhere."""
        self.page_size, self.start = page_size, start
        self._new_run(bookmark)

    def _new_run(self, bookmark: int | None) -> None:
        self.reader = MridPaginator(
            bookmark=bookmark, page_size=self.page_size, now=50 * DAY, start=self.start, newest=900
        )
        self.furthest, self.calls_there = -1, 0

    @rule(
        max_mrid=st.none() | st.integers(0, 100),
        mrids=st.sets(st.integers(0, 100), max_size=12),
        order=st.sampled_from(Order),
    )
    def any_answer_arrives(self, max_mrid: int | None, mrids: set[int], order: Order) -> None:
        """Answer whatever comes to mind; after the end of a run the next one begins."""
        if self.reader.done:
            self._new_run(self.reader.bookmark)
        bookmark = self.reader.bookmark
        try:
            step = self.reader.advance(max_mrid, {mrid: 900 * mrid for mrid in mrids}, order=order)
        except NoProgressError:
            assert self.reader.done
            return
        if self.reader.went_back is None:
            assert step.bookmark is None or bookmark is None or step.bookmark >= bookmark
        self.calls_there = 0 if self.reader.position > self.furthest else self.calls_there + 1
        self.furthest = max(self.furthest, self.reader.position)
        assert self.reader.done or self.calls_there <= self.most_calls_in_one_place + 2 * self.furthest


QUICK = settings(derandomize=True, deadline=None, max_examples=150, stateful_step_count=30)

TestCallLimits = CallLimitsModel.TestCase
TestCallLimits.settings = QUICK
TestMridPaginator = MridPaginatorModel.TestCase
TestMridPaginator.settings = QUICK
TestDishonestService = DishonestServiceModel.TestCase
TestDishonestService.settings = QUICK
