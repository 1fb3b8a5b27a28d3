"""Batch files: the records that the SDK's batcher would write, and whole before they are named."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.contrib.batch_encoder_jsonl import JSONLinesBatcher
from singer_sdk.helpers._batch import BatchConfig, StorageTarget

from tap_zentra.singer.batch import BatchFileError, GzipBatcher
from tap_zentra.singer.pages import RECORDS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from singer_sdk.batch import BaseBatcher

    Record = dict[str, Any]

ODD: list[dict[str, Any]] = [
    {"value": 17.4, "units": "°C", "error_flag": False, "extra": None},
    {"value": 1, "units": None, "extra": {"b": [1, {"c": 'quote " and \\'}]}},
    {"value": -0.0, "units": "line\nbreak \u2028 and \U0001f321", "extra": {}},
    {"value": 1e-300, "units": "", "extra": {"big": 10**30, "none": float("nan")}},
]


def some(count: int) -> list[Record]:
    """Return records, no two alike."""
    return [{"device_sn": "z6-1", "mrid": number, **ODD[number % len(ODD)]} for number in range(count)]


def batcher(kind: type[BaseBatcher], root: str, size: int) -> BaseBatcher:
    """Return a batcher that writes files of so many records."""
    storage = {"root": root, "prefix": "some-"}
    config = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": storage, "batch_size": size}
    return kind("tap-zentra", "readings", BatchConfig.from_dict(config))


def lines_of(url: str) -> list[Record]:
    """Return the records of a file, to which the end of a gzip file belongs."""
    head, name = url.rsplit("/", 1)
    with StorageTarget.from_url(head).open(name) as file:
        return [json.loads(line) for line in gzip.decompress(file.read()).splitlines()]


def files_of(kind: type[BaseBatcher], records: Sequence[Record], root: str, size: int) -> dict[str, list[Record]]:
    """Return a batcher's files by their URLs, but for what tells its run from others."""
    manifests = batcher(kind, root, size).get_batches(iter(records))
    urls = itertools.chain.from_iterable(manifests)
    return {re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", url): lines_of(url) for url in urls}


@pytest.mark.parametrize(
    ("count", "size"),
    [
        (0, 10_000),
        (1, 1),
        (3, 1),
        (4, 2),
        (RECORDS_AT_ONCE, RECORDS_AT_ONCE),
        (RECORDS_AT_ONCE + 1, RECORDS_AT_ONCE),
        (RECORDS_AT_ONCE + 1, 10_000),
        (4 * RECORDS_AT_ONCE + 2, 2 * RECORDS_AT_ONCE + 1),
        (4 * RECORDS_AT_ONCE + 3, 2 * RECORDS_AT_ONCE + 1),
    ],
)
def test_files_hold_what_the_sdk_writes(count: int, size: int, tmp_path: Path) -> None:
    """By the same names, the same records in the same order, with equal values; no records make no file."""
    root = tmp_path.as_uri()

    ours, of_the_sdk = (files_of(kind, some(count), root, size) for kind in (GzipBatcher, JSONLinesBatcher))

    assert list(ours.items()) == list(of_the_sdk.items())
    assert len(ours) == -(-count // size)


def test_a_file_is_whole_when_it_is_named_and_no_record_has_been_taken_that_is_in_none(tmp_path: Path) -> None:
    """STATE follows each name: by then a bookmark may have moved over every record that was taken."""
    taken: list[Record] = []
    records = some(3 * RECORDS_AT_ONCE)

    def taking() -> Iterator[Record]:
        for record in records:
            taken.append(record)
            yield record

    named: list[Record] = []
    for manifest in batcher(GzipBatcher, tmp_path.as_uri(), RECORDS_AT_ONCE + 50).get_batches(taking()):
        named += [record for url in manifest for record in lines_of(url)]
        assert [record["mrid"] for record in named] == [record["mrid"] for record in taken]

    assert len(named) == len(records)


def test_a_storage_that_can_not_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    """With what to check, and without the storage's address, which may hold a password."""
    (tmp_path / "file").touch()
    failures = {
        f"file://{tmp_path}/file": "FileExistsError",
        f"file://{tmp_path}/file/folder": "Not a directory",
        "unknown://user:secret@bucket": "Unsupported filesystem: 'unknown'",
    }
    for root, reason in failures.items():
        with pytest.raises(BatchFileError) as failure:
            next(batcher(GzipBatcher, root, 3).get_batches(iter(some(5))))

        assert str(failure.value) == (
            f"cannot write a batch file: {reason}; check batch_config.storage; "
            "its readings will be read again by the next run"
        )


def test_no_file_is_named_for_which_there_is_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The disk is full at the second file: the first one stays named, and none after it."""
    opened: list[str] = []
    original = StorageTarget.open

    @contextmanager
    def full(storage: StorageTarget, name: str, mode: str = "rb") -> Iterator[Any]:
        opened.append(name)
        with original(storage, name, mode) as file:
            yield file
            if len(opened) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    manifests = batcher(GzipBatcher, tmp_path.as_uri(), 3).get_batches(iter(some(9)))
    with monkeypatch.context() as patched:
        patched.setattr(StorageTarget, "open", full)
        first = next(manifests)
        with pytest.raises(BatchFileError, match="No space left on device"):
            next(manifests)

    assert next(manifests, None) is None
    assert [len(lines_of(url)) for url in first] == [3]
