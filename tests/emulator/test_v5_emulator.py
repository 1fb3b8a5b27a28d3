"""Version 5 of the emulator as a Python program uses it, over real connections."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_zentra.emulator import Call, Device, Emulator, Fault, server
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2025, 3, 1, tzinfo=UTC)
DEVICES = (
    Device("z6-00001", records=30, start=START, error_rate=0),
    Device("z6-00002", records=3, start=START, error_rate=0),
)
RANGE = {"start_datetime": "2025-03-01T00:00:00Z", "end_datetime": "2025-03-31T00:00:00Z", "direction": "ascending"}


@pytest.fixture
def client() -> Iterator[requests.Session]:
    """A client that closes its connections and heeds no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def get(
    client: requests.Session, emulator: Emulator, path: str, token: str | None = None, **params: str
) -> requests.Response:
    """Call v5 with the right token or another one."""
    return client.get(
        f"{emulator.url}/v5/{path}",
        params=params,
        headers={"X-API-Key": token or emulator.token},
        allow_redirects=False,
        timeout=PATIENCE,
    )


def values(client: requests.Session, emulator: Emulator, device_sn: str = "z6-00002") -> list[dict[str, Any]]:
    """Return the values of a device in March 2025."""
    return list(get(client, emulator, f"devices/{device_sn}/data", **RANGE).json()["values"])


def test_it_answers_and_remembers_the_calls(client: requests.Session) -> None:
    """With what each asked for, and without its key, wherever that was sent."""
    with Emulator(DEVICES) as emulator:
        key = emulator.token
        answered = get(client, emulator, "devices/z6-00001/data", api_key=key, **RANGE)
        listed = client.get(f"{emulator.url}/v5/devices", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE)
        refused = get(client, emulator, "devices/z6-00001/data", f"{key}x")

        assert (answered.status_code, listed.status_code, refused.status_code) == (200, 200, 401)
        assert len(answered.json()["values"]) == 30 * 25
        first, second, _ = emulator.calls
        assert first == Call(
            arrived=first.arrived,
            path="/v5/devices/z6-00001/data",
            device_sn="z6-00001",
            params=RANGE,
            status=200,
            injected=None,
            records=30,
        )
        assert (second.path, second.device_sn, second.records) == ("/v5/devices", None, 0)
        assert key not in repr((emulator, emulator.calls))


def test_the_ground_truth_is_what_the_emulator_sends(client: requests.Session) -> None:
    """Of one device or of all; another user's device holds nothing."""
    with Emulator([*DEVICES, Device("z6-00003", of_another_user=True)]) as emulator:
        sent = values(client, emulator)
        held = list(emulator.readings_v5("z6-00002"))

        assert sorted(row["value"] for row in sent) == sorted(row["value"] for row in held)  # type: ignore[type-var]
        assert {row["device_sn"] for row in emulator.readings_v5()} == {"z6-00001", "z6-00002"}
        assert "°F" in {row["units"] for row in emulator.readings_v5(units="imperial")}


def test_the_call_log_tells_what_a_call_of_v5_asked_for(client: requests.Session, tmp_path: Path) -> None:
    """Its start, and whether it went on from a page; never the token."""
    log = tmp_path / "calls.jsonl"
    asked = RANGE | {"start_datetime": "2025-02-01T00:00:00Z"}
    with Emulator(DEVICES, call_log=log) as emulator:
        page = get(client, emulator, "devices/z6-00001/data", **asked).json()
        token = page["pagination"]["next_token"]
        get(client, emulator, "devices/z6-00001/data", next_token=token)
        get(client, emulator, "devices")

    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    names = ("device_sn", "status", "start_datetime", "next_token", "records")
    assert [[line[name] for name in names] for line in lines] == [
        ["z6-00001", 200, "2025-02-01T00:00:00Z", False, 0],
        ["z6-00001", 200, None, True, 30],
        [None, 200, None, False, 0],
    ]
    assert all("start_mrid" not in line for line in lines)
    assert token not in text
    assert emulator.token not in text


def test_a_second_caller_uses_the_devices_budget_up(client: requests.Session) -> None:
    """Five of its calls leave none; another device is not concerned."""
    with Emulator(DEVICES, window=3600) as emulator:
        allowed = [emulator.call_as_another("z6-00001") for _ in range(6)]
        refused = get(client, emulator, "devices/z6-00001/data")
        other = get(client, emulator, "devices/z6-00002/data")

    assert allowed == [True] * 5 + [False]
    assert (refused.status_code, other.status_code) == (429, 200)
    assert len(emulator.calls) == 2


def test_a_token_that_is_made_anew_ends_the_old_one(client: requests.Session) -> None:
    """For both versions, while it runs."""
    with Emulator(DEVICES) as emulator:
        old, new = emulator.token, emulator.regenerate_token()
        statuses = [get(client, emulator, "devices", token).status_code for token in (old, new)]
        of_v4 = [
            client.get(
                f"{emulator.url}/api/v4/get_readings/?device_sn=z6-00001",
                headers={"Authorization": f"Token {token}"},
                timeout=PATIENCE,
            ).status_code
            for token in (old, new)
        ]

        assert statuses == of_v4 == [401, 200]
        assert len({old, new, emulator.regenerate_token()}) == 3


def test_records_can_come_late(client: requests.Session) -> None:
    """Behind the newest one, in the answer and in the ground truth of both versions."""
    with Emulator(DEVICES) as emulator:
        whole = values(client, emulator)
        emulator.withhold("z6-00002", 2, 2)
        without = values(client, emulator)
        truths = [list(emulator.readings("z6-00002")), list(emulator.readings_v5("z6-00002"))]
        emulator.deliver("z6-00002")
        delivered = values(client, emulator)

    assert whole == delivered
    assert [row for row in whole if row["timestamp"] != START.timestamp() + 900] == without
    assert [len(truth) for truth in truths] == [2 * 24, 2 * 25]


def test_a_device_can_vanish_from_the_list_and_come_back(client: requests.Session) -> None:
    """It still answers when it is asked."""
    with Emulator(DEVICES) as emulator:
        emulator.unlist("z6-00001")
        listed = get(client, emulator, "devices").json()["devices"]

        assert [device["device_id"] for device in listed] == ["z6-00002"]
        assert values(client, emulator, "z6-00001")

        emulator.relist("z6-00001")

        assert len(get(client, emulator, "devices").json()["devices"]) == 2


def test_the_list_follows_the_devices(client: requests.Session) -> None:
    """What has grown a moment ago is in the span; another name is told."""
    with Emulator(DEVICES) as emulator:
        emulator.grow(2, "z6-00002")
        emulator.rename("z6-00002", "Bog")
        told = get(client, emulator, "devices", expand="max_min_timestamp").json()["devices"][1]

    assert (told["name"], told["data_range"]["last_measurement"]) == ("Bog", START.timestamp() + 4 * 900)


def test_the_environment_tells_the_tap_to_read_v5() -> None:
    """Limits only where they differ from the service's, and never the account's, which v5 does not have."""
    usual, other = (
        Emulator(DEVICES, token="t"),
        Emulator(DEVICES, window=0.5, device_limit=2, device_burst=9, user_limit=3),
    )

    assert usual.environment_v5 == usual.environment | {"TAP_ZENTRA_API_VERSION": "v5"}
    limits = {name: value for name, value in other.environment_v5.items() if "CALL" in name}
    assert limits == {
        "TAP_ZENTRA_CALL_LIMIT_WINDOW": "0.5",
        "TAP_ZENTRA_DEVICE_CALL_LIMIT": "2",
        "TAP_ZENTRA_DEVICE_CALL_BURST": "9",
    }


def test_large_answers_arrive_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several at once, although there is room for one: their length is told, and none waits for ever."""
    monkeypatch.setattr(server, "ROOM", 1)
    monkeypatch.setattr(server, "SENT_TOGETHER", 1000)
    device = Device("z6-00001", records=2000, interval=300, start=START)

    def answer(emulator: Emulator) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return get(session, emulator, "devices/z6-00001/data", **RANGE)

    with Emulator([device]) as emulator, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(answer, [emulator] * 4))

    assert [int(one.headers["Content-Length"]) for one in answers] == [len(one.content) for one in answers]
    assert {len(one.json()["values"]) for one in answers} == {2000 * 25}


def test_an_answer_that_never_comes_takes_no_room(client: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered meanwhile."""
    monkeypatch.setattr(server, "ROOM", 1)

    def ask() -> None:
        with requests.Session() as patient:
            patient.trust_env = False
            with pytest.raises(requests.ConnectionError):
                get(patient, emulator, "devices/z6-00001/data", **RANGE)

    with ThreadPoolExecutor(1) as threads:
        with Emulator(DEVICES, faults=[Fault("hang", "z6-00001")]) as emulator:
            hanging = threads.submit(ask)
            emulator.wait_until(lambda: bool(emulator.calls))
            found = values(client, emulator)
        hanging.result(PATIENCE)

    assert len(found) == 3 * 25


def test_a_client_that_hangs_up_is_no_fault_of_the_emulator(caplog: pytest.LogCaptureFixture) -> None:
    """A tap that is stopped breaks its calls off; no traceback comes of it, and others are answered."""
    device = Device("z6-00001", records=2000, start=START)
    with Emulator([device]) as emulator, requests.Session() as client:
        client.trust_env = False
        url, headers = f"{emulator.url}/v5/devices/z6-00001/data", {"X-API-Key": emulator.token}
        client.get(url, params=RANGE, headers=headers, stream=True, timeout=PATIENCE).close()

        assert get(client, emulator, "devices").status_code == 200
    assert [record.message for record in caplog.records if record.exc_info] == []


def test_no_answer_is_built_while_there_is_no_room() -> None:
    """Who waits for room goes on when some is given back, and not before."""

    async def wait() -> list[bool]:
        room = server.Room(10)
        room.take(6)
        await room.wait()
        room.take(6)
        waiting = asyncio.create_task(room.wait())
        done = []
        for size in (0, 2, 1):
            room.give_back(size)
            for _ in range(5):
                await asyncio.sleep(0)
            done.append(waiting.done())
        return done

    assert asyncio.run(wait()) == [False, False, True]


def test_the_cut_of_an_answer_breaks_off_in_its_middle(client: requests.Session) -> None:
    """Its length is that of the whole, so that a client can tell."""
    with Emulator(DEVICES, faults=[Fault("cut", "z6-00002", times=1)]) as emulator:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get(client, emulator, "devices/z6-00002/data", **RANGE)

        assert len(values(client, emulator)) == 3 * 25
