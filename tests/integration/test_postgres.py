"""Loads into a real PostgreSQL server through target-postgres, whole and cut off."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tap_zentra.emulator.sensors import PROFILE_STATION
from tap_zentra.v4.readings import READINGS_KEY
from tests.integration.documents import column_types, failures, printed_by
from tests.integration.support import Postgres, State, stored
from tests.support import gate
from tools.documents import example

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.support import Load, Pipe

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


def test_the_table_is_what_an_analyst_expects(emulate: Emulate, postgres: Postgres) -> None:
    """The types of docs/tables.md under the columns' names, and the key of six columns."""
    postgres.load(emulate(Device("z6-00001", records=1)))

    assert postgres.types == column_types("PostgreSQL")
    assert postgres.key == READINGS_KEY


def test_every_reading_is_in_the_table_and_the_next_load_brings_what_is_new(
    emulate: Emulate, postgres: Postgres
) -> None:
    """The table equals the service after the first load and after the second, which writes what is new only."""
    emulator = emulate(*FLEET)

    first = postgres.load(emulator, page_size=PAGE_SIZE, batch_size=BATCH_SIZE)
    assert first.exit_codes == (0, 0), first.log
    assert postgres.rows() == stored(emulator)

    held = postgres.count()
    emulator.grow(25, "z6-00002")
    emulator.grow(3, "z6-00004")
    second = postgres.load(emulator, state=first.state, page_size=PAGE_SIZE, batch_size=BATCH_SIZE)

    assert second.exit_codes == (0, 0), second.log
    assert postgres.rows() == stored(emulator)
    assert f'"readings":{postgres.count() - held},' in second.log.rpartition('"totals"')[2]


def test_every_reading_of_batch_files_is_in_the_table(emulate: Emulate, postgres: Postgres) -> None:
    """The target reads the files; what they hold is stored as if it had come as records."""
    emulator = emulate(*FLEET)
    storage = {"root": (postgres.folder / "batches").as_uri()}
    config = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": storage, "batch_size": BATCH_SIZE}

    done = postgres.load(emulator, page_size=PAGE_SIZE, batch_config=json.dumps(config))

    assert done.exit_codes == (0, 0), done.log
    assert len(list((postgres.folder / "batches").iterdir())) == -(-len(stored(emulator)) // BATCH_SIZE)
    assert postgres.rows() == stored(emulator)


def late_values(emulator: Emulator) -> Fault:
    """Let a device's newest record lack two values until the emulator recovers."""

    def without_last_values(request: Request) -> Response:
        body = json.loads(emulator.answer(request).body)
        for entry in body["data"]["Air Temperature"]:
            entry["readings"][-1] |= {"value": None, "error_flag": True, "error_description": "No response from sensor"}
        del body["data"]["Water Content"][0]["readings"][-1]
        return Response(body=json.dumps(body).encode())

    incomplete = Fault(without_last_values)
    emulator.fail(incomplete)
    return incomplete


def test_values_that_come_late_replace_the_rows_that_are_there(emulate: Emulate, postgres: Postgres) -> None:
    """A record that was not complete when it was read is completed by the next load; no row is doubled."""
    emulator = emulate(Device("z6-00001", records=60, error_rate=0))
    incomplete = late_values(emulator)
    first = postgres.load(emulator)
    emulator.recover(incomplete)
    before = postgres.count()

    second = postgres.load(emulator, state=first.state)

    assert second.exit_codes == (0, 0), second.log
    assert postgres.rows() == stored(emulator)
    assert postgres.count() == before + 1


def test_a_trigger_keeps_rows_that_have_not_changed_from_being_written_again(
    emulate: Emulate, postgres: Postgres
) -> None:
    """That of docs/scaling.md: when all is loaded once more, only what has changed or is new takes room."""
    emulator = emulate(Device("z6-00001", records=60, error_rate=0))
    incomplete = late_values(emulator)
    postgres.load(emulator)
    emulator.recover(incomplete)
    with postgres.connect() as connection:
        statement = example("suppress", "docs/scaling.md").replace("zentra.", f"{postgres.schema}.")
        connection.execute(statement.encode())
    places = "select ctid::text as place from {}"
    before = {row["place"] for row in postgres.query(places)}

    again = postgres.load(emulator)

    after = {row["place"] for row in postgres.query(places)}
    assert again.exit_codes == (0, 0), again.log
    assert postgres.rows() == stored(emulator)
    assert (len(before - after), len(after - before)) == (1, 2)


def test_a_load_whose_tap_dies_is_completed_by_the_next(emulate: Emulate, postgres: Postgres) -> None:
    """When the tap is killed, the next load goes on from the state that came through."""
    half = HalfLoaded(emulate(*LONG_FLEET), postgres)
    broken = half.break_off(lambda pipe: pipe.tap.kill())

    assert broken.tap == -signal.SIGKILL
    half.require_completion(broken.state)


def test_a_load_whose_target_dies_is_completed_by_the_next(emulate: Emulate, postgres: Postgres) -> None:
    """When the target is killed, the tap ends with an error, and what is loaded again is not doubled."""
    half = HalfLoaded(emulate(*LONG_FLEET), postgres)
    broken = half.break_off(lambda pipe: pipe.target.kill())

    assert broken.exit_codes == (1, -signal.SIGKILL), broken.log
    half.require_completion(broken.state)


def test_a_load_whose_database_stops_is_completed_by_the_next(emulate: Emulate, own_postgres: Postgres) -> None:
    """When the server stops, target and tap fail, as docs/errors.md says; started again, it gets the rest."""
    half = HalfLoaded(emulate(*LONG_FLEET), own_postgres)
    broken = half.break_off(lambda _: own_postgres.warehouse.__exit__(None, None, None))
    own_postgres.warehouse.__enter__()

    told = failures()["database-stops"]
    assert broken.tap == told.exit_code, broken.log
    assert set(told.lines) <= set(printed_by(broken.log))
    assert broken.target != 0, broken.log
    half.require_completion(broken.state)


LONG_FLEET = (Device("z6-00001", records=20), Device("z6-00002", records=20))


@dataclass
class HalfLoaded:
    """A table whose load is broken off in its middle: some of the new records are stored, others not yet sent.

    Attributes:
        emulator: The service.
        postgres: Where the table is.
    """

    emulator: Emulator
    postgres: Postgres

    def break_off(self, end: Callable[[Pipe], None]) -> Load:
        """Load what there is, and then, of what is new, some: until the target has stored of it.

        Where no state came through, that of the load before is the one that counts.
        """
        before = self.postgres.load(self.emulator)
        self.emulator.grow(60)
        # A short look-back, so that already the first calls bring what is new.
        sizes = {"page_size": PAGE_SIZE, "batch_size": BATCH_SIZE, "mrid_lookback": 5}
        with (
            self.postgres.storing() as wait_until_stored,
            gate(self.emulator, first_held=4) as answers,
            self.postgres.loading(self.emulator, state=before.state, **sizes) as pipe,
        ):
            wait_until_stored()
            end(pipe)
            answers.open()
            broken = pipe.wait()
        return broken if broken.states else replace(broken, states=before.states)

    def require_completion(self, state: State | None) -> None:
        """Load the rest, from the state that came through."""
        assert 0 < self.postgres.count() < len(stored(self.emulator))
        repeated = self.postgres.load(self.emulator, state=state)

        assert repeated.exit_codes == (0, 0), repeated.log
        assert self.postgres.rows() == stored(self.emulator)
