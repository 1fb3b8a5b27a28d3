"""Loads into a real PostgreSQL server through target-postgres, whole and cut off."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator import Device, Emulator
from tap_zentra.emulator.sensors import PROFILE_STATION
from tap_zentra.schemas import READINGS_KEY
from tests.integration.documents import column_types
from tests.integration.support import Postgres, stored, wait_until
from warehouse.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

FLEET = (
    Device("z6-00001", records=130, error_rate=0.2),
    Device("z6-00002", records=90, sensors=PROFILE_STATION),
    Device("z6-00003", records=60, units_changed_at=35, gaps=((20, 30),), tz_offset=34200),
    Device("z6-00004", records=0),
)
# Pages, and batches of the target, small enough that a load has a middle.
PAGE_SIZE = 20
BATCH_SIZE = 500


@pytest.fixture
def long_fleet(emulate: Emulate) -> Emulator:
    """Two devices whose backfill takes some windows: time enough to break it off."""
    return emulate(Device("z6-00001", records=120), Device("z6-00002", records=60))


def test_the_table_is_what_an_analyst_expects(emulate: Emulate, postgres: Postgres) -> None:
    """The types of docs/tables.md under the columns' names, and the key of six columns."""
    postgres.load(emulate(Device("z6-00001", records=1)))

    columns = postgres.query(
        "select column_name, data_type from information_schema.columns where table_schema = %s", postgres.schema
    )
    key = postgres.query(
        "select attname from pg_index, unnest(indkey) with ordinality as part(number, place), pg_attribute "
        "where indrelid = %s::regclass and indisprimary and attrelid = indrelid and attnum = part.number "
        "order by place",
        f"{postgres.schema}.readings",
    )
    assert {column["column_name"]: column["data_type"] for column in columns} == column_types("PostgreSQL")
    assert tuple(column["attname"] for column in key) == READINGS_KEY


def test_every_reading_is_in_the_table_and_the_next_load_brings_what_is_new(
    emulate: Emulate, postgres: Postgres
) -> None:
    """The table equals the service after the first load and after the second, which reads new records only."""
    emulator = emulate(*FLEET)

    first = postgres.load(emulator, page_size=PAGE_SIZE, batch_size=BATCH_SIZE)
    assert first.exit_codes == (0, 0), first.log
    assert postgres.rows() == stored(emulator)

    asked = len(emulator.calls)
    emulator.grow(25, "z6-00002")
    emulator.grow(3, "z6-00004")
    second = postgres.load(emulator, state=first.state, page_size=PAGE_SIZE, batch_size=BATCH_SIZE)

    assert second.exit_codes == (0, 0), second.log
    assert postgres.rows() == stored(emulator)
    assert sum(call.records for call in emulator.calls[asked:]) == 28


def test_lookback_updates_the_rows_that_are_there(emulate: Emulate, postgres: Postgres) -> None:
    """With mrid_lookback the last records come again and replace their rows; none is doubled."""
    emulator = emulate(Device("z6-00001", records=60, name="Old"))
    first = postgres.load(emulator)
    before = postgres.count()
    emulator.rename("z6-00001", "New")

    second = postgres.load(emulator, state=first.state, mrid_lookback=7)

    assert second.exit_codes == (0, 0), second.log
    names = postgres.query("select device_name, min(mrid), max(mrid) from {} group by device_name order by 2")
    assert [tuple(row.values()) for row in names] == [("Old", 1, 53), ("New", 54, 60)]
    assert postgres.count() == before


def test_a_load_whose_tap_dies_is_completed_by_the_next(long_fleet: Emulator, postgres: Postgres) -> None:
    """When the tap is killed, maybe within a line, the next load goes on from the state that came through."""
    with postgres.loading(long_fleet, page_size=PAGE_SIZE, batch_size=BATCH_SIZE) as pipe:
        wait_until(lambda: postgres.count() > 0)
        pipe.tap.kill()
        broken = pipe.wait()

    assert broken.tap == -signal.SIGKILL
    assert 0 < postgres.count() < len(stored(long_fleet))
    _complete(long_fleet, postgres, broken.state)


def test_a_load_whose_target_dies_is_completed_by_the_next(long_fleet: Emulator, postgres: Postgres) -> None:
    """When the target is killed, the tap ends with an error, and what is loaded again is not doubled."""
    with postgres.loading(long_fleet, page_size=PAGE_SIZE, batch_size=BATCH_SIZE) as pipe:
        wait_until(lambda: postgres.count() > 0)
        pipe.target.kill()
        broken = pipe.wait()

    assert broken.exit_codes == (1, -signal.SIGKILL), broken.log
    assert 0 < postgres.count() < len(stored(long_fleet))
    _complete(long_fleet, postgres, broken.state)


def test_a_load_whose_database_stops_is_completed_by_the_next(
    long_fleet: Emulator, own_server: tuple[Postgres, ExitStack], target_postgres: Path
) -> None:
    """When the server stops, target and tap fail; started again, it gets the rest and keeps what it had."""
    postgres, running = own_server
    with postgres.loading(long_fleet, page_size=PAGE_SIZE, batch_size=BATCH_SIZE) as pipe:
        wait_until(lambda: postgres.count() > 0)
        running.close()
        broken = pipe.wait()

    assert broken.tap != 0, broken.log
    assert broken.target != 0, broken.log
    with Warehouse(postgres.warehouse.folder, fsync=False) as restarted:
        again = Postgres(restarted, postgres.schema, target_postgres, postgres.folder)
        assert 0 < again.count() < len(stored(long_fleet))
        _complete(long_fleet, again, broken.state)


@pytest.fixture
def own_server(target_postgres: Path, tmp_path: Path) -> Iterator[tuple[Postgres, ExitStack]]:
    """A server that a test may stop."""
    with ExitStack() as running:
        server = running.enter_context(Warehouse(tmp_path / ".warehouse", fsync=False))
        yield Postgres(server, "zentra", target_postgres, tmp_path), running


def _complete(emulator: Emulator, postgres: Postgres, state: dict[str, object] | None) -> None:
    repeated = postgres.load(emulator, state=state)

    assert repeated.exit_codes == (0, 0), repeated.log
    assert postgres.rows() == stored(emulator)
