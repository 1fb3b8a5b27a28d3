"""Places: which `sub_sensor_index` each entry of a page has, the same one in every record and every run."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tap_zentra.v4.places import Places
from tests.v4.support import a_page, an_entry, records_of

DEPTHS = ("10 cm", "30 cm", "60 cm", "100 cm")
"""Of a profile probe; as texts they come in another order than as lengths."""


def _entries(*depths: str | None, mrids: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    return [an_entry(*({"mrid": mrid} for mrid in mrids), depth=depth) for depth in depths]


def _indices(entries: list[dict[str, Any]], places: Places | None = None) -> dict[str | None, set[int]]:
    """Return which indices each depth has on a page of these entries."""
    found: dict[str | None, set[int]] = {}
    for record in records_of(a_page({"Water Content": entries}), places):
        found.setdefault(record["depth"], set()).add(record["sub_sensor_index"])
    return found


def _after_a_run(places: Places) -> Places:
    """Return what the next run knows of the places."""
    return Places(json.loads(json.dumps(places.as_state())))


@pytest.mark.parametrize("depths", list(itertools.permutations(DEPTHS)))
def test_a_depth_is_a_place_whatever_the_order_of_entries(depths: tuple[str, ...]) -> None:
    """From the top down, so that a response in another order gives no key another depth's value."""
    assert _indices(_entries(*depths)) == {"10 cm": {0}, "30 cm": {1}, "60 cm": {2}, "100 cm": {3}}


@pytest.mark.parametrize("absent", range(4))
def test_a_record_without_one_of_the_readings_shifts_no_other(absent: int) -> None:
    """Entries are told apart as wholes: a depth that is missing in one record moves nothing up in it."""
    entries = _entries(*DEPTHS)
    del entries[absent]["readings"][1]

    assert _indices(entries) == {"10 cm": {0}, "30 cm": {1}, "60 cm": {2}, "100 cm": {3}}


@pytest.mark.parametrize("absent", range(4))
def test_a_page_without_one_of_the_entries_shifts_no_other(absent: int) -> None:
    """What an earlier page, or an earlier run, has told apart stays apart."""
    places = Places()
    _indices(_entries(*DEPTHS), places)
    there = [depth for depth in DEPTHS if depth != DEPTHS[absent]]

    assert _indices(_entries(*there), _after_a_run(places)) == {depth: {DEPTHS.index(depth)} for depth in there}


def test_a_depth_that_comes_later_is_a_new_place() -> None:
    """Its index is the next free one, although it lies between others: what is stored keeps its key."""
    places = Places()
    _indices(_entries("10 cm", "60 cm"), places)
    places = _after_a_run(places)

    assert _indices(_entries("10 cm", "30 cm", "60 cm"), places) == {"10 cm": {0}, "30 cm": {2}, "60 cm": {1}}
    assert _indices(_entries("30 cm"), _after_a_run(places)) == {"30 cm": {2}}


@pytest.mark.parametrize("depth", ["", None, "Not Set", "10 cm"])
def test_places_that_no_depth_tells_apart_go_by_order(depth: str | None) -> None:
    """Where the user has entered no depths, or the same one, the order of the response is all there is."""
    places = Places()
    pages = [a_page({"Water Content": _entries(depth, depth, depth)})] * 2
    values = [[record["sub_sensor_index"] for record in records_of(page, places)] for page in pages]

    assert values == [[0, 0, 1, 1, 2, 2]] * 2


@pytest.mark.parametrize(
    ("depths", "indices"),
    [
        (("0.3 m", "5 cm", "1 ft", "6 in", "150 mm"), [3, 0, 4, 2, 1]),
        (("Not Set", "20 cm"), [1, 0]),
        (("-5 cm", "5 cm", "0 cm"), [0, 2, 1]),
        (("20", "10"), [1, 0]),
        (("30 \u0131n", "\u0661 cm", "10 in"), [1, 2, 0]),
    ],
)
def test_depths_are_compared_as_lengths(depths: tuple[str, ...], indices: list[int]) -> None:
    """In whatever unit; a depth that says no length comes last."""
    assert _indices(_entries(*depths)) == {depth: {index} for depth, index in zip(depths, indices, strict=True)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("10 cm", "30 cm"), ("10cm", "0.3 m")),
        (("Not Set", "30 cm"), (" not set", "300 mm")),
        (("top", "bottom"), ("Top", "Bottom ")),
    ],
)
def test_a_depth_that_is_written_otherwise_is_the_same_place(before: tuple[str, str], after: tuple[str, str]) -> None:
    """What is stored keeps its key, whoever tidies up the texts."""
    places = Places()
    indices = [_indices(_entries(*depths), places) for depths in (before, after, after[::-1])]

    assert [indices[1][depth] for depth in after] == [indices[0][depth] for depth in before]
    assert indices[2] == indices[1]


def test_a_depth_that_comes_as_a_number_is_a_place() -> None:
    """The column `depth` can't have it, but the place can."""
    entries = [an_entry({"value": depth}, depth=depth) for depth in (30, 10, 20)]
    records = records_of(a_page({"Water Content": entries}))

    assert {record["value"]: record["sub_sensor_index"] for record in records} == {10: 0, 20: 1, 30: 2}


def test_entries_of_one_depth_that_share_no_record_are_one_place() -> None:
    """Units were changed, or a probe was swapped: the series goes on, whatever its serial number."""
    entries = [
        an_entry({"mrid": 1}, units=" kPa", sensor_sn="old", depth="10 cm"),
        an_entry({"mrid": 1}, units=" kPa", sensor_sn="deep", depth="20 cm"),
        an_entry({"mrid": 2}, units=" psi", sensor_sn="new", depth="10 cm"),
    ]

    assert _indices(entries) == {"10 cm": {0}, "20 cm": {1}}


@pytest.mark.parametrize("depths", [("10 cm", "30 cm"), ("30 cm", "10 cm")])
def test_a_depth_that_was_changed_goes_on_behind_the_old_one(depths: tuple[str, str]) -> None:
    """Of two depths that never were at the same time the first keeps index 0, which it had when it was alone."""
    before, after = depths
    entries = [*_entries(after, mrids=(3, 4)), *_entries(before, mrids=(1, 2))]

    assert _indices(entries) == {before: {0}, after: {1}}


def test_without_depths_the_known_places_go_by_order() -> None:
    """A user who no longer asks for depths keeps the keys."""
    places = Places()
    _indices(_entries(*DEPTHS), places)
    places = _after_a_run(places)

    without = records_of(a_page({"Water Content": _entries(*[None] * 4)}), places)

    assert [record["sub_sensor_index"] for record in without] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert _indices(_entries("60 cm"), places) == {"60 cm": {2}}


def test_depths_that_come_to_be_known_name_the_places() -> None:
    """A user who enters the depths later keeps the keys, from the top down."""
    places = Places()
    _indices(_entries("", "", ""), places)
    places = _after_a_run(places)

    assert _indices(_entries("10 cm", "20 cm", "30 cm"), places) == {"10 cm": {0}, "20 cm": {1}, "30 cm": {2}}
    assert _indices(_entries("30 cm"), _after_a_run(places)) == {"30 cm": {2}}


def test_a_place_belongs_to_its_port_and_measurement() -> None:
    """Each is counted by itself."""
    places = Places()
    page = a_page(
        {
            "Water Content": [*_entries("10 cm", "20 cm"), an_entry({}, port_number=5, depth="20 cm")],
            "Bulk EC": _entries("20 cm"),
        }
    )
    records = records_of(page, places)

    columns = ("measurement", "port_number", "depth", "sub_sensor_index")

    assert {tuple(record[column] for column in columns) for record in records} == {
        ("Water Content", 3, "10 cm", 0),
        ("Water Content", 3, "20 cm", 1),
        ("Water Content", 5, "20 cm", 0),
        ("Bulk EC", 3, "20 cm", 0),
    }
    assert places.as_state() == {"Water Content": {"3": {"0": "10 cm", "1": "20 cm"}}}


def test_an_index_that_the_service_sends_wins() -> None:
    """In an entry, or in a reading, which wins over its entry's; it is no unknown field then."""
    entries = [
        an_entry({"mrid": 1, "value": 7}, depth="10 cm", sub_sensor_index=7),
        an_entry({"mrid": 1, "value": 0}, {"mrid": 2, "value": 4, "sub_sensor_index": 4}, depth="20 cm"),
        an_entry(
            {"mrid": 1, "value": 2, "sub_sensor_index": 2}, {"mrid": 2, "value": 9}, depth="30 cm", sub_sensor_index=9
        ),
    ]
    places = Places()
    records = records_of(a_page({"Water Content": entries, "Rain": [an_entry({}, sub_sensor_index=3)]}), places)

    assert all(record["sub_sensor_index"] == record["value"] for record in records if record["measurement"] != "Rain")
    assert places.as_state() == {}
    assert {record["extra"] for record in records} == {None}


def test_places_of_our_own_keep_clear_of_the_services() -> None:
    """An entry without an index gets one that the service has not given."""
    entries = [an_entry({}, sub_sensor_index=0, depth="30 cm"), *_entries("10 cm", mrids=(4711,))]

    assert _indices(entries) == {"30 cm": {0}, "10 cm": {1}}


def test_the_same_reading_twice_is_one_record() -> None:
    """A sum of rain must not count a value twice; 17 and 17.0 are the same, and so are null and null."""
    readings: list[dict[str, Any]] = [
        {"mrid": 1, "value": 17},
        {"mrid": 1, "value": 17.0},
        {"mrid": 2, "value": None},
        {"mrid": 2, "value": None},
        {"mrid": 3, "value": 0.5},
    ]
    records = records_of(a_page({"Precipitation": [an_entry(*readings)]}))

    assert [(record["mrid"], record["sub_sensor_index"], record["value"]) for record in records] == [
        (1, 0, 17),
        (2, 0, None),
        (3, 0, 0.5),
    ]


def test_two_values_of_one_record_in_one_entry_are_both_kept() -> None:
    """Even what should not be can't overwrite another value: it gets an index that no place has."""
    entries = [*_entries("10 cm", "20 cm", mrids=(1,)), an_entry({"value": 8}, {"value": 9}, depth="30 cm")]
    records = records_of(a_page({"Water Content": entries}))

    assert [(record["depth"], record["sub_sensor_index"], record["value"]) for record in records] == [
        ("10 cm", 0, 0.312),
        ("20 cm", 1, 0.312),
        ("30 cm", 2, 8),
        ("30 cm", 3, 9),
    ]


def test_each_value_of_a_record_in_one_entry_has_an_index_of_its_own() -> None:
    """Counted for each record anew, one after the other."""
    readings = [{"mrid": mrid, "value": value} for mrid in (1, 2) for value in (7, 8, 9)]
    records = records_of(a_page({"Water Content": [an_entry(*readings)]}))

    assert sorted((record["mrid"], record["sub_sensor_index"], record["value"]) for record in records) == [
        *((1, 0, 7), (1, 1, 8), (1, 2, 9)),
        *((2, 0, 7), (2, 1, 8), (2, 2, 9)),
    ]


def test_one_place_needs_no_state() -> None:
    """A device without a profile probe takes no room in the state."""
    places = Places()
    _indices(_entries("10 cm"), places)

    assert places.as_state() == {}


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        5,
        {"Water Content": 3},
        {"Water Content": {"x": {"0": "10 cm"}}},
        {"Water Content": {"3": {"y": "10 cm"}}},
        {"Water Content": {"3": {"1": 7}}},
        {"Water Content": {"3": {"1" * 5000: "10 cm"}}},
        {"Water Content": {"1" * 19: {"0": "20 cm"}}},
    ],
)
def test_a_state_of_another_form_says_nothing(state: object) -> None:
    """Whatever somebody has made of the state by hand, the device is read."""
    assert _indices(_entries("10 cm", "20 cm"), Places(state)) == {"10 cm": {0}, "20 cm": {1}}
