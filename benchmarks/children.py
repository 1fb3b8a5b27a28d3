"""Processes that are measured, and those that serve them; knows not what is measured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LAUNCHER = Path(__file__).with_name("launcher.py")
TAP = str(Path(sys.executable).with_name("tap-zentra"))
EMULATOR = str(Path(sys.executable).with_name("zentra-emulator"))

SKEWING = ("TAP_ZENTRA_", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPROFILE", "PYTHONTRACEMALLOC")
"""Beginnings of the variables that would make a run another one than the user's."""


class BenchmarkError(Exception):
    """A benchmark cannot be run; the message says why."""


@dataclass(frozen=True)
class Run:
    """What a run took.

    Attributes:
        wall: Seconds from its start to its end.
        ended: Moment of its end, in seconds since 1970.
        cpu: Seconds of computing, in the program and in the system for it.
        peak_rss: Most bytes of memory at any one time.
        stderr: What it said.
    """

    wall: float
    ended: float
    cpu: float
    peak_rss: int
    stderr: str


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return this process's environment without what would skew a run, and with settings of the tap by name."""
    chosen = {f"TAP_ZENTRA_{name.upper()}": str(value) for name, value in settings.items()}
    return environment_without(*SKEWING, **chosen)


def run(
    *command: str,
    settings: Mapping[str, object] | None = None,
    stdin: IO[bytes] | None = None,
    read: Callable[[IO[bytes]], None] | None = None,
) -> Run:
    """Run a command to its end and measure it.

    Args:
        command: The command.
        settings: Of the tap, by name.
        stdin: What it reads.
        read: Reads what the command writes; without, it goes to the null device.

    Raises:
        BenchmarkError: The command failed.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stderr:
        result = Path(folder) / "result.json"
        process = subprocess.Popen(  # noqa: S603 - the benchmarks' own
            [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *command],
            env=environment(settings or {}),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if read is None else subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            if read is not None and process.stdout is not None:
                with process.stdout:
                    read(process.stdout)
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        stderr.seek(0)
        said = stderr.read().decode(errors="replace")
        if process.returncode:
            raise BenchmarkError(f"{' '.join(command)} failed: {said[-1000:]}")
        return Run(**json.loads(result.read_text()), stderr=said)


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """Run a service in a process of its own, and yield the URL that its first line names."""
    process = subprocess.Popen(  # noqa: S603 - the benchmarks' own
        command, env=environment({}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            first = process.stdout.readline() if process.stdout else ""
            url = re.search(r"http://[\d.:]+", first)
            if url is None:
                raise BenchmarkError(f"{' '.join(command)} does not serve: {first!r}")
            yield url[0]
        finally:
            process.terminate()
