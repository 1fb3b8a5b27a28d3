"""From a request of v5 to an answer, in the order in which the service checks; knows neither sockets nor clocks."""

from __future__ import annotations

import hmac
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_zentra.emulator.faults import CANNED, DELIVERIES, DEVICE_LIST, STRANGER
from tap_zentra.emulator.messages import Reception, Response
from tap_zentra.emulator.v5.bodies import data_body, failed, list_body, refused, unprocessable
from tap_zentra.emulator.v5.limits import CallBudgets
from tap_zentra.emulator.v5.pages import Cursor, Page, first_page, next_page, records
from tap_zentra.emulator.v5.query import DataQuery, ListQuery, UnprocessableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.faults import Fault, Faults
    from tap_zentra.emulator.messages import Request
    from tap_zentra.emulator.options import Options

PREFIX = "/v5/"
DEVICES = "/v5/devices"
ANOTHER = "another caller"


class RefusedError(Exception):
    """The call cannot be answered.

    Attributes:
        status: HTTP status.
        words: The service's words for it.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Service:
    """API v5 without its web server.

    Args:
        devices: By serial number; may change while the service runs.
        options: How it behaves. An injected lock-out lasts one window, rounded up, unless it says otherwise.
        faults: On request.
    """

    def __init__(self, devices: Mapping[str, Device], options: Options, faults: Faults) -> None:
        self._devices = devices
        self._options = options
        self._faults = faults
        self._limits = CallBudgets(
            interval=options.window / options.device_limit,
            burst=options.device_burst,
            budget=options.budget,
            lockout=options.window if options.extend_lockouts else 0.0,
        )
        self._skipped = 0.0

    def let_window_pass(self) -> None:
        """Let the limits forget the calls so far, as if as many windows had passed as bring the whole burst back."""
        self._skipped += self._options.window * self._options.device_burst

    def call_as_another(self, device_sn: str, now: float) -> bool:
        """Count a call of another program with a key of its own, and return whether it was allowed."""
        return self._limits.admit(device_sn, now + self._skipped, caller=ANOTHER) == 0

    def receive(self, request: Request) -> Reception:
        """Decide at once, in the order of arrival, what becomes of a call; building its answer may wait.

        The key is checked first, then the limits, which count the call, then it may be hit by a fault, and last
        its parameters are looked at.
        """
        if request.path != DEVICES and request.device_sn is None:
            return Reception(lambda: self._failed(404, "Not Found"))
        refusal = self._unauthorized(request) or self._over_limit(request)
        if refusal is not None:
            return Reception(lambda: refusal)
        fault = self._faults.hit(request.device_sn or DEVICE_LIST, goes_on="next_token" in request.params)
        if fault is not None:
            return Reception(self._injected(fault, request), fault.name)
        return Reception(lambda: self.answer(request))

    def answer(self, request: Request) -> Response:
        """Return the right answer to a call that is allowed, without limits and faults."""
        return self._answer(request, self._data)

    def _answer(self, request: Request, data: Callable[[Request], Response]) -> Response:
        try:
            if request.path == DEVICES:
                query = ListQuery.parse(request.params)
                return Response(body=list_body(list(self._devices.values()), self._options, query, request.time))
            return data(request)
        except UnprocessableError as problem:
            return unprocessable(problem, as_text=self._options.validation_words == "text")
        except RefusedError as problem:
            return self._failed(problem.status, problem.words)

    def _unauthorized(self, request: Request) -> Response | None:
        """Return the refusal of a call whose key is missing or wrong; it is sent in one of two headers."""
        scheme, _, bearer = (request.authorization or "").partition(" ")
        given = bearer if request.api_key is None and scheme == "Bearer" else request.api_key
        if not given:
            return self._failed(401, "Missing API key")
        if not hmac.compare_digest(given.encode(errors="replace"), self._options.token.encode()):
            return self._failed(401, "Invalid API key")
        return None

    def _over_limit(self, request: Request) -> Response | None:
        wait = self._limits.admit(request.device_sn, request.arrived + self._skipped, late=request.late)
        return self._refused(wait, request) if wait else None

    def _refused(self, seconds: float, request: Request) -> Response:
        return refused(seconds, self._options.refusal_words, request.time, self._options.device_burst)

    def _failed(self, status: int, words: str) -> Response:
        return failed(status, words, self._options.error_form)

    def _injected(self, fault: Fault, request: Request) -> Callable[[], Response]:
        kind = fault.kind
        if not isinstance(kind, str):
            return lambda: kind(request)
        if kind in ("401", "403", "404"):
            return lambda: self._failed(int(kind), f"Refused ({kind})")
        if kind in CANNED:
            return lambda: CANNED[kind]
        if kind in DELIVERIES:
            return lambda: replace(self.answer(request), delivery=DELIVERIES[kind])
        if kind.startswith("lockout"):
            lockout = self._lock(fault, request)
            return lambda: lockout
        spoilt = {"token-repeated": self._repeated, "token-refused": self._without_token, "other-device": self._other}
        return lambda: self._answer(request, spoilt[kind])

    def _lock(self, fault: Fault, request: Request) -> Response:
        seconds, now = fault.seconds or math.ceil(self._options.window), request.arrived + self._skipped
        if fault.kind == "lockout-account":
            self._limits.lock_everything(seconds, now)
        else:
            self._limits.lock(request.device_sn, seconds, now)
        if fault.kind == "lockout-silent":
            return refused(seconds, "none", request.time, self._options.device_burst)
        return self._refused(seconds, request)

    def _device(self, request: Request) -> Device:
        device = self._devices.get(request.device_sn or "")
        if device is None:
            raise RefusedError(404, "Device not found")
        if device.of_another_user:
            raise RefusedError(403, "Not authorized for this device")
        return device

    def _data(self, request: Request) -> Response:
        device = self._device(request)
        cursor = self._cursor(device, request)
        return self._page(device, cursor, next_page(device, cursor, self._options.empty_months), request)

    def _repeated(self, request: Request) -> Response:
        """Answer with a page whose next token leads to this page again."""
        device = self._device(request)
        cursor = self._cursor(device, request)
        return self._page(device, cursor, cursor, request)

    def _without_token(self, request: Request) -> Response:
        """Refuse a call that has a token; others may be hit by chance."""
        if "next_token" not in request.params:
            return self._data(request)
        self._device(request)
        raise self._token_refused()

    def _other(self, request: Request) -> Response:
        """Answer with the page of another device."""
        device = replace(self._device(request), device_sn=STRANGER)
        cursor = self._cursor(device, request)
        return self._page(device, cursor, None, request)

    def _cursor(self, device: Device, request: Request) -> Cursor:
        """Return which page a call asks for."""
        options = self._options
        query = DataQuery.parse(request.params, request.time, options.two_time_forms)
        if query.next_token is None:
            return first_page(device, query, request.time, options.end, options.empty_months)
        cursor = Cursor.parse(query.next_token)
        if cursor is None or cursor.device_sn != request.device_sn:
            raise self._token_refused()
        if options.token_lifetime and cursor.further > options.token_lifetime:
            raise self._token_refused()
        return cursor.measured_in(query.units)

    def _token_refused(self) -> Exception:
        status = int(self._options.expired_token)
        words = "The token is invalid or has expired"
        return UnprocessableError("next_token", words) if status == 422 else RefusedError(status, words)  # noqa: PLR2004

    def _page(self, device: Device, cursor: Cursor, following: Cursor | None, request: Request) -> Response:
        page = Page(cursor, records(device, cursor), following)
        return Response(body=data_body(device, self._options, page, request), records=len(page.mrids))
