"""Stream `sensors`: when a channel is told of, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.calls.schedule import Turn
from tap_zentra.singer.pages import Channel, DeviceProgress, Part, Sighting
from tap_zentra.singer.sensors import SensorsStream
from tap_zentra.tap import TapZentra

if TYPE_CHECKING:
    from collections.abc import Iterable

NOON = 1_769_860_800
"""2026-01-31T12:00:00Z."""
HOUR = 3600

OLD = Channel(3, 0, "Water Content", "TEROS 11", "T11-1", "m³/m³")
NEW = OLD._replace(sensor_sn="T11-2")
DEVICE = DeviceProgress(Turn("z6-1"))
OTHER = DeviceProgress(Turn("z6-2"))


def _stream(*, has_mrids: bool = True) -> SensorsStream:
    return SensorsStream(TapZentra(config={"auth_token": "x", "device_sns": "z6-1"}), has_mrids=has_mrids)


def _seen(channel: Channel, first: int, last: int, mrids: tuple[int, int] | None = None, **more: Any) -> Sighting:
    return Sighting(channel, (NOON + first, NOON + last), mrids, **more)


def _part(*sightings: Sighting) -> Part:
    return Part([], sightings=lambda: sightings)


def _told(records: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (record["sensor_sn"], record["first_seen_utc"][11:19], record["last_seen_utc"][11:19]) for record in records
    ]


def test_a_channel_is_told_of_once_at_the_end_of_its_device() -> None:
    """With all that the run has read of it, however many pages there were."""
    stream = _stream()
    before = [
        *stream.follow(DEVICE, _part(_seen(OLD, 0, 900, (1, 2), depth="10 cm", precision=3))),
        *stream.follow(DEVICE, _part(_seen(OLD, 1800, 2700, (3, 4)))),
    ]

    assert before == []
    assert list(stream.end(DEVICE)) == [
        {
            "device_sn": "z6-1",
            "port_number": 3,
            "sub_sensor_index": 0,
            "measurement": "Water Content",
            "sensor_name": "TEROS 11",
            "sensor_sn": "T11-1",
            "units": "m³/m³",
            "depth": "10 cm",
            "precision": 3,
            "first_seen_utc": "2026-01-31T12:00:00+00:00",
            "last_seen_utc": "2026-01-31T12:45:00+00:00",
            "first_mrid": 1,
            "last_mrid": 4,
        }
    ]
    assert list(stream.end(DEVICE)) == []
    assert list(stream.last([], NOON)) == []


def test_without_mrids_there_are_no_columns_for_them() -> None:
    """API v5 has none."""
    stream = _stream(has_mrids=False)
    list(stream.follow(DEVICE, _part(_seen(OLD, 0, 900))))
    (record,) = stream.end(DEVICE)

    assert record.keys() == stream.schema["properties"].keys()
    assert not {"first_mrid", "last_mrid"} & record.keys()


def test_a_channel_that_has_ended_is_told_of_before_the_bookmark_moves_on() -> None:
    """A run that is killed behind it goes on behind it, and would never hear of the channel again."""
    stream = _stream()
    swapped = [
        *stream.follow(DEVICE, _part(_seen(OLD, 0, 900))),
        *stream.follow(DEVICE, _part(_seen(NEW, 1000, 900 + HOUR))),
    ]

    assert swapped == []
    assert _told(stream.follow(DEVICE, _part(_seen(NEW, 900 + HOUR, 901 + HOUR)))) == [
        ("T11-1", "12:00:00", "12:15:00")
    ]
    assert _told(stream.end(DEVICE)) == [("T11-2", "12:16:40", "13:15:01")]


def test_a_channel_that_comes_back_is_told_of_again_as_a_whole() -> None:
    """The last record of a key is the one that a table keeps."""
    stream = _stream()
    list(stream.follow(DEVICE, _part(_seen(OLD, 0, 900))))
    list(stream.follow(DEVICE, _part(_seen(NEW, 0, 2 * HOUR))))
    list(stream.follow(DEVICE, _part(_seen(OLD, 3 * HOUR, 3 * HOUR))))

    assert _told(stream.end(DEVICE)) == [("T11-1", "12:00:00", "15:00:00"), ("T11-2", "12:00:00", "14:00:00")]


def test_what_is_left_is_told_of_at_the_end_of_the_run() -> None:
    """Also of a device that failed, or that a signal cut short; each device by itself."""
    stream = _stream()
    list(stream.follow(DEVICE, _part(_seen(OLD, 0, 900))))
    list(stream.follow(OTHER, _part(_seen(OLD, 0, 1800))))
    list(stream.end(OTHER))
    list(stream.follow(OTHER, _part()))

    assert [record["device_sn"] for record in stream.last([], NOON)] == ["z6-1"]


@pytest.mark.parametrize("moments", [[None], [None, (NOON, NOON)], [(NOON, NOON), None]])
def test_readings_stamped_in_the_future_count_for_no_moment(moments: list[tuple[int, int] | None]) -> None:
    """The channel is told of all the same."""
    stream = _stream()
    for seen in moments:
        list(stream.follow(DEVICE, _part(Sighting(OLD, seen))))
    (record,) = stream.end(DEVICE)

    expected = "2026-01-31T12:00:00+00:00" if any(moments) else None
    assert (record["first_seen_utc"], record["last_seen_utc"]) == (expected, expected)


def test_the_latest_depth_and_precision_that_were_told_count() -> None:
    """A page that does not tell them changes nothing."""
    stream = _stream()
    for depth, precision in (("10 cm", 2), ("20 cm", 3), (None, None)):
        list(stream.follow(DEVICE, _part(_seen(OLD, 0, 0, depth=depth, precision=precision))))
    (record,) = stream.end(DEVICE)

    assert (record["depth"], record["precision"]) == ("20 cm", 3)
