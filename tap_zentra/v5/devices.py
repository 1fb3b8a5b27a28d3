"""Stream `devices` of API v5: what the list and the metadata of the readings tell."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import typing as th

from tap_zentra.singer import columns, devices
from tap_zentra.singer.devices import moment_or_none
from tap_zentra.singer.moments import DAY, iso_timestamp, latest_moment

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from singer_sdk import Tap

    from tap_zentra.singer.pages import DeviceProgress
    from tap_zentra.v5.account import Account
    from tap_zentra.v5.responses import ListedDevice

LISTED_COLUMNS = (
    th.Property("organization_id", th.StringType, description="The service's ID of the device's organization."),
    th.Property("organization_name", th.StringType, description="Name of the device's organization."),
    th.Property("device_type", th.IntegerType, description="METER's number for the type of device."),
    th.Property("model", th.StringType, description="METER's name for the type of device, for example `ZL6`."),
    th.Property("logging_interval", th.IntegerType, description="Time between readings, in seconds."),
    th.Property("upload_frequency", th.IntegerType, description="Time between uploads, in seconds."),
    th.Property("firmware_version", th.NumberType, description="Firmware version of the device, for example 2.1."),
    th.Property("hardware_revision", th.StringType, description="Hardware revision of the device, for example `B`."),
    th.Property("connectivity_type", th.StringType, description="How the device uploads, for example `cellular`."),
    th.Property(
        "subscription_status",
        th.StringType,
        description="Status of the subscription, as the service names it, for example `active`.",
    ),
)
"""Columns that are named as the attributes of `ListedDevice`."""

V5_COLUMNS = (
    *LISTED_COLUMNS,
    th.Property(
        "subscription_expires_at", th.DateTimeType, description="End of the device's subscription, ISO 8601, UTC."
    ),
    th.Property(
        "location", th.StringType, description="Location of the device, as its owner entered it: `Location/Field/Zone`."
    ),
    th.Property(
        "latitude", th.NumberType, description="Latitude of the device, in degrees; negative south of the equator."
    ),
    th.Property(
        "longitude", th.NumberType, description="Longitude of the device, in degrees; negative west of Greenwich."
    ),
    columns.EXTRA,
)
"""Columns of stream `devices` that only API v5 has."""

DEVICES_V5 = th.PropertiesList(*devices.COLUMNS, *V5_COLUMNS).to_dict()
"""JSON schema of stream `devices`: one record for each device at each run."""

SUBSCRIPTION_NOTICE = 30 * DAY
"""Seconds before its end from which a subscription is warned of."""

ENDED = {"canceled", "cancelled", "deactivated", "ended", "expired", "inactive", "lapsed", "suspended", "terminated"}
"""Words for a subscription that has ended, should the service give no date; which ones it has is not documented."""


class DevicesV5Stream(devices.DevicesStream):
    """Devices of ZENTRA Cloud 2.0."""

    schema: ClassVar[dict[str, Any]] = DEVICES_V5

    def __init__(self, tap: Tap, account: Callable[[], Account]) -> None:
        """Make the stream.

        Args:
            tap: The tap.
            account: Has the list of devices.
        """
        super().__init__(tap)
        self._account = account

    @override
    def details(self, device: DeviceProgress, now: float) -> dict[str, Any]:
        listed = self._account().device_list.get(device.turn.device_sn)
        told = (device.newest, None if listed is None else listed.last_measurement)
        possible = [moment for moment in told if moment is not None and moment <= latest_moment(now)]
        return {
            "device_name": (listed and listed.name) or device.known.get("device_name"),
            "first_reading_utc": moment_or_none(listed and listed.first_measurement),
            "last_reading_utc": moment_or_none(max(possible, default=None)),
            **device_details(listed, {name: told for name, told in device.known.items() if name != "device_name"}),
        }


def device_details(listed: ListedDevice | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns `V5_COLUMNS` of a device.

    Args:
        listed: What the list says of it; None: nothing.
        known: What the metadata of its readings said last (`DataPage.known`). In `extra` it comes before a field of the
            list that has the same name.
    """
    location, where = known.get("location"), known.get("coordinates")
    place = coordinates(where)
    odd = dict(known)
    if location is None or isinstance(location, str):
        odd.pop("location", None)
    if place is not None and not (isinstance(where, dict) and len(where) > len(place)):  # an altitude, perhaps
        del odd["coordinates"]
    extra = (listed.extra if listed else {}) | {name: told for name, told in odd.items() if told not in (None, "", {})}
    ends = listed.subscription_expires_at if listed else None
    return {
        **{column.name: getattr(listed, column.name, None) for column in LISTED_COLUMNS},
        "subscription_expires_at": None if ends is None else iso_timestamp(ends),
        "location": (location or None) if isinstance(location, str) else None,
        "latitude": place and place[0],
        "longitude": place and place[1],
        "extra": extra or None,
    }


def coordinates(raw: object) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees; None: they are not told, not in a form that is known, or both zero.

    Args:
        raw: As the service sends it: a text such as `'46.7515638', '-117.1667332'`, with the quotes within it; or
            without them, or a list of two, or an object, should it come to that.
    """
    parts: list[Any] = []
    if isinstance(raw, str):
        parts = raw.split(",")
    elif isinstance(raw, list):
        parts = raw
    elif isinstance(raw, dict):
        parts = [raw.get("latitude", raw.get("lat")), raw.get("longitude", raw.get("lon"))]
    if len(parts) != 2:  # noqa: PLR2004 - latitude and longitude
        return None
    latitude, longitude = _degrees(parts[0], 90), _degrees(parts[1], 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return latitude, longitude


def _degrees(told: object, most: int) -> float | None:
    """Return an angle, or None: it is none, or larger than it can be."""
    if isinstance(told, str):
        bare = told.strip(" \t'\"")
        told = float(bare) if _ANGLE.fullmatch(bare) else None
    if isinstance(told, bool) or not isinstance(told, int | float) or not abs(told) <= most:
        return None
    return float(told)


_ANGLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def subscription_warning(listed: ListedDevice | None, now: float) -> str | None:
    """Return what is to be said of a device's subscription at the end of a run; None: it is in order, or not known.

    The date counts more than the status.

    Args:
        listed: What the list says of the device; None: nothing.
        now: Seconds since 1970.
    """
    if listed is None or listed.is_exempt:
        return None
    ends = listed.subscription_expires_at
    if ends is None:
        status = (listed.subscription_status or "").strip().casefold()
        return status if status in ENDED else None
    if ends > now + SUBSCRIPTION_NOTICE:
        return None
    day = f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d}"
    if ends <= now:
        return f"ended on {day}"
    return f"ends on {day}{' and renews automatically' if listed.renews_itself else ''}"
