"""A stream's bookmarks in the Singer state: one partition for each device. Knows nothing but the state's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from singer_sdk.exceptions import ConfigurationError

BESIDE_THE_VALUE = ("overlap", "places")
"""Names of what a partition keeps beside its bookmark, there and in `Bookmark`."""

NEWEST_READINGS = "newest_readings"
"""Beside the partitions: each device's newest reading, in seconds since 1970, so that a silent one has an age."""


@dataclass(frozen=True)
class Bookmark:
    """Where a device stands.

    Attributes:
        value: The last mrid that was written.
        overlap: What the records up to it held, see `overlap`; None: nothing is known of that.
        places: Which place has which `sub_sensor_index`; None: the device has no port with several.
    """

    value: int
    overlap: Any = None
    places: Any = None


class StateError(ConfigurationError):
    """A state that this tap can't have written."""


class Bookmarks:
    """A view on one stream's part of a Singer state; what it does not know stays in the state as it is.

    The partitions of a state are a list; looking a device up there for each record would make a thousand devices
    slow, so the list is indexed once.
    """

    def __init__(self, stream_state: dict[str, Any], *, replication_key: str) -> None:
        """Index the partitions of a state.

        Args:
            stream_state: Such as `state["bookmarks"]["readings"]`; it is changed in place.
            replication_key: Of the stream.

        Raises:
            StateError: The state does not have the shape that this tap writes.
        """
        self._stream_state = stream_state
        self._replication_key = replication_key
        newest = stream_state.get(NEWEST_READINGS)
        self._newest: dict[str, Any] = newest if isinstance(newest, dict) else {}
        self._by_device: dict[str, dict[str, Any]] = {}
        try:
            for partition in stream_state.get("partitions", []):
                self._add(partition["context"]["device_sn"], partition)
        except (TypeError, KeyError, AttributeError):
            raise StateError(
                "the state is not one of this tap: each partition needs a context with device_sn; "
                "hand over the state of an earlier run, or none to begin anew"
            ) from None

    def _add(self, device_sn: str, partition: dict[str, Any]) -> None:
        if device_sn in self._by_device:
            raise StateError(f"the state has two bookmarks for {device_sn}; remove the one with the higher mrid")
        mrid = partition.get("replication_key_value")
        if mrid is not None and (not isinstance(mrid, int) or isinstance(mrid, bool) or mrid < 0):
            raise StateError(f"the state's bookmark of {device_sn} should be an mrid (a whole number), not {mrid!r}")
        self._by_device[device_sn] = partition

    def get(self, device_sn: str) -> Bookmark | None:
        """Return where a device stands; None when nothing was written for it yet."""
        partition = self._by_device.get(device_sn, {})
        value = partition.get("replication_key_value")
        return None if value is None else Bookmark(value, *(partition.get(name) for name in BESIDE_THE_VALUE))

    def newest(self, device_sn: str, *, until: float) -> int | None:
        """Return the moment of a device's newest reading that was written, in seconds since 1970.

        Args:
            device_sn: The device's serial number.
            until: A moment beyond this one can't be true, as versions before 0.2.0 may have kept; None then.
        """
        moment = self._newest.get(device_sn)
        return moment if isinstance(moment, int) and moment <= until else None

    def set(self, device_sn: str, bookmark: Bookmark, newest: int | None = None) -> None:
        """Move a device's bookmark, and take note of the moment of its newest reading, in seconds since 1970."""
        partition = self._by_device.get(device_sn)
        if partition is None:
            partition = {"context": {"device_sn": device_sn}}
            self._by_device[device_sn] = partition
            self._stream_state.setdefault("partitions", []).append(partition)
        partition["replication_key"] = self._replication_key
        partition["replication_key_value"] = bookmark.value
        for name in BESIDE_THE_VALUE:
            partition.pop(name, None)
            if (known := getattr(bookmark, name)) is not None:
                partition[name] = known
        if newest is not None:
            self._newest[device_sn] = newest
            self._stream_state[NEWEST_READINGS] = self._newest
