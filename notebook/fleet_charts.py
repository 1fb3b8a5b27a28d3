"""How rows look: the page's charts. Knows no database.

Times are those of the device, shown as if they were UTC, so that a browser does not shift them to its own zone. Colours
are those that Okabe and Ito chose for people who do not see all of them; where they tell an order, it is one of
lightness too.
"""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import altair as alt
from fleet_data import Span, centimetres, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet_database import Row

WIDTH, LEFT = 780, 170
"""Of all charts, and of what stands left of them, in pixels: so all times on the page are one below the other."""

GREY, INK, LINE = "#e3e3e3", "#333333", "#dddddd"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6d1f", "#000000")
STATUS_COLOURS = {"failed": "#D55E00", "silent": "#E69F00", "clock ahead": "#CC79A7", "alive": "#009E73"}

NOT_WHOLE = "first day or today"
SHARES = {
    "no readings": "#7f2704",
    "less than half": "#d94801",
    "50 to 90 %": "#fdae6b",
    "90 to 99 %": "#fde5c8",
    "all": "#9ecae1",
    NOT_WHOLE: GREY,
}
"""From nothing to all; the names of the steps, and their colours."""

_DAY = 86_400_000


def availability(rows: Sequence[Row]) -> alt.TopLevelMixin:
    """Return the heat map: how much of each day's readings has come, a line for each device."""
    values = [
        {"device": row["device"], "start": milliseconds(row["date"]), "share": row["share"], "came": _step(row)}
        for row in rows
    ]
    devices = list(dict.fromkeys(row["device"] for row in rows))
    span = Span(min(row["date"] for row in rows), max(row["date"] for row in rows))
    chart = (
        alt.Chart(_data(values), width=WIDTH, height=alt.Step(20 if len(devices) <= 30 else 13))  # noqa: PLR2004
        .transform_calculate(end=f"time(datum.start) + {_DAY}", day="utcFormat(datum.start, '%A, %d %B %Y')")
        .mark_rect(stroke="white", strokeWidth=1 if len(values) / len(devices) <= 120 else 0)  # noqa: PLR2004
        .encode(
            x=_time_axis("start", span, "Day in the device's local time"),
            x2="end:T",
            y=alt.Y("device:N", sort=devices, title=None, axis=_names_axis()),
            color=alt.Color(
                "came:N",
                title="Readings that came",
                scale=alt.Scale(domain=list(SHARES), range=list(SHARES.values())),
                legend=alt.Legend(orient="top", symbolType="square", symbolStrokeWidth=0, symbolSize=150),
            ),
            tooltip=[
                alt.Tooltip("device:N", title="Device"),
                alt.Tooltip("day:N", title="Day"),
                alt.Tooltip("share:Q", title="Share of the expected readings", format=".0%"),
                alt.Tooltip("came:N", title="Means"),
            ],
        )
    )
    return _finished(chart)


def measurement(name: str, points: Sequence[Row], gaps: Sequence[Row], span: Span) -> alt.TopLevelMixin:
    """Return a measurement over time: a chart for each of its units, and below them where devices have sent nothing."""
    charts: list[Any] = [
        _lines(name, units, list(found), span)
        for units, found in groupby(sorted(points, key=itemgetter("units")), key=itemgetter("units"))
    ]
    if gaps:
        charts.append(_gap_lanes(gaps, span))
    return _finished(alt.vconcat(*charts, spacing=24).resolve_scale(color="independent", strokeDash="independent"))


def profile(name: str, points: Sequence[Row], gaps: Sequence[Row], span: Span) -> alt.TopLevelMixin:
    """Return a measurement by depth and time, the uppermost sensor at the top; a chart for each of its units."""
    charts: list[Any] = []
    for units, found in groupby(sorted(points, key=itemgetter("units")), key=itemgetter("units")):
        rows = [row for row in found if row["value"] is not None]
        sensors = sorted({(_depth_order(row), row["sensor"]) for row in rows})
        title = _titled(name, units)
        layer = (
            alt.Chart(_data(rows, "sensor", "start", "end", "value"))
            .transform_calculate(when=_when("start"), until=f"time(datum.end) + {_pixel(span)}")
            .mark_rect()
            .encode(
                x=_time_axis("start", span),
                x2="until:T",
                y=alt.Y("sensor:N", sort=[sensor for _, sensor in sensors], title=None, axis=_names_axis()),
                color=alt.Color(
                    "value:Q",
                    title=title,
                    scale=alt.Scale(scheme="viridis", reverse=True, zero=False),
                    legend=alt.Legend(orient="top", gradientLength=260, titleLimit=300),
                ),
                tooltip=[
                    alt.Tooltip("sensor:N", title="Sensor"),
                    alt.Tooltip("when:N", title="Time"),
                    alt.Tooltip("value:Q", title=title, format=".4~g"),
                ],
            )
        )
        charts.append(alt.layer(*_shade(gaps, span), layer).properties(width=WIDTH, height=alt.Step(38)))
    return _finished(alt.vconcat(*charts, spacing=24).resolve_scale(color="independent"))


def rain_and_water(
    rain: Sequence[Row], water: Sequence[Row], gaps: Sequence[Row], span: Span, *, every: str
) -> alt.TopLevelMixin:
    """Return rain as bars above soil water as lines, on one axis of time."""
    charts: list[Any] = []
    for units, found in groupby(sorted(rain, key=itemgetter("units")), key=itemgetter("units")):
        title = _titled("Rain", f"{units or 'no unit'} each {every}")
        bars = (
            alt.Chart(_data(found, "sensor", "start", "end", "value"))
            .transform_calculate(when=_when("start"))
            .mark_rect(color=PALETTE[5])
            .encode(
                x=_time_axis("start", span, labels=False),
                x2="end:T",
                y=alt.Y("value:Q", title=title, axis=_value_axis(title)),
                y2=alt.Y2Datum(0),
                tooltip=[alt.Tooltip("when:N", title="Time"), alt.Tooltip("value:Q", title=title, format=".4~g")],
            )
        )
        charts.append(bars.properties(width=WIDTH, height=110))
    for units, found in groupby(sorted(water, key=itemgetter("units")), key=itemgetter("units")):
        charts.append(_lines("Soil water", units, list(found), span, *_shade(gaps, span)))
    chart = alt.vconcat(*charts, spacing=10).resolve_scale(color="independent", strokeDash="independent")
    return _finished(chart)


def _lines(
    name: str, units: str, points: Sequence[Row], span: Span, *below: alt.Chart
) -> alt.LayerChart | alt.FacetChart:
    """Return the lines of one measurement in one unit; devices differ in colour, sensors of a device in dashes."""
    devices = list(dict.fromkeys(point["device"] for point in points))
    sensors = sorted({(_depth_order(point), point["sensor"]) for point in points})
    several = len(devices) > 1
    names = [sensor for _, sensor in sensors]
    title = _titled(name, units)
    base = (
        alt.Chart(_data(points, "device", "sensor", "start", "end", "value", "alone"))
        .transform_calculate(middle="(time(datum.start) + time(datum.end)) / 2", when=_when("start"))
        .encode(
            x=_time_axis("middle", span),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=_value_axis(title)),
            color=_colour("device", devices) if several else _colour("sensor", names),
            detail=["device:N", "sensor:N"],
            tooltip=[
                alt.Tooltip("device:N", title="Device"),
                alt.Tooltip("sensor:N", title="Sensor"),
                alt.Tooltip("when:N", title="Time"),
                alt.Tooltip("value:Q", title=title, format=".4~g"),
            ],
        )
    )
    kind = next((point["aggregation"] for point in points), "mean")
    if kind == "vector mean":
        # Between 359° and 1° there is no way for a line.
        marks = [base.mark_circle(size=14, opacity=0.8)]
    else:
        line = base.mark_line(strokeWidth=1.6, interpolate="step" if kind == "sum" else "linear")
        if several and len(names) > 1:
            line = line.encode(
                strokeDash=alt.StrokeDash("sensor:N", title="Sensor", sort=names, legend=_legend("bottom"))
            )
        marks = [line]
        if any(point["alone"] for point in points):
            marks.append(base.transform_filter("datum.alone").mark_circle(size=22, opacity=1))
    return alt.layer(*below, *marks).properties(width=WIDTH, height=230)


def _gap_lanes(gaps: Sequence[Row], span: Span) -> alt.Chart:
    """Return where devices have sent nothing, a lane for each device."""
    lanes: alt.Chart = (
        alt.Chart(_data(gaps), width=WIDTH, height=alt.Step(18), title=_small("No readings"))
        .transform_calculate(since=_when("start"), until=_when("end"))
        .mark_rect(color="#8a8a8a")
        .encode(
            x=_time_axis("start", span),
            x2="end:T",
            y=alt.Y("device:N", title=None, axis=_names_axis()),
            tooltip=[
                alt.Tooltip("device:N", title="Device"),
                alt.Tooltip("since:N", title="Nothing from"),
                alt.Tooltip("until:N", title="to"),
                alt.Tooltip("hours:Q", title="Hours", format=".1f"),
            ],
        )
    )
    return lanes


def _shade(gaps: Sequence[Row], span: Span) -> list[alt.Chart]:
    """Return where a device has sent nothing, as a background, if there is such a stretch."""
    if not gaps:
        return []
    return [
        alt.Chart(_data(gaps))
        .transform_calculate(since=_when("start"), until=_when("end"))
        .mark_rect(color=GREY, opacity=0.8)
        .encode(
            x=_time_axis("start", span),
            x2="end:T",
            tooltip=[alt.Tooltip("since:N", title="No readings from"), alt.Tooltip("until:N", title="to")],
        )
    ]


def _time_axis(field: str, span: Span, title: str = "Device's local time", *, labels: bool = True) -> alt.X:
    axis = alt.Axis(
        format=_FORMAT,
        labelOverlap=True,
        labelFlush=True,
        tickCount=10,
        gridColor="#f0f0f0",
        labels=labels,
        ticks=labels,
    )
    # Not as one `domain`: of a bar with two ends, Vega-Lite warns that its two scales differ.
    first, last = map(milliseconds, span.ends)
    scale = alt.Scale(type="utc", domainMin=first, domainMax=last, nice=False, clamp=True)
    return alt.X(f"{field}:T", title=title if labels else None, scale=scale, axis=axis)


def _value_axis(title: str) -> alt.Axis:
    return alt.Axis(title=title, gridColor="#eeeeee", tickCount=5, minExtent=LEFT, titleX=-60)


def _small(title: str) -> alt.TitleParams:
    return alt.TitleParams(title, anchor="start", fontSize=11, fontWeight="normal", color=INK)


def _names_axis() -> alt.Axis:
    return alt.Axis(labelLimit=LEFT - 10, minExtent=LEFT, domain=False, ticks=False)


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    colours = [PALETTE[place % len(PALETTE)] for place in range(len(names))]
    return alt.Color(
        f"{field}:N",
        title=field.capitalize(),
        scale=alt.Scale(domain=list(names), range=colours),
        legend=_legend(),
    )


def _legend(orient: Literal["top", "bottom"] = "top") -> alt.Legend:
    return alt.Legend(orient=orient, columns=3, labelLimit=260, symbolStrokeWidth=2.5, symbolType="stroke")


def _finished(chart: alt.Chart | alt.VConcatChart) -> alt.TopLevelMixin:
    found: alt.TopLevelMixin = (
        chart.configure_view(stroke=None)
        .configure_axis(labelColor=INK, titleColor=INK, titleFontWeight="normal", domainColor=LINE, tickColor=LINE)
        .configure_legend(labelColor=INK, titleColor=INK, titleFontWeight="normal")
    )
    return found


def _data(rows: Iterable[Row], *names: str) -> alt.UrlData:
    """Return rows, or only what a chart needs of them, within a URL: as values, Altair would check each for seconds."""
    chosen = [{name: row[name] for name in names} if names else row for row in rows]
    text = json.dumps(chosen, separators=(",", ":"), ensure_ascii=False)
    url = f"data:application/json;base64,{b64encode(text.encode()).decode()}"
    return alt.UrlData(url=url, format=alt.JsonDataFormat(type="json"))


def _step(row: Row) -> str:
    if not row["whole"] and row["share"] < 0.99:  # noqa: PLR2004 - the last of the steps
        return NOT_WHOLE
    for name, below in zip(SHARES, (1e-9, 0.5, 0.9, 0.99), strict=False):
        if row["share"] < below:
            return name
    return "all"


def _pixel(span: Span) -> int:
    """Return its milliseconds: as much as neighbours overlap, lest the background shines through between them."""
    return span.days * _DAY // WIDTH


def _depth_order(row: Row) -> float:
    depth = centimetres(row["depth"])
    return float("inf") if depth is None else depth


def _titled(name: str, units: str) -> str:
    return f"{name} ({units})" if units else name


def _when(field: str) -> str:
    return f"utcFormat(datum.{field}, '%d %b %Y, %H:%M')"


# The axis says the day at midnight, and the hour otherwise; the year at its beginning.
_FORMAT = {"year": "%Y", "month": "%b %Y", "date": "%d %b", "day": "%d %b", "week": "%d %b", "hours": "%H:%M"}
