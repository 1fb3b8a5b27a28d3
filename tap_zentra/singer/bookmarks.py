"""A stream's bookmarks in the Singer state: one partition for each device. Knows nothing but the state's shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from singer_sdk.exceptions import ConfigurationError

from tap_zentra.settings import same_device
from tap_zentra.singer.moments import iso_timestamp, moment_of

BESIDE_THE_VALUE = ("overlap", "places", "asked", "stations", "known")
"""Names of what a partition keeps beside its bookmark, there and in `Bookmark`."""

NEWEST_READINGS = "newest_readings"
"""Beside the partitions: each device's newest reading, in seconds since 1970, so that a silent one has an age."""

HAND_OVER = "pass the state of an earlier run, as `meltano state get` prints it, or none to start from the beginning"

LONGEST_SHOWN = 40
"""Characters of a part that is wrong: enough to find it by."""


@dataclass(frozen=True)
class Bookmark:
    """Where a device stands.

    Attributes:
        value: The last position that was written, an mrid or a moment in seconds since 1970; None: the device is read
            from its start.
        overlap: What the records up to it held, see `overlap`; None: nothing is known of that.
        places: Which place has which `sub_sensor_index`; None: the device has no port with several.
        asked: When the device was last read to its end, in seconds since 1970; None where nobody needs to know.
        stations: Where each of a device's ways stands, where it has several; see `env_model`.
        known: What stream `devices` tells of the device, and a run without new readings does not hear again; an object.
            Here, as everywhere in the state, no number has a fraction: targets made with Meltano's SDK read it as a
            decimal, and fail to write that.
    """

    value: int | None
    overlap: Any = None
    places: Any = None
    asked: int | None = None
    stations: Any = None
    known: Any = None

    def at_start(self) -> Bookmark:
        """Return where the device stands when it is read again from its start: its places keep their index."""
        return Bookmark(None, places=self.places, known=self.known)


def known_of(bookmark: Bookmark | None) -> dict[str, Any]:
    """Return what a bookmark knows for stream `devices`; nothing where it has another form, as after an edit."""
    return bookmark.known if bookmark is not None and isinstance(bookmark.known, dict) else {}


class StateError(ConfigurationError):
    """A state that this tap can't have written."""


def read_state(given: object) -> dict[str, Any]:
    """Return a state as the SDK takes it: with `bookmarks` at its top, or empty.

    A state that is taken for an empty one has everything read again, so what is neither is refused.

    Args:
        given: As a run wrote it, or as Meltano keeps it: below `singer_state`.

    Raises:
        StateError: It has another shape.
    """
    state = _object(given, "its top level")
    if "bookmarks" not in state and "singer_state" in state:
        state = _object(state["singer_state"], "singer_state")
    if state and "bookmarks" not in state:
        raise StateError(
            f"the state is not from this tap: it has {', '.join(state)}, but neither bookmarks nor singer_state; "
            f"{HAND_OVER}"
        )
    for stream, stream_state in _object(state.get("bookmarks", {}), "bookmarks").items():
        where = f"bookmarks.{stream}"
        partitions = _object(stream_state, where).get("partitions", [])
        if not isinstance(partitions, list):
            raise _unfit(f"{where}.partitions", "a list", partitions)
        for number, partition in enumerate(partitions):
            place = f"{where}.partitions[{number}]"
            _object(_object(partition, place).get("context"), f"{place}.context")
    return state


def _object(given: object, place: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _unfit(place, "an object", given)
    return given


def _unfit(place: str, expected: str, given: object) -> StateError:
    found = json.dumps(given, default=str)
    shown = found if len(found) <= LONGEST_SHOWN else f"{found[:LONGEST_SHOWN]}…"
    return StateError(f"the state is not from this tap: {place} should be {expected}, not {shown}; {HAND_OVER}")


class Bookmarks:
    """A view on one stream's part of a Singer state; what it does not know stays in the state as it is.

    The partitions of a state are a list; looking a device up there for each record would make a thousand devices
    slow, so the list is indexed once.
    """

    def __init__(self, stream_state: dict[str, Any], *, replication_key: str, of_moments: bool = False) -> None:
        """Index the partitions of a state.

        Args:
            stream_state: Such as `state["bookmarks"]["readings"]`; it is changed in place.
            replication_key: Of the stream.
            of_moments: Whether the bookmarks are moments, ISO 8601 in the state; else they are mrids.

        Raises:
            StateError: The state does not have the shape that this tap writes.
        """
        self._stream_state = stream_state
        self._replication_key = replication_key
        self._of_moments = of_moments
        newest = stream_state.get(NEWEST_READINGS)
        self._newest: dict[str, Any] = newest if isinstance(newest, dict) else {}
        # By the serial number in one case: whoever spells it in another has the same device.
        self._by_device: dict[str, dict[str, Any]] = {}
        try:
            for partition in stream_state.get("partitions", []):
                self._add(partition["context"]["device_sn"], partition)
        except (TypeError, KeyError, AttributeError):
            raise StateError(
                f"the state is not from this tap: each partition needs a context with device_sn; {HAND_OVER}"
            ) from None

    def _add(self, device_sn: str, partition: dict[str, Any]) -> None:
        if same_device(device_sn) in self._by_device:
            raise StateError(f"the state has two bookmarks for {device_sn}; remove the one with the higher value")
        if (given := partition.get("replication_key_value")) is not None and self._position(given) is None:
            expected = (
                "a timestamp such as 2026-01-31T12:00:00+00:00" if self._of_moments else "an mrid (a whole number)"
            )
            raise StateError(
                f"the state's bookmark for {device_sn} should be {expected}, not {given!r}; correct it, or remove it "
                "from the state to have the device read from its start"
            )
        self._by_device[same_device(device_sn)] = partition

    def get(self, device_sn: str) -> Bookmark | None:
        """Return where a device stands; None when nothing was written for it yet."""
        partition = self._by_device.get(same_device(device_sn), {})
        value = self._position(partition.get("replication_key_value"))
        beside = [partition.get(name) for name in BESIDE_THE_VALUE]
        return None if value is None and not any(beside) else Bookmark(value, *beside)

    def _position(self, given: object) -> int | None:
        """Return the position that the state's text or number is; None: it is none."""
        if not self._of_moments:
            return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else None
        return moment_of(given) if isinstance(given, str) else None  # some numbers would pass for dates

    @property
    def device_sns(self) -> list[str]:
        """The devices that have a bookmark, as they are spelled there."""
        return [str(partition["context"]["device_sn"]) for partition in self._by_device.values()]

    def newest(self, device_sn: str, *, until: float) -> int | None:
        """Return the moment of a device's newest reading that was written, in seconds since 1970.

        Args:
            device_sn: The device's serial number.
            until: A moment beyond this one can't be true, as versions before 0.2.0 may have kept; None then.
        """
        if self._of_moments:
            bookmark = self.get(device_sn)
            return None if bookmark is None else bookmark.value
        moment = self._newest.get(self._spelling(device_sn))
        return moment if isinstance(moment, int) and 0 <= moment <= until else None

    def set(self, device_sn: str, bookmark: Bookmark, newest: int | None = None) -> None:
        """Move a device's bookmark, and take note of the moment of its newest reading, in seconds since 1970."""
        partition = self._by_device.get(same_device(device_sn))
        if partition is None:
            partition = {"context": {"device_sn": device_sn}}
            self._by_device[same_device(device_sn)] = partition
            self._stream_state.setdefault("partitions", []).append(partition)
        partition["replication_key"] = self._replication_key
        value = bookmark.value
        partition["replication_key_value"] = iso_timestamp(value) if self._of_moments and value is not None else value
        for name in BESIDE_THE_VALUE:
            partition.pop(name, None)
            if (told := getattr(bookmark, name)) is not None:
                partition[name] = told
        if newest is not None and not self._of_moments:
            self._newest[self._spelling(device_sn)] = newest
            self._stream_state[NEWEST_READINGS] = self._newest

    def _spelling(self, device_sn: str) -> str:
        """Return a device's serial number as its partition spells it."""
        partition = self._by_device.get(same_device(device_sn))
        return device_sn if partition is None else str(partition["context"]["device_sn"])
