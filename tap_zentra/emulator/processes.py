"""A command that runs beside a service: to its end, with the signals passed on; knows nothing of the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""Exit codes of the shells for a command that can't be run."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What asks a program to end."""


class CommandError(Exception):
    """A command that can't be run; the message says why.

    Attributes:
        exit_code: What a shell would exit with.
    """

    def __init__(self, command: str, problem: OSError) -> None:
        super().__init__(f"cannot run {command}: {problem.strerror}")
        self.exit_code = NOT_FOUND if isinstance(problem, FileNotFoundError) else NOT_EXECUTABLE


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, with signals passed on to it.

    Returns:
        Its exit code as a shell has it: 128 + n for a signal n.

    Raises:
        CommandError: It can't be run.
    """
    process: subprocess.Popen[bytes] | None = None
    too_early: list[int] = []

    def forward(number: int) -> None:
        if process is None:
            too_early.append(number)
        elif number != signal.SIGINT or not _at_terminal():  # a terminal sends Ctrl-C to the command as well
            process.send_signal(number)

    with handled(forward):
        try:
            process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own
        except OSError as problem:
            raise CommandError(command[0], problem) from None
        for number in too_early:
            process.send_signal(number)
        code = process.wait()
    return 128 - code if code < 0 else code


@contextmanager
def handled(action: Callable[[int], None]) -> Iterator[None]:
    """Let an action answer the signals that ask a program to end."""

    def handle(number: int, _frame: FrameType | None) -> None:
        action(number)

    before = [(number, signal.signal(number, handle)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _at_terminal() -> bool:
    """Whether this program's terminal sends Ctrl-C to all that it has started."""
    if sys.platform == "win32":
        return os.isatty(0)
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
