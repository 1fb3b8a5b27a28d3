"""What a call can end in, by what follows from it.

CallError              no page came; the message is one line for people
├── TokenRefusedError  for the account: nothing more is called
├── DeviceFailedError  for the device: it is not asked again in this run
├── TransientError     for the call: the same call may succeed later
└── LockedOutError     for the device or the account: a call limit was met
"""

from __future__ import annotations

import re


class CallError(Exception):
    """A call that brought no page. The message is one line, with the service's words if it said any."""


class TokenRefusedError(CallError):
    """The service refuses the token, whichever device is asked."""


class DeviceFailedError(CallError):
    """The service refuses this device or this call, or its response can't be used; asking again would not help."""


class TransientError(CallError):
    """No response, a broken one, or a fault of the service's own: the same call may succeed later."""


class LockedOutError(CallError):
    """The service's call limit was met.

    Attributes:
        seconds: How long the lock-out lasts; None if the service does not say so.
        account: Whether it locks the whole account, not this device alone.
    """

    def __init__(self, message: str, *, seconds: float | None, account: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.account = account


def one_line(text: str, length: int = 300) -> str:
    """Return the beginning of a text without line ends and whatever else would confuse a log or a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split())[:length])


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 device`, `2 devices`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def excerpt(body: bytes | bytearray, length: int = 80) -> str:
    """Return the beginning of a body as one line that a person can read, of a page for browsers its words."""
    text = body[: 100 * length].decode(errors="replace")
    if text.lstrip().startswith("<"):
        text = re.sub(r"<[^>]*>", " ", text)
    text = " ".join(text.split())
    return repr(text[:length] + ("…" if len(text) > length else ""))
