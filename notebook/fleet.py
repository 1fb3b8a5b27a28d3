import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Fleet of ZENTRA devices")

with app.setup:
    # What people choose, and where it stands on the page. How it is read and drawn is in the modules beside this one.
    import datetime as dt
    import html

    import fleet_charts as charts
    import fleet_data as data
    import marimo as mo
    from fleet_database import FleetError, find_database

    PERIODS = {"1 day": 1, "1 week": 7, "2 weeks": 14, "1 month": 30, "2 months": 60, "1 year": 365, "other dates": 0}
    RESOLUTIONS = {"automatic": None, "hours": "hour", "days": "day"}
    SAME_DEVICE = "the same device"
    # Of the devices in the table before it scrolls, of the battery in percent, of the subscription in days.
    MANY, LOW, SOON = 12, 20, 30
    # In pixels.
    WIDTHS = {"Status": 100, "Device": 230, "Last reading (UTC)": 150, "Silent for": 90, "Battery (%)": 90}


@app.function
def section(build):
    """Return a part of the page, or the sentence that says why it is not there."""
    try:
        return build()
    except FleetError as error:
        return note(str(error), "warn")


@app.function
def note(text, kind="neutral"):
    """Return a sentence in the place of what is missing; what the database says is no markup."""
    return mo.callout(mo.Html(f"<p>{html.escape(text)}</p>"), kind=kind)


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Fleet of ZENTRA devices
    """)
    return


@app.cell
def _():
    now = data.utc_now()
    database, fleet, problem = None, data.NO_FLEET, ""
    try:
        database = find_database()
        fleet = data.read_fleet(database, now)
        if not fleet.devices:
            problem = "There are no devices yet. Load their readings, and build the models again."
    except FleetError as error:
        problem = str(error)
    return database, fleet, now, problem


@app.cell
def _(fleet, now, problem):
    def _style(_row, column, value):
        if column == "Status":
            return {"backgroundColor": charts.STATUS_COLOURS[value], "color": "white", "fontWeight": "600"}
        low = column == "Battery (%)" and value is not None and value < LOW
        ends_soon = column == "Subscription ends" and value and value < f"{now + dt.timedelta(days=SOON):%Y-%m-%d}"
        return {"color": charts.STATUS_COLOURS["failed"], "fontWeight": "600"} if low or ends_soon else {}

    def _overview():
        rows = data.table_rows(fleet.devices)
        formats = {
            **dict.fromkeys(("Silent for", "Longest gap", "Clock ahead by"), data.duration),
            "Battery (%)": "{:.0f}",
            "Battery (V)": "{:.2f}",
        }
        table = mo.ui.table(
            rows,
            selection=None,
            # All on one page, so that the exported page has them too.
            page_size=len(rows),
            max_height=520 if len(rows) > MANY else None,
            show_data_types=False,
            show_column_summaries=False,
            format_mapping={name: form for name, form in formats.items() if name in rows[0]},
            column_widths={name: width for name, width in WIDTHS.items() if name in rows[0]},
            style_cell=_style,
        )
        failures = [
            note(f"{', '.join(devices)}: {error}", "danger") for error, devices in data.failures(fleet.devices).items()
        ]
        return mo.vstack([mo.md(f"**{data.summary(fleet.devices, now)}**"), *failures, table])

    overview = note(problem, "warn") if problem else _overview()
    overview
    return (overview,)


@app.cell
def _(database, fleet, problem):
    def _availability():
        rows = data.read_availability(database, fleet.devices, fleet.today, days=365)
        return charts.availability(rows) if rows else note("No device has sent a reading within a year.")

    _text = """
    ## Availability

    Share of the expected readings that came, by device and day of its local time, for up to a year.
    """
    availability = None if problem else mo.vstack([mo.md(_text), section(_availability)])
    availability
    return (availability,)


@app.cell
def _(fleet):
    _span = fleet.span(PERIODS["2 weeks"])
    _names = fleet.measurements
    measurement = mo.ui.dropdown(
        _names, value=data.WATER if data.WATER in _names else next(iter(_names), None), label="Measurement"
    )
    devices = mo.ui.multiselect(
        [device["label"] for device in fleet.devices],
        value=[device["label"] for device in fleet.measuring(data.WATER)[:2]],
        label="Devices",
    )
    period = mo.ui.dropdown(PERIODS, value="2 weeks", label="Period, up to the newest reading")
    dates = mo.ui.date_range(value=(_span.first, _span.last), label="From, to")
    resolution = mo.ui.dropdown(RESOLUTIONS, value="automatic", label="Values of")
    return dates, devices, measurement, period, resolution


@app.cell
def _(dates, devices, measurement, period, problem, resolution):
    _when = [period, resolution] if period.value else [period, dates, resolution]
    None if problem else mo.vstack(
        [
            mo.md("## Readings"),
            mo.hstack([measurement, devices], justify="start", gap=2),
            mo.hstack(_when, justify="start", gap=2),
        ]
    )
    return


@app.cell
def _(dates, fleet, period):
    span = fleet.span(period.value) if period.value else data.Span(*dates.value)
    return (span,)


@app.cell
def _(database, devices, fleet, measurement, now, problem, resolution, span):
    def _readings():
        name, chosen = measurement.value, fleet.named(devices.value)
        if not name or not chosen:
            return note("Choose a measurement and one or more devices.")
        every = data.choose_resolution(resolution.value, fleet.count_series(name, chosen), span)
        points = data.read_series(database, name, chosen, span, every)
        if not points:
            return note(f"None of these devices has a reading of {name} from {span.first} to {span.last}.")
        less = " Those of hours would be more than a chart can show." if (resolution.value or every) != every else ""
        chart = charts.measurement(name, points, data.read_gaps(database, chosen, span, now), span)
        return mo.vstack([mo.md(f"Values of each {every}.{less} A line breaks where there are no readings."), chart])

    readings = None if problem else section(_readings)
    readings
    return (readings,)


@app.cell
def _(fleet):
    _soil = [device["label"] for device in fleet.measuring(*data.SOIL)]
    _rain = [device["label"] for device in fleet.measuring(data.RAIN)]
    _names = [name for name in data.SOIL if name in fleet.measurements]
    soil_device = mo.ui.dropdown(_soil, value=next(iter(_soil), None), label="Device")
    soil_measurement = mo.ui.dropdown(_names, value=next(iter(_names), None), label="Profile of")
    _elsewhere = bool(_soil and _rain) and _soil[0] not in _rain
    rain_device = mo.ui.dropdown(
        [SAME_DEVICE, *_rain], value=_rain[0] if _elsewhere else SAME_DEVICE, label="Rain measured by"
    )
    return rain_device, soil_device, soil_measurement


@app.cell
def _(problem, rain_device, soil_device, soil_measurement):
    _text = """
    ## Soil

    One device in the same period: its sensors by depth, and rain together with soil water. Grey: no readings.
    """
    None if problem else mo.vstack(
        [mo.md(_text), mo.hstack([soil_device, soil_measurement, rain_device], justify="start", gap=2)]
    )
    return


@app.cell
def _(database, fleet, now, problem, resolution, soil_device, soil_measurement, span):
    def _profile():
        name, chosen = soil_measurement.value, fleet.named([soil_device.value])
        if not name or not chosen:
            return note("No device has a soil sensor yet.")
        every = data.choose_resolution(resolution.value, fleet.count_series(name, chosen), span)
        points = data.read_series(database, name, chosen, span, every)
        if all(point["value"] is None for point in points):
            return note(f"{soil_device.value} has no reading of {name} from {span.first} to {span.last}.")
        return charts.profile(name, points, data.read_gaps(database, chosen, span, now), span)

    profile = None if problem else section(_profile)
    profile
    return (profile,)


@app.cell
def _(database, fleet, now, problem, rain_device, resolution, soil_device, span):
    def _rain_and_water():
        chosen = fleet.named([soil_device.value])
        gauge = chosen if rain_device.value == SAME_DEVICE else fleet.named([rain_device.value])
        every = data.choose_resolution(resolution.value, fleet.count_series(data.WATER, chosen), span)
        rain = data.read_series(database, data.RAIN, gauge, span, every)
        water = data.read_series(database, data.WATER, chosen, span, every)
        if not rain and not water:
            return note(f"There is neither rain nor soil water from {span.first} to {span.last}.")
        gaps = data.read_gaps(database, chosen, span, now)
        return charts.rain_and_water(rain, water, gaps, span, every=every)

    rain_and_water = None if problem else section(_rain_and_water)
    rain_and_water
    return (rain_and_water,)


@app.cell
def _(availability, database, overview, profile, rain_and_water, readings):
    # Runs when all parts are there: whoever waits for the page, waits for this line.
    _parts = sum(part is not None for part in (overview, availability, readings, profile, rain_and_water))
    _source = f"Read from the {database.name}." if database else ""
    mo.Html(f'<p data-parts="{_parts}">{html.escape(_source)}</p>')
    return


if __name__ == "__main__":
    app.run()
