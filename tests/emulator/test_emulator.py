"""The emulator as a Python program uses it, over real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests

from tap_zentra.emulator import Call, Device, Emulator, Fault, Request, Response
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICES = (Device("z6-00001", records=30, error_rate=0), Device("z6-00002", records=3, error_rate=0))


@pytest.fixture
def client() -> Iterator[requests.Session]:
    """A client that closes its connections and heeds no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def get(client: requests.Session, emulator: Emulator, **params: object) -> requests.Response:
    """Call `get_readings` with the right token."""
    return client.get(
        f"{emulator.url}/api/v4/get_readings/",
        params={name: str(value) for name, value in params.items()},
        headers={"Authorization": f"Token {emulator.token}"},
        allow_redirects=False,
        timeout=PATIENCE,
    )


def test_it_answers_and_remembers_the_calls(client: requests.Session) -> None:
    """Each call is kept with when it came, what it asked and what it got, without its token."""
    with Emulator(DEVICES) as emulator:
        before = time.monotonic()
        answered = get(client, emulator, device_sn="z6-00001", start_mrid=21, token=emulator.token)
        refused = get(client, emulator, device_sn="z6-00001")
        after = time.monotonic()

        assert answered.json()["pagination"]["page_num_readings"] == 10
        assert refused.status_code == 429
        first, second = emulator.calls
        assert first == Call(
            arrived=first.arrived,
            path="/api/v4/get_readings/",
            device_sn="z6-00001",
            params={"device_sn": "z6-00001", "start_mrid": "21"},
            status=200,
            injected=None,
            records=10,
        )
        assert before <= first.arrived <= second.arrived <= after
        assert emulator.token not in repr((emulator, emulator.calls))


def test_devices_change_while_it_runs(client: requests.Session) -> None:
    """Growth, a wipe and another name show in the next answer and in the ground truth."""
    with Emulator(DEVICES) as emulator:
        emulator.grow(2, "z6-00002")
        emulator.grow()
        grown = get(client, emulator, device_sn="z6-00002").json()
        emulator.let_window_pass()
        emulator.wipe("z6-00002", records=2)
        emulator.rename("z6-00002", "Bog")
        wiped = get(client, emulator, device_sn="z6-00002").json()

        assert grown["pagination"]["max_mrid"] == 6
        assert wiped["pagination"]["max_mrid"] == 2
        assert wiped["data"]["VPD"][0]["metadata"]["device_name"] == "Bog"
        truth = list(emulator.readings("z6-00002"))
        assert {(row["mrid"], row["device_name"]) for row in truth} == {(1, "Bog"), (2, "Bog")}
        assert sum(1 for _ in emulator.readings()) == (31 + 2) * 24


def test_devices_grow_by_themselves() -> None:
    """New records come while it runs, without anybody asking for them."""
    with Emulator(DEVICES, growth=5, growth_interval=0.01) as emulator:
        emulator.wait_until(lambda: emulator.device("z6-00002").records >= 13)


def test_a_window_passes_on_request(client: requests.Session) -> None:
    """Nobody has to wait for the limit's end: neither who has the emulator nor another process."""
    with Emulator(DEVICES, window=3600) as emulator:
        statuses = [get(client, emulator, device_sn="z6-00001").status_code for _ in range(2)]
        emulator.let_window_pass()
        statuses += [get(client, emulator, device_sn="z6-00001").status_code for _ in range(2)]
        told = client.post(f"{emulator.url}/control/let-window-pass", timeout=PATIENCE)
        statuses += [get(client, emulator, device_sn="z6-00001").status_code for _ in range(2)]

    assert statuses == [200, 429] * 3
    assert told.status_code == 204
    assert len(emulator.calls) == 6


def test_a_window_that_passes_ends_a_lock_out_of_its_length(client: requests.Session) -> None:
    """Not one that lasts longer."""
    faults = [Fault("lockout", "z6-00001", times=1), Fault("lockout", "z6-00002", times=1, seconds=7201)]
    with Emulator(DEVICES, window=3600, faults=faults) as emulator:
        for device in DEVICES:
            get(client, emulator, device_sn=device.device_sn)
        emulator.let_window_pass()

        assert [get(client, emulator, device_sn=device.device_sn).status_code for device in DEVICES] == [200, 429]


def test_devices_of_another_user_hold_nothing() -> None:
    """What cannot be seen is not part of the ground truth."""
    emulator = Emulator([Device("z6-1", records=2, of_another_user=True), Device("z6-2", records=1)])

    assert {row["device_sn"] for row in emulator.readings()} == {"z6-2"}
    assert emulator.device_sns == ["z6-1", "z6-2"]


def test_the_token_depends_on_the_seed() -> None:
    """It looks like one of the service's: 40 hex digits."""
    one, same, other = (Emulator(DEVICES, seed=seed).token for seed in (1, 1, 2))

    assert one == same != other
    assert len(bytes.fromhex(one)) == 20


def test_two_devices_cannot_have_the_same_serial_number() -> None:
    """A mistake in a test's devices shows where it is made."""
    with pytest.raises(ValueError, match="same serial number"):
        Emulator([Device("z6-1"), Device("z6-1")])


def test_the_environment_tells_the_tap_where_to_read() -> None:
    """Limits are told only where they differ from the service's."""
    with Emulator(DEVICES) as usual, Emulator(DEVICES, window=0.5, user_limit=7, device_limit=2) as other:
        assert usual.environment == {
            "TAP_ZENTRA_API_URL": usual.url,
            "TAP_ZENTRA_AUTH_TOKEN": usual.token,
            "TAP_ZENTRA_DEVICE_SNS": '["z6-00001", "z6-00002"]',
        }
        assert other.environment.items() >= {
            ("TAP_ZENTRA_CALL_LIMIT_WINDOW", "0.5"),
            ("TAP_ZENTRA_USER_CALL_LIMIT", "7"),
            ("TAP_ZENTRA_DEVICE_CALL_LIMIT", "2"),
        }


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", requests.ConnectionError),
        ("cut", requests.exceptions.ChunkedEncodingError),
        ("cut-chunked", requests.exceptions.JSONDecodeError),
    ],
)
def test_a_connection_breaks_as_the_fault_says(client: requests.Session, kind: str, error: type[Exception]) -> None:
    """Each fault shows to a client as what it is, and the next call works."""
    with Emulator(DEVICES, faults=[Fault(kind, times=1)], device_limit=2) as emulator:
        with pytest.raises(error):
            get(client, emulator, device_sn="z6-00002").json()

        assert get(client, emulator, device_sn="z6-00002").status_code == 200
        assert [call.injected for call in emulator.calls] == [kind, None]


def test_a_call_that_hangs_ends_when_the_emulator_stops() -> None:
    """No answer comes until then, and stopping does not wait for one."""
    outcome: list[BaseException] = []

    def ask() -> None:
        with requests.Session() as patient:
            patient.trust_env = False
            try:
                get(patient, emulator, device_sn="z6-00001")
            except requests.ConnectionError as problem:
                outcome.append(problem)

    with Emulator(DEVICES, faults=[Fault("hang", "z6-00001")]) as emulator:
        asking = threading.Thread(target=ask)
        asking.start()
        emulator.wait_until(lambda: bool(emulator.calls))
        assert [call.status for call in emulator.calls] == [None]
    asking.join()

    assert len(outcome) == 1


def test_a_function_can_alter_the_right_answer(client: requests.Session) -> None:
    """Such as a service that lags behind itself and tells an older newest record."""
    with Emulator(DEVICES) as emulator:

        def lag(request: Request) -> Response:
            body = json.loads(emulator.answer(request).body)
            body["pagination"]["max_mrid"] -= 1
            return Response(body=json.dumps(body).encode(), records=3)

        emulator.fail(Fault(lag, "z6-00002"))
        answer = get(client, emulator, device_sn="z6-00002").json()

        assert answer["pagination"]["max_mrid"] == 2
        assert emulator.calls[0].injected == "function"


def test_a_fault_can_end(client: requests.Session) -> None:
    """That fault alone, whatever others there are."""
    passing, lasting = Fault("404", "z6-00001"), Fault("403", "z6-00002")
    with Emulator(DEVICES, faults=[passing, lasting], device_limit=2) as emulator:
        statuses = [get(client, emulator, device_sn=device.device_sn).status_code for device in DEVICES]
        emulator.recover(passing)
        statuses += [get(client, emulator, device_sn=device.device_sn).status_code for device in DEVICES]

    assert statuses == [404, 403, 200, 403]


def test_answers_take_the_latency(client: requests.Session) -> None:
    """The time of arrival is that before the wait."""
    with Emulator(DEVICES, latency=0.05) as emulator:
        before = time.monotonic()
        get(client, emulator, device_sn="z6-00001", per_page=1)

        assert before <= emulator.calls[0].arrived <= time.monotonic() - 0.05


def test_the_call_log_holds_every_call_and_no_token(client: requests.Session, tmp_path: Path) -> None:
    """One line of JSON for each call, added to what is in the file already."""
    log = tmp_path / "calls.jsonl"
    for _ in range(2):
        with Emulator(DEVICES, call_log=log, faults=[Fault("404", "z6-00001")]) as emulator:
            get(client, emulator, device_sn="z6-00001")
            get(client, emulator, device_sn="z6-00002", start_mrid=3)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [set(line) for line in lines] == [{"time", "device_sn", "status", "injected", "start_mrid", "records"}] * 4
    assert [list(line.values())[1:] for line in lines[2:]] == [
        ["z6-00001", 404, "404", None, 0],
        ["z6-00002", 200, None, "3", 1],
    ]
    assert emulator.token not in log.read_text()


def test_a_port_that_is_taken_is_an_error() -> None:
    """And leaves nothing running behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = threading.active_count()

        with pytest.raises(OSError, match="in use"):
            Emulator(DEVICES, port=taken.getsockname()[1]).__enter__()

        assert threading.active_count() == before


def test_only_get_is_allowed(client: requests.Session) -> None:
    """Nothing can be written."""
    with Emulator(DEVICES) as emulator:
        assert client.post(f"{emulator.url}/api/v4/get_readings/", timeout=PATIENCE).status_code == 405
