"""Which streams are selected decides which calls are made, what is written, and what of the state may change."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator
from tap_zentra.singer import run as sync_run
from tap_zentra.singer import writer
from tap_zentra.tap import TapZentra
from tests.in_process import check_connection, sync
from tests.reliability.streams import (
    SMALL,
    V4_STREAMS,
    V5_STREAMS,
    channels_held,
    channels_of,
    days_claimed,
    days_held,
    days_of,
    outcomes,
    stations,
)
from tests.reliability.v5 import PAGES, V5, newest, small_fleet, standing
from tests.reliability.v5 import held as held_v5
from tests.reliability.v5 import keyed as keyed_v5
from tests.support import HOUR, TOKEN, bookmarks, by_key, held, is_reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support import Run

Emulate = Callable[..., Emulator]

RECORDS = 100
FOREIGN: dict[str, Any] = {
    "partitions": [{"context": {"device_sn": "z6-77777"}, "replication_key": "x", "kept": {"as": "it is"}}]
}
"""What a state has of a device that is not among the settings: none of a run's business."""


def subsets(streams: Iterable[str]) -> list[tuple[str, ...]]:
    """Return every choice of streams."""
    names = tuple(streams)
    return [chosen for count in range(len(names) + 1) for chosen in itertools.combinations(names, count)]


def streams_of(run: Run, kind: str) -> set[str]:
    """Return the streams that messages of a kind are of."""
    return {message["stream"] for message in run.messages if message["type"] == kind}


def catalog(**settings: Any) -> dict[str, Any]:
    """Return the catalog that the tap discovers."""
    found: dict[str, Any] = TapZentra(config={"auth_token": TOKEN, "device_sns": "z6-00001", **settings}).catalog_dict
    copied: dict[str, Any] = json.loads(json.dumps(found))
    return copied


def selected(found: dict[str, Any], chosen: Iterable[str], *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return a catalog in which these streams are selected, and of them all columns but some."""
    for stream in found["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"]:
                if entry["breadcrumb"][-1] in set(without):
                    entry["metadata"]["selected"] = False
            else:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in set(chosen)
    return found


@pytest.mark.parametrize("chosen", subsets(V4_STREAMS), ids=lambda chosen: "+".join(chosen) or "nothing")
def test_every_choice_of_streams_makes_its_calls_and_no_others(chosen: tuple[str, ...], emulate: Emulate) -> None:
    """And writes its SCHEMA messages, records and bookmarks; what the state has of others stays as it is."""
    fleet = [Device(f"z6-{number:05}", records=RECORDS, sensors=SMALL) for number in (1, 2)]
    emulator = emulate(*fleet, window=0.02)
    entries = stations(["z6-00001"])
    before: dict[str, Any] = {"bookmarks": {"readings": FOREIGN, "env_model_data": FOREIGN}}

    run = sync(emulator, catalog=selected(catalog(), chosen), state=before, env_models=entries, page_size=40)

    calls = Counter((call.path.split("/")[-2], call.device_sn) for call in emulator.calls)
    pages = 3 if {"readings", "sensors"} & set(chosen) else 1 if "devices" in chosen else 0
    days = 2 if "env_model_data" in chosen else 0
    assert calls == +Counter(
        {
            ("get_readings", "z6-00001"): pages,
            ("get_readings", "z6-00002"): pages,
            ("get_env_model_data", "z6-00001"): days,
        }
    )
    assert (run.exit_code, run.stderr) == (0, "")
    assert streams_of(run, "SCHEMA") == streams_of(run, "RECORD") == set(chosen)
    assert run.all_rows == (held(emulator) if "readings" in chosen else {})
    assert days_of(run.records_of("env_model_data")) == (days_held(emulator, entries) if days else {})
    assert channels_of(run.records_of("sensors")) == (channels_held(emulator) if "sensors" in chosen else {})
    after = run.state["bookmarks"]
    for stream in ("readings", "env_model_data"):
        assert after[stream]["partitions"][0] == FOREIGN["partitions"][0]
        assert (len(after[stream]["partitions"]) > 1) is (stream in chosen)


@pytest.mark.parametrize("chosen", subsets(V5_STREAMS), ids=lambda chosen: "+".join(chosen) or "nothing")
def test_every_choice_of_streams_of_v5_makes_its_calls_and_no_others(chosen: tuple[str, ...], emulate: Emulate) -> None:
    """The list costs one call for all of them; `devices` needs no other."""
    emulator = emulate(*small_fleet(2))
    before: dict[str, Any] = {"bookmarks": {"readings_v5": FOREIGN}}

    run = sync(emulator, catalog=selected(catalog(**V5), chosen), state=before, **V5)

    pages = PAGES if {"readings_v5", "sensors"} & set(chosen) else 0
    calls = Counter(call.device_sn for call in emulator.calls)
    assert calls == +Counter({None: 1 if chosen else 0, "z6-00000": pages, "z6-00001": pages})
    assert (run.exit_code, run.stderr) == (0, "")
    assert streams_of(run, "SCHEMA") == streams_of(run, "RECORD") == set(chosen)
    assert keyed_v5(run.records) == (held_v5(emulator) if "readings_v5" in chosen else {})
    partitions = run.state["bookmarks"]["readings_v5"]["partitions"]
    assert partitions[0] == FOREIGN["partitions"][0]
    assert (len(partitions) > 1) is ("readings_v5" in chosen)


@pytest.mark.parametrize("chosen", [("sensors",), ("devices",), ("env_model_data",)])
def test_what_is_not_selected_keeps_its_bookmarks(chosen: tuple[str, ...], emulate: Emulate) -> None:
    """A device has grown meanwhile: nothing of a stream that is not selected is passed over."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL))
    settings: dict[str, Any] = {"env_models": stations(["z6-00001"])}
    first = sync(emulator, **settings)
    emulator.grow(200)

    run = sync(emulator, streams=chosen, state=first.state, **settings)

    for stream in {"readings", "env_model_data"} - set(chosen):
        assert run.state["bookmarks"][stream] == first.state["bookmarks"][stream]
    rest = sync(emulator, state=run.state, **settings)
    assert by_key([*first.records, *rest.records]) == held(emulator)


def test_env_model_data_without_stations_makes_no_call(emulate: Emulate) -> None:
    """Selected alone, with nothing to read: no SCHEMA and no record, no bookmark, and the run ends well."""
    emulator = emulate(Device("z6-00001", records=5))

    run = sync(emulator, streams=["env_model_data"])

    assert (run.exit_code, emulator.calls) == (0, [])
    assert [message["type"] for message in run.messages] == ["STATE"]
    assert run.state == {"bookmarks": {"env_model_data": {}}}


def test_a_connection_is_tested_with_one_call(emulate: Emulate) -> None:
    """Whatever there is to read, and with all streams."""
    fleet = [Device(f"z6-{number:05}", records=5000, sensors=SMALL) for number in (1, 2)]
    emulator = emulate(*fleet, window=HOUR)

    run = check_connection(emulator, env_models=stations(emulator.device_sns), page_size=100)

    assert (run.exit_code, run.stderr) == (0, "")
    assert [call.path for call in emulator.calls] == ["/api/v4/get_readings/"]
    assert len(run.records) == 1


def test_a_connection_to_v5_is_tested_with_two_calls(emulate: Emulate) -> None:
    """One for the list, one for a device."""
    emulator = emulate(*small_fleet(2))

    run = check_connection(emulator, **V5)

    assert (run.exit_code, run.stderr) == (0, "")
    # The next page may have been asked for while the first one was written.
    assert [call.device_sn for call in emulator.calls][:2] == [None, "z6-00000"]
    assert len(emulator.calls) <= 3
    assert len(run.records) == 1


@pytest.mark.parametrize("failing", ["readings", "devices", "sensors"])
def test_a_connection_test_fails_where_a_stream_map_does(failing: str, emulate: Emulate) -> None:
    """In whichever stream, though the readings have brought a record."""
    emulator = emulate(Device("z6-00001", records=5000, sensors=SMALL))

    run = check_connection(emulator, page_size=100, stream_maps={failing: {"broken": "no_such_column + 1"}})

    assert run.exit_code == 1
    assert run.stderr.startswith(f"stream map of {failing}: ")


def test_batch_files_hold_the_readings_alone(emulate: Emulate, tmp_path: Path) -> None:
    """The other streams come as records; no STATE is ahead of the files and records before it."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=RECORDS, sensors=SMALL) for number in (1, 2)))
    entries = stations(emulator.device_sns)
    settings: dict[str, Any] = {
        "env_models": entries,
        "page_size": 20,
        "batch_config": {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": f"file://{tmp_path}", "prefix": "batch-"},
            "batch_size": 90,
        },
    }

    run = sync(emulator, **settings)

    assert run.exit_code == 0, run.stderr
    assert not any(is_reading(message) for message in run.messages)
    assert streams_of(run, "BATCH") == {"readings"}
    readings: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    for message in run.messages:
        if message["type"] == "BATCH":
            readings += [row for url in message["manifest"] for row in rows_in(url)]
        elif message["type"] == "RECORD" and message["stream"] == "env_model_data":
            days.append(message["record"])
        elif message["type"] == "STATE":
            require_claims(message["value"], readings, days, emulator, entries)
    assert by_key(readings) == held(emulator)
    assert days_of(days) == days_held(emulator, entries)
    assert channels_of(run.records_of("sensors")) == channels_held(emulator)
    assert list(outcomes(run)) == emulator.device_sns
    assert set(bookmarks(run.state).values()) == {RECORDS}
    assert len(list(days_claimed(run.state))) == len(entries)


@pytest.mark.parametrize("size", [7, 90])
def test_batch_files_of_v5_hold_what_each_state_claims(
    size: int, emulate: Emulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in a page a file ends, and were STATE due at all times."""
    monkeypatch.setattr(sync_run, "STATE_INTERVAL", 0.0)
    monkeypatch.setattr(writer, "STATE_SHARE", math.inf)
    emulator = emulate(*small_fleet(2))
    encoding = {"format": "jsonl", "compression": "gzip"}
    batch = {"encoding": encoding, "storage": {"root": f"file://{tmp_path}"}, "batch_size": size}

    run = sync(emulator, **V5, batch_config=batch)

    assert run.exit_code == 0, run.stderr
    readings: list[dict[str, Any]] = []
    for message in run.messages:
        if message["type"] == "BATCH":
            readings += [row for url in message["manifest"] for row in rows_in(url)]
        elif message["type"] == "STATE":
            at = standing(message["value"])
            claimed = {key for key in held_v5(emulator) if key[1] <= at.get(key[0], "")}
            assert claimed <= keyed_v5(readings).keys()
    assert keyed_v5(readings) == held_v5(emulator)
    assert standing(run.state) == {device_sn: newest(emulator, device_sn) for device_sn in emulator.device_sns}


def rows_in(url: str) -> list[dict[str, Any]]:
    """Return the records of a batch file."""
    return [json.loads(line) for line in gzip.decompress(Path(url.removeprefix("file://")).read_bytes()).splitlines()]


def require_claims(
    state: dict[str, Any],
    readings: list[dict[str, Any]],
    days: list[dict[str, Any]],
    emulator: Emulator,
    entries: list[dict[str, Any]],
) -> None:
    """Require of a STATE that all that it claims has been written before."""
    at = bookmarks(state)
    assert {key for key in held(emulator) if key[1] <= at.get(key[0], 0)} <= by_key(readings).keys()
    ends = dict(days_claimed(state))
    assert {key for key in days_held(emulator, entries) if key[-1] <= ends.get(key[:-1], 0)} <= days_of(days).keys()


def test_new_days_are_remembered_where_batch_files_have_nothing_to_hold(emulate: Emulate, tmp_path: Path) -> None:
    """No reading is new, so there is no file; the days that are new are not written again by the next run."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL))
    batch = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": f"file://{tmp_path}"}}
    settings: dict[str, Any] = {"batch_config": batch}
    first = sync(emulator, **settings)
    settings["env_models"] = stations(["z6-00001"])
    second = sync(emulator, state=first.state, **settings)
    third = sync(emulator, state=second.state, **settings)

    assert days_of(second.records_of("env_model_data")) == days_held(emulator, settings["env_models"])
    assert streams_of(second, "BATCH") == set()
    assert third.records_of("env_model_data") == []


COLUMNS = {
    "env_model_data": {"elevation", "latitude", "extra"},
    "devices": {"error", "first_mrid", "synced_at"},
    "sensors": {"depth", "last_mrid"},
}


def test_columns_that_are_not_selected_are_neither_declared_nor_written(emulate: Emulate) -> None:
    """In each of the streams; the rest is as it is."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL))
    entries = stations(["z6-00001"])
    whole = sync(emulator, env_models=entries)
    without = set().union(*COLUMNS.values())

    run = sync(emulator, catalog=selected(catalog(), V4_STREAMS, without=without), env_models=entries)

    for stream, left_out in COLUMNS.items():
        (schema,) = (m["schema"] for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == stream)
        rows, all_of_it = run.records_of(stream), whole.records_of(stream)
        assert len(rows) == len(all_of_it)
        for row in rows:
            assert row.keys() == schema["properties"].keys()
            assert not left_out & row.keys()


def test_stream_maps_rename_filter_and_add(emulate: Emulate) -> None:
    """An alias, a filter and a column, each in another of the streams; STATE goes by the tap's own names."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=RECORDS, sensors=SMALL) for number in (1, 2)))
    entries = stations(emulator.device_sns)
    maps = {
        "env_model_data": {
            "__alias__": "evapotranspiration",
            "value_mm": "value * 25.4 if value is not None else None",
        },
        "sensors": {"__filter__": "port_number == 3"},
        "devices": {"is_current": "outcome == 'current'", "__else__": None, "device_sn": "device_sn"},
    }

    run = sync(emulator, env_models=entries, stream_maps=maps)

    assert run.exit_code == 0, run.stderr
    days = run.records_of("evapotranspiration")
    assert days_of(days) == days_held(emulator, entries)
    assert all(row["value_mm"] == row["value"] * 25.4 for row in days)
    assert {row["port_number"] for row in run.records_of("sensors")} == {3}
    assert len(run.records_of("sensors")) == 2
    assert [(row["device_sn"], row["is_current"]) for row in run.records_of("devices")] == [
        ("z6-00001", True),
        ("z6-00002", True),
    ]
    assert all(row.keys() == {"device_sn", "is_current"} for row in run.records_of("devices"))
    assert by_key(run.records_of("readings")) == held(emulator)
    assert len(list(days_claimed(run.state))) == len(entries)


@pytest.mark.parametrize("removed", ["env_model_data", "devices", "sensors"])
def test_a_stream_that_a_map_removes_takes_nothing_with_it(removed: str, emulate: Emulate) -> None:
    """Neither a SCHEMA nor a record of it is written; the others are whole."""
    emulator = emulate(Device("z6-00001", records=RECORDS, sensors=SMALL))
    entries = stations(emulator.device_sns)

    run = sync(emulator, env_models=entries, stream_maps={removed: None})

    assert run.exit_code == 0, run.stderr
    assert streams_of(run, "SCHEMA") == streams_of(run, "RECORD") == set(V4_STREAMS) - {removed}
    assert run.all_rows == held(emulator)


def test_flattened_records_of_all_streams_fit_their_schemas(emulate: Emulate) -> None:
    """Nothing of them is lost; `extra` of v5's devices is an object, others have none."""
    emulator = emulate(*small_fleet(2), odd_fields=True)
    settings = {**V5, "flattening_enabled": True, "flattening_max_depth": 2}

    run = sync(emulator, **settings)

    assert run.exit_code == 0, run.stderr
    for stream in V5_STREAMS:
        (schema,) = (m["schema"] for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == stream)
        rows = run.records_of(stream)
        assert rows
        assert all(row.keys() <= schema["properties"].keys() for row in rows)
