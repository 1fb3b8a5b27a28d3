"""Pages in parts, and how a stream writes them: the bookmark goes with the part, wherever a run ends."""

from __future__ import annotations

import functools
import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from tap_zentra.calls.errors import DeviceFailedError
from tap_zentra.calls.limits import CallLimits, NoLimit
from tap_zentra.calls.memory import BodyMemory
from tap_zentra.settings import Settings, read_settings
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.pages import RECORDS_AT_ONCE, Page, Part, WholePage
from tap_zentra.singer.run import Run
from tap_zentra.singer.stream import FleetStream
from tap_zentra.tap import TapZentra
from tests.in_process import output_of
from tests.support import is_reading, last_state

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from singer_sdk import Stream

    from tap_zentra.calls.memory import Call
    from tap_zentra.singer.stream import StreamOfRun

DEVICE = "z6-1"


def _record(number: int) -> dict[str, Any]:
    return {"number": number}


# Parts of a page


@pytest.mark.parametrize(
    ("records", "lengths"),
    [(0, [0]), (1, [1, 0]), (RECORDS_AT_ONCE, [300, 0]), (2 * RECORDS_AT_ONCE + 1, [300, 300, 1, 0])],
)
def test_the_records_of_a_page_without_order_come_before_its_bookmark(records: int, lengths: list[int]) -> None:
    """Those of the next part may come before those of this one, so only the last part moves the bookmark."""
    page = WholePage(records=lambda: map(_record, range(records)), bookmark=Bookmark(7))
    parts = list(page.parts())

    assert [len(part.records) for part in parts] == lengths
    assert [record for part in parts for record in part.records] == [_record(number) for number in range(records)]
    assert [part.bookmark is None for part in parts] == [True] * (len(lengths) - 1) + [False]
    assert parts[-1].bookmark is not None
    assert parts[-1].bookmark() == Bookmark(7)


def test_records_are_made_when_they_are_written() -> None:
    """A page never stands in memory as records, all at once."""
    made: list[int] = []

    def records() -> Iterator[dict[str, Any]]:
        for number in range(5 * RECORDS_AT_ONCE):
            made.append(number)
            yield _record(number)

    next(WholePage(records=records, bookmark=None).parts())

    assert len(made) == RECORDS_AT_ONCE


# A stream that writes them


@dataclass(frozen=True, kw_only=True)
class _Ordered(Page):
    """A page in the order of its records: each part moves the bookmark."""

    numbers: Sequence[int]

    def parts(self) -> Iterator[Part]:
        """Yield two records at a time."""
        for start in range(0, len(self.numbers), 2):
            some = self.numbers[start : start + 2]
            yield Part([_record(number) for number in some], functools.partial(Bookmark, some[-1]))


class _Reader:
    """Two pages, or one and a failure."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = list(pages)
        self.expected_bytes = math.inf
        self.done = False

    @property
    def calls_left(self) -> float:
        """Pages that are left."""
        return len(self._pages)

    def call(self, call: Call) -> bytes:
        """Bring nothing."""
        call.on_sent()
        if not self._pages:
            raise DeviceFailedError("gone")
        return b""

    def take(self, _body: bytes | bytearray) -> Page:
        """Return the next page."""
        page = self._pages.pop(0)
        self.done = not self._pages
        return page


@dataclass(frozen=True)
class _Account:
    settings: Settings
    call_limits: CallLimits
    memory: BodyMemory


class _Numbers(FleetStream[_Account]):
    name = "numbers"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"number": {"type": "integer"}}}
    primary_keys = ("number",)
    replication_key = "number"
    pages: ClassVar[list[Page]] = []

    def readers_of(self, *_: object, **__: object) -> Any:
        """Return a reader of the pages."""
        return {"": _Reader(self.pages)}


CONFIG: dict[str, Any] = {"auth_token": "x", "device_sns": DEVICE}


def _tap(*pages: Page, tick: float = 0.0) -> type[TapZentra]:
    account = _Account(read_settings(CONFIG), CallLimits(NoLimit(), NoLimit), BodyMemory())
    stream = type("Numbers", (_Numbers,), {"pages": list(pages)})
    moments = itertools.count(start=0.0, step=tick)

    class Tap(TapZentra):
        def discover_streams(self) -> Sequence[Stream]:
            return [stream(self, lambda: account)]

        def new_run(self, streams: Iterable[StreamOfRun]) -> Run:
            return Run(streams, logger=self.logger, clock=lambda: next(moments))

    return Tap


def _stream(*pages: Page) -> _Numbers:
    (stream,) = _tap(*pages)(config=CONFIG).streams.values()
    assert isinstance(stream, _Numbers)
    return stream


ORDERED = _Ordered(numbers=range(10, 17))
MIXED = WholePage(records=lambda: map(_record, range(2 * RECORDS_AT_ONCE)), bookmark=Bookmark(9999))


@pytest.mark.parametrize(
    ("stop_at", "written", "bookmark"),
    [
        (10, [10, 11], Bookmark(11)),
        (13, [10, 11, 12, 13], Bookmark(13)),
        (16, [10, 11, 12, 13, 14, 15, 16], Bookmark(16)),
        (None, [10, 11, 12, 13, 14, 15, 16], Bookmark(16)),
    ],
)
def test_a_stop_within_a_page_keeps_what_was_written(
    stop_at: int | None, written: list[int], bookmark: Bookmark
) -> None:
    """A part is written whole, and the bookmark stands behind it."""
    stream = _stream(ORDERED)
    read = []
    for record in stream.get_records(None):
        read.append(record["number"])
        if record["number"] == stop_at:
            stream.run.stop()

    assert read == written
    assert stream.bookmarks().get(DEVICE) == bookmark


def test_whoever_stops_reading_has_what_was_handed_over_before() -> None:
    """The part at hand may not have been stored, so the bookmark stands before it."""
    stream = _stream(ORDERED)
    records = stream.get_records(None)
    read = list(itertools.islice(records, 3))
    cast("Generator[dict[str, Any], None, None]", records).close()

    assert [record["number"] for record in read] == [10, 11, 12]
    assert stream.bookmarks().get(DEVICE) == Bookmark(11)


def test_a_stop_within_a_page_without_order_leaves_the_bookmark() -> None:
    """What is missing of it may lie anywhere."""
    stream = _stream(ORDERED, MIXED)
    read = 0
    for _ in stream.get_records(None):
        read += 1
        if read == 8:
            stream.run.stop()

    assert read == 7 + RECORDS_AT_ONCE
    assert stream.bookmarks().get(DEVICE) == Bookmark(16)


def _output(*pages: Page, tick: float = 0.0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output_of(_tap(*pages, tick=tick), CONFIG, {}).splitlines()]


def _bookmark_in(state: dict[str, Any]) -> int | None:
    (partition,) = state["bookmarks"]["numbers"].get("partitions") or [{}]
    value: int | None = partition.get("replication_key_value")
    return value


def test_a_state_within_a_page_claims_what_stands_before_it() -> None:
    """So a run that is killed there goes on there."""
    many = _Ordered(numbers=range(4000))
    received = -1
    claimed = []
    for message in _output(many, tick=10.0):
        if is_reading(message):
            received = message["record"]["number"]
        elif message["type"] == "STATE" and "numbers" in message["value"].get("bookmarks", {}):
            claimed.append(_bookmark_in(message["value"]))
            assert claimed[-1] in {None, received}

    assert len(set(claimed)) > 5
    assert claimed[-1] == 3999


def test_a_run_of_a_few_seconds_writes_its_state_at_the_end() -> None:
    """Not after each part."""
    messages = _output(ORDERED)
    states = [message for message in messages if message["type"] == "STATE"]

    assert _bookmark_in(last_state(messages, {})) == 16
    assert {_bookmark_in(state["value"]) for state in states if "numbers" in state["value"].get("bookmarks", {})} <= {
        None,
        16,
    }
