"""Meltano projects made from this repository, and Meltano run in them as its users do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from tests.support import PATIENCE
from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zentra.emulator import Emulator

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("tap_zentra", "transform", "LICENSE", "README.md", "meltano.yml", "plugins", "pyproject.toml")
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    log: str


@dataclass(frozen=True)
class MeltanoProject:
    """A folder with a meltano.yml, and what Meltano finds in its environment.

    Attributes:
        folder: The project's.
        variables: Of the environment, for every command.
    """

    folder: Path
    variables: Mapping[str, str] = field(repr=False)

    def meltano(self, *arguments: str, **variables: str) -> Outcome:
        """Run Meltano to its end; when it fails, the test that does not expect it shows the log."""
        return self.bash('exec meltano --log-format=uncolored "$@"', *arguments, **variables)

    def sync(self, emulator: Emulator, *arguments: str, **variables: str) -> Outcome:
        """Run Meltano to its end with an emulator in the service's place, a window after any call before."""
        emulator.let_window_pass()
        return self.meltano(*arguments, **{**emulator.environment, **variables})

    def sync_v5(self, emulator: Emulator, *arguments: str, **variables: str) -> Outcome:
        """Run Meltano to its end with an emulator's v5 in the service's place, likewise."""
        emulator.let_window_pass()
        return self.meltano(*arguments, **{**emulator.environment_v5, **variables})

    def bash(self, script: str, *arguments: str, **variables: str) -> Outcome:
        """Run a script as a CI's runner does: it ends at the first command that fails, also within a pipe."""
        done = subprocess.run(
            ("/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, "bash", *arguments),
            cwd=self.folder,
            env=self._environment() | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stdout + done.stderr)

    def start(self, log: IO[bytes], *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start Meltano, which writes what it says into a file."""
        return subprocess.Popen(
            (PROGRAMS / "meltano", "--log-format=uncolored", *arguments),
            cwd=self.folder,
            env=self._environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def change(self, plugin: str, **keys: Any) -> None:
        """Write into meltano.yml what a user would: keys of one plugin."""
        path = self.folder / "meltano.yml"
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
        for definition in (definition for kind in project["plugins"].values() for definition in kind):
            if definition["name"] == plugin:
                definition.update(keys)
        path.write_text(yaml.safe_dump(project, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        foreign = ("DBT_", "MELTANO_", "TAP_", "TARGET_", "PG", "GITHUB_", "VIRTUAL_ENV")
        own = {
            "PATH": os.pathsep.join((str(PROGRAMS), os.environ["PATH"])),
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
            "XDG_STATE_HOME": str(self.folder / "logs"),
        }
        return environment_without(*foreign, **(own | dict(self.variables)))


def copy_repository(folder: Path, *more: str) -> Path:
    """Copy what Meltano needs of this repository, and maybe more, as a fresh clone would have it."""
    folder.mkdir()
    for name in (*PARTS, *more):
        source = REPOSITORY / name
        if source.is_dir():
            # The last two are dbt's.
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "logs", "target"))
        else:
            shutil.copy(source, folder)
    return folder


def borrow_plugins(lender: Path, folder: Path, *more: str) -> Path:
    """Make a project with another one's installed plugins, maybe more folders, and nothing that Meltano remembers."""
    (folder / ".meltano").mkdir(parents=True)
    shutil.copy(lender / "meltano.yml", folder)
    for name in ("plugins", *more):
        shutil.copytree(lender / name, folder / name)
    for kind in ("extractors", "loaders", "utilities"):
        (folder / ".meltano" / kind).symlink_to(lender / ".meltano" / kind)
    return folder
