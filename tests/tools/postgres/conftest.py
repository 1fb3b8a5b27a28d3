"""What the tests of the warehouse share: finding a warehouse's server among all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _servers(folder: Path) -> list[psutil.Process]:
    data = str(folder / "data")
    found = [process for process in psutil.process_iter(["cmdline", "ppid"]) if data in (process.info["cmdline"] or ())]
    # What a server has just started looks like itself until it has its own title.
    servers = {process.pid for process in found}
    return [process for process in found if process.info["ppid"] not in servers]


@pytest.fixture
def servers() -> Callable[[Path], list[psutil.Process]]:
    """The server processes whose data are in a warehouse's folder."""
    return _servers


@pytest.fixture(scope="session")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a warehouse that was set up and closed, for copies: setting up takes longer than all else."""
    path = tmp_path_factory.mktemp("new") / ".warehouse"
    with Warehouse(path, fsync=False):
        pass
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A warehouse's folder; a server that a failed test has left in it is killed."""
    path = tmp_path / ".warehouse"
    yield path
    for process in _servers(path):
        process.kill()
