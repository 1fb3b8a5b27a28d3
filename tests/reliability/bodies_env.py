"""A corpus of damaged and hostile answers of `get_env_model_data`, each made from the right one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.reliability.bodies import NOT_JSON, NOT_SENT, Bad, changed, for_all, replaced, whole, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reliability.bodies import Body

DAY = 86_400
FAR = 40 * 365 * DAY


def data(body: Body) -> dict[str, Any]:
    """Return a body's data."""
    part: dict[str, Any] = body["data"]
    return part


def metadata(body: Body) -> dict[str, Any]:
    """Return a body's metadata."""
    part: dict[str, Any] = body["data"]["metadata"]
    return part


def days(body: Body) -> list[dict[str, Any]]:
    """Return a body's days."""
    part: list[dict[str, Any]] = body["data"]["readings"]
    return part


def day(body: Body) -> dict[str, Any]:
    """Return a body's first day."""
    return days(body)[0]


def _ordered(key: Callable[[dict[str, Any]], Any]) -> Callable[[Body], Body]:
    def spoil(body: Body) -> Body:
        days(body).sort(key=key)
        return body

    return spoil


def _twice(body: Body) -> Body:
    days(body)[:] = [one for one in days(body) for _ in (0, 1)]
    return body


def _first_without_values(body: Body) -> Body:
    days(body)[:0] = [one | {"value": None} for one in days(body)]
    return body


def _more_in_the_future(body: Body) -> Body:
    days(body).append(days(body)[-1] | {"timestamp_utc": days(body)[-1]["timestamp_utc"] + FAR})
    return body


def _capitals(body: Body) -> Body:
    metadata(body).update(data_source=metadata(body)["data_source"].upper(), model_type="ETO")
    return body


BODIES: dict[str, Bad] = {
    # Parts that are missing, or are something else
    "no data": Bad(without(whole, "data"), "missing required field `data`"),
    "data is null": Bad(changed(whole, data=None), "`$.data`"),
    "data is a list": Bad(changed(whole, data=[]), "`$.data`"),
    "data is a list of one": Bad(lambda b: {"data": [b["data"]]}, "`$.data`"),
    "an error with status 200": Bad(lambda _: {"detail": "Model failed."}, "Model failed."),
    "no readings": Bad(without(data, "readings"), "missing required field `readings`"),
    "readings is null": Bad(changed(data, readings=None), "readings`"),
    "readings is an object": Bad(changed(data, readings={}), "readings`"),
    "a day is null": Bad(changed(data, readings=[None]), "readings[0]`"),
    "a day is a number": Bad(changed(data, readings=[0.1]), "readings[0]`"),
    "metadata is text": Bad(changed(data, metadata="ETo"), "metadata`"),
    "a list instead of an answer": Bad(lambda b: [b], NOT_SENT),
    "a number instead of an answer": Bad(lambda _: 7, NOT_SENT),
    "null instead of an answer": Bad(lambda _: None, NOT_SENT),
    "another text instead of an answer": Bad(lambda _: "Please come again.", NOT_SENT),
    # Fields that count
    "no timestamp": Bad(without(day, "timestamp_utc"), "`timestamp_utc`"),
    "the timestamp is text": Bad(changed(day, timestamp_utc="2026-01-01"), "timestamp_utc`"),
    "the timestamp is null": Bad(changed(day, timestamp_utc=None), "timestamp_utc`"),
    "the timestamp is true": Bad(changed(day, timestamp_utc=True), "timestamp_utc`"),
    "the timestamp is NaN": Bad(changed(day, timestamp_utc=float("nan")), "timestamp_utc`"),
    "the timestamp is a fraction": Bad(changed(day, timestamp_utc=1_767_225_600.5), "timestamp_utc`"),
    "the timestamp is in milliseconds": Bad(changed(day, timestamp_utc=1_767_225_600_000), "timestamp_utc`"),
    "the timestamp is before 1970": Bad(changed(day, timestamp_utc=-1), "timestamp_utc`"),
    "no value": Bad(without(day, "value"), "`value`"),
    "the value is text": Bad(changed(day, value="0.17"), "value`"),
    "the value is true": Bad(changed(day, value=True), "value`"),
    "the value is a list": Bad(changed(day, value=[0.1]), "value`"),
    # Answers that contradict the question
    "another device": Bad(changed(metadata, data_source="z6-99999"), "metadata.data_source is 'z6-99999'"),
    "a device without end": Bad(changed(metadata, data_source=100_000 * "x"), "is 'xxx"),
    "another model": Bad(changed(metadata, model_type="ETr"), "metadata.model_type is 'ETr'"),
    # Not JSON at all: asked for again, then given up
    "an empty body": Bad(lambda _: b"", NOT_JSON),
    "half a body": Bad(lambda b: json.dumps(b).encode()[:200], NOT_JSON),
    "a page for people": Bad(lambda _: b"<html><h1>Sign in</h1></html>", "Sign in"),
    "bytes that are no text": Bad(lambda _: bytes(range(256)), NOT_JSON),
    "the words of no days, and more": Bad(lambda _: b"No records for this timerange: the model is down", NOT_JSON),
    "lists in lists, 100,000 deep": Bad(
        replaced(b'"value"', b'"note": ' + b"[" * 100_000 + b"]" * 100_000 + b', "value"'), "nested too deeply"
    ),
    # Statuses
    "204": Bad(lambda _: b"", "204", status=204),
    "404": Bad(lambda _: b'{"detail": "Not found."}', "Not found.", status=404),
    "500 for ever": Bad(lambda _: b"<h1>Server Error (500)</h1>", "500", status=500),
    "a redirect": Bad(lambda _: b"", "not followed", status=302, headers=(("Location", "https://evil.example/"),)),
    # Unusual and right
    "no metadata": Bad(without(data, "metadata")),
    "metadata is null": Bad(changed(data, metadata=None)),
    "days in descending order": Bad(_ordered(lambda one: -one["timestamp_utc"])),
    "days in no order": Bad(_ordered(lambda one: one["timestamp_utc"] % 7)),
    "each day twice": Bad(_twice),
    "each day twice, first without a value": Bad(_first_without_values),
    "a day in the far future": Bad(_more_in_the_future),
    "names in capitals": Bad(_capitals),
    "optional fields of other forms": Bad(
        for_all(days, lambda one: one.update(tz_offset="x", datetime=7, error_description=[1]))
    ),
    "fields that nobody knows": Bad(for_all(days, lambda one: one.update(quality={"a": 1}))),
    "timestamps with a zero behind the point": Bad(
        for_all(days, lambda one: one.update(timestamp_utc=float(one["timestamp_utc"])))
    ),
    "UTF-16": Bad(lambda b: json.dumps(b).encode("utf-16")),
    "blanks and line ends": Bad(lambda b: json.dumps(b, indent=4).encode()),
}

NO_DAYS: dict[str, bytes] = {
    "the bare text": b"No records for this timerange",
    "the bare text, with a full stop": b"No records for this timerange.\n",
    "the text as JSON": b'"No records for this timerange"',
    "a list without days": b'{"data": {"metadata": {}, "readings": []}}',
}
"""Answers that have no days, and are right."""
