"""The two services that the tap reads from here, and what points it there: settings, and the streams to be read."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.children import EMULATOR, TAP, run, serving
from tap_zentra.emulator import fleet
from tap_zentra.emulator.devices import FIRST_MOMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from tap_zentra.emulator import Device

TOKEN = "benchmark"  # noqa: S105 - of services that hold nothing
NO_LIMIT = 1_000_000
"""Calls in a window: more than any benchmark makes."""


@contextmanager
def emulator(
    log: Path, pages: Sequence[int], *options: str, page_size: int, window: float, token: str = TOKEN
) -> Iterator[dict[str, object]]:
    """Run an emulator, and yield the settings that let the tap read its devices.

    Args:
        log: The call log.
        pages: Of each device.
        options: More of them.
        page_size: Records of a page.
        window: Of both limits, in seconds.
        token: Of the account.
    """
    records = ",".join(str(count * page_size) for count in pages)
    held = (f"--devices={len(pages)}", f"--records={records}", f"--until={FIRST_MOMENT.isoformat()}")
    with serving(
        EMULATOR, "serve", *held, f"--window={window}", f"--token={token}", f"--call-log={log}", *options
    ) as url:
        yield {
            "api_url": url,
            "auth_token": token,
            "device_sns": json.dumps([device.device_sn for device in devices(pages, page_size)]),
            "page_size": page_size,
            "call_limit_window": window,
        }


def devices(pages: Sequence[int], page_size: int) -> list[Device]:
    """Return the devices that the emulator holds."""
    return fleet(len(pages), [count * page_size for count in pages])


@contextmanager
def canned(
    log: Path, *, pages: int, page_size: int, error_rate: float | None = None, unknown_fields: bool = False
) -> Iterator[Mapping[str, object]]:
    """Run a service that sends what it has built before, and yield the settings that let the tap read from it.

    The settings lack `device_sns`: it answers for any. No limit holds.

    Args:
        log: The call log.
        pages: Of each device.
        page_size: Records of a page.
        error_rate: Share of the values that are errors; None: the emulator's.
        unknown_fields: Whether each metadata and each reading has a field more that nobody knows.
    """
    rate = () if error_rate is None else (f"--error-rate={error_rate}",)
    unknown = ("--unknown-fields",) if unknown_fields else ()
    options = (f"--pages={pages}", f"--records={page_size}", f"--call-log={log}", *rate, *unknown)
    with serving(sys.executable, "-m", "benchmarks.canned", *options) as url:
        yield {
            "api_url": url,
            "auth_token": TOKEN,
            "page_size": page_size,
            "call_limit_window": 1,
            "user_call_limit": NO_LIMIT,
            "device_call_limit": NO_LIMIT,
        }


def selecting(work: Path, *streams: str, api_version: str = "v4", without: Collection[str] = ()) -> str:
    """Return the option that has the tap read these streams and no others.

    Args:
        work: Where its catalog may lie.
        streams: Their names.
        api_version: Whose they are.
        without: Columns that are left out, as `stream.column`.
    """
    found: list[dict[str, Any]] = []
    run(
        TAP,
        "--config=ENV",
        "--discover",
        settings={"api_version": api_version},
        read=lambda stdout: found.extend(json.load(stdout)["streams"]),
    )
    # What a catalog does not name is not selected.
    chosen = [stream for stream in found if stream["tap_stream_id"] in streams]
    for stream in chosen:
        for entry in stream["metadata"]:
            if ".".join((stream["tap_stream_id"], *entry["breadcrumb"][1:])) in without:
                entry["metadata"]["selected"] = False
    with tempfile.NamedTemporaryFile("w", dir=work, suffix=".json", delete=False) as catalog:
        json.dump({"streams": chosen}, catalog)
    return f"--catalog={catalog.name}"


def serial_numbers(count: int) -> list[str]:
    """Return the serial numbers of so many devices."""
    return [f"z6-{place:05d}" for place in range(1, count + 1)]
