"""The parameters of v5: what they mean, and which are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator.v5.query import DataQuery, ListQuery, UnprocessableError

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_800_000_000.0
NEW_YEAR = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


def parse(**params: str) -> DataQuery:
    """Return what a call for a device's readings asks for."""
    return DataQuery.parse(params, NOW, "refused")


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00", "2026-01-01T00:00:00.000"),
        *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "2025-12-31T19:00:00-05:00"),
    ],
)
def test_a_datetime_is_iso_8601(text: str) -> None:
    """Without a zone it is UTC."""
    assert parse(start_datetime=text).start == NEW_YEAR
    assert parse(end_datetime=text).end == NEW_YEAR


@pytest.mark.parametrize(
    ("params", "start", "end"),
    [
        ({}, None, None),
        ({"start_datetime": "", "window": ""}, None, None),
        ({"start_timestamp": "1767225600", "end_timestamp": "1767225601"}, NEW_YEAR, NEW_YEAR + 1),
        ({"start_timestamp": "1767225600", "end_timestamp": "1767225600"}, NEW_YEAR, NEW_YEAR),
        ({"window": "90m"}, NOW - 5400, NOW),
        ({"window": "24h"}, NOW - 86_400, NOW),
        ({"window": "365d"}, NOW - 365 * 86_400, NOW),
        ({"window": "52w"}, NOW - 364 * 86_400, NOW),
    ],
)
def test_a_range_has_three_forms(params: dict[str, str], start: float | None, end: float | None) -> None:
    """Datetimes, epoch seconds, or a window back from now; or nothing, which is everything."""
    query = parse(**params)

    assert (query.start, query.end) == (start, end)


def test_directions_and_units_are_known_or_not_said() -> None:
    """The defaults are the service's matter."""
    query, silent = parse(direction="ascending", units="imperial"), parse()

    assert (query.ascending, query.units) == (True, "imperial")
    assert parse(direction="descending", units="metric").ascending is False
    assert (silent.ascending, silent.units) == (None, None)


def test_beside_a_token_times_are_not_looked_at() -> None:
    """The token has the range; what a client sends again with it does not matter."""
    query = parse(next_token="t", start_datetime="yesterday", window="1y")

    assert (query.next_token, query.start, query.end) == ("t", None, None)


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"start_datetime": "yesterday"}, "start_datetime"),
        ({"start_datetime": "2026-02-30"}, "start_datetime"),
        ({"start_datetime": "2026-01-01T00:00:00 00:00"}, "start_datetime"),
        ({"start_datetime": "01-01-2026 00:00"}, "start_datetime"),
        ({"end_datetime": "2026-01-01T25:00:00Z"}, "end_datetime"),
        ({"start_datetime": "2026-01-02", "end_datetime": "2026-01-01"}, "start_datetime"),
        ({"start_datetime": "2026-01-01", "end_datetime": "2026-01-02T00:00:00Z"}, "end_datetime"),
        ({"start_datetime": "2026-01-01T00:00:00Z", "end_datetime": "2026-01-02T00:00:00+00:00"}, "end_datetime"),
        ({"start_datetime": "2026-01-01T00:00:00", "end_datetime": "2026-01-02T00:00:00-05:00"}, "end_datetime"),
        ({"start_timestamp": "1.5"}, "start_timestamp"),
        ({"end_timestamp": "-1"}, "end_timestamp"),
        ({"end_timestamp": "253402300800"}, "end_timestamp"),
        ({"window": "24H"}, "window"),
        ({"window": "024h"}, "window"),
        ({"window": "24"}, "window"),
        ({"window": "1y"}, "window"),
        ({"window": "525601m"}, "window"),
        ({"window": "8761h"}, "window"),
        ({"window": "366d"}, "window"),
        ({"window": "53w"}, "window"),
        ({"direction": "up"}, "direction"),
        ({"units": "Metric"}, "units"),
        ({"start_datetime": "2026-01-01", "end_timestamp": "1767225601"}, "end_timestamp"),
        ({"start_datetime": "2026-01-01", "window": "24h"}, "window"),
        ({"start_timestamp": "1767225600", "window": "24h"}, "window"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(params: dict[str, str], parameter: str) -> None:
    """Forms, ranges, mixed zones and two forms of a range."""
    with pytest.raises(UnprocessableError) as refused:
        parse(**params)

    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    "params",
    [
        {"start_datetime": "2026-01-01", "end_timestamp": "1"},
        {"start_datetime": "2026-01-01", "window": "24h"},
    ],
)
def test_of_two_forms_the_first_may_count(params: dict[str, str]) -> None:
    """On request: datetimes before timestamps before a window."""
    query = DataQuery.parse(params, NOW, "first")

    assert (query.start, query.end) == (NEW_YEAR, None)


def test_the_list_can_be_asked_for_in_parts() -> None:
    """By organisation, with groups, page by page; by default all devices without a group."""
    given = {"organization_id": "org-1", "expand": "settings, hardware", "page_num": "2", "limit": "10"}

    assert ListQuery.parse(given) == ListQuery("org-1", frozenset({"settings", "hardware"}), 2, 10)
    assert ListQuery.parse({}) == ListQuery(None, frozenset(), 1, None)


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"expand": "settings,sensors"}, "expand"),
        ({"page_num": "0"}, "page_num"),
        ({"page_num": "two"}, "page_num"),
        ({"limit": "-1"}, "limit"),
    ],
)
def test_what_makes_no_sense_for_the_list_is_refused_by_name(params: Mapping[str, str], parameter: str) -> None:
    """Groups that do not exist, and pages that cannot."""
    with pytest.raises(UnprocessableError) as refused:
        ListQuery.parse(params)

    assert refused.value.parameter == parameter
