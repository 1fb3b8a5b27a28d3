"""What the streams of a key share: its calls, its limits, and its list of devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_zentra.calls.memory import BodyMemory
from tap_zentra.v5.api import Api, Limits, transport_of
from tap_zentra.v5.device_list import DeviceList

if TYPE_CHECKING:
    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.settings import Settings

BODIES_BYTES = 128 * 2**20
"""Of all bodies together, as with v4: the main thread has enough to do, and a tap stays small."""

MONTH_BYTES = 60 * 10**6
"""Of a body, before the first one has come: a month of 30 series, each read every five minutes."""


@dataclass(frozen=True)
class Account:
    """What the streams of a key share.

    Attributes:
        settings: Valid ones.
        api: Its calls.
        call_limits: Those of its devices.
        device_list: The devices that it can see.
        memory: What the bodies of its calls take together.
    """

    settings: Settings
    api: Api
    call_limits: CallLimits
    device_list: DeviceList
    memory: BodyMemory = field(default_factory=lambda: BodyMemory(limit=BODIES_BYTES, expected=MONTH_BYTES))

    @classmethod
    def of(cls, settings: Settings, *, user_agent: str) -> Account:
        """Make a key's part; nothing is called yet.

        Args:
            settings: Valid ones.
            user_agent: What to call ourselves, unless the settings say otherwise.
        """
        transport = transport_of(settings, user_agent=user_agent)
        api = Api(transport, base_url=settings.api_url, key=settings.auth_token)
        limits = Limits.of(
            burst=settings.device_call_burst,
            device_limit=settings.device_call_limit,
            window=settings.call_limit_window,
        )
        return cls(settings, api, limits.devices, DeviceList(api, settings, limits.list))

    def close(self) -> None:
        """Close all connections."""
        self.api.close()
