"""Loads without Meltano (`tap-zentra | target`), and what a PostgreSQL holds after them."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tap_zentra.singer.sensors import SENSORS_KEY
from tap_zentra.v4.env_model import ENV_MODEL_DATA_KEY
from tap_zentra.v4.readings import READINGS_KEY
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.support import PATIENCE, TAP, by_key, environment, held
from tools.loaders.project import postgres_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tap_zentra.emulator import Emulator
    from tests.support import Rows
    from tools.postgres.server import Warehouse

State = dict[str, Any]
KEYS = {
    "readings": READINGS_KEY,
    "readings_v5": READINGS_V5_KEY,
    "devices": ("device_sn",),
    "sensors": SENSORS_KEY,
    "env_model_data": ENV_MODEL_DATA_KEY,
}


@dataclass(frozen=True)
class Load:
    """What `tap | target` left behind."""

    tap: int
    target: int
    log: str
    states: tuple[State, ...]

    @property
    def exit_codes(self) -> tuple[int, int]:
        """Of the tap and of the target."""
        return self.tap, self.target

    @property
    def state(self) -> State | None:
        """The last STATE that the target has passed on, as the next run would get it."""
        return self.states[-1] if self.states else None


@dataclass(frozen=True)
class Pipe:
    """A tap and a target under way."""

    tap: subprocess.Popen[bytes]
    target: subprocess.Popen[bytes]
    folder: Path

    def wait(self) -> Load:
        """Wait for the end of both."""
        codes = self.tap.wait(PATIENCE), self.target.wait(PATIENCE)
        logs = [(self.folder / name).read_text(encoding="utf-8") for name in ("tap.log", "target.log")]
        states = (self.folder / "states").read_text(encoding="utf-8").splitlines()
        return Load(*codes, "".join(logs), tuple(map(json.loads, states)))


@dataclass(frozen=True)
class Postgres:
    """A schema of a PostgreSQL server, and the target that loads into it.

    Attributes:
        warehouse: The server, running.
        schema: Where the target makes its table.
        target: The program.
        folder: For configuration and logs.
        stream: Whose table is looked at.
        tap: The program that is read; another version's, perhaps.
    """

    warehouse: Warehouse
    schema: str
    target: Path
    folder: Path
    stream: str = "readings"
    tap: Path = TAP

    @contextmanager
    def loading(
        self, emulator: Emulator, *, state: State | None = None, batch_size: int | None = None, **settings: object
    ) -> Iterator[Pipe]:
        """Start `tap | target`, a window after any call before; both are gone in the end, whatever the test does."""
        emulator.let_window_pass()
        (self.folder / "state.json").write_text(json.dumps(state or {}))
        self._configure({} if batch_size is None else {"batch_size_rows": batch_size})
        with self._file("tap.log") as tap_log, self._file("target.log") as target_log, self._file("states") as states:
            tap = subprocess.Popen(
                (self.tap, "--config", "ENV", "--state", "state.json"),
                cwd=self.folder,
                env=environment(emulator, **settings),
                stdout=subprocess.PIPE,
                stderr=tap_log,
            )
            target = subprocess.Popen(
                (self.target, "--config", "target.json"),
                cwd=self.folder,
                stdin=tap.stdout,
                stdout=states,
                stderr=target_log,
            )
            # So that the tap notices when the target goes.
            cast("IO[bytes]", tap.stdout).close()
            try:
                yield Pipe(tap, target, self.folder)
            finally:
                for process in (tap, target):
                    process.kill()
                    process.wait()

    def load(
        self, emulator: Emulator, *, state: State | None = None, batch_size: int | None = None, **settings: object
    ) -> Load:
        """Run `tap | target` to its end."""
        with self.loading(emulator, state=state, batch_size=batch_size, **settings) as pipe:
            return pipe.wait()

    def load_messages(self, messages: bytes) -> State:
        """Let the target load what a tap has written before; return the last state that it confirms."""
        self._configure({})
        done = subprocess.run(
            (self.target, "--config", "target.json"),
            cwd=self.folder,
            input=messages,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        confirmed: State = json.loads(done.stdout.splitlines()[-1])
        return confirmed

    @contextmanager
    def storing(self) -> Iterator[Callable[[], None]]:
        """Lend a function that waits until something is stored in the table, which must be there already."""
        with self.connect() as connection:
            name = sql.Identifier(self.schema, "tell")
            tell = "create or replace function {} () returns trigger language plpgsql as {}"
            body = sql.Literal(f"begin notify {self.schema}; return null; end")
            connection.execute(sql.SQL(tell).format(name, body))
            when = "create or replace trigger tell after insert or update on {} execute function {} ()"
            connection.execute(sql.SQL(when).format(self.table, name))
            connection.execute(sql.SQL("listen {}").format(sql.Identifier(self.schema)))

            def wait() -> None:
                assert list(connection.notifies(timeout=PATIENCE, stop_after=1))

            yield wait

    @property
    def table(self) -> sql.Identifier:
        """The table of the stream."""
        return sql.Identifier(self.schema, self.stream)

    @property
    def types(self) -> dict[str, str]:
        """The type of each of its columns."""
        query = (
            "select column_name, data_type from information_schema.columns where (table_schema, table_name) = (%s, %s)"
        )
        return {row["column_name"]: row["data_type"] for row in self.query(query, self.schema, self.stream)}

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its key."""
        rows = self.query(
            "select attname from pg_index, unnest(indkey) with ordinality as part(number, place), pg_attribute "
            "where indrelid = %s::regclass and indisprimary and attrelid = indrelid and attnum = part.number "
            "order by place",
            f"{self.schema}.{self.stream}",
        )
        return tuple(row["attname"] for row in rows)

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """Connect to the server."""
        with psycopg.connect(self.warehouse.dsn, row_factory=dict_row, autocommit=True) as connection:
            yield connection

    def query(self, text: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a query; `{}` stands for the table."""
        with self.connect() as connection:
            return connection.execute(sql.SQL(cast("Any", text)).format(self.table), values).fetchall()

    def count(self) -> int:
        """Return how many rows the table has; 0 when there is none."""
        with self.connect() as connection:
            named = self.table.as_string(connection)
            [found] = connection.execute("select to_regclass(%s) as name", [named]).fetchall()
        if found["name"] is None:
            return 0
        [counted] = self.query("select count(*) from {}")
        return int(counted["count"])

    def rows(self) -> Rows:
        """Return the table's rows by key; a NUMERIC is the float that the tap sent, its last digit included."""
        rows = self.query("select * from {}")
        floats = [
            {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()} for row in rows
        ]
        return by_key(floats, KEYS[self.stream])

    def of(self, stream: str) -> Postgres:
        """The same with another stream's table."""
        return replace(self, stream=stream)

    def _configure(self, more: Mapping[str, object]) -> None:
        config = {**postgres_config(self.warehouse, self.schema), **more}
        (self.folder / "target.json").write_text(json.dumps(config))

    def _file(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("wb")


def stored(emulator: Emulator, *device_sns: str) -> Rows:
    """Return the readings that an emulator holds, of some devices or of all, as PostgreSQL should give them back."""
    rows = held(emulator, *device_sns).values()
    return by_key([row | {"timestamp_utc": _moment(row["timestamp_utc"])} for row in rows])


def stored_v5(emulator: Emulator) -> Rows:
    """Return the same of v5."""
    rows = [row | {"timestamp_utc": _moment(str(row["timestamp_utc"]))} for row in emulator.readings_v5()]
    return by_key(rows, READINGS_V5_KEY)


def _moment(text: str) -> datetime:
    """The column has no zone; what it holds is UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
