"""Whole runs of the tap in this process, over the network of this machine or without one: quick, and complete."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tap_zentra.emulator import Request
from tap_zentra.settings import read_settings
from tap_zentra.singer.moments import DAY
from tap_zentra.singer.run import Run as SyncRun
from tap_zentra.singer.stream import SyncFailedError
from tap_zentra.tap import TapZentra
from tap_zentra.v4.api import Account, call_limits
from tap_zentra.v5.account import Account as V5Account
from tap_zentra.v5.api import Limits, PageTokenRefusedError
from tap_zentra.v5.device_list import DeviceList
from tests.support import TOKEN, Run, access, bookmarks, by_key, is_reading

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from tap_zentra.calls.memory import Call
    from tap_zentra.emulator import Emulator
    from tap_zentra.settings import EnvModel
    from tap_zentra.singer.stream import StreamOfRun
    from tap_zentra.v4.api import Api
    from tap_zentra.v4.pagination import PageRequest
    from tap_zentra.v5 import pagination as v5_pagination
    from tap_zentra.v5.api import Api as V5Api
    from tests.support import Rows

NO_LIMIT = 10**6
"""Calls in a window; the order of calls has tests of its own, in simulated time."""


class WirelessApi:
    """Stands where the tap's calls stand, and asks an emulator directly.

    Args:
        emulator: Holds the fleet; it need not run.
        after_call: Told the number of each call once its answer is made, to let the fleet change meanwhile.
    """

    def __init__(self, emulator: Emulator, after_call: Callable[[int], None]) -> None:
        self._emulator = emulator
        self._after_call = after_call
        self._calls = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close nothing."""

    def get_readings(self, device_sn: str, page: PageRequest, call: Call, *, page_size: int, depth: bool) -> bytes:
        """Return one page."""
        params = {
            "device_sn": device_sn,
            "per_page": str(page.per_page or page_size),
            "sort_by": "ascending",
            "device_depth": str(depth).lower(),
        }
        if page.start_mrid is not None:
            params["start_mrid"] = str(page.start_mrid)
        if page.end_mrid is not None:
            params["end_mrid"] = str(page.end_mrid)
        if page.start_date is not None:
            params["start_date"] = _date(page.start_date)
        return self._get("get_readings", params, call)

    def get_env_model_data(self, station: EnvModel, call: Call, *, start: int | None, end: int | None) -> bytes:
        """Return a station's days; the service takes local time, so a day more on either side."""
        inputs = {name: getattr(station, name) for name in ("elevation", "latitude", "wind_measurement_height")}
        params = {
            "device_sn": station.device_sn,
            "model_type": station.model_type,
            "port_num": str(station.port_number),
            "inputs": json.dumps(inputs),
        }
        if start is not None:
            params["start_date"] = _date(max(0, start - DAY))
        if end is not None:
            params["end_date"] = _date(end + DAY)
        return self._get("get_env_model_data", params, call)

    def _get(self, endpoint: str, params: dict[str, str], call: Call) -> bytes:
        call.on_sent()
        with self._lock:
            answer = self._emulator.answer(Request(f"/api/v4/{endpoint}/", params, f"Token {TOKEN}"))
            self._calls += 1
            self._after_call(self._calls)
        assert answer.status == 200, answer.body
        return answer.body


def _date(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


class Wireless(TapZentra):
    """The tap, all of it but its connection to the network."""

    api: ClassVar[WirelessApi]

    @cached_property
    @override
    def classic_account(self) -> Account:
        limits = call_limits(user_limit=NO_LIMIT, device_limit=NO_LIMIT, window=0.01)
        return Account(read_settings(self._config), cast("Api", self.api), limits)


class WirelessV5Api:
    """Stands where the tap's calls to API v5 stand, and asks an emulator directly.

    Args:
        emulator: Holds the fleet; it need not run.
        after_call: Told the number of each call once its answer is made, to let the fleet change meanwhile.
        token_lifetime: Pages that can be read by token before one is refused; 0: any number.
    """

    def __init__(self, emulator: Emulator, after_call: Callable[[int], None], token_lifetime: int) -> None:
        self._emulator = emulator
        self._after_call = after_call
        self._token_lifetime = token_lifetime
        self._pages: Counter[str] = Counter()
        self._calls = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close nothing."""

    def get_devices(self, page: int, call: Call, *, organization_id: str | None) -> bytes:
        """Return one page of the list."""
        assert organization_id is None
        expand = "max_min_timestamp,settings,hardware,connectivity,subscription"
        return self._get("/v5/devices", {"expand": expand, "page_num": str(page)}, call)

    def get_data(self, device_sn: str, page: v5_pagination.PageRequest, call: Call, *, units: str) -> bytes:
        """Return one page of readings."""
        params = {"direction": "ascending", "units": units}
        if page.token is not None:
            self._pages[device_sn] += 1
            if self._token_lifetime and self._pages[device_sn] > self._token_lifetime:
                self._pages[device_sn] = 0
                raise PageTokenRefusedError("422")
            params["next_token"] = page.token
        else:
            if page.start is not None:
                params["start_datetime"] = f"{datetime.fromtimestamp(page.start, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
            params["end_datetime"] = f"{datetime.fromtimestamp(page.end + 1, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
        return self._get(f"/v5/devices/{device_sn}/data", params, call)

    def _get(self, path: str, params: dict[str, str], call: Call) -> bytes:
        call.on_sent()
        with self._lock:
            answer = self._emulator.answer(Request(path, params, api_key=TOKEN))
            self._calls += 1
            self._after_call(self._calls)
        assert answer.status == 200, answer.body
        return answer.body


class WirelessV5(TapZentra):
    """The tap on API v5, all of it but its connection to the network, at a moment that the test chooses."""

    api: ClassVar[WirelessV5Api]
    now: ClassVar[float]

    @cached_property
    @override
    def v5_account(self) -> V5Account:
        settings, api = read_settings(self._config), cast("V5Api", self.api)
        limits = Limits.of(burst=NO_LIMIT, device_limit=1, window=0.01)
        return V5Account(settings, api, limits.devices, DeviceList(api, settings, limits.list))

    @override
    def new_run(self, streams: Iterable[StreamOfRun]) -> SyncRun:
        return SyncRun(streams, logger=self.logger, now=lambda: self.now)


def run_v5(
    emulator: Emulator,
    state: Mapping[str, Any],
    after_call: Callable[[int], None] = lambda _: None,
    *,
    now: float,
    token_lifetime: int = 0,
    **settings: object,
) -> list[dict[str, Any]]:
    """Run the tap on API v5 without a network to its end and return its messages."""
    config = {"auth_token": TOKEN, "api_version": "v5", "max_concurrent_calls": 4, **settings}
    api = WirelessV5Api(emulator, after_call, token_lifetime)
    tap = type("Tap", (WirelessV5,), {"api": api, "now": now})
    return [json.loads(line) for line in output_of(tap, config, state).splitlines()]


def run(
    emulator: Emulator, state: Mapping[str, Any], after_call: Callable[[int], None], **settings: object
) -> list[dict[str, Any]]:
    """Run the tap without a network to its end and return its messages."""
    config = {"auth_token": TOKEN, "device_sns": emulator.device_sns, "max_concurrent_calls": 4, **settings}
    tap = type("Tap", (Wireless,), {"api": WirelessApi(emulator, after_call)})
    return [json.loads(line) for line in output_of(tap, config, state).splitlines()]


def sync(
    emulator: Emulator,
    *,
    state: Mapping[str, Any] | None = None,
    streams: Collection[str] | None = None,
    catalog: dict[str, Any] | None = None,
    **settings: object,
) -> Run:
    """Run the tap to its end, a window after any call before; of its log only the last lines, on what has failed.

    Args:
        emulator: The service.
        state: Of an earlier run.
        streams: Those that are selected; None: all, or those of the catalog.
        catalog: Says which streams and columns are selected; None: all columns.
        settings: Beside those for the emulator.
    """
    config = _config(emulator, **settings)
    return _run(lambda output: _write(TapZentra, config, state or {}, output, streams, catalog=catalog))


def check_connection(emulator: Emulator, *, state: Mapping[str, Any] | None = None, **settings: object) -> Run:
    """Do as `--test` does, which takes all streams for selected."""
    config = _config(emulator, **settings)
    return _run(lambda output: _write(TapZentra, config, state or {}, output, go=TapZentra.run_connection_test))


def _config(emulator: Emulator, **settings: object) -> dict[str, Any]:
    emulator.let_window_pass()
    variables = access(emulator, **settings)
    return {name.removeprefix("TAP_ZENTRA_").lower(): value for name, value in variables.items()} | settings


def _run(write: Callable[[io.BytesIO], None]) -> Run:
    output = io.BytesIO()
    failures: list[str] = []
    try:
        write(output)
    except SyncFailedError as error:
        failures = error.lines
    return Run(1 if failures else 0, output.getvalue().decode(), "\n".join(failures))


def output_of(tap: type[TapZentra], config: dict[str, Any], state: Mapping[str, Any]) -> bytes:
    """Run a tap to its end and return what it writes."""
    output = io.BytesIO()
    _write(tap, config, state, output)
    return output.getvalue()


def _write(
    kind: type[TapZentra],
    config: dict[str, Any],
    state: Mapping[str, Any],
    output: io.BytesIO,
    streams: Collection[str] | None = None,
    *,
    catalog: dict[str, Any] | None = None,
    go: Callable[[TapZentra], object] = TapZentra.sync_all,
) -> None:
    logging.disable()
    text = io.TextIOWrapper(output, write_through=True)
    try:
        with contextlib.redirect_stdout(text):
            tap = kind(config=config, state=json.loads(json.dumps(state)), catalog=catalog)
            for name, stream in tap.streams.items() if catalog is None else ():
                stream.selected = streams is None or name in streams
            go(tap)
    finally:
        text.detach()
        logging.disable(logging.NOTSET)


def require_true_states(messages: Iterable[dict[str, Any]], fleet: Rows, had: Rows, start: Mapping[str, int]) -> None:
    """Require of every STATE that all that it claims has been received before it.

    Args:
        messages: Of one run.
        fleet: What the fleet holds at the run's end.
        had: What earlier runs have brought.
        start: The bookmarks that the very first run began at.
    """
    received = dict(had)
    for message in messages:
        if is_reading(message):
            received |= by_key([message["record"]])
        elif message["type"] == "STATE":
            claimed = bookmarks(message["value"])
            missing = [
                key
                for key in fleet
                if start.get(key[0], -1) < key[1] <= claimed.get(key[0], -1) and key not in received
            ]
            assert missing == []
