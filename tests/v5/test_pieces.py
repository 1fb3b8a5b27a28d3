"""A page in pieces: what of it is kept, and that neither cuts nor new texts and fields change what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_zentra.bodies import MOST_UNKNOWN_FIELDS
from tap_zentra.v5 import responses
from tap_zentra.v5.responses import MOST_TEXTS, DataPage, decode_page
from tests.v5.support import records_in

START = 1_700_000_000
VALUES = 7
"""Of a moment: pieces end in the midst of one."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has many pieces."""
    monkeypatch.setattr(responses, "PIECE_BYTES", 500)


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    """Return values of some moments, as the service sends them."""
    return [
        {"timestamp": START + 300 * (number // VALUES), "measurement": f"m{number % VALUES}", "value": number} | more
        for number in range(count)
    ]


def page_of(values: list[dict[str, Any]]) -> DataPage:
    """Return a page as it is decoded."""
    return decode_page(json.dumps({"metadata": {"device_id": "z6-1"}, "values": values}).encode())


def test_pieces_that_end_within_a_moment_leave_a_page_in_order() -> None:
    """Each moment is there once, with all its rows."""
    page = page_of(rows(200))

    assert list(page.moments) == [START + 300 * number for number in range(200 // VALUES + 1)]
    assert [record["value"] for record in records_in(page)] == list(range(200))


def test_a_page_out_of_order_is_put_in_order() -> None:
    """Whether moments come backwards between two pieces or within one."""
    values = rows(200)

    for shuffled in (values[::-1], values[VALUES : 2 * VALUES] + values[:VALUES] + values[2 * VALUES :]):
        page = page_of(shuffled)

        assert list(page.moments) == sorted({value["timestamp"] for value in values})
        assert sorted(record["value"] for record in records_in(page)) == list(range(200))
        assert [moment.second for moment in page.between(0, START * 2)] == list(page.moments)


def test_what_moments_have_in_common_is_there_once() -> None:
    """The series of a device's moments are one object, and so is each series of moments in another order."""
    values = rows(10 * VALUES)
    shuffled = values[: 5 * VALUES] + [
        value for first in range(5 * VALUES, 10 * VALUES, VALUES) for value in values[first : first + VALUES][::-1]
    ]
    page = page_of(shuffled)

    several = [page[second].series for second in page.moments]

    assert several[0] == several[-1][::-1]
    assert len({id(one) for series in several for one in series}) == VALUES


def test_a_moment_is_short_where_its_rows_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One time, one local time and one error code stand for all rows; other rows have their own."""
    monkeypatch.setattr(responses, "PIECE_BYTES", 10_000)
    values = rows(3 * VALUES, datetime="x", error_code=0)
    values[VALUES]["error_code"] = 134
    values[2 * VALUES]["datetime"] = "y"
    page = page_of(values)

    moments = page.between(0, START * 2)

    assert [(len(one.timestamps), len(one.datetimes), len(one.error_codes)) for one in moments] == [
        (1, 1, 1),
        (1, 1, VALUES),
        (1, VALUES, 1),
    ]
    assert moments[1].each(moments[1].datetimes) == ("x",) * VALUES


@pytest.mark.parametrize("limit", [1, MOST_TEXTS])
def test_a_text_may_come_for_the_first_time_in_any_piece(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Types know the texts that came before, at most so many, and any other text is taken all the same."""
    monkeypatch.setattr(responses, "MOST_TEXTS", limit)
    values = rows(200)
    for place in range(60, 200, 20):
        values[place] |= {"measurement": f"new {place}", "unit": "", "sensor_name": f"é {place}"}
    values[150]["quality"] = 1

    found = records_in(page_of(values))

    assert [record["measurement"] for record in found] == [value["measurement"] for value in values]
    assert [record["sensor_name"] for record in found] == [value.get("sensor_name", "") for value in values]
    assert [record["extra"] for record in found] == [{"quality": 1} if n == 150 else None for n in range(200)]


def test_unknown_fields_are_decoded_without_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They land in `extra`, whichever rows have them, beside what else belongs there."""
    values = rows(200, reading_id=5)
    for value in values[50::2]:
        value |= {"quality": None, "a b": {"x": [1, "é"]}, "unknown_0": 1, "extra": 2, "moment": 3}
    monkeypatch.setattr(responses, "decode_leniently", None)

    page = page_of(values)

    extra = {"reading_id": 5, "a b": {"x": [1, "é"]}, "extra": 2, "moment": 3, "quality": None, "unknown_0": 1}
    found = [record["extra"] for record in records_in(page)]
    assert found == [extra if place >= 50 and place % 2 == 0 else {"reading_id": 5} for place in range(200)]
    assert list(found[50]) == list(extra)


@pytest.mark.parametrize("count", [MOST_UNKNOWN_FIELDS, MOST_UNKNOWN_FIELDS + 1])
def test_any_number_of_unknown_fields_is_kept(count: int) -> None:
    """Where they are too many for a type of their own, the slow way takes them."""
    more = {f"field {number:02}": number for number in range(count)}

    assert [record["extra"] for record in records_in(page_of(rows(50, **more)))] == [more] * 50


@pytest.mark.parametrize("name", ["a` - at `$[...].b", "", 'a "b"', "a\\b", "a\nb", "\x7f"])
def test_a_field_may_have_any_name(name: str) -> None:
    """Also one that reads like the end of an error, or that no type can have: the slow way knows it."""
    assert records_in(page_of(rows(50, **{name: 1, "quality": 2})))[0]["extra"] == {name: 1, "quality": 2}
