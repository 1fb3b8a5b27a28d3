"""Singer messages on standard output: many records in one go, and how many bytes went where."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.singerlib import StateMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.singerlib.encoding.simple import Message

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

STATE_SHARE = 0.05
"""STATE messages on the way may be this share of the output; a fleet of 1000 devices has a large state."""


class _Record(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    """A RECORD message, made and encoded in half the time of the SDK's."""

    stream: str
    record: dict[str, Any]
    time_extracted: str


class OutputClosedError(FatalSyncError):
    """Whoever read the output has gone, or has no room for more."""

    def __init__(self, reason: str = "the target closed the pipe") -> None:
        super().__init__(f"{reason}; anything it did not store will be read again by the next run")


class Writer(MsgSpecWriter):
    """The SDK's msgspec writer, which here can also write records by the thousand.

    Attributes:
        bytes_written: Bytes of all messages.
        state_bytes: Bytes of the STATE messages among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes_written = 0
        self.state_bytes = 0
        self._last_state_bytes = 0
        self._encoder = msgspec.json.Encoder()

    @property
    def state_is_cheap(self) -> bool:
        """Whether one more STATE message would keep to its share of the output."""
        return self.state_bytes + self._last_state_bytes <= STATE_SHARE * self.bytes_written

    @override
    def write_message(self, message: Message) -> None:
        line = bytes(self.format_message(message))  # the SDK uses the buffer again
        self._write(line)
        if isinstance(message, StateMessage):
            self._last_state_bytes = len(line)
            self.state_bytes += len(line)

    def write_records(self, stream: str, records: Sequence[dict[str, Any]], time_extracted: str) -> None:
        """Write RECORD messages.

        Args:
            stream: Name of the stream.
            records: The records; JSON can say all of their values.
            time_extracted: ISO 8601, UTC.
        """
        self._write(self._encoder.encode_lines([_Record(stream, record, time_extracted) for record in records]))

    def _write(self, lines: bytes) -> None:
        # With PYTHONUNBUFFERED a write that a signal interrupts is a short one, and says so only by its result.
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.flush()
        except BrokenPipeError:
            raise OutputClosedError from None
        except OSError as error:
            raise OutputClosedError(f"cannot write to the target: {error.strerror}") from None
        self.bytes_written += len(lines)
