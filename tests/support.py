"""What many tests share: the installed command line, a run's messages, and what they are compared with."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from tap_zentra.calls.memory import BodyMemory, Call
from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tap_zentra.v4.readings import READINGS_KEY
from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

TAP = Path(sys.executable).with_name("tap-zentra")
TOKEN = "secret-0123456789abcdef0123456789abcdef"

PATIENCE = 900.0
"""Seconds after which a process hangs, on whichever machine; nothing that works as it should comes near."""

HANGS = 60.0
"""Seconds after which a program that should not wait is found to wait; a right one is never waited for so long."""

WINDOW = 0.1
"""Seconds that stand for the service's minute."""

HOUR = 3600.0
"""A window that no run can wait for: a call that it forbids is made only after `let_window_pass`."""

UNKNOWN: dict[str, dict[str, Any]] = {
    "as far as it is known": {},
    "it sorts by time, and repeats readings": {"sorting": "time", "duplicates": True},
    "it ignores sort_by, and pages are ranges of ids": {"sorting": "descending", "pages": "ids"},
    "pages end after three weeks, and values come late": {"page_days": 21, "late_values": "absent"},
    "nulls are filled later, and entries come in any order": {"late_values": "null", "entry_order": "shuffled"},
    "optional fields have odd forms": {"odd_fields": True},
}
"""What nobody outside METER knows of the service: options of the emulator, a set for each of some services."""

NOT_READINGS = {"devices", "sensors", "env_model_data"}
"""Streams whose records are no readings, under whatever names those go."""

Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]


def a_call(on_sent: Callable[[], None] = lambda: None, memory: BodyMemory | None = None) -> Call:
    """Return a call for which there is memory."""
    return (memory or BodyMemory()).start_call(on_sent)


@dataclass(frozen=True)
class Run:
    """What a run of the command line left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """All Singer messages, in order."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The readings, in order."""
        return readings_of(self.messages)

    def records_of(self, stream: str) -> list[dict[str, Any]]:
        """Return the records of one stream, in order."""
        return [message["record"] for message in self.messages if is_record_of(message, stream)]

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """The records of each device, by key."""
        by_device: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            by_device.setdefault(record["device_sn"], []).append(record)
        return {device_sn: by_key(records) for device_sn, records in by_device.items()}

    @cached_property
    def all_rows(self) -> Rows:
        """All records, by key."""
        return by_key(self.records)

    @cached_property
    def state(self) -> dict[str, Any]:
        """The last STATE, as Meltano would keep it."""
        return last_state(self.messages, {})


def is_record_of(message: dict[str, Any], stream: str) -> bool:
    """Return whether a message is a record of a stream."""
    return bool(message["type"] == "RECORD" and message["stream"] == stream)


def is_schema_of(message: dict[str, Any], stream: str) -> bool:
    """Return whether a message is the schema of a stream."""
    return bool(message["type"] == "SCHEMA" and message["stream"] == stream)


def is_reading(message: dict[str, Any]) -> bool:
    """Return whether a message is a reading's record."""
    return bool(message["type"] == "RECORD" and message["stream"] not in NOT_READINGS)


def readings_of(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the readings' records of some messages."""
    return [message["record"] for message in messages if is_reading(message)]


def last_state(messages: list[dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """Return the last STATE of some messages, or what it was before them."""
    return next((message["value"] for message in reversed(messages) if message["type"] == "STATE"), before)


def bookmarks(state: dict[str, Any], stream: str = "readings") -> dict[str, Any]:
    """Return each device's bookmark: an mrid, or a moment as text."""
    partitions = state.get("bookmarks", {}).get(stream, {}).get("partitions", [])
    return {
        partition["context"]["device_sn"]: partition["replication_key_value"]
        for partition in partitions
        if "replication_key_value" in partition
    }


def by_key(records: Iterable[dict[str, Any]], columns: Sequence[str] = READINGS_KEY) -> Rows:
    """Index records by their key; two of the same key fail the test."""
    rows: Rows = {}
    for record in records:
        key = tuple(record[column] for column in columns)
        assert key not in rows
        rows[key] = record
    return rows


def held(emulator: Emulator, *device_sns: str) -> Rows:
    """Return the readings that an emulator holds, of some devices or of all, as the tap should emit them."""
    readings = [row for device_sn in device_sns or emulator.device_sns for row in emulator.readings(device_sn)]
    return by_key({"extra": None, **row} for row in readings)


@contextlib.contextmanager
def emulators() -> Iterator[Callable[..., Emulator]]:
    """Lend a function that starts emulators; all stop in the end.

    Their window is short, and what the account may do in it more than any test does, unless a test says otherwise.
    """
    usual: dict[str, Any] = {"token": TOKEN, "window": WINDOW, "user_limit": 10_000}
    with contextlib.ExitStack() as running:

        def start(*devices: Device, **options: Any) -> Emulator:
            return running.enter_context(Emulator(devices, **(usual | options)))

        yield start


class Gate:
    """A fault that holds back the answers from some call on, so that a test can act while a run waits for them.

    Attributes:
        reached: Set when the first call that is held back has arrived.
    """

    def __init__(self, emulator: Emulator, first_held: int) -> None:
        self.reached = threading.Event()
        self._emulator = emulator
        self._first_held = first_held
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self._calls = 0

    def __call__(self, request: Request) -> Response:
        """Return the right answer, maybe after the gate was opened."""
        with self._lock:
            self._calls += 1
            is_held = self._calls >= self._first_held
        if is_held:
            self.reached.set()
            self._opened.wait()
        return self._emulator.answer(request)

    def open(self) -> None:
        """Let all answers go, now and from now on."""
        self._opened.set()


@contextlib.contextmanager
def gate(emulator: Emulator, *, first_held: int) -> Iterator[Gate]:
    """Hold an emulator's answers back from the n-th call on; in the end they all go."""
    closed = Gate(emulator, first_held)
    fault = Fault(closed)
    emulator.fail(fault)
    try:
        yield closed
    finally:
        closed.open()
        emulator.recover(fault)


def environment(emulator: Emulator, **settings: object) -> dict[str, str]:
    """Return a clean environment with the settings for an emulator, and others by name; None: without that one."""
    chosen = {f"TAP_ZENTRA_{name.upper()}": value for name, value in settings.items()}
    variables = access(emulator, **settings) | chosen
    return environment_without(
        "TAP_ZENTRA_", **{name: str(value) for name, value in variables.items() if value is not None}
    )


def access(emulator: Emulator, **settings: object) -> dict[str, str]:
    """Return the variables with which the tap reads an emulator's service of the `api_version` that is set."""
    return emulator.environment_v5 if settings.get("api_version") == "v5" else emulator.environment


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
        """Run a sync to its end, a window after any call before it."""
        emulator.let_window_pass()
        return self.run(environment(emulator, **settings), *arguments, state=state)

    def run(self, variables: dict[str, str], *arguments: str, state: dict[str, Any] | None = None) -> Run:
        """Run a sync to its end, in an environment of these variables alone."""
        done = subprocess.run(
            self.command(*arguments, state=state),
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def started(
        self, emulator: Emulator, *, state: dict[str, Any] | None = None, **settings: object
    ) -> Iterator[Started]:
        """Start a sync whose output the test reads itself; its log goes to a file, and a test that fails ends it."""
        with (self.folder / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                self.command(state=state),
                cwd=self.folder,
                env=environment(emulator, **settings),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            with process:
                try:
                    yield cast("Started", process)
                except BaseException:
                    process.kill()
                    raise

    @property
    def stderr(self) -> str:
        """The log of the run that `started` started."""
        return (self.folder / "stderr").read_text()
