r"""A page -> reading records: pure functions that know neither the network nor the SDK.

The body of `get_readings` holds one entry for each sensor of each measurement. Its dirty details are settled here:
the bare word `NaN`, fields that nobody knows yet, units such as `" \\u00b0C"`, entries that share a port.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999, the end of what a date can say."""

BIGGEST_MRID = 2**63 - 1
"""The largest integer that warehouses store in a column of integers."""

Body = bytes | bytearray
"""An answer's body, as it came."""

_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGGEST_MRID)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=BIGGEST_MRID)]
_Timestamp = Annotated[int, msgspec.Meta(ge=0, le=LAST_TIMESTAMP)]
_EXTRA = "tap-zentra: extra"
"""The name under which unknown fields travel inside a body; the service will hardly have a field of this name."""


class NotJSONError(ValueError):
    """The body is no JSON text: cut off on its way, or a page for people. The same call may succeed later."""


class UnexpectedBodyError(ValueError):
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


class Page(msgspec.Struct):
    """An answer of `get_readings`; `data` maps a measurement to its entries."""

    pagination: Pagination
    data: dict[str, list[Entry]]


_PAGE_DECODER = msgspec.json.Decoder(Page)

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""A character that PostgreSQL stores in no text. With one more backslash in front it is another text."""

_BARE_NAN = re.compile(rb'"value"(?<!\\"value")\s*:\s*NaN\b')
"""A value that strict parsers refuse. Within a text, the first quote would have a backslash in front."""


def decode_page(body: Body) -> Page:
    """Decode an answer of `get_readings`.

    Args:
        body: The answer's body, `output_format=json`.

    Raises:
        NotJSONError: The body is no JSON text.
        UnexpectedBodyError: A field is missing or of the wrong type; it is named.
    """
    if b"NaN" in body:
        body = _BARE_NAN.sub(b'"value":null', body)
    if b"\\u0000" in body and _NUL.search(body):
        raise UnexpectedBodyError("the answer holds what can't be stored: a text with a NUL")
    try:
        return _PAGE_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # An unknown field, another word that is not JSON, or a fault: the slow way tells them apart.
        return _decode_page_leniently(body)


def _decode_page_leniently(body: Body) -> Page:
    """Decode an answer that has words that JSON does not know, or fields that we do not know."""
    try:
        raw = json.loads(body, parse_constant=lambda _: None)
    except RecursionError:
        raise UnexpectedBodyError("the answer is nested too deeply") from None
    except ValueError:
        raise NotJSONError(f"the answer is not JSON: {excerpt(body)}") from None
    if isinstance(raw, dict) and "data" not in raw and "detail" in raw:
        raise UnexpectedBodyError(f"the service answers without data: {one_line(str(raw['detail']))}")
    try:
        for part, known in _parts(raw):
            _set_unknown_fields_aside(part, known)
        # Text that no target could store (half of a surrogate pair) comes to light here.
        msgspec.json.encode(raw)
        return msgspec.convert(raw, Page)
    except msgspec.ValidationError as error:
        raise UnexpectedBodyError(f"the answer is not what the service sends: {error}") from None
    except (RecursionError, UnicodeEncodeError) as error:
        raise UnexpectedBodyError(f"the answer holds what can't be stored: {error}") from None


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


def one_line(text: str, length: int = 300) -> str:
    """Return the beginning of a text without line ends and whatever else would confuse a log or a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split())[:length])


def excerpt(body: Body, length: int = 80) -> str:
    """Return the beginning of a body as one line that a person can read, of a page for browsers its words."""
    text = body[: 100 * length].decode(errors="replace")
    if text.lstrip().startswith("<"):
        text = re.sub(r"<[^>]*>", " ", text)
    text = " ".join(text.split())
    return repr(text[:length] + ("…" if len(text) > length else ""))


def require_answer_to(page: Page, device_sn: str) -> None:
    """Refuse a page that is no answer to what was asked: this device's records, in ascending order.

    Raises:
        UnexpectedBodyError: An entry's `metadata.device_sn` is not the device that was asked for, or its readings
            are not in the order of `sort_by=ascending`. (A page of the newest records would look like the end.)
    """
    for measurement, entries in page.data.items():
        for entry in entries:
            if entry.metadata.device_sn != device_sn:
                raise UnexpectedBodyError(
                    f"the answer is about another device: metadata.device_sn is "
                    f"{one_line(entry.metadata.device_sn, 80)!r}"
                )
            mrids = [reading.mrid for reading in entry.readings]
            if mrids != sorted(mrids):
                raise UnexpectedBodyError(
                    f"the answer ignores sort_by=ascending: the mrids of {one_line(measurement, 80)!r}"
                )


def page_size(page: Page) -> int | None:
    """Return how many records the service lets a page have, if it says so."""
    per_page = page.pagination.per_page
    return per_page if isinstance(per_page, int) else None


def timestamps(page: Page) -> dict[int, int]:
    """Return the records of a page: mrid -> moment in seconds since 1970."""
    return {
        reading.mrid: reading.timestamp_utc
        for entries in page.data.values()
        for entry in entries
        for reading in entry.readings
    }


def reading_records(
    page: Page, device_sn: str, *, since: int = 0, below_mrid: int = BIGGEST_MRID + 1
) -> Iterator[dict[str, Any]]:
    """Yield the records of stream `readings` that a page holds, in the answer's order.

    Args:
        page: A decoded answer.
        device_sn: The device's serial number, as the user gave it.
        since: Moment in seconds since 1970; readings before it are left out.
        below_mrid: Readings of this mrid and above are left out.
    """
    for measurement, entries in page.data.items():
        # Entries that share a port are told apart by how often a record has been met there.
        met: dict[int, dict[int, int]] = {}
        for entry in entries:
            metadata = entry.metadata
            port_number = metadata.port_number
            met_on_port = met.setdefault(port_number, {})
            units = clean_units(metadata.units)
            device_name = metadata.device_name or None
            sensor_name = metadata.sensor_name or None
            sensor_sn = metadata.sensor_sn or None
            depth = metadata.depth or None
            for reading in entry.readings:
                mrid = reading.mrid
                sub_sensor_index = met_on_port.get(mrid, 0)
                met_on_port[mrid] = sub_sensor_index + 1
                if reading.timestamp_utc < since or mrid >= below_mrid:
                    continue
                yield {
                    "device_sn": device_sn,
                    "mrid": mrid,
                    "timestamp_utc": iso_timestamp(reading.timestamp_utc),
                    "port_number": port_number,
                    "measurement": measurement,
                    "sub_sensor_index": sub_sensor_index,
                    "value": reading.value,
                    "units": units,
                    "precision": reading.precision,
                    "error_flag": reading.error_flag,
                    "error_description": reading.error_description or None,
                    "local_datetime": reading.datetime or None,
                    "tz_offset": reading.tz_offset,
                    "device_name": device_name,
                    "sensor_name": sensor_name,
                    "sensor_sn": sensor_sn,
                    "depth": depth,
                    "extra": _extra(metadata, reading),
                }


def _extra(metadata: Metadata, reading: Reading) -> dict[str, Any] | None:
    """Return the fields of an entry and of a reading that no column knows; a reading's win over an entry's."""
    if metadata.extra is None:
        return reading.extra
    return {**metadata.extra, **(reading.extra or {})}


@lru_cache(maxsize=4096)
def iso_timestamp(seconds: int) -> str:
    """Return a moment, in seconds since 1970, as ISO 8601 in UTC; a page has 2000 of them for 48,000 readings."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


_ESCAPE = re.compile(r"\\u(?!0000|[dD][89a-fA-F])([0-9a-fA-F]{4})")


def clean_units(units: str | None) -> str | None:
    r"""Return units without blanks and escapes: `" m\\u00b3/m\\u00b3"` -> `"m³/m³"`, `""` -> None."""
    if not units:
        return None
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), units).strip() or None
