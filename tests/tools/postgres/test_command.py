"""`python -m tools.postgres` as its users run it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil

    Servers = Callable[[Path], list[psutil.Process]]

pytestmark = pytest.mark.warehouse

PROJECT = Path(__file__).resolve().parents[3]
SHOW = "import os; print(os.environ['TARGET_POSTGRES_HOST'], os.environ['PGDATABASE'])"
WAIT = "import signal; print('ready', flush=True); signal.pause()"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def _command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tools.postgres", "--folder", str(folder), *arguments]


def _call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = _command(folder, *arguments)
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        _command(folder, *arguments),
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(folder: Path, new_warehouse: Path) -> Path:
    """A warehouse's folder that is set up already."""
    return Path(shutil.copytree(new_warehouse, folder))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of another user's, at a path that everybody can reach."""
    path = Path(tempfile.mkdtemp())
    os.chown(path, 65534, 65534)
    yield path
    shutil.rmtree(path)


def test_run_gives_the_command_a_database(folder: Path, servers: Servers) -> None:
    """The command sees where the database is, and afterwards nothing runs."""
    answer = _call(folder, "run", "--", sys.executable, "-c", SHOW)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "127.0.0.1 zentra\n", "")
    assert servers(folder) == []


@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param("raise SystemExit(7)", 7, id="its own"),
        pytest.param("import os; os.kill(os.getpid(), 9)", 128 + 9, id="killed"),
    ],
)
def test_run_returns_the_exit_code(folder: Path, program: str, code: int) -> None:
    """The command's end is the wrapper's end, in the shell's numbering."""
    assert _call(folder, "run", "--", sys.executable, "-c", program).returncode == code


def test_run_tells_of_a_command_that_does_not_exist(folder: Path) -> None:
    """A typing error is one line and the shell's exit code for it."""
    answer = _call(folder, "run", "--", "no-such-command")

    assert answer.returncode == 127
    assert answer.stderr == "Error: cannot run no-such-command: No such file or directory.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_passes_signals_on_and_stops_the_server(folder: Path, number: signal.Signals, servers: Servers) -> None:
    """A signal ends the command, then the server, then the wrapper, with 128 + its number."""
    process = _start(folder, "run", "--", sys.executable, "-c", WAIT)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + number
    assert servers(folder) == []


def test_a_killed_run_does_not_stop_the_next_one(folder: Path, servers: Servers) -> None:
    """A server that lost its wrapper to SIGKILL is ended by the next start."""
    process = _start(folder, "run", "--", "sh", "-c", "echo ready; exec >&- 2>&-; cat")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=PATIENCE)
    left_running = len(servers(folder))

    assert left_running == 1
    assert _call(folder, "run", "--", sys.executable, "-c", SHOW).returncode == 0
    assert servers(folder) == []


def test_psql_answers_scripts(folder: Path) -> None:
    """A query's answer is on stdout, with psql's own options at hand."""
    answer = _call(folder, "psql", "-A", "-t", "-c", "select current_user, 6 * 7")

    assert (answer.returncode, answer.stdout) == (0, "zentra|42\n")


def test_psql_joins_a_running_warehouse(folder: Path) -> None:
    """While a load runs, its rows can be looked at."""
    inner = _command(folder, "psql", "-A", "-t", "-c", "select 42")
    answer = _call(folder, "run", "--", *inner)

    assert (answer.returncode, answer.stdout) == (0, "42\n")


def test_two_at_once_is_one_line_of_error(folder: Path) -> None:
    """A second load into the same warehouse is refused, not queued."""
    inner = _command(folder, "run", "--", "true")
    answer = _call(folder, "run", "--", *inner)

    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: The database in")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_serve_says_how_to_connect_until_it_is_stopped(
    folder: Path, number: signal.Signals, code: int, servers: Servers
) -> None:
    """Host, port, database and user are printed; the password is not."""
    process = _start(folder, "serve")
    assert process.stdout is not None
    printed = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
    password = (folder / "password").read_text()
    process.send_signal(number)
    printed += "".join(process.communicate(timeout=PATIENCE))

    assert process.returncode == code
    assert "127.0.0.1" in printed
    assert str(folder / "password") in printed
    assert password not in printed
    assert servers(folder) == []


def test_help_tells_what_it_is_for(tmp_path: Path) -> None:
    """Each command explains itself, and asking for that makes nothing."""
    commands: tuple[tuple[str, ...], ...] = ((), ("run",), ("psql",), ("serve",))
    texts = [_call(tmp_path / "new", *command, "--help").stdout for command in commands]

    assert all("database" in text for text in texts)
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are run by an ordinary user already")
def test_an_ordinary_user_needs_no_privileges(open_folder: Path) -> None:
    """Everything works for a user who is not root."""
    command = [*NOBODY, *_command(open_folder / ".warehouse", "psql", "-A", "-t", "-c", "select 42")]
    attempt = [*NOBODY, sys.executable, "-c", "import tools.postgres.server"]
    if subprocess.run(attempt, cwd=PROJECT, capture_output=True, check=False).returncode != 0:
        pytest.skip("this folder or this Python environment is closed to other users")
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "42\n", "")
    assert (open_folder / ".warehouse" / "data").stat().st_uid == 65534
