"""What is dirty in the body of a response, whichever API sent it; knows neither the network nor the SDK.

The bare word `NaN`, characters that no target can store, and optional fields that nobody knows yet or that come in
another form are settled here. What keys, values and paging need is checked strictly, by the types of each API.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import UNSET

from tap_zentra.calls.errors import DeviceFailedError, TransientError, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable

LAST_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999, the end of what a date can say."""

BIGGEST_INTEGER = 2**63 - 1
"""The largest integer that warehouses store in a column of integers."""

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=BIGGEST_INTEGER)]
Port = Annotated[int, msgspec.Meta(ge=-1, le=BIGGEST_INTEGER)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=BIGGEST_INTEGER)]
Timestamp = Annotated[int, msgspec.Meta(ge=0, le=LAST_TIMESTAMP)]

EXTRA = "tap-zentra: extra"
"""The name under which odd fields travel inside a body; the service will hardly have a field of this name."""

NO_PORT = -1
"""What stands for the port where the service names none."""


class NotJSONError(TransientError):
    """The body is no JSON text: cut off on its way, or a page for people. The same call may succeed later."""


class UnexpectedBodyError(DeviceFailedError):
    """The body is JSON, but not what the service sends; the message names the field."""


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""A character that PostgreSQL stores in no text. With one more backslash in front it is another text."""

_HALF = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
"""What may be half of a letter, as such or as an escape."""


def may_have_nul(body: bytes | bytearray) -> bool:
    """Return whether a text of a body may hold a NUL."""
    return b"\\" in body and b"\\u0000" in body  # mostly the first answers, in a tenth of the time


def decode_leniently(body: bytes | bytearray | memoryview) -> object:
    """Return what a body says, with U+FFFD for NULs and halves of letters, and null for numbers that are none.

    Raises:
        NotJSONError: It is no JSON text.
        UnexpectedBodyError: It is nested too deeply.
    """
    whole = bytes(body)
    try:
        return _storable(whole.decode(json.detect_encoding(whole), "surrogatepass"))
    except RecursionError:
        raise UnexpectedBodyError("the response is nested too deeply") from None
    except ValueError:
        raise NotJSONError(f"the response is not JSON: {excerpt(whole)}") from None


def _storable(text: str) -> object:
    """Return what a JSON text says, with what targets can't store replaced.

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


Fields = Mapping[str, Callable[[object], bool]]
"""The fields that an object may have, and for each whether a value has the form that we know."""


def is_text(value: object) -> bool:
    """Return whether a field is a text, or null."""
    return value is None or isinstance(value, str)


def is_integer(value: object, least: int = -(2**63)) -> bool:
    """Return whether a field is an integer that warehouses store, or null."""
    return value is None or (type(value) is int and least <= value <= BIGGEST_INTEGER)


def is_natural(value: object) -> bool:
    """Return whether a field is an integer from 0 on, or null."""
    return is_integer(value, least=0)


def is_flag(value: object) -> bool:
    """Return whether a field is true, false or null."""
    return value is None or isinstance(value, bool)


def is_anything(_value: object) -> bool:
    """Let a field pass whose form is checked strictly later."""
    return True


def objects(listed: object) -> list[dict[str, Any]]:
    """Return the objects of a list, whatever else it holds, and whatever it is."""
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def set_odd_fields_aside(part: dict[str, Any], fields: Fields) -> None:
    """Move fields that we do not know, or not in this form, to where the record's column `extra` takes them from."""
    odd = [name for name, value in part.items() if name not in fields or not fields[name](value)]
    if odd:
        part[EXTRA] = {name: part.pop(name) for name in sorted(odd)}
    value = part.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        part["value"] = None  # a number too large for a float


def make_whole(part: dict[str, Any], names: Iterable[str]) -> None:
    """Make keys that came as floats the whole numbers that they are: 3.0 is 3, and "3" is no number."""
    for name in names:
        number = part.get(name)
        if isinstance(number, float) and number.is_integer():
            part[name] = int(number)


MOST_UNKNOWN_FIELDS = 20
"""Fields that nobody knows, of an object, for which it stays worthwhile to make a type."""

UNKNOWN_FIELD = r"""Object contains unknown field `([^"\\\x00-\x1f]+?)` - at `"""
"""msgspec's words, for a name that its types can have. Should they change, such bodies are only decoded more slowly."""

Unknown = Sequence[tuple[str, str]]
"""Fields that nobody knows, in the order of their names: attribute, name."""


class HasUnknown(Protocol):
    """An object of a body that may have fields that we do not know."""

    unknown: ClassVar[Unknown]

    @property
    def extra(self) -> dict[str, Any] | None:
        """What `set_odd_fields_aside` has put there."""


def with_unknown_fields(kind: type[msgspec.Struct], names: Iterable[str]) -> type[msgspec.Struct]:
    """Return a type of the same objects with fields of these names too, whatever they hold.

    Args:
        kind: The type, with a class attribute `unknown`.
        names: Of fields of which it has none.
    """
    fields = [(f"unknown_{number}", name) for number, name in enumerate(sorted(names))]
    if not fields:
        return kind
    return msgspec.defstruct(
        f"{kind.__name__}WithUnknownFields",
        [(attribute, Any, msgspec.field(default=UNSET, name=name)) for attribute, name in fields],
        bases=(kind,),
        namespace={"unknown": fields},
        kw_only=True,
    )


def beside_columns(part: HasUnknown) -> dict[str, Any] | None:
    """Return the fields of an object that no column knows, or not in this form; None: it has none."""
    extra = {}
    for attribute, name in part.unknown:
        value = getattr(part, attribute)
        if value is not UNSET:
            extra[name] = value
    return extra | part.extra if part.extra else extra or None


_ESCAPE = re.compile(r"\\u(?!0000|[dD][89a-fA-F])([0-9a-fA-F]{4})")


def clean_units(units: str | None) -> str | None:
    r"""Return units without blanks and escapes: `" m\\u00b3/m\\u00b3"` -> `"m³/m³"`, `""` -> None."""
    if not units:
        return None
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), units).strip() or None


def comparable(value: float | None) -> float | str | None:
    """Return a value in the form in which 17 is 17.0, and 0 is -0.0: what digests go by."""
    try:
        return None if value is None else value + 0.0
    except OverflowError:
        return str(value)
