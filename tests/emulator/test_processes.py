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

INTERRUPTED = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
os.kill(os.getppid(), signal.SIGINT)
os.kill(os.getppid(), signal.SIGTERM)
signal.sigwait({signal.SIGTERM})
raise SystemExit(signal.SIGINT in signal.sigpending())
"""
"""Lets its parent have a SIGINT and a SIGTERM; the exit code is 1 if both come back, and 0 if SIGTERM comes alone."""


@pytest.mark.parametrize(("at_terminal", "forwarded"), [(False, 1), (True, 0)])
def test_ctrl_c_reaches_the_command_once(monkeypatch: pytest.MonkeyPatch, at_terminal: int, forwarded: int) -> None:
    """A terminal sends it to the command as well; without one it is passed on."""
    foreground = os.getpgrp() if at_terminal else -1
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: foreground)

    assert run_command([sys.executable, "-c", INTERRUPTED], os.environ) == forwarded


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
