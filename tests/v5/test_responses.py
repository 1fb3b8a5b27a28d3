"""Bodies of API v5: what is a page, what is refused, and that a page in pieces is the page."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zentra.bodies import LAST_TIMESTAMP, NotJSONError, UnexpectedBodyError
from tap_zentra.v5 import responses
from tap_zentra.v5.responses import (
    DEEPEST,
    EARLIEST_EXPIRATION,
    DataPage,
    ListedDevice,
    decode_list,
    decode_page,
    require_page_of,
)
from tests.v5.support import DEVICE, MOMENT, a_page, a_row, as_sent, record_with, records_in, records_of

DELETE = object()


def _changed(path: tuple[str | int, ...], value: object) -> bytes:
    body: Any = copy.deepcopy(a_page(a_row(), token="next"))
    part = body
    for step in path[:-1]:
        part = part[step]
    if value is DELETE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return as_sent(body)


# Responses that are not what the service sends

WRONG: list[tuple[tuple[str | int, ...], object, str]] = [
    (("metadata",), DELETE, "missing required field `metadata`"),
    (("metadata",), None, r"Expected `object`, got `null` - at `\$.metadata`"),
    (("metadata", "device_id"), DELETE, "missing required field `device_id`"),
    (("metadata", "device_id"), None, "device_id"),
    (("metadata", "device_id"), 1234, "device_id"),
    (("values",), DELETE, "missing required field `values`"),
    (("values",), None, r"Expected `array`, got `null` - at `\$.values`"),
    (("values",), {}, r"Expected `array`, got `object` - at `\$.values`"),
    (("values",), {"a": 1}, r"Expected `array`, got `object` - at `\$.values`"),
    (("values",), "", r"Expected `array`, got `str` - at `\$.values`"),
    (("values",), "{}", r"Expected `array`, got `str` - at `\$.values`"),
    (("values",), 10, r"Expected `array`, got `int` - at `\$.values`"),
    (("values",), True, r"Expected `array`, got `bool` - at `\$.values`"),
    (("values", 0), None, r"Expected `object`, got `null`"),
    (("values", 0), [], r"Expected `object`, got `array`"),
    (("values", 0), 1, r"Expected `object`, got `int`"),
    (("values", 0, "timestamp"), DELETE, "missing required field `timestamp`"),
    (("values", 0, "timestamp"), None, "timestamp"),
    (("values", 0, "timestamp"), "2024-01-17", "timestamp"),
    (("values", 0, "timestamp"), True, "timestamp"),
    (("values", 0, "timestamp"), -1, "timestamp"),
    (("values", 0, "timestamp"), MOMENT * 1000, "timestamp"),
    (("values", 0, "timestamp"), float("nan"), "timestamp"),
    (("values", 0, "measurement"), DELETE, "missing required field `measurement`"),
    (("values", 0, "measurement"), None, "measurement"),
    (("values", 0, "measurement"), 5, "measurement"),
    (("values", 0, "value"), DELETE, "missing required field `value`"),
    (("values", 0, "value"), "0.3", "value"),
    (("values", 0, "value"), True, "value"),
    (("values", 0, "value"), [0.3], "value"),
    (("values", 0, "port_num"), "3", "port_num"),
    (("values", 0, "port_num"), 3.5, "port_num"),
    (("values", 0, "port_num"), -2, "port_num"),
    (("values", 0, "port_num"), True, "port_num"),
    (("values", 0, "port_num"), 2**63, "port_num"),
    (("pagination",), [], r"\$.pagination"),
    (("pagination",), "more", r"\$.pagination"),
    (("pagination", "next_token"), 5, "next_token"),
    (("pagination", "next_token"), ["x"], "next_token"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_an_answer_of_another_shape_is_refused_with_the_field_named(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    """A missing part or a wrong type is found before a record is made, and the message says where."""
    with pytest.raises(UnexpectedBodyError, match=words) as caught:
        decode_page(_changed(path, value))
    assert str(caught.value).startswith("unexpected response format: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_it_is_refused_on_the_slow_way_too(path: tuple[str | int, ...], value: object, words: str) -> None:
    """A letter in it that is none changes nothing."""
    body = _changed(path, value).replace(b"North Device", b"\\ud800").replace(b"TEROS 12", b"\\u0000")

    with pytest.raises(UnexpectedBodyError, match=words):
        decode_page(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Down</html>",
        as_sent(a_page(a_row()))[:-1],
        as_sent(a_page(a_row(), a_row()))[:300],
        as_sent(a_page(a_row())).replace(b"0.312", b"0.312.1"),
        as_sent(a_page(a_row())).replace(b"0.312", b"nan"),
        as_sent(a_page(a_row())).replace(b"}]", b"},]"),
        as_sent(a_page(a_row())).replace(b"[{", b"[,{"),
        as_sent(a_page(a_row(), a_row())).replace(b"}, {", b"} {"),
        as_sent(a_page(a_row())).replace(b"North Device", b"\xff"),
    ],
)
def test_what_is_no_json_may_come_better(body: bytes) -> None:
    """It was cut off on its way, or is a page for people: the same call may succeed."""
    with pytest.raises(NotJSONError, match="the response is not JSON: "):
        decode_page(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"text"'])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    """With what it is."""
    with pytest.raises(UnexpectedBodyError, match="Expected `object`"):
        decode_page(body)


def test_an_error_with_status_200_is_told_in_the_services_words() -> None:
    """Not as a field that is missing."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response has no data: no such device$"):
        decode_page(b'{"detail": "no such device"}')


@pytest.mark.parametrize("where", [b'"North Device"', b"123", b'"Location/Field/Zone"'])
def test_a_body_nested_too_deeply_is_refused(where: bytes) -> None:
    """Wherever it is nested, and not with a crash."""
    body = as_sent(a_page(a_row())).replace(where, b"[" * 100_000 + b"]" * 100_000)

    with pytest.raises(UnexpectedBodyError, match="nested too deeply"):
        decode_page(body)


# Paging


@pytest.mark.parametrize(
    ("path", "value", "token"),
    [
        (("pagination", "next_token"), "_qCnZX4RqGUBAAAAAA==", "_qCnZX4RqGUBAAAAAA=="),
        (("pagination", "next_token"), "", None),
        (("pagination", "next_token"), None, None),
        (("pagination", "next_token"), DELETE, None),
        (("pagination",), None, None),
        (("pagination",), DELETE, None),
        (("pagination", "next_url"), 5, "next"),
    ],
)
def test_the_end_is_a_page_without_a_token(path: tuple[str, ...], value: object, token: str | None) -> None:
    """No pagination at all is the end as well, as METER's own client has it."""
    assert decode_page(_changed(path, value)).next_token == token


def test_an_empty_page_is_a_page() -> None:
    """It may have a token, and so is not the end."""
    body = as_sent(a_page(token="next"))
    for sent in (body, body.replace(b"[]", b"[ \n ]")):
        page = decode_page(sent)

        assert (list(page.moments), records_in(page), page.next_token) == ([], [], "next")


@pytest.mark.parametrize("device_id", [DEVICE, DEVICE.upper()])
def test_a_page_is_that_of_the_device_that_was_asked(device_id: str) -> None:
    """In whatever case its serial number is spelled."""
    require_page_of(decode_page(as_sent(a_page(device_id=device_id))), DEVICE)


@pytest.mark.parametrize("device_id", ["z6-1234", "", "z6-12345\nerror"])
def test_the_page_of_another_device_is_refused(device_id: str) -> None:
    """With its name, on one line."""
    page = decode_page(as_sent(a_page(device_id=device_id)))

    with pytest.raises(UnexpectedBodyError, match=r"for another device: metadata\.device_id is ") as caught:
        require_page_of(page, DEVICE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "expected"), [(None, None), (5, None), ({"a": 1}, None), ("a\0b", "a\ufffdb")])
def test_the_name_of_a_device_is_a_text_or_none(name: object, expected: str | None) -> None:
    """No record is refused for it."""
    assert decode_page(_changed(("metadata", "device_name"), name)).device_name == expected


@pytest.mark.parametrize("text", ["", "\0", "\ud800"])
def test_a_page_keeps_what_its_metadata_tells_of_the_device(text: str) -> None:
    """As it came, on whatever way the body is decoded; alone what no target stores is replaced."""
    metadata = {
        "device_id": DEVICE,
        "device_name": "North Device",
        "location": f"Field{text}",
        "coordinates": {"lat": [f"46{text}", 1.0]},
        "altitude": 210,
        "zone": None,
        "tags": {},
    }
    page = decode_page(as_sent({"metadata": metadata, "values": []}))
    stored = "\N{REPLACEMENT CHARACTER}" if text else ""

    assert page.known == {"location": f"Field{stored}", "coordinates": {"lat": [f"46{stored}", 1.0]}, "altitude": 210}
    assert (page.device_id, page.device_name) == (DEVICE, "North Device")


def test_a_name_in_another_form_is_kept_with_the_rest() -> None:
    """It is no name then."""
    page = decode_page(as_sent({"metadata": {"device_id": DEVICE, "device_name": 5}, "values": []}))

    assert (page.device_name, page.known) == (None, {"device_name": 5})


def test_metadata_may_tell_nothing() -> None:
    """Nor does a page of nothing but rows that the page before had."""
    assert decode_page(as_sent({"metadata": {"device_id": DEVICE}, "values": []})).known == {}
    assert DataPage.of(DEVICE, "North Device", None).known == {}


@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1, 900])
def test_what_is_nested_too_deeply_is_kept_as_a_text(levels: int) -> None:
    """A state is copied by recursion, and would end the run."""
    nested = "[" * levels + "]" * levels
    page = decode_page(as_sent(a_page()).replace(b'"Location/Field/Zone"', nested.encode()))
    listed = decode_list(f'{{"devices": [{{"device_id": "z6-1", "settings": {{"x": {nested}}}}}]}}'.encode()).listed()

    for kept in (page.known["location"], listed[0].extra["settings"]["x"]):
        assert kept == (json.loads(nested) if levels == DEEPEST else nested)


# Fields in odd forms


@pytest.mark.parametrize(
    ("field", "value", "column", "extra"),
    [
        ("unit", 5, "units", {"unit": 5}),
        ("sensor_name", ["x"], "sensor_name", {"sensor_name": ["x"]}),
        ("error_code", "134", "error_code", {"error_code": "134"}),
        ("error_code", 2**63, "error_code", {"error_code": 2**63}),
        ("datetime", MOMENT, "local_datetime", {"datetime": MOMENT}),
        ("mrid", 7, None, {"mrid": 7}),
        ("depth", {"cm": [10, None]}, None, {"depth": {"cm": [10, None]}}),
        ("reading_id", 10**30, None, {"reading_id": 10**30}),
        ("reading_id", "a-b", None, {"reading_id": "a-b"}),
        ("position", "upper", None, {"position": "upper"}),
        ("extra", 1, None, {"extra": 1}),
    ],
)
def test_an_optional_field_of_another_form_stands_in_extra(
    field: str, value: object, column: str | None, extra: dict[str, object]
) -> None:
    """So does one that no column knows; the column it would have is empty, and no record is refused."""
    record = record_with(**{"reading_id": None, field: value})

    assert record["extra"] == extra
    assert column is None or record[column] in {None, ""}
    assert record["value"] == 0.312


def test_odd_fields_keep_the_company_of_position_and_reading_id() -> None:
    """All that no column knows is in one object."""
    assert record_with(position=2, mrid=7)["extra"] == {"mrid": 7, "position": 2, "reading_id": 123}


@pytest.mark.parametrize(
    "field", ["unit", "sensor_name", "error_code", "datetime", "position", "reading_id", "port_num"]
)
def test_an_optional_field_may_be_missing_or_null(field: str) -> None:
    """Alone what keys, the value and paging need is required; a missing port is the device's."""
    row = a_row()
    del row[field]
    (missing,) = records_of(a_page(row))

    assert missing == record_with(**{field: None})


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("name", ["TEROS 12", "NaN: Infinity", '\\": NaN', "\\ud800"])
def test_a_number_that_is_none_is_no_value(word: str, name: str) -> None:
    """Strict parsers refuse it; within a text it stays."""
    body = as_sent(a_page(a_row(), a_row(value=17))).replace(b"0.312", word.encode())
    records = records_of(body.replace(b'"TEROS 12"', f'"{name}"'.encode()))

    assert [record["value"] for record in records] == [None, 17]
    assert {record["sensor_name"] for record in records} == {json.loads(f'"{name}"').replace("\ud800", "\ufffd")}


def test_a_number_that_is_none_may_stand_in_a_field_that_nobody_knows() -> None:
    """Alone or within a list."""
    assert record_with(reading_id=None, noise=[float("nan"), 1], level=float("inf"))["extra"] == {
        "level": None,
        "noise": [None, 1],
    }


@pytest.mark.parametrize("field", ["measurement", "sensor_name", "unit", "datetime"])
@pytest.mark.parametrize(
    ("sent", "stored"),
    [("a\\u0000b", "a\ufffdb"), ("\\ud800b", "\ufffdb"), ("\\udc00", "\ufffd"), ("\\ud83d\\ude00", "\U0001f600")],
)
def test_a_character_that_no_target_stores_is_replaced(field: str, sent: str, stored: str) -> None:
    """NUL and halves of letters; a whole letter in two escapes is one."""
    columns = {"unit": "units", "datetime": "local_datetime"}
    body = as_sent(a_page(a_row(**{field: "?!"}))).replace(b"?!", sent.encode())

    assert [record[columns.get(field, field)] for record in records_of(body)] == [stored]


@pytest.mark.parametrize(
    ("timestamp", "stored"),
    [
        (MOMENT, "2024-01-17T09:57:22+00:00"),
        (float(MOMENT), "2024-01-17T09:57:22+00:00"),
        (MOMENT + 0.5, "2024-01-17T09:57:22.500000+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
        (LAST_TIMESTAMP, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_moment_may_be_a_float(timestamp: float, stored: str) -> None:
    """A fraction of a second is part of the key; the bookmark goes by the whole second."""
    page = decode_page(as_sent(a_page(a_row(timestamp=timestamp))))

    assert record_with(timestamp=timestamp)["timestamp_utc"] == stored
    assert list(page.moments) == [int(timestamp)]


@pytest.mark.parametrize(("port", "stored"), [(-1, -1), (None, -1), (3, 3), (3.0, 3), (0, 0)])
def test_a_port_is_a_whole_number(port: object, stored: int) -> None:
    """-1 and null are the device itself; 3.0 is 3."""
    assert record_with(port_num=port)["port_number"] == stored
    assert record_with(port_num=port, unit=5)["port_number"] == stored


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_body_in_another_encoding_is_read(encoding: str) -> None:
    """As JSON has been allowed to come."""
    assert records_of(as_sent(a_page(a_row())).decode().encode(encoding)) == records_of(a_page(a_row()))


# Order and pieces


def test_rows_come_in_the_order_of_time() -> None:
    """The service is asked for it, and does not promise it; within a moment its order stays."""
    rows = [a_row(timestamp=second, value=value) for value, second in enumerate([9, 4, 9, 6, 4, 5])]
    page = decode_page(as_sent(a_page(*rows)))

    assert list(page.moments) == [4, 5, 6, 9]
    assert [page[second].values for second in page.moments] == [(1, 4), (5,), (3,), (0, 2)]
    assert [moment.second for moment in page.between(5, 6)] == [5, 6]
    assert page.between(0, -1) == []


def test_a_moment_in_two_places_is_one() -> None:
    """Rows of one moment with others in between are brought together."""
    page = decode_page(as_sent(a_page(a_row(timestamp=5), a_row(timestamp=6), a_row(timestamp=5))))

    assert list(page.moments) == [5, 6]
    assert [len(page[second].values) for second in page.moments] == [2, 1]


def test_a_moment_of_the_page_before_comes_first() -> None:
    """Its rows stand in front of those that the page has of the same moment, whatever fields they have."""
    before = decode_page(as_sent(a_page(a_row(timestamp=5, value=0, quality=1), a_row(timestamp=5, value=1))))
    page = decode_page(as_sent(a_page(a_row(timestamp=5, value=2, position=3), a_row(timestamp=6, value=3))))

    page.begin_with(before[5])

    assert list(page.moments) == [5, 6]
    found = [(record["value"], record["extra"]) for record in records_in(page)]
    more = {"reading_id": 123}
    assert found == [(0, more | {"quality": 1}), (1, more), (2, more | {"position": 3}), (3, more)]


PIECE_SIZES = [1, 100, 200, 250, 1000, 100_000]

TRICKY = [
    a_row(sensor_name="},{"),
    a_row(sensor_name='"},{"'),
    a_row(sensor_name='"} , {"measurement":"x'),
    a_row(sensor_name="\\"),
    a_row(sensor_name='\\"},{\\"'),
    a_row(sensor_name=']}],"values":[{'),
    a_row(layers=[{"a": 1}, {"b": 2}, {"c": [{}, {}]}]),
    a_row(layers={"a": {"b": [{"d": "},{"}, {}]}}, timestamp=MOMENT + 1),
    a_row(timestamp=MOMENT + 1, value=None),
    a_row(timestamp=MOMENT + 2, sensor_name="\0},{\ud800", value=float("nan")),
    a_row(timestamp=MOMENT + 9),
]


def _as_plain(body: bytes) -> list[tuple[object, ...]]:
    columns = ("timestamp_utc", "sensor_name", "value", "extra")
    return [tuple(record[column] for column in columns) for record in records_of(body)]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n")])
@pytest.mark.parametrize("size", PIECE_SIZES)
def test_a_page_in_pieces_is_the_page(monkeypatch: pytest.MonkeyPatch, size: int, separators: tuple[str, str]) -> None:
    """However small they are: what looks like an end of a row within a text or an object is none."""
    body = json.dumps(a_page(*TRICKY), separators=separators).encode()
    whole = _as_plain(body)
    monkeypatch.setattr(responses, "PIECE_BYTES", size)

    assert _as_plain(body) == whole
    assert len(whole) == len(TRICKY)
    assert list(decode_page(body).moments) == [MOMENT, MOMENT + 1, MOMENT + 2, MOMENT + 9]


def test_a_page_does_without_its_body_once_it_is_checked() -> None:
    """So that the body is out of memory while the page is written."""
    body = bytearray(as_sent(a_page(*(a_row(timestamp=second, value=second) for second in range(10)))))
    page = decode_page(body)

    body.clear()  # a BufferError, if anything still looks at it

    assert [record["value"] for record in records_in(page)] == list(range(10))


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_fault_in_any_piece_is_found_before_the_first_record(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """A page is checked as a whole."""
    monkeypatch.setattr(responses, "PIECE_BYTES", 1)
    rows = [a_row(timestamp=second) for second in range(12)]
    rows[cut]["value"] = "wrong"

    with pytest.raises(UnexpectedBodyError, match="value"):
        decode_page(as_sent(a_page(*rows)))


_TEXTS = st.text(alphabet='{}[],:"\\ a\0\ud800', max_size=8)
_FIELDS = st.recursive(
    st.none() | st.integers(-9, 9) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "timestamp": st.integers(0, 5),
                "measurement": _TEXTS,
                "value": st.none() | st.integers(0, 9) | st.just(float("nan")),
            },
            optional={"sensor_name": _TEXTS, "layers": _FIELDS, "port_num": st.just(3.0), "unit": _FIELDS},
        ),
        max_size=8,
    ),
    size=st.integers(1, 120),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", ":\n")]),
    escaped=st.booleans(),
)
def test_no_page_depends_on_its_pieces(
    rows: list[dict[str, Any]], size: int, separators: tuple[str, str], *, escaped: bool
) -> None:
    """Whatever texts and objects it holds, in whatever form; nothing is lost, nothing comes twice."""
    text = json.dumps(a_page(*rows), separators=separators, ensure_ascii=escaped)
    body = text.encode("utf-8", "surrogatepass")
    whole = records_of(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "PIECE_BYTES", size)

        assert records_of(body) == whole
    assert len(whole) == len(rows)


# The list of devices


def test_a_page_of_the_list_names_devices() -> None:
    """And when each has measured last, as far as that is said."""
    entries = [
        {"device_id": "z6-1", "name": "Field 1", "data_range": {"last_measurement": MOMENT}},
        {"device_id": "z6-2", "data_range": {"last_measurement": float(MOMENT)}},
        {"device_id": "z6-3", "data_range": None},
        {"device_id": "z6-4"},
        {"device_id": "z6-5", "data_range": {"last_measurement": "yesterday"}},
        {"device_id": "z6-6", "data_range": [MOMENT]},
        {"device_id": "z6-7", "data_range": {"last_measurement": None}},
        {"device_id": "z6-8", "data_range": {"last_measurement": 0}},
        {"device_id": "z6-9", "data_range": {"last_measurement": MOMENT * 1000}},
        {"device_id": "z6-10", "data_range": {"last_measurement": float("inf")}},
        {"device_id": "z6-11", "data_range": {"last_measurement": True}},
    ]
    page = decode_list(as_sent({"devices": entries, "pagination": {"total_pages": 4}}))

    assert [device.device_id for device in page.listed()] == [f"z6-{number}" for number in range(1, 12)]
    assert [device.last_measurement for device in page.listed()] == [MOMENT, MOMENT] + [None] * 9
    assert page.total_pages == 4


def test_an_odd_entry_hides_no_other() -> None:
    """What has no serial number is no device."""
    entries: list[object] = [
        None,
        5,
        "z6-0",
        [],
        {},
        {"device_id": None},
        {"device_id": 7},
        {"device_id": ""},
        {"device_id": "z6-1"},
    ]

    assert decode_list(as_sent({"devices": entries})).listed() == [ListedDevice("z6-1")]


ENTRY: dict[str, Any] = {
    "device_id": "z6-1",
    "name": "Field 1",
    "organization_id": "org-1",
    "organization_name": "Acme",
    "device_type": 12,
    "model": "ZL6",
    "data_range": {"first_measurement": 1716600600, "last_measurement": 1788393600},
    "settings": {
        "logging_interval": 300,
        "upload_frequency": 3600,
        "upload_hours": {"enabled_count": 24, "all_hours": True},
    },
    "hardware": {"firmware_version": 2.1, "hardware_revision": "B"},
    "connectivity": {
        "connectivity_type": "cellular",
        "module": "SARA-R410M",
        "sim": "8988",
        "pending_host_server": None,
    },
    "subscription": {
        "status": "active",
        "exempt_reason": None,
        "expiration_date": 1798761600,
        "auto_renew": True,
        "high_data": False,
    },
}
"""An entry of the list, of the shape of METER's client."""

LISTED = ListedDevice(
    "z6-1",
    first_measurement=1716600600,
    last_measurement=1788393600,
    name="Field 1",
    organization_id="org-1",
    organization_name="Acme",
    device_type=12,
    model="ZL6",
    logging_interval=300,
    upload_frequency=3600,
    firmware_version=2.1,
    hardware_revision="B",
    connectivity_type="cellular",
    subscription_status="active",
    subscription_expires_at=1798761600,
    extra={
        "settings": {"upload_hours": {"enabled_count": 24, "all_hours": True}},
        "connectivity": {"module": "SARA-R410M", "sim": "8988"},
        "subscription": {"auto_renew": True, "high_data": False},
    },
)


def _listed(entry: dict[str, Any]) -> ListedDevice:
    (device,) = decode_list(as_sent({"devices": [entry]})).listed()
    return device


def test_an_entry_tells_all_of_a_device() -> None:
    """What has no attribute is in `extra`, below its group; what says nothing is left out."""
    assert _listed(ENTRY) == LISTED
    assert LISTED.renews_itself
    assert not LISTED.is_exempt


def test_a_page_of_the_list_can_be_asked_twice() -> None:
    """Nothing is taken out of it."""
    page = decode_list(as_sent({"devices": [ENTRY]}))

    assert page.listed() == page.listed() == [LISTED]


ATTRIBUTES = [
    *((None, name, name) for name in ("name", "organization_id", "organization_name", "device_type", "model")),
    *(("data_range", name, name) for name in ("first_measurement", "last_measurement")),
    *(("settings", name, name) for name in ("logging_interval", "upload_frequency")),
    *(("hardware", name, name) for name in ("firmware_version", "hardware_revision")),
    ("connectivity", "connectivity_type", "connectivity_type"),
    ("subscription", "status", "subscription_status"),
    ("subscription", "expiration_date", "subscription_expires_at"),
]


@pytest.mark.parametrize("told", [True, ["x"], {"a": 1}, [], "", None])
@pytest.mark.parametrize(("group", "name", "attribute"), ATTRIBUTES)
def test_a_field_of_another_form_is_kept_as_it_came(
    group: str | None, name: str, attribute: str, *, told: object
) -> None:
    """Its attribute is None, and all others are what they are."""
    entry, extra = copy.deepcopy(ENTRY), copy.deepcopy(LISTED.extra)
    (entry if group is None else entry[group])[name] = told
    if told not in (None, ""):
        (extra if group is None else extra.setdefault(group, {}))[name] = told

    assert _listed(entry) == msgspec.structs.replace(LISTED, **{attribute: None}, extra=extra)


@pytest.mark.parametrize(
    ("group", "name", "told", "read"),
    [
        (None, "device_type", 12.0, 12),
        (None, "device_type", "12", None),
        (None, "device_type", 2**63, None),
        (None, "device_type", 1e300, None),
        (None, "model", 6, None),
        ("settings", "logging_interval", 300.0, 300),
        ("settings", "logging_interval", 300.5, None),
        ("settings", "upload_frequency", "3600", None),
        ("hardware", "firmware_version", 2, 2),
        ("hardware", "firmware_version", "2.1", None),
        ("hardware", "firmware_version", 10**30, None),
        ("hardware", "hardware_revision", 2, "2"),
        ("hardware", "hardware_revision", 2.5, "2.5"),
        ("hardware", "hardware_revision", 10**30, None),
        ("data_range", "first_measurement", -5, None),
        ("data_range", "last_measurement", MOMENT + 0.5, MOMENT),
        ("subscription", "expiration_date", float(MOMENT), MOMENT),
        ("subscription", "expiration_date", EARLIEST_EXPIRATION, EARLIEST_EXPIRATION),
        ("subscription", "expiration_date", EARLIEST_EXPIRATION - 1, None),
        ("subscription", "expiration_date", LAST_TIMESTAMP + 1, None),
        ("subscription", "expiration_date", "2026-12-31", None),
    ],
)
def test_a_field_may_come_in_a_form_that_says_the_same(
    group: str | None, name: str, told: object, read: object
) -> None:
    """A number is no text, a text no number, and a date is one that can be true; the rest is kept as it came."""
    (attribute,) = (one for of, field, one in ATTRIBUTES if (of, field) == (group, name))
    device = _listed({"device_id": "z6-1", name: told} if group is None else {"device_id": "z6-1", group: {name: told}})

    assert getattr(device, attribute) == read
    assert type(getattr(device, attribute)) is type(read)
    assert device.extra == ({} if read is not None else {name: told} if group is None else {group: {name: told}})


@pytest.mark.parametrize("group", ["data_range", "settings", "hardware", "connectivity", "subscription"])
@pytest.mark.parametrize("told", ["none", 5, ["x"], {"x": 1, "y": None, "z": {}}])
def test_a_group_of_another_form_is_kept_as_it_came(group: str, told: object) -> None:
    """The list says nothing of it then; so it does of one that is missing or null."""
    bare = ListedDevice("z6-1")

    assert _listed({"device_id": "z6-1", group: told}) == ListedDevice(
        "z6-1", extra={group: {"x": 1} if isinstance(told, dict) else told}
    )
    assert _listed({"device_id": "z6-1", group: None}) == _listed({"device_id": "z6-1", group: {}}) == bare
    assert not bare.is_exempt
    assert not bare.renews_itself


def test_a_field_that_nobody_knows_is_kept_as_it_came() -> None:
    """Unless it says nothing; the characters that no target stores are replaced."""
    device = _listed({"device_id": "z6-1", "name": "a\0b", "colour": "\ud800", "sold": False, "x": None, "y": {}})

    assert (device.name, device.extra) == ("a\ufffdb", {"colour": "\ufffd", "sold": False})


@pytest.mark.parametrize(
    "pagination", [None, [], {}, {"total_pages": None}, {"total_pages": "4"}, {"total_pages": 1.5}]
)
def test_a_list_need_not_say_how_many_pages_it_has(pagination: object) -> None:
    """Nor in a form that is known."""
    assert decode_list(as_sent({"devices": [], "pagination": pagination})).total_pages is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "missing required field `devices`"),
        (b'{"devices": null}', r"Expected `array`, got `null` - at `\$.devices`"),
        (b'{"devices": {}}', r"Expected `array`, got `object` - at `\$.devices`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"detail": "no such organization"}', "the response has no data: no such organization"),
    ],
)
def test_what_is_no_list_is_refused(body: bytes, words: str) -> None:
    """With the field's name, or the service's words."""
    with pytest.raises(UnexpectedBodyError, match=words):
        decode_list(body)


def test_a_list_that_is_cut_off_may_come_better() -> None:
    """It is no JSON."""
    with pytest.raises(NotJSONError):
        decode_list(b'{"devices": [')
