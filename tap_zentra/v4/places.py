"""Which place each entry of a page is about: the `sub_sensor_index`; pure.

The entries of one measurement and port are told apart as wholes. An index that the service sends wins; else a depth
is a place, and entries that can't be told apart by depth are places in the order of the response. Entries of one depth
that share no record are one place: its units were changed, or its probe was swapped.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tap_zentra.v4.responses import Entry, Metadata, Reading, ReadingsPage

Depths = dict[int, str | None]
"""The places of one measurement and port: `sub_sensor_index` -> depth as the service writes it."""

CENTIMETRES = {"mm": 0.1, "cm": 1.0, "m": 100.0, "in": 2.54, "ft": 30.48}


class Series(NamedTuple):
    """Readings of one measurement at one place; of any record it has one at most."""

    measurement: str
    port_number: int
    sub_sensor_index: int
    metadata: Metadata
    readings: Sequence[Reading]


class Places:
    """The places of a device that are known: where there are several, which index each has."""

    def __init__(self, state: object = None) -> None:
        """Know what an earlier run has known.

        Args:
            state: What `as_state` returned; of another form: nothing is known.
        """
        self._known: dict[str, dict[int, Depths]] = {}
        for measurement, port, index, depth in _from_state(state):
            self._known.setdefault(measurement, {}).setdefault(port, {})[index] = depth

    def as_state(self) -> dict[str, Any]:
        """Return what is known as a JSON object: measurement -> port -> index -> depth."""
        return {
            measurement: {
                str(port): {str(index): depth for index, depth in depths.items()} for port, depths in ports.items()
            }
            for measurement, ports in self._known.items()
        }

    def series(self, page: ReadingsPage) -> list[Series]:
        """Return a page's readings by place, and remember new places."""
        found: list[Series] = []
        for measurement, entries in page.data.items():
            by_port: dict[int, list[Entry]] = {}
            for entry in entries:
                port = -1 if entry.metadata.port_number is None else entry.metadata.port_number
                by_port.setdefault(port, []).append(entry)
            for port, on_port in by_port.items():
                found += self._on_port(measurement, port, on_port)
        return found

    def _on_port(self, measurement: str, port: int, entries: Sequence[Entry]) -> Iterable[Series]:
        known = self._known.get(measurement, {}).get(port, {})
        parts = [part for entry in entries for part in _parts(entry)]
        if not parts:
            return ()
        sent = {part.index for part in parts if part.index is not None}
        depths = _assign([part for part in parts if part.index is None], known, sent)
        if max(depths, default=0) > 0:
            self._known.setdefault(measurement, {})[port] = depths
        series = (Series(measurement, port, part.index or 0, part.entry.metadata, part.readings) for part in parts)
        if not sent and not any(_repeats(part.readings) for part in parts):
            return series
        return _without_repetitions(series, set(depths) | sent)


@dataclass
class _Part:
    """An entry, or those of its readings to which the service has given an index."""

    entry: Entry
    readings: Sequence[Reading]
    index: int | None


@dataclass
class _Place:
    """Parts that are about one place."""

    depth: str | None
    parts: list[_Part] = field(default_factory=list)
    mrids: set[int] = field(default_factory=set)


def _parts(entry: Entry) -> Iterator[_Part]:
    """Yield an entry's readings by the index that the service has given them; None: it has given none."""
    of_entry = entry.metadata.sub_sensor_index
    indices = dict.fromkeys(reading.sub_sensor_index for reading in entry.readings)
    for index in indices:
        # Mostly there is one, and the entry's readings stay the list they are.
        all_of_them = len(indices) == 1
        readings = entry.readings if all_of_them else [one for one in entry.readings if one.sub_sensor_index == index]
        yield _Part(entry, readings, of_entry if index is None else index)


def _assign(parts: Iterable[_Part], known: Depths, sent: Collection[int]) -> Depths:
    """Give each part the index of its place, and return the places that are known now."""
    depths = dict(known)
    free = dict(known)
    without = []
    places = _places(parts)
    for place in places:
        same = [index for index, depth in free.items() if _is_same(depth, place.depth)]
        if same:
            _give(place, min(same), free)
        else:
            without.append(place)
    for place in _in_order(without):
        # A depth that was not known, or is not told now, may be any of those that are left.
        unnamed = [index for index, depth in free.items() if depth is None or place.depth is None]
        index = min(unnamed) if unnamed else next(n for n in itertools.count() if n not in depths and n not in sent)
        _give(place, index, free)
        depths[index] = place.depth if place.depth is not None else depths.get(index)
    return depths


def _give(place: _Place, index: int, free: Depths) -> None:
    free.pop(index, None)
    for part in place.parts:
        part.index = index


def _places(parts: Iterable[_Part]) -> list[_Place]:
    """Put parts together that are about one place."""
    places: list[_Place] = []
    for part in parts:
        depth = _depth(part.entry.metadata)
        mrids = {reading.mrid for reading in part.readings}
        fitting = (place for place in places if _is_same(place.depth, depth) and place.mrids.isdisjoint(mrids))
        place = next(fitting, None)
        if place is None:
            place = _Place(depth)
            places.append(place)
        place.parts.append(part)
        place.mrids |= mrids
    return places


def _in_order(places: Sequence[_Place]) -> list[_Place]:
    """Return new places from the top down; those that never were at the same time, in the order of time."""
    at_once = sum(len(place.mrids) for place in places) > len(set().union(*(place.mrids for place in places)))
    if at_once:
        return sorted(places, key=lambda place: _centimetres(place.depth))
    return sorted(places, key=lambda place: min(place.mrids))


def _depth(metadata: Metadata) -> str | None:
    """Return the depth of an entry, also where it comes in a form that the column `depth` does not know."""
    if metadata.depth:
        return metadata.depth
    odd = (metadata.extra or {}).get("depth")
    return None if odd is None else str(odd)


def _centimetres(depth: str | None) -> float:
    """Return how deep a place is; infinite when that is not known."""
    number = re.match(r"\s*(-?\d+(?:\.\d+)?)\s*(mm|cm|m|in|ft)?\b", depth or "", re.IGNORECASE | re.ASCII)
    return math.inf if number is None else float(number[1]) * CENTIMETRES[(number[2] or "cm").lower()]


def _is_same(one: str | None, other: str | None) -> bool:
    """Return whether two depths are the same, however they are written."""
    if one is None or other is None:
        return one is other
    if math.isfinite(_centimetres(one)) or math.isfinite(_centimetres(other)):
        return _centimetres(one) == _centimetres(other)
    return one.strip().casefold() == other.strip().casefold()


def _repeats(readings: Sequence[Reading]) -> bool:
    """Return whether a record has more than one of the readings."""
    return len({reading.mrid for reading in readings}) < len(readings)


def _without_repetitions(series: Iterable[Series], taken: Collection[int]) -> Iterator[Series]:
    """Yield series in which the same reading comes once; another one of the same record gets an index of its own."""
    met: dict[tuple[int, int, int], list[Any]] = {}
    free: dict[tuple[int, int], int] = {}
    beyond = max(taken) + 1
    for one in series:
        by_index: dict[int, list[Reading]] = {one.sub_sensor_index: []}
        for reading in one.readings:
            values = met.setdefault((one.sub_sensor_index, reading.mrid, reading.timestamp_utc), [])
            if reading.value in values:
                continue
            index = one.sub_sensor_index
            if values:
                moment = (reading.mrid, reading.timestamp_utc)
                index = free.get(moment, beyond)
                free[moment] = index + 1
            by_index.setdefault(index, []).append(reading)
            values.append(reading.value)
        for index, readings in by_index.items():
            yield one._replace(sub_sensor_index=index, readings=readings)


def _from_state(state: object) -> Iterator[tuple[str, int, int, str | None]]:
    """Yield measurement, port, index and depth of what a state says, leaving out what has another form."""
    for measurement, ports in _items(state):
        for port, depths in _items(ports):
            for index, depth in _items(depths):
                numbers = re.fullmatch(r"(-?\d{1,18}) (\d{1,18})", f"{port} {index}", re.ASCII)
                if numbers and (depth is None or isinstance(depth, str)):
                    yield measurement, int(numbers[1]), int(numbers[2]), depth


def _items(part: object) -> Iterable[tuple[str, Any]]:
    return part.items() if isinstance(part, dict) else ()
