"""One GET: TLS, no redirects, a bounded body, the secret taken out of what comes back; knows no API."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tap_zentra.calls.errors import CallError, DeviceFailedError, TransientError, excerpt, one_line

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3 import BaseHTTPResponse

    from tap_zentra.calls.memory import Call

CHUNK_BYTES = 2**16
"""Bytes of a body that are read in one go, at most."""

INITIAL_BYTES = 2**22
"""Bytes of memory for a body that does not say how long it is, and by which it grows. So much comes from the system and
goes back to it."""

MAX_BYTES = 256 * 2**20
"""A body beyond this is refused: 2000 records of 24 measurements are 9 MB."""

OK = 200
REDIRECTS = {301, 302, 303, 307, 308}
UNAUTHORIZED = 401
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

MAX_TIMEOUTS = 5
"""Timeouts that a whole response may take: a service that sends a byte now and then must not hold a device for ever."""

# urllib3 shows header lines that it can't read, with a traceback, and so whatever a server echoes.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Response:
    """What a server has answered, of whatever status; the secret is in none of it but the headers.

    Attributes:
        status: HTTP status.
        reason: The status in words, on one line; maybe empty.
        headers: By name, in whatever case.
        body: Unpacked.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytearray

    @property
    def status_line(self) -> str:
        """The status as a number and in words."""
        return f"{self.status} {self.reason}".strip()

    @property
    def words(self) -> str:
        """What the service says of an error, on one line."""
        try:
            detail = json.loads(self.body)["detail"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return excerpt(self.body)
        return one_line(detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False))


class Transport:
    """GET requests with one secret; may be used by many threads, each with its own connection."""

    def __init__(
        self,
        *,
        header: tuple[str, str],
        secret: str,
        timeout: float,
        user_agent: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make ready; nothing is sent yet.

        Args:
            header: Name and value of the header that says who asks.
            secret: What must get into no log: the value, or the part of it that matters.
            timeout: Seconds to wait for a connection, and for each further part of a response.
            user_agent: What to call ourselves.
            clock: Monotonic, in seconds.
        """
        self._header = header
        self._secret = secret
        self._timeout = timeout
        self._user_agent = user_agent
        self._clock = clock
        self._own = threading.local()
        self._sessions: list[_Session] = []

    def close(self) -> None:
        """Close the connections of all threads; the next request makes a new one."""
        for session in self._sessions:
            session.close()

    def get(self, url: str, parameters: Mapping[str, str | int], call: Call) -> Response:
        """Send a request and read its response; redirects are not followed.

        Args:
            url: Where to.
            parameters: The query.
            call: Told when the request has gone out: after a connection was made, and before the response. Asked for
                memory before a body is read, and for more before it grows.

        Raises:
            TransientError: There was no response, or not all of it.
            DeviceFailedError: The response is longer than any page.
        """
        self._adapter.on_sent = call.on_sent
        try:
            response: requests.Response = self._own.session.get(
                url, params=parameters, timeout=self._timeout, stream=True
            )
            body = self._read(response.raw, call)
        except (requests.Timeout, ReadTimeoutError):
            raise TransientError(f"no response within {self._timeout:g} s") from None
        except (requests.RequestException, HTTPError) as error:
            reason = self.without_secret(_innermost(error))
            raise TransientError(f"the connection to {_host(url)} failed: {reason}") from None
        reason = one_line(self.without_secret(str(response.reason or "")))
        return Response(response.status_code, reason, response.headers, self._body_without_secret(body))

    def general_error(self, response: Response) -> CallError | None:
        """Return the error that a response is, whichever API it comes from; None: the API has to say."""
        if response.status >= SERVER_ERROR:
            return TransientError(f"the service failed ({response.status_line}: {response.words})")
        if response.status in REDIRECTS and "Location" in response.headers:
            target = one_line(self.without_secret(response.headers["Location"]))
            return DeviceFailedError(
                f"the service redirects ({response.status_line}) to {target}; redirects are not followed; check "
                "api_url and server"
            )
        return None

    def without_secret(self, text: str) -> str:
        """Return what the service says without the secret, if it should echo it, so that it gets into no log."""
        return text.replace(self._secret, "...")

    def _body_without_secret(self, body: bytearray) -> bytearray:
        secret = self._secret.encode()
        return body.replace(secret, b"...") if secret in body else body

    def _read(self, response: BaseHTTPResponse, call: Call) -> bytearray:
        """Read a body chunk by chunk as it comes, so that neither its length nor its slowness is without bound."""
        expected = _expected_bytes(response)
        call.reserve(min(expected, MAX_BYTES))
        deadline = self._clock() + MAX_TIMEOUTS * self._timeout
        body, end = bytearray(min(expected, 4 * INITIAL_BYTES)), 0
        while chunk := response.read1(CHUNK_BYTES, decode_content=True):
            if end + len(chunk) > MAX_BYTES:
                response.close()
                raise DeviceFailedError(f"the response is larger than {MAX_BYTES // 2**20} MiB")
            if end + len(chunk) > call.reserved:
                since = self._clock()
                call.reserve(end + len(chunk) + INITIAL_BYTES)
                deadline += self._clock() - since  # it was not the service that took so long
            body[end : end + len(chunk)] = chunk
            end += len(chunk)
            if self._clock() > deadline:
                response.close()
                raise TransientError(f"the response was still incomplete after {MAX_TIMEOUTS * self._timeout:g} s")
        del body[end:]
        return body

    @property
    def _adapter(self) -> _Adapter:
        """Return the calling thread's connections; requests does not promise that threads may share a session."""
        adapter: _Adapter | None = getattr(self._own, "adapter", None)
        if adapter is None:
            adapter = self._own.adapter = _Adapter()
            session = self._own.session = _Session()
            self._sessions.append(session)
            session.auth = _HeaderAuth(*self._header)
            session.headers["User-Agent"] = self._user_agent
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return adapter


class _HeaderAuth(AuthBase):
    """The header that says who asks; as an auth object it also keeps a .netrc file from overwriting it."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers[self._name] = self._value
        return r


class _Session(requests.Session):
    """A session that follows no redirect: the secret would get elsewhere, and a second call would go uncounted."""

    @override
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None

    @override
    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """Use no proxy without TLS: only this machine may be called so, and a proxy would see the secret."""
        settings = super().merge_environment_settings(url, *args, **kwargs)
        return {**settings, "proxies": {}} if url.startswith("http:") else settings


class _Adapter(HTTPAdapter):
    """Connections that tell when a request has gone out: after a connection was made, and before the response."""

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


def _host(url: str) -> str:
    """Return whom a URL asks, with the port, for whoever has a name wrong in `api_url`."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _nothing() -> None:
    """Do nothing, when nobody wants to know."""


def _expected_bytes(response: BaseHTTPResponse) -> int:
    """Return how many bytes a body is likely to have: one that grew would leave pieces in each thread's memory."""
    if response.length_remaining is None or "Content-Encoding" in response.headers:
        return INITIAL_BYTES
    return response.length_remaining


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of an error that libraries have wrapped, without the URL they add."""
    while error.__context__ is not None:
        error = error.__context__
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error) or type(error).__name__
