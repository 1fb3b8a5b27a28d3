"""The warehouse as a context manager."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from tools.postgres.programs import WarehouseError, find_system_user
from tools.postgres.server import Warehouse, WarehouseInUseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Servers = Callable[[Path], list[psutil.Process]]

pytestmark = pytest.mark.warehouse

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a way around PostgreSQL's refusal")


def _value(warehouse: Warehouse, query: str) -> object:
    with psycopg.connect(warehouse.dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def _keep(warehouse: Warehouse, number: int) -> None:
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute("create table if not exists kept (number integer)")
        connection.execute("insert into kept values (%s)", [number])


def test_a_new_warehouse_is_ready_and_leaves_nothing_running(folder: Path, servers: Servers) -> None:
    """Entering gives a database in UTF-8 and UTC; leaving ends the server."""
    with Warehouse(folder, fsync=False) as warehouse:
        encoding = _value(warehouse, "show server_encoding")
        timezone = _value(warehouse, "show timezone")
        running = len(servers(folder))

    assert (encoding, timezone, running) == ("UTF8", "UTC", 1)
    assert servers(folder) == []


def test_data_survive_a_restart(folder: Path) -> None:
    """What one process has stored, the next one finds."""
    with Warehouse(folder, fsync=False) as warehouse:
        _keep(warehouse, 42)

    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select number from kept") == 42


def test_commits_are_written_to_disk_unless_a_test_does_without(folder: Path) -> None:
    """By default a power cut loses nothing."""
    with Warehouse(folder) as warehouse:
        assert _value(warehouse, "show fsync") == "on"


def test_the_user_is_not_a_superuser(folder: Path) -> None:
    """Whoever can load data cannot read the server's files or run programs through it."""
    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select rolsuper from pg_roles where rolname = current_user") is False


@pytest.mark.parametrize("user", ["zentra", "postgres"])
def test_nobody_gets_in_without_the_password(folder: Path, user: str) -> None:
    """Connecting takes the password, also from this machine, and the superuser cannot connect at all."""
    with (
        Warehouse(folder, fsync=False) as warehouse,
        pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no pg_hba\.conf entry"),
    ):
        psycopg.connect(warehouse.dsn.replace("zentra:", f"{user}:").replace(warehouse.password, "wrong"))


def test_only_the_owner_can_read_the_password(folder: Path) -> None:
    """The password's file and the folder around it are closed to others."""
    with Warehouse(folder, fsync=False) as warehouse:
        modes = [path.stat().st_mode & 0o777 for path in (folder, warehouse.password_file)]

    assert modes == [0o700, 0o600]


def test_the_environment_leads_loaders_and_clients_to_the_database(folder: Path) -> None:
    """target-postgres and every libpq program find the warehouse by their own variables."""
    with Warehouse(folder, fsync=False) as warehouse:
        environment = warehouse.environment

    for prefix in ("TARGET_POSTGRES_", "PG"):
        address = [environment[prefix + name] for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")]
        assert address == ["127.0.0.1", str(warehouse.port), "zentra", warehouse.password, "zentra"]


def test_two_at_once_is_an_error(folder: Path) -> None:
    """A second process is told that the warehouse is open, and the first one goes on."""
    with Warehouse(folder, fsync=False) as warehouse:
        with pytest.raises(WarehouseInUseError, match="already in use by another process"):
            Warehouse(folder).__enter__()

        assert _value(warehouse, "select 1") == 1


def test_a_second_client_can_join(folder: Path) -> None:
    """A process can look into a warehouse that another one has open."""
    with Warehouse(folder, fsync=False) as warehouse:
        guest = Warehouse(folder)
        guest.join()

        assert guest.dsn == warehouse.dsn


def test_joining_without_a_server_is_an_error(folder: Path) -> None:
    """Nothing can be joined when nothing runs."""
    with pytest.raises(WarehouseError, match="try again"):
        Warehouse(folder).join()


def test_a_killed_server_starts_again(folder: Path, servers: Servers) -> None:
    """After SIGKILL the stale pid file is no obstacle, and what was committed is there."""
    with Warehouse(folder, fsync=False) as warehouse:
        _keep(warehouse, 42)
        servers(folder)[0].kill()
        with pytest.raises(WarehouseError, match="stopped unexpectedly"):
            warehouse.wait()

    assert (folder / "data" / "postmaster.pid").exists()
    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select number from kept") == 42


def test_what_a_killed_server_leaves_running_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL does not start while processes of the server before are there; they end by themselves, but later."""
    with Warehouse(folder, fsync=False) as warehouse:
        first = psutil.Process(warehouse._process.pid)  # noqa: SLF001 - to kill it
        others: list[psutil.Process] = []
        for process in first.children(recursive=True):
            # Some serve for a moment only, and end before they can be suspended; those that matter stay.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                others.append(process)
        first.kill()
        with pytest.raises(WarehouseError, match="stopped unexpectedly"):
            warehouse.wait()

    assert others
    wait = psutil.wait_procs

    def resume_and_wait(*arguments: Any, **options: Any) -> Any:
        for process in others:
            process.resume()
        return wait(*arguments, **options)

    monkeypatch.setattr(psutil, "wait_procs", resume_and_wait)
    try:
        with Warehouse(folder, fsync=False) as warehouse:
            assert _value(warehouse, "select 1") == 1
    finally:
        for process in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_a_pid_that_another_process_has_now_is_no_obstacle(folder: Path) -> None:
    """A pid file from before a reboot may name any process of the same user; that is left alone."""
    with Warehouse(folder, fsync=False):
        pid_file = (folder / "data" / "postmaster.pid").read_text()
    stale = "\n".join([str(os.getppid()), *pid_file.splitlines()[1:]])
    (folder / "data" / "postmaster.pid").write_text(stale)

    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select 1") == 1


def test_a_set_up_that_was_cut_off_is_done_again(folder: Path) -> None:
    """Half a database cluster is never taken for a whole one."""
    (folder / "data.unfinished").mkdir(parents=True)
    (folder / "data.unfinished" / "PG_VERSION").write_text("18\n")

    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select 1") == 1


def test_a_server_that_does_not_start_says_why_in_one_line(folder: Path) -> None:
    """The error ends with PostgreSQL's own last words."""
    with Warehouse(folder, fsync=False):
        pass
    (folder / "data" / "PG_VERSION").write_text("12\n")

    with pytest.raises(WarehouseError, match=r"does not start in .*FATAL: .* incompatible") as caught:
        Warehouse(folder).__enter__()

    assert "\n" not in str(caught.value)


def test_a_lost_password_is_a_clear_error(folder: Path, servers: Servers) -> None:
    """Without its password the warehouse stays closed, and says which file is missing."""
    with Warehouse(folder, fsync=False) as warehouse:
        pass
    warehouse.password_file.unlink()

    with pytest.raises(WarehouseError, match=r"Cannot read .*password"):
        Warehouse(folder, fsync=False).__enter__()
    assert servers(folder) == []


def test_a_wrong_password_is_a_clear_error(folder: Path, servers: Servers) -> None:
    """A password file that was changed is told at once, and the server is not left running."""
    with Warehouse(folder, fsync=False) as warehouse:
        pass
    warehouse.password_file.write_text("another")

    with pytest.raises(WarehouseError, match="password authentication failed"):
        Warehouse(folder, fsync=False).__enter__()
    assert servers(folder) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A path that cannot hold a warehouse is refused in one line."""
    (tmp_path / "file").touch()

    with pytest.raises(WarehouseError, match="Cannot write to"):
        Warehouse(tmp_path / "file" / "warehouse").__enter__()


@AS_ROOT
def test_root_has_a_second_way(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    servers: Servers,
) -> None:
    """Where user namespaces are barred, another user runs the server, on the same data as before."""
    with Warehouse(folder, fsync=False) as warehouse:
        _keep(warehouse, 42)
    for name in ("setpriv", "test"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))

    with Warehouse(folder, fsync=False) as warehouse:
        assert _value(warehouse, "select number from kept") == 42
        assert servers(folder)[0].uids().effective != 0


@AS_ROOT
def test_root_without_any_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both ways are barred, the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(WarehouseError, match="run this as an ordinary user"):
        find_system_user(tmp_path)
