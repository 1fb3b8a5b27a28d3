"""What tests in many folders share: the command line, emulators on time, and environments for programs of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loaders.environments import Environments
from loaders.project import loader
from tests.support import Tap

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out, unless `-m` speaks of them."""
    if "long" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def _punctual_emulators() -> Iterator[None]:
    """While an emulator of this process builds an answer, it must not be late to note when the next call came."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    """The installed command line."""
    return Tap(tmp_path)


@pytest.fixture(scope="session")
def environments(request: pytest.FixtureRequest) -> Environments:
    """The environments of all loaders, kept in pytest's cache for the next session."""
    return Environments(Path(request.config.cache.mkdir("environments")))


@pytest.fixture(scope="session")
def target_postgres(environments: Environments) -> Path:
    """The program of the version that meltano.yml names, in an environment of its own."""
    return environments.programs(loader("target-postgres")["pip_url"]) / "target-postgres"
