"""API v4 (and v3) of ZENTRA Cloud Classic: URLs, header, limits, and the service's words as errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

from tap_zentra.bodies import LAST_TIMESTAMP
from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError
from tap_zentra.calls.limits import CallLimits, SlidingWindow
from tap_zentra.calls.memory import BodyMemory
from tap_zentra.http import OK, TOO_MANY_REQUESTS, UNAUTHORIZED, Transport
from tap_zentra.settings import is_classic_token
from tap_zentra.singer.moments import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zentra.calls.memory import Call
    from tap_zentra.http import Response
    from tap_zentra.settings import EnvModel, Settings
    from tap_zentra.v4.pagination import PageRequest

RECORD_BYTES = 4500
"""Of a body, for each record of 24 measurements."""

BODIES_BYTES = 128 * 2**20
"""Of all bodies together: fourteen full pages. With 60 calls a minute more would be of use only if each response took
longer than fourteen seconds."""

MOVED = (
    "; if the account has moved to ZENTRA Cloud 2.0 (app.zentracloud.io), set api_version to v5 and auth_token to the "
    "account's key there"
)
"""Such an account gets nothing from this service any more; which of these statuses says so is not known."""

MAY_BE_MOVED = (401, 403, 404)

NOT_CLASSIC = (
    "; it does not look like a token of ZENTRA Cloud Classic (40 characters, 0-9 and a-f); if it is a key of "
    "ZENTRA Cloud 2.0 (app.zentracloud.io), set api_version to v5"
)
"""What a refused token probably is that has another form."""


class Api:
    """Calls of one account at one server; may be used by many threads."""

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        api_version: str,
        device_call_limit: int,
        has_classic_token: bool = True,
    ) -> None:
        """Make ready; nothing is called yet.

        Args:
            transport: Sends the requests.
            base_url: Of the server, such as `https://zentracloud.com`.
            api_version: `v4` or `v3`.
            device_call_limit: Calls that the service allows a device; a 429 that names another number is the account's.
            has_classic_token: Whether the token has the form that this service's tokens have.
        """
        self._transport = transport
        self._has_classic_token = has_classic_token
        self._base = f"{base_url.rstrip('/')}/api/{api_version}"
        self._device_call_limit = device_call_limit

    def get_readings(
        self, device_sn: str, page: PageRequest, call: Call, *, page_size: int, depth: bool
    ) -> bytes | bytearray:
        """Fetch one page of a device's readings, in ascending order.

        Args:
            device_sn: Serial number.
            page: Where the page starts, and maybe ends.
            call: Told when the request has gone out, and asked for memory for the body.
            page_size: Records of a page, at most 2000, unless the page says otherwise.
            depth: Whether to ask for the depths of the sensors.

        Returns:
            The body of a response with status 200.

        Raises:
            TokenRefusedError: 401.
            LockedOutError: 429.
            DeviceFailedError: any other status that asking again would not change.
            TransientError: no response, a broken one, or a status of 500 and above.
        """
        parameters: dict[str, str | int] = {
            "device_sn": device_sn,
            "per_page": page.per_page or page_size,
            "page_num": 1,
            "sort_by": "ascending",
            "output_format": "json",
        }
        if page.start_mrid is not None:
            parameters["start_mrid"] = page.start_mrid
        if page.end_mrid is not None:
            parameters["end_mrid"] = page.end_mrid
        if page.start_date is not None:
            parameters["start_date"] = _date(page.start_date)
        if depth:
            parameters["device_depth"] = "true"
        return self._get("get_readings", parameters, call, check="the serial number")

    def get_env_model_data(
        self, station: EnvModel, call: Call, *, start: int | None, end: int | None
    ) -> bytes | bytearray:
        """Fetch the daily values of a weather station.

        The service takes the device's local time, which is not known here: so it is asked from a day earlier and until
        a day later, and may bring more than is wanted.

        Args:
            station: Where the weather station is, and which model to compute.
            call: Told when the request has gone out, and asked for memory for the body.
            start: First moment that is wanted, in seconds since 1970; None: the device's first.
            end: Last one; None: the device's last.

        Returns:
            The body of a response with status 200.

        Raises:
            CallError: As of `get_readings`.
        """
        inputs = {
            "elevation": station.elevation,
            "latitude": station.latitude,
            "wind_measurement_height": station.wind_measurement_height,
        }
        parameters: dict[str, str | int] = {
            "device_sn": station.device_sn,
            "model_type": station.model_type,
            "port_num": station.port_number,
            "inputs": json.dumps(inputs),
        }
        if start is not None:
            parameters["start_date"] = _date(max(0, start - DAY))
        if end is not None:
            parameters["end_date"] = _date(min(end, LAST_TIMESTAMP - DAY) + DAY)
        check = (
            f"device_sn {station.device_sn} and port_number {station.port_number} (the ATMOS 41's) of the "
            f"{station.model_type} entry in env_models"
        )
        return self._get("get_env_model_data", parameters, call, check=check)

    def get_newest_readings(self, device_sn: str, call: Call, *, records: int) -> bytes | bytearray:
        """Fetch a device's newest records.

        Args:
            device_sn: Serial number.
            call: Told when the request has gone out, and asked for memory for the body.
            records: How many.

        Returns:
            The body of a response with status 200.

        Raises:
            CallError: As of `get_readings`.
        """
        parameters: dict[str, str | int] = {
            "device_sn": device_sn,
            "per_page": records,
            "page_num": 1,
            "sort_by": "descending",
            "output_format": "json",
        }
        return self._get("get_readings", parameters, call, check="the serial number")

    def close(self) -> None:
        """Close all connections; the next call makes a new one."""
        self._transport.close()

    def _get(self, endpoint: str, parameters: Mapping[str, str | int], call: Call, *, check: str) -> bytearray:
        response = self._transport.get(f"{self._base}/{endpoint}/", parameters, call)
        if response.status != OK:
            raise self._error(response, check)
        return response.body

    def _error(self, response: Response, check: str) -> CallError:
        status, words = response.status_line, response.words
        moved = MOVED if response.status in MAY_BE_MOVED else ""
        if response.status == UNAUTHORIZED:
            hint = moved if self._has_classic_token else NOT_CLASSIC
            return TokenRefusedError(
                f"the service rejected the token ({status}: {words}); check auth_token and server (a token is valid on "
                f"one server only){hint}"
            )
        if response.status == TOO_MANY_REQUESTS:
            return LockedOutError(
                words,
                seconds=lock_out_seconds(response.headers, words),
                account=locks_account(words, device_call_limit=self._device_call_limit),
            )
        return self._transport.general_error(response) or DeviceFailedError(
            f"the service rejected the call ({status}: {words}); check {check}, the server, and that the token's user "
            f"has access to the device{moved}"
        )


@dataclass(frozen=True)
class Account:
    """What the streams of an account share.

    Attributes:
        settings: Valid ones.
        api: Its calls.
        call_limits: Its limits, and those of its devices.
        memory: For the bodies of its calls.
    """

    settings: Settings
    api: Api
    call_limits: CallLimits
    memory: BodyMemory = field(default_factory=BodyMemory)

    @classmethod
    def of(cls, settings: Settings, *, user_agent: str) -> Account:
        """Make an account's part; nothing is called yet.

        Args:
            settings: Valid ones.
            user_agent: What to call ourselves, unless the settings say otherwise.
        """
        transport = Transport(
            header=("Authorization", f"Token {settings.auth_token}"),
            secret=settings.auth_token,
            timeout=settings.request_timeout,
            user_agent=settings.user_agent or user_agent,
        )
        api = Api(
            transport,
            base_url=settings.api_url,
            api_version=settings.api_version,
            device_call_limit=settings.device_call_limit,
            has_classic_token=is_classic_token(settings.auth_token),
        )
        limits = call_limits(
            user_limit=settings.user_call_limit,
            device_limit=settings.device_call_limit,
            window=settings.call_limit_window,
        )
        memory = BodyMemory(limit=BODIES_BYTES, expected=settings.page_size * RECORD_BYTES)
        return cls(settings, api, limits, memory)

    def close(self) -> None:
        """Close all connections."""
        self.api.close()


def _date(moment: int) -> str:
    """Return a moment, in seconds since 1970, as the service takes dates."""
    return f"{datetime.fromtimestamp(moment, tz=UTC):%Y-%m-%d %H:%M}"


def call_limits(*, user_limit: int, device_limit: int, window: float) -> CallLimits:
    """Return an account's limits: ZENTRA Cloud allows it 60 calls in 60 s, and each device 1 (METER's documentation).

    Args:
        user_limit: Calls that a window allows for the account.
        device_limit: Calls that a window allows for each device.
        window: Length of both windows, in seconds.
    """
    return CallLimits(SlidingWindow(user_limit, window), partial(SlidingWindow, device_limit, window))


def lock_out_seconds(headers: Mapping[str, str], words: str) -> float | None:
    """Return how long a 429 locks out: from `Retry-After` (seconds or a date), else from the text, else None."""
    retry_after = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", retry_after):
        return float(retry_after)
    if retry_after:
        try:
            until = parsedate_to_datetime(retry_after)
            # The server's own clock, so that ours may be wrong.
            return (until - parsedate_to_datetime(headers["Date"])).total_seconds()
        except (ValueError, TypeError, KeyError, OverflowError):
            pass
    expires = re.search(r"expires in (\d+(?:\.\d+)?) second", words)
    return float(expires[1]) if expires else None


def locks_account(words: str, *, device_call_limit: int) -> bool:
    """Return whether a 429 is the account's: its words name the account, or a limit that is not the device's."""
    limit = re.search(r"limit of (\d+) call", words)
    if limit is not None and int(limit[1]) != device_call_limit:
        return True
    return re.search(r"\b(user|account)\b", words, re.IGNORECASE) is not None
