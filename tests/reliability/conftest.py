"""Emulators, and a pipeline of the real tap, the real target and a real PostgreSQL, for attacks on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reliability.pipeline import Pipeline
from tests.support import emulators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_zentra.emulator import Emulator

WINDOW = 0.1
"""Seconds that stand for the service's minute."""


@pytest.fixture
def emulate() -> Iterator[Callable[..., Emulator]]:
    """Start emulators that stop after the test."""
    with emulators(window=WINDOW, user_limit=10_000) as start:
        yield start


@pytest.fixture
def pipeline(tmp_path: Path, target_postgres: Path) -> Iterator[Pipeline]:
    """A Meltano project of the tap and the target, and a PostgreSQL that may be killed."""
    with Pipeline(tmp_path, target_postgres) as pipeline:
        yield pipeline
