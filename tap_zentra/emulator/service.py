"""From a request to an answer, in the order in which the service checks; knows neither sockets nor clocks."""

from __future__ import annotations

import hmac
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_zentra.emulator.bodies import csv_body, df_body, json_body
from tap_zentra.emulator.env_model import NO_RECORDS, model_body
from tap_zentra.emulator.faults import CANNED, DELIVERIES, OF_V5, STRANGER, Fault, Faults
from tap_zentra.emulator.limits import CallLimits
from tap_zentra.emulator.messages import Reception, Request, Response, error
from tap_zentra.emulator.pages import page
from tap_zentra.emulator.query import BadRequestError, ModelQuery, ReadingsQuery
from tap_zentra.emulator.v5 import service as v5

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.limits import RetryAfter
    from tap_zentra.emulator.options import Options

VERSIONS = ("v4", "v3")
READINGS = tuple(f"/api/{version}/get_readings/" for version in VERSIONS)
ENV_MODEL = tuple(f"/api/{version}/get_env_model_data/" for version in VERSIONS)
CONTROL_ADDRESS = "/control/let-window-pass"
"""A `POST` to this address, which the real service does not have, lets a window pass at once."""


class Service:
    """ZENTRA Cloud, all versions of its API, without its web server.

    Args:
        devices: By serial number; may change while the service runs.
        options: How it behaves. An injected lock-out lasts one window, rounded up, unless it says otherwise.
        faults: On request.
    """

    def __init__(self, devices: Mapping[str, Device], options: Options, faults: Faults) -> None:
        self._devices = devices
        self._options = options
        self._limits = CallLimits(
            window=options.window,
            user_limit=options.user_limit,
            device_limit=options.device_limit,
            extend_lockouts=options.extend_lockouts,
            limit_words=options.limit_words,
        )
        self._faults = faults
        self._skipped = 0.0
        self._v5 = v5.Service(devices, options, faults)

    def let_window_pass(self) -> None:
        """Let the limits forget the calls so far, as if a whole window had passed since the last one."""
        self._skipped += self._options.window
        self._v5.let_window_pass()

    def call_as_another(self, device_sn: str, now: float) -> bool:
        """Count a call of v5 by another program, and return whether it was allowed; v4 has no such thing."""
        return self._v5.call_as_another(device_sn, now)

    def receive(self, request: Request) -> Reception:
        """Decide at once, in the order of arrival, what becomes of a call; building its answer may wait.

        The token is checked first, then the limits, which count the call, then it may be hit by a fault, and
        last its parameters are looked at.
        """
        if request.path.startswith(v5.PREFIX):
            return self._v5.receive(request)
        if request.path not in READINGS + ENV_MODEL:
            return Reception(lambda: error(404, "Not found."))
        refused = self._unauthorized(request) or self._over_limit(request)
        if refused is not None:
            return Reception(lambda: refused)
        fault = self._faults.hit(request.device_sn)
        if fault is not None:
            return Reception(self._injected(fault, request), fault.name)
        return Reception(lambda: self.answer(request))

    def answer(self, request: Request) -> Response:
        """Return the right answer to a call that is allowed, without limits and faults."""
        if request.path.startswith(v5.PREFIX):
            return self._v5.answer(request)
        return self._answer(request, self._device)

    def _answer(self, request: Request, find: Callable[[Request], Device]) -> Response:
        try:
            device = find(request)
            if request.path in ENV_MODEL:
                query = ModelQuery.parse(request.params)
                body = model_body(device, self._options, query)
                return Response(body=body, content_type="text/html" if body == NO_RECORDS else "application/json")
            return self._readings(device, ReadingsQuery.parse(request.params), request)
        except BadRequestError as problem:
            return error(problem.status, problem.detail)

    def _unauthorized(self, request: Request) -> Response | None:
        if not request.authorization:
            return error(401, "Authentication credentials were not provided.")
        expected = f"Token {self._options.token}".encode()
        if not hmac.compare_digest(request.authorization.encode(errors="replace"), expected):
            return error(401, "Invalid token.")
        return None

    def _over_limit(self, request: Request) -> Response | None:
        refusal = self._limits.admit(request.device_sn, request.arrived + self._skipped, late=request.late)
        if refusal is None:
            return None
        return error(429, refusal.detail, refusal.headers(self._options.retry_after, request.time))

    def _injected(self, fault: Fault, request: Request) -> Callable[[], Response]:
        kind = fault.kind
        if not isinstance(kind, str):
            return lambda: kind(request)
        if kind in CANNED:
            return lambda: CANNED[kind]
        if kind in DELIVERIES:
            return lambda: replace(self.answer(request), delivery=DELIVERIES[kind])
        if kind == "other-device":
            return lambda: self._answer(request, lambda call: replace(self._device(call), device_sn=STRANGER))
        if kind in OF_V5:
            return lambda: self.answer(request)
        lockout = self._lock(fault, request)
        return lambda: lockout

    def _lock(self, fault: Fault, request: Request) -> Response:
        seconds = fault.seconds or math.ceil(self._options.window)
        device_sn = None if fault.kind == "lockout-account" else request.device_sn
        refusal = self._limits.lock(device_sn, seconds, request.arrived + self._skipped)
        form: RetryAfter = "date" if self._options.retry_after == "date" else "seconds"
        silent = fault.kind == "lockout-silent"
        return error(429, refusal.detail, refusal.headers("none" if silent else form, request.time))

    def _device(self, request: Request) -> Device:
        if request.device_sn is None:
            raise BadRequestError(400, "device_sn is required.")
        device = self._devices.get(request.device_sn)
        if device is None:
            raise BadRequestError(404, f"Device {request.device_sn} does not exist.")
        if device.of_another_user:
            raise BadRequestError(403, "You do not have permission to perform this action.")
        return device

    def _readings(self, device: Device, query: ReadingsQuery, request: Request) -> Response:
        if query.output_format == "df":
            query = replace(query, start_mrid=None)
        mrids = page(device, query, self._options)
        if query.output_format == "csv":
            body = csv_body(device, self._options, query, mrids)
            return Response(body=body, content_type="text/csv", records=len(mrids))
        write = df_body if query.output_format == "df" else json_body
        return Response(body=write(device, self._options, query, mrids, request), records=len(mrids))
