"""One PostgreSQL server in one folder: sets it up, starts it, stops it. Knows nothing of taps and targets."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING

import psutil
import psycopg

from tools.environment import environment_without
from tools.postgres.programs import WarehouseError, find_system_user

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tools.postgres.programs import SystemUser

HOST = "127.0.0.1"
NAME = "zentra"  # of the database, and of the user who owns it

# Seconds. Recovery after a power cut may take that long; an ordinary start takes a tenth of one.
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "20",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class WarehouseInUseError(WarehouseError):
    """Another process has this warehouse open."""


class Warehouse:
    """A PostgreSQL server with one database, as a context manager.

    The first start fills the folder: `data` (the database cluster), `password` (of the user `zentra`),
    `server.log`. Only that user can connect, only from this machine, and not as a superuser.

    Args:
        folder: Where everything is kept. Created when missing.
        port: TCP port; by default one that is free.
        fsync: Whether what is committed survives a power cut. Only tests may do without.
    """

    def __init__(self, folder: Path, *, port: int | None = None, fsync: bool = True) -> None:
        self.folder = folder.absolute()
        self.port = port or 0
        self._fsync = fsync
        self._data = self.folder / "data"
        self._unfinished = self.folder / "data.unfinished"
        self._pid_file = self._data / "postmaster.pid"
        self._log = self.folder / "server.log"

    def __enter__(self) -> Self:
        """Start the server, after setting it up on the first time.

        Raises:
            WarehouseInUseError: Another process has it open.
            WarehouseError: PostgreSQL is not installed, cannot run here, or does not start.
        """
        with ExitStack() as cleanup:
            cleanup.enter_context(self._claim())
            user = find_system_user(self.folder)
            self._clear_leftovers(user)
            if not self._data.exists():
                self._set_up(user)
            _hand_over(self._data, user.uid)
            self._process = self._start(user)
            cleanup.callback(self._stop)
            self._wait_until_ready()
            self._open = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and wait for its end."""
        self._open.close()

    @property
    def password_file(self) -> Path:
        """Where the password is kept, readable for the folder's owner only."""
        return self.folder / "password"

    @property
    def password(self) -> str:
        """The password of the user `zentra`.

        Raises:
            WarehouseError: Its file cannot be read.
        """
        try:
            return self.password_file.read_text(encoding="ascii")
        except OSError as error:
            raise WarehouseError(
                f"Cannot read {self.password_file}: {error.strerror}. Restore it, or delete all of {self.folder}."
            ) from error

    @property
    def dsn(self) -> str:
        """The URL for a client. It contains the password."""
        return f"postgresql://{NAME}:{self.password}@{HOST}:{self.port}/{NAME}?sslmode=disable"

    @property
    def environment(self) -> dict[str, str]:
        """What points target-postgres (`TARGET_POSTGRES_…`) and every libpq client (`PG…`) here."""
        port, password = str(self.port), self.password
        return {
            "TARGET_POSTGRES_HOST": HOST,
            "TARGET_POSTGRES_PORT": port,
            "TARGET_POSTGRES_USER": NAME,
            "TARGET_POSTGRES_PASSWORD": password,
            "TARGET_POSTGRES_DATABASE": NAME,
            "PGHOST": HOST,
            "PGPORT": port,
            "PGUSER": NAME,
            "PGPASSWORD": password,
            "PGDATABASE": NAME,
        }

    def join(self) -> None:
        """Use the server that another process has started in this folder, for as long as that keeps it.

        Raises:
            WarehouseError: No server is running.
        """
        try:
            self.port = int(self._pid_file.read_text(encoding="utf-8").splitlines()[3])
        except (OSError, IndexError, ValueError) as error:
            raise WarehouseError(
                f"The database in {self.folder} is starting or stopping; try again in a moment."
            ) from error

    def wait(self) -> None:
        """Return never, unless the server ends by itself.

        Raises:
            WarehouseError: It has ended.
        """
        self._process.wait()
        raise WarehouseError(f"The database stopped unexpectedly: {_last_words(self._log)}")

    def _claim(self) -> IO[bytes]:
        """Take the lock that goes with this process, however it ends."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("wb")
        except OSError as error:
            raise WarehouseError(
                f"Cannot write to {self.folder}: {error.strerror}. Run this as the user who owns the folder."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise WarehouseInUseError(
                f"The database in {self.folder} is already in use by another process; stop that one first."
            ) from error
        return lock

    def _clear_leftovers(self, user: SystemUser) -> None:
        """Deal with what a process that was killed has left: half a set-up, a server, a stale pid file."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        try:
            pid = int(self._pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if _serves(pid, self._data):
            _run(user.command("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data))
        else:
            # What a killed server has started ends by itself, and until then would keep the next one from starting.
            psutil.wait_procs(_servers_in(self._data), timeout=STOP_TIMEOUT)
            # PostgreSQL would take another process of this user, with the number used again, for the server.
            self._pid_file.unlink(missing_ok=True)

    def _set_up(self, user: SystemUser) -> None:
        """Make the cluster, its user and its database; under another name until all of it is there."""
        password = secrets.token_urlsafe(24)
        _write_secret(self.password_file, password)
        options = [
            "--username=postgres",
            "--auth=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._fsync else ["--no-sync"]),
        ]
        _run(user.command("initdb", "-D", self._unfinished, *options))
        access = f"host {NAME} {NAME} {HOST}/32 scram-sha-256\n"
        (self._unfinished / "pg_hba.conf").write_text(access, encoding="ascii")
        _run(
            user.command("postgres", "--single", "-D", self._unfinished, "postgres"),
            f"CREATE ROLE {NAME} LOGIN PASSWORD '{password}';\nCREATE DATABASE {NAME} OWNER {NAME};\n",
        )
        self._unfinished.rename(self._data)

    def _start(self, user: SystemUser) -> subprocess.Popen[bytes]:
        self.port = self.port or _free_port()
        settings = _SETTINGS | {"port": str(self.port), "fsync": "on" if self._fsync else "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - no shell, and nothing that a user typed
                user.command("postgres", "-D", self._data, *options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_plain_environment(),
                # Ctrl-C is for the command that uses the server; the server ends after it.
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise WarehouseError(f"PostgreSQL does not start in {self.folder}: {_last_words(self._log)}")
            time.sleep(0.02)
        try:
            psycopg.connect(self.dsn, connect_timeout=int(START_TIMEOUT)).close()
        except psycopg.OperationalError as error:
            raise WarehouseError(f"Cannot connect to the database: {' '.join(str(error).split())}") from error

    def _is_ready(self) -> bool:
        try:
            return self._pid_file.read_text(encoding="utf-8").splitlines()[7].strip() == "ready"
        except (FileNotFoundError, IndexError):
            return False

    def _stop(self) -> None:
        # From "fast" (ends what clients are doing) by "immediate" (recovers at the next start) to the end.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                continue
            return


def _serves(pid: int, data: Path) -> bool:
    try:
        return str(data) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _servers_in(data: Path) -> list[psutil.Process]:
    """Return all processes of servers, also of those whose first process is gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(data.resolve()):
                found.append(process)
    return found


def _hand_over(data: Path, uid: int) -> None:
    """Make `uid` the owner of all data: root's way to run the server may be another one than last time."""
    if data.stat().st_uid != uid:
        for path in (data, *data.rglob("*")):
            os.chown(path, uid, -1)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")


def _plain_environment() -> dict[str, str]:
    """The environment without what changes PostgreSQL's settings or the language of its messages."""
    return environment_without("PG", "LC_", "LANG", LC_ALL="C")


def _run(command: list[str], text: str = "") -> None:
    answer = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        command, input=text, capture_output=True, text=True, check=False, env=_plain_environment()
    )
    # The single-user server goes on after an error, and exits with 0.
    if answer.returncode != 0 or "ERROR:" in answer.stderr:
        raise WarehouseError(f"Cannot set up the database: {_last_of(answer.stderr)}")


def _last_words(log: Path) -> str:
    return _last_of(log.read_text(encoding="utf-8", errors="replace"))


def _last_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    levels = ("FATAL:", "PANIC:", "ERROR:", "error:")
    failures = [line for line in lines if any(level in line for level in levels)]
    return (failures or lines or ["no message"])[-1]
