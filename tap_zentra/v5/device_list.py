"""The list of devices that a key can see: asked for once in a run, and what it says of each device."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tap_zentra.calls.fleet import Fleet
from tap_zentra.calls.memory import BodyMemory
from tap_zentra.calls.schedule import Outcome, Schedule, Turn
from tap_zentra.settings import same_device
from tap_zentra.v5.responses import decode_list

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.calls.memory import Call
    from tap_zentra.settings import Settings
    from tap_zentra.v5.api import Api
    from tap_zentra.v5.responses import ListedDevice

NAME = "the device list"
"""What stands in logs where a device's serial number stands otherwise."""


class ListReader:
    """The way through the list, page by page.

    Attributes:
        calls_left: Pages still to be fetched, as far as known.
        expected_bytes: Infinite: nobody knows how many devices there are.
        done: Whether the list has been read to its end.
    """

    def __init__(self, api: Api, organization_id: str | None) -> None:
        """Stand at the first page; nothing is called yet."""
        self._api = api
        self._organization_id = organization_id
        self._page = 1
        self._found: set[str] = set()
        self.calls_left = math.inf
        self.expected_bytes = math.inf
        self.done = False

    def call(self, call: Call) -> bytes | bytearray:
        """Fetch the next page; on a worker thread."""
        return self._api.get_devices(self._page, call, organization_id=self._organization_id)

    def take(self, body: bytes | bytearray) -> list[ListedDevice]:
        """Decode a page, and go on to the next one.

        Returns:
            The devices that were not on the pages before.

        Raises:
            NotJSONError: The response is no JSON text.
            UnexpectedBodyError: It is no list of devices.
        """
        page = decode_list(body)
        new = [device for device in page.listed() if same_device(device.device_id) not in self._found]
        self._found |= {same_device(device.device_id) for device in new}
        # Where the service does not say how many pages there are, one that brings nothing new is behind the last.
        self.done = not new or (page.total_pages is not None and self._page >= page.total_pages)
        self.calls_left = 0 if self.done else max(1, (page.total_pages or 0) - self._page)
        self._page += 1
        return new


class DeviceList:
    """The devices that a key can see, in the service's order.

    Attributes:
        failure: Why there is no list; None: there is one, or it has not been asked for.
    """

    def __init__(
        self, api: Api, settings: Settings, limits: CallLimits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make ready; nothing is called yet.

        Args:
            api: The key's calls.
            settings: Valid ones.
            limits: Those of the list.
            clock: Monotonic, in seconds.
        """
        self._api = api
        self._settings = settings
        self._limits = limits
        self._clock = clock
        self._devices: dict[str, ListedDevice] = {}
        self._fleet: Fleet[list[ListedDevice]] | None = None
        self.failure: str | None = None

    def read(self, logger: logging.Logger, on_fleet: Callable[[Fleet[list[ListedDevice]]], None]) -> None:
        """Ask for the list, unless that has been done.

        Args:
            logger: Where to say what went wrong.
            on_fleet: Given the fleet that makes the calls, to stop it if need be.
        """
        if self._fleet is not None:
            on_fleet(self._fleet)  # so that every stream knows of a key that was refused
            return
        settings = self._settings
        schedule = Schedule(
            [Turn(NAME)],
            self._limits,
            window=settings.call_limit_window,
            max_calls=1,
            max_attempts=settings.max_attempts,
            now=self._clock(),
        )
        (turn,) = schedule.turns
        reader = ListReader(self._api, settings.organization_id)
        self._fleet = Fleet({turn: reader}, schedule, threads=1, memory=BodyMemory(), logger=logger, clock=self._clock)
        on_fleet(self._fleet)
        for _, devices in self._fleet.pages(lambda: None):
            self._devices |= {same_device(device.device_id): device for device in devices}
        if turn.outcome is not Outcome.CURRENT:
            self._devices = {}
            self.failure = turn.failure or "the run ended before it was read"

    def __iter__(self) -> Iterator[ListedDevice]:
        """Yield the devices; none where there is no list."""
        yield from self._devices.values()

    def get(self, device_sn: str) -> ListedDevice | None:
        """Return what the list has of a device, in whatever case its serial number is spelled."""
        return self._devices.get(same_device(device_sn))
