"""A page in pieces: what is decoded how often, and that neither cuts nor unknown fields change what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_zentra.bodies import MOST_UNKNOWN_FIELDS
from tap_zentra.v5 import responses
from tap_zentra.v5.readings import by_moment, reading_records
from tap_zentra.v5.responses import DataPage, decode_page

START = 1_700_000_000
VALUES = 7
"""Of a moment: pieces end in the midst of one."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has many pieces, of which few are kept."""
    monkeypatch.setattr(responses, "PIECE_BYTES", 500)
    monkeypatch.setattr(responses, "KEPT_PIECES", 3)


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    """Return values of some moments, as the service sends them."""
    return [
        {"timestamp": START + 300 * (number // VALUES), "measurement": f"m{number % VALUES}", "value": number} | more
        for number in range(count)
    ]


def page_of(values: list[dict[str, Any]]) -> DataPage:
    """Return a page as it is decoded."""
    return decode_page(json.dumps({"metadata": {"device_id": "z6-1"}, "values": values}).encode())


def records(page: DataPage) -> list[dict[str, Any]]:
    """Return all records of a page."""
    return [
        record
        for _, some in by_moment(page.rows())
        for record in reading_records(some, device_sn="z6-1", device_name=None)
    ]


def test_pieces_that_end_within_a_moment_leave_a_page_in_order() -> None:
    """Only the pieces at its end stay decoded, and each moment is there once."""
    page = page_of(rows(200))

    kept = [some is same for some, same in zip(page.rows(), page.rows(), strict=True)]

    assert kept == [False] * (len(kept) - 3) + [True] * 3
    assert list(page.moments) == [START + 300 * number for number in range(200 // VALUES + 1)]
    assert [record["value"] for record in records(page)] == list(range(200))


def test_a_page_out_of_order_is_put_in_order() -> None:
    """Whether moments come backwards between two pieces or within one."""
    values = rows(200)

    for shuffled in (values[::-1], values[VALUES : 2 * VALUES] + values[:VALUES] + values[2 * VALUES :]):
        page = page_of(shuffled)

        assert list(page.moments) == sorted({value["timestamp"] for value in values})
        assert sorted(record["value"] for record in records(page)) == list(range(200))
        assert [moment for moment, _ in by_moment(page.rows())] == list(page.moments)


def test_unknown_fields_are_decoded_without_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They land in `extra`, whichever rows have them, beside what else belongs there."""
    values = rows(200, reading_id=5)
    for value in values[50::2]:
        value |= {"quality": None, "a b": {"x": [1, "é"]}, "unknown_0": 1, "extra": 2, "moment": 3}
    monkeypatch.setattr(responses, "decode_leniently", None)

    page = page_of(values)

    extra = {"reading_id": 5, "a b": {"x": [1, "é"]}, "extra": 2, "moment": 3, "quality": None, "unknown_0": 1}
    found = [record["extra"] for record in records(page)]
    assert found == [extra if place >= 50 and place % 2 == 0 else {"reading_id": 5} for place in range(200)]
    assert list(found[50]) == list(extra)


@pytest.mark.parametrize("count", [MOST_UNKNOWN_FIELDS, MOST_UNKNOWN_FIELDS + 1])
def test_any_number_of_unknown_fields_is_kept(count: int) -> None:
    """Where they are too many for a type of their own, the slow way takes them."""
    more = {f"field {number:02}": number for number in range(count)}

    assert [record["extra"] for record in records(page_of(rows(50, **more)))] == [more] * 50


@pytest.mark.parametrize("name", ["a` - at `$[...].b", "", 'a "b"', "a\\b", "a\nb", "\x7f"])
def test_a_field_may_have_any_name(name: str) -> None:
    """Also one that reads like the end of an error, or that no type can have: the slow way knows it."""
    assert records(page_of(rows(50, **{name: 1, "quality": 2})))[0]["extra"] == {name: 1, "quality": 2}
