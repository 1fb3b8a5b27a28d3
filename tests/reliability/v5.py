"""What the attacks on API v5 share: small devices of several months, and what is compared with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zentra.emulator import STANDARD_STATION, Device
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.support import bookmarks, by_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_zentra.emulator import Emulator
    from tests.support import Rows, Run

DAY = 86_400
RECORDS = 45
"""One every second day: all of January, February and March 2026."""

PAGES = 3

V5: dict[str, Any] = {"api_version": "v5", "end_date": "2026-03-31T12:00:00Z"}
"""Settings: so that a device has as many pages whenever the tests run."""

ALL_DEVICES: dict[str, Any] = {**V5, "device_sns": None}
"""Settings: the devices are those of the list."""

UNKNOWN: dict[str, dict[str, Any]] = {
    "as far as it is known": {},
    "it skips empty months, and its end is exclusive": {"empty_months": "skipped", "end": "exclusive"},
    "tokens live for a page": {"token_lifetime": 1, "expired_token": "404"},
    "readings come twice and in any order": {"reading_ids": True, "duplicates": True, "entry_order": "shuffled"},
    "moments are floats, and the port is -1": {"timestamps": "float", "logger_port": "minus-one", "next_url": True},
    "optional fields have odd forms": {"odd_fields": True, "positions": True},
    "the list has a device on a page, and no pagination": {"list_limit": 1, "list_pagination": "missing"},
}
"""What nobody outside METER knows of the service: options of the emulator, a set for each of some services."""


def small_device(number: int, **attributes: Any) -> Device:
    """Return a device with two sensors, which has three pages."""
    usual: dict[str, Any] = {"records": RECORDS, "interval": 2 * DAY, "sensors": STANDARD_STATION[-2:]}
    return Device(f"z6-{number:05}", **(usual | attributes))


def small_fleet(count: int, **attributes: Any) -> list[Device]:
    """Return so many of them."""
    return [small_device(number, **attributes) for number in range(count)]


def keyed(records: Iterable[dict[str, Any]]) -> Rows:
    """Index records by their key; two of the same key fail the test."""
    return by_key(records, READINGS_V5_KEY)


def held(emulator: Emulator, *device_sns: str) -> Rows:
    """Return the readings that an emulator holds, of some devices or of all, as the tap should emit them."""
    return keyed(row for device_sn in device_sns or emulator.device_sns for row in emulator.readings_v5(device_sn))


def rows_of(run: Run, device_sn: str) -> Rows:
    """Return the readings of a device that a run has brought."""
    return keyed(record for record in run.records if record["device_sn"] == device_sn)


def standing(state: dict[str, Any]) -> dict[str, str]:
    """Return each device's bookmark."""
    return bookmarks(state, "readings_v5")


def newest(emulator: Emulator, device_sn: str) -> str:
    """Return the moment of a device's newest reading, as its bookmark has it."""
    return max(str(row["timestamp_utc"]) for row in emulator.readings_v5(device_sn))
