"""The bodies of API v5 -> pages, checked; knows neither the network nor the SDK.

A page of readings is a month, up to some 60 MB, so it is decoded in pieces. Of each piece only what its rows say is
kept, field by field, until the page has been checked as a whole and is written. What keys, values and paging need is
checked strictly; what is dirty in a body is settled by `bodies`.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import itertools
import math
import re
from collections.abc import Sequence  # noqa: TC003 - msgspec needs it
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET

from tap_zentra.bodies import (
    BIGGEST_INTEGER,
    EXTRA,
    LAST_TIMESTAMP,
    MOST_UNKNOWN_FIELDS,
    UNKNOWN_FIELD,
    Integer,
    NotJSONError,
    Port,
    UnexpectedBodyError,
    Unknown,
    decode_leniently,
    is_anything,
    is_integer,
    is_text,
    make_whole,
    may_have_nul,
    objects,
    set_odd_fields_aside,
    with_unknown_fields,
)
from tap_zentra.calls.errors import one_line
from tap_zentra.settings import same_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_zentra.bodies import Fields

PIECE_BYTES = 2**17
"""Bytes of a page that are decoded in one go, at least: some 700 readings, few enough for the processor's caches."""

MOST_TEXTS = 200
"""Measurements, units and sensors of a page for which it stays worthwhile to make a type."""

DEEPEST = 50
"""Levels of lists and objects in a field of a device: what is kept of it is copied by recursion, in a state."""

EARLIEST_EXPIRATION = 946_684_800
"""The year 2000, in seconds since 1970: a smaller number is no date on which a subscription ends."""


class Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One value of one sensor at one moment, as the service sends it; `timestamp` is in seconds since 1970.

    Fields in the service's order are decoded soonest.
    """

    port_num: Port | None = None
    measurement: str
    unit: str | None = None
    sensor_name: str | None = None
    value: int | float | None
    timestamp: (
        Annotated[int, msgspec.Meta(ge=0, le=LAST_TIMESTAMP)] | Annotated[float, msgspec.Meta(ge=0, le=LAST_TIMESTAMP)]
    )
    datetime: str | None = None
    error_code: Integer | None = None


class RowWithMore(Row, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row of a page whose rows say more: which value of several it is, or what nobody knows."""

    position: Any = None
    reading_id: Any = None

    unknown: ClassVar[Unknown] = ()


class OddRow(RowWithMore, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row that had to be decoded the slow way."""

    extra: dict[str, Any] | None = msgspec.field(default=None, name=EXTRA)


_FIELDS: Fields = {
    "timestamp": is_anything,
    "measurement": is_anything,
    "value": is_anything,
    "port_num": is_anything,
    "sensor_name": is_text,
    "unit": is_text,
    "error_code": is_integer,
    "datetime": is_text,
    "position": is_anything,
    "reading_id": is_anything,
}


class Metadata(msgspec.Struct):
    """What all rows of a page share."""

    device_id: str
    device_name: Any = None


class Pagination(msgspec.Struct):
    """Whether more is to come."""

    next_token: str | None = None


class _Head(msgspec.Struct):
    metadata: Metadata


class _Body(msgspec.Struct):
    metadata: msgspec.Raw
    values: msgspec.Raw
    pagination: Pagination | None = None


class _PlainBody(msgspec.Struct):
    metadata: dict[str, Any]
    values: list[Any]
    pagination: Pagination | None = None


_BODY = msgspec.json.Decoder(_Body)


@functools.lru_cache(maxsize=16)
def _rows_decoder(more: tuple[str, ...], texts: frozenset[str] = frozenset()) -> msgspec.json.Decoder[list[Row]]:
    """Return what decodes rows.

    Args:
        more: Names of fields that they may have too.
        texts: All that may be measurements, units or sensors, so that they need not be made anew for each row; none:
            any may.
    """
    kind = with_unknown_fields(RowWithMore, {*more} - {*RowWithMore.__struct_encode_fields__}) if more else Row
    if texts:
        known = Literal[tuple(texts)]  # type: ignore[valid-type]
        optional = [(name, known | None, None) for name in ("unit", "sensor_name")]
        kind = msgspec.defstruct(
            f"{kind.__name__}OfTexts", [("measurement", known), *optional], bases=(kind,), kw_only=True
        )
    return cast("msgspec.json.Decoder[list[Row]]", msgspec.json.Decoder(list[kind]))  # type: ignore[valid-type]


_UNKNOWN_FIELD = re.compile(UNKNOWN_FIELD)

_BETWEEN_ROWS = re.compile(rb"\}\s*,\s*\{")
"""Where a page may be cut. Within a text or an object the piece would be no JSON; then it is cut further on."""

_NO_NUMBER = re.compile(rb'("(?<!\\")\s*:\s*)(?:NaN|-?Infinity)\b')
"""A field that strict parsers refuse. Within a text, the first quote would have a backslash in front."""

Series = tuple[int | None, str | None, str, str | None]
"""Port, sensor, measurement and unit, as the service sends them."""

_TEXTS = attrgetter("measurement", "unit", "sensor_name")

_TIMESTAMP = cast("Callable[[Row], float]", attrgetter("timestamp"))

_Cell = TypeVar("_Cell")


class Moment(msgspec.Struct, frozen=True, gc=False):
    """The rows of one second, field by field: so a row takes a tenth of the memory that it takes as it is decoded.

    Of `timestamps`, `datetimes` and `error_codes` there is one for all rows if all have the same.

    Attributes:
        second: Since 1970.
        series: Of each row; the same object for all moments of a page that have the same.
        values: Of each row.
        timestamps: In seconds since 1970.
        datetimes: As the service writes them.
        error_codes: As the service sends them.
        more: What else the rows say, by the names of the fields: of each row, UNSET where it does not say it.
    """

    second: int
    series: tuple[Series, ...]
    values: tuple[float | None, ...]
    timestamps: tuple[float, ...]
    datetimes: tuple[str | None, ...]
    error_codes: tuple[int | None, ...]
    more: dict[str, tuple[Any, ...]]

    @property
    def indices(self) -> tuple[int | None, ...]:
        """The place of each row that the service names, a whole number from 0 on; None: it names none in this form."""
        positions = self.more.get("position")
        if positions is None:
            return (None,) * len(self.series)
        return tuple([None if position is UNSET else _index(position) for position in positions])

    @classmethod
    def joined(cls, parts: Sequence[Moment]) -> Moment:
        """Return the rows of one second that lie in several places of a page, or in several pages, in their order."""
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(itertools.chain.from_iterable(part.more for part in parts))
        return cls(
            parts[0].second,
            _chained(part.series for part in parts),
            _chained(part.values for part in parts),
            _chained(part.each(part.timestamps) for part in parts),
            _chained(part.each(part.datetimes) for part in parts),
            _chained(part.each(part.error_codes) for part in parts),
            {name: _chained(part.each(part.more.get(name, (UNSET,))) for part in parts) for name in names},
        )

    def only(self, chosen: Sequence[bool]) -> Moment:
        """Return the rows that are chosen."""

        def of_chosen(column: tuple[_Cell, ...]) -> tuple[_Cell, ...]:
            return tuple(itertools.compress(self.each(column), chosen))

        return Moment(
            self.second,
            of_chosen(self.series),
            of_chosen(self.values),
            of_chosen(self.timestamps),
            of_chosen(self.datetimes),
            of_chosen(self.error_codes),
            {name: of_chosen(column) for name, column in self.more.items()},
        )

    def each(self, column: tuple[_Cell, ...]) -> tuple[_Cell, ...]:
        """Return a field of all rows, of which there may be one for all."""
        return column * len(self.series) if len(column) == 1 else column


_SECOND = cast("Callable[[Moment], int]", attrgetter("second"))


def _chained(columns: Iterable[tuple[_Cell, ...]]) -> tuple[_Cell, ...]:
    return tuple(itertools.chain.from_iterable(columns))


def _index(position: object) -> int | None:
    if isinstance(position, float) and position.is_integer():
        position = int(position)
    return position if type(position) is int and 0 <= position <= BIGGEST_INTEGER else None


def _short(column: list[_Cell]) -> tuple[_Cell, ...]:
    """Return a field of some rows; one for all if it is the same in all."""
    return (column[0],) if column.count(column[0]) == len(column) else tuple(column)


class DataPage:
    """A page of a device's readings, checked.

    Attributes:
        device_id: Whose it is.
        device_name: What the owner calls it.
        known: What else its metadata tells of the device, such as `location` and `coordinates`, as it came.
        next_token: Of the page that follows; None: none does.
        moments: When its readings were made, ascending, each once, in seconds since 1970.
        is_descending: Whether the service sent the newest ones first.
    """

    def __init__(self, body: _Body, *, has_nul: bool = False) -> None:
        """Check all rows.

        Args:
            body: A page.
            has_nul: Whether a text in it may hold a NUL.

        Raises:
            NotJSONError: The rows are no JSON.
            UnexpectedBodyError: A field of a row, or of the metadata, is missing or of the wrong type; it is named.
        """
        told = decode_leniently(body.metadata) if has_nul else msgspec.json.decode(body.metadata)
        metadata = _convert({"metadata": told}, _Head).metadata
        name = metadata.device_name
        self.device_id = metadata.device_id
        self.device_name = name if isinstance(name, str) else None
        self.known = _known(cast("dict[str, Any]", told), name_is_known=self.device_name is not None)
        self.next_token = (body.pagination.next_token if body.pagination else None) or None
        self._has_nul = has_nul
        self._more: tuple[str, ...] = ()
        self._texts: frozenset[str] = frozenset()
        self._columns: tuple[list[Any], ...] = ()
        self._series: tuple[Series, ...] = ()
        self._known_series: dict[Any, Any] = {}
        moments = [
            self._moment(list(rows))
            for piece in self._pieces(memoryview(body.values))
            for _, rows in itertools.groupby(piece, _TIMESTAMP)
        ]
        seconds = list(dict.fromkeys(map(_SECOND, moments)))
        moments.sort(key=_SECOND)
        self._by_second = {second: Moment.joined(list(same)) for second, same in itertools.groupby(moments, _SECOND)}
        self.moments: Sequence[int] = list(self._by_second)
        self.is_descending = self.moments != seconds and self.moments[::-1] == seconds

    def __getitem__(self, second: int) -> Moment:
        """Return the rows of a moment."""
        return self._by_second[second]

    def between(self, first: int, last: int) -> list[Moment]:
        """Return the moments of a range, in ascending order."""
        start, stop = bisect.bisect_left(self.moments, first), bisect.bisect_right(self.moments, last)
        return [self._by_second[second] for second in self.moments[start:stop]]

    @classmethod
    def of(cls, device_id: str, device_name: str | None, carried: Moment | None) -> DataPage:
        """Return a page that holds nothing but a moment of the page before."""
        metadata = msgspec.json.encode(Metadata(device_id, device_name))
        page = cls(_Body(msgspec.Raw(metadata), msgspec.Raw(b"[]")))
        page.begin_with(carried)
        return page

    def begin_with(self, carried: Moment | None) -> None:
        """Put rows of a moment, from the page before, in front of the others."""
        if carried is not None:
            parts = [carried, *self.between(carried.second, carried.second)]
            self._by_second[carried.second] = Moment.joined(parts)
            self.moments = sorted(self._by_second)

    def _moment(self, rows: list[Row]) -> Moment:
        """Return rows that follow each other, all of the same time."""
        timestamp = rows[0].timestamp
        return Moment(
            int(timestamp),
            self._series_of(rows),
            tuple([row.value for row in rows]),
            (timestamp,),
            _short([row.datetime for row in rows]),
            _short([row.error_code for row in rows]),
            _more_of(cast("list[RowWithMore]", rows)) if isinstance(rows[0], RowWithMore) else {},
        )

    def _series_of(self, rows: list[Row]) -> tuple[Series, ...]:
        """Return the series of some rows, and nothing twice: mostly they are those of the moment before."""
        columns = (
            [row.port_num for row in rows],
            [row.sensor_name for row in rows],
            [row.measurement for row in rows],
            [row.unit for row in rows],
        )
        if columns != self._columns:
            known = self._known_series
            series = tuple([known.setdefault(one, one) for one in zip(*columns, strict=True)])
            self._columns, self._series = columns, known.setdefault(series, series)
        return self._series

    def _pieces(self, values: memoryview) -> Iterator[list[Row]]:
        """Yield the rows of each piece."""
        start, end = 1, len(values) - 1
        while start < end:
            at, rows = start, None
            while rows is None:
                boundary = _BETWEEN_ROWS.search(values, at + PIECE_BYTES, end)
                stop, following = (end, end) if boundary is None else (boundary.start() + 1, boundary.end() - 1)
                try:
                    rows = self._decode(b"".join((b"[", values[start:stop], b"]")))
                except NotJSONError:
                    if boundary is None:
                        raise
                    at = stop - PIECE_BYTES  # on to the next boundary
            yield rows
            start = following

    def _decode(self, text: bytes) -> list[Row]:
        if not (self._has_nul and may_have_nul(text)):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return self._decode_strictly(text)
        # An odd field, a boundary that is none, or a fault: the slow way tells them apart.
        raw = decode_leniently(text)
        for row in objects(raw):
            make_whole(row, ("port_num", "error_code"))
            set_odd_fields_aside(row, _FIELDS)
        return list(_convert(raw, list[OddRow]))

    def _decode_strictly(self, text: bytes) -> list[Row]:
        """Decode rows: mostly they have no text and no field that others of the page have not."""
        if self._texts:
            with contextlib.suppress(msgspec.ValidationError):
                return _rows_decoder(self._more, self._texts).decode(text)
        rows = self._decode_new(text)
        texts = self._texts.union(*map(_TEXTS, rows)) - {None}
        if len(texts) <= MOST_TEXTS:
            self._texts = texts
        return rows

    def _decode_new(self, text: bytes) -> list[Row]:
        """Decode rows, whatever more fields they have: the page's other rows will have them too."""
        while True:
            try:
                return _rows_decoder(self._more).decode(text)
            except msgspec.ValidationError as error:
                unknown = _UNKNOWN_FIELD.match(str(error))
                if unknown is None or unknown[1] in self._more or len(self._more) == MOST_UNKNOWN_FIELDS:
                    raise
                self._more = (*self._more, unknown[1])


def _more_of(rows: list[RowWithMore]) -> dict[str, tuple[Any, ...]]:
    """Return what rows of the same type say beside the usual, by name: first what METER names, then in ABC order."""
    more = {"position": _said([row.position for row in rows]), "reading_id": _said([row.reading_id for row in rows])}
    for attribute, name in rows[0].unknown:
        more[name] = tuple([getattr(row, attribute) for row in rows])
    extras = [row.extra or {} for row in rows if isinstance(row, OddRow)]
    for name in sorted(set().union(*extras)):
        more[name] = tuple([extra.get(name, UNSET) for extra in extras])
    return {name: cells for name, cells in more.items() if cells}


def _said(cells: list[Any]) -> tuple[Any, ...]:
    """Return a field in which null says nothing; nothing at all if no row says anything."""
    if cells[0] is None and cells.count(None) == len(cells):
        return ()
    return tuple([UNSET if cell is None else cell for cell in cells])


def decode_page(body: bytes | bytearray) -> DataPage:
    """Decode and check a page of a device's readings.

    Raises:
        NotJSONError: The body is no JSON text.
        UnexpectedBodyError: A field is missing or of the wrong type; it is named.
    """
    try:
        decoded = _decode_body(body)
        if bytes(memoryview(decoded.values)[:1]) == b"[":
            return DataPage(decoded, has_nul=may_have_nul(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # A letter that is none, another word that is not JSON, or a fault: the slow way tells them apart.
    plain = _convert(decode_leniently(body), _PlainBody)
    metadata, values = (msgspec.Raw(msgspec.json.encode(part)) for part in (plain.metadata, plain.values))
    return DataPage(_Body(metadata, values, plain.pagination))


def _decode_body(body: bytes | bytearray) -> _Body:
    """Return the parts of a page, with null for numbers that are none."""
    try:
        return _BODY.decode(body)
    except msgspec.DecodeError:
        if b"NaN" not in body and b"Infinity" not in body:
            raise
    return _BODY.decode(_NO_NUMBER.sub(rb"\1null", body))


def require_page_of(page: DataPage, device_sn: str) -> None:
    """Refuse a page that is not what was asked for.

    Raises:
        UnexpectedBodyError: It is about another device than was asked for, in whatever case.
    """
    if same_device(page.device_id) != same_device(device_sn):
        found = one_line(page.device_id, 80)
        raise UnexpectedBodyError(f"the response is for another device: metadata.device_id is {found!r}")


class ListedDevice(msgspec.Struct):
    """A device, as the list has it; None where the list does not say, or says it in another form.

    Attributes:
        device_id: Serial number.
        first_measurement: When its first reading was made, in seconds since 1970.
        last_measurement: When its last one was.
        name: What its owner calls it.
        organization_id: The owner's.
        organization_name: Likewise.
        device_type: METER's number for the kind of device.
        model: METER's name for it.
        logging_interval: Seconds from one reading to the next.
        upload_frequency: Seconds from one upload to the next.
        firmware_version: Such as 2.1.
        hardware_revision: Such as `B`.
        connectivity_type: Such as `cellular`.
        subscription_status: Such as `active`.
        subscription_expires_at: In seconds since 1970.
        extra: Everything else that the list says, by the service's names: fields that are not above, and as they came
            those whose form is another; the fields of a group stand below its name.
    """

    device_id: str
    first_measurement: int | None = None
    last_measurement: int | None = None
    name: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    device_type: int | None = None
    model: str | None = None
    logging_interval: int | None = None
    upload_frequency: int | None = None
    firmware_version: float | None = None
    hardware_revision: str | None = None
    connectivity_type: str | None = None
    subscription_status: str | None = None
    subscription_expires_at: int | None = None
    extra: dict[str, Any] = {}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> ListedDevice:
        """Return what an entry of the list says.

        Args:
            entry: Has a serial number.
        """
        groups = {name: dict(told) for name, told in entry.items() if name in _GROUPS and isinstance(told, dict)}
        rest = {name: told for name, told in entry.items() if name not in groups and name != "device_id"}
        known = {
            attribute: _take(rest if group is None else groups.get(group, {}), name, read)
            for attribute, (group, name, read) in _LISTED.items()
        }
        kept = {name: _worth_telling(part) for name, part in groups.items()}
        extra = _worth_telling(rest) | {name: part for name, part in kept.items() if part}
        return cls(entry["device_id"], **known, extra=extra)

    @property
    def is_exempt(self) -> bool:
        """Whether it needs no subscription."""
        return bool(self._subscription.get("exempt_reason"))

    @property
    def renews_itself(self) -> bool:
        """Whether its subscription goes on by itself when it ends."""
        return self._subscription.get("auto_renew") is True

    @property
    def _subscription(self) -> dict[str, Any]:
        """What no attribute has of the subscription."""
        told = self.extra.get("subscription")
        return told if isinstance(told, dict) else {}


def _text(told: object) -> str | None:
    return told if isinstance(told, str) and told else None


def _number(told: object) -> float | None:
    if isinstance(told, float):
        return told if math.isfinite(told) else None
    return told if type(told) is int and is_integer(told) else None


def _integer(told: object) -> int | None:
    number = _number(told)
    return int(number) if number is not None and number == int(number) and is_integer(int(number)) else None


def _text_of_number(told: object) -> str | None:
    number = _number(told)
    return _text(told) if number is None else str(number)


def _moment(told: object) -> int | None:
    number = _number(told)
    return int(number) if number is not None and 1 <= number <= LAST_TIMESTAMP else None


def _expiration(told: object) -> int | None:
    moment = _moment(told)
    return moment if moment is not None and moment >= EARLIEST_EXPIRATION else None


_LISTED: dict[str, tuple[str | None, str, Callable[[object], Any]]] = {
    "first_measurement": ("data_range", "first_measurement", _moment),
    "last_measurement": ("data_range", "last_measurement", _moment),
    "name": (None, "name", _text),
    "organization_id": (None, "organization_id", _text),
    "organization_name": (None, "organization_name", _text),
    "device_type": (None, "device_type", _integer),
    "model": (None, "model", _text),
    "logging_interval": ("settings", "logging_interval", _integer),
    "upload_frequency": ("settings", "upload_frequency", _integer),
    "firmware_version": ("hardware", "firmware_version", _number),
    "hardware_revision": ("hardware", "hardware_revision", _text_of_number),
    "connectivity_type": ("connectivity", "connectivity_type", _text),
    "subscription_status": ("subscription", "status", _text),
    "subscription_expires_at": ("subscription", "expiration_date", _expiration),
}
"""Where each attribute of a listed device comes from: group, None for none; the service's name; how it is read."""

_GROUPS = {group for group, _, _ in _LISTED.values() if group is not None}


def _take(part: dict[str, Any], name: str, read: Callable[[object], Any]) -> Any:  # noqa: ANN401 - as it is read
    """Return what a field says, and take it out; None where it says nothing, or stays because its form is another."""
    told = part.get(name)
    value = read(told)
    if value is not None or told == "":
        del part[name]
    return value


def _worth_telling(part: dict[str, Any]) -> dict[str, Any]:
    """Return fields without those that say nothing; those that are nested too deeply become JSON texts."""
    return {
        name: msgspec.json.encode(told).decode() if _is_deeper(told, DEEPEST) else told
        for name, told in part.items()
        if told is not None and told != {}
    }


def _is_deeper(told: object, levels: int) -> bool:
    """Return whether lists and objects are nested in more levels than so many."""
    if not isinstance(told, list | dict):
        return False
    inner = told.values() if isinstance(told, dict) else told
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


class ListPage(msgspec.Struct):
    """A page of the list of devices."""

    devices: list[Any]
    pagination: Any = None

    @property
    def total_pages(self) -> int | None:
        """How many pages the list has; None: the service does not say."""
        pages = self.pagination.get("total_pages") if isinstance(self.pagination, dict) else None
        return pages if isinstance(pages, int) else None

    def listed(self) -> list[ListedDevice]:
        """Return the devices; an entry without a serial number is none."""
        return [
            ListedDevice.of(entry)
            for entry in objects(self.devices)
            if isinstance(entry.get("device_id"), str) and entry["device_id"]
        ]


def decode_list(body: bytes | bytearray) -> ListPage:
    """Decode a page of the list of devices.

    Raises:
        NotJSONError: The body is no JSON text.
        UnexpectedBodyError: It is no list of devices.
    """
    return _convert(decode_leniently(body), ListPage)


_Type = TypeVar("_Type")


def _convert(raw: object, kind: type[_Type]) -> _Type:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        if isinstance(raw, dict) and "detail" in raw:
            raise UnexpectedBodyError(f"the response has no data: {one_line(str(raw['detail']))}") from None
        raise UnexpectedBodyError(f"unexpected response format: {error}") from None


def _known(metadata: dict[str, Any], *, name_is_known: bool) -> dict[str, Any]:
    """Return what the metadata tells of a device beside its serial number, and its name unless that is in odd form."""
    named = {"device_id", "device_name"} if name_is_known else {"device_id"}
    return _worth_telling({name: told for name, told in metadata.items() if name not in named})
