"""Meltano's part of the demo: installs and runs the pipeline as a user would. Knows nothing of what it loads."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Mapping

TAP = "tap-zentra"
TARGET = "target-postgres"
TRANSFORMER = "dbt-postgres"
LAST_LINES = 15
_DBT_ERRORS = re.compile(r"Encountered an error:|Completed with [1-9]\d* error")
# Seconds that Meltano has to end the tap and the target after an interruption.
FAREWELL = 10.0
# The user's own settings are for the real service and the real database.
USERS_OWN = ("DBT_", "MELTANO_", "PG", "TAP_ZENTRA_", "TARGET_POSTGRES_")
_FOLDERS = {TAP: "extractors", TARGET: "loaders", TRANSFORMER: "utilities"}


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class Pipeline:
    """Meltano in the project's folder, with its own environment `demo`, so that no state of the user is touched.

    Attributes:
        project: The project's folder.
        variables: What points its parts to where they read, load and build.
    """

    project: Path
    variables: Mapping[str, str]

    @property
    def log(self) -> Path:
        """Where Meltano's words go."""
        return self.project / ".meltano" / "demo.log"

    def has_installed(self, *plugins: str) -> bool:
        """Whether Meltano has installed these before."""
        return all((self.project / ".meltano" / _FOLDERS[name] / name / "venv").exists() for name in plugins)

    def install(self, *plugins: str) -> None:
        """Install plugins, each in an environment of its own.

        Raises:
            DemoError: Meltano failed.
        """
        self._meltano("install", *plugins)

    def run(self, stream: str, *, from_start: bool) -> int:
        """Load what is new, or from the start on, without what Meltano remembers of earlier demos.

        Args:
            stream: The one that has the readings.
            from_start: Whether to load from the start on.

        Returns:
            How many readings the tap has written, as its summary says.

        Raises:
            DemoError: Meltano failed.
        """
        words = self._meltano("run", *(["--full-refresh"] if from_start else []), TAP, TARGET)
        summaries = [json.loads(found) for found in re.findall(r"run summary: (\{.*\})", words)]
        return sum(summary["totals"]["readings"] for summary in summaries if summary["stream"] == stream)

    def build(self) -> None:
        """Build and test the models of transform/.

        Raises:
            DemoError: Meltano failed.
        """
        self._meltano("run", f"{TRANSFORMER}:build")

    def _meltano(self, *arguments: str) -> str:
        """Run Meltano to its end, and return what it has said."""
        meltano = Path(sys.executable).with_name("meltano")
        # Not the user's .env, for it names the real service.
        options = ("--environment=demo", f"--env-file={os.devnull}", "--log-format=uncolored")
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            begin = log.tell()
            try:
                # In a session of its own: Ctrl-C ends the demo, and the demo ends Meltano.
                process = subprocess.Popen(  # noqa: S603 - no shell, and nothing that a user typed
                    (meltano, *options, *arguments),
                    cwd=self.project,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise DemoError(f"Cannot run {meltano}: {error.strerror}. Is Meltano installed here?") from error
            code = _wait(process)
        words = self.log.read_bytes()[begin:].decode(errors="replace")
        if code != 0:
            command = f"meltano {' '.join(arguments)}"
            raise DemoError(f"`{command}` failed with exit code {code}. From {self.log}:\n{last_words(words)}")
        return words

    def _environment(self) -> dict[str, str]:
        quiet = {
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            # Both would write to the user's home.
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
            "XDG_STATE_HOME": str(self.project / ".meltano" / "logs"),
        }
        return environment_without(*USERS_OWN, **quiet, **self.variables)


def last_words(log: str) -> str:
    """What a log says last: of errors if there are any, because after an error Meltano has a lot more to say."""
    lines = [line.rstrip() for line in log.splitlines()]
    # dbt lists its errors at the end, in lines that Meltano takes for information.
    for number, line in enumerate(lines):
        if _DBT_ERRORS.search(line):
            return "\n".join(lines[number:][:LAST_LINES])
    errors = [line for line in lines if "[error" in line]
    return "\n".join((errors or lines)[-LAST_LINES:])


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a command, and end it with all that it has started when the demo is interrupted."""
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(FAREWELL)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
