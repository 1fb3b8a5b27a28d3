"""The dbt project `transform/` alone: built over what the tap has loaded, and what its models then hold."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from benchmarks.dbt import PACKAGES
from tap_zentra.emulator import PROFILE_STATION, STANDARD_STATION, Device, eventful_fleet
from tap_zentra.emulator.sensors import TEROS_11
from tap_zentra.v4.env_model import ENV_MODEL_DATA_KEY
from tap_zentra.v4.readings import READINGS_KEY
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.integration.projects import REPOSITORY
from tests.integration.transform_truth import KEYS, Row, Truth
from tests.support import PATIENCE, by_key
from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_zentra.emulator import Emulator
    from tests.support import Rows
    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

TRANSFORM = REPOSITORY / "transform"
DBT_SNOWFLAKE = ("dbt-core<1.12", "dbt-snowflake<1.12", "fakesnow==0.12.1")

INTERVAL = 6 * 3600
END = datetime(2025, 12, 1, tzinfo=UTC)
"""When the records end that are old whenever the tests run; local days are the same in all runs."""

STATIONS = [
    {"device_sn": "z6-00004", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25},
    {"device_sn": "z6-00004", "port_number": 1, "model_type": "ETr", "elevation": 806, "latitude": 32.25},
    {"device_sn": "z6-00006", "port_number": 1, "model_type": "ETo", "elevation": 12, "latitude": 46.5},
]
"""At a device that was moved to another time zone, and at one that was silent for days."""

REFUSED = "z6-00008"
OFTEN, SET_BACK, SELDOM, MOVED_AT_NIGHT = "z6-00101", "z6-00102", "z6-00103", "z6-00104"
ALIVE, QUIET, SILENT, AHEAD, EMPTY = "z6-00201", "z6-00202", "z6-00203", "z6-00204", "z6-00205"
WIPED, LATE_COMER = "z6-00301", "z6-00302"

ADELAIDE, ADELAIDE_SUMMER = 34_200, 37_800


def old_devices() -> list[Device]:
    """Return devices whose records end long ago: the eventful fleet, and some to which other things have happened.

    One records often, its summer time begins, and it is given a probe on a port that no other device uses; the clock of
    one was set back so that moments come twice, and some of its records are late; one records so seldom that most hours
    have no reading, and was without a probe for a day; one was moved west in the hour after midnight; and one is there
    to be wiped.
    """
    often = datetime(2025, 10, 3, 14, tzinfo=UTC)
    spring = 4 * 26 + 2  # summer time begins on 2025-10-05 at 2:00 in Adelaide, which is 16:30 UTC of the day before
    return [
        *eventful_fleet(interval=INTERVAL, end=END),
        Device(
            OFTEN,
            name="Often",
            records=180,
            interval=900,
            start=often,
            sensors=PROFILE_STATION,
            tz_offset=ADELAIDE,
            time_zones=((spring + 1, ADELAIDE_SUMMER),),
            error_rate=0.3,
            refits=((190, (*PROFILE_STATION, replace(TEROS_11, port=6, number=9))),),
        ),
        Device(
            SET_BACK,
            name="Set back",
            records=40,
            interval=3600,
            start=often,
            clock=((10, 15, 4 * 3600),),
            withheld=((30, 33),),
        ),
        Device(
            SELDOM,
            name="Seldom",
            records=20,
            interval=4 * 3600,
            start=often,
            refits=((8, (*STANDARD_STATION[:2], *STANDARD_STATION[3:])), (18, STANDARD_STATION)),
        ),
        # Midnight was at record 45.
        Device(
            MOVED_AT_NIGHT,
            name="Moved at night",
            records=100,
            interval=900,
            start=datetime(2025, 10, 2, 18, tzinfo=UTC),
            tz_offset=-5 * 3600,
            time_zones=((47, -8 * 3600),),
        ),
        # More records than the look-back, of a battery alone.
        Device(WIPED, name="Wiped", records=230, interval=3600, start=often, sensors=STANDARD_STATION[4:5]),
    ]


def young_devices(now: datetime) -> list[Device]:
    """Return devices that differ in how alive they are at this moment."""

    def device(device_sn: str, name: str, ended: timedelta, **more: Any) -> Device:
        records = 30
        start = now - ended - timedelta(hours=records - 1)
        return Device(device_sn, name=name, records=records, interval=3600, start=start, **more)

    return [
        device(ALIVE, "Alive", timedelta(minutes=10)),
        device(QUIET, "Quiet", timedelta(hours=22)),
        device(SILENT, "Silent", timedelta(hours=26)),
        # For two records; another probe came later.
        device(
            AHEAD,
            "Ahead",
            timedelta(hours=3),
            clock=((11, 12, 40 * 86_400),),
            refits=((20, (*STANDARD_STATION[:2], replace(TEROS_11, number=9), *STANDARD_STATION[3:])),),
        ),
        Device(EMPTY, name="Empty", records=0, start=END),
    ]


STATUSES = {
    REFUSED: "failed",
    AHEAD: "clock ahead",
    ALIVE: "alive",
    QUIET: "alive",
    SILENT: "silent",
    EMPTY: "silent",
    OFTEN: "silent",
}
"""Of some devices."""


@dataclass(frozen=True)
class Built:
    """How a run of dbt ended.

    Attributes:
        exit_code: Of dbt.
        log: What it said.
        statuses: Of each model and test by its name: `success`, `pass`, `fail`, `error`, ….
    """

    exit_code: int
    log: str
    statuses: Mapping[str, str]

    def named(self, *statuses: str) -> list[str]:
        """Return the names of what ended so."""
        return sorted(name for name, status in self.statuses.items() if status in statuses)


@dataclass(frozen=True)
class Dbt:
    """dbt, with a folder for what it writes.

    Attributes:
        program: The program.
        folder: For its logs and compiled SQL; the repository stays as it is.
        variables: Of the environment.
        before: What runs the program, if it is not run by itself.
    """

    program: Path
    folder: Path
    variables: Mapping[str, str] = field(repr=False)
    before: tuple[Path | str, ...] = ()

    def build(self, *arguments: str) -> Built:
        """Build and test all models, or do what the arguments say."""
        done = subprocess.run(
            (
                *self.before,
                self.program,
                *(arguments if arguments and not arguments[0].startswith("-") else ("build", *arguments)),
                *("--project-dir", TRANSFORM, "--profiles-dir", TRANSFORM),
            ),
            cwd=self.folder,
            env=environment_without("DBT_", "TARGET_", "PG", "ZENTRA_", **self._own, **self.variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        results = self.folder / "target" / "run_results.json"
        told = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
        return Built(
            done.returncode,
            done.stdout + done.stderr,
            {result["unique_id"].split(".")[2]: result["status"] for result in told},
        )

    @property
    def compiled(self) -> Mapping[str, str]:
        """The SQL of each model, after `compile` or `build`."""
        paths = (self.folder / "target" / "compiled" / "zentra" / "models").rglob("*.sql")
        return {path.stem: path.read_text(encoding="utf-8") for path in paths}

    @property
    def _own(self) -> dict[str, str]:
        return {
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
        }


@dataclass(frozen=True)
class Found:
    """What is in the warehouse at a moment, in which nothing changes.

    Attributes:
        models: The rows of each model that is there.
        columns: The columns of each, and of what else is there.
        devices: Those of the table `devices`, if there is one.
        now: The moment, as the database has it.
    """

    models: Mapping[str, list[Row]]
    columns: Mapping[str, list[str]]
    devices: list[Row]
    now: datetime


def postgres_dbt(environments: Environments, warehouse: Warehouse, schema: str, folder: Path) -> Dbt:
    """Return dbt for a schema of a PostgreSQL."""
    variables = {**warehouse.environment, "DBT_POSTGRES_SCHEMA": schema, "DBT_TARGET": "postgres"}
    return Dbt(environments.programs(*PACKAGES) / "dbt", folder, variables)


def duckdb_dbt(environments: Environments, files: Path, folder: Path) -> Dbt:
    """Return dbt for files of target-jsonl, with its database in a folder."""
    variables = {
        "ZENTRA_FILES": str(files),
        "ZENTRA_DUCKDB": str(folder / duckdb_file()),
        "DBT_TARGET": "duckdb",
    }
    return Dbt(environments.programs(*PACKAGES) / "dbt", folder, variables)


def duckdb_file() -> str:
    """Return the name of the database file that profiles.yml has unless told."""
    found = re.search(r"'output/(.*?\.duckdb)'", (TRANSFORM / "profiles.yml").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def snowflake_dbt(environments: Environments, databases: Path, folder: Path) -> Dbt:
    """Return dbt with fakesnow in the place of Snowflake, whose databases are in a folder."""
    programs = environments.programs(*DBT_SNOWFLAKE)
    own = ("ACCOUNT", "USER", "PASSWORD", "WAREHOUSE")
    variables = {
        **{f"DBT_SNOWFLAKE_{name}": "made-up" for name in own},
        "DBT_SNOWFLAKE_DATABASE": "METER",
        "DBT_SNOWFLAKE_SCHEMA": "ZENTRA",
        "DBT_TARGET": "snowflake",
        "ZENTRA_DUCKDB": str(databases / "METER.db"),
        # fakesnow's own use of DuckDB, many times over.
        "PYTHONWARNINGS": "ignore",
    }
    return Dbt(programs / "dbt", folder, variables, (programs / "fakesnow", "-d", databases))


def read_postgres(warehouse: Warehouse, schema: str) -> Found:
    """Read all models of a schema at one moment."""
    with psycopg.connect(warehouse.dsn, row_factory=dict_row) as connection:
        [moment] = connection.execute("select now() at time zone 'utc' as now").fetchall()
        there = connection.execute(
            "select table_name, array_agg(column_name::text order by ordinal_position) as columns "
            "from information_schema.columns where table_schema = %s group by table_name",
            [schema],
        ).fetchall()
        names = {row["table_name"]: row["columns"] for row in there}

        def rows(name: str) -> list[Row]:
            if name not in names:
                return []
            query = sql.SQL("select * from {}").format(sql.Identifier(schema, name))
            return [_plain(row) for row in connection.execute(query).fetchall()]

        models = {name: rows(name) for name in KEYS if name in names}
        return Found(models, names, rows("devices"), moment["now"])


READER = Path(__file__).with_name("transform_reader.py")
UNTAGGED: Mapping[str, Callable[[str], object]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": float,
}


def read_files(dbt: Dbt, devices: Iterable[Row]) -> Found:
    """Read all models of a DuckDB, or of fakesnow's database, at one moment.

    Args:
        dbt: What has built them.
        devices: The rows of `devices` that were sent, the newest of each device.
    """
    done = subprocess.run(
        (dbt.program.with_name("python"), READER, dbt.variables["ZENTRA_DUCKDB"], *KEYS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def untagged(told: dict[str, Any]) -> Any:
        [(kind, text), *more] = told.items() if told else [("", "")]
        return UNTAGGED[kind](text) if kind in UNTAGGED and not more else told

    models, now = json.loads(done.stdout, object_hook=untagged)
    columns = {name: list(rows[0]) for name, rows in models.items() if rows}
    return Found(models, columns, list(devices), now)


def _plain(row: Row) -> Row:
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


class Held:
    """What the tables of the tap hold: all that the service had at each of the loads, the newest of each key."""

    def __init__(self) -> None:
        self.v4: Rows = {}
        self.v5: Rows = {}
        self.days: Rows = {}

    def load_v4(self, emulator: Emulator, device_sns: Iterable[str] | None = None, stations: Any = STATIONS) -> None:
        """Take what v4 has now of some devices, or of all."""
        for device_sn in emulator.device_sns if device_sns is None else device_sns:
            self.v4 |= by_key(emulator.readings(device_sn), READINGS_KEY)
        self.days |= by_key(_station_days(emulator, stations), ENV_MODEL_DATA_KEY)

    def load_v5(self, emulator: Emulator) -> None:
        """Take what v5 has now of all devices that is not of the future, of which the tap asks nothing."""
        now = datetime.now(UTC).isoformat()
        rows = (row for row in emulator.readings_v5() if str(row["timestamp_utc"]) < now)
        self.v5 |= by_key(rows, READINGS_V5_KEY)

    def add_v4(self, rows: Iterable[Row]) -> None:
        """Take rows of `readings` that were written by hand."""
        self.v4 |= by_key(rows, READINGS_KEY)

    def add_day(self, row: Row) -> None:
        """Take a row of `env_model_data` that was written by hand."""
        self.days |= by_key([row], ENV_MODEL_DATA_KEY)

    def leave_out(self, *, v4: Iterable[str] = (), v5: Iterable[str] = ()) -> None:
        """Forget columns of one table or the other, which nobody has loaded."""
        for rows, names in ((self.v4, v4), (self.v5, v5)):
            for key, row in rows.items():
                rows[key] = {name: value for name, value in row.items() if name not in set(names)}

    def truth(self, found: Found) -> Truth:
        """Return what the models should hold at the moment at which they were read."""
        return Truth(list(self.v4.values()), list(self.v5.values()), found.devices, list(self.days.values()), found.now)


def _station_days(emulator: Emulator, stations: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for station in stations:
        asked = {"port" if name == "port_number" else name: value for name, value in station.items()}
        for day in emulator.env_model(**asked):
            moment = datetime.fromtimestamp(int(str(day["timestamp_utc"])), UTC)
            told = {"timestamp_utc": moment, "local_datetime": day["datetime"], "units": "in"}
            yield {**station, **day, **told}
