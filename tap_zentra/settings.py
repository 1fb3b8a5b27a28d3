"""The tap's settings: what they are called, what they may be, and what to say when they are not.

Pure: knows neither the SDK's tap nor the environment.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import math
import re
from dataclasses import dataclass, field
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

SCHEMA = th.PropertiesList(
    th.Property(
        "auth_token",
        th.StringType,
        required=True,
        secret=True,
        description="Token of the account (ZENTRA Cloud Classic: API, Copy token), with or without the word `Token`; "
        "with `api_version: v5` the key (ZENTRA Cloud 2.0: Profile, Integrations, Show Token).",
    ),
    th.Property(
        "device_sns",
        th.ArrayType(th.StringType),
        description='Serial numbers of the devices: `["z6-12345", "z6-12346"]`, or separated by commas, blanks or line '
        "ends. Required for v3 and v4; with v5, all devices that the key can see when it is left out.",
    ),
    th.Property(
        "api_version",
        th.StringType,
        allowed_values=["v5", "v4", "v3"],
        default="v4",
        description="`v5` for accounts in ZENTRA Cloud 2.0, `v4` for those in ZENTRA Cloud Classic; METER advises "
        "against `v3`.",
    ),
    th.Property(
        "server",
        th.StringType,
        allowed_values=list(SERVERS),
        default="us",
        description="v3, v4: server that the account lives on: `us`, `eu`, `tahmo` or `aroya`.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        description="Another base URL than the server's, without a path; `https` only, except for addresses of this "
        "machine.",
    ),
    th.Property(
        "organization_id", th.StringType, description="v5: only the devices of this organisation, of those in the list."
    ),
    th.Property(
        "units",
        th.StringType,
        allowed_values=["metric", "imperial"],
        default="metric",
        description="v5: units of the values; with v3 and v4 the account's preferences decide.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="First sync of a device: readings from this moment on (UTC when it names no zone). "
        "Without it: from the device's first record.",
    ),
    th.Property("end_date", th.DateTimeType, description="Readings up to this moment."),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=2000),
        default=2000,
        description="v3, v4: records of one call, at most 2000.",
    ),
    th.Property(
        "user_call_limit",
        th.IntegerType(minimum=1),
        default=60,
        description="v3, v4: calls that the service allows the account in one window.",
    ),
    th.Property(
        "device_call_limit",
        th.IntegerType(minimum=1),
        default=1,
        description="Calls that the service allows each device in one window.",
    ),
    th.Property(
        "device_call_burst",
        th.IntegerType(minimum=1),
        default=5,
        description="v5: calls that the service allows at once for a device that has rested.",
    ),
    th.Property(
        "call_limit_window",
        th.NumberType(exclusive_minimum=0, maximum=86_400),
        default=60,
        description="Window of the limits, in seconds.",
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
        description="v3, v4: re-read the last N records on every sync, and write those that have changed: values that "
        "came late, or were corrected.",
    ),
    th.Property(
        "lookback_days",
        th.NumberType(minimum=0, maximum=MAX_DAYS),
        default=7,
        description="v5: the same with the readings of the last days.",
    ),
    th.Property(
        "reread_device_sns",
        th.ArrayType(th.StringType),
        description="Devices, of those that are read, to read again from their start in this run; the others keep "
        "their bookmarks.",
    ),
    th.Property(
        "on_device_failure",
        th.StringType,
        allowed_values=["fail", "warn"],
        default="fail",
        description="`warn`: a run in which some devices failed and others did not ends with a warning and exit code "
        "0; `fail`: with exit code 1.",
    ),
    th.Property("device_depth", th.BooleanType, default=True, description="v3, v4: ask for the depths of the sensors."),
    th.Property("user_agent", th.StringType, description="User-Agent header; by default `tap-zentra/<version>`."),
).to_dict()
"""JSON schema of the settings: the one place from which `--about`, the README and `meltano.yml` are checked."""

BELONGS_TO_V5 = ("organization_id", "units", "device_call_burst", "lookback_days")
BELONGS_TO_CLASSIC = ("server", "page_size", "user_call_limit", "mrid_lookback", "device_depth")
"""Settings that mean nothing to the other service."""


@dataclass(frozen=True)
class Settings:
    """Valid settings.

    `start_date` and `end_date` are moments in seconds since 1970; `call_limit_window` and `request_timeout` are
    durations in seconds. `device_sns` is empty where all devices of the key are to be read. `reread_device_sns` are
    spelled as in `device_sns`.
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
    user_agent: str | None

    def as_config(self) -> dict[str, Any]:
        """Return the settings that may have come as text, as the JSON schema wants them."""
        typed = {name: getattr(self, name) for name in SCHEMA["properties"] if name not in _KEPT_AS_GIVEN}
        lists = {"device_sns": list(self.device_sns) or None, "reread_device_sns": list(self.reread_device_sns)}
        return {**typed, **lists}


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
        self.secret = secret


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
            shown = "" if unfit.secret else f", not {given!r}"
            faults.append(f"{name} should be {unfit}{shown}")
    faults += _missing(values) + _of_another_version(values) + _contradictions(values)
    if faults:
        names = list(SCHEMA["properties"])
        raise SettingsError(sorted(faults, key=lambda fault: names.index(fault.split()[0])))
    values["device_sns"] = values["device_sns"] or ()
    values["reread_device_sns"] = _as_spelled(values["device_sns"], values["reread_device_sns"] or ())
    server = values.pop("server")
    values["api_url"] = values["api_url"] or (V5_URL if values["api_version"] == "v5" else SERVERS[server])
    return Settings(**values)


def _missing(values: Mapping[str, Any]) -> list[str]:
    """Return which settings are needed and were not given; one that is wrong is not among the values."""
    needed = ["auth_token"] if values.get("api_version", "v5") == "v5" else ["auth_token", "device_sns"]
    return [
        f"{name} is missing: {SCHEMA['properties'][name]['description']}"
        for name in needed
        if name in values and values[name] is None
    ]


def _of_another_version(values: Mapping[str, Any]) -> list[str]:
    """Return which settings were given although they mean nothing to the API that is chosen."""
    version = values.get("api_version")
    if version is None:
        return []
    foreign, those = (BELONGS_TO_CLASSIC, "v3 and v4") if version == "v5" else (BELONGS_TO_V5, "v5")
    return [
        f"{name} is a setting for {those} and means nothing with api_version {version}: leave it out"
        for name in foreign
        if name in values and values[name] != SCHEMA["properties"][name].get("default")
    ]


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings that are right each by itself; one that is missing contradicts nothing."""
    faults = []
    start, end = values.get("start_date"), values.get("end_date")
    if start is not None and end is not None and start > end:
        faults.append("end_date should be later than start_date")
    device_sns, reread = values.get("device_sns"), values.get("reread_device_sns")
    if device_sns and reread:
        known = {same_device(one) for one in device_sns}
        foreign = [one for one in reread if same_device(one) not in known]
        if foreign:
            faults.append(f"reread_device_sns should be among device_sns, which lack {', '.join(foreign)}")
    return faults


def _as_spelled(device_sns: tuple[str, ...], chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chosen devices as `device_sns` spells them; where that is empty, as they are."""
    if not device_sns:
        return chosen
    wanted = {same_device(one) for one in chosen}
    return tuple(one for one in device_sns if same_device(one) in wanted)


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
    return lambda given: _number(given, schema, whole=kind == "integer")


def _choice(given: object, allowed: list[str]) -> str:
    if given not in allowed:
        raise _UnfitError(f"one of {', '.join(allowed)}")
    return str(given)


def _word(given: object) -> str:
    text = str(given).strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise _UnfitError("one word")
    return text


def _boolean(given: object) -> bool:
    text = str(given).strip().lower()
    if text not in _WORDS:
        raise _UnfitError("true or false")
    return _WORDS[text]


_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _number(given: object, schema: dict[str, Any], *, whole: bool) -> float:
    least, most = schema.get("minimum"), schema.get("maximum")
    if whole:
        expected = "a whole number" + (f" from {least} to {most}" if most else f", {least} or more")
    elif least is None:
        expected = f"a number of seconds above 0, at most {most}"
    else:
        expected = f"a number from {least} to {most}"
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
        raise _UnfitError("the token that ZENTRA Cloud shows, one word after the word Token or Bearer", secret=True)
    return token


_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _serial_numbers(given: object, *, at_least: int = 1) -> tuple[str, ...]:
    unfit = _UnfitError('a list of serial numbers such as ["z6-12345", "z6-12346"] or z6-12345,z6-12346')
    listed = given
    if isinstance(given, str):
        try:
            listed = json.loads(given) if given.lstrip().startswith("[") else [given]
        except (ValueError, RecursionError):
            raise unfit from None
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


def _url(given: object) -> str:
    expected = "a base URL that begins with https:// (http:// only for addresses of this machine), without a path"
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
        raise _UnfitError("one line of plain letters")
    return str(given).strip()


_READERS: dict[str, Callable[[object], Any]] = {
    "auth_token": _token,
    "device_sns": _serial_numbers,
    "reread_device_sns": functools.partial(_serial_numbers, at_least=0),
    "api_url": _url,
    "start_date": _moment,
    "end_date": _moment,
    "user_agent": _header,
}

_KEPT_AS_GIVEN = {"server", "start_date", "end_date"}
