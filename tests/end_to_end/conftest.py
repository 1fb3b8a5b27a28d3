"""Runs of the installed command line against an emulator, as a user or a scheduler would start them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import emulators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zentra.emulator import Device, Emulator

WINDOW = 0.25
"""Seconds that stand for the service's minute."""


@pytest.fixture
def emulate() -> Iterator[Callable[..., Emulator]]:
    """Start emulators that stop after the test, and that never had to refuse a call that came too early."""
    started: list[Emulator] = []
    with emulators(window=WINDOW) as start:

        def start_and_keep(*devices: Device, **options: Any) -> Emulator:
            started.append(start(*devices, **options))
            return started[-1]

        yield start_and_keep
    for emulator in started:
        if not any(call.injected for call in emulator.calls):
            assert [call for call in emulator.calls if call.status == 429] == []
