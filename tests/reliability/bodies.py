"""A corpus of damaged and hostile answers, each made from the right one, and what the tap has to make of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_zentra.emulator import Response

if TYPE_CHECKING:
    from collections.abc import Callable

Body = dict[str, Any]
RIGHT = ""
"""Instead of words: the answer is unusual and right, its records arrive."""


@dataclass(frozen=True)
class Bad:
    """An answer to a device's second page.

    Attributes:
        spoil: Makes it from the right body; what it returns is sent as it is if it is bytes, else as JSON.
        words: What the device's failure says; `RIGHT`: the records arrive.
        status: Its HTTP status.
        headers: Its headers.
    """

    spoil: Callable[[Body], object]
    words: str = RIGHT
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def answer(self, right: bytes) -> Response:
        """Return the answer in place of the right one."""
        spoilt = self.spoil(json.loads(right))
        body = spoilt if isinstance(spoilt, bytes) else json.dumps(spoilt).encode()
        return Response(self.status, body, headers=dict(self.headers))


def first_entry(body: Body) -> dict[str, Any]:
    """Return a body's first entry."""
    entry: dict[str, Any] = next(iter(body["data"].values()))[0]
    return entry


def entries(body: Body) -> list[dict[str, Any]]:
    """Return all entries of a body."""
    return [entry for listed in body["data"].values() for entry in listed]


def readings(body: Body) -> list[dict[str, Any]]:
    """Return all readings of a body."""
    return [reading for entry in entries(body) for reading in entry["readings"]]


def changed(part: Callable[[Body], Any], **fields: object) -> Callable[[Body], Body]:
    """Return what sets some fields of a part."""

    def spoil(body: Body) -> Body:
        part(body).update(fields)
        return body

    return spoil


def without(part: Callable[[Body], Any], field: str) -> Callable[[Body], Body]:
    """Return what takes a field away from a part."""

    def spoil(body: Body) -> Body:
        del part(body)[field]
        return body

    return spoil


def for_all(parts: Callable[[Body], list[dict[str, Any]]], change: Callable[[dict[str, Any]], object]) -> Any:
    """Return what changes every one of some parts."""

    def spoil(body: Body) -> Body:
        for part in parts(body):
            change(part)
        return body

    return spoil


def replaced(old: bytes, new: bytes) -> Callable[[Body], bytes]:
    """Return what replaces some text of the body once."""

    def spoil(body: Body) -> bytes:
        text = json.dumps(body).encode()
        assert old in text
        return text.replace(old, new, 1)

    return spoil


def whole(body: Body) -> Body:
    """Return the body itself, where a part of it is asked for."""
    return body


def pagination(body: Body) -> dict[str, Any]:
    """Return a body's pagination."""
    part: dict[str, Any] = body["pagination"]
    return part


def metadata(body: Body) -> dict[str, Any]:
    """Return the metadata of a body's first entry."""
    part: dict[str, Any] = first_entry(body)["metadata"]
    return part


def reading(body: Body) -> dict[str, Any]:
    """Return the first reading of a body's first entry."""
    part: dict[str, Any] = first_entry(body)["readings"][0]
    return part


def _descending(body: Body) -> Body:
    for entry in entries(body):
        entry["readings"].reverse()
    return body


def _in_capitals(body: Body) -> Body:
    for entry in entries(body):
        entry["metadata"]["device_sn"] = entry["metadata"]["device_sn"].upper()
    return body


def _newest(body: Body) -> Body:
    for one in readings(body):
        one["mrid"] += 20
    return _descending(body)


def _from_the_start(body: Body) -> Body:
    for one in readings(body):
        one["mrid"] -= 20
    return body


def nested(depth: int) -> Callable[[Body], bytes]:
    """Return what puts lists in lists into a field that nobody knows."""
    return replaced(b'"precision"', b'"note": ' + b"[" * depth + b"]" * depth + b', "precision"')


NOT_SENT = "unexpected response format"
NOT_JSON = "the response is not JSON"

BODIES: dict[str, Bad] = {
    # Parts that are missing, or are something else
    "no pagination": Bad(without(whole, "pagination"), "missing required field `pagination`"),
    "pagination is null": Bad(changed(whole, pagination=None), "`$.pagination`"),
    "pagination is a list": Bad(changed(whole, pagination=[]), "`$.pagination`"),
    "no max_mrid": Bad(without(pagination, "max_mrid"), "missing required field `max_mrid`"),
    "max_mrid is text": Bad(changed(pagination, max_mrid="60"), "max_mrid"),
    "max_mrid is negative": Bad(changed(pagination, max_mrid=-60), "max_mrid"),
    "max_mrid is a fraction": Bad(changed(pagination, max_mrid=59.5), "max_mrid"),
    "max_mrid is beyond all integers": Bad(changed(pagination, max_mrid=2**64), "max_mrid"),
    "max_mrid is null beside records": Bad(changed(pagination, max_mrid=None), "max_mrid is null"),
    "no data": Bad(without(whole, "data"), "missing required field `data`"),
    "data is null": Bad(changed(whole, data=None), "`$.data`"),
    "data is a list": Bad(changed(whole, data=[]), "`$.data`"),
    "an error with status 200": Bad(lambda _: {"detail": "Internal hiccup."}, "Internal hiccup."),
    "a measurement is an entry": Bad(lambda b: b | {"data": {"A": first_entry(b)}}, "`$.data[...]`"),
    "a measurement is null": Bad(lambda b: b | {"data": {"A": None}}, "`$.data[...]`"),
    "an entry is null": Bad(lambda b: b | {"data": {"A": [None]}}, "`$.data[...][0]`"),
    "no metadata": Bad(without(first_entry, "metadata"), "missing required field `metadata`"),
    "metadata is text": Bad(changed(first_entry, metadata="z6"), "metadata`"),
    "no readings": Bad(without(first_entry, "readings"), "missing required field `readings`"),
    "readings is an object": Bad(changed(first_entry, readings={}), "readings`"),
    "a reading is null": Bad(changed(first_entry, readings=[None]), "readings[0]`"),
    "a reading is a list": Bad(changed(first_entry, readings=[[1, 2]]), "readings[0]`"),
    "a list instead of an answer": Bad(lambda b: [b], NOT_SENT),
    "a number instead of an answer": Bad(lambda _: 7, NOT_SENT),
    "null instead of an answer": Bad(lambda _: None, NOT_SENT),
    # Fields of another type or out of range
    "no device_sn": Bad(without(metadata, "device_sn"), "`device_sn`"),
    "device_sn is a number": Bad(changed(metadata, device_sn=612345), "device_sn`"),
    "another device's serial number": Bad(changed(metadata, device_sn="z6-99999"), "metadata.device_sn is 'z6-99999'"),
    "a serial number without end": Bad(changed(metadata, device_sn=100_000 * "x"), "is 'xxx"),
    "the port is text": Bad(changed(metadata, port_number="1"), "port_number`"),
    "no mrid": Bad(without(reading, "mrid"), "`mrid`"),
    "the mrid is text": Bad(changed(reading, mrid="21"), "mrid`"),
    "all mrids are text": Bad(for_all(readings, lambda one: one.update(mrid=str(one["mrid"]))), "mrid`"),
    "the mrid is null": Bad(changed(reading, mrid=None), "mrid`"),
    "the mrid is negative": Bad(changed(reading, mrid=-1), "mrid`"),
    "the mrid is a fraction": Bad(changed(reading, mrid=21.5), "mrid`"),
    "the mrid is true": Bad(changed(reading, mrid=True), "mrid`"),
    "the mrid is NaN": Bad(changed(reading, mrid=float("nan")), "mrid`"),
    "the mrid is beyond all integers": Bad(changed(reading, mrid=2**63), "mrid`"),
    "no timestamp": Bad(without(reading, "timestamp_utc"), "`timestamp_utc`"),
    "the timestamp is text": Bad(changed(reading, timestamp_utc="2026-01-01"), "timestamp_utc`"),
    "the timestamp is in milliseconds": Bad(changed(reading, timestamp_utc=1_767_225_600_000), "timestamp_utc`"),
    "the timestamp is before 1970": Bad(changed(reading, timestamp_utc=-1), "timestamp_utc`"),
    "the timestamp is null": Bad(changed(reading, timestamp_utc=None), "timestamp_utc`"),
    "no value": Bad(without(reading, "value"), "`value`"),
    "the value is text": Bad(changed(reading, value="17.4"), "value`"),
    "the value is true": Bad(changed(reading, value=True), "value`"),
    "the value is an object": Bad(changed(reading, value={"v": 1}), "value`"),
    # Answers that contradict the question
    "start_mrid is ignored": Bad(_from_the_start, "ignores start_mrid: requested mrid 21 and up, got mrid 1"),
    "sort_by and end_mrid are ignored": Bad(
        _newest, "ignores sort_by and end_mrid: requested mrid 21 to 40, got mrid 60"
    ),
    "one reading below start_mrid": Bad(changed(reading, mrid=20), "ignores start_mrid"),
    # Not JSON at all: asked for again, then given up
    "an empty body": Bad(lambda _: b"", NOT_JSON),
    "half a body": Bad(lambda b: json.dumps(b).encode()[:999], NOT_JSON),
    "a page for people": Bad(lambda _: b"<html><h1>Sign in</h1></html>", "Sign in"),
    "bytes that are no text": Bad(lambda _: bytes(range(256)), NOT_JSON),
    "one byte that is no text": Bad(replaced(b'"device_name": "', b'"device_name": "\xff'), NOT_JSON),
    "CSV": Bad(lambda _: b"mrid,value\n1,2\n", NOT_JSON),
    "two answers": Bad(lambda b: 2 * json.dumps(b).encode(), NOT_JSON),
    "an integer of 5000 digits": Bad(
        replaced(b'"precision": ', b'"note": ' + 5000 * b"9" + b', "precision": '), NOT_JSON
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
    "a redirect to bytes that are no text": Bad(
        lambda _: b"", "the service redirects", status=302, headers=(("Location", "https://\udcff\udcfe/"),)
    ),
    "a redirect to what is no URL": Bad(
        lambda _: b"", "the service redirects", status=302, headers=(("Location", "http://[bad/"),)
    ),
    # Unusual and right
    "sort_by is ignored": Bad(_descending),
    "the serial number in capitals": Bad(_in_capitals),
    "other unknown parts": Bad(changed(whole, version=5)),
    "unknown parts of pagination": Bad(changed(pagination, cursor="x")),
    "other order of fields": Bad(for_all(readings, lambda one: one.update(mrid=one.pop("mrid")))),
    "no optional pagination": Bad(lambda b: b | {"pagination": {"max_mrid": b["pagination"]["max_mrid"]}}),
    "blanks and line ends": Bad(lambda b: json.dumps(b, indent=4).encode()),
    "UTF-16": Bad(lambda b: json.dumps(b).encode("utf-16")),
    "a mark at the beginning": Bad(lambda b: b"\xef\xbb\xbf" + json.dumps(b).encode()),
    "escaped solidus": Bad(lambda b: json.dumps(b).replace("/", "\\/").encode()),
}
