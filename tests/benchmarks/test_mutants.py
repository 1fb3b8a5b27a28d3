"""What the table of mutants counts; the mutation run itself is on request."""

from __future__ import annotations

from benchmarks.mutants import Mutant, by_room, names

KILLED = Mutant("z.x_f__mutmut_1", "z", "f", noticed=True)
SURVIVED = Mutant("z.x_f__mutmut_2", "z", "f", noticed=False, line="return 1")
OTHER_ROOM = Mutant("y.x_f__mutmut_1", "y", "f", noticed=True)


def test_a_mutant_that_changes_nothing_counts_neither_way() -> None:
    """The score is of the mutants that a test can notice."""
    table = by_room([KILLED, SURVIVED], {("f", "return 1"): "a reason"})

    assert table.rows == [("z", "2", "1", "1", "0", "100.0 %")]
    assert table.faults == []


def test_a_survivor_is_named_and_a_low_score_marked() -> None:
    """Each room stands for itself, and whoever reads the table sees what is to be done."""
    table = by_room([KILLED, SURVIVED, OTHER_ROOM], {})

    assert table.rows == [
        ("y", "1", "1", "0", "0", "100.0 %"),
        ("z", "2", "1", "0", "1", "**50.0 %** (missed)"),
    ]
    assert table.faults == ["z: z.x_f__mutmut_2 survived: return 1"]


def test_a_listed_mutant_that_is_gone_is_named() -> None:
    """The list holds nothing that tests notice or that the code no longer has."""
    table = by_room([KILLED], {("f", "return 1"): "a reason"})

    assert table.faults == ["listed as equivalent, but not found: f: return 1"]


def test_a_name_says_room_and_function() -> None:
    """They are in what mutmut calls a mutant of a function or method, wherever their module is."""
    assert names("tap_zentra.records.x__parts__mutmut_12") == ("records", "_parts")
    assert names("tap_zentra.calls.schedule.xǁScheduleǁ__init____mutmut_6") == ("calls.schedule", "Schedule.__init__")
