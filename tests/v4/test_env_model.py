"""Stream `env_model_data`: its records, what is refused, and what a sync after another brings, without a network."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.calls.errors import DeviceFailedError
from tap_zentra.calls.schedule import Turn
from tap_zentra.emulator import Device
from tap_zentra.http import Response
from tap_zentra.settings import EnvModel, Settings, read_settings
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.moments import DAY, iso_timestamp
from tap_zentra.singer.pages import DeviceProgress
from tap_zentra.v4.api import Api
from tap_zentra.v4.env_model import (
    ENV_MODEL_DATA,
    ENV_MODEL_DATA_KEY,
    EnvModelReader,
    StationBookmarks,
    decode_model_data,
    require_data_of,
    station_name,
)
from tests.emulator.support import MIDNIGHT, Cloud
from tests.support import a_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_zentra.calls.memory import Call
    from tap_zentra.http import Transport
    from tap_zentra.singer.pages import Page

ETO = EnvModel("z6-1", 1, "ETo", elevation=806, latitude=32.25, wind_measurement_height=2)
ETR = EnvModel("z6-1", 1, "ETr", elevation=806, latitude=32.25, wind_measurement_height=2)
FIRST_DAY = 1_767_250_799
"""2025-12-31 23:59:59 at a device whose local time is 7 hours behind UTC: day 0."""
NOW = FIRST_DAY + 20 * DAY
"""When all runs begin, unless told: at the end of day 20."""
METADATA = {"units": " in", "start": "2026-01-01", "end": "2026-01-02", "data_source": "z6-1", "model_type": "ETo"}
DAY_AS_SENT: dict[str, Any] = {
    "value": 0.157,
    "error_flag": False,
    "error_description": None,
    "tz_offset": -25200,
    "timestamp_utc": FIRST_DAY,
    "datetime": "2025-12-31 23:59:59-07:00",
}
NO_RECORDS = b"No records for this timerange"
DELETE = object()


def _stamp(day: int) -> int:
    return FIRST_DAY + day * DAY


def _date(day: int) -> str:
    """Return the moment of a day's end as the settings take it."""
    return datetime.fromtimestamp(_stamp(day), tz=UTC).isoformat()


def _body(*days: Mapping[str, Any], **metadata: Any) -> bytes:
    """Return a response of days, each as far as it differs from DAY_AS_SENT, and its metadata likewise."""
    sent = [{**DAY_AS_SENT, **day} for day in days]
    return json.dumps({"data": {"metadata": {**METADATA, **metadata}, "readings": sent}}).encode()


def _values(values: Mapping[int, float | None] | Iterable[float | None], **metadata: Any) -> bytes:
    """Return a response with the values of days: from day 0 on, or day -> value."""
    by_day = values if isinstance(values, dict) else dict(enumerate(cast("Iterable[float | None]", values)))
    return _body(*({"timestamp_utc": _stamp(day), "value": value} for day, value in by_day.items()), **metadata)


def _settings(**settings: object) -> Settings:
    return read_settings({"auth_token": "x", "device_sns": "z6-1", **settings})


class _Api:
    """Calls that bring one body, and what they were asked for."""

    def __init__(self, body: bytes = NO_RECORDS) -> None:
        self.body = body
        self.asked: list[tuple[EnvModel, int | None, int | None]] = []

    def get_env_model_data(self, station: EnvModel, call: Call, *, start: int | None, end: int | None) -> bytes:
        """Bring the body."""
        call.on_sent()
        self.asked.append((station, start, end))
        return self.body


def _reader(
    api: object = None,
    bookmark: Bookmark | None = None,
    *,
    station: EnvModel = ETO,
    stations: StationBookmarks | None = None,
    now: float = NOW,
    **settings: object,
) -> EnvModelReader:
    shared = stations or StationBookmarks(bookmark, [station])
    return EnvModelReader(station, cast("Api", api), _settings(**settings), stations=shared, now=now)


def _stored(bookmark: Bookmark | None) -> Bookmark | None:
    """Return a bookmark as the next run finds it in the state."""
    return None if bookmark is None else Bookmark(**json.loads(json.dumps(asdict(bookmark))))


def _write(page: Page) -> tuple[list[dict[str, Any]], Bookmark | None]:
    """Return what a page brings, and where the device stands once it has been written."""
    parts = list(page.parts())
    assert parts[-1].bookmark is not None
    return [record for part in parts for record in part.records], parts[-1].bookmark()


def _sync(body: bytes, bookmark: Bookmark | None = None, **options: Any) -> tuple[list[tuple[int, Any]], Bookmark]:
    """Return the days and values that a sync writes, and the bookmark that it leaves."""
    records, left = _write(_reader(None, _stored(bookmark), **options).take(body))
    assert left is not None
    return [(_day(record["timestamp_utc"]), record["value"]) for record in records], left


def _day(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() - FIRST_DAY) // DAY


def _record(day: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return the record of a response with one day."""
    ([record], _) = _write(_reader().take(_body(day or {}, **metadata)))
    return record


# Records


def test_a_day_becomes_a_record() -> None:
    """With what it was computed from; units without blanks."""
    assert _record() == {
        "device_sn": "z6-1",
        "model_type": "ETo",
        "port_number": 1,
        "timestamp_utc": "2026-01-01T06:59:59+00:00",
        "value": 0.157,
        "units": "in",
        "error_flag": False,
        "error_description": None,
        "local_datetime": "2025-12-31 23:59:59-07:00",
        "tz_offset": -25200,
        "elevation": 806,
        "latitude": 32.25,
        "wind_measurement_height": 2,
        "extra": None,
    }


def test_a_record_is_what_the_schema_says() -> None:
    """Each column is described, in its order, and the key is required."""
    assert list(_record()) == list(ENV_MODEL_DATA["properties"])
    assert set(ENV_MODEL_DATA["required"]) == set(ENV_MODEL_DATA_KEY)
    assert all(column["description"] for column in ENV_MODEL_DATA["properties"].values())
    jsonschema.Draft7Validator(ENV_MODEL_DATA).validate(_record())
    jsonschema.Draft7Validator(ENV_MODEL_DATA).validate(_record({"value": None, "tz_offset": "-07:00"}, units=5))


@pytest.mark.parametrize("word", [b"NaN", b"null", b"Infinity", b"1e999"])
def test_a_value_that_is_none_is_null(word: bytes) -> None:
    """The service is known to send an unquoted NaN."""
    ([record], _) = _write(_reader().take(_body({}).replace(b"0.157", word)))

    assert record["value"] is None


def test_what_is_only_there_to_be_shown_may_be_missing() -> None:
    """A moment and a value are enough."""
    body = {"data": {"readings": [{"timestamp_utc": float(FIRST_DAY), "value": 0}]}}
    ([record], _) = _write(_reader().take(json.dumps(body).encode()))

    assert {name for name, value in record.items() if value is not None} == {
        *ENV_MODEL_DATA_KEY,
        "value",
        "elevation",
        "latitude",
        "wind_measurement_height",
    }
    assert record["timestamp_utc"] == "2026-01-01T06:59:59+00:00"


@pytest.mark.parametrize(
    ("day", "metadata", "extra"),
    [
        ({"crop": "grass"}, {}, {"crop": "grass"}),
        ({}, {"model_version": 2}, {"model_version": 2}),
        ({"note": 1, "a": 2}, {"note": 3}, {"note": 1, "a": 2}),
        ({"tz_offset": "-07:00"}, {}, {"tz_offset": "-07:00"}),
        ({"error_flag": 1, "error_description": ["x"], "datetime": 5}, {"units": 7}, None),
        ({}, {"start": "2026-01-05", "end": {"a": 1}}, "nothing"),
        ({"error_description": "", "datetime": ""}, {"units": " "}, "nothing"),
    ],
)
def test_what_no_column_knows_is_kept(day: dict[str, Any], metadata: dict[str, Any], extra: object) -> None:
    """Unknown fields, and known ones of another form, which are null; but not which days the response is about."""
    record = _record(day, **metadata)
    everything = {**metadata, **day}

    assert record["extra"] == (None if extra == "nothing" else extra or everything)
    assert all(record.get(name) is None for name in everything)


# Responses


@pytest.mark.parametrize(
    "body",
    [
        NO_RECORDS,
        b'"No records for this timerange"',
        b"  no records for this  timerange.\r\n",
        b'"NO RECORDS FOR THIS TIMERANGE. " ',
        bytearray(NO_RECORDS),
        b'{"data": {"metadata": {}, "readings": []}}',
        b'{"data": {"metadata": null, "readings": []}}',
    ],
)
def test_no_records_are_an_empty_answer(body: bytes) -> None:
    """Said as a bare text, as a JSON text, or with a list; the device stands where it stood."""
    reader = _reader()
    records, bookmark = _write(reader.take(body))

    assert (records, bookmark, reader.done, reader.calls_left) == ([], None, True, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"Maintenance", b"<html>No records for this timerange</html>", NO_RECORDS + b" yet", _body({})[:-9], b"nan"],
)
def test_another_text_is_no_answer(body: bytes) -> None:
    """It may be a page for people, or cut off: the same call may succeed later, so the station is not done."""
    reader = _reader()
    with pytest.raises(NotJSONError):
        reader.take(body)

    assert (reader.done, reader.calls_left) == (False, 1)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("data",), DELETE, "missing required field `data`"),
        (("data",), None, r"\$.data"),
        (("data",), [], r"\$.data"),
        (("data", "readings"), DELETE, "missing required field `readings`"),
        (("data", "readings"), None, "readings"),
        (("data", "readings", 0), 5, r"readings\[0\]"),
        (("data", "metadata"), [], "metadata"),
        (("data", "metadata", "data_source"), 5, "data_source"),
        (("data", "metadata", "model_type"), ["ETo"], "model_type"),
        (("data", "readings", 0, "timestamp_utc"), DELETE, "missing required field `timestamp_utc`"),
        (("data", "readings", 0, "timestamp_utc"), None, "timestamp_utc"),
        (("data", "readings", 0, "timestamp_utc"), float("nan"), "timestamp_utc"),
        (("data", "readings", 0, "timestamp_utc"), "1767250799", "timestamp_utc"),
        (("data", "readings", 0, "timestamp_utc"), FIRST_DAY * 1000, "timestamp_utc"),
        (("data", "readings", 0, "value"), DELETE, "missing required field `value`"),
        (("data", "readings", 0, "value"), "0.1", "value"),
        (("data", "readings", 0, "value"), True, "value"),
    ],
)
def test_a_response_of_another_shape_is_refused_with_the_field_named(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    """What a key and the value need is checked before a record is made."""
    body = json.loads(_body({}))
    part = body
    for step in path[:-1]:
        part = part[step]
    if value is DELETE:
        del part[path[-1]]
    else:
        part[path[-1]] = value

    with pytest.raises(UnexpectedBodyError, match=words) as caught:
        decode_model_data(json.dumps(body).encode())
    assert str(caught.value).startswith("unexpected response format: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b'"some words"'])
def test_a_response_that_is_no_object_is_refused(body: bytes) -> None:
    """It is JSON, and nothing that this service is known to send."""
    with pytest.raises(UnexpectedBodyError, match="unexpected response format: "):
        decode_model_data(body)


def test_an_error_that_comes_with_status_200_is_told_in_the_services_words() -> None:
    """An answer that has a detail instead of data is a fault, told as the service tells it."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response has no data: Not found\.$"):
        decode_model_data(b'{"detail": "Not found."}')


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"data_source": "z6-2"}, "the response is for another device: metadata.data_source is 'z6-2'"),
        (
            {"model_type": "ETr"},
            "the response is for a model other than ETo: metadata.model_type is 'ETr'",
        ),
    ],
)
def test_the_days_of_another_station_are_refused(metadata: dict[str, str], words: str) -> None:
    """Of another device or another model; the message names the field."""
    reader = _reader()
    with pytest.raises(UnexpectedBodyError) as caught:
        reader.take(_body({}, **metadata))

    assert str(caught.value) == words
    assert not reader.done


@pytest.mark.parametrize(
    "metadata",
    [{"data_source": "Z6-1", "model_type": "ETO"}, {"data_source": None, "model_type": ""}, {"data_source": ""}],
)
def test_the_case_of_a_name_does_not_matter_and_a_missing_one_is_taken(metadata: dict[str, Any]) -> None:
    """The service may spell both as it likes, and records have them as the settings do."""
    require_data_of(decode_model_data(_body({}, **metadata)), ETO)

    assert (_record(**metadata)["device_sn"], _record(**metadata)["model_type"]) == ("z6-1", "ETo")


@pytest.mark.parametrize(
    ("values", "chosen"),
    [([0.1, 0.1], 0.1), ([0.1, None], 0.1), ([None, 0.1], 0.1), ([0.1, 0.2], 0.2), ([0.1, None, 0.2, None], 0.2)],
)
def test_a_day_that_comes_twice_is_one_record(values: Sequence[float | None], chosen: float) -> None:
    """The one with a value, else the last: two of one key would overwrite each other in an order that nobody knows."""
    written, _ = _sync(_body(*({"value": value} for value in values)))

    assert written == [(0, chosen)]


def test_of_two_days_without_a_value_the_last_counts() -> None:
    """It says why there is none."""
    page = _reader().take(_body({"value": None}, {"value": None, "error_description": "Insufficient data"}))

    assert [record["error_description"] for record in _write(page)[0]] == ["Insufficient data"]


# One call


def test_a_reader_asks_once_for_all_of_its_station() -> None:
    """It says when the request has gone out; the end is known before the first response."""
    api = _Api(_body({}))
    sent: list[bool] = []
    reader = _reader(api)
    progress = [(reader.calls_left, reader.done)]
    reader.take(reader.call(a_call(lambda: sent.append(True))))
    progress.append((reader.calls_left, reader.done))

    assert api.asked == [(ETO, None, None)]
    assert sent == [True]
    assert progress == [(1, False), (0, True)]


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"start_date": _date(2)}, [2, 3, 4, 5]),
        ({"end_date": _date(3)}, [0, 1, 2, 3]),
        ({"start_date": _date(2), "end_date": _date(2)}, [2]),
        ({"start_date": "1970-01-01"}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_first_sync_brings_the_days_that_are_wanted(settings: dict[str, Any], days: list[int]) -> None:
    """Both ends of the range belong to it, and the service, which may bring more, is asked for it."""
    api = _Api(_values([0.1] * 6))
    reader = _reader(api, **settings)
    records, bookmark = _write(reader.take(reader.call(a_call())))
    valid = _settings(**settings)

    assert [_day(record["timestamp_utc"]) for record in records] == days
    assert api.asked == [(ETO, valid.start_date, valid.end_date)]
    assert bookmark is not None
    assert bookmark.value == _stamp(days[-1])


def test_a_later_sync_asks_from_the_look_back_on() -> None:
    """Seven days up to the newest one, unless the settings say otherwise; the newest one at least."""
    _, left = _sync(_values([0.1] * 20))
    asked = []
    for days in (7, 1, 0):
        api = _Api()
        _reader(api, _stored(left), env_model_lookback_days=days).call(a_call())
        asked += [start for _, start, _ in api.asked]

    assert asked == [_stamp(12) + 1, _stamp(18) + 1, _stamp(18) + 1]


def test_days_come_in_their_order() -> None:
    """Whatever the order of the service."""
    page = _reader().take(_values({3: 0.3, 1: 0.1, 2: 0.2}))

    assert [record["value"] for record in _write(page)[0]] == [0.1, 0.2, 0.3]
    assert page.positions == (_stamp(1), _stamp(3))


def test_many_days_are_written_in_parts() -> None:
    """The bookmark moves with the last one."""
    page = _reader(now=_stamp(4000)).take(_values([0.1] * 650))
    parts = list(page.parts())

    assert [len(part.records) for part in parts] == [300, 300, 50, 0]
    assert [part.bookmark is None for part in parts] == [True, True, True, False]


def test_a_page_says_nothing_of_gaps_and_silence() -> None:
    """They are the readings' business; the newest day is noted all the same."""
    progress = DeviceProgress(Turn("z6-1"), newest=_stamp(0))
    progress.note(_reader().take(_values([0.1, 0.2])))
    progress.note(_reader().take(NO_RECORDS))

    assert (progress.pages, progress.newest, progress.gaps) == (2, _stamp(1), [])
    assert progress.positions == (_stamp(0), _stamp(1))


# Days that are not over, and clocks that are ahead


def test_a_day_beyond_the_next_one_is_left_out() -> None:
    """A clock that is wrong stamped it; the day at hand, whose end is still to come, is not that."""
    page = _reader(now=_stamp(2)).take(_values([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]))
    records, bookmark = _write(page)

    assert [record["value"] for record in records] == [0.0, 0.1, 0.2, 0.3]
    assert (page.ahead, page.positions) == (_stamp(5), (_stamp(0), _stamp(3)))
    assert bookmark is not None
    assert bookmark.value == _stamp(3)


def test_a_day_that_was_left_out_comes_when_its_time_has_come() -> None:
    """The bookmark did not pass over it."""
    _, left = _sync(_values([0.0, 0.1, 0.2]), now=_stamp(0))
    written, _ = _sync(_values([0.0, 0.1, 0.2]), left, now=_stamp(1))

    assert written == [(2, 0.2)]


def test_a_day_that_is_not_wanted_is_not_ahead() -> None:
    """What lies behind end_date was not asked for."""
    assert _reader(end_date=_date(1), now=_stamp(1)).take(_values([0.1] * 9)).ahead is None


def test_the_newest_day_is_read_again_without_a_look_back() -> None:
    """It may not have been over; one before it is not."""
    _, left = _sync(_values([0.1, 0.2, 0.3]), env_model_lookback_days=0)
    written, _ = _sync(_values([-1, 0.25, 0.35, 0.4]), left, env_model_lookback_days=0)

    assert written == [(2, 0.35), (3, 0.4)]


# What is read again


@pytest.mark.parametrize("ignores_start", [True, False])
def test_an_idle_sync_writes_nothing(*, ignores_start: bool) -> None:
    """Also where the service ignores start_date and brings everything."""
    values = dict.fromkeys(range(20), 0.1)
    _, left = _sync(_values(values))
    again = values if ignores_start else {day: value for day, value in values.items() if day >= 12}
    written, after = _sync(_values(again), left)

    assert written == []
    assert after == left


@pytest.mark.parametrize(
    "again",
    [
        {"timestamp_utc": float(FIRST_DAY), "value": 1.0},
        {"value": 1, "error_description": ""},
        {"value": 1, "datetime": None, "note": "new"},
    ],
)
def test_the_form_of_a_value_makes_no_difference(again: dict[str, Any]) -> None:
    """Neither 1 or 1.0, nor null or "", nor what is only there to be shown."""
    _, left = _sync(_body({"value": 1}))

    assert _sync(_body(again, start="2030-01-01"), left)[0] == []


@pytest.mark.parametrize(
    ("again", "metadata"),
    [({"value": 0.158}, {}), ({"error_flag": True}, {}), ({"error_description": "x"}, {}), ({}, {"units": " mm"})],
)
def test_a_day_that_was_corrected_is_written_again(again: dict[str, Any], metadata: dict[str, Any]) -> None:
    """In its value, or in what the value means; once."""
    _, left = _sync(_body({}))
    written, after = _sync(_body(again, **metadata), left)

    assert len(written) == 1
    assert _sync(_body(again, **metadata), after)[0] == []


def test_only_the_days_that_changed_are_written_again() -> None:
    """Not their neighbours; the page tells how many, and they are nothing new."""
    _, left = _sync(_values([None if day == 15 else 0.1 for day in range(20)]))
    page = _reader(None, _stored(left)).take(_values([0.5 if day in {15, 17} else 0.1 for day in range(20)]))

    assert [_day(record["timestamp_utc"]) for record in _write(page)[0]] == [15, 17]
    assert (page.rewritten, page.positions) == (2, None)


def test_a_change_before_the_look_back_is_not_seen() -> None:
    """The look-back is so many days up to the newest one."""
    _, left = _sync(_values([0.1] * 20), env_model_lookback_days=3)
    written, _ = _sync(_values([0.5] * 20), left, env_model_lookback_days=3)

    assert written == [(17, 0.5), (18, 0.5), (19, 0.5)]


def test_a_day_that_comes_late_is_written() -> None:
    """It was missing within the look-back."""
    _, left = _sync(_values({16: 0.1, 18: 0.1, 19: 0.1}))
    written, _ = _sync(_values({16: 0.1, 17: 0.7, 18: 0.1, 19: 0.1}), left)

    assert written == [(17, 0.7)]


def test_an_empty_answer_forgets_nothing() -> None:
    """What changes meanwhile is written by the sync after it."""
    _, left = _sync(_values([0.1] * 20))
    written, after = _sync(NO_RECORDS, left)

    assert (written, after) == ([], left)
    assert _sync(_values([0.1] * 19 + [0.2]), after)[0] == [(19, 0.2)]


def test_a_day_before_the_first_one_that_comes_late_is_written() -> None:
    """The first sync had asked for it, and found none."""
    _, left = _sync(_values({3: 0.1, 4: 0.1}))

    assert _sync(_values({2: 0.7, 3: 0.1, 4: 0.1}), left)[0] == [(2, 0.7)]


def test_an_answer_without_the_newest_day_does_not_move_the_bookmark_back() -> None:
    """A day that the service takes back stays where it is stored; there again, it is written once more."""
    _, left = _sync(_values([0.1] * 5))
    written, after = _sync(_values([0.1] * 4), left)

    assert (written, after.value) == ([], _stamp(4))
    assert _sync(_values([0.1] * 5), after)[0] == [(4, 0.1)]


def test_the_state_of_a_station_is_small() -> None:
    """A digest for each day of the look-back, and some more for the time before the newest one."""
    _, left = _sync(_values([0.1] * 20), env_model_lookback_days=10)

    assert len(left.stations["ETo 1"]["overlap"]["digests"]) < 10 + 20


def test_what_is_read_again_never_reaches_behind_start_date() -> None:
    """Also where a service brings it all."""
    _, left = _sync(_values([0.1] * 5), start_date=_date(3))

    assert _sync(_values([0.2] * 5), left, start_date=_date(3))[0] == [(3, 0.2), (4, 0.2)]


def test_a_start_date_after_the_bookmark_leaves_no_hole() -> None:
    """It is where the first sync began; later ones go on where the last one ended."""
    _, left = _sync(_values([0.1] * 5))

    assert _sync(_values([0.1] * 9), left, start_date=_date(7))[0] == [(day, 0.1) for day in (5, 6, 7, 8)]


def test_an_end_date_before_the_bookmark_writes_a_change_once() -> None:
    """All that is read again is read to the bookmark, so that the digests are those of what was written."""
    _, left = _sync(_values([0.1] * 10))
    api = _Api(_values([0.1] * 8 + [0.2] * 4))
    reader = _reader(api, _stored(left), end_date=_date(5))
    records, after = _write(reader.take(reader.call(a_call())))

    assert api.asked[0][2] == _stamp(9)
    assert [_day(record["timestamp_utc"]) for record in records] == [8, 9]
    assert _sync(api.body, after, end_date=_date(5))[0] == []


@pytest.mark.parametrize("odd", [None, 5, {"from": 1}, {"from": 1, "digests": []}])
def test_a_state_with_odd_digests_gets_new_ones(odd: object) -> None:
    """Nothing counts as changed then, nothing new is passed over, and changes are seen from then on."""
    _, left = _sync(_values([0.1] * 5))
    left.stations["ETo 1"]["overlap"] = odd
    written, after = _sync(_values([0.1] * 6), left)

    assert written == [(5, 0.1)]
    assert _sync(_values([0.1] * 5 + [0.2]), after)[0] == [(5, 0.2)]


def test_digests_that_begin_behind_the_bookmark_hide_no_new_day() -> None:
    """Such a state was written by hand."""
    _, left = _sync(_values([0.1] * 5))
    left.stations["ETo 1"]["overlap"] = {"from": _stamp(9), "digests": []}

    assert _sync(_values([0.1] * 7), left)[0] == [(5, 0.1), (6, 0.1)]


def test_new_digests_begin_at_start_date() -> None:
    """What comes before it was not read, and is not to be read later."""
    _, left = _sync(_values([0.1] * 5), start_date=_date(3))
    left.stations["ETo 1"]["overlap"] = None
    api = _Api()
    for start_date in (3, 4, 7):
        _reader(api, _stored(left), start_date=_date(start_date)).call(a_call())

    assert [start for _, start, _ in api.asked] == [_stamp(3), _stamp(4), _stamp(4)]


_histories = st.lists(
    st.dictionaries(st.integers(0, 25), st.one_of(st.none(), st.integers(0, 3)), max_size=12), min_size=1, max_size=5
)


@given(histories=_histories, lookback=st.integers(0, 5), ignores_start=st.booleans())
def test_whatever_comes_late_within_the_look_back_arrives(
    *, histories: list[dict[int, float | None]], lookback: int, ignores_start: bool
) -> None:
    """After each sync the target has what the service has of the days that were read, and an idle one adds nothing."""
    stored: dict[int, float | None] = {}
    service: dict[int, float | None] = {}
    left: Bookmark | None = None
    for changes in histories:
        newest = max(stored, default=None)
        first = 0 if newest is None else newest - max(1, lookback) + 1
        service |= {day: value for day, value in changes.items() if newest is None or day >= first}
        body = _values(service if ignores_start else {day: service[day] for day in service if day >= first})
        for is_first in (True, False):
            records, left = _write(
                _reader(None, _stored(left), env_model_lookback_days=lookback, now=_stamp(30)).take(body)
            )
            assert is_first or not records
            stored |= {_day(record["timestamp_utc"]): record["value"] for record in records}
        assert stored == service


# Where stations stand


def test_a_device_stands_where_its_last_station_does() -> None:
    """While one of them has no day yet, it has no value."""
    stations = StationBookmarks(None, [ETO, ETR])
    eto = _reader(stations=stations).take(_values([0.1] * 5))
    etr = _reader(station=ETR, stations=stations).take(_values([0.1] * 3, model_type="ETr"))
    first, second = _write(eto)[1], _write(etr)[1]

    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (None, _stamp(2))
    assert {place: entry["at"] for place, entry in second.stations.items()} == {
        "ETo 1": iso_timestamp(_stamp(4)),
        "ETr 1": iso_timestamp(_stamp(2)),
    }
    assert second.stations["ETo 1"]["inputs"] == ["806.0", "32.25", "2.0"]
    assert set(first.stations) == {"ETo 1"}


def test_a_device_moves_when_a_page_has_been_written() -> None:
    """Pages are taken in one order and written in another; what was not written is not in the bookmark."""
    stations = StationBookmarks(None, [ETO, ETR])
    eto = _reader(stations=stations).take(_values([0.1] * 5))
    etr = _reader(station=ETR, stations=stations).take(_values([0.1] * 3, model_type="ETr"))

    assert stations.bookmark() is None
    left = _write(etr)[1]
    assert left is not None
    assert set(left.stations) == {"ETr 1"}
    left = _write(eto)[1]
    assert left is not None
    assert set(left.stations) == {"ETr 1", "ETo 1"}


def test_stations_of_a_device_go_on_each_from_its_own_day() -> None:
    """The one that is behind does not hold back the other, nor have it written again."""
    stations = StationBookmarks(None, [ETO, ETR])
    _write(_reader(stations=stations).take(_values([0.1] * 5)))
    left = _write(_reader(station=ETR, stations=stations).take(_values([0.1] * 3, model_type="ETr")))[1]
    again = StationBookmarks(_stored(left), [ETO, ETR])
    eto = _reader(stations=again).take(_values([0.1] * 6))
    etr = _reader(station=ETR, stations=again).take(_values([0.1] * 6, model_type="ETr"))

    assert [page.positions for page in (eto, etr)] == [(_stamp(5), _stamp(5)), (_stamp(3), _stamp(5))]


@pytest.mark.parametrize("field", ["elevation", "latitude", "wind_measurement_height"])
def test_a_station_with_other_inputs_is_read_from_its_start(field: str) -> None:
    """All of its values are others; until they have been written the device has no value."""
    _, left = _sync(_values([0.1] * 20))
    changed = EnvModel(**{**asdict(ETO), field: 3})
    stations = StationBookmarks(_stored(left), [changed])
    api = _Api(_values([0.2] * 20))
    reader = _reader(api, station=changed, stations=stations)
    before = stations.bookmark()
    records, after = _write(reader.take(reader.call(a_call())))

    assert api.asked == [(changed, None, None)]
    assert before is not None
    assert (before.value, before.stations) == (None, left.stations)
    assert len(records) == 20
    assert after is not None
    assert (after.value, after.stations["ETo 1"]["inputs"]) == (
        _stamp(19),
        [str(float(number)) for number in list(asdict(changed).values())[3:]],
    )


def test_inputs_in_another_form_are_the_same() -> None:
    """806.0 is 806."""
    _, left = _sync(_values([0.1] * 5))
    same = EnvModel(**{**asdict(ETO), "elevation": 806.0, "wind_measurement_height": 2.0})

    assert _sync(_values([0.1] * 5), left, station=same)[0] == []


def test_a_new_entry_is_read_from_its_start_beside_one_that_is_known() -> None:
    """A device's value says nothing of an entry that came later."""
    _, left = _sync(_values([0.1] * 5))
    stations = StationBookmarks(_stored(left), [ETO, ETR])
    page = _reader(station=ETR, stations=stations).take(_values([0.1] * 5, model_type="ETr"))

    assert page.positions == (_stamp(0), _stamp(4))


def test_an_entry_that_is_no_longer_wanted_is_kept() -> None:
    """It counts for nothing in the device's value, and goes on when it is wanted again."""
    stations = StationBookmarks(None, [ETO, ETR])
    _write(_reader(stations=stations).take(_values([0.1] * 2)))
    left = _write(_reader(station=ETR, stations=stations).take(_values([0.1] * 5, model_type="ETr")))[1]
    _, after = _sync(_values([0.1] * 9, model_type="ETr"), left, station=ETR)

    assert after.value == _stamp(8)
    assert after.stations["ETo 1"] == stations.bookmark().stations["ETo 1"]  # type: ignore[union-attr]
    assert _sync(_values([0.1] * 3), after)[0] == [(2, 0.1)]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "ETo 1",
        {"ETo 1": None},
        {"ETo 1": []},
        {"ETo 1": {"inputs": ["806.0", "32.25", "2.0"]}},
        {"ETo 1": {"at": None, "inputs": ["806.0", "32.25", "2.0"]}},
        {"ETo 1": {"at": "soon", "inputs": ["806.0", "32.25", "2.0"]}},
        {"ETo 1": {"at": "0001-01-01T00:00:00+14:00"}},
        {"ETo 1": {"at": 5, "inputs": ["806.0", "32.25", "2.0"]}},
        {"ETo 1": {"at": iso_timestamp(FIRST_DAY)}},
        {"ETo 1": {"at": iso_timestamp(FIRST_DAY), "inputs": {"elevation": 806}}},
    ],
)
def test_a_state_that_this_tap_can_not_have_written_is_read_from_the_start(odd: object) -> None:
    """Better all days again than one too few."""
    written, left = _sync(_values([0.1] * 3), Bookmark(_stamp(1), stations=odd))

    assert [day for day, _ in written] == [0, 1, 2]
    assert left.value == _stamp(2)


@pytest.mark.parametrize("at", ["2026-01-01T06:59:59Z", "2026-01-01T06:59:59", "2026-01-01T07:59:59+01:00"])
def test_a_moment_may_be_written_in_any_way(at: str) -> None:
    """By hand, or by another version."""
    bookmark = Bookmark(None, stations={"ETo 1": {"at": at, "inputs": ["806.0", "32.25", "2.0"]}})

    assert StationBookmarks(bookmark, [ETO]).at(ETO) == FIRST_DAY


def test_a_device_that_is_read_again_from_its_start_forgets_its_stations() -> None:
    """All of its days are written again."""
    _, left = _sync(_values([0.1] * 20))

    assert len(_sync(_values([0.1] * 20), left.at_start())[0]) == 20


def test_what_else_the_bookmark_has_is_kept() -> None:
    """And it can be stored as JSON."""
    _, left = _sync(_values([0.1]), Bookmark(None, known={"a": 1}))

    assert left.known == {"a": 1}
    assert _stored(left) == left


def test_a_bookmark_is_not_changed_by_what_is_written_later() -> None:
    """It may still wait to be stored."""
    stations = StationBookmarks(None, [ETO])
    first = stations.move(ETO, _stamp(1), None)
    stations.move(ETO, _stamp(2), None)

    assert first is not None
    assert first.stations["ETo 1"]["at"] == iso_timestamp(_stamp(1))


def test_a_station_has_a_name() -> None:
    """For messages, beside the serial number of its device."""
    assert station_name(ETO) == "ETo, port 1"


# The emulator's service


class _ToEmulator:
    """A transport whose server is the emulator's service."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def get(self, url: str, parameters: Mapping[str, str | int], call: Call) -> Response:
        """Ask the service."""
        call.on_sent()
        answer = self.cloud.receive(parameters, url.removeprefix("https://zentra.example")).answer()
        return Response(answer.status, "", {}, bytearray(answer.body))

    def general_error(self, response: Response) -> None:
        """Have the API say what an error is."""


def _emulated(device: Device) -> Api:
    transport = cast("Transport", _ToEmulator(Cloud([device])))
    return Api(transport, base_url="https://zentra.example", api_version="v4", device_call_limit=1)


def _read(api: Api, bookmark: Bookmark | None, **options: Any) -> tuple[list[dict[str, Any]], Bookmark | None]:
    reader = _reader(api, _stored(bookmark), now=MIDNIGHT + 40 * DAY, **options)
    return _write(reader.take(reader.call(a_call())))


def _station(**attributes: Any) -> Device:
    """Return a device that made a record every 15 minutes from the turn of the year 2026 on."""
    return Device("z6-1", **{"records": 96 * 10, "error_rate": 0, **attributes})


@pytest.mark.parametrize("tz_offset", [-12 * 3600, -25200, 0, 14 * 3600])
@pytest.mark.parametrize("model", [ETO, ETR])
def test_the_emulators_days_are_all_read_in_pieces(tz_offset: int, model: EnvModel) -> None:
    """Day by day as the device grows, in every zone, what is written is what one sync brings of all days."""
    whole, _ = _read(_emulated(_station(records=960, tz_offset=tz_offset)), None, station=model)
    rows: dict[str, dict[str, Any]] = {}
    left: Bookmark | None = None
    for records in (0, 1, 50, 96, 300, 301, 960, 960):
        written, left = _read(_emulated(_station(records=records, tz_offset=tz_offset)), left, station=model)
        rows |= {record["timestamp_utc"]: record for record in written}

    assert written == []
    assert list(rows.values()) == whole
    assert {record["model_type"] for record in whole} == {model.model_type}
    assert len(whole) in {10, 11}


@pytest.mark.parametrize("tz_offset", [-12 * 3600, 0, 14 * 3600])
def test_a_range_of_the_emulators_days_is_whole(tz_offset: int) -> None:
    """The service takes the device's local time, and leaves out the day on which a range ends."""
    device = _station(tz_offset=tz_offset)
    whole, _ = _read(_emulated(device), None)
    range_ = {"start_date": whole[2]["timestamp_utc"], "end_date": whole[6]["timestamp_utc"]}

    assert _read(_emulated(device), None, **range_)[0] == whole[2:7]


def test_a_station_on_another_port_is_refused_by_name() -> None:
    """The message says which entry to check."""
    station = EnvModel(**{**asdict(ETO), "port_number": 5})
    reader = _reader(_emulated(_station()), station=station)

    with pytest.raises(
        DeviceFailedError, match=r"There is no ATMOS 41 on port 5\.\); check device_sn z6-1 and port_nu"
    ):
        reader.call(a_call())
