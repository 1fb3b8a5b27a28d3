"""What stream `devices` tells of a device of API v5, beyond what became of it in the run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk import typing as th

from tap_zentra.emulator import Device
from tap_zentra.v5.api import EXPANSIONS
from tap_zentra.v5.devices import SUBSCRIPTION_NOTICE, V5_COLUMNS, coordinates, device_details, subscription_warning
from tap_zentra.v5.responses import ListedDevice, decode_list, decode_page
from tests.emulator.support import MIDNIGHT, Cloud

NAMES = list(th.PropertiesList(*V5_COLUMNS).to_dict()["properties"])
NOTHING = dict.fromkeys(NAMES)

VALIDATE = jsonschema.Draft7Validator(
    th.PropertiesList(*V5_COLUMNS).to_dict(), format_checker=jsonschema.FormatChecker()
).validate


def _extra(listed: ListedDevice | None = None, **known: Any) -> object:
    return device_details(listed, known)["extra"]


# The columns


def test_the_columns_are_those_of_the_design() -> None:
    """In its order, each with a type and a description."""
    columns = th.PropertiesList(*V5_COLUMNS).to_dict()["properties"]

    assert {name: column["type"][0] for name, column in columns.items()} == {
        **dict.fromkeys(["organization_id", "organization_name"], "string"),
        "device_type": "integer",
        "model": "string",
        **dict.fromkeys(["logging_interval", "upload_frequency"], "integer"),
        "firmware_version": "number",
        **dict.fromkeys(["hardware_revision", "connectivity_type", "subscription_status"], "string"),
        **dict.fromkeys(["subscription_expires_at", "location"], "string"),
        **dict.fromkeys(["latitude", "longitude"], "number"),
        "extra": "object",
    }
    assert columns["subscription_expires_at"]["format"] == "date-time"
    assert all(column["description"].endswith(".") for column in columns.values())


def test_a_device_of_which_nothing_is_known_has_empty_columns() -> None:
    """All of them: nobody has listed it, and it has never been read."""
    assert device_details(None, {}) == NOTHING
    assert device_details(ListedDevice("z6-1", name="North"), {"location": None, "coordinates": None}) == NOTHING


def test_a_device_has_what_the_list_and_its_metadata_say() -> None:
    """Each where it belongs; what no column knows is in `extra`."""
    listed = ListedDevice(
        "z6-1",
        organization_id="org-1",
        device_type=12,
        subscription_expires_at=1_798_761_600,
        extra={"subscription": {"auto_renew": True}},
    )
    known = {"location": "Farm/Field/Zone", "coordinates": "'46.7515638', '-117.1667332'", "altitude": 210}

    assert device_details(listed, known) == NOTHING | {
        "organization_id": "org-1",
        "device_type": 12,
        "subscription_expires_at": "2027-01-01T00:00:00+00:00",
        "location": "Farm/Field/Zone",
        "latitude": 46.7515638,
        "longitude": -117.1667332,
        "extra": {"subscription": {"auto_renew": True}, "altitude": 210},
    }
    assert listed.extra == {"subscription": {"auto_renew": True}}


@pytest.mark.parametrize(
    ("location", "column", "extra"),
    [
        ("Farm", "Farm", None),
        ("", None, None),
        (None, None, None),
        (5, None, {"location": 5}),
        (["Farm"], None, {"location": ["Farm"]}),
    ],
)
def test_a_location_is_a_text(location: object, column: str | None, extra: object) -> None:
    """In another form it is kept in `extra`."""
    details = device_details(None, {"location": location})

    assert (details["location"], details["extra"]) == (column, extra)


# Coordinates


@pytest.mark.parametrize(
    "raw",
    [
        "'46.7515638', '-117.1667332'",
        "46.7515638, -117.1667332",
        "46.7515638,-117.1667332",
        '"46.7515638" , "-117.1667332"',
        " '+46.7515638','-117.1667332'\t",
        "4.67515638e1, -1171667.332E-4",
        [46.7515638, -117.1667332],
        ["46.7515638", "'-117.1667332'"],
        {"latitude": 46.7515638, "longitude": -117.1667332},
        {"lat": "46.7515638", "lon": "-117.1667332"},
    ],
)
def test_coordinates_come_in_several_forms(raw: object) -> None:
    """That of METER's documentation, and those that it may come to."""
    assert coordinates(raw) == (46.7515638, -117.1667332)
    assert _extra(coordinates=raw) is None


@pytest.mark.parametrize(
    "place", [(90.0, 180.0), (-90.0, -180.0), (0.0, 0.5), (46.0, 0.0)], ids=["most", "least", "equator", "meridian"]
)
def test_a_place_may_be_anywhere_on_earth(place: tuple[float, float]) -> None:
    """Up to the poles, and with one zero of the two."""
    assert coordinates(f"'{place[0]}', '{place[1]}'") == coordinates(list(place)) == place


@pytest.mark.parametrize(
    "raw",
    [
        "'0.0', '0.0'",
        "0, -0",
        [0, 0],
        {"lat": 0, "lon": 0.0},
        "46.75",
        "46.75, -117.16, 210",
        "46,75, -117,16",
        "'46.75' '-117.16'",
        "90.1, 0",
        "0, -180.1",
        [91, 5],
        [10**400, 5],
        "46.75, 9e999",
        "nan, nan",
        "inf, 5",
        "'None', 'None'",
        "46_1, 5",
        "４６, 5",  # noqa: RUF001 - digits all the same
        "a\ufffdb, 5",
        ",",
        [46.75],
        [46.75, None],
        [46.75, True],
        [[46.75], [5]],
        {"latitude": 46.75},
        {"x": 1, "y": 2},
        46.75,
        True,
    ],
)
def test_what_is_no_place_is_kept_as_it_came(raw: object) -> None:
    """Not made up from half of it; zeros are where nobody has said where the device is."""
    details = device_details(None, {"coordinates": raw})

    assert coordinates(raw) is None
    assert (details["latitude"], details["longitude"]) == (None, None)
    assert details["extra"] == {"coordinates": raw}


@pytest.mark.parametrize("raw", [None, "", {}])
def test_coordinates_that_say_nothing_are_nothing(raw: object) -> None:
    """They are not kept."""
    assert coordinates(raw) is None
    assert device_details(None, {"coordinates": raw}) == NOTHING


def test_coordinates_that_say_more_are_kept_beside_the_place() -> None:
    """Nothing of them is lost."""
    raw = {"latitude": 46.75, "longitude": -117.16, "altitude": 210}
    details = device_details(None, {"coordinates": raw})

    assert (details["latitude"], details["longitude"]) == (46.75, -117.16)
    assert details["extra"] == {"coordinates": raw}


# Subscriptions

NOON = MIDNIGHT + 43_200


@pytest.mark.parametrize(
    ("ends", "renews", "words"),
    [
        (MIDNIGHT - 1, False, "ended on 2025-12-31"),
        (MIDNIGHT - 1, True, "ended on 2025-12-31"),
        (NOON, False, "ended on 2026-01-01"),
        (NOON + 1, False, "ends on 2026-01-01"),
        (NOON + 1, True, "ends on 2026-01-01 and renews automatically"),
        (NOON + SUBSCRIPTION_NOTICE, False, "ends on 2026-01-31"),
        (NOON + SUBSCRIPTION_NOTICE + 1, False, None),
        (NOON + SUBSCRIPTION_NOTICE + 1, True, None),
    ],
)
@pytest.mark.parametrize("status", ["active", "expired", None])
def test_a_subscription_is_warned_of_by_its_date(
    ends: int, words: str | None, status: str | None, *, renews: bool
) -> None:
    """Whatever its status is, 30 days before, and once it has ended; one that renews itself needs nothing done."""
    extra = {"subscription": {"auto_renew": renews}}
    listed = ListedDevice("z6-1", subscription_status=status, subscription_expires_at=ends, extra=extra)

    assert subscription_warning(listed, NOON) == words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("expired", "expired"),
        ("Cancelled ", "cancelled"),
        ("INACTIVE", "inactive"),
        ("active", None),
        ("pending\nreview", None),
        ("", None),
        (None, None),
    ],
)
def test_without_a_date_a_subscription_is_warned_of_by_its_status(status: str | None, words: str | None) -> None:
    """Of words that nobody knows nothing is said."""
    assert subscription_warning(ListedDevice("z6-1", subscription_status=status), NOON) == words


@pytest.mark.parametrize("reason", ["demo unit", {"code": 3}])
def test_an_exempt_device_needs_no_subscription(reason: object) -> None:
    """Neither the date nor the status counts."""
    extra = {"subscription": {"exempt_reason": reason}}

    for ends in (None, MIDNIGHT - 1):
        listed = ListedDevice("z6-1", subscription_status="expired", subscription_expires_at=ends, extra=extra)

        assert subscription_warning(listed, NOON) is None


def test_of_a_device_that_is_not_listed_no_subscription_is_known() -> None:
    """So nothing is said."""
    assert subscription_warning(None, NOON) is None
    assert subscription_warning(ListedDevice("z6-1"), NOON) is None


# What a service says


def _told(cloud: Cloud, device_sn: str) -> tuple[ListedDevice, dict[str, Any]]:
    """Return a device of the list, and the columns that become of it and of a page of its readings."""
    devices = decode_list(cloud.v5(None, expand=EXPANSIONS).body).listed()
    listed = next(device for device in devices if device.device_id == device_sn)
    page = decode_page(cloud.v5(device_sn, direction="ascending").body)
    return listed, device_details(listed, page.known)


def _ending(device_sn: str, month: int) -> Device:
    ends = datetime(2026, month, 20, tzinfo=UTC)
    return Device(device_sn, name="Bog", interval=300, organization="org-9", subscription_ends=ends, records=3)


def test_all_that_a_service_says_arrives() -> None:
    """Of its list with all groups, and of a page of readings."""
    cloud = Cloud([_ending("z6-1", 1)])
    (entry,) = cloud.v5_body(None, expand=EXPANSIONS)["devices"]
    metadata = cloud.v5_body("z6-1", direction="ascending")["metadata"]
    listed, details = _told(cloud, "z6-1")
    subscription, connectivity = entry["subscription"], entry["connectivity"]
    kept = ("module", "module_code", "sim", "host_server")

    assert (listed.name, listed.last_measurement) == ("Bog", entry["data_range"]["last_measurement"])
    assert details == {
        "organization_id": "org-9",
        "organization_name": "Organization org-9",
        "device_type": 12,
        "model": "ZL6",
        "logging_interval": 300,
        "upload_frequency": 3600,
        "firmware_version": entry["hardware"]["firmware_version"],
        "hardware_revision": entry["hardware"]["hardware_revision"],
        "connectivity_type": connectivity["connectivity_type"],
        "subscription_status": "active",
        "subscription_expires_at": "2026-01-20T00:00:00+00:00",
        "location": metadata["location"],
        "latitude": float(metadata["coordinates"].split("'")[1]),
        "longitude": float(metadata["coordinates"].split("'")[3]),
        "extra": {
            "settings": {"upload_hours": {"enabled_count": 24, "all_hours": True}},
            "connectivity": {name: connectivity[name] for name in kept if connectivity[name] is not None},
            "subscription": {name: subscription[name] for name in ("auto_renew", "high_data")},
        },
    }


def test_what_a_service_says_in_odd_forms_arrives() -> None:
    """Numbers that came as texts stand in `extra` beside the rest of their group; a NUL in the name is replaced."""
    cloud = Cloud([_ending("z6-1", 1)], odd_fields=True)
    (entry,) = cloud.v5_body(None, expand=EXPANSIONS)["devices"]
    listed, details = _told(cloud, "z6-1")

    assert listed.name == "B\ufffdog"
    assert [details[name] for name in ("logging_interval", "upload_frequency", "firmware_version")] == [None] * 3
    assert details["extra"]["settings"] == entry["settings"]
    assert details["extra"]["hardware"] == {"firmware_version": entry["hardware"]["firmware_version"]}
    assert details["hardware_revision"] == entry["hardware"]["hardware_revision"]
    VALIDATE(details)


@pytest.mark.parametrize("odd_fields", [False, True])
def test_every_device_of_a_varied_fleet_fits_the_columns(*, odd_fields: bool) -> None:
    """With zeros for coordinates, without a location, with a subscription that has ended."""
    cloud = Cloud([Device(f"z6-{number}", records=1) for number in range(60)], odd_fields=odd_fields)
    told = [_told(cloud, f"z6-{number}") for number in range(60)]
    warnings = {(subscription_warning(listed, MIDNIGHT) or "-").startswith("ended") for listed, _ in told}

    for _, details in told:
        VALIDATE(details)
        assert list(details) == NAMES
        assert (details["latitude"] is None) == (details["longitude"] is None)
    assert {details["latitude"] is None for _, details in told} == {True, False}
    assert {(details["extra"] or {}).get("coordinates") for _, details in told} == {None, "'0.0', '0.0'"}
    assert warnings == {True, False}


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="'0.1,-\0\ud800 e", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["lat", "lon", "latitude", "longitude", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_GROUP = _ANYTHING | st.dictionaries(
    st.sampled_from(
        [
            *("first_measurement", "last_measurement", "logging_interval", "firmware_version", "hardware_revision"),
            *("connectivity_type", "status", "expiration_date", "exempt_reason", "auto_renew", "sim"),
        ]
    ),
    _ANYTHING | st.integers(0, 2**33),
    max_size=4,
)


@settings(derandomize=True, max_examples=500)
@given(
    entry=st.dictionaries(
        st.sampled_from(["name", "device_type", "data_range", "settings", "hardware", "connectivity", "subscription"]),
        _GROUP,
    ),
    metadata=st.dictionaries(st.sampled_from(["device_name", "location", "coordinates", "settings"]), _ANYTHING),
)
def test_no_dirt_ends_a_run(entry: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Whatever the list and the metadata say becomes a record that fits its columns, and can be written."""
    sent = json.dumps({"devices": [{**entry, "device_id": "z6-1"}]}).encode()
    page = decode_page(json.dumps({"metadata": {**metadata, "device_id": "z6-1"}, "values": []}).encode())
    (listed,) = decode_list(sent).listed()
    details = device_details(listed, page.known)
    words = subscription_warning(listed, NOON)

    VALIDATE(json.loads(msgspec.json.encode(details), parse_constant=pytest.fail))
    assert "\\u0000" not in json.dumps([details, listed.name, page.known])
    assert words is None or words.isprintable()
