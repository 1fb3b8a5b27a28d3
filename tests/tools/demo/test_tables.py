"""What the demo prints, and what it takes for wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tools.demo.tables import Load, aligned


def test_numbers_stand_to_the_right_and_all_else_to_the_left() -> None:
    """A table is readable in a terminal as it is."""
    lines = [("Air Temperature", 1, Decimal("17.4"), "°C"), ("Lightning Activity", 12000, None, None)]

    assert aligned(("measurement", "port", "value", "units"), lines).splitlines() == [
        "measurement           port    value  units",
        "------------------  ------  -------  -------",
        "Air Temperature          1     17.4  °C",
        "Lightning Activity  12,000        -  -",
    ]


def test_a_truth_is_a_word() -> None:
    """It is no number, although Python counts it among them."""
    assert aligned(("device", "alive"), [("z6-1", True), ("z6-2", False)]).splitlines()[2:] == [
        "z6-1      yes",
        "z6-2      no",
    ]


def test_a_table_without_lines_is_its_header() -> None:
    """Nothing to show is no error."""
    assert aligned(("a", "bb"), []) == "a    bb\n---  ----"


def test_a_load_shows_each_device_and_all() -> None:
    """The rows before, after and new, beside what the service holds."""
    load = Load({"z6-1": 10}, {"z6-1": 12, "z6-2": 5}, {"z6-1": 12, "z6-2": 5}, written=7)

    assert [line.split() for line in load.table.splitlines()[2:]] == [
        ["z6-1", "10", "12", "2", "12"],
        ["z6-2", "0", "5", "5", "5"],
        ["all", "10", "17", "7", "17"],
    ]
    assert load.faults == []


@pytest.mark.parametrize(
    ("after", "written", "fault"),
    [
        pytest.param({"z6-1": 11}, 2, "z6-1: 11 rows in the table, 12 values in the service.", id="rows missing"),
        pytest.param({}, 2, "z6-1: 0 rows in the table, 12 values in the service.", id="device missing"),
        pytest.param({"z6-1": 13}, 2, "z6-1: 13 rows in the table, 12 values in the service.", id="too many rows"),
        pytest.param({"z6-1": 12}, 9, "9 readings were written, but 2 were new.", id="written again"),
    ],
)
def test_a_load_that_is_not_right_says_what_is_wrong(after: dict[str, int], written: int, fault: str) -> None:
    """A missing row, a surplus one, and a reading that was written without need are all told."""
    load = Load({"z6-1": 10}, after, {"z6-1": 12}, written)

    assert load.faults == [fault]
