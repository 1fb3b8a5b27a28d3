"""Devices, sensors and evapotranspiration in PostgreSQL: the README's queries and examples, over what runs have loaded.

The fleet is one in which a lot happens, and it grows between two runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import STANDARD_STATION, Device, Emulator, eventful_fleet
from tap_zentra.singer.sensors import SENSORS_KEY
from tap_zentra.v4.env_model import ENV_MODEL_DATA_KEY
from tests.integration.documents import column_types, example
from tests.integration.support import Postgres
from tests.support import by_key, emulators

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.projects import MeltanoProject
    from tools.postgres.server import Warehouse

pytestmark = pytest.mark.warehouse

INTERVAL = 7200
END = datetime(2025, 12, 1, tzinfo=UTC)
NOW = END + timedelta(days=1)
DAY_OF_RECORDS = 12
GROWING = ("z6-00001", "z6-00002", "z6-00004", "z6-00005", "z6-00009")
REFUSED, BACK_AGAIN = "z6-00008", "z6-00009"

STATIONS = [
    {"device_sn": "z6-00004", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25},
    {"device_sn": "z6-00004", "port_number": 1, "model_type": "ETr", "elevation": 806, "latitude": 32.25},
    {"device_sn": "z6-00005", "port_number": 1, "model_type": "ETo", "elevation": 12, "latitude": 46.5},
]
"""At a device that was moved to another time zone, and at one whose summer time ended."""

KEYS = {"devices": ("device_sn",), "sensors": SENSORS_KEY, "env_model_data": ENV_MODEL_DATA_KEY}


@dataclass(frozen=True)
class Loaded:
    """What two runs of the tap have loaded.

    Attributes:
        emulator: The service, as it was at the second run.
        postgres: Where the tables are.
    """

    emulator: Emulator
    postgres: Postgres

    def query(self, name: str, **replaced: str) -> list[dict[str, Any]]:
        """Run a query of the README in the tests' schema, with some of its words replaced."""
        text = example(name).replace("zentra.", f"{self.postgres.schema}.")
        for old, new in {"now()": f"timestamptz '{NOW.isoformat()}'", **replaced}.items():
            text = text.replace(old, new)
        return self.postgres.query(text)

    def table(self, stream: str) -> Postgres:
        """Return the table of a stream."""
        return replace(self.postgres, stream=stream)


def _fleet() -> list[Device]:
    """Return the eventful fleet, and a device whose probe was on another port for some days."""
    devices = eventful_fleet(interval=INTERVAL, end=END)
    [(away, moved)] = devices[1].refits
    back = (away + 3 * DAY_OF_RECORDS, STANDARD_STATION)
    return [*devices, replace(devices[1], device_sn=BACK_AGAIN, name="Back again", refits=((away, moved), back))]


def _load_twice(emulator: Emulator, postgres: Postgres, **settings: Any) -> Loaded:
    """Load the fleet, let some devices make records of a day, and load what is new."""
    first = postgres.load(emulator, **settings)
    for device_sn in GROWING:
        emulator.grow(DAY_OF_RECORDS, device_sn)
    second = postgres.load(emulator, state=first.state, **settings)

    # One device is another user's.
    assert (first.exit_codes, second.exit_codes) == ((1, 0), (1, 0)), second.log
    return Loaded(emulator, postgres)


@pytest.fixture(scope="module")
def v4(warehouse: Warehouse, target_postgres: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """All streams of API v4."""
    postgres = Postgres(warehouse, "queries_v4", target_postgres, tmp_path_factory.mktemp("v4"))
    with emulators() as start:
        yield _load_twice(start(*_fleet()), postgres, env_models=json.dumps(STATIONS))


@pytest.fixture(scope="module")
def v5(warehouse: Warehouse, target_postgres: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """All streams of API v5."""
    postgres = Postgres(warehouse, "queries_v5", target_postgres, tmp_path_factory.mktemp("v5"), "readings_v5")
    with emulators() as start:
        yield _load_twice(start(*_fleet()), postgres, api_version="v5")


@pytest.fixture(params=["v4", "v5"])
def either(request: pytest.FixtureRequest) -> Loaded:
    """One of the two."""
    loaded: Loaded = request.getfixturevalue(request.param)
    return loaded


@pytest.mark.parametrize("stream", KEYS)
def test_the_tables_of_v4_are_what_an_analyst_expects(stream: str, v4: Loaded) -> None:
    """The types of docs/tables.md under the columns' names, and the stream's key."""
    table = v4.table(stream)

    assert table.types == column_types("PostgreSQL", stream, api="v4")
    assert table.key == KEYS[stream]


@pytest.mark.parametrize("stream", ["devices", "sensors"])
def test_the_tables_of_v5_are_what_an_analyst_expects(stream: str, v5: Loaded) -> None:
    """The same of v5, whose tables have other columns."""
    table = v5.table(stream)

    assert table.types == column_types("PostgreSQL", stream, api="v5")
    assert table.key == KEYS[stream]


def test_the_query_shows_which_devices_need_attention(either: Loaded) -> None:
    """A device that failed and has sent nothing comes first, then those without a reading of the last day, then all."""
    rows = either.query("freshness")

    silent = [device.device_sn for device in either.emulator.devices if device.device_sn not in {*GROWING, REFUSED}]
    interval = timedelta(seconds=INTERVAL)
    assert [(row["device_sn"], row["alive"], row["age"], row["outcome"]) for row in rows] == [
        (REFUSED, False, None, "failed"),
        *((device_sn, False, timedelta(days=1) + interval, "current") for device_sn in silent),
        *((device_sn, True, interval, "current") for device_sn in GROWING),
    ]
    assert [row["device_sn"] for row in rows if row["error"]] == [REFUSED]
    assert "the service rejected the call" in rows[0]["error"]


def test_a_device_that_was_not_read_for_a_day_is_not_alive_either(v4: Loaded) -> None:
    """Whatever the last run found, what counts is how old the newest reading is now."""
    rows = v4.query("freshness", **{NOW.isoformat(): (NOW + timedelta(days=1)).isoformat()})

    assert {row["alive"] for row in rows} == {False}


def test_the_query_shows_which_probe_was_where(v4: Loaded) -> None:
    """Swapped and moved probes have a row for each stay, over all runs; other changes make no new ones."""
    for device_sn in v4.emulator.device_sns:
        if device_sn not in {REFUSED, BACK_AGAIN}:
            assert _stays(v4.query("probes", **{"z6-12345": device_sn})) == _probes(v4.emulator.channels(device_sn))


def test_the_query_shows_each_stay_of_a_probe_that_came_back(v4: Loaded) -> None:
    """The stays on one port do not cover the one between, on another."""
    device = v4.emulator.device(BACK_AGAIN)
    [away, back] = [mrid for mrid, _ in device.refits]
    ends = [device.first_mrid, away - 1, away, back - 1, back, device.next_mrid - 1]
    moments = [datetime.fromtimestamp(device.timestamp(mrid), UTC).replace(tzinfo=None) for mrid in ends]

    rows = [row for row in v4.query("probes", **{"z6-12345": BACK_AGAIN}) if row["sensor_name"] == "TEROS 11"]

    assert len({row["sensor_sn"] for row in rows}) == 1
    stays = sorted((row["first_seen"], row["last_seen"], row["port_number"]) for row in rows)
    assert stays == [(*moments[:2], 3), (*moments[2:4], 4), (*moments[4:], 3)]


def test_the_query_shows_what_v5_tells_of_probes(v5: Loaded) -> None:
    """Without serial numbers, which v5 does not tell, a moved probe still shows."""
    names = {"sensor_sn, timestamp_utc": "null::text as sensor_sn, timestamp_utc", ".readings": ".readings_v5"}

    for device_sn in v5.emulator.device_sns:
        if device_sn not in {REFUSED, BACK_AGAIN}:
            found = v5.query("probes", **names, **{"z6-12345": device_sn})
            assert _stays(found) == _probes(v5.emulator.channels_v5(device_sn))


def test_the_query_shows_what_rained_and_what_evaporated(v4: Loaded) -> None:
    """By local day, in millimetres, of ETo alone, the day completed that was not over in the first run."""
    wanted = {}
    for station in STATIONS:
        if station["model_type"] == "ETo":
            rain = _rain(v4.emulator, str(station["device_sn"]))
            for day in v4.emulator.env_model(**_asked(station)):
                local = date.fromisoformat(str(day["datetime"])[:10])
                wanted[station["device_sn"], local] = (rain[local], 25.4 * float(str(day["value"])))

    rows = v4.query("water-balance")

    assert len({key[0] for key in wanted}) == 2
    assert {(row["device_sn"], row["day"]) for row in rows} == set(wanted)
    for row in rows:
        rained, evaporated = wanted[row["device_sn"], row["day"]]
        found = [float(row[name]) for name in ("rain_mm", "eto_mm", "balance_mm")]
        assert found == pytest.approx([rained, evaporated, rained - evaporated], abs=0.051)


def test_inches_of_rain_are_converted_too(v4: Loaded) -> None:
    """An account that prefers inches has the same balance."""
    columns = "device_sn, port_number, measurement, timestamp_utc, tz_offset, error_flag"
    readings = f"{v4.postgres.schema}.readings"
    source = f"(select {columns}, value / 25.4 as value, 'in' as units from {readings}) as readings"  # noqa: S608 - our own names

    assert v4.query("water-balance", **{readings: source}) == v4.query("water-balance")


def test_evapotranspiration_is_what_the_service_has_now(v4: Loaded) -> None:
    """Each day of each station and model once, the newest one of the first run corrected by the second."""
    rows = v4.table("env_model_data").query("select * from {}")

    wanted = {
        (station["device_sn"], station["model_type"], day["timestamp_utc"]): day["value"]
        for station in STATIONS
        for day in v4.emulator.env_model(**_asked(station))
    }
    found = {
        (row["device_sn"], row["model_type"], int(row["timestamp_utc"].replace(tzinfo=UTC).timestamp())): float(
            row["value"]
        )
        for row in rows
    }
    assert found == wanted
    assert {row["units"] for row in rows} == {"in"}


def test_each_channel_has_a_row(either: Loaded) -> None:
    """After two runs `sensors` has all channels of the readings, none twice, whichever run has seen them."""
    channels = either.emulator.channels if either.postgres.stream == "readings" else either.emulator.channels_v5
    wanted = {
        (device_sn, *(channel[column] for column in SENSORS_KEY[1:]))
        for device_sn in either.emulator.device_sns
        for channel in channels(device_sn)
    }

    assert set(by_key(either.table("sensors").query("select * from {}"), SENSORS_KEY)) == wanted


def test_a_device_keeps_its_row_when_its_account_is_moved(postgres: Postgres) -> None:
    """What v4 said last stays in the columns that v5 does not have, beside those that only v5 has."""
    with emulators() as start:
        emulator = start(Device("z6-00001", records=30, interval=INTERVAL, start=END))
        first = postgres.load(emulator)
        second = postgres.load(emulator, state=first.state, api_version="v5")

    assert (first.exit_codes, second.exit_codes) == ((0, 0), (0, 0)), second.log
    [row] = replace(postgres, stream="devices").query("select * from {}")
    assert (row["first_mrid"], row["last_mrid"]) == (1, 30)
    assert row["firmware_version"] is not None


def test_a_stream_that_is_left_out_is_not_loaded(project: MeltanoProject) -> None:
    """The README's selection has the readings and the devices, with one call for each device."""
    project.change("tap-zentra", **yaml.safe_load(example("select")))
    with emulators() as start:
        emulator = start(Device("z6-00001", records=2), Device("z6-00002", records=2))
        outcome = project.sync(emulator, "run", "tap-zentra", "target-jsonl")

    assert outcome.exit_code == 0, outcome.log
    assert {path.name for path in (project.folder / "output").iterdir()} == {"readings.jsonl", "devices.jsonl"}
    assert len(emulator.calls) == 2


def test_a_weather_station_is_named_in_meltano_yml(project: MeltanoProject) -> None:
    """The README's example loads the days of that station."""
    given = yaml.safe_load(example("env-models"))
    project.change("tap-zentra", **given)
    with emulators() as start:
        emulator = start(Device("z6-12345", records=30, interval=INTERVAL, start=END))
        outcome = project.sync(emulator, "run", "tap-zentra", "target-jsonl")
        wanted = emulator.env_model(**_asked(given["config"]["env_models"][0]))

    assert outcome.exit_code == 0, outcome.log
    lines = (project.folder / "output" / "env_model_data.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["value"] for line in lines] == [day["value"] for day in wanted]


def _stays(rows: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """Return the rows of the query as they compare."""
    return {
        (row["port_number"], row["sensor_name"] or "", row["sensor_sn"] or "", row["first_seen"], row["last_seen"])
        for row in rows
    }


def _probes(channels: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """Return the probes that channels are of, each with its first and its last moment."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for channel in channels:
        probe = (channel["port_number"], channel["sensor_name"], channel["sensor_sn"])
        found[probe] += [channel["first_timestamp"], channel["last_timestamp"]]
    ends = {probe: (min(moments), max(moments)) for probe, moments in found.items()}
    return {
        (*probe, *(datetime.fromtimestamp(moment, UTC).replace(tzinfo=None) for moment in moments))
        for probe, moments in ends.items()
    }


def _rain(emulator: Emulator, device_sn: str) -> dict[date, float]:
    """Return what rained on each local day, in mm."""
    days: dict[date, float] = defaultdict(float)
    for row in emulator.readings(device_sn):
        if row["measurement"] == "Precipitation" and row["value"] is not None and not row["error_flag"]:
            days[date.fromisoformat(str(row["local_datetime"])[:10])] += float(str(row["value"]))
    return days


def _asked(station: Mapping[str, Any]) -> dict[str, Any]:
    """Return a station as the emulator is asked for its days."""
    return {"port" if name == "port_number" else name: value for name, value in station.items()}
