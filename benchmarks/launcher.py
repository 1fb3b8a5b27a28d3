"""Runs one command and writes down what it took: `python launcher.py RESULT COMMAND…`.

A process of its own, because the peak memory that the system reports for a command begins with that of the process
that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts peak memory."""


def main(result: str, *command: str) -> None:
    """Run a command, write its times and peak memory into a file, and end with its exit code."""
    begun = time.monotonic()
    process = subprocess.Popen(command)  # noqa: S603 - the benchmarks' own
    _, status, usage = os.wait4(process.pid, 0)
    took = {
        "wall": time.monotonic() - begun,
        "ended": time.time(),
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_rss": usage.ru_maxrss * RSS_UNIT,
    }
    with open(result, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be memory
        json.dump(took, file)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
