"""Which records are on a page, under each way in which the service may choose them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device
from tests.emulator.support import Cloud

if TYPE_CHECKING:
    from tap_zentra.emulator.pages import Pages, Sorting

ASCENDING = {"sort_by": "ascending"}
HOUR = 3600
DAY = 24 * HOUR


def station(**attributes: Any) -> Device:
    """Return a device without errors, in UTC, with a record every hour since the turn of the year 2026."""
    return Device("z6-1", **{"records": 10, "error_rate": 0, "tz_offset": 0, "interval": HOUR} | attributes)


def back_and_ahead() -> Device:
    """Return a device whose record 3 is stamped as record 8 is, and whose records 6 and 7 are stamped before all."""
    return station(clock=((3, 3, 5 * HOUR), (6, 7, -20 * HOUR)))


def test_a_page_sorted_by_time_is_the_first_in_time() -> None:
    """What a wrong clock stamped early comes first and what it stamped late last; equal stamps go by mrid."""
    cloud = Cloud([back_and_ahead()], sorting="time")

    assert cloud.page(**ASCENDING).mrids == [6, 7, 1, 2, 4, 5, 3, 8, 9, 10]
    assert cloud.page(per_page=4, **ASCENDING).mrids == [6, 7, 1, 2]
    assert cloud.page(per_page=4, page_num=2, **ASCENDING).mrids == [4, 5, 3, 8]
    assert cloud.page(per_page=4).mrids == [10, 9, 8, 3]


def test_a_page_sorted_by_time_holds_only_what_is_asked_for() -> None:
    """The mrids or the dates choose the records, then time sorts them."""
    cloud = Cloud([back_and_ahead()], sorting="time")

    assert cloud.page(start_mrid=2, end_mrid=8, per_page=4, **ASCENDING).mrids == [6, 7, 2, 4]
    assert cloud.page(start_date="2026-01-01 00:00", per_page=6, **ASCENDING).mrids == [1, 2, 4, 5, 3, 8]


def test_a_page_sorted_by_mrid_does_not_look_at_stamps() -> None:
    """As long as it is asked for by mrid."""
    page = Cloud([back_and_ahead()]).page(start_mrid=2, per_page=6, **ASCENDING)

    assert page.mrids == [2, 3, 4, 5, 6, 7]


def test_a_service_that_ignores_sort_by_always_sends_the_newest() -> None:
    """Also when asked for ascending order; its first page is the newest of what was asked for."""
    cloud = Cloud([back_and_ahead()], sorting="descending")

    assert cloud.page(start_mrid=2, per_page=4, **ASCENDING).mrids == [10, 9, 8, 7]
    assert cloud.page(start_mrid=2, end_mrid=5, per_page=4, **ASCENDING).mrids == [5, 4, 3, 2]
    assert cloud.page(end_date="2026-01-01 02:00", **ASCENDING).mrids == [7, 6, 2, 1]


@pytest.mark.parametrize("sorting", ["mrid", "time", "descending"])
def test_dates_choose_by_the_stamp(sorting: Sorting) -> None:
    """A wrong clock hides records from a query by date, whatever the order of the page."""
    page = Cloud([back_and_ahead()], sorting=sorting).page(start_date="2026-01-01 01:00", end_date="2026-01-01 08:00")

    assert sorted(page.mrids) == [2, 3, 4, 5, 8]


def test_pages_of_ids_are_chosen_by_id_whatever_sorts_them() -> None:
    """Time then sorts what exists of these ids; other dates than those asked for are left out."""
    cloud = Cloud([back_and_ahead()], pages="ids", sorting="time")

    assert cloud.page(start_mrid=2, per_page=5, **ASCENDING).mrids == [6, 2, 4, 5, 3]
    assert cloud.page(start_date="2026-01-01 00:00", per_page=4, page_num=2, **ASCENDING).mrids == [5, 8]


@pytest.mark.parametrize("pages", ["records", "ids"])
@pytest.mark.parametrize("sorting", ["mrid", "time", "descending"])
def test_every_record_is_on_exactly_one_page(pages: Pages, sorting: Sorting) -> None:
    """Page by page everything comes once, whatever is skipped, missing or stamped wrongly."""
    device = station(records=50, skip_every=6, gaps=((20, 25),), clock=((9, 14, -DAY), (40, 41, DAY)))
    cloud = Cloud([device], pages=pages, sorting=sorting)
    there = [mrid for mrid in range(1, 60) if mrid % 6 and not 20 <= mrid <= 25]

    found = [mrid for page_num in range(1, 12) for mrid in cloud.page(per_page=7, page_num=page_num, **ASCENDING).mrids]

    assert there == sorted(found)


def test_a_page_ends_at_a_midnight_as_version_3_does() -> None:
    """Pages of 2000 and of 1936 records follow each other where there is one every 15 minutes, as in a log of v3."""
    start = datetime(2021, 12, 28, 18, 45, tzinfo=UTC)
    device = station(records=8000, first_mrid=85_889, interval=900, start=start, tz_offset=2 * HOUR)
    cloud = Cloud([device], page_days=21)

    firsts = [85_889, 87_822, 89_822, 91_758]
    pages = [cloud.page(start_mrid=first, per_page=2000, **ASCENDING).pagination for first in firsts]

    assert [page["page_num_readings"] for page in pages] == [1933, 2000, 1936, 2000]
    assert [page["page_end_mrid"] for page in pages] == [87_821, 89_821, 91_757, 93_757]
    assert pages[0]["page_end_date"] == "2022-01-17 23:45:00+02:00"


def test_a_page_is_empty_after_a_silence_of_more_days_than_it_has() -> None:
    """From the record before the silence on nobody is told where the next one is, but that there is one."""
    device = station(records=10, silences=((5, 2 * DAY),))
    cloud = Cloud([device], page_days=2)

    page = cloud.page(start_mrid=5, **ASCENDING)

    assert (page.mrids, page.pagination["max_mrid"]) == ([], 10)
    assert cloud.page(start_mrid=4, **ASCENDING).mrids == [4]
    assert cloud.page(start_mrid=6, **ASCENDING).mrids == [6, 7, 8, 9, 10]


def test_a_page_by_date_ends_a_number_of_days_after_that_date() -> None:
    """So a silence can be passed by asking for dates."""
    device = station(records=10, silences=((5, 2 * DAY),))
    cloud = Cloud([device], page_days=2)

    assert cloud.page(start_date="2026-01-01 05:00", **ASCENDING).mrids == []
    assert cloud.page(start_date="2026-01-02 00:00", **ASCENDING).mrids == [5, 6, 7, 8, 9, 10]
    assert cloud.page(start_date="2026-01-02 00:00", end_date="2026-01-03 05:00", **ASCENDING).mrids == [5]


def test_a_page_without_a_start_begins_with_the_first_record() -> None:
    """Its days are counted in the device's local time."""
    device = station(records=60, tz_offset=2 * HOUR)

    page = Cloud([device], page_days=1).page(**ASCENDING)

    assert page.mrids == list(range(1, 23))


def test_what_is_stamped_behind_the_midnight_is_not_on_the_page() -> None:
    """Records after it are, so it is never seen by mrid."""
    device = station(clock=((4, 4, 3 * DAY),))

    for sorting in ("mrid", "time"):
        page = Cloud([device], page_days=2, sorting=sorting).page(start_mrid=3, **ASCENDING)
        assert page.mrids == [3, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("options", [{"sorting": "mrid"}, {"sorting": "descending", "asked": ASCENDING}])
def test_pages_in_descending_order_know_no_midnight(options: dict[str, Any]) -> None:
    """The newest records come, however far from the first one they are."""
    page = Cloud([station(records=100)], page_days=1, sorting=options["sorting"]).page(**options.get("asked", {}))

    assert page.mrids == list(range(100, 0, -1))


def test_a_device_without_records_has_an_empty_page() -> None:
    """Whatever pages are."""
    cloud = Cloud([station(records=0)], page_days=1, sorting="time", pages="ids")

    assert cloud.page(start_mrid=1, **ASCENDING).mrids == []


def test_the_ends_of_a_page_are_told_with_their_stamps() -> None:
    """The lowest and the highest mrid of the page, and what these are stamped with."""
    pagination = Cloud([back_and_ahead()]).page(start_mrid=3, end_mrid=6).pagination

    assert (pagination["page_start_mrid"], pagination["page_start_date"]) == (3, "2026-01-01 07:00:00+00:00")
    assert (pagination["page_end_mrid"], pagination["page_end_date"]) == (6, "2025-12-31 09:00:00+00:00")


def test_model_data_goes_by_when_records_were_made() -> None:
    """A clock that is wrong by decades does not bring decades of days."""
    device = station(records=40, clock=((1, 3, -500_000_000), (40, 40, 500_000_000)))
    params = {
        "device_sn": "z6-1",
        "model_type": "ETo",
        "port_num": "1",
        "inputs": '{"elevation": 806, "latitude": 32.25, "wind_measurement_height": 2}',
    }

    body = Cloud([device]).receive(params, "/api/v4/get_env_model_data/").answer().body

    assert body.count(b"timestamp_utc") == 2
