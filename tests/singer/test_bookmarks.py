"""Bookmarks: a view on the Singer state that keeps what it does not know."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from tap_zentra.singer.bookmarks import Bookmark, Bookmarks, StateError, known_of, read_state

NOW = 2_000_000_000
"""A moment after all others here."""


def _partition(device_sn: str, mrid: object) -> dict[str, Any]:
    return {
        "context": {"device_sn": device_sn},
        "replication_key": "mrid",
        "replication_key_value": mrid,
    }


def test_a_bookmark_is_read() -> None:
    """Each device has the bookmark of its own partition."""
    bookmarks = Bookmarks({"partitions": [_partition("z6-1", 112799), _partition("z6-2", 7)]}, replication_key="mrid")

    assert bookmarks.get("z6-1") == Bookmark(112799)
    assert bookmarks.get("z6-2") == Bookmark(7)


@pytest.mark.parametrize(
    "stream_state",
    [
        {},
        {"partitions": []},
        {"partitions": [_partition("z6-2", 7)]},
        {"partitions": [{"context": {"device_sn": "z6-1"}}]},
        {"partitions": [_partition("z6-1", None)]},
    ],
)
def test_a_device_without_a_bookmark_has_none(stream_state: dict[str, Any]) -> None:
    """A device that was never read is told apart from one that was read up to some mrid."""
    assert Bookmarks(stream_state, replication_key="mrid").get("z6-1") is None


def test_zero_is_a_bookmark() -> None:
    """A device that was read up to mrid 0 has been read."""
    assert Bookmarks({"partitions": [_partition("z6-1", 0)]}, replication_key="mrid").get("z6-1") == Bookmark(0)


def test_a_first_bookmark_makes_a_partition_of_the_singer_shape() -> None:
    """The context is the serial number and nothing else."""
    stream_state: dict[str, Any] = {}
    bookmarks = Bookmarks(stream_state, replication_key="mrid")
    bookmarks.set("z6-1", Bookmark(0))

    assert stream_state == {"partitions": [_partition("z6-1", 0)]}
    assert bookmarks.get("z6-1") == Bookmark(0)


def test_a_bookmark_is_moved_in_place() -> None:
    """Moving a bookmark changes its partition and adds none."""
    stream_state = {"partitions": [_partition("z6-1", 5), _partition("z6-2", 7)]}
    bookmarks = Bookmarks(stream_state, replication_key="mrid")
    bookmarks.set("z6-2", Bookmark(9))
    bookmarks.set("z6-2", Bookmark(12))

    assert stream_state == {"partitions": [_partition("z6-1", 5), _partition("z6-2", 12)]}
    assert bookmarks.get("z6-2") == Bookmark(12)


def test_a_bookmark_may_go_back() -> None:
    """A wiped device counts from the start again, and so does its bookmark."""
    bookmarks = Bookmarks({"partitions": [_partition("z6-1", 5000)]}, replication_key="mrid")
    bookmarks.set("z6-1", Bookmark(3))

    assert bookmarks.get("z6-1") == Bookmark(3)


def test_a_partition_without_a_key_gets_one() -> None:
    """A partition that the SDK prepared without a value becomes a whole one."""
    stream_state = {"partitions": [{"context": {"device_sn": "z6-1"}}]}
    Bookmarks(stream_state, replication_key="mrid").set("z6-1", Bookmark(5))

    assert stream_state == {"partitions": [_partition("z6-1", 5)]}


def test_what_is_not_known_stays() -> None:
    """Other devices' partitions, and everything else in the state, stay as they are."""
    others = {
        "partitions": [{**_partition("z6-gone", 3), "progress_markers": {"Note": "x"}}],
        "starting_replication_value": 1,
    }
    stream_state = copy.deepcopy(others)
    Bookmarks(stream_state, replication_key="mrid").set("z6-1", Bookmark(5))

    assert stream_state == {**others, "partitions": [*others["partitions"], _partition("z6-1", 5)]}  # type: ignore[misc]


def test_reading_changes_nothing() -> None:
    """Looking at a state leaves it as it is."""
    stream_state: dict[str, Any] = {"partitions": [_partition("z6-1", 5)]}
    bookmarks = Bookmarks(stream_state, replication_key="mrid")
    bookmarks.get("z6-1")
    bookmarks.get("z6-2")

    assert stream_state == {"partitions": [_partition("z6-1", 5)]}


def test_the_moment_of_the_newest_reading_stands_beside_the_partitions() -> None:
    """The partitions keep the Singer shape; each device's newest moment is found again in the next run."""
    stream_state: dict[str, Any] = {}
    bookmarks = Bookmarks(stream_state, replication_key="mrid")
    bookmarks.set("z6-1", Bookmark(5), newest=1767225600)
    bookmarks.set("z6-2", Bookmark(7))

    assert stream_state == {
        "partitions": [_partition("z6-1", 5), _partition("z6-2", 7)],
        "newest_readings": {"z6-1": 1767225600},
    }
    again = Bookmarks(stream_state, replication_key="mrid")
    assert [again.newest(device_sn, until=NOW) for device_sn in ("z6-1", "z6-2", "z6-3")] == [1767225600, None, None]


def test_a_newest_moment_that_can_t_be_true_is_none() -> None:
    """Versions before 0.2.0 kept what a clock that was ahead had stamped; no device may look fresh for that."""
    bookmarks = Bookmarks({"newest_readings": {"z6-1": 3_000_000_000}}, replication_key="mrid")

    assert (bookmarks.newest("z6-1", until=NOW), bookmarks.newest("z6-1", until=3_000_000_000)) == (None, 3_000_000_000)
    assert Bookmarks({"newest_readings": {"z6-1": -1}}, replication_key="mrid").newest("z6-1", until=NOW) is None


def test_what_is_known_of_what_was_read_stands_beside_the_bookmark() -> None:
    """Digests and places come back in the next run, and go when there are none any more."""
    stream_state: dict[str, Any] = {}
    bookmark = Bookmark(5, overlap={"from": 1, "digests": ["x"]}, places={"Water Content": {"3": {"0": None}}})
    Bookmarks(stream_state, replication_key="mrid").set("z6-1", bookmark)

    assert stream_state["partitions"] == [
        {**_partition("z6-1", 5), "overlap": bookmark.overlap, "places": bookmark.places}
    ]

    again = Bookmarks(stream_state, replication_key="mrid")

    assert again.get("z6-1") == bookmark

    again.set("z6-1", Bookmark(6))

    assert stream_state["partitions"] == [_partition("z6-1", 6)]


@pytest.mark.parametrize("known", ["", "North", "[1]", 5, [1]])
def test_what_is_known_in_another_form_is_nothing(known: object) -> None:
    """As after an edit."""
    assert known_of(Bookmark(5, known=known)) == {}


@pytest.mark.parametrize("newest", [None, 5, [], {}, {"z6-1": "2026-01-31"}, {"z6-1": None}])
def test_a_state_without_newest_moments_is_a_state_all_the_same(newest: object) -> None:
    """What others left there costs the age of a silent device and nothing else."""
    bookmarks = Bookmarks({"partitions": [_partition("z6-1", 5)], "newest_readings": newest}, replication_key="mrid")

    assert (bookmarks.get("z6-1"), bookmarks.newest("z6-1", until=NOW)) == (Bookmark(5), None)


@pytest.mark.parametrize(
    "partitions",
    [
        None,
        5,
        "partitions",
        {"context": {"device_sn": "z6-1"}},
        [None],
        ["z6-1"],
        [["z6-1"]],
        [5],
        [{}],
        [{"context": None}],
        [{"context": "z6-1"}],
        [{"context": {}}],
        [{"context": {"location": 1}}],
        [{"context": {"device_sn": ["z6-1"]}}],
        [_partition("z6-1", 5), {"context": {}}],
    ],
)
def test_a_state_of_another_shape_is_refused(partitions: object) -> None:
    """A state that this tap can't have written is refused in words, and not read as "nothing yet"."""
    with pytest.raises(StateError) as caught:
        Bookmarks({"partitions": partitions}, replication_key="mrid")

    assert str(caught.value) == (
        "the state is not from this tap: each partition needs a context with device_sn; "
        "pass the state of an earlier run, as `meltano state get` prints it, or none to start from the beginning"
    )


@pytest.mark.parametrize("mrid", ["112799", "2026-01-31T00:00:00Z", 5.0, 5.5, -1, True, [5], {"mrid": 5}])
def test_a_bookmark_that_is_no_mrid_is_refused(mrid: object) -> None:
    """A bookmark of another kind is refused with the device's name and what it should be."""
    with pytest.raises(StateError, match=r"bookmark for z6-1 should be an mrid \(a whole number\)"):
        Bookmarks({"partitions": [_partition("z6-1", mrid)]}, replication_key="mrid")


def test_two_bookmarks_of_one_device_are_refused() -> None:
    """Which of the two is true can't be known, and the wrong one would lose readings."""
    with pytest.raises(StateError, match="two bookmarks for z6-1"):
        Bookmarks({"partitions": [_partition("z6-1", 5), _partition("z6-1", 9)]}, replication_key="mrid")


def test_a_device_is_the_same_in_another_case() -> None:
    """Who spells a serial number anew goes on from its bookmark, which keeps its place and its spelling."""
    stream_state = {"partitions": [_partition("z6-1", 5)], "newest_readings": {"z6-1": 1767225600}}
    bookmarks = Bookmarks(stream_state, replication_key="mrid")

    assert (bookmarks.get("Z6-1"), bookmarks.newest("Z6-1", until=NOW)) == (Bookmark(5), 1767225600)
    bookmarks.set("Z6-1", Bookmark(9), newest=1767229200)
    assert stream_state == {"partitions": [_partition("z6-1", 9)], "newest_readings": {"z6-1": 1767229200}}


def test_two_bookmarks_that_differ_by_case_are_of_one_device() -> None:
    """And so refused: which of the two is true can't be known."""
    with pytest.raises(StateError, match="two bookmarks for Z6-1"):
        Bookmarks({"partitions": [_partition("z6-1", 5), _partition("Z6-1", 9)]}, replication_key="mrid")


# The whole state


@pytest.mark.parametrize(("given", "shown"), [("x" * 38, f'"{"x" * 38}"'), ("x" * 39, f'"{"x" * 39}…'), ({5}, '"{5}"')])
def test_what_is_wrong_in_a_state_is_shown_shortly(given: object, shown: str) -> None:
    """Whatever it is, on one line, with its end cut off."""
    with pytest.raises(StateError) as caught:
        read_state({"bookmarks": given})

    assert f"bookmarks should be an object, not {shown};" in str(caught.value)


A_STATE: dict[str, Any] = {"bookmarks": {"readings": {"partitions": [_partition("z6-1", 5)]}}}


@pytest.mark.parametrize("given", [A_STATE, {"singer_state": A_STATE}, {**A_STATE, "currently_syncing": None}])
def test_a_state_is_read_as_a_run_wrote_it_and_as_meltano_prints_it(given: dict[str, Any]) -> None:
    """`meltano state get` prints it below `singer_state`; what stands beside the bookmarks is no fault."""
    assert read_state(given)["bookmarks"] == A_STATE["bookmarks"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"singer_state": {}},
        {"bookmarks": {}},
        {"bookmarks": {"readings": {}}},
        {"bookmarks": {"readings": {"partitions": []}, "orders": {"replication_key_value": "x"}}},
    ],
)
def test_a_state_may_be_empty(given: dict[str, Any]) -> None:
    """A first run has none, and other streams' bookmarks are theirs."""
    assert read_state(given) in (given, {})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([], "its top level should be an object, not []"),
        ({"readings": {"partitions": []}}, "it has readings, but neither bookmarks nor singer_state"),
        ({"type": "STATE", "value": A_STATE}, "it has type, value, but neither bookmarks nor singer_state"),
        ({"singer_state": {"x": 1}}, "it has x, but neither bookmarks nor singer_state"),
        ({"singer_state": None}, "singer_state should be an object, not null"),
        ({"bookmarks": None}, "bookmarks should be an object, not null"),
        ({"bookmarks": None, "singer_state": A_STATE}, "bookmarks should be an object, not null"),
        ({"bookmarks": []}, "bookmarks should be an object, not []"),
        ({"bookmarks": {"readings": None}}, "bookmarks.readings should be an object, not null"),
        ({"bookmarks": {"readings": "2026"}}, 'bookmarks.readings should be an object, not "2026"'),
        (
            {"singer_state": {"bookmarks": {"readings": {"partitions": None}}}},
            "bookmarks.readings.partitions should be a list, not null",
        ),
        (
            {"bookmarks": {"readings": {"partitions": {"z6-1": 5}}}},
            'bookmarks.readings.partitions should be a list, not {"z6-1": 5}',
        ),
        (
            {"bookmarks": {"readings": {"partitions": [_partition("z6-1", 5), None]}}},
            "bookmarks.readings.partitions[1] should be an object, not null",
        ),
        (
            {"bookmarks": {"readings": {"partitions": [{"replication_key_value": 5}]}}},
            "bookmarks.readings.partitions[0].context should be an object, not null",
        ),
        (
            {"bookmarks": {"readings": ["x" * 100]}},
            f'bookmarks.readings should be an object, not ["{"x" * 38}…',
        ),
    ],
)
def test_a_state_of_neither_shape_is_refused(given: object, fault: str) -> None:
    """Taken for an empty one it would have everything read again; the part that is wrong is named."""
    with pytest.raises(StateError) as caught:
        read_state(given)

    assert str(caught.value) == (
        f"the state is not from this tap: {fault}; "
        "pass the state of an earlier run, as `meltano state get` prints it, or none to start from the beginning"
    )


# Bookmarks that are moments

NOON = 1_769_860_800
"""2026-01-31T12:00:00Z."""


def _of_moments(**values: object) -> Bookmarks:
    partitions = [_partition(device_sn, value) for device_sn, value in values.items()]
    return Bookmarks({"partitions": partitions}, replication_key="timestamp_utc", of_moments=True)


@pytest.mark.parametrize(
    ("stored", "moment"),
    [
        ("2026-01-31T12:00:00+00:00", NOON),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T12:00:00.999999+00:00", NOON),
        ("2026-01-31", NOON - 43_200),
        ("1970-01-01T00:00:00+00:00", 0),
        ("1969-12-31T00:00:00+00:00", 0),
    ],
)
def test_a_moment_is_read_in_all_forms_that_a_person_may_write(stored: str, moment: int) -> None:
    """In UTC where it names no zone; to the whole second, or the next sync would miss the rest of it."""
    assert _of_moments(a=stored).get("A") == Bookmark(moment)


def test_a_moment_without_a_zone_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it stands."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            assert _of_moments(a="2026-01-31 12:00:00").get("a") == Bookmark(NOON)
        finally:
            elsewhere.undo()
            time.tzset()


@pytest.mark.parametrize(
    "stored", [5, 112_799, NOON, 20_260_131, 1_712_010_100_000, 5.0, True, [], {}, "", "yesterday", "112799", "2026"]
)
def test_a_bookmark_that_is_no_moment_is_refused(stored: object) -> None:
    """With the device's name and what it should be; an mrid, or seconds, is taken for no date."""
    with pytest.raises(
        StateError, match=r"bookmark for a should be a timestamp such as 2026-01-31T12:00:00\+00:00, not "
    ):
        _of_moments(a=stored)


def test_a_moment_is_written_as_iso_8601_in_utc() -> None:
    """As the records have it, so that other programs can compare them."""
    stream_state: dict[str, Any] = {}
    bookmarks = Bookmarks(stream_state, replication_key="timestamp_utc", of_moments=True)
    bookmarks.set("z6-1", Bookmark(NOON, asked=NOON + 5), newest=NOON)
    bookmarks.set("z6-2", Bookmark(None))

    assert stream_state == {
        "partitions": [
            {
                "context": {"device_sn": "z6-1"},
                "replication_key": "timestamp_utc",
                "replication_key_value": "2026-01-31T12:00:00+00:00",
                "asked": NOON + 5,
            },
            {"context": {"device_sn": "z6-2"}, "replication_key": "timestamp_utc", "replication_key_value": None},
        ]
    }
    assert bookmarks.get("z6-1") == Bookmark(NOON, asked=NOON + 5)


def test_a_bookmark_within_a_page_forgets_what_the_one_before_it_knew() -> None:
    """When the device was asked, and what it held, is true of the bookmark beside which it stands."""
    bookmarks = _of_moments()
    bookmarks.set("z6-1", Bookmark(NOON, overlap={"from": 5, "digests": []}, asked=NOON))
    bookmarks.set("z6-1", Bookmark(NOON + 1))

    assert bookmarks.get("z6-1") == Bookmark(NOON + 1)


def test_the_newest_reading_is_where_a_bookmark_of_moments_stands() -> None:
    """So nothing is kept beside the partitions, and nothing there is looked at."""
    stream_state = {"partitions": [_partition("z6-1", "2026-01-31T12:00:00Z")], "newest_readings": {"z6-1": 5}}
    bookmarks = Bookmarks(stream_state, replication_key="timestamp_utc", of_moments=True)

    assert (bookmarks.newest("Z6-1", until=NOW), bookmarks.newest("z6-2", until=NOW)) == (NOON, None)


def test_the_devices_with_a_bookmark_are_known() -> None:
    """As they are spelled there, in that order."""
    assert _of_moments(b="2026-01-31", A=None).device_sns == ["b", "A"]
