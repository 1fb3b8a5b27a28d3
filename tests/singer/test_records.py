"""Readings that are gathered into records: what a record says, and what each of its readings says."""

from __future__ import annotations

from typing import Any

from tap_zentra.singer.records import Gathering

KEY, SHARED = ("device_sn", "mrid"), ("device_sn", "mrid", "device_name")


def _reading(mrid: int, value: float | None, **other: Any) -> dict[str, Any]:
    return {"device_sn": "z6-1", "mrid": mrid, "device_name": "North", "value": value, "depth": None} | other


def _gathered(*readings: dict[str, Any]) -> list[dict[str, Any]]:
    gathering = Gathering(KEY, SHARED)
    gathering.add(readings[:2])
    gathering.add(readings[2:])
    return gathering.take()


def _record(mrid: int, *readings: dict[str, Any], device_name: str | None = "North") -> dict[str, Any]:
    return {"device_sn": "z6-1", "mrid": mrid, "device_name": device_name, "readings": list(readings)}


def test_readings_of_one_key_are_one_record() -> None:
    """In whatever order and in however many parts they come; what they share is said once, and nulls are left out."""
    assert _gathered(_reading(1, 0.1), _reading(2, None), _reading(1, 0, depth="10 cm"), _reading(2, 0.4)) == [
        _record(1, {"value": 0.1}, {"value": 0, "depth": "10 cm"}),
        _record(2, {}, {"value": 0.4}),
    ]


def test_a_reading_that_differs_from_its_record_says_so() -> None:
    """Nothing is lost where readings of one record do not share what they mostly do."""
    assert _gathered(_reading(1, 0.1), _reading(1, 0.2, device_name="South"), _reading(1, 0.3, device_name=None)) == [
        _record(1, {"value": 0.1}, {"value": 0.2, "device_name": "South"}, {"value": 0.3})
    ]
    assert _gathered(_reading(1, 0.1, device_name=None), _reading(1, 0.2)) == [
        _record(1, {"value": 0.1}, {"value": 0.2, "device_name": "North"}, device_name=None)
    ]


def test_what_was_taken_is_gone() -> None:
    """Each record is written once."""
    gathering = Gathering(KEY, SHARED)
    gathering.add([_reading(1, 0.1)])

    assert gathering.take() == [_record(1, {"value": 0.1})]
    assert gathering.take() == []
