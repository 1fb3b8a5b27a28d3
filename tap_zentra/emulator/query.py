"""What a call asks for: its parameters, checked and typed; knows no device and no record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PER_PAGE = 500
MAX_PER_PAGE = 2000
LAST_MRID = 2**63 - 1

DATE_FORMATS = ("%Y-%m-%d %H:%M", "%m-%d-%Y %H:%M")
"""Both documented by METER."""

YEAR_FIRST = re.compile(r"\d{4}-")
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class BadRequestError(Exception):
    """The call cannot be answered.

    Attributes:
        status: HTTP status.
        detail: The service's words for it.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class ReadingsQuery:
    """The parameters of `get_readings`, but for the device.

    Attributes:
        start: First moment in the device's local time; None: not given.
        end: First moment after, likewise.
        start_mrid: First record; None: not given.
        end_mrid: Last record, inclusive; None: not given.
        per_page: Records on a page.
        page_num: Counted from 1.
        ascending: Order of the readings; the service's default is descending.
        output_format: `json`, `df` or `csv`.
        device_depth: Tell the depth of each sensor.
        location: Tell where the device is.
    """

    start: datetime | None
    end: datetime | None
    start_mrid: int | None
    end_mrid: int | None
    per_page: int
    page_num: int
    ascending: bool
    output_format: str
    device_depth: bool
    location: bool

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> ReadingsQuery:
        """Return the query of a call.

        Raises:
            BadRequestError: A parameter is not what it should be (400).
        """
        return cls(
            start=date(params, "start_date"),
            end=date(params, "end_date"),
            start_mrid=_optional_integer(params, "start_mrid"),
            end_mrid=_optional_integer(params, "end_mrid"),
            per_page=_integer(params, "per_page", DEFAULT_PER_PAGE, MAX_PER_PAGE),
            page_num=_integer(params, "page_num", 1, LAST_MRID),
            ascending=_choice(params, "sort_by", ("descending", "ascending")) == "ascending",
            output_format=_choice(params, "output_format", ("json", "df", "csv")),
            device_depth=_choice(params, "device_depth", ("false", "true")) == "true",
            location=_choice(params, "location", ("false", "true")) == "true",
        )

    @property
    def by_date(self) -> bool:
        """Dates override mrids."""
        return self.start is not None or self.end is not None


class Inputs(msgspec.Struct, forbid_unknown_fields=True):
    """The parameter `inputs` of `get_env_model_data`: metres, degrees and metres."""

    elevation: float
    latitude: float
    wind_measurement_height: float


@dataclass(frozen=True)
class ModelQuery:
    """The parameters of `get_env_model_data`, but for the device.

    Attributes:
        model_type: `ETo` (grass) or `ETr` (alfalfa).
        port: The weather station's.
        inputs: Where it stands.
        start: First moment in the device's local time; None: not given.
        end: First moment after, likewise.
    """

    model_type: str
    port: int
    inputs: Inputs
    start: datetime | None
    end: datetime | None

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> ModelQuery:
        """Return the query of a call.

        Raises:
            BadRequestError: A parameter is missing or not what it should be (400).
        """
        for name in ("model_type", "port_num", "inputs"):
            if not params.get(name):
                raise BadRequestError(400, f"{name} is required.")
        return cls(
            model_type=_choice(params, "model_type", ("ETo", "ETr")),
            port=_integer(params, "port_num", 1, 8),
            inputs=_inputs(params["inputs"]),
            start=date(params, "start_date"),
            end=date(params, "end_date"),
        )


def date(params: Mapping[str, str], name: str) -> datetime | None:
    """Return a date in the device's local time, without a zone; None when it is not given.

    Raises:
        BadRequestError: It is not of one of the `DATE_FORMATS` (400).
    """
    text = params.get(name)
    if not text:
        return None
    form = DATE_FORMATS[0] if YEAR_FIRST.match(text) else DATE_FORMATS[1]
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the device's local time, known only later
    except ValueError:
        raise BadRequestError(400, f"{name} must be YYYY-MM-DD HH:MM or MM-DD-YYYY HH:MM.") from None


def _inputs(text: str) -> Inputs:
    try:
        return msgspec.json.decode(text, type=Inputs)
    except msgspec.DecodeError as problem:
        raise BadRequestError(400, f"inputs is invalid: {problem}.") from None


def _choice(params: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """Return one of the choices, in any case; the first one is the default."""
    given = params.get(name) or choices[0]
    for choice in choices:
        if given.lower() == choice.lower():
            return choice
    raise BadRequestError(400, f"{name} must be one of: {', '.join(choices)}.")


def _integer(params: Mapping[str, str], name: str, default: int, greatest: int) -> int:
    value = _optional_integer(params, name)
    if value is None:
        return default
    if not 1 <= value <= greatest:
        raise BadRequestError(400, f"{name} must be from 1 to {greatest}.")
    return value


def _optional_integer(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if not text:
        return None
    if not INTEGER.fullmatch(text):
        raise BadRequestError(400, f"{name} must be a whole number.")
    return int(text)
