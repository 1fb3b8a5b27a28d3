"""Options of API v5: one for each thing that nobody outside METER knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import click

from tap_zentra.emulator.declarations import COUNT, choice, flag, option
from tap_zentra.emulator.v5.limits import DEVICE_BURST

EmptyMonths = Literal["page", "skipped"]
LoggerPort = Literal["minus-one", "null"]
Timestamps = Literal["int", "float"]
UnitSpelling = Literal["plain", "superscript"]
End = Literal["inclusive", "exclusive"]
Budget = Literal["device", "key", "all"]
RefusalWords = Literal["epoch", "number-first", "number", "object", "none"]
ValidationWords = Literal["list", "text"]
ErrorForm = Literal["detail", "message", "html"]
TwoTimeForms = Literal["refused", "first"]
ExpiredToken = Literal["422", "400", "404"]
ListPagination = Literal["present", "missing"]


@dataclass(eq=False, kw_only=True)
class V5Options:
    """How v5 behaves, beside what the versions have in common."""

    device_burst: int = field(
        default=DEVICE_BURST,
        metadata=option(
            "v5: calls in quick succession that a device, or the device list, allows after a while without calls.",
            type=COUNT,
        ),
    )
    budget: Budget = field(
        default="device",
        metadata=choice(
            "v5: what has its own call limit: each device, whoever calls; each key; or all callers together.",
            ["device", "key", "all"],
        ),
    )
    refusal_words: RefusalWords = field(
        default="epoch",
        metadata=choice(
            "v5: how a rejected call (429) says when to call again: a text with the Unix time, a text with another "
            "number before it, the bare number, an object, or not at all.",
            ["epoch", "number-first", "number", "object", "none"],
        ),
    )
    empty_months: EmptyMonths = field(
        default="page",
        metadata=choice(
            "v5: whether a month without readings is a page of its own, or is skipped.", ["page", "skipped"]
        ),
    )
    page_rows: int = field(
        default=0,
        metadata=option(
            "v5: maximum number of values on a page; a page may then end in mid-month, and in mid-moment. 0: no limit.",
            type=click.IntRange(0, 1_000_000),
            metavar="NUMBER",
        ),
    )
    next_url: bool = field(default=False, metadata=flag("v5: add next_url to the pagination."))
    end: End = field(
        default="inclusive",
        metadata=choice(
            "v5: whether the end of the requested range is included.",
            ["inclusive", "exclusive"],
        ),
    )
    logger_port: LoggerPort = field(
        default="null",
        metadata=choice("v5: port_num of what the device itself measures: -1 or null.", ["minus-one", "null"]),
    )
    timestamps: Timestamps = field(default="int", metadata=choice("v5: format of the timestamps.", ["int", "float"]))
    unit_spelling: UnitSpelling = field(
        default="superscript",
        metadata=choice("v5: spelling of units: m3/m3 or m³/m³.", ["plain", "superscript"]),
    )
    positions: bool = field(
        default=False,
        metadata=flag("v5: give values a position: 1, 2, ... down a profile probe, null elsewhere."),
    )
    reading_ids: bool = field(default=False, metadata=flag("v5: give values a reading_id."))
    validation_words: ValidationWords = field(
        default="list",
        metadata=choice("v5: format of `detail` for an invalid parameter (422).", ["list", "text"]),
    )
    error_form: ErrorForm = field(
        default="detail",
        metadata=choice(
            "v5: where a 401, 403 or 404 gives the reason: in this JSON field, or in HTML.",
            ["detail", "message", "html"],
        ),
    )
    two_time_forms: TwoTimeForms = field(
        default="refused",
        metadata=choice(
            "v5: whether a call with two of datetimes, timestamps and a window is rejected (422), or the first counts.",
            ["refused", "first"],
        ),
    )
    token_lifetime: int = field(
        default=0,
        metadata=option(
            "v5: number of pages that can be read by next_token before it is rejected. 0: no limit.",
            type=click.IntRange(0, 1_000_000),
            metavar="PAGES",
        ),
    )
    expired_token: ExpiredToken = field(
        default="422",
        metadata=choice("v5: status of a rejected next_token.", ["422", "400", "404"]),
    )
    null_groups: bool = field(
        default=False,
        metadata=flag("v5: make every third requested group of the device list null, a different one for each device."),
    )
    list_limit: int = field(
        default=1000, metadata=option("v5: maximum number of devices on a page of the device list.", type=COUNT)
    )
    list_pagination: ListPagination = field(
        default="present",
        metadata=choice("v5: whether the device list has a pagination.", ["present", "missing"]),
    )
