"""A corpus of damaged and hostile answers of v5, each made from the right one, and what the tap has to make of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.reliability.bodies import NOT_JSON, NOT_SENT, Bad, changed, for_all, replaced, whole, without

if TYPE_CHECKING:
    from tests.reliability.bodies import Body

MONTH = 31 * 86_400


def pagination(body: Body) -> dict[str, Any]:
    """Return a body's pagination."""
    part: dict[str, Any] = body["pagination"]
    return part


def metadata(body: Body) -> dict[str, Any]:
    """Return a body's metadata."""
    part: dict[str, Any] = body["metadata"]
    return part


def rows(body: Body) -> list[dict[str, Any]]:
    """Return a body's rows."""
    part: list[dict[str, Any]] = body["values"]
    return part


def row(body: Body) -> dict[str, Any]:
    """Return a body's first row."""
    return rows(body)[0]


def nested(depth: int) -> Any:
    """Return what puts lists in lists into a field that nobody knows."""
    return replaced(b'"error_code"', b'"note": ' + b"[" * depth + b"]" * depth + b', "error_code"')


def _shift(body: Body, seconds: int) -> Body:
    for one in rows(body):
        one["timestamp"] += seconds
    return body


def _reversed(body: Body) -> Body:
    rows(body).reverse()
    return body


def _shuffled(body: Body) -> Body:
    body["values"] = rows(body)[1::2] + rows(body)[::2]
    return body


def _with_more(body: Body, seconds: int) -> Body:
    """Add a copy of the first row at a moment that was not asked for."""
    rows(body).append({**row(body), "timestamp": row(body)["timestamp"] + seconds, "value": 0.0})
    return body


BODIES: dict[str, Bad] = {
    # Parts that are missing, or are something else
    "pagination is a list": Bad(changed(whole, pagination=[]), "`$.pagination`"),
    "pagination is text": Bad(changed(whole, pagination="more"), "`$.pagination`"),
    "the token is a number": Bad(changed(pagination, next_token=7), "next_token`"),
    "the token is an object": Bad(changed(pagination, next_token={"a": 1}), "next_token`"),
    "no values": Bad(without(whole, "values"), "missing required field `values`"),
    "values are null": Bad(changed(whole, values=None), "`$.values`"),
    "values are an object": Bad(lambda b: b | {"values": row(b)}, "`$.values`"),
    "values are text": Bad(changed(whole, values="[]"), "`$.values`"),
    "a row is null": Bad(lambda b: b | {"values": [None]}, "[0]`"),
    "a row is a list": Bad(lambda b: b | {"values": [[1, 2]]}, "[0]`"),
    "a row in the middle is text": Bad(lambda b: b | {"values": [*rows(b)[:5], "x", *rows(b)[5:]]}, "[5]`"),
    "no metadata": Bad(without(whole, "metadata"), "missing required field `metadata`"),
    "metadata is text": Bad(changed(whole, metadata="z6"), "metadata`"),
    "an error with status 200": Bad(lambda _: {"detail": "Internal hiccup."}, "Internal hiccup."),
    "a list instead of an answer": Bad(lambda b: [b], NOT_SENT),
    "a number instead of an answer": Bad(lambda _: 7, NOT_SENT),
    "null instead of an answer": Bad(lambda _: None, NOT_SENT),
    "an answer of v4": Bad(lambda _: {"pagination": {"max_mrid": 3}, "data": {}}, "missing required field `metadata`"),
    # Fields of another type or out of range
    "no device_id": Bad(without(metadata, "device_id"), "`device_id`"),
    "device_id is a number": Bad(changed(metadata, device_id=612345), "device_id`"),
    "another device's serial number": Bad(changed(metadata, device_id="z6-99999"), "metadata.device_id is 'z6-99999'"),
    "a serial number without end": Bad(changed(metadata, device_id=100_000 * "x"), "is 'xxx"),
    "the port is text": Bad(changed(row, port_num="1"), "port_num`"),
    "the port is a fraction": Bad(changed(row, port_num=1.5), "port_num`"),
    "the port is true": Bad(changed(row, port_num=True), "port_num`"),
    "the port is beyond all integers": Bad(changed(row, port_num=2**63), "port_num`"),
    "the port is below -1": Bad(changed(row, port_num=-2), "port_num`"),
    "no measurement": Bad(without(row, "measurement"), "`measurement`"),
    "the measurement is null": Bad(changed(row, measurement=None), "measurement`"),
    "the measurement is a number": Bad(changed(row, measurement=7), "measurement`"),
    "no timestamp": Bad(without(row, "timestamp"), "`timestamp`"),
    "the timestamp is text": Bad(changed(row, timestamp="2026-02-01"), "timestamp`"),
    "all timestamps are text": Bad(
        for_all(rows, lambda one: one.update(timestamp=str(one["timestamp"]))), "timestamp`"
    ),
    "the timestamp is in milliseconds": Bad(changed(row, timestamp=1_767_225_600_000), "timestamp`"),
    "the timestamp is before 1970": Bad(changed(row, timestamp=-1), "timestamp`"),
    "the timestamp is null": Bad(changed(row, timestamp=None), "timestamp`"),
    "the timestamp is NaN": Bad(changed(row, timestamp=float("nan")), "timestamp`"),
    "the timestamp is beyond all numbers": Bad(replaced(b'"timestamp": 17', b'"timestamp": 1e999'), "timestamp`"),
    "no value": Bad(without(row, "value"), "`value`"),
    "the value is text": Bad(changed(row, value="17.4"), "value`"),
    "the value is true": Bad(changed(row, value=True), "value`"),
    "the value is an object": Bad(changed(row, value={"v": 1}), "value`"),
    # Answers that contradict the question
    "the newest first, and more to come": Bad(_reversed, "the service ignores direction"),
    "the month before": Bad(lambda b: _shift(b, -MONTH), "a page goes back in time"),
    "a row before the range": Bad(lambda b: _with_more(b, -400 * MONTH), "a page goes back in time"),
    # Not JSON at all: asked for again, then given up
    "an empty body": Bad(lambda _: b"", NOT_JSON),
    "half a body": Bad(lambda b: json.dumps(b).encode()[:999], NOT_JSON),
    "a page for people": Bad(lambda _: b"<html><h1>Sign in</h1></html>", "Sign in"),
    "bytes that are no text": Bad(lambda _: bytes(range(256)), NOT_JSON),
    "one byte that is no text": Bad(replaced(b'"device_name": "', b'"device_name": "\xff'), NOT_JSON),
    "CSV": Bad(lambda _: b"timestamp,value\n1,2\n", NOT_JSON),
    "two answers": Bad(lambda b: 2 * json.dumps(b).encode(), NOT_JSON),
    "rows without a comma": Bad(replaced(b"}, {", b"} {"), NOT_JSON),
    "an integer of 5000 digits": Bad(
        replaced(b'"error_code": ', b'"note": ' + 5000 * b"9" + b', "error_code": '), NOT_JSON
    ),
    # Nesting and size
    "lists in lists, 100,000 deep": Bad(nested(100_000), "nested too deeply"),
    "nothing but brackets": Bad(lambda _: b"[" * 100_000, "nested too deeply"),
    # Statuses
    "204": Bad(lambda _: b"", "204", status=204),
    "418": Bad(lambda _: b"short and stout", "418", status=418),
    "a redirect to another host": Bad(
        lambda _: b"",
        "to https://evil.example/; redirects are not followed",
        status=302,
        headers=(("Location", "https://evil.example/"),),
    ),
    # Unusual and right
    "rows in any order": Bad(_shuffled),
    "a row behind the range": Bad(lambda b: _with_more(b, 100 * MONTH)),
    "the serial number in capitals": Bad(lambda b: changed(metadata, device_id=b["metadata"]["device_id"].upper())(b)),
    "other unknown parts": Bad(changed(whole, version=5)),
    "unknown parts of pagination": Bad(changed(pagination, cursor="x", num_readings="many")),
    "other order of fields": Bad(for_all(rows, lambda one: one.update(port_num=one.pop("port_num")))),
    "ports as floats": Bad(for_all(rows, lambda one: one.update(port_num=one["port_num"] and float(one["port_num"])))),
    "blanks and line ends": Bad(lambda b: json.dumps(b, indent=4).encode()),
    "UTF-16": Bad(lambda b: json.dumps(b).encode("utf-16")),
    "a mark at the beginning": Bad(lambda b: b"\xef\xbb\xbf" + json.dumps(b).encode()),
    "escaped solidus": Bad(lambda b: json.dumps(b).replace("/", "\\/").encode()),
}

DIRTY: dict[str, tuple[Any, dict[str, Any]]] = {
    "NaN": (changed(row, value=float("nan")), {"value": None}),
    "infinity": (changed(row, value=float("-inf")), {"value": None}),
    "a number beyond all numbers": (replaced(b'"value": ', b'"value": 1e999, "old": '), {"value": None}),
    "a NUL": (changed(row, sensor_name="TEROS\x0012"), {"sensor_name": "TEROS\ufffd12"}),
    "half of a letter": (changed(row, unit="\ud800C"), {"units": "\ufffdC"}),
    "the other half": (changed(row, measurement="Te\udfffmp"), {"measurement": "Te\ufffdmp"}),
    "units that are a number": (changed(row, unit=7), {"units": None, "extra": {"unit": 7}}),
    "an error code as text": (changed(row, error_code="134"), {"error_code": None, "extra": {"error_code": "134"}}),
    "an unknown error code": (changed(row, error_code=999), {"error_code": 999, "error_flag": True}),
    "a datetime that is a list": (changed(row, datetime=[1]), {"local_datetime": None, "extra": {"datetime": [1]}}),
    "a position that is text": (changed(row, position="deep"), {"sub_sensor_index": 0, "extra": {"position": "deep"}}),
    "an unknown field": (changed(row, quality={"a": [None]}), {"extra": {"quality": {"a": [None]}}}),
}
"""Bodies whose first row is dirty: what makes it so, and the columns that its record then has."""
