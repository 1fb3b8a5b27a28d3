"""The body of a response of `get_readings` -> a page, checked; knows neither the network nor the SDK.

It holds one entry for each sensor of each measurement. Two of its dirty details are settled here: the bare word `NaN`,
and fields that nobody knows yet.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tap_zentra.calls.errors import DeviceFailedError, TransientError, excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999, the end of what a date can say."""

BIGGEST_MRID = 2**63 - 1
"""The largest integer that warehouses store in a column of integers."""

_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGGEST_MRID)]
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
    error_flag: bool
    error_description: str | None = None
    datetime: str | None = None
    tz_offset: _Integer | None = None
    precision: _Integer | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name=_EXTRA)


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """What all readings of an entry share."""

    device_sn: str
    port_number: _Natural
    device_name: str | None = None
    sensor_name: str | None = None
    sensor_sn: str | None = None
    units: str | None = None
    depth: str | None = None
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

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""A character that PostgreSQL stores in no text. With one more backslash in front it is another text."""

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
    if b"NaN" in body:
        body = _BARE_NAN.sub(b'"value":null', body)
    if b"\\u0000" in body and _NUL.search(body):
        raise UnexpectedBodyError("the response holds what can't be stored: a text with a NUL")
    try:
        return _PAGE_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # An unknown field, another word that is not JSON, or a fault: the slow way tells them apart.
        return _decode_page_leniently(body)


def _decode_page_leniently(body: bytes | bytearray) -> ReadingsPage:
    """Decode a response that has words that JSON does not know, or fields that we do not know."""
    try:
        raw = json.loads(body, parse_constant=lambda _: None)
    except RecursionError:
        raise UnexpectedBodyError("the response is nested too deeply") from None
    except ValueError:
        raise NotJSONError(f"the response is not JSON: {excerpt(body)}") from None
    if isinstance(raw, dict) and "data" not in raw and "detail" in raw:
        raise UnexpectedBodyError(f"the response has no data: {one_line(str(raw['detail']))}")
    try:
        for part, known in _parts(raw):
            _set_unknown_fields_aside(part, known)
        # Text that no target could store (half of a surrogate pair) comes to light here.
        msgspec.json.encode(raw)
        return msgspec.convert(raw, ReadingsPage)
    except msgspec.ValidationError as error:
        raise UnexpectedBodyError(f"unexpected response format: {error}") from None
    except (RecursionError, UnicodeEncodeError) as error:
        raise UnexpectedBodyError(f"the response holds what can't be stored: {error}") from None


_READING_FIELDS = frozenset(Reading.__struct_encode_fields__) - {_EXTRA}
_METADATA_FIELDS = frozenset(Metadata.__struct_encode_fields__) - {_EXTRA}


def _parts(raw: object) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Yield each metadata and reading object of a body, whatever the body is, with the fields it should have."""
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


def _set_unknown_fields_aside(part: dict[str, Any], known: frozenset[str]) -> None:
    """Move the fields that we do not know to where the record's column `extra` takes them from."""
    unknown = part.keys() - known
    if unknown:
        part[_EXTRA] = {name: part.pop(name) for name in sorted(unknown)}
    value = part.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        part["value"] = None  # a number too large for a float


def require_page_of(page: ReadingsPage, device_sn: str) -> None:
    """Refuse a page that is not what was asked for: this device's records, in ascending order.

    Raises:
        UnexpectedBodyError: An entry's `metadata.device_sn` is not the device that was asked for, or its readings
            are not in the order of `sort_by=ascending`. (A page of the newest records would look like the end.)
    """
    for measurement, entries in page.data.items():
        for entry in entries:
            if entry.metadata.device_sn != device_sn:
                raise UnexpectedBodyError(
                    f"the response is about another device: metadata.device_sn is "
                    f"{one_line(entry.metadata.device_sn, 80)!r}"
                )
            mrids = [reading.mrid for reading in entry.readings]
            if mrids != sorted(mrids):
                raise UnexpectedBodyError(
                    f"the response ignores sort_by=ascending: the mrids of {one_line(measurement, 80)!r}"
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
