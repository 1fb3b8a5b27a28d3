"""Damaged and hostile answers: right records or a failed device that says why; nothing wrong, and no bookmark moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tests.reliability.attack import Attack
from tests.reliability.bodies import BODIES, RIGHT, Bad
from tests.support import Tap, bookmarks, emulators, held

if TYPE_CHECKING:
    from collections.abc import Iterator

Emulate = Callable[..., Emulator]
PAGE_SIZE = 20
RECORDS = 60


def second_page(emulator: Emulator, bad: Bad) -> Callable[[Request], Response]:
    """Return the fault that spoils every answer to the second page of a device."""

    def answer(request: Request) -> Response:
        right = emulator.answer(request)
        return bad.answer(right.body) if request.params["start_mrid"] == f"{PAGE_SIZE + 1}" else right

    return answer


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """Let all bad answers loose on one run."""
    device_sns = {name: f"z6-{number:05}" for number, name in enumerate(BODIES)}
    devices = [Device(device_sn, records=RECORDS) for device_sn in device_sns.values()]
    with emulators() as emulate:
        emulator = emulate(*devices)
        for name, bad in BODIES.items():
            emulator.fail(Fault(second_page(emulator, bad), device_sns[name]))
        run = Tap(tmp_path_factory.mktemp("attack")).sync(emulator, page_size=PAGE_SIZE, max_attempts=2)
        yield Attack(emulator, run, device_sns)


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words != RIGHT])
def test_a_bad_answer_fails_its_device_and_says_why(name: str, attack: Attack) -> None:
    """The failure names what was wrong; the page before is there, and the bookmark stands behind it."""
    device_sn = attack.device_sns[name]
    failure = attack.failure(name)

    assert failure is not None
    assert BODIES[name].words in failure
    assert bookmarks(attack.run.state).get(device_sn) == PAGE_SIZE
    first_page = {key: row for key, row in held(attack.emulator, device_sn).items() if row["mrid"] <= PAGE_SIZE}
    assert attack.run.rows[device_sn] == first_page


@pytest.mark.parametrize("name", [name for name, bad in BODIES.items() if bad.words == RIGHT])
def test_an_unusual_answer_is_read(name: str, attack: Attack) -> None:
    """What is only unusual arrives whole."""
    device_sn = attack.device_sns[name]

    assert attack.failure(name) is None
    assert attack.run.rows[device_sn] == held(attack.emulator, device_sn)
    assert bookmarks(attack.run.state).get(device_sn) == RECORDS


def test_bad_answers_end_in_lines_and_not_in_a_traceback(attack: Attack) -> None:
    """Exit code 1, one line for each failed device before the last one, and nothing that only a programmer reads."""
    failed = [attack.device_sns[name] for name, bad in BODIES.items() if bad.words != RIGHT]

    assert attack.run.exit_code == 1
    assert "Traceback" not in attack.run.stderr
    last_lines = attack.run.stderr.splitlines()[-len(failed) - 1 : -1]
    assert [line.partition(" failed: ")[0][-8:] for line in last_lines] == failed
