"""The body of a response of `get_readings` -> a page, checked; knows neither the network nor the SDK.

It holds one entry for each sensor of each measurement. What keys, values and paging need is checked strictly; what is
dirty in a body is settled by `bodies`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec

from tap_zentra.bodies import (
    EXTRA,
    MOST_UNKNOWN_FIELDS,
    UNKNOWN_FIELD,
    Integer,
    Natural,
    Port,
    Timestamp,
    UnexpectedBodyError,
    Unknown,
    decode_leniently,
    is_anything,
    is_flag,
    is_integer,
    is_natural,
    is_text,
    make_whole,
    may_have_nul,
    objects,
    set_odd_fields_aside,
    with_unknown_fields,
)
from tap_zentra.calls.errors import one_line
from tap_zentra.settings import same_device
from tap_zentra.v4.pagination import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zentra.bodies import Fields


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One value of one sensor at one moment, as the service sends it.

    `timestamp_utc` is in seconds since 1970, `tz_offset` in seconds.
    """

    timestamp_utc: Timestamp
    mrid: Natural
    value: int | float | None
    error_flag: bool | None = None
    error_description: str | None = None
    datetime: str | None = None
    tz_offset: Integer | None = None
    precision: Integer | None = None
    sub_sensor_index: Natural | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=EXTRA)

    unknown: ClassVar[Unknown] = ()


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """What all readings of an entry share."""

    device_sn: str
    port_number: Port | None = None
    device_name: str | None = None
    sensor_name: str | None = None
    sensor_sn: str | None = None
    units: str | None = None
    depth: str | None = None
    sub_sensor_index: Natural | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=EXTRA)

    unknown: ClassVar[Unknown] = ()


class Entry(msgspec.Struct):
    """One sensor's readings of one measurement."""

    metadata: Metadata
    readings: list[Reading]


class Pagination(msgspec.Struct):
    """The device's newest record, the one field that can be trusted on every page; and how large a page may be."""

    max_mrid: Natural | None
    per_page: Any = None


class ReadingsPage(msgspec.Struct):
    """A page of `get_readings`; `data` maps a measurement to its entries."""

    pagination: Pagination
    data: dict[str, list[Entry]]


@functools.lru_cache(maxsize=16)
def _page_decoder(of_metadata: tuple[str, ...], of_readings: tuple[str, ...]) -> msgspec.json.Decoder[ReadingsPage]:
    """Return what decodes pages whose metadata and readings may have fields of these names too."""
    metadata, reading = with_unknown_fields(Metadata, of_metadata), with_unknown_fields(Reading, of_readings)
    entry = msgspec.defstruct("Entry", [("metadata", metadata), ("readings", list[reading])], bases=(Entry,))  # type: ignore[valid-type]
    page = msgspec.defstruct("ReadingsPage", [("data", dict[str, list[entry]])], bases=(ReadingsPage,))  # type: ignore[valid-type]
    return cast("msgspec.json.Decoder[ReadingsPage]", msgspec.json.Decoder(page))


_UNKNOWN_FIELD = re.compile(UNKNOWN_FIELD + r"\$\.data\[\.\.\.\]\[\d+\]\.(?:(metadata)|readings\[\d+\])`")

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
    if may_have_nul(body):
        return _decode_page_leniently(body)
    if b"NaN" in body:
        body = _BARE_NAN.sub(b'"value":null', body)
    try:
        return _decode_page_strictly(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # An odd field, another word that is not JSON, or a fault: the slow way tells them apart.
        return _decode_page_leniently(body)


def _decode_page_strictly(body: bytes | bytearray) -> ReadingsPage:
    """Decode a response, whatever fields its metadata and readings have that nobody knows."""
    of_metadata: tuple[str, ...] = ()
    of_readings: tuple[str, ...] = ()
    while True:
        try:
            return _page_decoder(of_metadata, of_readings).decode(body)
        except msgspec.ValidationError as error:
            unknown = _UNKNOWN_FIELD.fullmatch(str(error))
            known = of_metadata if unknown and unknown[2] else of_readings
            if unknown is None or unknown[1] in known or len(known) == MOST_UNKNOWN_FIELDS:
                raise
            if unknown[2]:
                of_metadata = (*of_metadata, unknown[1])
            else:
                of_readings = (*of_readings, unknown[1])


def _decode_page_leniently(body: bytes | bytearray) -> ReadingsPage:
    """Decode a response that has words that JSON does not know, or optional fields that we do not know so."""
    raw = decode_leniently(body)
    if isinstance(raw, dict) and "data" not in raw and "detail" in raw:
        raise UnexpectedBodyError(f"the response has no data: {one_line(str(raw['detail']))}")
    try:
        for part, fields in _parts(raw):
            set_odd_fields_aside(part, fields)
            make_whole(part, _WHOLE_NUMBERS)
        for pagination in objects([raw.get("pagination")] if isinstance(raw, dict) else None):
            make_whole(pagination, _WHOLE_NUMBERS)
        return msgspec.convert(raw, ReadingsPage)
    except msgspec.ValidationError as error:
        raise UnexpectedBodyError(f"unexpected response format: {error}") from None


_READING_FIELDS: Fields = {
    "timestamp_utc": is_anything,
    "mrid": is_anything,
    "value": is_anything,
    "error_flag": is_flag,
    "error_description": is_text,
    "datetime": is_text,
    "tz_offset": is_integer,
    "precision": is_integer,
    "sub_sensor_index": is_natural,
}
_METADATA_FIELDS: Fields = {
    "device_sn": is_anything,
    "port_number": is_anything,
    "device_name": is_text,
    "sensor_name": is_text,
    "sensor_sn": is_text,
    "units": is_text,
    "depth": is_text,
    "sub_sensor_index": is_natural,
}
_WHOLE_NUMBERS = ("timestamp_utc", "mrid", "port_number", "max_mrid")
"""Keys, which may come as 3.0 and never as "3"."""


def _parts(raw: object) -> Iterator[tuple[dict[str, Any], Fields]]:
    """Yield each metadata and reading object of a body, whatever the body is, with the fields that it may have."""
    data = raw.get("data") if isinstance(raw, dict) else None
    for entries in data.values() if isinstance(data, dict) else ():
        for entry in objects(entries):
            if isinstance(entry.get("metadata"), dict):
                yield entry["metadata"], _METADATA_FIELDS
            for reading in objects(entry.get("readings")):
                yield reading, _READING_FIELDS


def require_page_of(page: ReadingsPage, device_sn: str) -> None:
    """Refuse a page that is not what was asked for.

    Raises:
        UnexpectedBodyError: An entry's `metadata.device_sn` is not the device that was asked for, in whatever case.
    """
    for entries in page.data.values():
        for entry in entries:
            if same_device(entry.metadata.device_sn) != same_device(device_sn):
                raise UnexpectedBodyError(
                    f"the response is for another device: metadata.device_sn is "
                    f"{one_line(entry.metadata.device_sn, 80)!r}"
                )


def page_size(page: ReadingsPage) -> int | None:
    """Return how many records the service lets a page have, if it says so."""
    per_page = page.pagination.per_page
    return per_page if isinstance(per_page, int) else None


def device_name(page: ReadingsPage) -> str | None:
    """Return what the device's owner calls it; None: the page does not tell."""
    names = (entry.metadata.device_name for entries in page.data.values() for entry in entries)
    return next((name for name in names if name), None)


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
