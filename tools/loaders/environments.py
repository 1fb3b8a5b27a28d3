"""Environments for programs that must not share this project's: made once, kept for the next time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from pathlib import Path


class EnvironmentFailedError(Exception):
    """An environment cannot be made; the message has the installer's words."""


@dataclass(frozen=True)
class Environments:
    """A folder of virtual environments.

    Attributes:
        folder: Where they are kept. To have them made again, delete it.
    """

    folder: Path

    def programs(self, *requirements: str) -> Path:
        """The folder of the programs of an environment that has these packages, and nothing else.

        Raises:
            EnvironmentFailedError: The packages cannot be installed.
        """
        # Another interpreter, or another requirement, is another environment.
        wanted = "\n".join((sys.executable, sys.version, *requirements))
        path = self.folder.resolve() / hashlib.sha256(wanted.encode()).hexdigest()[:16]
        finished = path / "requirements.txt"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Several processes may want the same one.
        with FileLock(path.with_suffix(".lock")):
            if not finished.exists():
                shutil.rmtree(path, ignore_errors=True)
                _uv("venv", "--python", sys.executable, str(path))
                _uv("pip", "install", "--python", str(path / "bin" / "python"), *requirements)
                finished.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        return path / "bin"


def _uv(*arguments: str) -> None:
    # Comes with Meltano.
    answer = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (sys.executable, "-m", "uv", "--quiet", *arguments), capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise EnvironmentFailedError(f"`uv {' '.join(arguments)}` failed: {answer.stderr.strip()}")
