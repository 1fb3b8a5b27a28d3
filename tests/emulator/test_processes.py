"""How a command is run in a program's place; the tests of both command lines show the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tap_zentra.emulator.processes import run_command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to forward")


def test_a_signal_that_comes_while_the_command_starts_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed on as soon as there is a process."""

    class Starting(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            signal.raise_signal(signal.SIGTERM)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Starting)

    assert run_command([sys.executable, "-c", "import signal; signal.pause()"], os.environ) == 128 + signal.SIGTERM


def test_signals_are_the_programs_own_again_afterwards() -> None:
    """What handled them before handles them when the command has ended."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    run_command([sys.executable, "-c", ""], os.environ)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
