"""The tap's settings: what they are called, what they may be, and what to say when they are not.

Pure: knows neither the SDK's tap nor the environment.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import math
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk import typing as th

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERVERS = {
    "us": "https://zentracloud.com",
    "eu": "https://zentracloud.eu",
    "tahmo": "https://tahmo.zentracloud.com",
    "aroya": "https://aroya.zentracloud.com",
}
"""The base URL of each server of ZENTRA Cloud Classic; an account, its tokens and its devices live on exactly one."""

V5_URL = "https://api.zentracloud.io"
"""The base URL of ZENTRA Cloud 2.0, which has one server (METER's own client)."""

MAX_DAYS = 36_500
"""A hundred years: more than any device has measured."""

MODEL_TYPES = ("ETo", "ETr")
"""Evapotranspiration of a reference crop: of grass, and of alfalfa."""

ENV_MODEL = th.ObjectType(
    th.Property("device_sn", th.StringType, required=True, description="Serial number of the device."),
    th.Property(
        "port_number", th.IntegerType(minimum=1), required=True, description="Port of the weather station (ATMOS 41)."
    ),
    th.Property(
        "model_type",
        th.StringType,
        allowed_values=list(MODEL_TYPES),
        required=True,
        description="Reference crop: `ETo` (grass) or `ETr` (alfalfa).",
    ),
    th.Property(
        "elevation",
        th.NumberType(minimum=-500, maximum=9000),
        required=True,
        description="Elevation of the weather station above sea level, in metres.",
    ),
    th.Property(
        "latitude",
        th.NumberType(minimum=-90, maximum=90),
        required=True,
        description="Latitude of the weather station, in degrees; negative south of the equator.",
    ),
    th.Property(
        "wind_measurement_height",
        th.NumberType(exclusive_minimum=0, maximum=100),
        default=2,
        description="Height at which the weather station measures wind, in metres.",
    ),
    additional_properties=False,
)
"""What an entry of `env_models` may be."""

SCHEMA = th.PropertiesList(
    th.Property(
        "auth_token",
        th.StringType,
        required=True,
        secret=True,
        description="Token of the account: with v3 and v4 that of ZENTRA Cloud Classic (API, Copy token), with or "
        "without the word `Token` in front; with v5 the key of ZENTRA Cloud 2.0 (Profile, Integrations, Show Token).",
    ),
    th.Property(
        "device_sns",
        th.ArrayType(th.StringType),
        description='Serial numbers of the devices to read: `["z6-12345", "z6-12346"]`, or separated by commas, spaces '
        "or line breaks. Required for v3 and v4; with v5, leave it out to read all devices that the key can access.",
    ),
    th.Property(
        "api_version",
        th.StringType,
        allowed_values=["v5", "v4", "v3"],
        default="v4",
        description="`v5` for accounts in ZENTRA Cloud 2.0, `v4` for accounts in ZENTRA Cloud Classic; METER advises "
        "against `v3`.",
    ),
    th.Property(
        "server",
        th.StringType,
        allowed_values=list(SERVERS),
        default="us",
        description="v3, v4: the server that hosts the account: `us`, `eu`, `tahmo` or `aroya`.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        description="Base URL to use instead of the server's, without a path; it must be `https`, except for addresses "
        "on this machine.",
    ),
    th.Property(
        "organization_id",
        th.StringType,
        description="v5: read only devices of this organization, of all that the key can access.",
    ),
    th.Property(
        "units",
        th.StringType,
        allowed_values=["metric", "imperial"],
        default="metric",
        description="v5: units of the values; with v3 and v4 the account's preferences apply.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="Start of a device's first sync (UTC unless a time zone is given); by default, the device's first "
        "record.",
    ),
    th.Property(
        "end_date",
        th.DateTimeType,
        description="End of every sync, inclusive (UTC unless a time zone is given); by default, the newest record.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=2000),
        default=2000,
        description="v3, v4: records per call, at most 2000.",
    ),
    th.Property(
        "user_call_limit",
        th.IntegerType(minimum=1),
        default=60,
        description="v3, v4: calls that the service allows the account per window.",
    ),
    th.Property(
        "device_call_limit",
        th.IntegerType(minimum=1),
        default=1,
        description="Calls that the service allows each device per window.",
    ),
    th.Property(
        "device_call_burst",
        th.IntegerType(minimum=1),
        default=5,
        description="v5: calls in quick succession that the service allows a device after a while without calls.",
    ),
    th.Property(
        "call_limit_window",
        th.NumberType(exclusive_minimum=0, maximum=86_400),
        default=60,
        description="Length of the window in which calls are counted, in seconds.",
    ),
    th.Property(
        "max_concurrent_calls",
        th.IntegerType(minimum=1, maximum=60),
        default=60,
        description="Maximum number of concurrent calls.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0, maximum=86_400),
        default=120,
        description="Seconds to wait for a response.",
    ),
    th.Property(
        "max_attempts",
        th.IntegerType(minimum=1),
        default=5,
        description="Attempts per page before the device is skipped for this run.",
    ),
    th.Property(
        "mrid_lookback",
        th.IntegerType(minimum=0),
        default=200,
        description="v3, v4: re-read the last N records on every sync, and write those that have changed because "
        "values arrived late or were corrected.",
    ),
    th.Property(
        "lookback_days",
        th.NumberType(minimum=0, maximum=MAX_DAYS),
        default=7,
        description="v5: re-read the last N days on every sync, and write the readings that have changed.",
    ),
    th.Property(
        "reread_device_sns",
        th.ArrayType(th.StringType),
        description="Devices to re-read from their start in this run, of those that are read; the others continue from "
        "their bookmarks.",
    ),
    th.Property(
        "on_device_failure",
        th.StringType,
        allowed_values=["fail", "warn"],
        default="fail",
        description="If some devices fail and others do not: `fail` ends the run with exit code 1, `warn` with a "
        "warning and exit code 0.",
    ),
    th.Property("device_depth", th.BooleanType, default=True, description="v3, v4: request the depths of the sensors."),
    th.Property(
        "compact_readings",
        th.BooleanType,
        default=False,
        description="Write one record for each device and time, with its readings as an array, to the stream `records` "
        "(v5: `records_v5`) instead of one record for each reading to `readings` (v5: `readings_v5`). Loads faster and "
        "takes less space, but queries have to expand the array.",
    ),
    th.Property(
        "env_models",
        th.ArrayType(ENV_MODEL),
        description="v3, v4: weather stations for which the stream `env_model_data` provides daily evapotranspiration: "
        'a list such as `[{"device_sn": "z6-12345", "port_number": 1, "model_type": "ETo", "elevation": 806, '
        '"latitude": 32.25, "wind_measurement_height": 2}]`; `model_type` is `ETo` or `ETr`, elevation and height are '
        "in metres (the height defaults to 2).",
    ),
    th.Property(
        "env_model_lookback_days",
        th.IntegerType(minimum=0, maximum=MAX_DAYS),
        default=7,
        description="v3, v4: re-read the last N days of `env_model_data` on every sync (at least the newest day), and "
        "write those that have changed.",
    ),
    th.Property("user_agent", th.StringType, description="User-Agent header; by default, `tap-zentra/<version>`."),
).to_dict()
"""JSON schema of the settings: the one place that `--about`, the README and the plugin definition follow."""

BELONGS_TO_V5 = ("organization_id", "units", "device_call_burst", "lookback_days")
BELONGS_TO_CLASSIC = (
    "server",
    "page_size",
    "user_call_limit",
    "mrid_lookback",
    "device_depth",
    "env_models",
    "env_model_lookback_days",
)
"""Settings that mean nothing to the other service."""

V5_KEY = "your account's key (app.zentracloud.io: Profile, Integrations, Show Token)"
CLASSIC_NEEDS = {
    "auth_token": "your account's token (ZENTRA Cloud Classic: API, Copy token); if your account is in ZENTRA Cloud "
    "2.0 (app.zentracloud.io), also set api_version to v5",
    "device_sns": "the serial numbers of the devices to read, such as z6-12345,z6-12346",
}
"""What to set a setting to that is needed and missing."""


@dataclass(frozen=True)
class EnvModel:
    """A weather station of which daily evapotranspiration is wanted, and by which model.

    `model_type` is one of `MODEL_TYPES`. Elevation and height are in metres, the latitude in degrees: what the service
    computes with.
    """

    device_sn: str
    port_number: int
    model_type: str
    elevation: float
    latitude: float
    wind_measurement_height: float


@dataclass(frozen=True)
class Settings:
    """Valid settings.

    `start_date` and `end_date` are moments in seconds since 1970; `call_limit_window` and `request_timeout` are
    durations in seconds. `device_sns` is empty where all devices of the key are to be read. `reread_device_sns` and the
    devices of `env_models` are spelled as in `device_sns`.
    """

    auth_token: str = field(repr=False)
    device_sns: tuple[str, ...]
    api_url: str
    api_version: str
    organization_id: str | None
    units: str
    start_date: int | None
    end_date: int | None
    page_size: int
    user_call_limit: int
    device_call_limit: int
    device_call_burst: int
    call_limit_window: float
    max_concurrent_calls: int
    request_timeout: float
    max_attempts: int
    mrid_lookback: int
    lookback_days: float
    reread_device_sns: tuple[str, ...]
    on_device_failure: str
    device_depth: bool
    compact_readings: bool
    env_models: tuple[EnvModel, ...]
    env_model_lookback_days: int
    user_agent: str | None

    def as_config(self) -> dict[str, Any]:
        """Return the settings that may have come as text, as the JSON schema wants them."""
        typed = {name: getattr(self, name) for name in SCHEMA["properties"] if name not in _KEPT_AS_GIVEN}
        return {
            **typed,
            "device_sns": list(self.device_sns) or None,
            "reread_device_sns": list(self.reread_device_sns),
            "env_models": [asdict(station) for station in self.env_models],
        }


class SettingsError(ValueError):
    """Settings that are missing or wrong.

    Attributes:
        faults: One line for each, with the setting's name and what it should be.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class _UnfitError(ValueError):
    """A value that a setting can't have; the message says what it should be."""

    def __init__(self, expected: str, *, secret: bool = False) -> None:
        super().__init__(expected)
        self._secret = secret

    def faults(self, name: str, given: object) -> list[str]:
        """Return what is wrong with a setting, one line each."""
        return [self._fault(name, given)]

    def _fault(self, name: str, given: object) -> str:
        shown = "" if self._secret else f", not {given!r}"
        return f"{name} should be {self}{shown}"


class _UnfitEntriesError(_UnfitError):
    """Entries of a list that can't be; the faults say which ones and why."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self._faults = faults

    def faults(self, name: str, given: object) -> list[str]:  # noqa: ARG002 - each fault shows its own part
        return [f"{name} {fault}" for fault in self._faults]


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Read the settings from a configuration, in which all may be text, as in environment variables.

    Raises:
        SettingsError: At least one setting is missing or wrong; all faults are named.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, schema in SCHEMA["properties"].items():
        given = config.get(name)
        if given is None or (isinstance(given, str) and not given.strip()):
            given = schema.get("default")
        try:
            values[name] = None if given is None else _reader(name, schema)(given)
        except _UnfitError as unfit:
            faults += unfit.faults(name, given)
    faults += _missing(values) + _of_another_version(values) + _contradictions(values)
    if faults:
        names = list(SCHEMA["properties"])
        raise SettingsError(sorted(faults, key=lambda fault: names.index(fault.split()[0])))
    values["device_sns"] = values["device_sns"] or ()
    values["reread_device_sns"] = _as_spelled(values["device_sns"], values["reread_device_sns"] or ())
    values["env_models"] = _with_devices_as_spelled(values["device_sns"], values["env_models"] or ())
    server = values.pop("server")
    values["api_url"] = values["api_url"] or (V5_URL if values["api_version"] == "v5" else SERVERS[server])
    return Settings(**values)


def wants_compact_readings(config: Mapping[str, Any]) -> bool:
    """Return whether readings are to have the compact form, also where other settings are not valid (`--discover`)."""
    given = config.get("compact_readings")
    try:
        return given is not None and _boolean(given)
    except _UnfitError:
        return False


def _missing(values: Mapping[str, Any]) -> list[str]:
    """Return which settings are needed and were not given; one that is wrong is not among the values."""
    needed = {"auth_token": V5_KEY} if values.get("api_version", "v5") == "v5" else CLASSIC_NEEDS
    return [
        f"{name} is missing; set it to {what}"
        for name, what in needed.items()
        if name in values and values[name] is None
    ]


def _of_another_version(values: Mapping[str, Any]) -> list[str]:
    """Return which settings were given although they mean nothing to the API that is chosen."""
    version = values.get("api_version")
    if version is None:
        return []
    foreign, those = (BELONGS_TO_CLASSIC, "v3 and v4") if version == "v5" else (BELONGS_TO_V5, "v5")
    return [
        f"{name} is a setting for {those} and has no effect with api_version {version}; remove it"
        for name in foreign
        if name in values and values[name] != SCHEMA["properties"][name].get("default")
    ]


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings that are right each by itself; one that is missing contradicts nothing."""
    faults = []
    start, end = values.get("start_date"), values.get("end_date")
    if start is not None and end is not None and start > end:
        faults.append("end_date should not be before start_date")
    device_sns, reread = values.get("device_sns"), values.get("reread_device_sns")
    if device_sns and reread:
        known = {same_device(one) for one in device_sns}
        foreign = [one for one in reread if same_device(one) not in known]
        if foreign:
            faults.append(f"reread_device_sns should only name devices of device_sns, not {', '.join(foreign)}")
    return faults


def _as_spelled(device_sns: tuple[str, ...], chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chosen devices as `device_sns` spells them; where that is empty, as they are."""
    if not device_sns:
        return chosen
    wanted = {same_device(one) for one in chosen}
    return tuple(one for one in device_sns if same_device(one) in wanted)


def _with_devices_as_spelled(device_sns: tuple[str, ...], stations: tuple[EnvModel, ...]) -> tuple[EnvModel, ...]:
    """Return stations whose device is spelled as in `device_sns`, else as the first station of the device has it."""
    spelling: dict[str, str] = {}
    for device_sn in (*device_sns, *(station.device_sn for station in stations)):
        spelling.setdefault(same_device(device_sn), device_sn)
    return tuple(replace(station, device_sn=spelling[same_device(station.device_sn)]) for station in stations)


def is_classic_token(token: str) -> bool:
    """Return whether a token has the form of those of ZENTRA Cloud Classic (METER's documentation)."""
    return re.fullmatch(r"[0-9a-fA-F]{40}", token) is not None


def same_device(device_sn: str) -> str:
    """Return what serial numbers of the same device, in whatever case, have in common."""
    return device_sn.casefold()


def _reader(name: str, schema: dict[str, Any]) -> Callable[[object], Any]:
    """Return the function that turns what was given for a setting into its value."""
    if name in _READERS:
        return _READERS[name]
    if "enum" in schema:
        return lambda given: _choice(given, schema["enum"])
    kind = schema["type"][0]
    if kind == "boolean":
        return _boolean
    if kind == "string":
        return _word
    unit = "seconds" if "exclusiveMinimum" in schema else ""
    return lambda given: _number(given, schema, whole=kind == "integer", unit=unit)


def _choice(given: object, allowed: list[str]) -> str:
    if given not in allowed:
        raise _UnfitError(f"one of {', '.join(allowed)}")
    return str(given)


def _word(given: object) -> str:
    text = str(given).strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise _UnfitError("a single word, without spaces or special characters")
    return text


def _boolean(given: object) -> bool:
    text = str(given).strip().lower()
    if text not in _WORDS:
        raise _UnfitError("true or false")
    return _WORDS[text]


_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _number(given: object, schema: dict[str, Any], *, whole: bool = False, unit: str = "") -> float:
    least, most = schema.get("minimum"), schema.get("maximum")
    kind = f"a number of {unit}" if unit else "a number"
    if whole:
        expected = "a whole number" + (f" from {least} to {most}" if most else f", {least} or more")
    elif least is None:
        expected = f"{kind} above 0, up to {most}"
    else:
        expected = f"{kind} from {least} to {most}"
    try:
        number = float(str(given))
    except ValueError:
        raise _UnfitError(expected) from None
    if not math.isfinite(number) or (whole and number != int(number)):
        raise _UnfitError(expected)
    if number < (least or 0) or number > (most or _LARGEST) or (least is None and number == 0):
        raise _UnfitError(expected)
    return int(number) if whole else number


_LARGEST = 2**53
"""The largest whole number that floats, and so JSON, tell from its neighbours."""


def _token(given: object) -> str:
    # People copy the word `Token` with it, or `Bearer`, and quote one or both.
    token = re.sub(r"""^([\s"']|(token|bearer)(?=[\s"']))+|[\s"']+\Z""", "", str(given), flags=re.IGNORECASE)
    if not re.fullmatch(r"[!-~]+", token) or token.lower() in {"token", "bearer"}:
        raise _UnfitError(
            "the token as ZENTRA Cloud shows it: a single word, optionally after the word Token or Bearer", secret=True
        )
    return token


_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _serial_numbers(given: object, *, at_least: int = 1) -> tuple[str, ...]:
    unfit = _UnfitError('a list of serial numbers such as ["z6-12345", "z6-12346"] or z6-12345,z6-12346')
    listed = given
    if isinstance(given, str):
        listed = _json(given, unfit) if given.lstrip().startswith("[") else [given]
    if not isinstance(listed, (list, tuple)) or not all(isinstance(one, str) for one in listed):
        raise unfit
    # The same serial number in another case is the same device; its first spelling stays.
    by_device: dict[str, str] = {}
    for one in re.split(r"[\s,]+", ",".join(listed)):
        if one:
            by_device.setdefault(same_device(one), one)
    device_sns = tuple(by_device.values())
    if len(device_sns) < at_least or not all(map(_SERIAL_NUMBER.fullmatch, device_sns)):
        raise unfit
    return device_sns


def _json(text: str, unfit: _UnfitError) -> object:
    """Return what a JSON text says.

    Raises:
        _UnfitError: The one that was given: it is no JSON text.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise unfit from None


_ENV_MODEL_FIELDS: dict[str, dict[str, Any]] = ENV_MODEL.to_dict()["properties"]

_ENV_MODEL_UNITS = {"elevation": "metres", "latitude": "degrees", "wind_measurement_height": "metres"}


def _env_models(given: object) -> tuple[EnvModel, ...] | None:
    """Return the stations of a list, or of a JSON text of one; None: there are none."""
    unfit = _UnfitError(f"a list of objects with {', '.join(_ENV_MODEL_FIELDS)}, or the same as JSON text", secret=True)
    listed = _json(given, unfit) if isinstance(given, str) else given
    if not isinstance(listed, (list, tuple)):
        raise unfit
    stations: dict[int, EnvModel] = {}
    faults: list[str] = []
    for number, entry in enumerate(listed, start=1):
        try:
            stations[number] = _env_model(entry)
        except _UnfitEntriesError as unfit_entry:
            faults += unfit_entry.faults(f"entry {number}:", entry)
    if faults := faults + _repeated(stations):
        raise _UnfitEntriesError(faults)
    return tuple(stations.values()) or None


def _env_model(entry: object) -> EnvModel:
    """Return the station of an entry.

    Raises:
        _UnfitEntriesError: It is none.
    """
    names = ", ".join(_ENV_MODEL_FIELDS)
    if not isinstance(entry, dict):
        raise _UnfitEntriesError([f"expected an object with {names}"])
    unknown = [name for name in entry if name not in _ENV_MODEL_FIELDS]
    faults = [f"unknown field {_shown(name)}; the fields are {names}" for name in unknown]
    values: dict[str, Any] = {}
    for name, schema in _ENV_MODEL_FIELDS.items():
        value = entry.get(name)
        is_missing = value is None or (isinstance(value, str) and not value.strip())
        try:
            values[name] = _env_model_field(name, schema.get("default") if is_missing else value)
        except _UnfitError as unfit:
            faults.append(
                f"{name} is missing; it should be {unfit}"
                if is_missing
                else f"{name} should be {unfit}, not {_shown(value)}"
            )
    if faults:
        raise _UnfitEntriesError(faults)
    return EnvModel(**values)


def _env_model_field(name: str, given: object) -> str | float:
    schema = _ENV_MODEL_FIELDS[name]
    if name == "model_type":
        for model_type in MODEL_TYPES:
            if str(given).strip().casefold() == model_type.casefold():
                return model_type
        raise _UnfitError(" or ".join(MODEL_TYPES))
    if name == "device_sn":
        if not isinstance(given, str) or not _SERIAL_NUMBER.fullmatch(given.strip()):
            raise _UnfitError("a serial number such as z6-12345")
        return given.strip()
    number = _number(given, schema, whole="integer" in schema["type"], unit=_ENV_MODEL_UNITS.get(name, ""))
    return int(number) if number == int(number) else number  # 806, as in METER's example, also where 806.0 was given


def _shown(value: object) -> str:
    """Return the beginning of a value on one line; nobody knows what a list or an object may hold."""
    if isinstance(value, (dict, list, tuple)):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_LONGEST_SHOWN = 30
"""Characters of a value that is wrong: enough to find it by, and less than a token."""


def _repeated(stations: dict[int, EnvModel]) -> list[str]:
    """Return which entries name again what another one has named: their records would overwrite each other."""
    faults = []
    seen: dict[tuple[str, int, str], int] = {}
    for number, station in stations.items():
        first = seen.setdefault((same_device(station.device_sn), station.port_number, station.model_type), number)
        if first != number:
            faults.append(
                f"entry {number}: duplicates entry {first}; both are {station.model_type} of {station.device_sn}, port "
                f"{station.port_number}"
            )
    return faults


def _url(given: object) -> str:
    expected = "a base URL that begins with https:// (http:// only for addresses on this machine) and has no path"
    unfit = _UnfitError(expected, secret="@" in str(given))
    try:
        parts = urlsplit(str(given).strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise unfit from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not safe or "@" in parts.netloc or parts.query or parts.fragment:
        raise unfit
    # The address of a call, as the service's pages show it, has the path that each call gets anyway.
    if not re.fullmatch(r"/*((api|v5)(/.*)?)?", parts.path, flags=re.IGNORECASE):
        raise unfit
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _moment(given: object) -> int:
    expected = "a date such as 2026-01-31 or 2026-01-31T12:00:00+01:00"
    text = str(given).strip()
    # pendulum reads much more than dates (times of today, durations, the word "now").
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        raise _UnfitError(expected)
    # Here, because most runs have no date, and pendulum makes up a tenth of the time that the tap takes to start.
    import pendulum  # noqa: PLC0415

    try:
        moment = pendulum.parse(text)
        if isinstance(moment, pendulum.DateTime):
            return max(0, int(moment.timestamp()))
    except ValueError:
        pass
    raise _UnfitError(expected)


def _header(given: object) -> str:
    if not re.fullmatch(r"[ -~]+", str(given)):
        raise _UnfitError("a single line without special characters")
    return str(given).strip()


_READERS: dict[str, Callable[[object], Any]] = {
    "auth_token": _token,
    "device_sns": _serial_numbers,
    "reread_device_sns": functools.partial(_serial_numbers, at_least=0),
    "api_url": _url,
    "start_date": _moment,
    "end_date": _moment,
    "env_models": _env_models,
    "user_agent": _header,
}

_KEPT_AS_GIVEN = {"server", "start_date", "end_date"}
