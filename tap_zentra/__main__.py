"""The command line `tap-zentra`: what a user can cause ends in a line that says what to do, never in a traceback."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_zentra.settings import SettingsError
from tap_zentra.singer.stream import SyncFailedError
from tap_zentra.singer.writer import OutputClosedError
from tap_zentra.tap import StoppedError, TapZentra

M_MMAP_THRESHOLD = -3
"""The name of the size in glibc's malloc.h from which memory is asked from the system, and given back to it."""

HALF_A_PAGE = 4 << 20
"""Bytes; a page of 2000 records of 24 measurements is 9 MB."""


def main() -> None:
    """Run the tap; exit code 0 only when every device was fully read."""
    return_memory_of_bodies()
    try:
        TapZentra.cli()
    except OutputClosedError as error:
        # Python would complain once more when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail([str(error)])
    except StoppedError as error:
        fail([str(error)], exit_code=128 + error.signal_number)
    except SyncFailedError as error:
        fail(error.log_lines)
    except ConfigValidationError as error:  # from --test
        fail(error.errors)
    except SettingsError as error:
        fail(error.faults)
    except SingerSDKError as error:
        fail([str(error)])


def return_memory_of_bodies() -> None:
    """Have the C library give the memory of each body back.

    By default glibc, once it has seen a body, keeps memory of that size for each thread: 513 MiB at the peak of a
    backfill instead of 220 (`python -m benchmarks --only memory`). Other C libraries have no such setting.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, HALF_A_PAGE)


def fail(lines: list[str], exit_code: int = 1) -> None:
    """Say what went wrong, and exit."""
    for line in lines:
        TapZentra.logger.error("%s", line)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
