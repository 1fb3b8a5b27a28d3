"""Bodies of API v4: what is a page, and what is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tap_zentra.v4.responses import (
    NotJSONError,
    UnexpectedBodyError,
    decode_page,
    require_page_of,
)
from tests.v4.support import (
    DEVICE,
    NOON,
    a_page,
    an_entry,
    as_sent,
    record_under,
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
        ((*ENTRY, "metadata", "port_number"), DELETE, "missing required field `port_number`"),
        ((*ENTRY, "metadata", "port_number"), None, "port_number"),
        ((*ENTRY, "metadata", "port_number"), "3", "port_number"),
        ((*ENTRY, "metadata", "port_number"), -1, "port_number"),
        ((*ENTRY, "metadata", "sensor_sn"), 42, "sensor_sn"),
        ((*ENTRY, "metadata", "sensor_name"), {}, "sensor_name"),
        ((*ENTRY, "metadata", "device_name"), 42, "device_name"),
        ((*ENTRY, "metadata", "units"), [], "units"),
        ((*ENTRY, "metadata", "depth"), 10, "depth"),
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
        ((*ENTRY, "readings", 0, "error_flag"), DELETE, "missing required field `error_flag`"),
        ((*ENTRY, "readings", 0, "error_flag"), None, "error_flag"),
        ((*ENTRY, "readings", 0, "error_flag"), 1, "error_flag"),
        ((*ENTRY, "readings", 0, "error_flag"), "false", "error_flag"),
        ((*ENTRY, "readings", 0, "error_description"), 7, "error_description"),
        ((*ENTRY, "readings", 0, "datetime"), 7, "datetime"),
        ((*ENTRY, "readings", 0, "tz_offset"), "+01:00", "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), 0.5, "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), 2**63, "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), -(2**63) - 1, "tz_offset"),
        ((*ENTRY, "readings", 0, "precision"), "3", "precision"),
        ((*ENTRY, "readings", 0, "precision"), 0.5, "precision"),
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


@pytest.mark.parametrize("field", ["mrid", "timestamp_utc", "error_flag"])
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


def test_a_page_in_descending_order_is_refused() -> None:
    """The newest records, in the service's default order, would look like the end of the device."""
    body = a_page({"Water Content": [an_entry({"mrid": 4712}, {"mrid": 4711})]})

    with pytest.raises(UnexpectedBodyError, match="ignores sort_by=ascending: the mrids of 'Water Content'"):
        require_page_of(decode_page(as_sent(body)), DEVICE)


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


@pytest.mark.parametrize("field", ["error_description", "datetime", "unknown"])
def test_half_a_letter_is_refused(field: str) -> None:
    """Half of a surrogate pair is text that no target could store."""
    with pytest.raises(UnexpectedBodyError, match="can't be stored"):
        decode_page(_changed((*ENTRY, "readings", 0, field), "\ud83d"))


@pytest.mark.parametrize("name", ["\0", "Lower\0meadow", "\\\0"])
def test_a_text_with_a_nul_is_refused(name: str) -> None:
    """PostgreSQL stores this character in no text, and would end the run of all devices."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response holds what can't be stored: a text with a NUL$"):
        record_under(device_name=name)


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
    descending = decode_page(as_sent(a_page({name: [an_entry({"mrid": 2}, {"mrid": 1})]})))

    with pytest.raises(UnexpectedBodyError) as caught:
        require_page_of(other_device, DEVICE)

    assert str(caught.value) == f"the response is about another device: metadata.device_sn is {'x' * 79 + ' '!r}"

    with pytest.raises(UnexpectedBodyError) as caught:
        require_page_of(descending, DEVICE)

    assert str(caught.value) == f"the response ignores sort_by=ascending: the mrids of {'x' * 79 + ' '!r}"


@pytest.mark.parametrize("data", [{}, {"Water Content": [an_entry({}), an_entry({})]}])
def test_the_devices_own_page_is_taken(data: dict[str, Any]) -> None:
    """A page of the device that was asked for, or of none, is in order."""
    require_page_of(decode_page(as_sent(a_page(data))), DEVICE)


def test_the_word_nan_within_a_text_stays() -> None:
    """Only a value is a missing number; a name that looks like one is a name."""
    name = 'the "value": NaN, of a friend'
    (record,) = records_of(a_page({"Water Content": [an_entry({"value": float("nan")}, device_name=name)]}))

    assert (record["value"], record["device_name"]) == (None, name)
