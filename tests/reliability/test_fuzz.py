"""Random JSON and randomly damaged answers: right records or an error of a kind, told in one line."""

from __future__ import annotations

import json
import math
import os
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.emulator import STANDARD_STATION, Device, Emulator, Request
from tap_zentra.settings import read_settings
from tap_zentra.v4.pagination import NoProgressError
from tap_zentra.v4.readings import READINGS, READINGS_KEY, ReadingsReader
from tests.support import TOKEN, a_call

if TYPE_CHECKING:
    from tap_zentra.v4.api import Api

ANSWERS = int(os.environ.get("RELIABILITY_FUZZ_ANSWERS", "300000"))
SEED = int(os.environ.get("RELIABILITY_FUZZ_SEED", "1"))
"""Of the long form."""

DEVICE_SN = "z6-1"
VALIDATE = jsonschema.Draft7Validator(READINGS).validate
MOST_WORDS = 1000
BIGGEST = 2**63

RIGHT = (
    Emulator([Device(DEVICE_SN, records=4, error_rate=0.3, sensors=STANDARD_STATION[2:5])], token=TOKEN)
    .answer(Request("/api/v4/get_readings/", {"device_sn": DEVICE_SN, "sort_by": "ascending"}, f"Token {TOKEN}"))
    .body
)

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308,
    math.nan, math.inf, "", " ", "1", "NaN", "\x00", "\ud800", "\U0001f600", "\\u00b0", "\\u0000", "\\ud83d", "a\nb",
    "\x1b[31m", "x" * 5000, [], {}, [[]], [{}], {"": None}, {"value": math.nan}, DEVICE_SN, "z6-2",
)  # fmt: skip


def survives(body: bytes) -> bool:
    """Take an answer as the tap does, and return whether it became records.

    Whatever it is, it becomes records that a target can take, or an error of a kind with words on one line.
    """
    api = SimpleNamespace(get_readings=lambda *_, **__: body)
    reader = ReadingsReader(
        DEVICE_SN,
        cast("Api", api),
        read_settings({"auth_token": "x", "device_sns": DEVICE_SN}),
        bookmark=None,
        newest=None,
        now=2_000_000_000,
    )
    try:
        records = list(reader.take(reader.call(a_call())).records())
    except (NotJSONError, UnexpectedBodyError, NoProgressError) as error:
        words = str(error)
    else:
        require_records(records)
        return True
    assert words.isprintable()
    assert len(words) < MOST_WORDS
    return False


def require_records(records: list[dict[str, Any]]) -> None:
    """Require that records are what the schema says, and that none can overwrite another."""
    keys = {tuple(record[column] for column in READINGS_KEY) for record in records}
    assert len(keys) == len(records)
    for record in records:
        require_record(record)


def require_record(record: dict[str, Any]) -> None:
    """Require that a record is what the schema says, and what JSON and warehouses can hold."""
    line = msgspec.json.encode(record)
    VALIDATE(json.loads(line, parse_constant=_no_constant))
    assert record["device_sn"] == DEVICE_SN
    for column in ("mrid", "port_number", "sub_sensor_index", "tz_offset", "precision"):
        assert record[column] is None or -BIGGEST <= record[column] < BIGGEST
    texts = [value for name, value in record.items() if isinstance(value, str) and name != "extra"]
    assert not any("\x00" in text for text in texts)


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def damaged(chance: random.Random, right: bytes = RIGHT) -> bytes:
    """Return a right answer with one to four things changed somewhere, in its parts or in its bytes."""
    body = json.loads(right)
    for _ in range(chance.randint(1, 4)):
        _damage(body, chance)
    text = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        at = chance.randrange(len(text))
        text = (
            text[:at]
            + chance.choice([b"", b"\xff", b"\x00", b'"', b"[", b"}", b"NaN", text[at:] + text])
            + text[at + 1 :]
        )
    return text


def _damage(part: Any, chance: random.Random) -> None:
    """Walk down to some place, and delete, replace, double or rename what is there."""
    while True:
        places = list(part) if isinstance(part, dict) else range(len(part))
        if not places:
            return
        place = chance.choice(list(places))
        deeper = part[place]
        if isinstance(deeper, (dict, list)) and deeper and chance.random() < 0.85:
            part = deeper
            continue
        break
    action = chance.randrange(4)
    if action == 0:
        del part[place]
    elif action == 1 and isinstance(part, list):
        part.append(part[place])
    elif action == 2 and isinstance(part, dict):
        part[chance.choice(["", "x", "mrid", "value", "tap-zentra: extra", "data", "timestamp"])] = part.pop(place)
    else:
        part[place] = chance.choice(ODD_VALUES)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(ODD_VALUES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["pagination", "data", "metadata", "readings", "mrid", "value", "values", "devices", "detail", ""]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=400)
@given(value=ANY_JSON)
@example(value={"detail": "two\nlines and \x1b[31m colours"})
@example(value={"detail": ["\x00"]})
def test_any_json_is_taken_or_refused_in_one_line(value: object) -> None:
    """Whatever JSON comes instead of an answer, it ends in no traceback and in no wrong record."""
    survives(json.dumps(value).encode("utf-8", "surrogatepass"))


@settings(derandomize=True, max_examples=400)
@given(body=st.binary(max_size=60))
@example(body=b'{"detail": "\xff"}')
@example(body=b"\x00")
@example(body=b"\xff\xfe")
def test_any_bytes_are_refused_in_one_line(body: bytes) -> None:
    """Bytes at random are no answer."""
    assert not survives(body)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_answers_are_taken_or_refused_in_one_line(seed: int) -> None:
    """A right answer with a few things changed at random, 500 times for each seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret

    assert 0 < sum(survives(damaged(chance)) for _ in range(500)) < 500


@pytest.mark.long
@pytest.mark.parametrize("seed", [SEED])
def test_many_damaged_answers_are_taken_or_refused_in_one_line(seed: int) -> None:
    """The same for as many as one wishes."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    taken = sum(survives(damaged(chance)) for _ in range(ANSWERS))
    print(f"{ANSWERS} answers, {taken} of them taken")  # noqa: T201

    assert 0 < taken < ANSWERS
