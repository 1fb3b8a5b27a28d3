"""METER's own client of API v5 over the emulator: what it cannot read, the emulator has wrong."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator, Fault
from tests.in_process import sync
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.loaders.environments import Environments

pytestmark = [pytest.mark.meter, pytest.mark.warehouse]

CLIENT = "zentracloud==0.1.4"

READ = """
import json, sys
from zentracloud import ZentraClient, _core
url, key, end = sys.argv[1:]
with ZentraClient(key, base_url=url) as client:
    devices = client.v5.devices.list(expand=list(_core.EXPAND_CHOICES), limit=1)
    readings = [
        reading.model_dump(mode="json") | {"error_label": reading.error_label}
        for device in devices
        for reading in client.v5.devices.iter_data(device.device_id, end=end)
    ]
print(json.dumps({"devices": [device.model_dump(mode="json") for device in devices], "readings": readings}))
"""

START = datetime(2024, 10, 20, tzinfo=UTC)
END = "2025-06-01"
DEVICES = (
    Device("z6-00001", records=500, interval=30_000, start=START, sensors=PROFILE_STATION, error_rate=0.05),
    Device("z6-00002", records=40, interval=900, start=START, gaps=((11, 20),), units_changed_at=30),
    Device("z6-00003", records=0),
)


@pytest.fixture(scope="module")
def client(environments: Environments) -> str:
    """The interpreter that has METER's client."""
    return str(environments.programs(CLIENT) / "python")


def read(client: str, emulator: Emulator) -> dict[str, Any]:
    """Return all devices and readings as METER's client has them."""
    done = subprocess.run(
        [client, "-c", READ, emulator.url, emulator.token, END],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


def value(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return one value as both have it: METER's client knows no local time, and its ports are as they come."""
    port = row["port_num"]
    return (
        *(row["device_id"], datetime.fromtimestamp(row["timestamp"], UTC).isoformat(), -1 if port is None else port),
        *(row["sensor_name"], row["measurement"], row["value"]),
        *(row["unit"].replace("m3/m3", "m³/m³"), row["error_code"]),
    )


def held(emulator: Emulator) -> list[tuple[object, ...]]:
    """Return all values that the emulator holds, in the form of `value`."""
    return [_value_of_tap(row) for row in emulator.readings_v5()]


def _value_of_tap(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return one value of the tap's columns in the form of `value`."""
    names = ("device_sn", "timestamp_utc", "port_number", "sensor_name", "measurement", "value")
    return (*(row[name] for name in names), row["units"] or "", row["error_code"])


@pytest.mark.parametrize(
    ("pages", "options"),
    [
        pytest.param(9, {}, id="as it is by default"),
        pytest.param(
            7,
            {
                "logger_port": "minus-one",
                "timestamps": "float",
                "unit_spelling": "plain",
                "positions": True,
                "reading_ids": True,
                "next_url": True,
                "empty_months": "skipped",
                "entry_order": "shuffled",
            },
            id="the other way round",
        ),
    ],
)
def test_it_reads_the_whole_fleet(client: str, pages: int, options: dict[str, Any]) -> None:
    """Month by month, and over refused calls, it gets every value that the emulator holds, and that the tap gets."""
    refused = Fault("lockout", "z6-00001", times=1)
    with Emulator(DEVICES, window=0.2, faults=[refused], **options) as emulator:
        got = read(client, emulator)
        calls = [call.status for call in emulator.calls if call.device_sn == "z6-00001"]
        run = sync(emulator, api_version="v5", end_date=END)

        assert sorted(map(value, got["readings"]), key=str) == sorted(held(emulator), key=str)
        assert sorted(map(_value_of_tap, run.records), key=str) == sorted(map(value, got["readings"]), key=str)
    assert run.exit_code == 0, run.stderr
    assert calls[:2] == [429, 200]
    assert calls.count(200) == pages


def test_it_knows_all_that_the_list_tells(client: str) -> None:
    """The five groups are there, and the spans are those of the readings."""
    with Emulator(DEVICES, window=0.2) as emulator:
        devices = read(client, emulator)["devices"]

    assert [device["device_id"] for device in devices] == ["z6-00001", "z6-00002", "z6-00003"]
    assert devices[1]["data_range"] == {
        "first_measurement": "2024-10-20T00:00:00Z",
        "last_measurement": "2024-10-20T09:45:00Z",
    }
    assert devices[2]["data_range"] == {"first_measurement": None, "last_measurement": None}
    assert devices[0]["settings"]["logging_interval"] == 30_000
    assert devices[0]["hardware"]["firmware_version"] > 1
    assert devices[0]["connectivity"]["connectivity_type"] in {"cellular", "wifi"}
    assert devices[0]["subscription"]["status"] in {"active", "expired"}
