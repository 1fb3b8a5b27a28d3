"""Services that loaders load into, on this machine: the engine of ClickHouse, and a stand-in for S3."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.loaders.environments import Environments

CHDB = "chdb-core-lite==26.5.0"
MOTO = "moto[server]==5.2.5"
HOST = "127.0.0.1"
START_TIMEOUT = 60.0


class ServiceFailedError(Exception):
    """A service does not start."""


@contextmanager
def clickhouse(environments: Environments, folder: Path) -> Iterator[str]:
    """The engine of ClickHouse behind its HTTP interface; yields the URL.

    Args:
        environments: Where it is installed.
        folder: For its data.
    """
    python = environments.programs(CHDB) / "python"
    script = Path(__file__).with_name("clickhouse_server.py")
    port = _free_port()
    with _running((python, script, str(port), folder / "clickhouse"), port):
        yield f"http://{HOST}:{port}"


@contextmanager
def s3(environments: Environments) -> Iterator[str]:
    """moto, which stands for S3 and keeps everything in memory; yields the URL."""
    port = _free_port()
    with _running((environments.programs(MOTO) / "moto_server", "-H", HOST, "-p", str(port)), port):
        yield f"http://{HOST}:{port}"


def query(url: str, sql: str) -> list[str]:
    """Run a statement in ClickHouse; return the lines of what it answers, each a row in JSON.

    Raises:
        requests.HTTPError: The statement fails.
    """
    answer = requests.post(url, params={"default_format": "JSONEachRow"}, data=sql.encode(), timeout=START_TIMEOUT)
    answer.raise_for_status()
    return answer.text.splitlines()


@contextmanager
def _running(command: Sequence[str | Path], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - no shell, and nothing that a user typed
        try:
            _wait_for(port, process)
            yield
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with socket.create_connection((HOST, port), timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise ServiceFailedError(f"{process.args!r} does not answer at port {port}") from None
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return int(listening.getsockname()[1])
