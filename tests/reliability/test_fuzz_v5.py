"""Random JSON and randomly damaged answers of v5: right records or an error of a kind, told in one line."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_zentra.calls.errors import CallError
from tap_zentra.emulator import PROFILE_STATION, Device, Emulator, Request
from tap_zentra.settings import read_settings
from tap_zentra.v5 import responses
from tap_zentra.v5.device_list import ListReader
from tap_zentra.v5.readings import READINGS_V5, READINGS_V5_KEY, ReadingsReader
from tests.reliability.test_fuzz import ANSWERS, ANY_JSON, BIGGEST, DEVICE_SN, MOST_WORDS, SEED, damaged
from tests.support import TOKEN, a_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zentra.v5.api import Api

VALIDATE = jsonschema.Draft7Validator(READINGS_V5).validate

_EMULATOR = Emulator(
    [Device(DEVICE_SN, records=3, error_rate=0.3, sensors=PROFILE_STATION[-2:])],
    token=TOKEN,
    positions=True,
    reading_ids=True,
)
RIGHT = _EMULATOR.answer(
    Request(f"/v5/devices/{DEVICE_SN}/data", {"direction": "ascending", "end_timestamp": "1775000000"}, api_key=TOKEN)
).body
RIGHT_LIST = _EMULATOR.answer(Request("/v5/devices", {"expand": "max_min_timestamp"}, api_key=TOKEN)).body


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    """A page is cut into pieces, so that a fault may lie in any of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "PIECE_BYTES", 400)
        yield


def survives(body: bytes, **bounds: object) -> bool:
    """Take an answer as the tap does, and return whether it became records.

    Whatever it is, it becomes records that a target can take, or an error of a kind with words on one line.
    """
    api = SimpleNamespace(get_data=lambda *_, **__: body)
    reader = ReadingsReader(
        DEVICE_SN,
        cast("Api", api),
        read_settings({"auth_token": "x", "api_version": "v5", **bounds}),
        bookmark=None,
        listed=None,
        now=2_000_000_000,
    )
    try:
        parts = list(reader.take(reader.call(a_call())).parts())
    except CallError as error:
        require_words(error)
        return False
    require_records([record for part in parts for record in part.records])
    for part in parts:
        bookmark = part.bookmark and part.bookmark()
        assert bookmark is None or (bookmark.value or 0) <= 2_000_000_000
        msgspec.json.encode(bookmark)
    return True


def require_words(error: CallError) -> None:
    """Require that a failure is told in one line of bounded length."""
    words = str(error)
    assert words.isprintable()
    assert len(words) < MOST_WORDS


def require_records(records: list[dict[str, Any]]) -> None:
    """Require that records are what the schema says, and that none can overwrite another."""
    keys = {tuple(record[column] for column in READINGS_V5_KEY) for record in records}
    assert len(keys) == len(records)
    for record in records:
        require_record(record)


def require_record(record: dict[str, Any]) -> None:
    """Require that a record is what the schema says, and what JSON and warehouses can hold."""
    VALIDATE(json.loads(msgspec.json.encode(record), parse_constant=pytest.fail))
    assert record["device_sn"] == DEVICE_SN
    for column in ("port_number", "sub_sensor_index", "error_code"):
        assert record[column] is None or -BIGGEST <= record[column] < BIGGEST
    texts = [value for name, value in record.items() if isinstance(value, str) and name != "extra"]
    assert not any("\x00" in text for text in texts)


@settings(derandomize=True, max_examples=300)
@given(value=ANY_JSON)
@example(value={"detail": "two\nlines and \x1b[31m colours"})
@example(value={"metadata": {"device_id": DEVICE_SN}, "values": [[]]})
def test_any_json_is_taken_or_refused_in_one_line(value: object) -> None:
    """Whatever JSON comes instead of a page, it ends in no traceback and in no wrong record."""
    survives(json.dumps(value).encode("utf-8", "surrogatepass"))


@settings(derandomize=True, max_examples=300)
@given(body=st.binary(max_size=60))
@example(body=b'{"detail": "\xff"}')
@example(body=b"\xff\xfe")
def test_any_bytes_are_refused_in_one_line(body: bytes) -> None:
    """Bytes at random are no page."""
    assert not survives(body)


@settings(derandomize=True, max_examples=300)
@given(rows=st.lists(ANY_JSON, max_size=3))
def test_any_rows_are_taken_or_refused_in_one_line(rows: list[object]) -> None:
    """Nor do rows at random in a page that is right otherwise."""
    survives(json.dumps(json.loads(RIGHT) | {"values": rows}).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("bounds", [{}, {"start_date": "2026-01-01T00:20:00Z", "end_date": "2026-01-01T00:40:00Z"}])
@pytest.mark.parametrize("seed", range(2))
def test_damaged_answers_are_taken_or_refused_in_one_line(seed: int, bounds: dict[str, Any]) -> None:
    """A right page with a few things changed at random, 500 times for each seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret

    assert 0 < sum(survives(damaged(chance, RIGHT), **bounds) for _ in range(500)) < 500


def list_survives(body: bytes) -> bool:
    """Take a page of the list as the tap does, and return whether it became devices."""
    reader = ListReader(cast("Api", None), None)
    try:
        devices = reader.take(body)
    except CallError as error:
        require_words(error)
        return False
    for device in devices:
        assert device.device_id
        assert device.last_measurement is None or device.last_measurement >= 0
    return True


@settings(derandomize=True, max_examples=300)
@given(value=ANY_JSON)
def test_any_json_is_a_list_or_is_refused_in_one_line(value: object) -> None:
    """Whatever JSON comes instead of the list of devices."""
    list_survives(json.dumps(value).encode("utf-8", "surrogatepass"))


def test_damaged_lists_are_taken_or_refused_in_one_line() -> None:
    """A right list with a few things changed at random, 500 times."""
    chance = random.Random(1)  # noqa: S311 - nothing secret

    assert 0 < sum(list_survives(damaged(chance, RIGHT_LIST)) for _ in range(500)) < 500


@pytest.mark.long
@pytest.mark.parametrize("seed", [SEED])
def test_many_damaged_answers_are_taken_or_refused_in_one_line(seed: int) -> None:
    """The same for as many pages as one wishes, and a list for every tenth."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    taken = sum(survives(damaged(chance, RIGHT)) for _ in range(ANSWERS))
    lists = sum(list_survives(damaged(chance, RIGHT_LIST)) for _ in range(ANSWERS // 10))
    print(f"{ANSWERS} answers, {taken} of them taken; of a tenth as many lists {lists}")  # noqa: T201

    assert 0 < taken < ANSWERS
