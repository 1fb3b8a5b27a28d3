"""The command line `tap-zentra`: what a user can cause ends in a line that says what to do, never in a traceback."""

from __future__ import annotations

import os
import sys

from singer_sdk.exceptions import ConfigValidationError, SingerSDKError

from tap_zentra.streams import StoppedError, SyncFailedError
from tap_zentra.tap import TapZentra
from tap_zentra.writer import OutputClosedError


def main() -> None:
    """Run the tap; exit code 0 only when every device was read to its end."""
    try:
        TapZentra.cli()
    except OutputClosedError as error:
        # Python would complain once more when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail([str(error)])
    except StoppedError as error:
        fail([str(error)], exit_code=128 + error.signal_number)
    except SyncFailedError as error:
        fail(error.lines)
    except ConfigValidationError as error:
        fail(error.errors)
    except SingerSDKError as error:
        fail([str(error)])


def fail(lines: list[str], exit_code: int = 1) -> None:
    """Say what went wrong, and exit."""
    for line in lines:
        TapZentra.logger.error("%s", line)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
