"""Optional fields in the forms that clients have met: how they come, and what the tap makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tap_zentra.emulator.readings import Reading

BARE_NAN = msgspec.Raw(b"NaN")
"""The word that the service writes although JSON does not have it; msgspec writes NaN as null."""

NAN_EVERY = 7
"""The datetime of every record whose mrid is divisible by this is NaN."""

SERIAL_DIGITS = 8
"""The last characters of every serial number."""


def make_odd(reading: Reading, offset: str) -> None:
    """Give a reading's fields odd forms; the offset is that of local time, such as `-05:00`."""
    reading.precision = float(reading.precision)
    reading.tz_offset = offset
    reading.error_flag = int(reading.error_flag)
    if reading.mrid % NAN_EVERY == 0:
        reading.datetime = BARE_NAN


def odd_metadata(told: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's metadata in odd forms: a NUL in the middle of the name, numbers instead of texts."""
    return told | {"device_name": with_nul(told["device_name"])} | _numbers(told)


def offset_text(local: str) -> str:
    """Return how far local time is from UTC, such as `-05:00`, by a local time as the service writes it."""
    return local[len("1970-01-01 00:00:00") :]


def odd_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of a row whose fields come in odd forms.

    A column whose form is odd is None, and what came stands in `extra`; a NUL becomes U+FFFD.
    """
    offset = offset_text(row["local_datetime"])
    odd = {"precision": float(row["precision"]), "tz_offset": offset, "error_flag": int(row["error_flag"])}
    odd |= _numbers(row)
    name = with_nul(row["device_name"] or "").replace("\0", "\N{REPLACEMENT CHARACTER}")
    local = None if row["mrid"] % NAN_EVERY == 0 else row["local_datetime"]
    return row | dict.fromkeys(odd) | {"device_name": name, "local_datetime": local, "extra": odd}


def with_nul(name: str) -> str:
    """Return a name with a NUL in its middle."""
    middle = len(name) // 2
    return f"{name[:middle]}\0{name[middle:]}"


def _numbers(fields: dict[str, Any]) -> dict[str, int]:
    """Return the fields that are texts with a number in them, as numbers: serial number and depth (cm)."""
    serial, depth = fields["sensor_sn"], fields.get("depth") or ""
    numbers = {"sensor_sn": int(serial[-SERIAL_DIGITS:])} if serial else {}
    centimetres = depth.removesuffix(" cm")
    return numbers | ({"depth": int(centimetres)} if depth != centimetres and centimetres.isdecimal() else {})
