"""Memory for bodies: who may call, whose body may grow, and what is given back."""

from __future__ import annotations

import threading

import pytest

from tap_zentra.calls.memory import LATELY, BodyMemory
from tests.calls.watched import WatchedMemory
from tests.support import HANGS, a_call


def _receive(memory: BodyMemory, size: int) -> None:
    """Let a body of some size come and go."""
    with a_call(memory=memory) as call:
        call.reserve(size)
        call.complete(size)


def test_a_call_is_made_when_there_is_room_for_its_body() -> None:
    """Before the first body by what is expected, and again once another body has gone."""
    memory = BodyMemory(limit=100, expected=40)
    first, _ = a_call(memory=memory), a_call(memory=memory)

    assert memory.held == 80
    assert not memory.has_room()

    first.end()

    assert memory.has_room()


def test_the_largest_body_lately_is_what_is_expected() -> None:
    """And nothing of it is left once so many others have come."""
    memory = BodyMemory(limit=100, expected=40)
    for size in (3, 60, 2):
        _receive(memory, size)
    expected = [a_call(memory=memory)]
    for _ in range(LATELY):
        _receive(memory, 2)
    expected.append(a_call(memory=memory))

    assert [call.reserved for call in expected] == [60, 2]


def test_a_caller_may_expect_less() -> None:
    """Then there is room for it where there is none for the largest body lately; never is more expected than that."""
    memory = BodyMemory(limit=100, expected=60)
    memory.start_call(lambda: None, 20)

    assert memory.held == 20
    assert memory.has_room()
    assert memory.has_room(1000)

    memory.start_call(lambda: None, 1000)

    assert memory.held == 80
    assert memory.has_room(20)
    assert not memory.has_room(21)


def test_a_failed_call_says_nothing_about_bodies() -> None:
    """A service that refuses in two words sends pages as large as before."""
    memory = BodyMemory(limit=100, expected=40)
    with a_call(memory=memory):
        pass

    assert memory.held == 0
    assert a_call(memory=memory).reserved == 40


def test_a_body_larger_than_the_limit_comes_alone() -> None:
    """It is read, whatever it takes; nobody else calls meanwhile, nor before all others have gone."""
    memory = BodyMemory(limit=100)
    _receive(memory, 250)

    assert memory.has_room()

    with a_call(memory=memory):
        assert memory.held == 250
        assert not memory.has_room()
    assert memory.has_room()


def test_a_whole_body_gives_back_what_was_too_much() -> None:
    """Whoever waits for it goes on."""
    memory = BodyMemory(limit=100, expected=40)
    call = a_call(memory=memory)
    call.complete(15)

    assert (memory.held, call.reserved) == (15, 15)


def test_less_than_is_reserved_changes_nothing() -> None:
    """A body may turn out smaller than expected: that shows only at its end."""
    memory = BodyMemory(limit=100, expected=40)
    call = a_call(memory=memory)
    call.reserve(10)

    assert (memory.held, call.reserved) == (40, 40)


@pytest.mark.parametrize("leave", ["end", "complete"])
def test_a_body_that_grows_waits_while_the_others_are_beyond_the_limit(leave: str) -> None:
    """One body goes beyond the limit and the next one waits; it goes on when the first has left room, or needs less."""
    memory = WatchedMemory(limit=100, expected=30)
    first, second, _ = (a_call(memory=memory) for _ in range(3))
    first.reserve(90)

    assert memory.held == 150

    thread = threading.Thread(target=second.reserve, args=[31], daemon=True)
    thread.start()
    memory.wait_until_waiting(1)

    assert second.reserved == 30

    if leave == "end":
        first.end()
    else:
        first.complete(70)
    thread.join(HANGS)

    assert second.reserved == 31


def test_bodies_never_wait_for_each_other_in_a_circle() -> None:
    """Twenty that fill the memory, all to become ten times as large, piece by piece: each one is read to its end."""
    memory = WatchedMemory(limit=100, expected=5)
    together = threading.Barrier(20)
    read: list[int] = []

    def receive() -> None:
        with a_call(memory=memory) as call:
            together.wait()
            for size in range(5, 51, 5):
                call.reserve(size)
            call.complete(50)
            read.append(call.reserved)

    threads = [threading.Thread(target=receive, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)

    assert read == [50] * 20
    assert memory.held == 0
    assert memory.peak <= 100 + 50
