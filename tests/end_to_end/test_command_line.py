"""The command line as the Singer specification and the SDK promise it, and what it says to bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault
from tap_zentra.settings import SCHEMA
from tap_zentra.v4.readings import READINGS, READINGS_KEY
from tap_zentra.v5.readings import READINGS_V5, READINGS_V5_KEY
from tests.support import (
    PATIENCE,
    TAP,
    Tap,
    bookmarks,
    by_key,
    gate,
    held,
    is_reading,
    is_schema_of,
    last_state,
    readings_of,
)

Emulate = Callable[..., Emulator]


def run(
    folder: Path, *arguments: str, config: dict[str, Any] | None = None, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line with a configuration file, in a folder of its own, without any other variables."""
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
        arguments = ("--config", "config.json", *arguments)
    return subprocess.run(
        [str(TAP), *arguments], cwd=folder, capture_output=True, text=True, check=False, env=variables or {}
    )


def test_discover_needs_no_settings(tmp_path: Path) -> None:
    """`--discover` prints the catalog without a token: stream, keys, replication key and schema."""
    done = run(tmp_path, "--discover")

    assert done.returncode == 0
    stream, *others = json.loads(done.stdout)["streams"]
    assert [other["tap_stream_id"] for other in others] == ["env_model_data", "devices", "sensors"]
    assert stream["tap_stream_id"] == "readings"
    assert stream["replication_key"] == "mrid"
    assert stream["key_properties"] == list(READINGS_KEY)
    assert stream["schema"]["properties"].keys() == READINGS["properties"].keys()


def test_discover_shows_the_stream_of_the_service_that_is_chosen(tmp_path: Path) -> None:
    """With `api_version` v5 it is `readings_v5`, without a key as well."""
    done = run(tmp_path, "--discover", config={"api_version": "v5"})

    assert done.returncode == 0, done.stderr
    stream, *others = json.loads(done.stdout)["streams"]
    assert [other["tap_stream_id"] for other in others] == ["devices", "sensors"]
    assert stream["tap_stream_id"] == "readings_v5"
    assert stream["replication_key"] == "timestamp_utc"
    assert stream["key_properties"] == list(READINGS_V5_KEY)
    assert stream["schema"]["properties"].keys() == READINGS_V5["properties"].keys()
    assert stream["schema"]["required"] == READINGS_V5["required"]


def test_about_describes_every_setting(tmp_path: Path) -> None:
    """`--about --format=markdown` has a row with a description for each setting."""
    done = run(tmp_path, "--about", "--format=markdown")

    assert done.returncode == 0
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("|")}
    for name, setting in SCHEMA["properties"].items():
        assert setting["description"] in rows[name]


def test_a_configuration_file_serves_as_well_as_variables(emulate: Emulate, tmp_path: Path) -> None:
    """`--config file.json` loads what `--config ENV` loads."""
    emulator = emulate(Device("z6-00001", records=9))

    done = run(
        tmp_path,
        config={
            "auth_token": f"TOKEN {emulator.token}",
            "device_sns": ["z6-00001", " z6-00001 "],
            "api_url": emulator.url,
            "call_limit_window": emulator.window,
        },
    )

    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert by_key(readings_of(messages)) == held(emulator)


def test_test_mode_costs_one_call_and_writes_one_record(emulate: Emulate, tap: Tap) -> None:
    """`--test` asks one device once, writes one record, and says in its last line that all is well."""
    emulator = emulate(*(Device(f"z6-{number:05}") for number in range(1, 10)))

    done = tap.sync(emulator, "--test")

    assert done.exit_code == 0, done.stderr
    assert len(done.records) == 1
    assert len(emulator.calls) == 1
    assert done.stderr.splitlines()[-1].endswith("the connection test passed")
    assert "ERROR" not in done.stderr


def test_test_mode_fails_with_a_wrong_token(emulate: Emulate, tap: Tap) -> None:
    """`--test` tells a wrong token: exit code 1 and what to check."""
    done = tap.sync(emulate(Device("z6-00001")), "--test", auth_token="wrong")

    assert done.exit_code == 1
    assert "check auth_token" in done.stderr.splitlines()[-1]


def test_deselected_columns_stay_away(emulate: Emulate, tap: Tap) -> None:
    """A column that the catalog deselects is in no record and not in the schema; key columns always stay."""
    emulator = emulate(Device("z6-00001", records=5))
    catalog = json.loads(run(tap.folder, "--discover").stdout)
    for entry in catalog["streams"][0]["metadata"]:
        entry["metadata"]["selected"] = entry["breadcrumb"][-1:] != ["local_datetime"]
        if entry["breadcrumb"][-1:] == ["mrid"]:
            entry["metadata"]["selected"] = False
    (tap.folder / "catalog.json").write_text(json.dumps(catalog))

    done = tap.sync(emulator, "--catalog", "catalog.json")

    assert done.exit_code == 0, done.stderr
    columns = READINGS["properties"].keys() - {"local_datetime"}
    assert all(record.keys() == columns for record in done.records)
    (schema,) = (message for message in done.messages if is_schema_of(message, "readings"))
    assert schema["schema"]["properties"].keys() == columns
    expected = [{name: row[name] for name in columns} for row in held(emulator).values()]
    assert by_key(done.records) == by_key(expected)


def test_stream_maps_see_every_record(emulate: Emulate, tap: Tap) -> None:
    """A stream map that renames the stream and filters its records works as in any SDK tap."""
    emulator = emulate(Device("z6-00001", records=5))
    maps = {"readings": {"__alias__": "soil", "__filter__": "record['port_number'] == 3"}}

    done = tap.sync(emulator, stream_maps=json.dumps(maps))

    assert done.exit_code == 0, done.stderr
    assert {message["stream"] for message in done.messages if is_reading(message)} == {"soil"}
    assert by_key(done.records) == {key: row for key, row in held(emulator).items() if row["port_number"] == 3}
    assert done.state["bookmarks"]["readings"]["partitions"][0]["replication_key_value"] == 5


def test_a_stream_map_that_fails_ends_the_run_in_one_line(emulate: Emulate, tap: Tap) -> None:
    """What was written before stays, with its bookmark; it is no failure of a device, which could be a warning."""
    emulator = emulate(Device("z6-00001", records=45))
    maps = {"readings": {"x": "value / (mrid - 33)"}}

    done = tap.sync(emulator, stream_maps=json.dumps(maps), page_size=20, on_device_failure="warn")

    assert done.exit_code == 1
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "ERROR" in line)
    assert line == done.stderr.splitlines()[-1]
    assert (
        "stream map of readings: `x: value / (mrid - 33)` failed for the record with device_sn z6-00001, mrid 33"
        in line
    )
    assert "use `x: value / (mrid - 33) if mrid - 33 else None` instead; devices read to the end: 0 of 1" in line
    assert bookmarks(done.state) == {"z6-00001": 20}
    assert {record["mrid"] for record in done.records} >= set(range(1, 21))


def test_test_mode_fails_with_a_stream_map_that_fails(emulate: Emulate, tap: Tap) -> None:
    """`--test` tells it before the first sync does."""
    emulator = emulate(Device("z6-00001"))

    done = tap.sync(emulator, "--test", stream_maps=json.dumps({"readings": {"x": "valve"}}))

    assert done.exit_code == 1
    assert "there is no column valve; the columns are device_sn, mrid" in done.stderr.splitlines()[-1]


def test_a_stream_map_for_no_stream_is_named(emulate: Emulate, tap: Tap) -> None:
    """It would be ignored silently; the streams that there are, are named."""
    done = tap.sync(
        emulate(Device("z6-00001")), stream_maps=json.dumps({"reading": {"x": "1"}, "readings": {"y": "1"}})
    )

    assert done.exit_code == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "stream_maps has" in line)
    assert line.endswith(
        "stream_maps has an entry for reading, but there is no such stream; the streams are: readings, env_model_data, "
        "devices, sensors"
    )


def test_a_catalog_for_other_streams_is_named(emulate: Emulate, tap: Tap) -> None:
    """Such as one of v4 for v5: nothing would be read, and nothing be said of it."""
    (tap.folder / "catalog.json").write_text(json.dumps({"streams": [{"tap_stream_id": "readings_v5"}]}))

    done = tap.sync(emulate(Device("z6-00001")), "--catalog", "catalog.json")

    assert (done.exit_code, done.records) == (0, [])
    assert "WARNING" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith(
        "no stream is selected, so nothing was read; select one in the catalog or, with Meltano, in `select`; "
        "the streams are: readings, "
        "env_model_data, devices, sensors"
    )


def test_batch_files_hold_all_readings_and_the_state_follows_them(emulate: Emulate, tap: Tap) -> None:
    """With batch_config the readings go into gzipped JSONL files; STATE is never ahead of the files before it."""
    emulator = emulate(Device("z6-00001", records=30), Device("z6-00002", records=45))
    config = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tap.folder}", "prefix": "batch-"},
        "batch_size": 500,
    }

    done = tap.sync(emulator, batch_config=json.dumps(config), page_size=10)

    assert done.exit_code == 0, done.stderr
    records: list[dict[str, Any]] = []
    for message in done.messages:
        if message["type"] == "BATCH":
            for url in message["manifest"]:
                lines = gzip.decompress(Path(url.removeprefix("file://")).read_bytes()).splitlines()
                records += [json.loads(line) for line in lines]
        if message["type"] == "STATE":
            read = by_key(records)
            for bookmark in message["value"]["bookmarks"]["readings"].get("partitions", []):
                device_sn = bookmark["context"]["device_sn"]
                below = {
                    key for key in held(emulator) if key[0] == device_sn and key[1] <= bookmark["replication_key_value"]
                }
                assert below <= read.keys()
    assert by_key(records) == held(emulator)
    assert {b["replication_key_value"] for b in done.state["bookmarks"]["readings"]["partitions"]} == {30, 45}


def test_a_failed_device_loses_no_batch(emulate: Emulate, tap: Tap) -> None:
    """With batch_config too, a device that fails leaves the others' readings and bookmarks whole."""
    emulator = emulate(Device("z6-00001", records=30), Device("z6-00002"), faults=[Fault("404", "z6-00002")])
    config = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tap.folder}", "prefix": "batch-"},
        "batch_size": 500,
    }

    done = tap.sync(emulator, batch_config=json.dumps(config))

    assert done.exit_code == 1
    files = [Path(url.removeprefix("file://")) for m in done.messages if m["type"] == "BATCH" for url in m["manifest"]]
    records = [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert by_key(records) == {key: row for key, row in held(emulator).items() if key[0] == "z6-00001"}
    assert "z6-00002 failed" in done.stderr.splitlines()[-1]


def test_a_batch_file_that_can_not_be_written_moves_no_bookmark(emulate: Emulate, tap: Tap) -> None:
    """The run ends there, with a line that says why; what was named before has all that the last STATE claims."""
    size, emulator = 100, emulate(Device("z6-00001", records=40))
    folder = tap.folder / "batches"
    config = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": folder.as_uri()},
        "batch_size": size,
    }
    messages: list[dict[str, Any]] = []
    full_files = sum(key[1] <= 20 for key in held(emulator)) // size

    with (
        gate(emulator, first_held=3) as answers,
        tap.started(emulator, batch_config=json.dumps(config), page_size=10) as process,
    ):
        while [message["type"] for message in messages].count("BATCH") < full_files:
            messages.append(json.loads(process.stdout.readline()))
        folder.rename(tap.folder / "full")
        folder.touch()
        answers.open()
        messages += map(json.loads, process.stdout)
        process.wait(PATIENCE)

    names = [Path(url).name for message in messages if message["type"] == "BATCH" for url in message["manifest"]]
    lines = [line for name in names for line in gzip.decompress((tap.folder / "full" / name).read_bytes()).splitlines()]
    at = bookmarks(last_state(messages, {}))["z6-00001"]
    assert process.returncode == 1
    assert "cannot write a batch file: " in tap.stderr.splitlines()[-1]
    assert "Traceback" not in tap.stderr
    assert at == 10
    assert {key for key in held(emulator) if key[1] <= at} <= by_key(map(json.loads, lines)).keys()
    assert len(lines) == full_files * size


VALID = {"auth_token": "secret-token", "device_sns": ["z6-00001"], "api_url": "http://127.0.0.1:9"}

REFUSED = {
    "no token": ({"auth_token": None}, "auth_token is missing"),
    "an empty token": ({"auth_token": " "}, "auth_token is missing"),
    "no devices": ({"device_sns": []}, "device_sns should be a list of serial numbers"),
    "a page too large": ({"page_size": 2001}, "page_size should be a whole number from 1 to 2000, not 2001"),
    "plain http": ({"api_url": "http://example.org"}, "api_url should be a base URL that begins with https://"),
    "a date that is none": ({"start_date": "2026-02-30"}, "start_date should be a date such as"),
    "a serial number with a slash": ({"device_sns": ["z6-1/x"]}, "device_sns should be a list of serial numbers"),
    "an unknown server": ({"server": "mars"}, "server should be one of us, eu, tahmo, aroya, not 'mars'"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_in_one_line(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """What is wrong is said once, with the setting's name; exit code 1, no traceback, no message, no call."""
    done = run(tmp_path, config=VALID | change)

    assert done.returncode == 1
    assert sum(words in line for line in done.stderr.splitlines()) == 1
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "secret-token" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [(), ("--test",), ("--discover",)], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("STREAM_MAPS", "{readings", "JSON"), ("FLATTENING_MAX_DEPTH", "deep", "a whole number")],
)
def test_a_variable_of_the_sdk_that_can_not_be_read_is_named(
    name: str, given: str, expected: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """In the last line, with what it should be; exit code 1, no traceback, no message."""
    variable = f"TAP_ZENTRA_{name}"

    done = run(tmp_path, "--config=ENV", *arguments, variables={variable: given})

    assert done.returncode == 1
    words = f"{name.lower()} should be {expected}, not {given!r} (environment variable {variable})"
    assert done.stderr.splitlines()[-1].endswith(words)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("found", ["parquet", "csv", None])
def test_batch_files_that_can_not_hold_the_records_are_refused(found: str | None, tmp_path: Path) -> None:
    """By the setting's name, with what it may be, before anything is called or written."""
    batch_config = {"encoding": {"format": found}, "storage": {"root": f"file://{tmp_path}"}}

    done = run(tmp_path, config=VALID | {"batch_config": batch_config})

    assert done.returncode == 1
    assert f"batch_config.encoding.format should be jsonl, not {found!r}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("found", [0, -1, "500", True])
def test_a_size_of_batches_that_is_none_is_refused(found: object, tmp_path: Path) -> None:
    """By the setting's name, before anything is called or written."""
    batch_config = {"encoding": {"format": "jsonl"}, "storage": {"root": f"file://{tmp_path}"}, "batch_size": found}

    done = run(tmp_path, config=VALID | {"batch_config": batch_config})

    assert done.returncode == 1
    assert f"batch_config.batch_size should be a whole number, 1 or more, not {found!r}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_about_offers_no_batch_files_that_are_refused(tmp_path: Path) -> None:
    """`--about` names the one format that works."""
    about = json.loads(run(tmp_path, "--about", "--format=json").stdout)

    encoding = about["settings"]["properties"]["batch_config"]["properties"]["encoding"]
    assert encoding["properties"]["format"]["enum"] == ["jsonl"]


BAD_FILES = {
    "settings that are not there": (("--config", "nowhere.json"), "nowhere.json"),
    "settings that are not JSON": (("--config", "text"), "--config"),
    "settings that are a list": (("--config", "list.json"), "--config"),
    "a state that is not JSON": (("--config", "valid.json", "--state", "text"), "--state"),
    "a state of another tap": (("--config", "valid.json", "--state", "foreign.json"), "the state"),
    "a state without bookmarks": (("--config", "valid.json", "--state", "message.json"), "neither bookmarks nor"),
    "a state whose partitions are null": (("--config", "valid.json", "--state", "null.json"), "should be a list"),
    "a bookmark that is no mrid": (("--config", "valid.json", "--state", "date.json"), "z6-00001"),
    "a catalog that is a list": (("--config", "valid.json", "--catalog", "list.json"), "--catalog"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused_in_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """A file that can't serve is named; exit code not 0, no traceback, no record, no call."""
    (tmp_path / "text").write_text("not JSON")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "valid.json").write_text(json.dumps(VALID))
    partition = {"context": {"device_sn": "z6-00001"}, "replication_key": "mrid", "replication_key_value": "2026"}
    (tmp_path / "date.json").write_text(json.dumps({"bookmarks": {"readings": {"partitions": [partition]}}}))
    (tmp_path / "message.json").write_text(json.dumps({"type": "STATE", "value": {"bookmarks": {}}}))
    (tmp_path / "null.json").write_text(json.dumps({"bookmarks": {"readings": {"partitions": None}}}))
    foreign = {"bookmarks": {"readings": {"partitions": [{"context": {"station": 1}}]}}}
    (tmp_path / "foreign.json").write_text(json.dumps(foreign))

    done = run(tmp_path, *arguments)

    assert done.returncode != 0
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
