"""Moments: what counts as a stretch of time without readings."""

from __future__ import annotations

import pytest

from tap_zentra.singer.moments import gaps, longest_usual_step

HOUR = 3600


def _every(interval: int, count: int, start: int = 0) -> list[int]:
    return [start + interval * number for number in range(count)]


@pytest.mark.parametrize(
    ("interval", "limit"), [(60, HOUR), (900, HOUR), (1200, HOUR), (1201, 3603), (6 * HOUR, 18 * HOUR)]
)
def test_a_gap_is_longer_than_three_intervals_and_than_an_hour(interval: int, limit: int) -> None:
    """A device that measures every five minutes has no gap of 20, and one that measures twice a day none of 20 h."""
    moments = _every(interval, 10)

    assert longest_usual_step(moments) == limit
    assert gaps([*moments, moments[-1] + limit], 0) == []
    assert gaps([*moments, moments[-1] + limit + 1], 0) == [limit + 1]


def test_each_gap_is_told_with_its_length() -> None:
    """Two stretches without readings are two gaps."""
    assert gaps([*_every(900, 5), *_every(900, 5, start=20_000), *_every(900, 5, start=100_000)], None) == [
        16_400,
        76_400,
    ]


def test_a_gap_may_begin_with_the_last_reading_of_an_earlier_sync() -> None:
    """The moment of the newest reading before is where the first gap may begin."""
    assert gaps(_every(900, 5, start=20_000), 3600) == [16_400]


def test_a_gap_that_was_told_is_not_told_again() -> None:
    """What is read again was looked at before."""
    moments = [*_every(900, 5), *_every(900, 5, start=20_000)]

    assert gaps(moments, moments[-1]) == []
    assert gaps([*moments, moments[-1] + 900], moments[-1]) == []


def test_a_clock_that_was_put_back_makes_no_gap() -> None:
    """Records of an unset clock in mid-history, and the way back from them, are no time without readings."""
    assert gaps([*_every(900, 5), 7, 907, *_every(900, 5, start=5 * 900)], None) == []


def test_one_reading_says_nothing_of_what_is_usual() -> None:
    """Without an interval there is no gap to tell."""
    assert gaps([10**6], 0) == []
    assert gaps([], 0) == []
    assert longest_usual_step([10**6]) == HOUR


def test_two_readings_say_what_is_usual() -> None:
    """The gap before them is one."""
    assert gaps([100_000, 100_900], 0) == [100_000]


def test_readings_of_one_moment_say_nothing_of_what_is_usual() -> None:
    """A clock that stands still makes no device one that measures without end."""
    assert longest_usual_step([0, 0, 0, 0, 7200]) == 3 * 7200
