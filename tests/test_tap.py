"""The tap: what its streams share, and how a run ends for all of them."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.calls.errors import CallError, DeviceFailedError, TokenRefusedError
from tap_zentra.settings import read_settings
from tap_zentra.singer.bookmarks import StateError
from tap_zentra.singer.stream import SyncFailedError
from tap_zentra.tap import StoppedError, TapZentra
from tap_zentra.v4.api import Account, call_limits
from tap_zentra.v4.readings import ReadingsStream

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk import Stream

    from tap_zentra.v4.api import Api


class Again(ReadingsStream):
    """A second stream of the same account."""

    name = "again"


class RefusingApi:
    """An account of which every call is refused, each with another number.

    Attributes:
        events: What was called, in order.
    """

    def __init__(self, error: type[CallError]) -> None:
        self.events: list[str] = []
        self._error = error

    def get_readings(self, device_sn: str, *_: object, **__: object) -> bytes:
        """Refuse a call."""
        self.events.append(device_sn)
        raise self._error(f"refusal {len(self.events)}")

    def close(self) -> None:
        """Take note of the end."""
        self.events.append("closed")


def tap_of(api: RefusingApi, **settings: object) -> TapZentra:
    """Return a tap with two streams, whose calls go to a stand-in."""

    class Twice(TapZentra):
        @cached_property
        @override
        def classic_account(self) -> Account:
            limits = call_limits(user_limit=100, device_limit=100, window=0.01)
            return Account(read_settings(self._config), cast("Api", api), limits)

        @override
        def discover_streams(self) -> Sequence[Stream]:
            return [ReadingsStream(self, lambda: self.classic_account), Again(self, lambda: self.classic_account)]

    return Twice(config={"auth_token": "x", "device_sns": "z6-1,z6-2", "max_concurrent_calls": 1, **settings})


@pytest.fixture(autouse=True)
def _same_signals() -> Iterator[None]:
    """A tap handles signals as long as it is there, and so for all tests after."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def sync(tap: TapZentra) -> None:
    """Run a tap without showing what it writes."""
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        tap.sync_all()


class GreedyApi(RefusingApi):
    """An account of which every body takes seven bytes, and then fails.

    Attributes:
        held: Bytes that the account's memory had reserved during each call.
    """

    def __init__(self) -> None:
        super().__init__(DeviceFailedError)
        self.held: list[int] = []
        self.account: Account | None = None

    @override
    def get_readings(self, device_sn: str, *args: Any, **options: object) -> bytes:
        _, call = args
        call.reserve(7)
        assert self.account is not None
        self.held.append(self.account.memory.held)
        return super().get_readings(device_sn)


def test_all_streams_share_the_memory_for_bodies() -> None:
    """It is the account's, and each stream leaves it as it was."""
    api = GreedyApi()
    tap = tap_of(api)
    api.account = tap.classic_account

    with pytest.raises(SyncFailedError):
        sync(tap)

    assert api.held == [7] * 4
    assert tap.classic_account.memory.held == 0


def test_all_streams_run_before_a_run_fails_and_no_failure_hides_another() -> None:
    """What failed in each stream is told; the connections are closed once the last stream is done."""
    api = RefusingApi(DeviceFailedError)

    with pytest.raises(SyncFailedError) as caught:
        sync(tap_of(api))

    assert caught.value.lines == [
        "z6-1 failed: refusal 1",
        "z6-2 failed: refusal 2",
        "z6-1 failed: refusal 3",
        "z6-2 failed: refusal 4",
    ]
    assert api.events == ["z6-1", "z6-2", "z6-1", "z6-2", "closed"]


def test_a_refused_token_is_told_once() -> None:
    """It is the same token for every stream and device."""
    api = RefusingApi(TokenRefusedError)

    with pytest.raises(SyncFailedError) as caught:
        sync(tap_of(api))

    assert caught.value.lines == ["refusal 1"]


@pytest.mark.parametrize("error", [DeviceFailedError, TokenRefusedError])
def test_a_run_that_read_no_device_fails_whatever_the_settings(error: type[CallError]) -> None:
    """With on_device_failure: warn too, for nothing was loaded that later steps could work with."""
    with pytest.raises(SyncFailedError, match="refusal 1"):
        sync(tap_of(RefusingApi(error), on_device_failure="warn"))


@pytest.mark.parametrize("on_device_failure", ["fail", "warn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_every_stream(number: signal.Signals, on_device_failure: str) -> None:
    """Also those that it comes too early for: nothing is called any more, and the run says which signal it was."""
    api = RefusingApi(DeviceFailedError)
    tap = tap_of(api, on_device_failure=on_device_failure)
    assert len(tap.streams) == 2
    tap._handle_termination(number, None)  # noqa: SLF001 - as Python calls it

    with pytest.raises(StoppedError, match=f"stopped by {number.name}") as caught:
        sync(tap)

    assert caught.value.signal_number == number
    assert api.events == ["closed"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"bookmarks": None}, "bookmarks should be an object"),
        ({"bookmarks": {"readings": {"partitions": None}}}, "partitions should be a list"),
        ({"bookmarks": {"readings": {"partitions": [{"context": {"location": 1}}]}}}, "a context with device_sn"),
        ({"completed": {}}, "neither bookmarks nor singer_state"),
    ],
)
def test_a_state_that_is_none_is_refused_when_the_tap_is_made(state: dict[str, Any], words: str) -> None:
    """Before anything is called or written."""
    with pytest.raises(StateError, match=words):
        TapZentra(config={"auth_token": "x", "device_sns": "z6-1"}, state=state)


def test_a_state_that_was_read_is_the_taps_state() -> None:
    """All bookmarks of it, also those of devices that are not among the settings; an empty one stays empty."""
    partition = {"context": {"device_sn": "z6-9"}, "replication_key": "mrid", "replication_key_value": 5}
    bookmarks = {"readings": {"partitions": [partition]}}

    def state_of(given: dict[str, Any]) -> object:
        return TapZentra(config={"auth_token": "x", "device_sns": "z6-1"}, state=given).state

    assert state_of({"singer_state": {"bookmarks": bookmarks}}) == {"bookmarks": bookmarks}
    assert state_of({"bookmarks": bookmarks}) == {"bookmarks": bookmarks}
    assert state_of({}) == {}


def test_the_account_is_made_when_a_stream_needs_it() -> None:
    """The catalog of a tap whose settings are not valid can be shown: it needs no account."""
    config: dict[str, Any] = {"device_sns": "z6-1"}

    tap = TapZentra(config=config, validate_config=False)

    streams = [entry["tap_stream_id"] for entry in tap.catalog_dict["streams"]]
    assert streams == ["readings", "env_model_data", "devices", "sensors"]
    assert "classic_account" not in tap.__dict__
