"""API v5 of ZENTRA Cloud 2.0: URLs, header, limits, and the service's words as errors."""

from __future__ import annotations

import functools
import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError
from tap_zentra.calls.limits import CallLimits, Gcra, NoLimit
from tap_zentra.http import OK, TOO_MANY_REQUESTS, UNAUTHORIZED, Transport
from tap_zentra.settings import is_classic_token
from tap_zentra.singer.moments import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zentra.calls.memory import Call
    from tap_zentra.http import Response
    from tap_zentra.settings import Settings
    from tap_zentra.v5.pagination import PageRequest

LIST_LIMIT = 1000
"""Devices of a page of the list, as METER's own client asks for; the service may have a lower maximum."""

EXPANSIONS = "max_min_timestamp,settings,hardware,connectivity,subscription"
"""What the list is to say of each device beyond its names: all that it can (METER's client, `zentracloud` 0.1.4)."""

TOKEN_REFUSED = {400, 404, 410, 422}
"""What a page's token that the service does not take any more may be answered with (not documented)."""

EARLIEST_EPOCH = 1_500_000_000
"""A number from here on in a refusal is the Unix time of the next allowed call; the words around it are not known."""


class PageTokenRefusedError(DeviceFailedError):
    """The service does not take the token of a page; the same range may be asked for by time."""


class Api:
    """Calls of one key; may be used by many threads."""

    def __init__(self, transport: Transport, *, base_url: str, key: str, now: Callable[[], float] = time.time) -> None:
        """Make ready; nothing is called yet.

        Args:
            transport: Sends the requests.
            base_url: Such as `https://api.zentracloud.io`.
            key: The account's, only to say what it looks like when it is refused.
            now: The time of day in seconds since 1970, for a server that does not tell its own.
        """
        self._transport = transport
        self._base = f"{base_url.rstrip('/')}/v5"
        self._looks_classic = is_classic_token(key)
        self._now = now

    def get_devices(self, page: int, call: Call, *, organization_id: str | None) -> bytes | bytearray:
        """Fetch one page of the list of devices.

        Args:
            page: Counted from 1.
            call: Told when the request has gone out, and asked for memory for the body.
            organization_id: Only the devices of this one; None: all.

        Returns:
            The body of a response with status 200.

        Raises:
            CallError: As of `get_data`.
        """
        parameters: dict[str, str | int] = {"expand": EXPANSIONS, "page_num": page, "limit": LIST_LIMIT}
        if organization_id is not None:
            parameters["organization_id"] = organization_id
        check = "the key's permissions, and organization_id if it is set"
        return self._get("devices", parameters, call, check=check)

    def get_data(self, device_sn: str, page: PageRequest, call: Call, *, units: str) -> bytes | bytearray:
        """Fetch one page of a device's readings, in ascending order.

        Args:
            device_sn: Serial number.
            page: Where it starts.
            call: Told when the request has gone out, and asked for memory for the body.
            units: `metric` or `imperial`.

        Returns:
            The body of a response with status 200.

        Raises:
            TokenRefusedError: 401.
            LockedOutError: 429.
            PageTokenRefusedError: The token of the page is not taken.
            DeviceFailedError: any other status that asking again would not change.
            TransientError: no response, a broken one, or a status of 500 and above.
        """
        parameters: dict[str, str | int] = {"direction": "ascending", "units": units}
        if page.token is not None:
            parameters["next_token"] = page.token
        else:
            # Both in the same form, or the service refuses them; the end one second later, because nobody knows
            # whether it is inclusive.
            if page.start is not None:
                parameters["start_datetime"] = iso_timestamp(page.start)
            parameters["end_datetime"] = iso_timestamp(page.end + 1)
        check = "the serial number, and that the key's user has access to the device in ZENTRA Cloud 2.0"
        try:
            return self._get(f"devices/{quote(device_sn, safe='')}/data", parameters, call, check=check)
        except _RefusedError as error:
            if page.token is not None and error.status in TOKEN_REFUSED:
                raise PageTokenRefusedError(f"the service rejected the page's next_token ({error.words})") from None
            raise

    def close(self) -> None:
        """Close all connections; the next call makes a new one."""
        self._transport.close()

    def _get(self, path: str, parameters: Mapping[str, str | int], call: Call, *, check: str) -> bytearray:
        response = self._transport.get(f"{self._base}/{path}", parameters, call)
        if response.status != OK:
            raise self._error(response, check)
        return response.body

    def _error(self, response: Response, check: str) -> CallError:
        status, words = response.status_line, response.words
        if response.status == UNAUTHORIZED:
            classic = (
                "; it looks like a token of ZENTRA Cloud Classic: if your account is still there, set api_version to v4"
                if self._looks_classic
                else ""
            )
            return TokenRefusedError(
                f"the service rejected the key ({status}: {words}); check auth_token: ZENTRA Cloud 2.0 has its own "
                f"keys (app.zentracloud.io: Profile, Integrations, Show Token), and a new key invalidates the old one"
                f"{classic}"
            )
        if response.status == TOO_MANY_REQUESTS:
            seconds = lock_out_seconds(response.body, response.headers, self._now())
            return LockedOutError(words, seconds=seconds, account=locks_account(words))
        return self._transport.general_error(response) or _RefusedError(
            response.status, f"{status}: {words}", check=check
        )


class _RefusedError(DeviceFailedError):
    def __init__(self, status: int, words: str, *, check: str) -> None:
        super().__init__(f"the service rejected the call ({words}); check {check}")
        self.status = status
        self.words = words


@dataclass(frozen=True)
class Limits:
    """The limits of a key: of its devices, and of the list.

    Attributes:
        devices: Each device's; the account has none.
        list: That of the list.
    """

    devices: CallLimits
    list: CallLimits

    @classmethod
    def of(cls, *, burst: int, device_limit: int, window: float) -> Limits:
        """Return a key's limits: a burst of 5 calls for each device, then 1 in 60 s (METER's documentation).

        Args:
            burst: Calls that a rested device allows at once.
            device_limit: Calls that a window allows after that.
            window: Seconds.
        """
        new = functools.partial(Gcra, burst, window / device_limit)
        return cls(CallLimits(NoLimit(), new), CallLimits(NoLimit(), new))


def transport_of(settings: Settings, *, user_agent: str) -> Transport:
    """Return what sends the requests of a key.

    Args:
        settings: Valid ones.
        user_agent: What to call ourselves, unless the settings say otherwise.
    """
    return Transport(
        header=("X-API-Key", settings.auth_token),
        secret=settings.auth_token,
        timeout=settings.request_timeout,
        user_agent=settings.user_agent or user_agent,
    )


def lock_out_seconds(body: bytes | bytearray, headers: Mapping[str, str], now: float) -> float | None:
    """Return how long a 429 locks out; None: it does not say.

    Args:
        body: Holds the Unix time of the next allowed call, in a form that is not documented: in a text, as a number, or
            somewhere in an object.
        headers: May hold `Date`, the server's own clock, so that ours may be wrong; and perhaps `Retry-After`.
        now: Our time of day, in seconds since 1970.
    """
    try:
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", json.dumps(json.loads(body)))]
    except (ValueError, RecursionError):
        numbers = []
    epoch = next((number for number in numbers if number >= EARLIEST_EPOCH), None)
    if epoch is not None:
        return epoch - _server_time(headers, now)
    retry_after = headers.get("Retry-After", "").strip()
    return float(retry_after) if re.fullmatch(r"\d+(\.\d+)?", retry_after) else None


def locks_account(words: str) -> bool:
    """Return whether a 429 is that of all the key's calls, as far as its words go."""
    return re.search(r"\b(user|account|key)\b", words, re.IGNORECASE) is not None


def _server_time(headers: Mapping[str, str], now: float) -> float:
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (ValueError, TypeError, KeyError, OverflowError):
        return now
