"""A request and its answer, free of sockets; knows nothing of what is asked or answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Delivery = Literal["whole", "reset", "cut", "cut-chunked", "hang"]
"""How an answer travels: as it is; not at all, the connection is reset; half of it, with the length of the whole
or as a chunked body that seems complete; or never."""


@dataclass(frozen=True)
class Request:
    """A call as it arrives.

    Attributes:
        path: Such as `/api/v4/get_readings/`.
        params: The query; of a parameter that is repeated the last one counts.
        authorization: The header of this name, None without.
        arrived: When, on the monotonic clock, in seconds.
        late: How much earlier than that it may have arrived, in seconds, on a machine that is busy.
        time: When, in seconds since 1970-01-01.
        base_url: What the client calls this server, such as `http://127.0.0.1:8000`.
    """

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)
    arrived: float = 0.0
    late: float = 0.0
    time: float = 0.0
    base_url: str = "http://127.0.0.1"

    @property
    def device_sn(self) -> str | None:
        """The device that is asked for, None when the call names none."""
        return self.params.get("device_sn") or None


@dataclass(frozen=True)
class Response:
    """An answer before it is sent.

    Attributes:
        status: HTTP status.
        body: As sent.
        content_type: Header of this name.
        headers: Further headers.
        delivery: How it travels.
        records: Number of records (mrids) in the body.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    records: int = 0


def error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as the service words it: `{"detail": "…"}`."""
    return Response(status, msgspec.json.encode({"detail": detail}), headers=headers or {})
