"""The list of devices of v5."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tap_zentra.emulator import Device, Emulator, fleet
from tests.emulator.support import MIDNIGHT, TOKEN, Cloud, v5_path

START = datetime(2025, 3, 1, tzinfo=UTC)
GROUPS = "max_min_timestamp,settings,hardware,connectivity,subscription"
DAY = 86_400


def listed(cloud: Cloud, **params: Any) -> list[dict[str, Any]]:
    """Return a page of the list."""
    return list(cloud.v5_body(None, **params)["devices"])


def sns(devices: list[dict[str, Any]]) -> list[str]:
    """Return the serial numbers of a page."""
    return [device["device_id"] for device in devices]


def test_a_device_tells_who_it_is() -> None:
    """And nothing else unless asked."""
    (told,) = listed(Cloud([Device("z6-1", name="Bog", organization="org-9")]))

    assert told == {
        "device_id": "z6-1",
        "name": "Bog",
        "organization_id": "org-9",
        "organization_name": "Organization org-9",
        "device_type": 12,
        "model": "ZL6",
    }


@pytest.mark.parametrize(
    ("asked", "group"),
    [
        ("max_min_timestamp", "data_range"),
        ("settings", "settings"),
        ("hardware", "hardware"),
        ("connectivity", "connectivity"),
        ("subscription", "subscription"),
    ],
)
def test_a_group_is_told_when_it_is_asked_for(asked: str, group: str) -> None:
    """Each alone, or all of them."""
    cloud = Cloud([Device("z6-1")])
    (plain,), (one,), (whole,) = (listed(cloud, expand=expand) for expand in ("", asked, GROUPS))

    assert set(one) - set(plain) == {group}
    assert len(whole) == len(plain) + 5
    assert whole[group] == one[group]


def test_groups_have_the_fields_that_are_known() -> None:
    """Of METER's client."""
    (told,) = listed(Cloud([Device("z6-1", interval=300, start=START, records=3)]), expand=GROUPS)

    assert told["data_range"] == {
        "first_measurement": START.timestamp(),
        "last_measurement": START.timestamp() + 600,
    }
    assert told["settings"]["logging_interval"] == 300
    assert set(told["settings"]["upload_hours"]) == {"enabled_count", "all_hours"}
    assert set(told["hardware"]) == {"firmware_version", "hardware_revision"}
    assert set(told["connectivity"]) == {
        *("connectivity_type", "module", "module_code"),
        *("sim", "host_server", "pending_host_server"),
    }
    assert set(told["subscription"]) == {"status", "exempt_reason", "expiration_date", "auto_renew", "high_data"}


@pytest.mark.parametrize(
    ("device", "span"),
    [
        (Device("z6-1", records=0), (None, None)),
        (Device("z6-1", records=3, gaps=((1, 1), (3, 3))), (MIDNIGHT + 900, MIDNIGHT + 900)),
        (Device("z6-1", records=3, withheld=((3, 3),)), (MIDNIGHT, MIDNIGHT + 900)),
        (Device("z6-1", records=3, clock=((2, 2, DAY),)), (MIDNIGHT, MIDNIGHT + 900 + DAY)),
        (Device("z6-1", records=3).grown(2), (MIDNIGHT, MIDNIGHT + 3600)),
    ],
    ids=["no records", "gaps", "withheld", "a wrong clock", "growth"],
)
def test_the_span_is_that_of_the_readings(device: Device, span: tuple[int | None, int | None]) -> None:
    """Of those that are there now, as they are stamped."""
    (told,) = listed(Cloud([device]), expand="max_min_timestamp")

    assert tuple(told["data_range"].values()) == span


def test_a_subscription_ends_when_the_device_says() -> None:
    """It is active until then."""
    devices = [
        Device("z6-1", subscription_ends=datetime(2025, 12, 31, tzinfo=UTC)),
        Device("z6-2", subscription_ends=datetime(2026, 2, 1, tzinfo=UTC)),
    ]

    told = [device["subscription"] for device in listed(Cloud(devices), expand="subscription")]

    assert [one["status"] for one in told] == ["expired", "active"]
    assert told[1]["expiration_date"] == MIDNIGHT + 31 * DAY


def test_a_fleet_is_varied_and_the_same_for_the_same_seed() -> None:
    """Subscriptions that are active, about to end or expired; two organisations; several kinds of hardware."""
    devices = fleet(60, records=1)
    told, again, other = (listed(Cloud(devices, seed=seed), expand=GROUPS) for seed in (1, 1, 2))

    assert told == again != other
    days = [(device["subscription"]["expiration_date"] - MIDNIGHT) / DAY for device in told]
    assert any(day < 0 for day in days)
    assert any(0 < day < 30 for day in days)
    assert sum(day > 100 for day in days) > 30
    assert {device["organization_id"] for device in told} == {"org-1", "org-2"}
    assert {device["connectivity"]["connectivity_type"] for device in told} == {"cellular", "wifi"}


def test_the_list_has_pages() -> None:
    """As many devices as are asked for, and not more than the service has on one page."""
    cloud = Cloud([Device(f"z6-{number}", records=1) for number in range(5)], list_limit=2)

    pages = [cloud.v5_body(None, page_num=page, limit=1000) for page in (1, 2, 3, 4)]

    assert [sns(page["devices"]) for page in pages] == [["z6-0", "z6-1"], ["z6-2", "z6-3"], ["z6-4"], []]
    assert {page["pagination"]["total_pages"] for page in pages} == {3}
    assert cloud.v5_body(None, limit=1)["pagination"] == {"total_pages": 5}
    assert sns(listed(cloud)) == ["z6-0", "z6-1"]


def test_the_list_may_have_no_pagination() -> None:
    """It is left out then."""
    assert set(Cloud([Device("z6-1")], list_pagination="missing").v5_body(None)) == {"devices"}


def test_the_list_is_that_of_the_organisation_that_is_asked_for() -> None:
    """An unknown one has no devices."""
    cloud = Cloud([Device("z6-1", organization="a"), Device("z6-2", organization="b")])

    assert sns(listed(cloud, organization_id="b")) == ["z6-2"]
    assert cloud.v5_body(None, organization_id="c") == {"devices": [], "pagination": {"total_pages": 0}}


def test_what_is_not_listed_may_still_answer() -> None:
    """A device can be absent from the list; another user's is so as well, and is refused."""
    devices = [Device("z6-1", listed=False), Device("z6-2"), Device("z6-3", of_another_user=True)]
    cloud = Cloud(devices)

    assert sns(listed(cloud)) == ["z6-2"]
    assert [cloud.v5(device.device_sn).status for device in devices] == [200, 200, 403]


def test_numbers_of_the_list_may_come_as_texts() -> None:
    """Where they are optional; a NUL is in the name."""
    cloud = Cloud([Device("z6-1", interval=300)], odd_fields=True)

    (told,) = listed(cloud, expand=GROUPS)

    assert (told["name"], told["device_type"]) == ("Sta\0tion", 12)
    assert told["settings"]["logging_interval"] == "300"
    assert float(told["hardware"]["firmware_version"]) > 1
    assert isinstance(told["hardware"]["firmware_version"], str)
    assert set(listed(cloud)[0]) == {
        *("device_id", "name", "organization_id", "organization_name", "device_type", "model")
    }


def test_withheld_records_come_behind_the_newest() -> None:
    """They have not been made anew: their times and values are those that they would have had."""
    whole = Device("z6-1", records=5, start=START)
    some = Cloud([replace(whole, withheld=((2, 3),))])
    asked = {"start_datetime": "2025-03-01", "end_datetime": "2025-03-02", "direction": "ascending"}

    rows = some.v5_body(**asked)["values"]

    stamps = {row["timestamp"] - START.timestamp() for row in rows}
    assert stamps == {0, 2700, 3600}
    assert [row for row in Cloud([whole]).v5_body(**asked)["values"] if row in rows] == rows
    assert some.page().mrids == [5, 4, 1]


def test_the_key_is_not_in_the_list() -> None:
    """Not even when it was sent as a parameter."""
    cloud = Cloud([Device("z6-1")])
    answer = cloud.receive({"api_key": TOKEN}, v5_path(None), authorization=None, api_key=TOKEN).answer()

    assert TOKEN not in json.dumps(json.loads(answer.body))


def test_groups_may_be_null() -> None:
    """Each of the five, of some devices, and in the odd forms too."""
    devices = fleet(60, records=1)
    plain, odd = (listed(Cloud(devices, null_groups=True, odd_fields=odd), expand=GROUPS) for odd in (False, True))

    for group in ("data_range", "settings", "hardware", "connectivity", "subscription"):
        assert 8 <= sum(device[group] is None for device in plain) <= 32
        assert [device[group] is None for device in odd] == [device[group] is None for device in plain]
    assert all(len(device) == 11 for device in plain)
    (told,) = listed(Cloud(devices[:1], null_groups=True), expand="settings")
    assert told["settings"] == plain[0]["settings"]


@pytest.mark.parametrize("options", [{}, {"null_groups": True}, {"odd_fields": True}], ids=str)
def test_the_ground_truth_is_what_is_told(options: dict[str, Any]) -> None:
    """In the list, and in the answers of the devices: where they are; odd forms are the usual ones there."""
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    devices = [replace(device, subscription_ends=ends) for device in fleet(40, records=1)]
    hidden = [Device("z6-1", listed=False), Device("z6-2", of_another_user=True)]
    emulator = Emulator([*devices, *hidden], **options)
    cloud = Cloud(devices, **options)

    told = {device["device_id"]: device for device in listed(cloud, expand=GROUPS)}
    for device in told.values():
        sent = cloud.v5_body(device["device_id"])["metadata"]
        quoted = (sent["coordinates"] or "None, None").replace("'", "").split(", ")
        degrees = [None if text == "None" else float(text) for text in quoted]
        where = dict(zip(("latitude", "longitude"), degrees, strict=True))
        device.update(where | {"location": sent["location"]})
        device["name"] = device["name"].replace("\0", "\N{REPLACEMENT CHARACTER}")
        for group, names in {
            "settings": ("logging_interval", "upload_frequency"),
            "hardware": ("firmware_version",),
        }.items():
            device[group] = device[group] and device[group] | {name: float(device[group][name]) for name in names}

    held = emulator.devices_v5()
    assert held == list(told.values())
    assert {device["latitude"] for device in held} > {None, 0.0}


def test_a_subscription_can_end_soon() -> None:
    """It is active, and its end is less than 30 days away."""
    soon = Device("z6-1", subscription_ends=datetime(2026, 1, 20, tzinfo=UTC))

    (told,) = listed(Cloud([soon]), expand="subscription")

    assert told["subscription"]["status"] == "active"
    assert 0 < told["subscription"]["expiration_date"] - MIDNIGHT < 30 * DAY
