"""The body of a response of `get_readings` -> a page, checked; knows neither the network nor the SDK.

It holds one entry for each sensor of each measurement. What is dirty in a body is settled here: the bare word `NaN`,
characters that no target can store, and optional fields that nobody knows yet or that come in another form. What keys,
values and paging need is checked strictly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tap_zentra.calls.errors import DeviceFailedError, TransientError, excerpt, one_line
from tap_zentra.settings import same_device
from tap_zentra.v4.pagination import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999, the end of what a date can say."""

BIGGEST_MRID = 2**63 - 1
"""The largest integer that warehouses store in a column of integers."""

_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGGEST_MRID)]
_Port = Annotated[int, msgspec.Meta(ge=-1, le=BIGGEST_MRID)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=BIGGEST_MRID)]
_Timestamp = Annotated[int, msgspec.Meta(ge=0, le=LAST_TIMESTAMP)]
_EXTRA = "tap-zentra: extra"
"""The name under which unknown fields travel inside a body; the service will hardly have a field of this name."""


class NotJSONError(TransientError):
    """The body is no JSON text: cut off on its way, or a page for people. The same call may succeed later."""


class UnexpectedBodyError(DeviceFailedError):
    """The body is JSON, but not what the service sends; the message names the field."""


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One value of one sensor at one moment, as the service sends it.

    `timestamp_utc` is in seconds since 1970, `tz_offset` in seconds.
    """

    timestamp_utc: _Timestamp
    mrid: _Natural
    value: int | float | None
    error_flag: bool | None = None
    error_description: str | None = None
    datetime: str | None = None
    tz_offset: _Integer | None = None
    precision: _Integer | None = None
    sub_sensor_index: _Natural | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=_EXTRA)


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """What all readings of an entry share."""

    device_sn: str
    port_number: _Port | None = None
    device_name: str | None = None
    sensor_name: str | None = None
    sensor_sn: str | None = None
    units: str | None = None
    depth: str | None = None
    sub_sensor_index: _Natural | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=_EXTRA)


class Entry(msgspec.Struct):
    """One sensor's readings of one measurement."""

    metadata: Metadata
    readings: list[Reading]


class Pagination(msgspec.Struct):
    """The device's newest record, the one field that can be trusted on every page; and how large a page may be."""

    max_mrid: _Natural | None
    per_page: Any = None


class ReadingsPage(msgspec.Struct):
    """A page of `get_readings`; `data` maps a measurement to its entries."""

    pagination: Pagination
    data: dict[str, list[Entry]]


_PAGE_DECODER = msgspec.json.Decoder(ReadingsPage)

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""A character that PostgreSQL stores in no text. With one more backslash in front it is another text."""

_HALF = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
"""What may be half of a letter, as such or as an escape."""

_BARE_NAN = re.compile(rb'"value"(?<!\\"value")\s*:\s*NaN\b')
"""A value that strict parsers refuse. Within a text, the first quote would have a backslash in front."""


def decode_page(body: bytes | bytearray) -> ReadingsPage:
    """Decode a response of `get_readings`.

    Args:
        body: As it came, with `output_format=json`.

    Raises:
        NotJSONError: The body is no JSON text.
        UnexpectedBodyError: A field is missing or of the wrong type; it is named.
    """
    if b"\\u0000" in body:
        return _decode_page_leniently(body)
    if b"NaN" in body:
        body = _BARE_NAN.sub(b'"value":null', body)
    try:
        return _PAGE_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # An odd field, another word that is not JSON, or a fault: the slow way tells them apart.
        return _decode_page_leniently(body)


def _decode_page_leniently(body: bytes | bytearray) -> ReadingsPage:
    """Decode a response that has words that JSON does not know, or optional fields that we do not know so."""
    try:
        raw = _storable(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise UnexpectedBodyError("the response is nested too deeply") from None
    except ValueError:
        raise NotJSONError(f"the response is not JSON: {excerpt(body)}") from None
    if isinstance(raw, dict) and "data" not in raw and "detail" in raw:
        raise UnexpectedBodyError(f"the response has no data: {one_line(str(raw['detail']))}")
    try:
        for part, fields in _parts(raw):
            _set_odd_fields_aside(part, fields)
            _make_whole(part)
        for pagination in _objects([raw.get("pagination")] if isinstance(raw, dict) else None):
            _make_whole(pagination)
        return msgspec.convert(raw, ReadingsPage)
    except msgspec.ValidationError as error:
        raise UnexpectedBodyError(f"unexpected response format: {error}") from None


def _storable(text: str) -> object:
    """Return what a JSON text says, with U+FFFD for NULs and halves of letters, and null for numbers that are none.

    Raises:
        ValueError: It is no JSON text.
    """
    text = _NUL.sub(r"\1\\ufffd", text)
    raw = _loads(text)
    if not _HALF.search(text):
        return raw
    return _loads(
        json.dumps(raw, ensure_ascii=False).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    )


def _loads(text: str) -> object:
    return json.loads(text, parse_constant=lambda _: None)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_integer(value: object, least: int = -(2**63)) -> bool:
    return value is None or (type(value) is int and least <= value <= BIGGEST_MRID)


def _is_natural(value: object) -> bool:
    return _is_integer(value, least=0)


def _is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _is_anything(_value: object) -> bool:
    """Let a field pass whose form is checked strictly later."""
    return True


_Fields = Mapping[str, Callable[[object], bool]]

_READING_FIELDS: _Fields = {
    "timestamp_utc": _is_anything,
    "mrid": _is_anything,
    "value": _is_anything,
    "error_flag": _is_flag,
    "error_description": _is_text,
    "datetime": _is_text,
    "tz_offset": _is_integer,
    "precision": _is_integer,
    "sub_sensor_index": _is_natural,
}
_METADATA_FIELDS: _Fields = {
    "device_sn": _is_anything,
    "port_number": _is_anything,
    "device_name": _is_text,
    "sensor_name": _is_text,
    "sensor_sn": _is_text,
    "units": _is_text,
    "depth": _is_text,
    "sub_sensor_index": _is_natural,
}
_WHOLE_NUMBERS = ("timestamp_utc", "mrid", "port_number", "max_mrid")
"""Keys, which may come as 3.0 and never as "3"."""


def _parts(raw: object) -> Iterator[tuple[dict[str, Any], _Fields]]:
    """Yield each metadata and reading object of a body, whatever the body is, with the fields that it may have."""
    data = raw.get("data") if isinstance(raw, dict) else None
    for entries in data.values() if isinstance(data, dict) else ():
        for entry in _objects(entries):
            if isinstance(entry.get("metadata"), dict):
                yield entry["metadata"], _METADATA_FIELDS
            for reading in _objects(entry.get("readings")):
                yield reading, _READING_FIELDS


def _objects(listed: object) -> list[dict[str, Any]]:
    """Return the objects of a list, whatever else it holds, and whatever it is."""
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _set_odd_fields_aside(part: dict[str, Any], fields: _Fields) -> None:
    """Move fields that we do not know, or not in this form, to where the record's column `extra` takes them from."""
    odd = [name for name, value in part.items() if name not in fields or not fields[name](value)]
    if odd:
        part[_EXTRA] = {name: part.pop(name) for name in sorted(odd)}
    value = part.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        part["value"] = None  # a number too large for a float


def _make_whole(part: dict[str, Any]) -> None:
    """Make keys that came as floats the whole numbers that they are."""
    for name in _WHOLE_NUMBERS:
        number = part.get(name)
        if isinstance(number, float) and number.is_integer():
            part[name] = int(number)


def require_page_of(page: ReadingsPage, device_sn: str) -> None:
    """Refuse a page that is not what was asked for.

    Raises:
        UnexpectedBodyError: An entry's `metadata.device_sn` is not the device that was asked for, in whatever case.
    """
    for entries in page.data.values():
        for entry in entries:
            if same_device(entry.metadata.device_sn) != same_device(device_sn):
                raise UnexpectedBodyError(
                    f"the response is about another device: metadata.device_sn is "
                    f"{one_line(entry.metadata.device_sn, 80)!r}"
                )


def page_size(page: ReadingsPage) -> int | None:
    """Return how many records the service lets a page have, if it says so."""
    per_page = page.pagination.per_page
    return per_page if isinstance(per_page, int) else None


def timestamps_by_mrid(page: ReadingsPage) -> dict[int, int]:
    """Return the records of a page: mrid -> moment in seconds since 1970."""
    return {
        reading.mrid: reading.timestamp_utc
        for entries in page.data.values()
        for entry in entries
        for reading in entry.readings
    }


def order_of(page: ReadingsPage) -> Order:
    """Return in which order the readings of a page came."""
    entries = [entry.readings for entries in page.data.values() for entry in entries]
    if all(_is_sorted([reading.mrid for reading in readings]) for readings in entries):
        return Order.MRID
    if all(_is_sorted([reading.timestamp_utc for reading in readings]) for readings in entries):
        return Order.TIME
    return Order.OTHER


def _is_sorted(numbers: list[int]) -> bool:
    return numbers == sorted(numbers)
