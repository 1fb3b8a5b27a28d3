"""How v5 writes its answers; knows not which records were asked for."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from tap_zentra.emulator.messages import Response
from tap_zentra.emulator.v5.device_list import device_entry, organization, site
from tap_zentra.emulator.v5.forms import sent_name
from tap_zentra.emulator.v5.readings import as_sent, records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.messages import Request
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.v5.options import ErrorForm, RefusalWords
    from tap_zentra.emulator.v5.pages import Page
    from tap_zentra.emulator.v5.query import ListQuery, UnprocessableError

ENCODE = msgspec.json.Encoder().encode

TOGETHER = 50
"""Records whose values are written at once: while msgspec writes, no other thread can note when a call arrives."""


def data_body(device: Device, options: Options, page: Page, request: Request) -> bytes:
    """Return a page of a device's readings: a month of many sensors has some 60 MB; or as much as a page may hold."""
    told = records(device, options, page.cursor.units, page.mrids)
    skipped = page.cursor.skipped
    values = chain.from_iterable(as_sent(device, options, record) for record in told)
    sent_ones = islice(values, skipped, skipped + options.page_rows if options.page_rows else None)
    rows = 0
    pieces = []
    while some := list(islice(sent_ones, TOGETHER * len(device.series) or TOGETHER)):
        rows += len(some)
        pieces.append(ENCODE(some)[1:-1])
    if next(values, None) is not None:
        page = page._replace(following=page.cursor.beyond(rows))
    pagination = _pagination(options, page, request) | {"num_readings": rows}
    head = ENCODE({"metadata": _metadata(device, options)})[:-1]
    return b"".join(
        (head, b',"values":[', b",".join(filter(None, pieces)), b'],"pagination":', ENCODE(pagination), b"}")
    )


def list_body(devices: Iterable[Device], options: Options, query: ListQuery, now: float) -> bytes:
    """Return a page of the list of devices; `now` in seconds since 1970-01-01."""
    wanted = [
        device
        for device in devices
        if device.listed
        and not device.of_another_user
        and query.organization_id in {None, organization(device, options.seed)[0]}
    ]
    limit = min(query.limit or options.list_limit, options.list_limit)
    page = wanted[(query.page_num - 1) * limit : query.page_num * limit]
    told: dict[str, object] = {"devices": [device_entry(device, options, query.expand, now) for device in page]}
    if options.list_pagination == "present":
        told["pagination"] = {"total_pages": math.ceil(len(wanted) / limit)}
    return ENCODE(told)


def refused(seconds: float, words: RefusalWords, time: float, burst: int) -> Response:
    """Return a call's refusal (429): the next one is allowed after so many seconds from now on.

    The Unix time is whole and rounded up, and there is no `Retry-After` (METER's documentation).
    """
    allowed = math.ceil(time + seconds)
    forms: dict[RefusalWords, object] = {
        "epoch": f"Rate limit. Next allowed call at {allowed}.",
        "number-first": f"Exceeded the burst of {burst} calls. Next allowed call at {allowed}.",
        "number": allowed,
        "object": {"message": "Rate limit.", "next_allowed_call": allowed},
        "none": "Rate limit.",
    }
    return _error(429, {"detail": forms[words]})


def unprocessable(problem: UnprocessableError, *, as_text: bool) -> Response:
    """Return what is said of a wrong parameter (422)."""
    if as_text:
        return _error(422, {"detail": str(problem)})
    entry = {"loc": ["query", problem.parameter], "msg": problem.message, "type": "value_error"}
    return _error(422, {"detail": [entry]})


def failed(status: int, words: str, form: ErrorForm) -> Response:
    """Return another error, in a form that the options choose."""
    if form == "html":
        return Response(status, f"<html><body><h1>{words}</h1></body></html>\n".encode(), "text/html")
    return _error(status, {form: words})


def _error(status: int, told: Mapping[str, object]) -> Response:
    return Response(status, ENCODE(told))


def _metadata(device: Device, options: Options) -> dict[str, object]:
    where = site(device, options.seed)
    return {
        "device_id": device.device_sn,
        "device_name": sent_name(device.name, options.odd_fields),
        "location": where.location,
        "coordinates": where.coordinates,
    }


def _pagination(options: Options, page: Page, request: Request) -> dict[str, object]:
    token = None if page.following is None else page.following.token
    begin, end = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in page.cursor.bounds)
    told: dict[str, object] = {"next_token": token, "start_datetime": begin, "end_datetime": end}
    if options.next_url:
        url = f"{request.base_url}{request.path}?{urlencode({'next_token': token})}"
        told["next_url"] = None if token is None else url
    return told
