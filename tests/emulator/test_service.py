"""The service from request to answer, without sockets."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows
from tests.emulator.support import MIDNIGHT, TOKEN, Cloud, detail

if TYPE_CHECKING:
    from tap_zentra.emulator.limits import RetryAfter
    from tap_zentra.emulator.pages import Pages

ONE = {"device_sn": "z6-1"}
ASCENDING = {"sort_by": "ascending"}
ENV_MODEL = "/api/v4/get_env_model_data/"
MODEL_INPUTS = {"elevation": 806, "latitude": 32.25, "wind_measurement_height": 2}
MODEL_PARAMS = {
    "device_sn": "z6-1",
    "model_type": "ETo",
    "port_num": 1,
    "inputs": json.dumps(MODEL_INPUTS),
}


def station(**attributes: Any) -> Device:
    """Return a device without errors, in UTC, with a record every 15 minutes since the turn of the year 2026."""
    return Device("z6-1", **{"error_rate": 0, "tz_offset": 0} | attributes)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "Authentication credentials were not provided."),
        ("", "Authentication credentials were not provided."),
        ("Token wrong", "Invalid token."),
        (f"Token Token {TOKEN}", "Invalid token."),
        (f"Bearer {TOKEN}", "Invalid token."),
        (TOKEN, "Invalid token."),
    ],
)
def test_calls_without_the_right_token_are_refused(token: str | None, words: str) -> None:
    """The token is checked first, and in exactly one form."""
    answer = Cloud([station()]).receive({"device_sn": "z6-1"}, authorization=token).answer()

    assert (answer.status, detail(answer)) == (401, words)


def test_calls_without_the_right_token_do_not_count() -> None:
    """Nobody can use up an account's calls without its token."""
    cloud = Cloud([station()])
    cloud.receive({"device_sn": "z6-1"}, at=0.0, authorization="Token wrong")

    assert cloud.call(device_sn="z6-1", at=0.0).status == 200


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({}, 400, "device_sn is required."),
        ({"device_sn": "z6-9"}, 404, "Device z6-9 does not exist."),
        ({"device_sn": "z6-2"}, 403, "You do not have permission to perform this action."),
        ({"device_sn": "z6-1", "per_page": 2001}, 400, "per_page must be from 1 to 2000."),
        ({"device_sn": "z6-1", "per_page": 0}, 400, "per_page must be from 1 to 2000."),
        ({"device_sn": "z6-1", "per_page": "all"}, 400, "per_page must be a whole number."),
        ({"device_sn": "z6-1", "page_num": -1}, 400, f"page_num must be from 1 to {2**63 - 1}."),
        ({"device_sn": "z6-1", "start_mrid": "1.5"}, 400, "start_mrid must be a whole number."),
        ({"device_sn": "z6-1", "sort_by": "mrid"}, 400, "sort_by must be one of: descending, ascending."),
        ({"device_sn": "z6-1", "output_format": "xml"}, 400, "output_format must be one of: json, df, csv."),
        (
            {"device_sn": "z6-1", "start_date": "2026-01-01T00:00:00Z"},
            400,
            "start_date must be YYYY-MM-DD HH:MM or MM-DD-YYYY HH:MM.",
        ),
    ],
)
def test_a_call_that_cannot_be_answered_is_told_why(params: dict[str, Any], status: int, words: str) -> None:
    """Missing and wrong parameters have the status and the words of their kind."""
    answer = Cloud([station(), Device("z6-2", of_another_user=True)]).call(**params)

    assert (answer.status, detail(answer)) == (status, words)


def test_calls_with_wrong_parameters_count() -> None:
    """The limits are checked before the parameters."""
    cloud = Cloud([station()])

    assert cloud.call(device_sn="z6-1", per_page=0, at=0.0).status == 400
    assert cloud.call(device_sn="z6-1", per_page=1, at=59.0).status == 429
    assert cloud.call(device_sn="z6-1", per_page=1, at=60.0).status == 200


def test_other_paths_are_not_found() -> None:
    """Only the two endpoints exist, in both versions, with the slash at their end."""
    cloud = Cloud([station()])

    assert cloud.receive(ONE, "/api/v3/get_readings/").answer().status == 200
    assert cloud.receive(ONE, "/api/v4/get_readings").answer().status == 404
    assert cloud.receive(ONE, "/api/v5/get_readings/").answer().status == 404


@pytest.mark.parametrize(
    ("form", "header"), [("none", None), ("seconds", "30"), ("date", "Thu, 01 Jan 2026 00:01:00 GMT")]
)
def test_a_refused_call_is_told_how_long_to_wait(form: RetryAfter, header: str | None) -> None:
    """The text always tells the seconds, the header only when the option asks for it."""
    cloud = Cloud([station()], retry_after=form)
    cloud.call(device_sn="z6-1", at=0.0)

    answer = cloud.call(device_sn="z6-1", at=30.0)

    assert answer.status == 429
    assert detail(answer) == "Exceeded request limit of 1 call per 60 seconds. Lock out expires in 30 seconds."
    assert answer.headers.get("Retry-After") == header


def test_a_refusal_by_the_account_may_speak_of_the_device() -> None:
    """Which limit it was cannot be told from the words."""
    cloud = Cloud([station()], user_limit=1, device_limit=3, limit_words="device")
    cloud.call(device_sn="z6-1", at=0.0)

    answer = cloud.call(device_sn="z6-2", at=50.0)

    assert detail(answer) == "Exceeded request limit of 3 calls per 60 seconds. Lock out expires in 10 seconds."


def test_both_endpoints_share_the_limits() -> None:
    """A device that was asked for its readings may not be asked for its model data at once."""
    cloud = Cloud([station()])
    cloud.call(device_sn="z6-1", at=0.0)

    assert cloud.receive(ONE, ENV_MODEL, at=1.0).answer().status == 429


def test_a_page_is_500_records_in_descending_order_by_default() -> None:
    """The newest come first unless asked otherwise."""
    page = Cloud([station(records=700)]).page()

    assert page.mrids == list(range(700, 200, -1))
    assert page.pagination == {
        "per_page": 500,
        "page_num": 1,
        "next_url": "http://127.0.0.1:8000/api/v4/get_readings/?device_sn=z6-1&page_num=2",
        "max_mrid": 700,
        "page_num_readings": 500,
        "page_num_outputs": 500 * 24,
        "page_start_date": "2026-01-03 02:00:00+00:00",
        "page_end_date": "2026-01-08 06:45:00+00:00",
        "page_start_mrid": 201,
        "page_end_mrid": 700,
    }


def test_the_mrid_range_is_inclusive() -> None:
    """Both ends belong to the page, and the newest mrid is told although it is beyond."""
    page = Cloud([station()]).page(start_mrid=7, end_mrid=9, **ASCENDING)

    assert page.mrids == [7, 8, 9]
    assert page.pagination["max_mrid"] == 100


@pytest.mark.parametrize("form", ["2026-01-01 {}", "01-01-2026 {}"])
def test_dates_are_local_and_the_end_is_exclusive(form: str) -> None:
    """Both forms of a date mean the device's local time."""
    cloud = Cloud([station(tz_offset=3600)])

    page = cloud.page(start_date=form.format("02:00"), end_date=form.format("02:45"), **ASCENDING)

    assert page.pagination["page_start_date"] == "2026-01-01 02:00:00+01:00"
    assert page.mrids == [5, 6, 7]


def test_dates_override_mrids() -> None:
    """With one date the mrids are not looked at; the other end is the first or the last reading."""
    cloud = Cloud([station(records=10)])

    assert cloud.page(start_date="2026-01-01 02:00", start_mrid=1, **ASCENDING).mrids == [9, 10]
    assert cloud.page(end_date="2026-01-01 00:30", start_mrid=5, **ASCENDING).mrids == [1, 2]


def test_pages_of_records_hold_the_next_that_exist() -> None:
    """Over a gap, a page is as full as any other."""
    cloud = Cloud([station(records=30, gaps=((5, 20),))])

    assert cloud.page(per_page=6, start_mrid=2, **ASCENDING).mrids == [2, 3, 4, 21, 22, 23]
    assert cloud.page(per_page=6, start_mrid=2, page_num=2, **ASCENDING).mrids == [24, 25, 26, 27, 28, 29]
    assert cloud.page(per_page=12).mrids == [30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 4, 3]


def test_pages_of_ids_hold_what_exists_of_the_next_ids() -> None:
    """Over a gap, a page is short or empty although there is more to come."""
    cloud = Cloud([station(records=30, gaps=((5, 20),))], pages="ids")

    assert cloud.page(per_page=6, start_mrid=2, **ASCENDING).mrids == [2, 3, 4]
    empty = cloud.page(per_page=6, start_mrid=2, page_num=2, **ASCENDING)
    assert (empty.mrids, empty.pagination["max_mrid"]) == ([], 30)
    assert cloud.page(per_page=6, start_mrid=2, page_num=4, **ASCENDING).mrids == [21, 22, 23, 24, 25]
    assert cloud.page(per_page=12).mrids == [30, 29, 28, 27, 26, 25, 24, 23, 22, 21]
    assert cloud.page(per_page=12, page_num=3).mrids == [4, 3, 2, 1]


def test_pages_of_ids_by_date_start_with_a_record_that_exists() -> None:
    """The first id is that of the first record at or after the date; the pages go on from it by ids."""
    cloud = Cloud([station(records=30, gaps=((5, 20), (23, 24)))], pages="ids")
    asked: dict[str, object] = {"start_date": "2026-01-01 01:30", "per_page": 4, **ASCENDING}

    assert cloud.page(**asked).mrids == [21, 22]
    assert cloud.page(**asked, page_num=2).mrids == [25, 26, 27, 28]


@pytest.mark.parametrize("pages", ["records", "ids"])
def test_every_record_is_on_exactly_one_page(pages: Pages) -> None:
    """Page by page, ascending or descending, everything comes once."""
    cloud = Cloud([station(records=50, first_mrid=11, gaps=((20, 29), (41, 43)))], pages=pages)
    there = [*range(11, 20), *range(30, 41), *range(44, 61)]

    for order in ("ascending", "descending"):
        found = [
            mrid for page_num in range(1, 9) for mrid in cloud.page(per_page=7, page_num=page_num, sort_by=order).mrids
        ]
        assert found == sorted(there, reverse=order == "descending")


def test_next_url_is_set_on_the_last_and_on_empty_pages() -> None:
    """It cannot tell the end, and never holds what is no parameter of the service."""
    cloud = Cloud([station()])

    for start_mrid in (1, 101):
        page = cloud.page(start_mrid=start_mrid, per_page=9, token=TOKEN, **ASCENDING)
        assert page.pagination["next_url"] == (
            "http://127.0.0.1:8000/api/v4/get_readings/?"
            f"device_sn=z6-1&start_mrid={start_mrid}&per_page=9&sort_by=ascending&page_num=2"
        )


@pytest.mark.parametrize("form", ["null", "missing"])
def test_an_empty_page_says_nothing_of_its_ends(form: Literal["null", "missing"]) -> None:
    """The four fields are null or missing; the newest mrid is there."""
    page = Cloud([station(empty_pages=form)]).page(start_mrid=101, **ASCENDING)

    ends = {name: value for name, value in page.pagination.items() if name.startswith(("page_start", "page_end"))}
    assert page.body["data"] == {}
    assert list(ends.values()) == ([None] * 4 if form == "null" else [])
    assert page.pagination["max_mrid"] == 100


def test_a_device_without_records_has_an_empty_page_and_no_newest_mrid() -> None:
    """Whatever is asked for."""
    cloud = Cloud([station(records=0)])

    for asked in ({}, {"start_mrid": 1}, {"start_date": "2026-01-01 00:00"}):
        page = cloud.page(**asked)
        assert (page.body["data"], page.pagination["max_mrid"]) == ({}, None)


def test_units_arrive_with_blanks_and_literal_escapes() -> None:
    """What is not ASCII is a backslash, a `u` and four digits, even after decoding."""
    page = Cloud([station(units_changed_at=60)]).page()

    units = {(name, entry["metadata"]["units"]) for name, entry in page.entries}
    assert {
        ("Air Temperature", " \\u00b0C"),
        ("Air Temperature", " \\u00b0F"),
        ("Water Content", " m\\u00b3/m\\u00b3"),
        ("Solar Radiation", " W/m\\u00b2"),
        ("Wind Direction", "\\u00b0"),
        ("Relative Humidity", "%"),
        ("Lightning Activity", ""),
        ("VPD", " kPa"),
    } <= units


def test_sensors_have_serial_numbers_empty_ones_or_none() -> None:
    """All three forms are in every answer of the standard station."""
    page = Cloud([station()]).page(per_page=1)

    numbers = {entry["metadata"]["sensor_name"]: entry["metadata"]["sensor_sn"] for _, entry in page.entries}
    assert (numbers["PHYTOS 31"], numbers["Battery"]) == ("", None)
    assert numbers["ATMOS 41"].startswith("ATM-41")


def test_depth_and_location_are_told_only_when_asked_for() -> None:
    """They are part of the metadata."""
    cloud = Cloud([station(sensors=PROFILE_STATION)])
    plain = cloud.page(per_page=1)
    full = cloud.page(per_page=1, device_depth="true", location="true")

    assert all(not {"depth", "location"} & set(entry["metadata"]) for _, entry in plain.entries)
    assert {entry["metadata"]["depth"] for _, entry in full.entries} == {
        "",
        "10 cm",
        "15 cm",
        "30 cm",
        "45 cm",
        "60 cm",
    }
    assert all(set(entry["metadata"]["location"]) == {"latitude", "longitude"} for _, entry in full.entries)


def test_errors_are_null_or_the_bare_word_nan() -> None:
    """The body is JSON but for the word NaN, which strict parsers refuse."""
    cloud = Cloud([Device("z6-1", records=200, error_rate=0.05)])

    page = cloud.page()

    values = [reading["value"] for _, entry in page.entries for reading in entry["readings"] if reading["error_flag"]]
    assert None in values
    assert any(isinstance(value, float) and math.isnan(value) for value in values)


@pytest.mark.parametrize(
    "device",
    [
        Device("z6-1", records=40, gaps=((11, 20),), units_changed_at=30, error_rate=0.02),
        Device("z6-1", records=30, sensors=PROFILE_STATION, units_changed_at=10, tz_offset=3600, name=""),
    ],
)
def test_the_answer_is_what_the_device_holds(device: Device) -> None:
    """An ascending answer, taken apart as a client would, has the values and the indices of the ground truth."""
    page = Cloud([device]).page(device_depth="true", **ASCENDING)

    seen: dict[tuple[object, ...], int] = {}
    found = []
    for measurement, entry in page.entries:
        meta = entry["metadata"]
        for reading in entry["readings"]:
            place = (reading["mrid"], meta["port_number"], measurement)
            seen[place] = seen.get(place, -1) + 1
            value = reading["value"]
            found.append(
                {
                    "device_sn": meta["device_sn"],
                    "mrid": reading["mrid"],
                    "timestamp": reading["timestamp_utc"],
                    "port_number": meta["port_number"],
                    "measurement": measurement,
                    "sub_sensor_index": seen[place],
                    "value": None if value is None or math.isnan(value) else value,
                    "units": json.loads(f'"{meta["units"]}"').strip() or None,
                    "precision": reading["precision"],
                    "error_flag": reading["error_flag"],
                    "error_description": reading["error_description"] or None,
                    "local_datetime": reading["datetime"],
                    "tz_offset": reading["tz_offset"],
                    "device_name": meta["device_name"] or None,
                    "sensor_name": meta["sensor_name"],
                    "sensor_sn": meta["sensor_sn"] or None,
                    "depth": meta["depth"] or None,
                }
            )
    held = [dict(row) for row in rows(device, Options())]
    for row in held:
        row["timestamp"] = MIDNIGHT + (int(str(row["mrid"])) - 1) * 900
        del row["timestamp_utc"]
    assert _sorted(found) == _sorted(held)


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: (row["mrid"], row["measurement"], row["port_number"], row["sub_sensor_index"]))


def test_df_is_flat_and_ignores_start_mrid() -> None:
    """As one client reports of the service."""
    page = Cloud([station(records=3)]).page(output_format="df", start_mrid=3)

    assert {line["mrid"] for line in page.body["data"]} == {1, 2, 3}
    assert page.body["data"][0]["measurement"] == "Air Temperature"


def test_csv_has_a_line_for_each_value() -> None:
    """Under a line of names; an empty page has no line at all."""
    cloud = Cloud([station(records=3)])

    answer = cloud.call(device_sn="z6-1", output_format="csv", start_mrid=3)

    lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert answer.content_type == "text/csv"
    assert (len(lines), {line["mrid"] for line in lines}) == (24, {"3"})
    assert cloud.call(device_sn="z6-1", output_format="csv", start_mrid=4).body == b""


class TestModelData:
    """`get_env_model_data`."""

    def test_it_has_a_value_for_each_day(self) -> None:
        """A value stands at the last second of its local day; days without records are flagged."""
        device = station(records=96 * 6, gaps=((96 * 2 - 20, 96 * 3 + 20),), tz_offset=-25200)

        data = self._data(device, start_date="2026-01-01 00:00", end_date="2026-01-05 00:00")

        assert data["metadata"] == {
            "units": " in",
            "start": "2026-01-01",
            "end": "2026-01-04",
            "data_source": "z6-1",
            "model_type": "ETo",
        }
        assert [reading["datetime"] for reading in data["readings"]] == [
            f"2026-01-0{day} 23:59:59-07:00" for day in (1, 2, 3, 4)
        ]
        assert data["readings"][0]["timestamp_utc"] == MIDNIGHT + 25200 + 86399
        assert all(0 < reading["value"] < 0.5 for reading in data["readings"] if not reading["error_flag"])

    def test_a_day_without_records_is_flagged(self) -> None:
        """Its value is null and it says why."""
        data = self._data(station(records=96 * 3, gaps=((90, 200),)))

        assert [reading["error_flag"] for reading in data["readings"]] == [False, True, False]
        assert data["readings"][1]["value"] is None
        assert data["readings"][1]["error_description"] == "Insufficient data"

    def test_alfalfa_needs_more_water_than_grass(self) -> None:
        """ETr is above ETo."""
        grass, alfalfa = (self._data(station(records=90), model_type=model) for model in ("ETo", "ETr"))

        assert alfalfa["readings"][0]["value"] > grass["readings"][0]["value"]

    @pytest.mark.parametrize(
        ("device", "asked"),
        [
            (station(records=0), {}),
            (station(), {"start_date": "2027-01-01 00:00"}),
            (station(), {"start_date": "2026-01-02 00:00", "end_date": "2026-01-02 00:00"}),
            (
                station(records=500, gaps=((90, 300),)),
                {"start_date": "2026-01-02 00:00", "end_date": "2026-01-03 00:00"},
            ),
        ],
        ids=["no records", "later days", "no day", "a day without records"],
    )
    def test_a_range_without_records_is_told_in_bare_words(self, device: Device, asked: dict[str, object]) -> None:
        """Not in JSON, and as a right answer."""
        answer = Cloud([device]).receive(MODEL_PARAMS | asked, ENV_MODEL).answer()

        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.body == b"No records for this timerange"

    def test_a_day_without_records_may_be_the_bare_word_nan(self) -> None:
        """Which strict parsers refuse; it is flagged as otherwise."""
        device = station(records=96 * 3, gaps=((90, 200),))

        answer = Cloud([device], empty_days="nan").receive(MODEL_PARAMS, ENV_MODEL).answer()

        assert answer.body.count(b'"value":NaN,"error_flag":true') == answer.body.count(b"NaN") == 1

    def test_a_day_grows_with_its_records(self) -> None:
        """What is told of a day that is not over, or of which records are still to come, is told anew later."""
        whole = station(records=96 * 2)
        devices = [station(records=96 + 40), replace(whole, withheld=((100, 190),)), whole, station(records=96 * 3)]

        values = [self._data(device)["readings"][1]["value"] for device in devices]

        assert 0 < values[1] < values[0] < values[2] == values[3]

    @pytest.mark.parametrize("name", ["elevation", "latitude", "wind_measurement_height"])
    def test_a_value_depends_on_each_input(self, name: str) -> None:
        """So that a client that sends wrong ones is found out."""
        inputs = MODEL_INPUTS | {name: 60}
        device = station(records=96, start=datetime(2025, 7, 1, tzinfo=UTC))

        usual, other = (self._data(device, **asked) for asked in ({}, {"inputs": json.dumps(inputs)}))

        assert usual["readings"][0]["value"] != other["readings"][0]["value"]

    def test_the_ground_truth_is_what_is_sent(self) -> None:
        """All of a device's days, those without records too."""
        device = station(records=96 * 5, gaps=((90, 300),), tz_offset=-25200)
        emulator = Emulator([device], empty_days="nan")

        told = emulator.env_model("z6-1", 1, "ETr", elevation=806, latitude=32.25)

        sent = self._data(device, model_type="ETr")["readings"]
        assert told == sent
        assert [day["value"] is None for day in told] == [False, False, True, False, False, False]

    def test_what_cannot_be_seen_has_no_days(self) -> None:
        """Another user's device, and a port without a weather station."""
        emulator = Emulator([station(), replace(station(), device_sn="z6-2", of_another_user=True)])

        assert emulator.env_model("z6-1", 3, "ETo", elevation=1, latitude=1) == []
        assert emulator.env_model("z6-2", 1, "ETo", elevation=1, latitude=1) == []

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("model_type", "", "model_type is required."),
            ("model_type", "ETx", "model_type must be one of: ETo, ETr."),
            ("port_num", 3, "There is no ATMOS 41 on port 3."),
            ("inputs", "", "inputs is required."),
            ("inputs", "{}", "inputs is invalid: Object missing required field `elevation`."),
        ],
    )
    def test_a_call_that_cannot_be_answered_is_told_why(self, name: str, value: object, words: str) -> None:
        """Missing and wrong parameters are told with their name."""
        answer = Cloud([station()]).receive(MODEL_PARAMS | {name: value}, ENV_MODEL).answer()

        assert (answer.status, detail(answer)) == (400, words)

    def _data(self, device: Device, **params: object) -> dict[str, Any]:
        answer = Cloud([device]).receive(MODEL_PARAMS | params, ENV_MODEL).answer()
        assert answer.status == 200
        return dict(json.loads(answer.body)["data"])
