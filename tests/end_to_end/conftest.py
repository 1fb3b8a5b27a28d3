"""Runs of the installed command line against an emulator, as a user or a scheduler would start them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.emulator import Device, Emulator
from tap_zentra.schemas import READINGS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TAP = Path(sys.executable).with_name("tap-zentra")

WINDOW = 0.25
"""Seconds that stand for the service's minute."""

TOKEN = "secret-0123456789abcdef0123456789abcdef"

Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """What a run of the command line left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All Singer messages, in order."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all RECORD messages."""
        return [message["record"] for message in self.messages if message["type"] == "RECORD"]

    @property
    def state(self) -> dict[str, Any]:
        """The last STATE, as Meltano would keep it."""
        return next((m["value"] for m in reversed(self.messages) if m["type"] == "STATE"), {})


def environment(emulator: Emulator, **settings: object) -> dict[str, str]:
    """Return a clean environment with the settings for an emulator, and others by name."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAP_ZENTRA_")}
    chosen = {f"TAP_ZENTRA_{name.upper()}": str(value) for name, value in settings.items()}
    return kept | dict(emulator.environment) | chosen


class Started(subprocess.Popen[str]):
    """A run under way, whose standard output is a pipe."""

    stdout: IO[str]


@dataclass(frozen=True)
class Tap:
    """The installed `tap-zentra`, run in a folder of its own."""

    folder: Path

    def command(self, *arguments: str, state: dict[str, Any] | None = None) -> list[str]:
        """Return the command of a sync, with a state of an earlier run."""
        if state is not None:
            (self.folder / "state.json").write_text(json.dumps(state))
            arguments = ("--state", "state.json", *arguments)
        return [str(TAP), "--config", "ENV", *arguments]

    def sync(self, emulator: Emulator, *arguments: str, state: dict[str, Any] | None = None, **settings: object) -> Run:
        """Run a sync to its end."""
        done = subprocess.run(
            self.command(*arguments, state=state),
            cwd=self.folder,
            env=environment(emulator, **settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def started(self, emulator: Emulator, **settings: object) -> Iterator[Started]:
        """Start a sync whose output the test reads itself; its log goes to a file."""
        with (self.folder / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=environment(emulator, **settings),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            with process:
                yield cast("Started", process)

    @property
    def stderr(self) -> str:
        """The log of the run that `started` started."""
        return (self.folder / "stderr").read_text()


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    """The installed command line."""
    return Tap(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _punctual_emulators() -> Iterator[None]:
    """While an emulator of this process builds an answer, it must not be late to note when the next call came."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def emulate() -> Iterator[Callable[..., Emulator]]:
    """Start emulators that stop after the test, and that never had to refuse a call that came too early."""
    started: list[Emulator] = []

    def start(*devices: Device, **options: Any) -> Emulator:
        emulator = Emulator(devices, **{"window": WINDOW, "token": TOKEN, **options})
        started.append(emulator.__enter__())
        return emulator

    yield start
    for emulator in started:
        emulator.__exit__(None, None, None)
        if not any(call.injected for call in emulator.calls):
            assert [call for call in emulator.calls if call.status == 429] == []


def by_key(records: list[dict[str, Any]]) -> Rows:
    """Index records by their key; two of the same key fail the test."""
    rows = {tuple(record[column] for column in READINGS_KEY): record for record in records}
    assert len(records) == len(rows)
    return rows


def held(emulator: Emulator) -> Rows:
    """Return all readings that an emulator holds, as the tap should emit them."""
    return by_key([{**row, "extra": None} for row in emulator.readings()])
