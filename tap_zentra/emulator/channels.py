"""Which channels readings belong to, and from when to when each was there; knows no device and no sensor."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHANNEL = ("port_number", "sub_sensor_index", "measurement", "sensor_name", "sensor_sn", "units")
"""What tells channels apart: columns of the tap's readings."""


def channels_of(rows: Iterable[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """Yield the channels of a device's readings, in the order in which they appear there.

    Each has the columns of `CHANNEL`, an empty text for what is not told, then `first_mrid` and `last_mrid` where the
    readings have mrids, and `first_timestamp` and `last_timestamp`, the earliest and the latest one in seconds since
    1970-01-01 UTC.

    Args:
        rows: With the names of the tap's columns.
    """
    found: dict[tuple[object, ...], list[Mapping[str, object]]] = {}
    for row in rows:
        found.setdefault(tuple("" if row.get(name) is None else row[name] for name in CHANNEL), []).append(row)
    for channel, readings in found.items():
        mrids = _ends("mrid", [row["mrid"] for row in readings if "mrid" in row])
        moments = {row["timestamp_utc"] for row in readings}
        stamps = [int(datetime.fromisoformat(str(moment)).timestamp()) for moment in moments]
        yield dict(zip(CHANNEL, channel, strict=True)) | mrids | _ends("timestamp", stamps)


def _ends(name: str, numbers: Iterable[object]) -> dict[str, object]:
    ordered = sorted(int(str(number)) for number in numbers)
    return {f"first_{name}": ordered[0], f"last_{name}": ordered[-1]} if ordered else {}
