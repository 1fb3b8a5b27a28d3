"""Settings: what each may be, from a configuration and from text, and what is said when it is not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tap_zentra.settings import CLASSIC_NEEDS, SCHEMA, SERVERS, V5_KEY, EnvModel, SettingsError, read_settings

TOKEN = "0123456789abcdef0123456789abcdef01234567"
GIVEN: dict[str, Any] = {"auth_token": TOKEN, "device_sns": ["z6-12345"]}
URL_EXPECTED = (
    "api_url should be a base URL that begins with https:// (http:// only for addresses on this machine) "
    "and has no path"
)
NEW_YEAR = 1_767_225_600
"""2026-01-01T00:00:00Z."""
STATION: dict[str, Any] = {
    "device_sn": "z6-1",
    "port_number": 1,
    "model_type": "ETo",
    "elevation": 806,
    "latitude": 32.25,
    "wind_measurement_height": 2.5,
}
FIELDS = "device_sn, port_number, model_type, elevation, latitude, wind_measurement_height"


def _read(name: str, value: object) -> Any:
    """Return what a setting becomes."""
    return getattr(read_settings({**GIVEN, name: value}), name)


def _faults(**config: object) -> list[str]:
    """Return what is said of a configuration."""
    with pytest.raises(SettingsError) as caught:
        read_settings({**GIVEN, **config})
    assert str(caught.value) == "; ".join(caught.value.faults)
    assert caught.value.__context__ is None
    return caught.value.faults


# Defaults


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("auth_token", TOKEN),
        ("device_sns", ("z6-12345",)),
        ("api_url", "https://zentracloud.com"),
        ("api_version", "v4"),
        ("start_date", None),
        ("end_date", None),
        ("page_size", 2000),
        ("user_call_limit", 60),
        ("device_call_limit", 1),
        ("call_limit_window", 60),
        ("max_concurrent_calls", 60),
        ("request_timeout", 120),
        ("max_attempts", 5),
        ("mrid_lookback", 200),
        ("reread_device_sns", ()),
        ("on_device_failure", "fail"),
        ("device_depth", True),
        ("env_models", ()),
        ("env_model_lookback_days", 7),
        ("user_agent", None),
    ],
)
@pytest.mark.parametrize("absent", ["not given", None, "", "  "])
def test_what_is_not_given_has_its_default(name: str, default: object, absent: str | None) -> None:
    """A setting that is missing, null or blank, as in an empty environment variable, has its default."""
    config = GIVEN if name in GIVEN or absent == "not given" else {**GIVEN, name: absent}

    assert getattr(read_settings(config), name) == default


def test_every_setting_is_described() -> None:
    """The schema is the place from which people learn of the settings."""
    assert set(SCHEMA["required"]) == {"auth_token"}
    assert SCHEMA["properties"]["auth_token"]["secret"] is True
    assert all(schema["description"] for schema in SCHEMA["properties"].values())


@pytest.mark.parametrize("name", ["auth_token", "device_sns"])
@pytest.mark.parametrize("absent", [None, "", " \t "])
def test_a_required_setting_that_is_absent_is_named(name: str, absent: str | None) -> None:
    """What is missing is said to be missing, with what to set it to."""
    (fault,) = _faults(**{name: absent})

    assert fault == f"{name} is missing; set it to {CLASSIC_NEEDS[name]}"


def test_a_key_that_is_absent_is_named_in_the_words_of_its_service() -> None:
    """Who has an account in ZENTRA Cloud 2.0 is told where to find its key, and nothing of the other service."""
    (fault,) = _faults(api_version="v5", auth_token=None)

    assert fault == f"auth_token is missing; set it to {V5_KEY}"
    assert "Classic" not in fault


def test_settings_that_are_not_the_taps_are_left_alone() -> None:
    """The SDK's own settings are none of this module's business."""
    assert read_settings({**GIVEN, "flattening_enabled": True, "stream_maps": {}}) == read_settings(GIVEN)


# Token and serial numbers


@pytest.mark.parametrize(
    "given",
    [
        TOKEN,
        f"Token {TOKEN}",
        f"TOKEN {TOKEN}",
        f"token {TOKEN}",
        f"  tOkEn \t {TOKEN} \n",
        f"Token Token {TOKEN}",
        f"Token\u00a0{TOKEN}\u00a0",
        f'"{TOKEN}"',
        f"'{TOKEN}'",
        f" ' {TOKEN} ' ",
        f'"Token {TOKEN}"',
        f"'Token {TOKEN}'",
        f'Token "{TOKEN}"',
        f'Token"{TOKEN}"',
        f"""\"Token '{TOKEN}'\" """,
        f'"{TOKEN}',
    ],
)
def test_the_token_is_taken_with_and_without_its_word(given: str) -> None:
    """The web page copies the word `Token` too, in any case, and people copy blanks and quotes."""
    assert _read("auth_token", given) == TOKEN


def test_a_token_that_begins_like_its_word_is_whole() -> None:
    """Only the word is cut off, not its letters."""
    assert _read("auth_token", "tokenish-secret") == "tokenish-secret"
    assert _read("auth_token", "it's\"token") == "it's\"token"


@pytest.mark.parametrize(
    "given",
    [
        "Token",
        "token ",
        "TOKEN TOKEN",
        '""',
        "'Token'",
        'Token ""',
        f"{TOKEN} {TOKEN}",
        "Bearer",
        "Bearer Token",
        f"{TOKEN}\u00e9",
        f"a\n{TOKEN}",
        [TOKEN, 1],
    ],
)
def test_a_token_that_can_not_be_one_is_refused_and_not_shown(given: object) -> None:
    """The refusal names the setting and says what it should be, without a letter of what was given."""
    (fault,) = _faults(auth_token=given)

    assert fault == (
        "auth_token should be the token as ZENTRA Cloud shows it: a single word, "
        "optionally after the word Token or Bearer"
    )


def test_the_token_is_in_no_message_and_no_text_of_the_settings() -> None:
    """Whatever else is wrong, and wherever settings are printed, the token stays out."""
    faults = _faults(auth_token=f"Token {TOKEN}", page_size=0, server="moon", api_url="x", device_sns="?")

    assert TOKEN not in str(faults)
    assert TOKEN not in repr(read_settings(GIVEN))


@pytest.mark.parametrize(
    "given",
    [
        ["z6-1", "06-02047", "A4100000"],
        ("z6-1", "06-02047", "A4100000"),
        '["z6-1", "06-02047", "A4100000"]',
        ' ["z6-1","06-02047" ,"A4100000"] ',
        "z6-1,06-02047,A4100000",
        " z6-1 , 06-02047,\nA4100000,",
        ["z6-1", " z6-1", "06-02047 ", "", "  ", "A4100000", "06-02047"],
        "z6-1,,z6-1, 06-02047,A4100000,z6-1",
        '["z6-1", "", "06-02047", "A4100000", " z6-1 "]',
        "z6-1 06-02047 A4100000",
        "z6-1\n06-02047\r\nA4100000\n",
        "\tz6-1,06-02047  A4100000\n,",
        ["z6-1 06-02047", "A4100000,"],
        "z6-1,Z6-1,06-02047,A4100000,a4100000",
        ["z6-1", "Z6-1", "06-02047", "A4100000", "a4100000"],
    ],
)
def test_serial_numbers_are_taken_as_list_and_as_text(given: object) -> None:
    """A JSON list, and text with commas, blanks or line ends; duplicates, whatever the case, are dropped."""
    assert _read("device_sns", given) == ("z6-1", "06-02047", "A4100000")


@pytest.mark.parametrize(
    "given",
    [
        5,
        True,
        {"z6-1": 1},
        [],
        "[]",
        ",",
        [""],
        ["z6-1", 5],
        ["z6-1", None],
        '["z6-1"',
        '["z6-1", 5]',
        '[["z6-1"]]',
        '{"z6-1": 1}',
        "z6-1;z6-2",
        "z6-1/../",
        "z6-1&per_page=1",
        "-z6",
        "z" * 65,
        "z6-ä",
    ],
)
def test_serial_numbers_that_can_not_be_some_are_refused(given: object) -> None:
    """Both forms are shown to whoever gave neither."""
    (fault,) = _faults(device_sns=given)

    assert fault == (
        'device_sns should be a list of serial numbers such as ["z6-12345", "z6-12346"] or z6-12345,z6-12346, '
        f"not {given!r}"
    )


@pytest.mark.parametrize("given", [["Z6-2", "z6-3"], "z6-3\nZ6-2,z6-2", '["z6-3", "Z6-2"]'])
def test_devices_to_read_again_are_some_of_the_devices(given: object) -> None:
    """They are found whatever their case, and spelled as in device_sns."""
    config = {**GIVEN, "device_sns": "z6-1,z6-2,Z6-3", "reread_device_sns": given}

    assert read_settings(config).reread_device_sns == ("z6-2", "Z6-3")


def test_devices_to_read_again_that_are_no_devices_are_refused_by_name() -> None:
    """A misspelled serial number would have nothing read again, and nobody would notice."""
    assert _faults(device_sns="z6-1,z6-2", reread_device_sns="z6-8,Z6-2,z6-9") == [
        "reread_device_sns should only name devices of device_sns, not z6-8, z6-9"
    ]
    assert [fault.split()[0] for fault in _faults(device_sns=5, reread_device_sns="z6-8")] == ["device_sns"]


@pytest.mark.parametrize("given", [[], "[]", ",", " "])
def test_no_devices_to_read_again_are_none(given: object) -> None:
    """An empty list is what a configuration has in which nothing is to be read again."""
    assert _read("reread_device_sns", given) == ()


def test_settings_can_be_read_again_from_what_they_became() -> None:
    """The SDK keeps the configuration with its types, and the account is made from that."""
    settings = read_settings(GIVEN)

    assert read_settings({**GIVEN, **settings.as_config()}) == settings


@pytest.mark.parametrize("given", [{}, 5, "z6/1", ["z6-12345", None]])
def test_devices_to_read_again_that_can_not_be_some_are_refused(given: object) -> None:
    """As for device_sns."""
    (fault,) = _faults(reread_device_sns=given)

    assert fault.startswith("reread_device_sns should be a list of serial numbers")


# Server and URL


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("us", "https://zentracloud.com"),
        ("eu", "https://zentracloud.eu"),
        ("tahmo", "https://tahmo.zentracloud.com"),
        ("aroya", "https://aroya.zentracloud.com"),
    ],
)
def test_a_server_is_its_url(server: str, url: str) -> None:
    """Each server has its base URL."""
    assert read_settings({**GIVEN, "server": server}).api_url == url
    assert SERVERS[server] == url


@pytest.mark.parametrize("given", ["moon", "US", "https://zentracloud.com", 1, ["us"]])
def test_another_server_is_refused(given: object) -> None:
    """The servers that there are, are named."""
    assert _faults(server=given) == [f"server should be one of us, eu, tahmo, aroya, not {given!r}"]


@pytest.mark.parametrize(("given", "version"), [("v3", "v3"), ("v4", "v4"), ("v5", "v5")])
def test_an_api_version_is_taken(given: str, version: str) -> None:
    """All versions that have this call can be asked for."""
    assert _read("api_version", given) == version


@pytest.mark.parametrize("given", ["v6", "4", 4])
def test_another_api_version_is_refused(given: object) -> None:
    """The versions that can be asked for are named."""
    assert _faults(api_version=given) == [f"api_version should be one of v5, v4, v3, not {given!r}"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://proxy.example", "https://proxy.example"),
        ("https://proxy.example/", "https://proxy.example"),
        (" https://proxy.example:8443/ ", "https://proxy.example:8443"),
        ("https://zentracloud.com/api/v4/get_readings/", "https://zentracloud.com"),
        ("https://zentracloud.com/api/v4/get_readings", "https://zentracloud.com"),
        ("https://zentracloud.com/api/v4", "https://zentracloud.com"),
        ("https://zentracloud.com/API/", "https://zentracloud.com"),
        ("http://localhost:8080//api", "http://localhost:8080"),
        ("HTTPS://proxy.example", "https://proxy.example"),
        ("http://localhost", "http://localhost"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_another_url_wins_over_the_server(given: str, url: str) -> None:
    """`https` goes anywhere, `http` to this machine only."""
    assert read_settings({**GIVEN, "server": "eu", "api_url": given}).api_url == url


@pytest.mark.parametrize(
    "given",
    [
        "proxy.example",
        "//proxy.example",
        "https://",
        "https:///path",
        "ftp://proxy.example",
        "http://proxy.example",
        "http://192.168.1.1",
        "http://0.0.0.0",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://[::2]",
        "https://[::1",
        "https://proxy.example:port",
        "https://proxy.example:99999",
        "https://proxy.example/?a=1",
        "https://proxy.example/#part",
        "https://proxy.example/zentra/",
        "https://proxy.example/zentra/api/v4",
        "https://proxy.example/apiary",
        "https://proxy.example/;api",
        5,
    ],
)
def test_a_url_that_is_not_safe_is_refused(given: object) -> None:
    """The token goes over no open line, and nowhere but where a URL plainly says."""
    assert _faults(api_url=given) == [f"{URL_EXPECTED}, not {given!r}"]


@pytest.mark.parametrize(
    "given", ["https://user:secret@proxy.example", "http://127.0.0.1@proxy.example", "http://proxy.example\\@localhost"]
)
def test_a_url_with_a_password_is_refused_and_not_shown(given: str) -> None:
    """Passwords in URLs would end up in logs; this one does not."""
    assert _faults(api_url=given) == [URL_EXPECTED]


# Dates


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2026-01-01", NEW_YEAR),
        (" 2026-01-01 ", NEW_YEAR),
        ("2026-01-01T00:00:00", NEW_YEAR),
        ("2026-01-01 00:00", NEW_YEAR),
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01T00:00:00+00:00", NEW_YEAR),
        ("2026-01-01T01:00:00+01:00", NEW_YEAR),
        ("2025-12-31T19:00:00-05:00", NEW_YEAR),
        ("2026-01-01T05:30:00+0530", NEW_YEAR),
        ("2026-01-01T00:00:00.000Z", NEW_YEAR),
        ("1970-01-01", 0),
        ("1969-12-31", 0),
        ("0001-01-01", 0),
    ],
)
def test_a_date_is_a_moment(name: str, given: str, seconds: int) -> None:
    """A date is UTC when it names no zone; what comes before 1970 is 1970."""
    moment = _read(name, given)

    assert moment == seconds
    assert type(moment) is int


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "given",
    [
        "now",
        "yesterday",
        "12:00",
        "P1D",
        "2026",
        "2026-01",
        "2026-02-30",
        "2026-13-01",
        "2026-01-31T25:00",
        "2026-01-31 noon",
        "2026-01-01/2026-02-01",
        "2026-01-01T00:00:00 Europe/Berlin",
        "01-31-2026",
        "2026-W05",
        20260131,
        1.5,
        ["2026-01-01"],
    ],
)
def test_what_is_no_date_is_refused(name: str, given: object) -> None:
    """A date is shown to whoever gave none."""
    assert _faults(**{name: given}) == [
        f"{name} should be a date such as 2026-01-31 or 2026-01-31T12:00:00+01:00, not {given!r}"
    ]


def test_an_end_before_the_start_is_refused() -> None:
    """A range that holds nothing is a mistake."""
    assert _faults(start_date="2026-01-02", end_date="2026-01-01") == ["end_date should not be before start_date"]


def test_a_range_that_ends_with_the_epoch_is_refused() -> None:
    """The first moment of 1970 is a moment like any other."""
    assert _faults(start_date="2026-01-01", end_date="1970-01-01") == ["end_date should not be before start_date"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("start_date", "2026-01-01T00:00:00+24:00"),
        ("device_sns", "[" * 100_000),
        ("api_url", "https://user:secret@host:port"),
    ],
)
def test_what_breaks_a_parser_is_refused(name: str, given: str) -> None:
    """The setting is named, and a password in a URL is not shown."""
    (fault,) = _faults(**{name: given})

    assert fault.startswith(f"{name} should be")
    assert "secret" not in fault


def test_a_range_of_one_moment_is_taken() -> None:
    """Both ends belong to the range."""
    settings = read_settings({**GIVEN, "start_date": "2026-01-01", "end_date": "2026-01-01T01:00:00+01:00"})

    assert (settings.start_date, settings.end_date) == (NEW_YEAR, NEW_YEAR)


# Numbers, truth and the user agent


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("page_size", 1, 1),
        ("page_size", 2000, 2000),
        ("page_size", "500", 500),
        ("page_size", " 500 ", 500),
        ("page_size", "500.0", 500),
        ("page_size", 500.0, 500),
        ("user_call_limit", "1", 1),
        ("user_call_limit", 100_000, 100_000),
        ("device_call_limit", "1", 1),
        ("device_call_limit", 7, 7),
        ("max_concurrent_calls", "1", 1),
        ("max_concurrent_calls", 60, 60),
        ("max_attempts", "1", 1),
        ("max_attempts", 100, 100),
        ("mrid_lookback", "0", 0),
        ("env_model_lookback_days", "0", 0),
        ("env_model_lookback_days", 36_500, 36_500),
        ("mrid_lookback", 96, 96),
    ],
)
def test_a_whole_number_is_taken_as_number_and_as_text(name: str, given: object, value: int) -> None:
    """Environment variables are text, and some configurations write every number as a float."""
    number = _read(name, given)

    assert number == value
    assert type(number) is int


@pytest.mark.parametrize("name", ["call_limit_window", "request_timeout"])
@pytest.mark.parametrize(
    ("given", "value"), [(60, 60.0), ("60", 60.0), (0.05, 0.05), (" 0.05 ", 0.05), ("1e-3", 0.001)]
)
def test_a_duration_is_taken_as_number_and_as_text(name: str, given: object, value: float) -> None:
    """Durations need not be whole."""
    assert _read(name, given) == value


@pytest.mark.parametrize("name", ["call_limit_window", "request_timeout"])
@pytest.mark.parametrize(("given", "allowed"), [(0, False), (0.001, True), (86_400, True), (86_401, False)])
def test_the_schema_bounds_a_duration_alike(name: str, given: float, *, allowed: bool) -> None:
    """The SDK checks a configuration by the JSON schema, and must refuse no window that this module takes."""
    assert jsonschema.Draft7Validator(SCHEMA).is_valid({**GIVEN, name: given}) is allowed


NOT_NUMBERS = ["many", "1,5", "1 0", "nan", "inf", "-inf", "1e999", True, [], {}, "0x10"]


@pytest.mark.parametrize(
    ("name", "expected", "outside"),
    [
        ("page_size", "a whole number from 1 to 2000", [0, -1, 2001, "0", 1.5, "1.5", 10**400]),
        ("user_call_limit", "a whole number, 1 or more", [0, -1, 1.5, 2**53 + 2]),
        ("device_call_limit", "a whole number, 1 or more", [0, -1, 1.5]),
        ("max_concurrent_calls", "a whole number from 1 to 60", [0, -1, 61, 1.5]),
        ("max_attempts", "a whole number, 1 or more", [0, -1, 1.5]),
        ("mrid_lookback", "a whole number, 0 or more", [-1, 0.5]),
        ("env_model_lookback_days", "a whole number from 0 to 36500", [-1, 0.5, 36_501]),
        ("call_limit_window", "a number of seconds above 0, up to 86400", [0, "0.0", -1, 86_401]),
        ("request_timeout", "a number of seconds above 0, up to 86400", [0, "0.0", -0.1, 1e10]),
    ],
)
def test_what_is_no_number_or_out_of_range_is_refused(name: str, expected: str, outside: list[object]) -> None:
    """The refusal names the setting, its range, and what was given instead."""
    for given in [*NOT_NUMBERS, *outside]:
        assert _faults(**{name: given}) == [f"{name} should be {expected}, not {given!r}"]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (" TRUE ", True),
        ("1", True),
        ("0", False),
        (1, True),
        (0, False),
        ("yes", True),
        ("no", False),
        ("on", True),
        ("off", False),
    ],
)
def test_truth_is_taken_as_people_write_it(given: object, value: object) -> None:
    """Environment variables are text."""
    assert _read("device_depth", given) is value


@pytest.mark.parametrize("given", ["maybe", "t", 2, 0.5, [], "truefalse"])
def test_what_is_neither_true_nor_false_is_refused(given: object) -> None:
    """A setting that can't be read is not taken as false."""
    assert _faults(device_depth=given) == [f"device_depth should be true or false, not {given!r}"]


@pytest.mark.parametrize(
    ("given", "value"), [("my-tool/1.0 (me@farm.example)", "my-tool/1.0 (me@farm.example)"), (" a ", "a")]
)
def test_a_user_agent_is_taken(given: str, value: str) -> None:
    """A header of one line is taken as it is, without blanks around it."""
    assert _read("user_agent", given) == value


@pytest.mark.parametrize("given", ["a\nX-Header: b", "a\r\nb", "a\n", "tab\t", "wiesengrün", "\x00"])
def test_a_user_agent_that_is_no_header_is_refused(given: str) -> None:
    """A line break would begin another header."""
    assert _faults(user_agent=given) == [
        f"user_agent should be a single line without special characters, not {given!r}"
    ]


# Environment models


def _stations(*entries: object, **config: object) -> tuple[EnvModel, ...]:
    return read_settings({**GIVEN, "env_models": list(entries), **config}).env_models


@pytest.mark.parametrize(
    "given",
    [
        [STATION, {**STATION, "model_type": "ETr", "port_number": 2}],
        (STATION, {**STATION, "model_type": "etr", "port_number": 2.0}),
        json.dumps([STATION, {**STATION, "model_type": "ETR", "port_number": "2"}]),
        [
            {name: f" {value} " for name, value in STATION.items()},
            {**STATION, "model_type": "ETr", "port_number": 2, "elevation": "806.0"},
        ],
    ],
)
def test_environment_models_are_taken_as_list_and_as_text(given: object) -> None:
    """A list, or a JSON text of one, in which numbers may be text, and the model may be in any case."""
    assert _read("env_models", given) == (
        EnvModel("z6-1", 1, "ETo", 806, 32.25, 2.5),
        EnvModel("z6-1", 2, "ETr", 806, 32.25, 2.5),
    )


@pytest.mark.parametrize("given", [[], "[]", " [ ] ", ()])
def test_no_environment_models_are_none(given: object) -> None:
    """An empty list is what a configuration has that wants none, and v5 does not mind."""
    assert _read("env_models", given) == ()
    assert read_settings({**V5, "env_models": given}).env_models == ()


@pytest.mark.parametrize("absent", [{}, {"wind_measurement_height": None}, {"wind_measurement_height": " "}])
def test_wind_is_measured_at_two_metres_unless_said_otherwise(absent: dict[str, Any]) -> None:
    """As METER's example has it."""
    [station] = _stations({name: value for name, value in STATION.items() if "wind" not in name} | absent)

    assert station.wind_measurement_height == 2


@pytest.mark.parametrize(("given", "sent"), [(806.0, "806"), ("806.50", "806.5"), (-0.0, "0"), (1e3, "1000")])
def test_whole_numbers_are_whole(given: object, sent: str) -> None:
    """So that the service gets them as METER's example has them, however they were written."""
    [station] = _stations({**STATION, "elevation": given})

    assert json.dumps(station.elevation) == sent


@pytest.mark.parametrize(
    ("field", "expected", "outside"),
    [
        ("device_sn", "a serial number such as z6-12345", [5, True, "z6-1,z6-2", "z6/1"]),
        ("port_number", "a whole number, 1 or more", [0, -1, 1.5, "one", True, "nan"]),
        ("model_type", "ETo or ETr", ["ET0", "ET", 1, True]),
        ("elevation", "a number of metres from -500 to 9000", [-501, 9001, "806 m", "inf", True]),
        ("latitude", "a number of degrees from -90 to 90", [-90.5, 91, "32 N", "nan", False]),
        ("wind_measurement_height", "a number of metres above 0, up to 100", [0, -2, 200, "two"]),
    ],
)
def test_a_field_that_is_wrong_is_refused(field: str, expected: str, outside: list[object]) -> None:
    """With the setting, the entry counted from 1, the field, what it should be, and what it is."""
    for given in outside:
        assert _faults(env_models=[STATION, {**STATION, field: given}]) == [
            f"env_models entry 2: {field} should be {expected}, not {given!r}"
        ]


@pytest.mark.parametrize("field", [name for name in STATION if "wind" not in name])
@pytest.mark.parametrize("absent", [None, "", "  ", "left out"])
def test_a_field_that_is_missing_is_refused(field: str, absent: str | None) -> None:
    """It says what the field should be; null and blanks are nothing."""
    entry = {**STATION, field: absent}
    if absent == "left out":
        del entry[field]
    [fault] = _faults(env_models=[entry])

    assert fault.startswith(f"env_models entry 1: {field} is missing; it should be ")


@pytest.mark.parametrize(("field", "least", "most"), [("elevation", -500, 9000), ("latitude", -90, 90)])
def test_the_ends_of_a_range_belong_to_it(field: str, least: int, most: int) -> None:
    """The poles are places."""
    assert [getattr(_stations({**STATION, field: end})[0], field) for end in (least, most)] == [least, most]


@pytest.mark.parametrize("given", ["z6-1", "{", '{"device_sn": "z6-1"}', "5", 5, True, STATION, "[" * 100_000])
def test_what_is_no_list_of_environment_models_is_refused(given: object) -> None:
    """What it should be is said; what was given is not shown, as nobody knows what it holds."""
    assert _faults(env_models=given) == [
        f"env_models should be a list of objects with {FIELDS}, or the same as JSON text"
    ]


def test_all_that_is_wrong_with_environment_models_is_named_at_once() -> None:
    """Each on a line of its own."""
    wrong = {**STATION, "elevaton": 5, "latitude": 91, "port_number": [TOKEN], "elevation": {"a": TOKEN}}

    assert _faults(env_models=[wrong, "z6-1"]) == [
        f"env_models entry 1: unknown field 'elevaton'; the fields are {FIELDS}",
        "env_models entry 1: port_number should be a whole number, 1 or more, not a list",
        "env_models entry 1: elevation should be a number of metres from -500 to 9000, not an object",
        "env_models entry 1: latitude should be a number of degrees from -90 to 90, not 91",
        f"env_models entry 2: expected an object with {FIELDS}",
    ]


def test_a_secret_in_an_environment_model_is_not_shown() -> None:
    """Whatever was put where it does not belong, and in one line."""
    [of_name, of_value] = _faults(env_models=[{**STATION, TOKEN: 1, "latitude": f"\n{TOKEN}"}])

    assert TOKEN not in of_name + of_value
    assert "\n" not in of_name + of_value


def test_the_same_environment_model_twice_is_refused() -> None:
    """Two with other inputs would overwrite each other's records; other models and ports are others."""
    others = [{**STATION, "model_type": "ETr"}, {**STATION, "port_number": 2}, {**STATION, "device_sn": "z6-2"}]
    again = {**STATION, "device_sn": "Z6-1", "model_type": "eto", "elevation": 5}

    assert len(_stations(STATION, *others)) == 4
    assert _faults(env_models=[STATION, *others, again]) == [
        "env_models entry 5: duplicates entry 1; both are ETo of Z6-1, port 1"
    ]


def test_a_devices_serial_number_is_spelled_in_one_way() -> None:
    """As in device_sns, so that rows of both streams can be joined; else as the first entry has it."""
    entries = [{**STATION, "device_sn": sn, "port_number": port} for port, sn in enumerate(("z6-A", "z6-b", "z6-B"), 1)]

    assert [station.device_sn for station in _stations(*entries, device_sns="Z6-a")] == ["Z6-a", "z6-b", "z6-b"]


def test_environment_models_go_back_into_the_configuration() -> None:
    """As the JSON schema, by which the SDK checks the configuration once more, wants them; nothing is lost."""
    given = {**GIVEN, "env_models": json.dumps([{**STATION, "port_number": "1", "model_type": "eto"}])}
    settings = read_settings(given)
    config = json.loads(json.dumps({**GIVEN, **settings.as_config()}))

    assert config["env_models"] == [STATION]
    assert read_settings(config) == settings
    jsonschema.Draft7Validator(SCHEMA).validate(config)


# All together


def test_all_faults_are_named_at_once() -> None:
    """Nobody has to mend settings one run at a time."""
    faults = _faults(
        auth_token=None, device_sns=5, server="moon", api_url="x", start_date="now", page_size=0, device_depth="maybe"
    )

    assert [fault.split()[0] for fault in faults] == [
        "auth_token",
        "device_sns",
        "server",
        "api_url",
        "start_date",
        "page_size",
        "device_depth",
    ]


def test_all_settings_may_be_text() -> None:
    """In environment variables everything is text, and means the same."""
    typed = {
        "auth_token": TOKEN,
        "device_sns": ["z6-1", "z6-2"],
        "server": "eu",
        "api_version": "v3",
        "start_date": "2026-01-01",
        "end_date": "2026-02-01",
        "page_size": 500,
        "user_call_limit": 30,
        "device_call_limit": 2,
        "call_limit_window": 1.5,
        "max_concurrent_calls": 4,
        "request_timeout": 30,
        "max_attempts": 2,
        "mrid_lookback": 10,
        "reread_device_sns": ["z6-2", "z6-1"],
        "on_device_failure": "warn",
        "device_depth": False,
        "env_models": [STATION],
        "env_model_lookback_days": 3,
        "user_agent": "me",
    }
    text = {name: str(value) for name, value in typed.items()}
    text |= {"device_sns": "z6-1,z6-2", "reread_device_sns": "z6-2 z6-1", "env_models": json.dumps([STATION])}

    assert read_settings(typed) == read_settings(text)


def test_settings_go_back_into_the_configuration_with_their_types() -> None:
    """The SDK checks the configuration once more, against the JSON schema."""
    config = read_settings({**GIVEN, "page_size": "500", "device_sns": "z6-1, z6-2", "device_depth": "no"}).as_config()

    assert config["page_size"] == 500
    assert config["device_sns"] == ["z6-1", "z6-2"]
    assert config["reread_device_sns"] == []
    assert config["device_depth"] is False
    assert config["auth_token"] == TOKEN
    assert set(SCHEMA["properties"]) - set(config) == {"server", "start_date", "end_date"}


# Two services

V5: dict[str, Any] = {"auth_token": TOKEN, "api_version": "v5"}


def _v5_faults(**config: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings({**V5, **config})
    return caught.value.faults


def test_v5_needs_a_key_and_nothing_else() -> None:
    """All devices that the key can see are read, from METER's only server for ZENTRA Cloud 2.0."""
    settings = read_settings(V5)

    assert (settings.device_sns, settings.reread_device_sns) == ((), ())
    assert settings.api_url == "https://api.zentracloud.io"
    assert read_settings({**V5, **settings.as_config()}) == settings


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f'"Bearer {TOKEN}"', f" {TOKEN}\n"])
def test_the_key_is_taken_with_and_without_its_word(given: str) -> None:
    """People copy it from examples of other programs."""
    assert read_settings({**V5, "auth_token": given}).auth_token == TOKEN


def test_v5_has_settings_of_its_own() -> None:
    """Each may be text, as in environment variables."""
    settings = read_settings(
        {**V5, "organization_id": " org-1 ", "units": "imperial", "device_call_burst": "3", "lookback_days": "0.5"}
    )

    assert (settings.organization_id, settings.units) == ("org-1", "imperial")
    assert (settings.device_call_burst, settings.lookback_days) == (3, 0.5)
    assert read_settings({**V5, "lookback_days": 0}).lookback_days == 0


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("units", "kelvin", "one of metric, imperial"),
        ("device_call_burst", 0, "a whole number, 1 or more"),
        ("lookback_days", -1, "a number from 0 to 36500"),
        ("lookback_days", "a week", "a number from 0 to 36500"),
        ("lookback_days", "nan", "a number from 0 to 36500"),
        ("organization_id", "my farm", "a single word, without spaces or special characters"),
    ],
)
def test_a_setting_of_v5_that_is_wrong_is_refused(name: str, given: object, expected: str) -> None:
    """With its name, what it should be, and what was given."""
    assert _v5_faults(**{name: given}) == [f"{name} should be {expected}, not {given!r}"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("server", "eu"),
        ("page_size", 500),
        ("user_call_limit", 30),
        ("mrid_lookback", 0),
        ("device_depth", False),
        ("env_models", [STATION]),
        ("env_model_lookback_days", 3),
    ],
)
def test_v5_refuses_the_settings_of_classic(name: str, given: object) -> None:
    """A setting that would be ignored without a word misleads; its default is what Meltano always hands over."""
    read_settings({**V5, name: SCHEMA["properties"][name].get("default")})

    (fault,) = _v5_faults(**{name: given})

    assert fault == f"{name} is a setting for v3 and v4 and has no effect with api_version v5; remove it"


@pytest.mark.parametrize(
    ("name", "given"),
    [("organization_id", "org-1"), ("units", "imperial"), ("device_call_burst", 1), ("lookback_days", 3)],
)
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_classic_refuses_the_settings_of_v5(version: str, name: str, given: object) -> None:
    """As above."""
    (fault,) = _faults(**{"api_version": version, name: given})

    assert fault == f"{name} is a setting for v5 and has no effect with api_version {version}; remove it"


def test_devices_to_read_again_are_taken_as_they_are_where_none_are_named() -> None:
    """Which devices there are is known once the list has been read."""
    assert read_settings({**V5, "reread_device_sns": "z6-1"}).reread_device_sns == ("z6-1",)


@pytest.mark.parametrize(
    "given", ["https://proxy.example/v5", "https://proxy.example/v5/devices", "https://proxy.example/V5/"]
)
def test_the_address_of_a_call_of_v5_is_a_base_url_too(given: str) -> None:
    """As examples of METER's own programs show it."""
    assert read_settings({**V5, "api_url": given}).api_url == "https://proxy.example"
