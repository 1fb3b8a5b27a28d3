"""A request and its answer, free of sockets; knows nothing of what is asked or answered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Delivery = Literal["whole", "reset", "cut", "cut-chunked", "hang"]
"""How an answer travels: as it is; not at all, the connection is reset; half of it, with the length of the whole
or as a chunked body that seems complete; or never."""

V5_DATA = re.compile(r"/v5/devices/(?P<device>[^/]+)/data")
"""The path of a device's readings in v5."""


@dataclass(frozen=True)
class Request:
    """A call as it arrives.

    Attributes:
        path: Such as `/api/v4/get_readings/`.
        params: The query; of a parameter that is repeated the last one counts.
        authorization: The header of this name, None without.
        api_key: The header `X-API-Key`, None without.
        arrived: When, on the monotonic clock, in seconds.
        late: How much earlier than that it may have arrived, in seconds, on a machine that is busy.
        time: When, in seconds since 1970-01-01.
        base_url: What the client calls this server, such as `http://127.0.0.1:8000`.
    """

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    arrived: float = 0.0
    late: float = 0.0
    time: float = 0.0
    base_url: str = "http://127.0.0.1"

    @property
    def device_sn(self) -> str | None:
        """The device that is asked for, by a parameter or in v5 by the path; None when the call names none."""
        match = V5_DATA.fullmatch(self.path)
        return match["device"] if match else self.params.get("device_sn") or None


@dataclass(frozen=True)
class Response:
    """An answer before it is sent.

    Attributes:
        status: HTTP status.
        body: As sent.
        content_type: Header of this name.
        headers: Further headers.
        delivery: How it travels.
        records: Number of records in the body: mrids, in v5 moments.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    records: int = 0


class Reception(NamedTuple):
    """What becomes of a call.

    Attributes:
        answer: Builds the answer, which may take a while.
        injected: The kind of fault that hits it, None without.
    """

    answer: Callable[[], Response]
    injected: str | None = None


def error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as the service words it: `{"detail": "…"}`."""
    return Response(status, msgspec.json.encode({"detail": detail}), headers=headers or {})
