"""A ZENTRA Cloud on this machine, for trying out, demonstrations and tests; knows nothing of the tap.

```python
from tap_zentra.emulator import Device, Emulator, Fault

devices = [Device("z6-00001", records=120), Device("z6-00002", records=3000, gaps=((200, 300),))]
with Emulator(devices, window=0.2, faults=[Fault("500", "z6-00002", times=2)]) as emulator:
    ...  # call emulator.url with emulator.token, then compare with emulator.readings() and emulator.calls
```

It speaks API v4 (and v3), and v5 over the same devices, for which `readings_v5()` is what to compare with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tap_zentra.emulator.devices import Device, fleet
from tap_zentra.emulator.eventful import eventful_fleet
from tap_zentra.emulator.faults import Fault
from tap_zentra.emulator.messages import Request, Response
from tap_zentra.emulator.sensors import PROFILE_STATION, STANDARD_STATION

if TYPE_CHECKING:
    from tap_zentra.emulator.account import Emulator
    from tap_zentra.emulator.server import Call

__all__ = [
    "PROFILE_STATION",
    "STANDARD_STATION",
    "Call",
    "Device",
    "Emulator",
    "Fault",
    "Request",
    "Response",
    "eventful_fleet",
    "fleet",
]

_WITH_AIOHTTP = {"Call": "tap_zentra.emulator.server", "Emulator": "tap_zentra.emulator.account"}


def __getattr__(name: str) -> object:
    """Import the web server only when it is used, so that the command can say what to install without it."""
    if name not in _WITH_AIOHTTP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_AIOHTTP[name]), name)
