"""The compact form of readings: whole runs in this process that bring the same readings in both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import eventful_fleet
from tap_zentra.singer.sensors import SENSORS_KEY
from tap_zentra.v4.readings import READINGS_KEY
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.in_process import sync
from tests.support import UNKNOWN, by_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zentra.emulator import Emulator
    from tests.support import Rows, Run

    Emulate = Callable[..., Emulator]

FORMS = {"v4": ("readings", "records", READINGS_KEY), "v5": ("readings_v5", "records_v5", READINGS_V5_KEY)}
"""Of each API: the stream of readings, that of records, and the key of readings."""

EVENTFUL = [device for device in eventful_fleet(interval=4 * 3600) if not device.of_another_user]

ALIKE = {"local_datetime", "device_name", "tz_offset"}
"""What a record says for all of its readings, also for one that comes without."""


def _plain(run: Run, api_version: str) -> Rows:
    """Return the readings of a run, without what is null, by key."""
    stream, _, key = FORMS[api_version]
    return {key: _without_nulls(row) for key, row in by_key(run.records_of(stream), key).items()}


def _expanded(run: Run, api_version: str) -> Rows:
    """Return the same of a run whose readings are compact."""
    _, stream, key = FORMS[api_version]
    return by_key(map(_without_nulls, _readings_in(run.records_of(stream))), key)


def _readings_in(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for record in records:
        shared = {name: told for name, told in record.items() if name != "readings"}
        for reading in record["readings"]:
            yield shared | reading


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: told for name, told in row.items() if told is not None}


def _say_the_same(plain: Rows, expanded: Rows) -> bool:
    """Return whether two runs have brought the same readings, with all that they say."""
    assert plain.keys() == expanded.keys()
    return all(
        expanded[key].items() >= row.items() and expanded[key].keys() - row.keys() <= ALIKE
        for key, row in plain.items()
    )


def _state(run: Run, stream: str) -> Any:
    """Return what a run's state says of each device of a stream, but for when it was asked."""
    partitions = run.state["bookmarks"][stream]["partitions"]
    return {partition["context"]["device_sn"]: {**partition, "asked": None} for partition in partitions}


@pytest.mark.parametrize(
    ("api_version", "unknown"),
    [*(("v4", options) for options in UNKNOWN.values()), ("v5", {}), ("v5", {"odd_fields": True})],
    ids=[*(f"v4, {name}" for name in UNKNOWN), "v5", "v5, optional fields have odd forms"],
)
def test_both_forms_say_the_same(api_version: str, unknown: dict[str, Any], emulate: Emulate) -> None:
    """Of the first run and of the next, which reads again what came late; and the bookmarks are the same."""
    emulator = emulate(*EVENTFUL, **unknown)
    plain_stream, compact_stream, _ = FORMS[api_version]
    states: list[dict[str, Any]] = [{}, {}]
    for _ in range(2):
        plain = sync(emulator, state=states[0], api_version=api_version)
        compact = sync(emulator, state=states[1], api_version=api_version, compact_readings=True)
        states = [plain.state, compact.state]

        assert _plain(plain, api_version)
        assert _say_the_same(_plain(plain, api_version), _expanded(compact, api_version))
        assert _state(plain, plain_stream) == _state(compact, compact_stream)

        emulator.grow(7)


@pytest.mark.parametrize("api_version", FORMS)
def test_each_record_comes_once_and_whole(api_version: str, emulate: Emulate) -> None:
    """Its key is that of one record of the device, so that none overwrites another's readings."""
    emulator = emulate(*EVENTFUL)
    _, stream, _ = FORMS[api_version]
    run = sync(emulator, api_version=api_version, compact_readings=True)
    (schema,) = (message for message in run.messages if message["type"] == "SCHEMA" and message["stream"] == stream)

    records = by_key(run.records_of(stream), schema["key_properties"])

    assert {name for record in records.values() for name in record} == schema["schema"]["properties"].keys()
    assert all(record["readings"] for record in records.values())


@pytest.mark.parametrize("api_version", FORMS)
def test_there_is_one_form_at_a_time(api_version: str, emulate: Emulate) -> None:
    """The streams that tell of the readings do so in either form, without a call more."""
    emulator = emulate(*EVENTFUL)
    runs, calls = [], []
    for compact in (False, True):
        before = len(emulator.calls)
        runs.append(sync(emulator, api_version=api_version, compact_readings=compact))
        calls.append(len(emulator.calls) - before)

    plain, compact_stream, _ = FORMS[api_version]
    streams = [{message["stream"] for message in run.messages if "stream" in message} for run in runs]
    assert streams[0] ^ streams[1] == {plain, compact_stream}
    assert calls[0] == calls[1]
    sensors = [by_key(run.records_of("sensors"), SENSORS_KEY) for run in runs]
    assert sensors[0] == sensors[1]
    counts = [{record["device_sn"]: record["readings_read"] for record in run.records_of("devices")} for run in runs]
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) > 0
