"""One call: URL, token, parameters, answer -> body, or an error of a kind."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tap_zentra.records import Body, excerpt, one_line

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import BaseHTTPResponse

    from tap_zentra.pagination import PageRequest

UNAUTHORIZED = 401
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
MAX_REDIRECTS = 3

PIECE = 2**16
"""Bytes of an answer that are read in one go, at most."""

ROOM = 2**22
"""Bytes of memory for an answer that does not say how long it is. So much comes from the system and goes back to it."""

MOST_BYTES = 256 * 2**20
"""An answer beyond this is none: 2000 records of 24 measurements are 9 MB."""

PATIENCE = 5
"""Timeouts that a whole answer may take: a service that sends a byte now and then must not hold a device for ever."""

# urllib3 shows header lines that it can't read, with a traceback, and so whatever a server echoes.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class TokenRefusedError(FatalAPIError):
    """The service refuses the token, for every device."""


class DeviceRefusedError(FatalAPIError):
    """The service refuses this device, or this call; asking again would not help."""


class ServiceFailedError(RetriableAPIError):
    """No answer, or half of one, or a server's error: the same call may succeed later."""


class LockedOutError(Exception):
    """The service's call limit was met.

    Attributes:
        seconds: How long the lock-out lasts, if the service says so.
        calls: The limit that was met, in calls for a window, if the service says so.
        names_account: Whether the service's words speak of the account.
    """

    def __init__(self, message: str, *, seconds: float | None) -> None:
        super().__init__(message)
        self.seconds = seconds
        limit = re.search(r"limit of (\d+) call", message)
        self.calls = int(limit[1]) if limit else None
        self.names_account = re.search(r"\b(user|account)\b", message, re.IGNORECASE) is not None


class _TokenAuth(AuthBase):
    """The header that ZENTRA Cloud wants; as an auth object it also keeps a .netrc file from overwriting it."""

    def __init__(self, token: str) -> None:
        self._token = token

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Token {self._token}"
        return r


class _Session(requests.Session):
    """A session that follows no redirect to another place, so that the token can't get there."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.auth = _TokenAuth(token)
        self._token = token

    @override
    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Leave the token as it is: redirects stay at the service, and a .netrc file has no say."""

    @override
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        try:
            target = super().get_redirect_target(resp)
            # urllib3 would log a path that repeats the token.
            follow = target is not None and self._token not in target
            stays = follow and _origin(urljoin(resp.url, target)) == _origin(resp.url)
        except ValueError:  # no URL at all
            stays = False
        return target if stays else None

    @override
    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """Use no proxy without TLS: only this machine may be called so, and a proxy would see the token."""
        settings = super().merge_environment_settings(url, *args, **kwargs)
        return {**settings, "proxies": {}} if url.startswith("http:") else settings

    @override
    def rebuild_proxies(self, prepared_request: Any, proxies: Any) -> Any:
        """Go to where a redirect leads by the way that the first request went."""
        return proxies


class _Adapter(HTTPAdapter):
    """Connections that tell when a request has gone out: after a connection was made, and before the answer."""

    def __init__(self) -> None:
        self.on_sent: Callable[[], None] = _nothing
        super().__init__()

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        adapter = self

        class HTTP(HTTPConnection):
            @override
            def request(self, *args: Any, **kwargs: Any) -> None:
                super().request(*args, **kwargs)
                adapter.on_sent()

        class HTTPS(HTTPSConnection):
            @override
            def request(self, *args: Any, **kwargs: Any) -> None:
                super().request(*args, **kwargs)
                adapter.on_sent()

        class HTTPPool(HTTPConnectionPool):
            ConnectionCls = HTTP

        class HTTPSPool(HTTPSConnectionPool):
            ConnectionCls = HTTPS

        self.poolmanager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}


def _nothing() -> None:
    """Do nothing, when nobody wants to know."""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


class Client:
    """Calls of one account at one server; may be used by many threads, each with its own connection."""

    def __init__(
        self,
        *,
        api_url: str,
        api_version: str,
        token: str,
        timeout: float,
        user_agent: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a client; nothing is called yet.

        Args:
            api_url: Base URL of the server, such as `https://zentracloud.com`.
            api_version: `v4` or `v3`.
            token: The account's token, without the word `Token`.
            timeout: Seconds to wait for a connection, and for each further part of an answer.
            user_agent: What to call ourselves.
            clock: Monotonic, in seconds.
        """
        self._base = f"{api_url.rstrip('/')}/api/{api_version}"
        self._token = token
        self._timeout = timeout
        self._user_agent = user_agent
        self._clock = clock
        self._own = threading.local()
        self._sessions: list[_Session] = []

    def close(self) -> None:
        """Close the connections of all threads; the next call makes a new one."""
        for session in self._sessions:
            session.close()

    def get_readings(
        self, device_sn: str, page: PageRequest, on_sent: Callable[[], None], *, page_size: int, depth: bool
    ) -> Body:
        """Fetch one page of a device's readings, in ascending order.

        Args:
            device_sn: Serial number.
            page: Where the page starts.
            on_sent: Called when the request has gone out.
            page_size: Records of a page, at most 2000.
            depth: Whether to ask for the depths of the sensors.

        Returns:
            The body of an answer with status 200.

        Raises:
            TokenRefusedError: 401.
            LockedOutError: 429.
            DeviceRefusedError: any other status that asking again would not change.
            ServiceFailedError: no answer, a broken one, or a status of 500 and above.
        """
        parameters: dict[str, str | int] = {
            "device_sn": device_sn,
            "per_page": page_size,
            "page_num": 1,
            "sort_by": "ascending",
            "output_format": "json",
        }
        if page.start_mrid is not None:
            parameters["start_mrid"] = page.start_mrid
        if page.start_date is not None:
            start = datetime.fromtimestamp(page.start_date, tz=UTC)
            parameters["start_date"] = f"{start:%Y-%m-%d %H:%M}"
        if depth:
            parameters["device_depth"] = "true"
        return self._get("get_readings", parameters, on_sent)

    def _get(self, endpoint: str, parameters: dict[str, str | int], on_sent: Callable[[], None]) -> Body:
        self._adapter.on_sent = on_sent
        try:
            answer: requests.Response = self._own.session.get(
                f"{self._base}/{endpoint}/", params=parameters, timeout=self._timeout, stream=True
            )
            body = self._read(answer.raw)
        except (requests.Timeout, ReadTimeoutError):
            raise ServiceFailedError(f"no answer within {self._timeout:g} s") from None
        except (requests.RequestException, HTTPError) as error:
            raise ServiceFailedError(f"the connection failed: {self._without_token(_innermost(error))}") from None
        if answer.status_code != requests.codes.ok:
            raise self._error(answer, body)
        return self._body_without_token(body)

    def _read(self, answer: BaseHTTPResponse) -> bytearray:
        """Read an answer piece by piece as it comes, so that neither its length nor its slowness is without bound."""
        deadline = self._clock() + PATIENCE * self._timeout
        body, end = bytearray(_room(answer)), 0
        while piece := answer.read1(PIECE, decode_content=True):
            body[end : end + len(piece)] = piece
            end += len(piece)
            if end > MOST_BYTES:
                answer.close()
                raise DeviceRefusedError(f"the answer is longer than {MOST_BYTES // 2**20} MiB")
            if self._clock() > deadline:
                answer.close()
                raise ServiceFailedError(f"the answer was not complete after {PATIENCE * self._timeout:g} s")
        del body[end:]
        return body

    @property
    def _adapter(self) -> _Adapter:
        """Return the calling thread's connections; requests does not promise that threads may share a session."""
        adapter: _Adapter | None = getattr(self._own, "adapter", None)
        if adapter is None:
            adapter = self._own.adapter = _Adapter()
            session = self._own.session = _Session(self._token)
            self._sessions.append(session)
            session.headers["User-Agent"] = self._user_agent
            session.max_redirects = MAX_REDIRECTS
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return adapter

    def _error(self, answer: requests.Response, body: Body) -> Exception:
        words = _words(self._body_without_token(body))
        status = one_line(self._without_token(f"{answer.status_code} {answer.reason}"))
        if answer.status_code == UNAUTHORIZED:
            return TokenRefusedError(f"the service refuses the token ({status}: {words})")
        if answer.status_code == TOO_MANY_REQUESTS:
            return LockedOutError(words, seconds=lock_out_seconds(answer.headers, words))
        if answer.status_code >= SERVER_ERROR:
            return ServiceFailedError(f"the service failed ({status}: {words})")
        if answer.is_redirect:
            return DeviceRefusedError(
                f"the service redirects ({status}), not followed to {self._without_token(_host(answer))}, so that the "
                "token stays here; check api_url and server"
            )
        return DeviceRefusedError(
            f"the service refuses the call ({status}: {words}); check the serial number, the server, and that the "
            "token's user may see the device"
        )

    def _without_token(self, text: str) -> str:
        """Return what the service says without the token, if it should echo it, so that it gets into no log."""
        return text.replace(self._token, "...")

    def _body_without_token(self, body: Body) -> Body:
        token = self._token.encode()
        return body.replace(token, b"...") if token in body else body


def _room(answer: BaseHTTPResponse) -> int:
    """Return how many bytes an answer is likely to have: one that grew would leave pieces in each thread's memory."""
    if answer.length_remaining is None or "Content-Encoding" in answer.headers:
        return ROOM
    return min(answer.length_remaining, 4 * ROOM)


def _host(redirect: requests.Response) -> str:
    try:
        return str(urlsplit(redirect.headers["Location"]).hostname)
    except ValueError:
        return "what is no URL"


def _words(body: Body) -> str:
    """Return what the service says of an error, on one line."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return excerpt(body)
    return one_line(str(detail))


def lock_out_seconds(headers: requests.structures.CaseInsensitiveDict[str], words: str) -> float | None:
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


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of an error that libraries have wrapped, without the URL they add."""
    while error.__context__ is not None:
        error = error.__context__
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error) or type(error).__name__
