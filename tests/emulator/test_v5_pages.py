"""The pages of v5: calendar months of a range, and the tokens that lead from one to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from tap_zentra.emulator import Device
from tap_zentra.emulator.v5.pages import Cursor
from tests.emulator.support import Cloud, detail

DAY = 86_400
START = datetime(2025, 1, 30, 12, tzinfo=UTC)
ASCENDING: dict[str, Any] = {"direction": "ascending"}


def station(**attributes: Any) -> Device:
    """Return a device with a record each day at noon, from the 30th of January 2025 on."""
    usual: dict[str, Any] = {"records": 40, "interval": DAY, "start": START, "error_rate": 0}
    return Device("z6-1", **usual | attributes)


def days(page: dict[str, Any]) -> list[str]:
    """Return the days of a page in its order, such as `01-30`."""
    return list(dict.fromkeys(f"{datetime.fromtimestamp(row['timestamp'], UTC):%m-%d}" for row in page["values"]))


def ends(page: dict[str, Any]) -> tuple[str, str] | None:
    """Return the first and the last day of a page, None when it is empty."""
    found = days(page)
    return (found[0], found[-1]) if found else None


def test_a_page_is_a_calendar_month_of_the_range() -> None:
    """In UTC, ascending when asked for; the last one has no token."""
    pages = Cloud([station()]).v5_pages(start_datetime="2025-01-31", end_datetime="2025-03-05", **ASCENDING)

    assert [ends(page) for page in pages] == [("01-31", "01-31"), ("02-01", "02-28"), ("03-01", "03-04")]
    assert [bool(page["pagination"]["next_token"]) for page in pages] == [True, True, False]
    assert pages[1]["pagination"]["start_datetime"] == "2025-02-01T00:00:00+00:00"
    assert pages[1]["pagination"]["end_datetime"] == "2025-03-01T00:00:00+00:00"


@pytest.mark.parametrize("params", [{}, {"direction": "descending"}])
def test_descending_pages_begin_with_the_part_of_the_newest_month(params: dict[str, Any]) -> None:
    """Which is the order when none is asked for."""
    pages = Cloud([station()]).v5_pages(start_datetime="2025-01-31", end_datetime="2025-03-05", **params)

    assert [ends(page) for page in pages] == [("03-04", "03-01"), ("02-28", "02-01"), ("01-31", "01-31")]


def test_without_times_everything_comes_until_now() -> None:
    """From the first reading's month on; what is stamped later than now does not come."""
    device = station(start=datetime(2025, 11, 20, tzinfo=UTC), records=60)  # now is the 1st of January 2026

    pages = Cloud([device]).v5_pages(**ASCENDING)

    assert [ends(page) for page in pages] == [("11-20", "11-30"), ("12-01", "12-31"), ("01-01", "01-01")]


@pytest.mark.parametrize("params", [{}, {"start_datetime": "2025-01-01"}, {"window": "1d"}])
def test_a_device_without_records_has_an_end(params: dict[str, Any]) -> None:
    """Its pages are empty."""
    pages = Cloud([station(records=0)], empty_months="skipped").v5_pages(**params)

    assert [page["values"] for page in pages] == [[]]


@pytest.mark.parametrize(("empty_months", "counts"), [("page", [0, 2, 1, 0, 2, 0]), ("skipped", [2, 1, 2])])
def test_a_month_without_readings_is_an_empty_page_or_skipped(
    empty_months: Literal["page", "skipped"], counts: list[int]
) -> None:
    """At the start, in the middle and at the end of the range, in both directions."""
    cloud = Cloud([station(records=5, silences=((4, 82 * DAY),))], empty_months=empty_months)
    asked: dict[str, Any] = {"start_datetime": "2024-12-24", "end_datetime": "2025-05-24"}

    forward = [days(page) for page in cloud.v5_pages(**asked, **ASCENDING)]
    backward = [days(page) for page in cloud.v5_pages(**asked)]

    assert [len(found) for found in forward] == counts
    assert [day for found in forward for day in found] == ["01-30", "01-31", "02-01", "04-25", "04-26"]
    assert backward == [found[::-1] for found in forward[::-1]]


@pytest.mark.parametrize(("end", "last"), [("inclusive", "02-02"), ("exclusive", "02-01")])
def test_the_end_belongs_to_the_range_or_not(end: Literal["inclusive", "exclusive"], last: str) -> None:
    """The start always does."""
    page = Cloud([station()], end=end).v5_body(
        start_datetime="2025-02-01T12:00:00Z", end_datetime="2025-02-02T12:00:00Z", **ASCENDING
    )

    assert ends(page) == ("02-01", last)


@pytest.mark.parametrize(("end", "months"), [("inclusive", 3), ("exclusive", 2)])
@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_a_range_up_to_a_months_first_moment_may_touch_that_month(
    direction: str, end: Literal["inclusive", "exclusive"], months: int
) -> None:
    """It has a page for it only if the moment belongs to the range."""
    cloud = Cloud([station()], end=end)

    pages = cloud.v5_pages(start_datetime="2025-01-30", end_datetime="2025-03-01", direction=direction)

    assert len(pages) == months
    assert sum(not page["values"] for page in pages) == months - 2


def test_a_token_has_the_range_the_order_and_the_units() -> None:
    """Nothing else has to be sent with it; times that are sent are not looked at, units are."""
    cloud = Cloud([station()])
    token = cloud.v5_body(start_datetime="2025-01-31", end_datetime="2025-02-02", units="imperial", **ASCENDING)[
        "pagination"
    ]["next_token"]

    alone = cloud.v5_body(next_token=token)
    with_times = cloud.v5_body(next_token=token, start_datetime="2020-01-01", end_datetime="2020-01-01T00:00:00Z")
    metric = cloud.v5_body(next_token=token, units="metric")

    assert alone == with_times
    assert days(alone) == ["02-01"]
    assert "°F" in {row["unit"] for row in alone["values"]}
    assert "°F" not in {row["unit"] for row in metric["values"]}


def test_a_token_keeps_the_range_of_a_window() -> None:
    """A window is measured back from its first call, not from each."""
    device = station(start=datetime(2025, 11, 1, 12, tzinfo=UTC), records=61)
    cloud = Cloud([device])

    token = cloud.v5_body(window="40d", **ASCENDING, at=0.0)["pagination"]["next_token"]
    page = cloud.v5_body(next_token=token, at=30.0 * DAY)

    assert ends(page) == ("12-01", "12-31")


@pytest.mark.parametrize("token", ["x", "", "AAAA", "_qCnZX4RqGUBAAAAAA=="])
def test_what_is_no_token_is_refused(token: str) -> None:
    """An empty one is none at all."""
    answer = Cloud([station()]).v5(next_token=token)

    assert answer.status == (422 if token else 200)


def test_the_token_of_another_device_is_refused() -> None:
    """It names its device."""
    cloud = Cloud([station(), Device("z6-2")])
    token = cloud.v5_body(start_datetime="2025-01-30", **ASCENDING)["pagination"]["next_token"]

    assert cloud.v5("z6-2", next_token=token).status == 422


@pytest.mark.parametrize("status", ["422", "400", "404"])
def test_a_token_is_refused_after_some_pages(status: Literal["422", "400", "404"]) -> None:
    """With the status that is asked for; the range can be read from where it ended."""
    cloud = Cloud([station(records=100)], token_lifetime=2, expired_token=status)
    page = cloud.v5_body(start_datetime="2025-01-30", **ASCENDING)
    for _ in range(2):
        page = cloud.v5_body(next_token=page["pagination"]["next_token"])

    refused = cloud.v5(next_token=page["pagination"]["next_token"])

    assert refused.status == int(status)
    assert "expired" in detail(refused)
    assert cloud.v5_body(start_datetime="2025-04-01", **ASCENDING)["values"]


@pytest.mark.parametrize(("next_url", "there"), [(True, True), (False, False)])
def test_the_next_page_may_have_an_address(next_url: bool, there: bool) -> None:  # noqa: FBT001
    """Which is null on the last page, and can be called as it is."""
    cloud = Cloud([station()], next_url=next_url)
    first, *_, last = cloud.v5_pages(start_datetime="2025-01-31", end_datetime="2025-03-05", **ASCENDING)

    assert ("next_url" in first["pagination"]) == ("next_url" in last["pagination"]) == there
    if there:
        assert last["pagination"]["next_url"] is None
        assert first["pagination"]["next_url"].startswith("http://127.0.0.1:8000/v5/devices/z6-1/data?next_token=")


def test_readings_come_in_the_order_of_their_times_whatever_the_clock_did() -> None:
    """A clock that was behind stamps records into an earlier month; the span of the device is that of its stamps."""
    device = station(records=5, clock=((4, 5, -30 * DAY),))

    pages = Cloud([device]).v5_pages(start_datetime="2024-12-01", end_datetime="2025-02-20", **ASCENDING)

    assert [days(page) for page in pages] == [[], ["01-03", "01-04", "01-30", "01-31"], ["02-01"]]
    assert device.span == (int(START.timestamp()) + (3 - 30) * DAY, int(START.timestamp()) + 2 * DAY)


def test_the_last_month_of_the_calendar_has_an_end() -> None:
    """A year 10,000 does not exist."""
    page = Cloud([station()]).v5_body(start_datetime="9999-12-01", end_datetime="9999-12-31")

    assert page["values"] == []
    assert page["pagination"]["next_token"] is None


def test_a_token_tells_nothing_but_stands_for_its_page() -> None:
    """What it stands for comes back whole."""
    cursor = Cursor("z6-1", 0.0, 1.5, ascending=True, units="metric", month=24_300, further=2)

    assert Cursor.parse(cursor.token) == cursor
    assert "z6-1" not in cursor.token


def test_the_number_of_readings_is_that_of_the_rows() -> None:
    """Of this page, as they are sent."""
    page = Cloud([station()], duplicates=True).v5_body(start_datetime="2025-02-01", end_datetime="2025-02-28")

    assert page["pagination"]["num_readings"] == len(page["values"]) > 27 * 25


def test_months_are_counted_in_utc() -> None:
    """Whatever the device's local time, which the rows tell with its offset."""
    device = station(start=datetime(2025, 1, 31, 23, 30, tzinfo=UTC), interval=3600, records=2, tz_offset=7200)

    pages = Cloud([device]).v5_pages(start_datetime="2025-01-01", end_datetime="2025-02-28", **ASCENDING)

    assert [days(page) for page in pages] == [["01-31"], ["02-01"]]
    assert pages[0]["values"][0]["datetime"] == "2025-02-01 01:30:00+02:00"
