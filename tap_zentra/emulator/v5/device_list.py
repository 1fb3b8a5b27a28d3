"""What v5 tells of a device beside its readings, made up from the seed; knows no request and no page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tap_zentra.emulator.chance import fraction, number
from tap_zentra.emulator.data import DAY
from tap_zentra.emulator.v5.forms import displayed_name, odd_device, sent_name
from tap_zentra.emulator.v5.query import GROUPS

if TYPE_CHECKING:
    from collections.abc import Collection

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options

ORGANIZATIONS = {"org-1": "Upper Valley Farms", "org-2": "Lower Valley Farms"}
CONNECTIVITY = (
    {"connectivity_type": "cellular", "module": "SARA-R410M", "module_code": "r410"},
    {"connectivity_type": "wifi", "module": "ESP32", "module_code": "e32"},
)
FIRMWARE = (2.1, 2.07, 1.23)
EXPIRED, ENDING = (-40, 12)
"""Days until the subscription ends, of one device in ten each."""

TOLD_AS = {"max_min_timestamp": "data_range"}
"""The name under which the list has a group, where it is not the one by which it is asked for."""

NULL_EVERY = 3
"""With `null_groups` so many groups have one that is null, on the average."""


class Site(NamedTuple):
    """Where a device is.

    Attributes:
        location: Location, field and zone; None: its owner has not said.
        latitude: Degrees; 0 where the service has zeros for coordinates (seen); None likewise.
        longitude: The same.
    """

    location: str | None
    latitude: float | None
    longitude: float | None

    @property
    def coordinates(self) -> str | None:
        """As the service sends them: each between quotes."""
        return None if self.latitude is None else f"'{self.latitude}', '{self.longitude}'"


def site(device: Device, seed: int) -> Site:
    """Return where a device is."""
    luck = number(seed, device.device_sn, "site") % 6
    if luck == 0:
        return Site(None, None, None)
    location = f"{organization(device, seed)[1]}/Field {luck}/Zone {device.device_sn[-1]}"
    if luck == 1:
        return Site(location, 0.0, 0.0)
    latitude = 25 + 25 * fraction(seed, device.device_sn, "latitude")
    longitude = device.tz_offset / 240 + 5 * fraction(seed, device.device_sn, "longitude")
    return Site(location, round(latitude, 7), round(longitude, 7))


def organization(device: Device, seed: int) -> tuple[str, str]:
    """Return the id and the name of a device's organisation."""
    named = device.organization or f"org-{1 + number(seed, device.device_sn, 'organization') % len(ORGANIZATIONS)}"
    return named, ORGANIZATIONS.get(named, f"Organization {named}")


def device_entry(device: Device, options: Options, groups: Collection[str], now: float) -> dict[str, object]:
    """Return a device as the list has it, with those of its groups that are asked for.

    Args:
        device: The device.
        options: Of the service.
        groups: Of `GROUPS`.
        now: Seconds since 1970-01-01; the subscription's end depends on it unless the device says when it is.
    """
    every = _groups(device, options, now)
    told = _identity(device, options.seed) | {"name": sent_name(device.name, options.odd_fields)}
    told |= {TOLD_AS.get(group, group): every[TOLD_AS.get(group, group)] for group in GROUPS if group in groups}
    return odd_device(told) if options.odd_fields else told


def whole_entry(device: Device, options: Options, now: float) -> dict[str, object]:
    """Return all that v5 tells of a device beside its readings, in the usual forms; `now` as for `device_entry`."""
    told = _identity(device, options.seed) | {"name": displayed_name(device.name, options.odd_fields)}
    return told | _groups(device, options, now) | site(device, options.seed)._asdict()


def _identity(device: Device, seed: int) -> dict[str, object]:
    organization_id, organization_name = organization(device, seed)
    return {
        "device_id": device.device_sn,
        "name": device.name,
        "organization_id": organization_id,
        "organization_name": organization_name,
        "device_type": 12,
        "model": "ZL6",
    }


def _groups(device: Device, options: Options, now: float) -> dict[str, object]:
    """Return all groups, under the names that the list has for them."""
    told: dict[str, object] = {
        "data_range": _data_range(device),
        "settings": _settings(device),
        "hardware": _hardware(device, options.seed),
        "connectivity": _connectivity(device, options.seed),
        "subscription": _subscription(device, options.seed, now),
    }
    if not options.null_groups:
        return told
    draws = {group: number(options.seed, device.device_sn, group, "null") for group in told}
    return {group: None if draws[group] % NULL_EVERY == 0 else fields for group, fields in told.items()}


def _data_range(device: Device) -> dict[str, int | None]:
    first, last = device.span or (None, None)
    return {"first_measurement": first, "last_measurement": last}


def _settings(device: Device) -> dict[str, object]:
    hours = {"enabled_count": 24, "all_hours": True}
    return {"logging_interval": device.interval, "upload_frequency": 3600, "upload_hours": hours}


def _hardware(device: Device, seed: int) -> dict[str, object]:
    return {
        "firmware_version": FIRMWARE[number(seed, device.device_sn, "firmware") % len(FIRMWARE)],
        "hardware_revision": "AB"[number(seed, device.device_sn, "hardware") % 2],
    }


def _connectivity(device: Device, seed: int) -> dict[str, object]:
    luck = number(seed, device.device_sn, "connectivity")
    kind = CONNECTIVITY[luck % 4 == 0]
    sim = f"8988{luck % 10**15:015d}" if kind["connectivity_type"] == "cellular" else None
    return {**kind, "sim": sim, "host_server": "zentracloud.io", "pending_host_server": None}


def _subscription(device: Device, seed: int, now: float) -> dict[str, object]:
    luck = number(seed, device.device_sn, "subscription")
    days = {0: EXPIRED, 1: ENDING}.get(luck % 10, 200 + luck % 400)
    ends = int((now // DAY + days) * DAY)
    if device.subscription_ends is not None:
        ends = int(device.subscription_ends.timestamp())
    return {
        "status": "active" if ends > now else "expired",
        "exempt_reason": None,
        "expiration_date": ends,
        "auto_renew": luck % 2 == 0,
        "high_data": luck % 7 == 0,
    }
