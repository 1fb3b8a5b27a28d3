"""Syncs of whole fleets of ZENTRA Cloud 2.0: what arrives, in how many calls, and what is left for the next run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator, Fault
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.in_process import sync

if TYPE_CHECKING:
    from tests.support import Rows, Run

Emulate = Callable[..., Emulator]

START = datetime(2025, 11, 3, tzinfo=UTC)
MONTHS = 6
"""From the start to the fleet's newest reading: pages of a first sync."""

SWITCHES: dict[str, dict[str, Any]] = {
    "as it is by default": {},
    "empty months are skipped": {"empty_months": "skipped"},
    "next_url": {"next_url": True},
    "pages end within a month, and within a moment": {"page_rows": 97},
    "the same, and tokens that are refused": {"page_rows": 131, "token_lifetime": 1},
    "the end is exclusive": {"end": "exclusive"},
    "the device's own port is -1": {"logger_port": "minus-one"},
    "timestamps are floats": {"timestamps": "float"},
    "units are m3/m3": {"unit_spelling": "plain"},
    "positions": {"positions": True},
    "reading ids, and readings come twice": {"reading_ids": True, "duplicates": True},
    "positions, and readings come twice": {"positions": True, "reading_ids": True, "duplicates": True},
    "rows come in any order": {"entry_order": "shuffled", "positions": True},
    "rows come in any order, without positions": {"entry_order": "shuffled"},
    "newest values are late": {"late_values": "absent", "positions": True},
    "newest values are null at first": {"late_values": "null"},
    "optional fields have odd forms": {"odd_fields": True},
    "a list of one device a page": {"list_limit": 1},
    "a list that does not say how long it is": {"list_limit": 2, "list_pagination": "missing"},
    "tokens that are refused after a page (422)": {"token_lifetime": 1},
    "tokens that are refused after two pages (400)": {"token_lifetime": 2, "expired_token": "400"},
    "tokens that are refused after a page (404)": {"token_lifetime": 1, "expired_token": "404"},
    "a limit for the key": {"budget": "key"},
    "a limit for all, in other words": {"budget": "all", "refusal_words": "number-first"},
    "refusals with a bare number": {"budget": "key", "refusal_words": "number"},
    "refusals with an object": {"budget": "key", "refusal_words": "object"},
    "refusals without a time": {"budget": "key", "refusal_words": "none"},
}
"""What nobody outside METER knows of the service: every option that the emulator has for it, in each of its forms."""


def _fleet() -> list[Device]:
    """Return a profile probe with a silence of months, a device that measures seldom, one with nothing, and a clock."""
    day = 86_400
    return [
        Device(
            "z6-00001",
            records=160,
            interval=day // 2,
            start=START,
            sensors=PROFILE_STATION,
            silences=((60, 75 * day),),
            error_rate=0.1,
        ),
        Device("z6-00002", records=20, interval=5 * day, start=START, gaps=((5, 8),)),
        Device("z6-00003", records=0),
        Device("z6-00004", records=40, interval=3600, start=START, clock=((10, 12, -40 * day), (20, 22, -1800))),
    ]


def rows_of(run: Run) -> Rows:
    """Return a run's records by key; two of the same key fail the test."""
    rows = {tuple(record[column] for column in READINGS_V5_KEY): record for record in run.records}
    assert len(rows) == len(run.records)
    return rows


def truth(emulator: Emulator, **which: Any) -> Rows:
    """Return the readings that an emulator holds, as the tap should emit them, by key."""
    return {tuple(row[column] for column in READINGS_V5_KEY): row for row in emulator.readings_v5(**which)}


@pytest.mark.parametrize("options", SWITCHES.values(), ids=SWITCHES)
def test_every_value_arrives_exactly_once(options: dict[str, Any], emulate: Emulate) -> None:
    """What the service holds is what comes out, whichever service it is; and the next sync writes nothing again."""
    emulator = emulate(*_fleet(), meets_limit=options.get("budget", "device") != "device", **options)

    first = sync(emulator, api_version="v5")
    again = sync(emulator, api_version="v5", state=first.state)

    assert (first.exit_code, first.stderr) == (0, "")
    assert rows_of(first) == truth(emulator)
    assert (again.exit_code, again.records) == (0, [])


def test_each_month_is_a_call_and_none_is_refused(emulate: Emulate) -> None:
    """The list is asked for once, each device as often as it has months; nobody else uses the budget, so no 429."""
    emulator = emulate(
        *(Device(f"z6-{number:05}", records=6 * 31, interval=86_400, start=START) for number in range(1, 13))
    )

    run = sync(emulator, api_version="v5", end_date=(START + timedelta(days=6 * 31)).isoformat())

    assert run.exit_code == 0, run.stderr
    calls = Counter(call.device_sn for call in emulator.calls)
    assert calls == {None: 1} | dict.fromkeys(emulator.device_sns, MONTHS + 1)
    assert {call.status for call in emulator.calls} == {200}


def test_an_idle_sync_costs_one_call(emulate: Emulate) -> None:
    """The list says that nothing is new; a device that has news is asked, and only it."""
    start = datetime.now(UTC) - timedelta(hours=60)  # a device that was silent for months has as many empty pages
    emulator = emulate(*(Device(f"z6-{number:05}", records=50, interval=3600, start=start) for number in range(1, 5)))
    first = sync(emulator, api_version="v5")
    before = len(emulator.calls)

    idle = sync(emulator, api_version="v5", state=first.state)
    emulator.grow(3, "z6-00002")
    second = sync(emulator, api_version="v5", state=idle.state)

    asked = [call.device_sn for call in emulator.calls[before:]]
    assert asked[:3] == [None, None, "z6-00002"]
    assert set(asked[3:]) <= {"z6-00002"}  # once more where the look-back reaches into another month
    assert idle.records == []
    assert rows_of(first) | rows_of(second) == truth(emulator)
    assert {record["device_sn"] for record in second.records} == {"z6-00002"}


def test_the_daily_look_at_a_silent_device_reads_no_empty_months(emulate: Emulate) -> None:
    """The list says that nothing is new since: what comes late is looked for around the bookmark, not until today."""
    emulator = emulate(Device("z6-00001", records=100, interval=3600, start=START))
    first = sync(emulator, api_version="v5")
    (partition,) = first.state["bookmarks"]["readings_v5"]["partitions"]
    partition["asked"] -= 86_400
    before = len(emulator.calls)

    second = sync(emulator, api_version="v5", state=first.state)

    assert rows_of(first) == truth(emulator)
    assert second.records == []
    # The list, and the months of a week before and a month behind.
    assert [call.device_sn for call in emulator.calls[before:]] == [None, *["z6-00001"] * 3]


def test_what_arrives_late_is_loaded(emulate: Emulate) -> None:
    """Records of a device that was out of reach, behind its newest one: within the look-back they come."""
    emulator = emulate(Device("z6-00001", records=100, interval=3600, start=START))
    emulator.withhold("z6-00001", 70, 80)
    first = sync(emulator, api_version="v5")
    emulator.deliver("z6-00001")
    emulator.grow(1)

    second = sync(emulator, api_version="v5", state=first.state)

    assert rows_of(first) | rows_of(second) == truth(emulator)
    late = {(START + timedelta(hours=number)).isoformat() for number in range(69, 80)}
    assert late <= {record["timestamp_utc"] for record in second.records}
    assert len(second.records) < len(first.records)


def test_all_devices_of_the_key_are_read_where_none_are_named(emulate: Emulate) -> None:
    """One that appears later is read from its start; one that vanishes keeps its bookmark."""
    devices = [Device(f"z6-{number:05}", records=30, interval=3600, start=START) for number in range(1, 4)]
    emulator = emulate(*devices[:2], Device("z6-00003", records=30, interval=3600, start=START, listed=False))
    first = sync(emulator, api_version="v5", device_sns=None)
    assert {record["device_sn"] for record in first.records} == {"z6-00001", "z6-00002"}

    later = emulate(devices[0], devices[2])
    second = sync(later, api_version="v5", device_sns=None, state=first.state)

    assert {record["device_sn"] for record in second.records} == {"z6-00003"}
    kept = {one["context"]["device_sn"] for one in second.state["bookmarks"]["readings_v5"]["partitions"]}
    assert kept == {"z6-00001", "z6-00002", "z6-00003"}


def test_a_device_that_is_named_is_read_although_it_is_not_in_the_list(emulate: Emulate) -> None:
    """Reports say that a dead device was absent from the list: absence does not mean that it is someone else's."""
    emulator = emulate(Device("z6-00001", records=30, interval=3600, start=START, listed=False))

    run = sync(emulator, api_version="v5")

    assert run.exit_code == 0, run.stderr
    assert rows_of(run) == truth(emulator)


def test_units_are_those_of_the_settings(emulate: Emulate) -> None:
    """For every call: the account's preference counts in v4 only."""
    emulator = emulate(Device("z6-00001", records=30, interval=3600, start=START, units_changed_at=10))

    assert rows_of(sync(emulator, api_version="v5", units="imperial")) == truth(emulator, units="imperial")


def test_start_date_and_end_date_bound_the_readings(emulate: Emulate) -> None:
    """Both inclusive, and a later sync without end_date goes on from there."""
    emulator = emulate(Device("z6-00001", records=500, interval=3600, start=START))
    start, end = "2025-11-10T00:00:00+00:00", "2025-11-15T12:00:00+00:00"

    first = sync(emulator, api_version="v5", start_date=start, end_date=end)
    second = sync(emulator, api_version="v5", start_date=start, state=first.state)

    since = {key: row for key, row in truth(emulator).items() if row["timestamp_utc"] >= start}
    assert rows_of(first) == {key: row for key, row in since.items() if row["timestamp_utc"] <= end}
    assert rows_of(first) | rows_of(second) == since
    assert len(first.records) + len(second.records) == len(since)


def test_a_device_can_be_read_again_from_its_start(emulate: Emulate) -> None:
    """The one of reread_device_sns comes once more as a whole; the others go on."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=40, interval=3600, start=START) for number in range(1, 4)))
    first = sync(emulator, api_version="v5")

    second = sync(emulator, api_version="v5", state=first.state, reread_device_sns="Z6-00002", device_sns=None)

    assert rows_of(second) == truth(emulator, device_sn="z6-00002")


def test_what_a_clock_stamps_ahead_waits_for_its_time(emulate: Emulate) -> None:
    """It is neither loaded nor the newest reading, and the bookmark stays behind the present."""
    now = datetime.now(UTC)
    start = now - timedelta(hours=50)
    ahead = Device("z6-00001", records=40, interval=3600, start=start, clock=((20, 20, 40 * 365 * 86_400),))
    emulator = emulate(ahead)

    run = sync(emulator, api_version="v5")

    assert rows_of(run) == {key: row for key, row in truth(emulator).items() if row["timestamp_utc"] < now.isoformat()}
    (bookmark,) = run.state["bookmarks"]["readings_v5"]["partitions"]
    assert bookmark["replication_key_value"] < now.isoformat()


@pytest.mark.parametrize("named", [True, False])
def test_a_refused_key_ends_the_run_with_one_call(*, named: bool, emulate: Emulate) -> None:
    """And the line says where keys are."""
    emulator = emulate(Device("z6-00001", records=5, start=START))

    run = sync(emulator, api_version="v5", auth_token="another", **({} if named else {"device_sns": None}))

    assert run.exit_code == 1
    assert "app.zentracloud.io" in run.stderr
    assert [call.device_sn for call in emulator.calls] == [None]


def test_without_a_list_named_devices_are_read_all_the_same(emulate: Emulate) -> None:
    """The list may not be there for every account."""
    emulator = emulate(Device("z6-00001", records=30, interval=3600, start=START), faults=[Fault("404", "devices")])

    run = sync(emulator, api_version="v5")

    assert (run.exit_code, run.stderr) == (0, "")
    assert rows_of(run) == truth(emulator)


def test_without_a_list_and_names_nothing_can_be_read(emulate: Emulate) -> None:
    """The run fails, and says why and what to do."""
    emulator = emulate(Device("z6-00001", records=30, start=START), faults=[Fault("404", "devices")])

    run = sync(emulator, api_version="v5", device_sns=None)

    assert run.exit_code == 1
    assert "could not read the device list" in run.stderr
    assert "name them in device_sns" in run.stderr
