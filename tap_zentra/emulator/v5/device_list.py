"""What v5 tells of a device beside its readings, made up from the seed; knows no request and no page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tap_zentra.emulator.chance import fraction, number
from tap_zentra.emulator.data import DAY
from tap_zentra.emulator.v5.forms import odd_device, sent_name

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


class Site(NamedTuple):
    """Where a device is.

    Attributes:
        location: Location, field and zone; None: its owner has not said.
        coordinates: Latitude and longitude, each between quotes, or zeros (both seen); None likewise.
    """

    location: str | None
    coordinates: str | None


def site(device: Device, seed: int) -> Site:
    """Return where a device is."""
    luck = number(seed, device.device_sn, "site") % 6
    if luck == 0:
        return Site(None, None)
    location = f"{organization(device, seed)[1]}/Field {luck}/Zone {device.device_sn[-1]}"
    if luck == 1:
        return Site(location, "'0.0', '0.0'")
    latitude = 25 + 25 * fraction(seed, device.device_sn, "latitude")
    longitude = device.tz_offset / 240 + 5 * fraction(seed, device.device_sn, "longitude")
    return Site(location, f"'{latitude:.7f}', '{longitude:.7f}'")


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
    seed = options.seed
    organization_id, organization_name = organization(device, seed)
    told: dict[str, object] = {
        "device_id": device.device_sn,
        "name": sent_name(device.name, options.odd_fields),
        "organization_id": organization_id,
        "organization_name": organization_name,
        "device_type": 12,
        "model": "ZL6",
    }
    if "max_min_timestamp" in groups:
        told["data_range"] = _data_range(device)
    if "settings" in groups:
        told["settings"] = _settings(device)
    if "hardware" in groups:
        told["hardware"] = {
            "firmware_version": FIRMWARE[number(seed, device.device_sn, "firmware") % len(FIRMWARE)],
            "hardware_revision": "AB"[number(seed, device.device_sn, "hardware") % 2],
        }
    if "connectivity" in groups:
        told["connectivity"] = _connectivity(device, seed)
    if "subscription" in groups:
        told["subscription"] = _subscription(device, seed, now)
    return odd_device(told) if options.odd_fields else told


def _data_range(device: Device) -> dict[str, int | None]:
    first, last = device.span or (None, None)
    return {"first_measurement": first, "last_measurement": last}


def _settings(device: Device) -> dict[str, object]:
    hours = {"enabled_count": 24, "all_hours": True}
    return {"logging_interval": device.interval, "upload_frequency": 3600, "upload_hours": hours}


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
