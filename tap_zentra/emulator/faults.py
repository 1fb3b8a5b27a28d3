"""Faults on request: which call is hit and what it gets; knows neither limits nor what a right answer is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_zentra.emulator.chance import fraction
from tap_zentra.emulator.messages import Delivery, Request, Response, error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

MAINTENANCE = b"<!DOCTYPE html>\n<html><body><h1>ZENTRA Cloud is under maintenance</h1></body></html>\n"
BROKEN = b"<!doctype html>\n<html><body><h1>Server Error (500)</h1></body></html>\n"
ELSEWHERE = "https://zentracloud.invalid/"
"""Of a domain that never exists (RFC 2606), so that a client that follows sends nothing to anybody."""

DEVICE_LIST = "devices"
"""What a fault calls v5's list of devices, in the place of a device."""

STRANGER = "z6-99999"
"""The device whose page comes instead of the one that was asked for."""

CANNED: Final = {
    "500": Response(500, BROKEN, "text/html"),
    "503": Response(503, MAINTENANCE, "text/html"),
    "html": Response(200, MAINTENANCE, "text/html"),
    "401": error(401, "Invalid token."),
    "403": error(403, "You do not have permission to perform this action."),
    "404": error(404, "Not found."),
    "redirect": Response(302, b"", "text/html", {"Location": ELSEWHERE}),
}
"""Faults with an answer of their own."""

DELIVERIES: Final[dict[str, Delivery]] = {
    "reset": "reset",
    "cut": "cut",
    "cut-chunked": "cut-chunked",
    "hang": "hang",
}
"""Faults of a right answer on its way back."""

KINDS: Final = {
    "500": "the service fails with an error page",
    "503": "the service is down for maintenance",
    "html": "a maintenance page that looks like a success (status 200)",
    "401": "the token is rejected",
    "403": "the user has no access to the device",
    "404": "the device is not found",
    "redirect": "the response redirects to another server",
    "reset": "the connection is reset without a response",
    "cut": "the response is cut off halfway",
    "cut-chunked": "the same, but the response seems complete",
    "hang": "no response ever arrives",
    "lockout": "the device is locked for one window, and Retry-After says so",
    "lockout-silent": "the same, without Retry-After",
    "lockout-account": "the whole account is locked for one window",
    "other-device": f"a page of another device ({STRANGER})",
    "token-repeated": "v5: the next_token leads to the same page again",
    "token-refused": "v5: the next_token is rejected; calls without one are not affected",
}
"""What each kind of fault is, in plain words."""

OF_V5: Final = ("token-repeated", "token-refused")
"""What only a service with tokens for its pages can do; v4 answers as if nothing were wrong."""

PASSING_KINDS: Final = ("500", "503", "html", "reset", "cut", "cut-chunked")
"""What a client gets over by trying again; what hits by chance unless told otherwise."""

_PATTERN = re.compile(r"(?P<kind>[^@]+?)(?:@(?P<device>.+?))?(?:x(?P<times>\d+))?")


@dataclass(frozen=True)
class Fault:
    """A fault of the service.

    Attributes:
        kind: One of `KINDS`, or a function that answers in the service's place.
        device_sn: Only calls for this device, or for v5's list when it is `devices`; None: any call.
        times: How many calls are hit; None: every call.
        seconds: How long a lock-out locks; None: one window, rounded up.

    Raises:
        ValueError: There is no such kind, or a number is too small.
    """

    kind: str | Callable[[Request], Response]
    device_sn: str | None = None
    times: int | None = None
    seconds: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.kind, str) and self.kind not in KINDS:
            raise ValueError(f"there is no fault '{self.kind}'; the kinds are: {', '.join(KINDS)}")
        if self.times is not None and self.times < 1:
            raise ValueError("a fault must happen at least once")
        if self.seconds is not None and self.seconds < 1:
            raise ValueError("a lock-out must last at least 1 second")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault that is written as KIND[@DEVICE][xTIMES], such as `500@z6-00002x3`.

        Raises:
            ValueError: It is written otherwise, or there is no such kind.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"'{text}' does not have the form KIND[@DEVICE][xTIMES]")
        times = match["times"]
        return cls(match["kind"], match["device"], None if times is None else int(times))

    def concerns(self, device_sn: str | None, *, goes_on: bool) -> bool:
        """Whether it can hit a call, see `Faults.hit`."""
        return self.device_sn in {None, device_sn} and (goes_on or self.kind != "token-refused")

    @property
    def name(self) -> str:
        """Its kind for the call log."""
        return self.kind if isinstance(self.kind, str) else "function"


class Faults:
    """Tells call by call whether a fault hits it.

    Args:
        faults: In the order in which they are tried.
        rate: Share of all calls that are hit by chance, whatever `faults` says.
        kinds: What hits by chance.
        seed: Of the chance, which depends on nothing but the seed, the device and how many calls the device
            has had, so that the interleaving of devices changes nothing.
    """

    def __init__(self, faults: Sequence[Fault], rate: float, kinds: Sequence[str], seed: int) -> None:
        self._waiting = [_Waiting(fault, fault.times) for fault in faults]
        self._rate = rate
        self._chances = [Fault(kind) for kind in kinds]
        self._seed = seed
        self._calls: Counter[str | None] = Counter()

    def add(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        self._waiting.append(_Waiting(fault, fault.times))

    def remove(self, fault: Fault) -> None:
        """Let a fault not happen any more."""
        self._waiting = [waiting for waiting in self._waiting if waiting.fault is not fault]

    def hit(self, device_sn: str | None, *, goes_on: bool = False) -> Fault | None:
        """Count a call for a device (None: for no device) and return the fault that hits it, if any.

        Args:
            device_sn: Or `DEVICE_LIST`.
            goes_on: It has a `next_token`.
        """
        self._calls[device_sn] += 1
        for waiting in self._waiting:
            if waiting.left != 0 and waiting.fault.concerns(device_sn, goes_on=goes_on):
                waiting.left = None if waiting.left is None else waiting.left - 1
                return waiting.fault
        return self._by_chance(device_sn)

    def _by_chance(self, device_sn: str | None) -> Fault | None:
        call = (self._seed, device_sn, self._calls[device_sn])
        if fraction("fault", *call) >= self._rate:
            return None
        return self._chances[int(fraction("kind", *call) * len(self._chances))]


@dataclass
class _Waiting:
    fault: Fault
    left: int | None
