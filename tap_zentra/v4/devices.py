"""Stream `devices` of API v4 and v3: its columns, and the one call for a device whose readings nobody wants."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import typing as th

from tap_zentra.singer import devices
from tap_zentra.singer.devices import moment_or_none
from tap_zentra.singer.moments import latest_moment
from tap_zentra.singer.pages import WholePage
from tap_zentra.v4.api import RECORD_BYTES
from tap_zentra.v4.responses import decode_page, device_name, require_page_of, timestamps_by_mrid

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zentra.calls.memory import Call
    from tap_zentra.singer.pages import DeviceProgress
    from tap_zentra.v4.api import Api

DEVICES = th.PropertiesList(
    *devices.COLUMNS,
    th.Property("first_mrid", th.IntegerType, description="mrid of its first reading, as far as known."),
    th.Property("last_mrid", th.IntegerType, description="mrid of its newest known reading."),
).to_dict()
"""JSON schema of stream `devices`: one record for each device at each run."""

NEWEST = 10
"""Records of the one call: nobody knows whether the newest ones come by mrid or by time, and some may lie in the
future, stamped by a clock that is wrong."""


class NewestReader:
    """One call for a device of which only the newest reading is wanted.

    Attributes:
        calls_left: 1, or 0 once it has been made.
        expected_bytes: Bytes of the body, at most, as far as can be told before it comes.
        done: Whether it has.
    """

    def __init__(self, device_sn: str, api: Api, *, known: Mapping[str, Any], now: float) -> None:
        """Make ready; nothing is called yet.

        Args:
            device_sn: The device's serial number, as the user gave it.
            api: The account's calls.
            known: What is known of the device.
            now: The moment at which the run began, in seconds since 1970.
        """
        self._device_sn = device_sn
        self._api = api
        self._known = known
        self._now = now
        self.calls_left = 1.0
        self.expected_bytes = NEWEST * RECORD_BYTES
        self.done = False

    def call(self, call: Call) -> bytes | bytearray:
        """Fetch the newest records; on a worker thread."""
        return self._api.get_newest_readings(self._device_sn, call, records=NEWEST)

    def take(self, body: bytes | bytearray) -> WholePage:
        """Decode and check the response; on the main thread.

        Raises:
            NotJSONError: The response is cut off, or a page for people.
            UnexpectedBodyError: It is not what the service sends.
        """
        content = decode_page(body)
        require_page_of(content, self._device_sn)
        self.calls_left, self.done = 0.0, True
        latest = latest_moment(self._now)
        moments = sorted(timestamps_by_mrid(content).values())
        return WholePage(
            records=lambda: iter(()),
            bookmark=None,
            moments=[moment for moment in moments if moment <= latest][-1:],
            ahead=max((moment for moment in moments if moment > latest), default=None),
            known={
                **self._known,
                "device_name": device_name(content) or self._known.get("device_name"),
                "last_mrid": content.pagination.max_mrid,
            },
        )


class DevicesStream(devices.DevicesStream):
    """Devices of ZENTRA Cloud Classic."""

    schema: ClassVar[dict[str, Any]] = DEVICES

    @override
    def details(self, device: DeviceProgress, now: float) -> dict[str, Any]:
        known = device.known
        read = None if device.bookmark is None else device.bookmark.value
        return {
            "device_name": known.get("device_name"),
            "first_reading_utc": moment_or_none(known.get("first_reading")),
            "last_reading_utc": moment_or_none(device.newest),
            "first_mrid": known.get("first_mrid"),
            "last_mrid": known.get("last_mrid", read),
        }
