"""The emulator as Python programs see it: an account with its devices, running; knows no sockets."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tap_zentra.emulator.chance import number
from tap_zentra.emulator.channels import channels_of
from tap_zentra.emulator.env_model import model_days
from tap_zentra.emulator.faults import Fault, Faults
from tap_zentra.emulator.limits import DEVICE_LIMIT, USER_LIMIT, WINDOW
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.query import Inputs, ModelQuery
from tap_zentra.emulator.readings import rows
from tap_zentra.emulator.server import Call, Server
from tap_zentra.emulator.service import Service
from tap_zentra.emulator.v5.device_list import whole_entry
from tap_zentra.emulator.v5.limits import DEVICE_BURST
from tap_zentra.emulator.v5.readings import columns
from tap_zentra.emulator.v5.service import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self, TextIO

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.messages import Request, Response
    from tap_zentra.emulator.v5.query import Units

TOKEN_DIGITS = 40


@dataclass(eq=False)
class Emulator(Options):
    """A ZENTRA Cloud on this machine: `with Emulator([Device("z6-00001")]) as emulator: …`.

    How it behaves is said by `Options`, which are those of the command `zentra-emulator` too.

    Attributes:
        devices: What the account holds when it starts.
        port: Of this machine; 0: a free one.
        url: Base URL, known once it runs.

    Raises:
        ValueError: Two devices have the same serial number.
    """

    devices: Sequence[Device]
    port: int = 0
    url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._tokens = 0
        self.token = self.token or _token(self.seed)
        self._held = {device.device_sn: device for device in self.devices}
        if len(self._held) < len(self.devices):
            raise ValueError("two devices have the same serial number")
        self._changing = threading.Lock()
        self._happened = threading.Condition()
        self._faults = Faults(self.faults, self.fault_rate, self.fault_kinds, self.seed)
        self._service = Service(self._held, self, self._faults)
        self._calls: list[Call] = []
        self._log: TextIO | None = None
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            if self.call_log is not None:
                self._log = starting.enter_context(self.call_log.open("a", encoding="utf-8", buffering=1))
            server = Server(self._service, port=self.port, latency=self.latency, on_call=self._on_call)
            starting.callback(server.stop)
            self.url = server.start()
            if self.growth:
                starting.enter_context(_Repeated(self.growth_interval, lambda: self.grow(self.growth)))
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def calls(self) -> list[Call]:
        """All calls so far, in the order of their arrival."""
        return sorted(self._calls, key=lambda call: call.arrived)

    @property
    def device_sns(self) -> list[str]:
        """Serial numbers of all devices."""
        return list(self._held)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the tap read v4 from here."""
        limits = (
            ("TAP_ZENTRA_CALL_LIMIT_WINDOW", self.window, WINDOW),
            ("TAP_ZENTRA_USER_CALL_LIMIT", self.user_limit, USER_LIMIT),
            ("TAP_ZENTRA_DEVICE_CALL_LIMIT", self.device_limit, DEVICE_LIMIT),
        )
        return self._access | _unusual(limits)

    @property
    def environment_v5(self) -> dict[str, str]:
        """The variables that make the tap read v5 from here."""
        limits = (
            ("TAP_ZENTRA_CALL_LIMIT_WINDOW", self.window, WINDOW),
            ("TAP_ZENTRA_DEVICE_CALL_LIMIT", self.device_limit, DEVICE_LIMIT),
            ("TAP_ZENTRA_DEVICE_CALL_BURST", self.device_burst, DEVICE_BURST),
        )
        return {"TAP_ZENTRA_API_VERSION": "v5"} | self._access | _unusual(limits)

    @property
    def _access(self) -> dict[str, str]:
        return {
            "TAP_ZENTRA_API_URL": self.url,
            "TAP_ZENTRA_AUTH_TOKEN": self.token,
            "TAP_ZENTRA_DEVICE_SNS": json.dumps(self.device_sns),
        }

    def readings(self, device_sn: str | None = None) -> Iterator[dict[str, object]]:
        """Yield every value that the service would send now, of one device or of all, named as the tap's columns.

        Each once, in the order of device, mrid and entry. `value` is None for NaN, `units`, `error_description` and
        the names are None where the service sends an empty text, `timestamp_utc` is ISO 8601. With `odd_fields`
        there is a column `extra` for what came in the place of columns that are None because of their form;
        `depth` is among them, as if it had been asked for.
        """
        for device in self._visible(device_sn):
            yield from rows(device, self)

    def readings_v5(self, device_sn: str | None = None, *, units: Units = "metric") -> Iterator[dict[str, object]]:
        """Yield every value that v5 would send now, of one device or of all, named as the tap's columns.

        Each once, in the order of device, time, port, sensor, measurement and index. All that the device holds counts,
        also what a wrong clock stamped in the future, and what is not on the device list. `units` are written with
        the superscript, whatever `unit_spelling` says. `sub_sensor_index` is the position where one is sent, else the
        place among the rows of the same key. In `extra` are a position and a reading id that are sent and not null,
        and with `odd_fields` what came in the place of columns that are None because of their form.
        """
        for device in self._visible(device_sn):
            yield from columns(device, self, units)

    def channels(self, device_sn: str) -> list[dict[str, object]]:
        """Return the channels of all that the service would send now of a device, see `channels_of`.

        Sub-sensors are counted down a profile probe, from 0 on. A swapped probe, a moved port and changed units are
        channels of their own.
        """
        return list(channels_of(self.readings(device_sn)))

    def channels_v5(self, device_sn: str, *, units: Units = "metric") -> list[dict[str, object]]:
        """Return the channels of all that v5 would send now of a device, see `channels_of` and `readings_v5`.

        v5 has neither serial numbers nor mrids, so a probe that was swapped for another of its kind is the same.
        """
        return list(channels_of(self.readings_v5(device_sn, units=units)))

    def devices_v5(self) -> list[dict[str, object]]:
        """Return what v5 would tell now of each device on its list, with all groups and where it is.

        Names are the service's, but for `location`, `latitude` and `longitude` (degrees), which it tells with the
        readings. Forms are the usual ones, whatever `odd_fields` says; the NUL in a name is U+FFFD. Zeros for
        coordinates are zeros here too.
        """
        listed = [device for device in self._visible(None) if device.listed]
        return [whole_entry(device, self, time.time()) for device in listed]

    def env_model(
        self,
        device_sn: str,
        port: int,
        model_type: str,
        *,
        elevation: float,
        latitude: float,
        wind_measurement_height: float = 2.0,
    ) -> list[dict[str, object]]:
        """Return what `get_env_model_data` would send now of all of a device's days, with the names of its fields.

        `value` is None for NaN. Days without records are among them, although the service tells of them only in one
        answer with other days; a device that cannot be seen, or has no weather station on the port, has no days.
        """
        query = ModelQuery(model_type, port, Inputs(elevation, latitude, wind_measurement_height), None, None)
        return [day._asdict() for device in self._visible(device_sn) for day in model_days(device, self.seed, query)]

    def _visible(self, device_sn: str | None) -> list[Device]:
        held = list(self._held.values()) if device_sn is None else [self._held[device_sn]]
        return [device for device in held if not device.of_another_user]

    def device(self, device_sn: str) -> Device:
        """Return what a device holds now."""
        return self._held[device_sn]

    def grow(self, records: int = 1, device_sn: str | None = None) -> None:
        """Let a device, or all of them, make more records."""
        for name in self.device_sns if device_sn is None else [device_sn]:
            self._change(name, lambda device: device.grown(records))

    def wipe(self, device_sn: str, records: int = 0) -> None:
        """Let a device lose its records and make new ones, counted from mrid 1."""
        self._change(device_sn, lambda device: device.wiped(records))

    def rename(self, device_sn: str, name: str) -> None:
        """Let a device's owner call it otherwise."""
        self._change(device_sn, lambda device: replace(device, name=name))

    def withhold(self, device_sn: str, first_mrid: int, last_mrid: int) -> None:
        """Let records, both ends inclusive, not have arrived yet, whatever newer ones have; also such as come later."""
        self._change(device_sn, lambda device: replace(device, withheld=(*device.withheld, (first_mrid, last_mrid))))

    def deliver(self, device_sn: str) -> None:
        """Let all that was withheld arrive."""
        self._change(device_sn, lambda device: replace(device, withheld=()))

    def unlist(self, device_sn: str) -> None:
        """Let a device vanish from v5's device list; it still answers by name."""
        self._change(device_sn, lambda device: replace(device, listed=False))

    def relist(self, device_sn: str) -> None:
        """Let a device be on v5's device list again."""
        self._change(device_sn, lambda device: replace(device, listed=True))

    def regenerate_token(self) -> str:
        """Return a new token, which is the only one that is accepted from now on."""
        self._tokens += 1
        self.token = _token(self.seed, self._tokens)
        return self.token

    def call_as_another(self, device_sn: str) -> bool:
        """Call a device in v5 as another program with a key of its own would, and return whether it was allowed."""
        return self._service.call_as_another(device_sn, time.monotonic())

    def fail(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        self._faults.add(fault)

    def recover(self, fault: Fault) -> None:
        """Let a fault not happen any more."""
        self._faults.remove(fault)

    def let_window_pass(self) -> None:
        """Let the limits forget the calls so far; other processes `POST` to `/control/let-window-pass`."""
        self._service.let_window_pass()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that calls, or changes of the devices, bring about, however long that takes."""
        with self._happened:
            self._happened.wait_for(condition)

    def answer(self, request: Request) -> Response:
        """Return the right answer to a call, without limits and faults, for faults that alter it."""
        return self._service.answer(request)

    def _change(self, device_sn: str, change: Callable[[Device], Device]) -> None:
        with self._changing:
            self._held[device_sn] = change(self._held[device_sn])
        self._tell()

    def _tell(self) -> None:
        with self._happened:
            self._happened.notify_all()

    def _on_call(self, call: Call) -> None:
        self._calls.append(call)
        self._tell()
        if self._log is not None:
            self._log.write(json.dumps(_log_line(call)) + "\n")


class _Repeated:
    """Does something again and again in a thread of its own."""

    def __init__(self, interval: float, action: Callable[[], None]) -> None:
        self._interval = interval
        self._action = action
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zentra-emulator-growth")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._action()


def _token(seed: int, number_of_times: int = 0) -> str:
    """Return a token; another one each time that it is made anew."""
    parts = ("token", seed, *(("again", number_of_times) if number_of_times else ()))
    return "".join(f"{number(*parts, part):016x}" for part in range(3))[:TOKEN_DIGITS]


def _unusual(settings: Sequence[tuple[str, float, float]]) -> dict[str, str]:
    """Return those of the settings (name, value, the service's value) that differ from the service's."""
    return {name: f"{value:g}" for name, value, usual in settings if value != usual}


def _log_line(call: Call) -> dict[str, object]:
    arrived = time.time() - (time.monotonic() - call.arrived)
    asked: dict[str, object] = {"start_mrid": call.params.get("start_mrid")}
    if call.path.startswith(PREFIX):
        asked = {"start_datetime": call.params.get("start_datetime"), "next_token": "next_token" in call.params}
    return {
        "time": datetime.fromtimestamp(arrived, UTC).isoformat(timespec="milliseconds"),
        "device_sn": call.device_sn,
        "status": call.status,
        "injected": call.injected,
        **asked,
        "records": call.records,
    }
