"""What a call of v5 asks for: its parameters, checked and typed; knows no device and no record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_zentra.emulator.v5.options import TwoTimeForms

Units = Literal["metric", "imperial"]

GROUPS = ("max_min_timestamp", "settings", "hardware", "connectivity", "subscription")
"""What `expand` may ask for."""

TIME_FORMS = (("start_datetime", "end_datetime"), ("start_timestamp", "end_timestamp"), ("window",))
PARAMETERS = (
    *(name for form in TIME_FORMS for name in form),
    *("direction", "units", "next_token", "organization_id", "expand", "page_num", "limit"),
)
"""Of all endpoints. Anything else that a client sends, a key perhaps, is not kept."""

WINDOW = re.compile(r"(?P<count>[1-9][0-9]{0,6})(?P<unit>[mhdw])")
WINDOWS = {"m": (60, 525_600), "h": (3600, 8760), "d": (86_400, 365), "w": (604_800, 52)}
"""Seconds of each unit, and how many of them a window may have (METER's client)."""

DATETIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?")
INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
LAST_MOMENT = 253_402_300_799
"""Of the calendar, in seconds since 1970-01-01."""


class UnprocessableError(Exception):
    """A parameter is not what it should be (422).

    Attributes:
        parameter: Its name.
        message: What it should be.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        self.parameter = parameter
        self.message = message


@dataclass(frozen=True)
class DataQuery:
    """The parameters of a device's readings.

    Attributes:
        start: First moment in seconds since 1970-01-01 UTC; None: the first reading.
        end: Last moment, likewise; None: now.
        ascending: Order of the readings; None: not said.
        units: None: not said.
        next_token: Where to go on; None: at the start of the range.
    """

    start: float | None
    end: float | None
    ascending: bool | None
    units: Units | None
    next_token: str | None

    @classmethod
    def parse(cls, params: Mapping[str, str], now: float, two_time_forms: TwoTimeForms) -> DataQuery:
        """Return the query of a call. Beside a `next_token` parameters of time are not looked at.

        Raises:
            UnprocessableError: A parameter is not what it should be.
        """
        token = params.get("next_token") or None
        start, end = (None, None) if token else _range(params, now, two_time_forms)
        direction = _choice(params, "direction", ("ascending", "descending"))
        units = _choice(params, "units", ("metric", "imperial"))
        return cls(
            start,
            end,
            ascending=None if direction is None else direction == "ascending",
            units=None if units is None else "imperial" if units == "imperial" else "metric",
            next_token=token,
        )


@dataclass(frozen=True)
class ListQuery:
    """The parameters of the device list.

    Attributes:
        organization_id: Only devices of this organisation; None: of all.
        expand: Which of `GROUPS` are told.
        page_num: Counted from 1.
        limit: Devices on a page; None: as many as the service has on one.
    """

    organization_id: str | None
    expand: frozenset[str]
    page_num: int
    limit: int | None

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> ListQuery:
        """Return the query of a call.

        Raises:
            UnprocessableError: A parameter is not what it should be.
        """
        expand = frozenset(filter(None, (name.strip() for name in params.get("expand", "").split(","))))
        if not expand <= set(GROUPS):
            raise UnprocessableError("expand", f"Input should be among: {', '.join(GROUPS)}")
        page_num, limit = (_positive(params, name) for name in ("page_num", "limit"))
        return cls(params.get("organization_id") or None, expand, page_num or 1, limit)


def _range(params: Mapping[str, str], now: float, two_time_forms: TwoTimeForms) -> tuple[float | None, float | None]:
    """Return the start and the end of the range that is asked for."""
    given = [form for form in TIME_FORMS if any(params.get(name) for name in form)]
    if len(given) > 1 and two_time_forms == "refused":
        raise UnprocessableError(next(filter(params.get, given[1])), "Only one form of a time range can be given")
    if not given:
        return None, None
    form = given[0][0]
    if form == "window":
        return now - _window(params["window"]), now
    start, end = _datetimes(params) if form == "start_datetime" else _timestamps(params)
    if start is not None and end is not None and start > end:
        raise UnprocessableError(form, "The start should not be after the end")
    return start, end


def _window(text: str) -> int:
    match = WINDOW.fullmatch(text)
    if match is None:
        raise UnprocessableError("window", "Input should be a number and one of m, h, d, w, such as 24h")
    seconds, greatest = WINDOWS[match["unit"]]
    if int(match["count"]) > greatest:
        raise UnprocessableError("window", f"Input should be at most {greatest}{match['unit']}")
    return int(match["count"]) * seconds


def _datetimes(params: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return both ends; a text without a zone is UTC, and both must name a zone in the same way (seen in 422s)."""
    texts = {name: params[name] for name in ("start_datetime", "end_datetime") if params.get(name)}
    ends = {name: _datetime(name, text) for name, text in texts.items()}
    if len({zone for _, zone in ends.values()}) > 1:
        raise UnprocessableError("end_datetime", "start_datetime and end_datetime should have the same time zone form")
    start, end = (ends.get(name, (None, ""))[0] for name in ("start_datetime", "end_datetime"))
    return start, end


def _datetime(name: str, text: str) -> tuple[float, str]:
    """Return a moment and in which form its zone is given: none, `Z` or an offset."""
    match = DATETIME.fullmatch(text)
    try:
        moment = datetime.fromisoformat(text) if match else None
    except ValueError:
        moment = None
    if match is None or moment is None:
        raise UnprocessableError(name, "Input should be a valid datetime")
    zone = match["zone"] or ""
    return (moment if zone else moment.replace(tzinfo=UTC)).timestamp(), zone if zone in {"", "Z"} else "offset"


def _timestamps(params: Mapping[str, str]) -> tuple[float | None, float | None]:
    start, end = (_integer(params, name) for name in ("start_timestamp", "end_timestamp"))
    for name, moment in (("start_timestamp", start), ("end_timestamp", end)):
        if moment is not None and not 0 <= moment <= LAST_MOMENT:
            raise UnprocessableError(name, "Input should be a valid timestamp")
    return start, end


def _choice(params: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    given = params.get(name)
    if given is None or given in choices:
        return given
    raise UnprocessableError(name, f"Input should be {' or '.join(map(repr, choices))}")


def _positive(params: Mapping[str, str], name: str) -> int | None:
    number = _integer(params, name)
    if number is not None and number < 1:
        raise UnprocessableError(name, "Input should be greater than or equal to 1")
    return number


def _integer(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    if not INTEGER.fullmatch(text):
        raise UnprocessableError(name, "Input should be a valid integer")
    return int(text)
