"""Damaged and hostile answers of v5: right records or a failed device that says why; nothing wrong, nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator import Emulator, Fault, Request, Response
from tests.reliability.attack import Attack
from tests.reliability.bodies import RIGHT, Bad
from tests.reliability.bodies_v5 import BODIES, DIRTY
from tests.reliability.v5 import V5, held, keyed, newest, rows_of, small_fleet, standing
from tests.support import Rows, Tap, emulators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JANUARY, FEBRUARY = "2026-01", "2026-02"


class AttackOfMonths(Attack):
    """One run against a fleet of which each device's second page is another bad answer."""

    def month(self, name: str, month: str) -> Rows:
        """Return the readings of a month that the service holds of the device that got an answer."""
        rows = held(self.emulator, self.device_sns[name])
        return {key: row for key, row in rows.items() if row["timestamp_utc"].startswith(month)}


def second_page(emulator: Emulator, bad: Bad) -> Callable[[Request], Response]:
    """Return the fault that spoils every answer to the second page of a device, whether by token or by time."""

    def answer(request: Request) -> Response:
        right = emulator.answer(request)
        return bad.answer(right.body) if b'"start_datetime":"2026-02-01' in right.body else right

    return answer


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackOfMonths]:
    """Let all bad answers loose on one run."""
    answers = BODIES | {name: Bad(spoil) for name, (spoil, _) in DIRTY.items()}
    device_sns = {name: f"z6-{number:05}" for number, name in enumerate(answers)}
    with emulators() as emulate:
        emulator = emulate(*small_fleet(len(answers), error_rate=0))
        for name, bad in answers.items():
            emulator.fail(Fault(second_page(emulator, bad), device_sns[name]))
        run = Tap(tmp_path_factory.mktemp("attack")).sync(emulator, max_attempts=2, **V5)
        yield AttackOfMonths(emulator, run, device_sns)


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words != RIGHT])
def test_a_bad_answer_fails_its_device_and_says_why(name: str, attack: AttackOfMonths) -> None:
    """The failure names what was wrong; the page before is there but for its last moment, and so is the bookmark."""
    device_sn = attack.device_sns[name]
    failure = attack.failure(name)
    january = attack.month(name, JANUARY)
    last = max(row["timestamp_utc"] for row in january.values())
    january = {key: row for key, row in january.items() if row["timestamp_utc"] < last}

    assert failure is not None
    assert BODIES[name].words in failure
    assert standing(attack.run.state)[device_sn] == max(row["timestamp_utc"] for row in january.values())
    assert rows_of(attack.run, device_sn) == january


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words == RIGHT])
def test_an_unusual_answer_is_read(name: str, attack: AttackOfMonths) -> None:
    """What is only unusual arrives whole."""
    device_sn = attack.device_sns[name]

    assert attack.failure(name) is None
    assert rows_of(attack.run, device_sn) == held(attack.emulator, device_sn)
    assert standing(attack.run.state)[device_sn] == newest(attack.emulator, device_sn)


@pytest.mark.parametrize("name", DIRTY)
def test_what_is_dirty_in_a_row_concerns_no_other_row(name: str, attack: AttackOfMonths) -> None:
    """The row's record has what can be stored of it, and all others are what they should be."""
    found = rows_of(attack.run, attack.device_sns[name])
    right = held(attack.emulator, attack.device_sns[name])
    odd = [row for key, row in found.items() if right.get(key) != row]

    assert attack.failure(name) is None
    assert len(found) == len(right)
    assert len(odd) == 1
    assert odd[0] == odd[0] | DIRTY[name][1]


def test_bad_answers_end_in_lines_and_not_in_a_traceback(attack: AttackOfMonths) -> None:
    """Exit code 1, one line for each failed device before the last one, and nothing that only a programmer reads."""
    failed = [attack.device_sns[name] for name, bad in BODIES.items() if bad.words != RIGHT]

    assert attack.run.exit_code == 1
    assert "Traceback" not in attack.run.stderr
    last_lines = attack.run.stderr.splitlines()[-len(failed) - 1 : -1]
    assert [line.partition(" failed: ")[0][-8:] for line in last_lines] == failed
    assert len(keyed(attack.run.records)) == len(attack.run.records)
