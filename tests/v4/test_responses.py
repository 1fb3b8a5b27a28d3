"""Bodies of API v4: what is a page, and what is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.v4.pagination import Order
from tap_zentra.v4.responses import decode_page, order_of, require_page_of
from tests.v4.support import (
    DEVICE,
    NOON,
    a_page,
    an_entry,
    as_sent,
    record_under,
    record_with,
    records_of,
)

# Responses that are not what the service sends

DELETE = object()


def _changed(path: tuple[str | int, ...], value: object) -> bytes:
    body: Any = copy.deepcopy(a_page())
    part = body
    for step in path[:-1]:
        part = part[step]
    if value is DELETE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return as_sent(body)


ENTRY = ("data", "Water Content", 0)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("pagination",), DELETE, "missing required field `pagination`"),
        (("pagination",), None, r"Expected `object`, got `null` - at `\$.pagination`"),
        (("pagination",), [], r"\$.pagination"),
        (("pagination", "max_mrid"), DELETE, r"missing required field `max_mrid` - at `\$.pagination`"),
        (("pagination", "max_mrid"), "4720", "max_mrid"),
        (("pagination", "max_mrid"), 1.5, "max_mrid"),
        (("pagination", "max_mrid"), True, "max_mrid"),
        (("pagination", "max_mrid"), -1, "max_mrid"),
        (("pagination", "max_mrid"), 2**63, "max_mrid"),
        (("data",), DELETE, "missing required field `data`"),
        (("data",), None, r"\$.data"),
        (("data",), [], r"Expected `object`, got `array` - at `\$.data`"),
        (("data", "Water Content"), {}, r"\$.data\["),
        (("data", "Water Content"), None, r"\$.data\["),
        (ENTRY, None, r"\$.data\[\.\.\.\]\[0\]"),
        (ENTRY, [], r"\$.data\[\.\.\.\]\[0\]"),
        ((*ENTRY, "metadata"), DELETE, "missing required field `metadata`"),
        ((*ENTRY, "metadata"), [], r"metadata"),
        ((*ENTRY, "metadata", "device_sn"), DELETE, "missing required field `device_sn`"),
        ((*ENTRY, "metadata", "device_sn"), None, "device_sn"),
        ((*ENTRY, "metadata", "device_sn"), 1234, "device_sn"),
        ((*ENTRY, "metadata", "port_number"), "3", "port_number"),
        ((*ENTRY, "metadata", "port_number"), 3.5, "port_number"),
        ((*ENTRY, "metadata", "port_number"), -2, "port_number"),
        ((*ENTRY, "metadata", "port_number"), True, "port_number"),
        ((*ENTRY, "readings"), DELETE, "missing required field `readings`"),
        ((*ENTRY, "readings"), {}, "readings"),
        ((*ENTRY, "readings", 0), [], r"readings\[0\]"),
        ((*ENTRY, "readings", 0), None, r"readings\[0\]"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), DELETE, "missing required field `timestamp_utc`"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), None, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), "2026-01-31", "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), NOON + 0.5, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), NOON * 1000, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), -1, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "mrid"), DELETE, "missing required field `mrid`"),
        ((*ENTRY, "readings", 0, "mrid"), None, "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), "4711", "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), -1, "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), 2**63, "mrid"),
        ((*ENTRY, "readings", 0, "value"), DELETE, "missing required field `value`"),
        ((*ENTRY, "readings", 0, "value"), "0.3", "value"),
        ((*ENTRY, "readings", 0, "value"), True, "value"),
        ((*ENTRY, "readings", 0, "value"), [0.3], "value"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_the_field_named(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    """A missing part or a wrong type is found before a record is made, and the message says where."""
    with pytest.raises(UnexpectedBodyError, match=words) as caught:
        decode_page(_changed(path, value))
    assert str(caught.value).startswith("unexpected response format: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["mrid", "timestamp_utc"])
def test_a_key_that_is_no_number_is_refused(field: str) -> None:
    """The bare word NaN is a missing value, and a key can't be missing."""
    body = a_page()
    body["data"]["Water Content"][0]["readings"][0][field] = float("nan")

    with pytest.raises(UnexpectedBodyError, match=field):
        decode_page(as_sent(body))


def test_an_error_that_comes_with_status_200_is_told_in_the_services_words() -> None:
    """An answer that has a detail instead of data is a fault, told as the service tells it."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response has no data: Not found\.$"):
        decode_page(b'{"detail": "Not found."}')


def test_a_byte_that_is_no_text_makes_the_body_no_json() -> None:
    """A body that was damaged on its way is asked for again."""
    with pytest.raises(NotJSONError):
        decode_page(as_sent(a_page()).replace(b"Lower", b"L\xffwer"))


@pytest.mark.parametrize(
    ("readings", "order"),
    [
        ([], Order.MRID),
        ([(1, 100)], Order.MRID),
        ([(1, 100), (1, 100), (2, 200)], Order.MRID),
        ([(1, 100), (2, 50)], Order.MRID),
        ([(1, 100), (3, 100), (2, 200)], Order.TIME),
        ([(2, 200), (1, 100)], Order.OTHER),
        ([(1, 100), (3, 300), (2, 200)], Order.OTHER),
    ],
)
def test_a_page_tells_in_which_order_it_came(readings: list[tuple[int, int]], order: Order) -> None:
    """By mrid as asked for, by time where a clock was put back, or neither; one entry is enough to see it."""
    entry = an_entry(*({"mrid": mrid, "timestamp_utc": moment} for mrid, moment in readings))
    page = a_page({"Water Content": [an_entry({})], "Battery": [an_entry({}), entry]})

    assert order_of(decode_page(as_sent(page))) is order


@pytest.mark.parametrize("text", [b"null", b"[]", b"5", b'"text"', b"true", b"NaN", b"{}"])
def test_json_of_another_kind_is_refused(text: bytes) -> None:
    """JSON that is no page at all is a fault, and is not asked for again."""
    with pytest.raises(UnexpectedBodyError, match="unexpected response format"):
        decode_page(text)


def test_an_unknown_field_does_not_hide_a_fault() -> None:
    """A body with unknown fields is looked at as strictly as any other."""
    body = a_page({"Water Content": [an_entry({"quality": 1, "mrid": "x"})]})

    with pytest.raises(UnexpectedBodyError, match="mrid"):
        decode_page(as_sent(body))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON: ''"),
        (b"   ", "not JSON: ''"),
        (as_sent(a_page())[:-1], "not JSON"),
        (as_sent(a_page())[:100], "not JSON"),
        (as_sent(a_page()) + b"}", "not JSON"),
        (as_sent(a_page()) * 2, "not JSON"),
        (b"<html>\n<body>Scheduled <b>maintenance</b></body></html>", "not JSON: 'Scheduled maintenance'"),
        (b"\x1f\x8b\x08\x00", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b'{"data": undefined}', "undefined"),
    ],
)
def test_what_is_not_json_is_told_apart(text: bytes, words: str) -> None:
    """A body that broke off, or a page for people, may come right when asked for again."""
    with pytest.raises(NotJSONError) as caught:
        decode_page(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_json_are_read(encoding: str) -> None:
    """A mark at the beginning, or wider letters, are still JSON."""
    body = json.dumps(a_page({"Water Content": [an_entry({}, device_name="Wiesenstück")]}), ensure_ascii=False)

    assert [record["device_name"] for record in records_of(body.encode(encoding))] == ["Wiesenstück"]


@pytest.mark.parametrize(
    "nested",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000],
)
@pytest.mark.parametrize("before", [b'"mrid": 4711', b'"per_page": 2000', b'"depth": "10 cm"'])
def test_deep_nesting_is_refused(nested: bytes, before: bytes) -> None:
    """A body that no decoder can follow is a fault of its device, and not of the run."""
    body = as_sent(a_page()).replace(before, before + b', "unknown": ' + nested)

    with pytest.raises(UnexpectedBodyError, match=r"^the response is nested too deeply$"):
        decode_page(body)


@pytest.mark.parametrize("half", ["\ud83d", "a\ud83dz", "\ude00\ud83d"])
def test_half_a_letter_is_replaced(half: str) -> None:
    """Half of a surrogate pair is text that no target could store; the rest of the page is as it was."""
    page = a_page({"Battery": [an_entry({"unknown": half, "value": 1e999}, device_name=half)]})
    (record,) = records_of(page)
    whole = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in half)

    assert (record["device_name"], record["extra"], record["value"]) == (whole, {"unknown": whole}, None)


def test_half_a_letter_that_is_not_escaped_is_replaced() -> None:
    """Some programs write it as it is, which is no UTF-8."""
    body = json.dumps(a_page({"Battery": [an_entry({}, device_name="\ud83d", note=1)]}), ensure_ascii=False)

    assert [record["device_name"] for record in records_of(body.encode("utf-8", "surrogatepass"))] == ["\ufffd"]


@pytest.mark.parametrize(
    ("name", "stored"), [("\0", "\ufffd"), ("Lower\0\0meadow", "Lower\ufffd\ufffdmeadow"), ("\\\0", "\\\ufffd")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_nul_is_replaced(name: str, stored: str, encoding: str) -> None:
    """PostgreSQL stores this character in no text, and would end the run of all devices."""
    body = as_sent(a_page({"Battery": [an_entry({}, device_name=name)]})).decode().encode(encoding)

    assert [record["device_name"] for record in records_of(body)] == [stored]


def test_the_escape_of_a_nul_is_a_text() -> None:
    """Six letters that look like the escape of a NUL are letters."""
    assert record_under(device_name="\\u0000")["device_name"] == "\\u0000"


def test_a_whole_surrogate_pair_is_a_letter() -> None:
    """Letters beyond the first 65,536 are escaped in JSON as two halves."""
    body = as_sent(a_page({"Water Content": [an_entry({}, device_name="\U0001f331")]}))

    assert rb"\ud83c\udf31" in body
    assert [record["device_name"] for record in records_of(body)] == ["\U0001f331"]


def test_another_devices_page_is_refused() -> None:
    """A page is written only when every entry is of the device that was asked for."""
    page = decode_page(
        as_sent(
            a_page({"Water Content": [an_entry({})], "Battery": [an_entry({}), an_entry({}, device_sn="z6-99999")]})
        )
    )

    with pytest.raises(UnexpectedBodyError, match=r"another device: metadata\.device_sn is 'z6-99999'"):
        require_page_of(page, DEVICE)


def test_a_name_from_the_service_is_a_short_part_of_a_message() -> None:
    """Whatever the service calls a device or a measurement, the log's line stays one line, and short."""
    name = "x" * 79 + "\n" + "y" * 1000
    other_device = decode_page(as_sent(a_page({"Battery": [an_entry({}, device_sn=name)]})))

    with pytest.raises(UnexpectedBodyError) as caught:
        require_page_of(other_device, DEVICE)

    assert str(caught.value) == f"the response is for another device: metadata.device_sn is {'x' * 79 + ' '!r}"


@pytest.mark.parametrize("data", [{}, {"Water Content": [an_entry({}), an_entry({})]}])
def test_the_devices_own_page_is_taken(data: dict[str, Any]) -> None:
    """A page of the device that was asked for, or of none, is in order."""
    require_page_of(decode_page(as_sent(a_page(data))), DEVICE)


def test_the_word_nan_within_a_text_stays() -> None:
    """Only a value is a missing number; a name that looks like one is a name."""
    name = 'the "value": NaN, of a friend'
    (record,) = records_of(a_page({"Water Content": [an_entry({"value": float("nan")}, device_name=name)]}))

    assert (record["value"], record["device_name"]) == (None, name)


def test_a_serial_in_another_case_is_the_same_device() -> None:
    """What the user writes and what the service writes are compared letter by letter, not case by case."""
    require_page_of(decode_page(as_sent(a_page())), DEVICE.upper())


# Optional fields in a form that we do not know


@pytest.mark.parametrize(
    ("field", "column", "odd"),
    [
        ("precision", "precision", 3.0),
        ("precision", "precision", "3"),
        ("precision", "precision", True),
        ("tz_offset", "tz_offset", -18000.0),
        ("tz_offset", "tz_offset", "-05:00"),
        ("tz_offset", "tz_offset", 2**63),
        ("tz_offset", "tz_offset", -(2**63) - 1),
        ("error_flag", "error_flag", 0),
        ("error_flag", "error_flag", "false"),
        ("error_description", "error_description", 7),
        ("datetime", "local_datetime", 7),
        ("sub_sensor_index", "sub_sensor_index", "1"),
        ("sub_sensor_index", "sub_sensor_index", -1),
    ],
)
def test_an_odd_field_of_a_reading_is_set_aside(field: str, column: str, odd: object) -> None:
    """The column is null, what came stands in `extra`, and the value is kept: no device fails for a description."""
    record = record_with(**{field: odd})

    assert record[column] == (0 if field == "sub_sensor_index" else None)
    assert (record["extra"], record["value"]) == ({field: odd}, 0.312)


@pytest.mark.parametrize(
    ("field", "value"), [("tz_offset", -(2**63)), ("precision", 2**63 - 1), ("sub_sensor_index", 0)]
)
def test_a_right_field_beside_an_odd_one_is_kept(field: str, value: int) -> None:
    """What is set aside is what is odd, and nothing else."""
    record = record_with(**{field: value, "unknown": 1})

    assert (record[field], record["extra"]) == (value, {"unknown": 1})


@pytest.mark.parametrize(
    ("column", "odd"),
    [("sensor_sn", 5), ("sensor_name", {}), ("device_name", 42), ("units", []), ("depth", 10), ("depth", False)],
)
def test_an_odd_field_of_an_entry_is_set_aside(column: str, odd: object) -> None:
    """As for a reading: null, and what came stands in `extra`."""
    record = record_under(**{column: odd})

    assert (record[column], record["extra"]) == (None, {column: odd})


@pytest.mark.parametrize(
    ("field", "column"), [("datetime", "local_datetime"), ("precision", "precision"), ("error_flag", "error_flag")]
)
def test_the_word_nan_in_a_description_is_nothing(field: str, column: str) -> None:
    """A number that is none says nothing, in whatever field it comes."""
    record = record_with(**{field: float("nan")})

    assert (record[column], record["extra"]) == (None, None)


def test_a_flag_that_does_not_come_is_null() -> None:
    """Whether the service marks a reading as faulty is not known then; the value is."""
    reading = {"timestamp_utc": NOON, "mrid": 1, "value": 0.5}
    page = a_page({"Battery": [{"metadata": {"device_sn": DEVICE, "port_number": 7}, "readings": [reading]}]})
    (record,) = records_of(page)

    assert (record["error_flag"], record["value"]) == (None, 0.5)


@pytest.mark.parametrize(("sent", "port"), [(3.0, 3), (None, -1), (-1, -1), (DELETE, -1)])
def test_a_port_is_a_whole_number_or_none(sent: object, port: int) -> None:
    """3.0 is port 3, and where the service names no port it is the device itself, -1."""
    (record,) = records_of(_changed((*ENTRY, "metadata", "port_number"), sent))

    assert (record["port_number"], type(record["port_number"])) == (port, int)


def test_whole_keys_may_come_as_floats() -> None:
    """12.0 is 12, in a moment and in an mrid too."""
    record = record_with(mrid=12.0, timestamp_utc=float(NOON))

    assert decode_page(_changed(("pagination", "max_mrid"), 4720.0)).pagination.max_mrid == 4720
    assert (record["mrid"], record["timestamp_utc"]) == (12, "2026-01-31T12:00:00+00:00")
