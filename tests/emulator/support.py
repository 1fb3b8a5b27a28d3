"""A service without sockets and clocks, and calls to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_zentra.emulator import Request, Response
from tap_zentra.emulator.faults import Faults
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_zentra.emulator import Device
    from tap_zentra.emulator.messages import Reception

TOKEN = "0123456789abcdef0123456789abcdef01234567"
READINGS = "/api/v4/get_readings/"
MIDNIGHT = 1_767_225_600
"""2026-01-01 00:00 UTC in seconds since 1970."""


class Cloud:
    """A service whose clock is told by the test; each call is a window after the one before unless told.

    Args:
        devices: What the account holds.
        options: Of `Options`.
    """

    def __init__(self, devices: Sequence[Device], **options: Any) -> None:
        self.options = Options(**{"token": TOKEN} | options)
        self.window = self.options.window
        self.now = 0.0
        faults = Faults(self.options.faults, self.options.fault_rate, self.options.fault_kinds, self.options.seed)
        self.service = Service({device.device_sn: device for device in devices}, self.options, faults)

    def receive(
        self,
        params: Mapping[str, object],
        path: str = READINGS,
        *,
        at: float | None = None,
        authorization: str | None = f"Token {TOKEN}",
        api_key: str | None = None,
    ) -> Reception:
        """Let a call arrive."""
        self.now = self.now + self.window if at is None else at
        request = Request(
            path,
            {name: str(value) for name, value in params.items()},
            authorization,
            api_key,
            arrived=self.now,
            time=MIDNIGHT + self.now,
            base_url="http://127.0.0.1:8000",
        )
        return self.service.receive(request)

    def call(self, at: float | None = None, **params: object) -> Response:
        """Return the answer to a call of `get_readings`."""
        return self.receive(params, at=at).answer()

    def v5(self, device_sn: str | None = "z6-1", *, at: float | None = None, **params: object) -> Response:
        """Return v5's answer to a call for a device's readings, or for the list of devices when it is None."""
        return self.receive(params, v5_path(device_sn), at=at, authorization=None, api_key=TOKEN).answer()

    def v5_body(self, device_sn: str | None = "z6-1", **params: Any) -> dict[str, Any]:
        """Return the body of v5's answer, which is a right one."""
        answer = self.v5(device_sn, **params)
        assert (answer.status, answer.content_type) == (200, "application/json")
        return dict(json.loads(answer.body))

    def v5_pages(self, device_sn: str = "z6-1", **params: Any) -> list[dict[str, Any]]:
        """Return all pages of a device's readings, as a client reads them."""
        pages = [self.v5_body(device_sn, **params)]
        while token := pages[-1]["pagination"]["next_token"]:
            pages.append(self.v5_body(device_sn, next_token=token))
        return pages

    def page(self, **params: object) -> Page:
        """Return the page of the device `z6-1` that a call is answered with."""
        answer = self.receive({"device_sn": "z6-1"} | params).answer()
        assert (answer.status, answer.content_type) == (200, "application/json")
        return Page(json.loads(answer.body))


def v5_path(device_sn: str | None) -> str:
    """Return the path of a device's readings, or of the list of devices."""
    return "/v5/devices" if device_sn is None else f"/v5/devices/{device_sn}/data"


@dataclass(frozen=True)
class Page:
    """The body of an answer."""

    body: dict[str, Any]

    @property
    def pagination(self) -> dict[str, Any]:
        """Its first part."""
        return dict(self.body["pagination"])

    @property
    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """Its entries with the name of their measurement, in the order of the body."""
        return [(name, entry) for name, entries in self.body["data"].items() for entry in entries]

    @property
    def mrids(self) -> list[int]:
        """Its records in the order of every entry."""
        orders = {tuple(reading["mrid"] for reading in entry["readings"]) for _, entry in self.entries}
        assert len(orders) <= 1
        return list(*orders)


def detail(answer: Response) -> str:
    """Return the service's words for an error."""
    return str(json.loads(answer.body)["detail"])
