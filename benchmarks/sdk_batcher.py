"""The tap with the SDK's batcher in place of its own: `python -m benchmarks.sdk_batcher`, and the tap's options."""

from __future__ import annotations

from unittest.mock import patch

from singer_sdk import Stream

from tap_zentra.__main__ import main
from tap_zentra.singer.stream import StreamOfRun

if __name__ == "__main__":
    with patch.object(StreamOfRun, "get_batches", Stream.get_batches):
        main()
