"""How an answer is written: the service's JSON, and its flat formats; knows not which records were asked for."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from tap_zentra.emulator.chance import fraction
from tap_zentra.emulator.forms import BARE_NAN, odd_metadata
from tap_zentra.emulator.readings import entries, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.messages import Request
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.query import ReadingsQuery
    from tap_zentra.emulator.readings import Entry

PARAMETERS = (
    "device_sn",
    "start_date",
    "end_date",
    "start_mrid",
    "end_mrid",
    "per_page",
    "page_num",
    "sort_by",
    "output_format",
    "device_depth",
    "location",
    "model_type",
    "port_num",
    "inputs",
)
"""Of all endpoints. Anything else that a client sends, a token perhaps, is neither kept nor repeated."""

ENCODE = msgspec.json.Encoder().encode


def json_body(device: Device, options: Options, query: ReadingsQuery, mrids: Sequence[int], request: Request) -> bytes:
    """Return the answer of `output_format=json`."""
    data: dict[str, list[msgspec.Raw]] = {}
    for entry in entries(device, options, mrids):
        # Entry by entry: while msgspec writes, no other thread can take the time of a call that arrives.
        written = ENCODE({"metadata": _metadata(device, options, query, entry), "readings": entry.readings})
        data.setdefault(entry.series.measurement.name, []).append(msgspec.Raw(written))
    return ENCODE({"pagination": _pagination(device, query, mrids, request), "data": data})


def df_body(device: Device, options: Options, query: ReadingsQuery, mrids: Sequence[int], request: Request) -> bytes:
    """Return the answer of `output_format=df`: flat records instead of entries."""
    flat = list(_flat(device, options, query, mrids))
    return ENCODE({"pagination": _pagination(device, query, mrids, request), "data": flat})


def csv_body(device: Device, options: Options, query: ReadingsQuery, mrids: Sequence[int]) -> bytes:
    """Return the answer of `output_format=csv`: a line for each value under a line of names."""
    text = io.StringIO()
    lines = _flat(device, options, query, mrids)
    first = next(lines, None)
    if first is not None:
        writer = csv.DictWriter(text, first)
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(lines)
    return text.getvalue().encode()


def _flat(device: Device, options: Options, query: ReadingsQuery, mrids: Sequence[int]) -> Iterator[dict[str, object]]:
    for entry in entries(device, options, mrids):
        head = {"measurement": entry.series.measurement.name, **_metadata(device, options, query, entry)}
        for reading in entry.readings:
            fields = msgspec.structs.asdict(reading)
            yield head | {name: None if value is BARE_NAN else value for name, value in fields.items()}


def _metadata(device: Device, options: Options, query: ReadingsQuery, entry: Entry) -> dict[str, object]:
    told = metadata(device, entry.series, entry.units)
    if query.device_depth:
        told["depth"] = entry.series.depth
    if query.location:
        told["location"] = {
            "latitude": round(25 + 25 * fraction(options.seed, device.device_sn, "latitude"), 5),
            "longitude": round(device.tz_offset / 240 + 5 * fraction(options.seed, device.device_sn, "longitude"), 5),
        }
    return odd_metadata(told) if options.odd_fields else told


def _pagination(device: Device, query: ReadingsQuery, mrids: Sequence[int], request: Request) -> dict[str, object]:
    following = {name: request.params[name] for name in PARAMETERS if name in request.params}
    following["page_num"] = str(query.page_num + 1)
    told = {
        "per_page": query.per_page,
        "page_num": query.page_num,
        "next_url": f"{request.base_url}{request.path}?{urlencode(following)}",
        "max_mrid": device.max_mrid,
        "page_num_readings": len(mrids),
        "page_num_outputs": sum(len(device.fittings[device.fitting(mrid)]) for mrid in mrids),
    }
    return told | _page_ends(device, mrids)


def _page_ends(device: Device, mrids: Sequence[int]) -> dict[str, object]:
    """Return the oldest and the newest record of the page, whatever its order."""
    if mrids:
        first, last = min(mrids), max(mrids)
        dates = [str(device.local(device.timestamp(mrid))) for mrid in (first, last)]
        ends: tuple[object, ...] = (*dates, first, last)
    elif device.empty_pages == "missing":
        return {}
    else:
        ends = (None,) * 4
    names = ("page_start_date", "page_end_date", "page_start_mrid", "page_end_mrid")
    return dict(zip(names, ends, strict=True))
