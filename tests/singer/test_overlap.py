"""Overlap: of what was read again only what has changed counts, and only once it was read whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.singer.overlap import LARGEST_GROUP, Overlap, content


def _contents(first: int, last: int, **changed: bytes) -> dict[int, bytes]:
    """Return what records hold: of each its own number, unless it is given as `m7=b"other"`."""
    return {mrid: changed.get(f"m{mrid}", b"%d" % mrid) for mrid in range(first, last + 1)}


def _after(contents: dict[int, bytes], bookmark: int, reach: int) -> Any:
    """Return the state behind a first sync that has read these records."""
    overlap = Overlap(None, reach=reach)
    overlap.note(contents)
    overlap.settle(bookmark + 1)
    return json.loads(json.dumps(overlap.as_state(bookmark)))


def _changed(state: object, bookmark: int, reach: int, contents: dict[int, bytes]) -> set[int]:
    overlap = Overlap(bookmark, reach=reach, state=state)
    overlap.note(contents)
    return overlap.settle(max(contents) + 1)


def test_what_is_the_same_is_not_changed() -> None:
    """An idle sync writes nothing, and leaves the same state."""
    state = _after(_contents(1, 300), 300, 200)
    overlap = Overlap(300, reach=200, state=state)
    overlap.note(_contents(101, 300))

    assert overlap.settle(301) == set()
    assert overlap.as_state(300) == state


@pytest.mark.parametrize(
    ("mrid", "group"),
    [
        (300, {300}),
        (299, {299}),
        (298, {297, 298}),
        (295, {293, 294, 295, 296}),
        (290, set(range(285, 293))),
        (101, set(range(101, 173))),
    ],
)
def test_a_change_near_the_bookmark_writes_little_again(mrid: int, group: set[int]) -> None:
    """The newest record by itself, then groups of 1, 2, 4, 8, … records, so that few digests reach far back."""
    state = _after(_contents(1, 300), 300, 200)

    assert _changed(state, 300, 200, _contents(101, 300, **{f"m{mrid}": b"late"})) == group


def test_no_group_is_larger_than_the_largest() -> None:
    """A change far back in a long look-back does not write half of it again."""
    state = _after(_contents(1, 5000), 5000, 4000)

    assert len(_changed(state, 5000, 4000, _contents(1001, 5000, m1500=b"late"))) <= LARGEST_GROUP


@pytest.mark.parametrize(("position", "group"), [(5000, 1), (4000, 512), (3000, 1024), (1500, 928)])
def test_a_stream_may_have_larger_groups(position: int, group: int) -> None:
    """Moments are many, and few of them have a reading."""
    contents = _contents(1, 5000)
    overlap = Overlap(None, reach=4000, largest_group=1024)
    overlap.note(contents)
    state = overlap.as_state(5000)
    assert state is not None
    assert len(state["digests"]) == 14

    again = Overlap(5000, reach=4000, state=state, largest_group=1024)
    again.note({**contents, position: b"late"})

    changed = again.settle(5001)
    assert position in changed
    assert len(changed) == group


def test_digests_of_other_groups_are_none() -> None:
    """Whoever changes the size of groups begins anew, and writes nothing again for it."""
    state = _after(_contents(1, 5000), 5000, 4000)
    overlap = Overlap(5000, reach=4000, state=state, largest_group=1024)
    overlap.note(_contents(1001, 5000, m1500=b"late"))

    assert overlap.settle(5001) == set()


@pytest.mark.parametrize(("read_from", "beginning"), [(None, 250), (0, 101), (120, 120)])
def test_digests_begin_where_all_was_read_from(read_from: int | None, beginning: int) -> None:
    """There need be nothing there yet, so that what comes later is found; without that, at the first record."""
    overlap = Overlap(None, reach=200)
    overlap.note(_contents(250, 300), read_from)
    state = overlap.as_state(300)

    assert state is not None
    assert state["from"] == beginning
    assert _changed(state, 300, 200, _contents(beginning, 300)) >= set(range(beginning, 250))


def test_an_idle_sync_does_not_shorten_the_look_back() -> None:
    """Where nothing was at its beginning, something may come still."""
    first = Overlap(None, reach=200)
    first.note(_contents(250, 300), 0)
    overlap = Overlap(300, reach=200, state=first.as_state(300))
    overlap.note(_contents(250, 300))
    overlap.settle(301)

    assert overlap.as_state(300) == first.as_state(300)


@pytest.mark.parametrize("mrid", [101, 250, 300])
def test_a_record_that_comes_late_or_goes_is_a_change(mrid: int) -> None:
    """Not only values may differ: a record that was not there, or is not there any more, does too."""
    there, away = _contents(1, 300), _contents(1, 300)
    del away[mrid]

    assert mrid in _changed(_after(away, 300, 200), 300, 200, there)
    assert _changed(_after(there, 300, 200), 300, 200, away) == _changed(_after(away, 300, 200), 300, 200, there) - {
        mrid
    }


@pytest.mark.parametrize(
    "state",
    [
        *(None, [], {}, 7, {"from": 5}, {"from": -1, "digests": []}, {"from": "5", "digests": []}),
        *({"from": 299, "digests": ["x"]}, {"from": 299, "digests": ["x", "y", "z"]}),
    ],
)
def test_without_digests_nothing_is_changed(state: object) -> None:
    """A state of 0.1.0 has none: they are made, and the next sync compares."""
    overlap = Overlap(300, reach=200, state=state)
    overlap.note(_contents(101, 300))

    assert overlap.start == 101
    assert overlap.settle(301) == set()
    assert _changed(overlap.as_state(300), 300, 200, _contents(101, 300, m300=b"late")) == {300}


def test_where_the_device_was_first_read_from_the_lookback_ends() -> None:
    """What comes before `start_date` is not read later either; the look-back grows with the records."""
    state = _after(_contents(250, 300), 300, 200)

    assert Overlap(300, reach=200, state=state).start == 250
    overlap = Overlap(300, reach=200, state=state)
    overlap.note(_contents(250, 480))
    overlap.settle(481)
    assert Overlap(480, reach=200, state=overlap.as_state(480)).start == 281


@pytest.mark.parametrize(("bookmark", "reach", "start"), [(300, 1, 300), (300, 200, 101), (5, 200, 0), (0, 1, 0)])
def test_a_lookback_ends_at_the_bookmark_and_begins_so_many_before(bookmark: int, reach: int, start: int) -> None:
    """At most at the very first position there may be."""
    assert Overlap(bookmark, reach=reach).start == start


def test_a_first_record_may_be_number_0() -> None:
    """Digests from there on are digests."""
    state = _after(_contents(0, 5), 5, 200)

    assert _changed(state, 5, 200, _contents(0, 5, m0=b"late")) >= {0}


def test_the_last_group_is_open_until_the_bookmark_was_read() -> None:
    """Everything below it is not everything."""
    overlap = Overlap(300, reach=200, state=_after(_contents(1, 300), 300, 200))
    overlap.note(_contents(101, 299))
    overlap.settle(300)

    assert (overlap.is_open(299), overlap.is_open(300)) == (False, True)


def test_a_first_sync_reads_nothing_again() -> None:
    """Nor does one without a look-back; neither calls anything old or open."""
    first, without = Overlap(None, reach=200), Overlap(300, reach=0)

    assert (first.start, without.start) == (None, None)
    assert (first.is_old(5), first.is_open(5)) == (False, False)
    assert (without.is_old(300), without.is_old(301), without.is_open(300)) == (True, False, False)
    assert without.as_state(300) is None


def test_a_group_is_compared_when_it_was_read_to_its_end() -> None:
    """Where a page ends within a group, its records are open, and the state stays as it was until all was read."""
    state = _after(_contents(1, 300), 300, 200)
    overlap = Overlap(300, reach=200, state=state)
    overlap.note(_contents(101, 250, m250=b"late"))

    assert overlap.settle(251) == set()
    assert [overlap.is_open(position) for position in (172, 236, 237, 250, 300)] == [False, False, True, True, True]
    assert overlap.as_state(300) == state

    overlap.note(_contents(251, 310))

    assert 250 in overlap.settle(311)
    assert not overlap.is_open(300)
    assert overlap.as_state(310) != state


def test_only_what_matters_is_wanted() -> None:
    """Of a page, what the next sync will read again, and what this one reads again."""
    overlap = Overlap(300, reach=10, state=_after(_contents(1, 300), 300, 10))

    assert [mrid for mrid in range(280, 331) if overlap.is_wanted(mrid, newest=330)] == [
        *range(291, 301),
        *range(321, 331),
    ]


def test_the_state_of_a_device_is_small() -> None:
    """A thousand devices must not make it large: ten digests reach 200 records back."""
    state = _after(_contents(1, 100_000), 100_000, 200)

    assert len(json.dumps(state)) < 150


def test_a_shorter_lookback_compares_what_it_reads() -> None:
    """A group of which only a part is read again says nothing; the others do."""
    state = _after(_contents(1, 300), 300, 200)

    assert _changed(state, 300, 10, _contents(291, 300, m291=b"late", m299=b"late")) == {299}


def test_the_content_of_a_record_is_short_and_its_own() -> None:
    """Six bytes, of the same values always the same."""
    assert content(b"a") == content(b"a") != content(b"b")
    assert len(content(b"a")) == 6


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    reach=st.integers(1, 300),
    runs=st.lists(st.tuples(st.integers(0, 40), st.sets(st.integers(1, 400), max_size=5)), min_size=1, max_size=6),
    page=st.integers(1, 300),
)
def test_every_change_within_reach_is_found_and_nothing_else_is_open(
    reach: int, runs: list[tuple[int, set[int]]], page: int
) -> None:
    """Over any number of syncs, in pages of any size: what changed is written again, idle syncs write nothing."""
    newest, version, state = 0, dict.fromkeys(range(500), 0), None
    for number, (grown, changes) in enumerate(runs):
        bookmark, newest = newest, newest + grown
        for mrid in changes:
            version[mrid] = number
        overlap = Overlap(bookmark or None, reach=reach, state=state)
        start = 1 if overlap.start is None else overlap.start
        written: set[int] = set()
        for first in range(start, newest + 1, page):
            last = min(first + page - 1, newest)
            overlap.note({mrid: b"%d" % version[mrid] for mrid in range(first, last + 1)})
            written |= overlap.settle(last + 1)
        state = overlap.as_state(newest) if newest else None
        late = {mrid for mrid in changes if max(start, bookmark + 1 - reach) <= mrid <= bookmark and number > 0}

        assert late <= written
        assert not written or late
        assert not overlap.is_open(newest)
