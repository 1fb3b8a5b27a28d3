"""The typed properties of the records: what each column holds and where it comes from."""

from __future__ import annotations

from singer_sdk import typing as th

READINGS = th.PropertiesList(
    th.Property("device_sn", th.StringType, required=True, description="Serial number of the logger."),
    th.Property(
        "mrid",
        th.IntegerType,
        required=True,
        description="Measurement record id: one moment at one logger. It grows with the logger's records.",
    ),
    th.Property("timestamp_utc", th.DateTimeType, required=True, description="Moment of the reading, ISO 8601, UTC."),
    th.Property("port_number", th.IntegerType, required=True, description="Port of the logger."),
    th.Property(
        "measurement",
        th.StringType,
        required=True,
        description="What was measured, as the service names it, for example `Water Content`.",
    ),
    th.Property(
        "sub_sensor_index",
        th.IntegerType,
        required=True,
        description="0; 1, 2, … for further values of the same record, port and measurement (profile probes).",
    ),
    th.Property("value", th.NumberType, description="The value, in `units`; null when the sensor gave none."),
    th.Property("units", th.StringType, description="Units as the account prefers them, for example `m³/m³`."),
    th.Property("precision", th.IntegerType, description="Decimal places that the service shows."),
    th.Property(
        "error_flag",
        th.BooleanType,
        required=True,
        description="True when the service marks the reading as faulty.",
    ),
    th.Property("error_description", th.StringType, description="What the service says of the fault."),
    th.Property("local_datetime", th.StringType, description="Moment in the logger's local time, with its offset."),
    th.Property("tz_offset", th.IntegerType, description="The local time's offset from UTC, in seconds."),
    th.Property("device_name", th.StringType, description="Name of the logger."),
    th.Property("sensor_name", th.StringType, description="Kind of sensor, for example `TEROS 11`."),
    th.Property("sensor_sn", th.StringType, description="Serial number of the sensor."),
    th.Property("depth", th.StringType, description="Depth of the sensor as entered in ZENTRA Cloud, if asked for."),
    th.Property(
        "extra",
        th.ObjectType(additional_properties=True),
        description="Fields that the columns above do not know.",
    ),
).to_dict()
"""JSON schema of stream `readings`: one record for each value."""

READINGS_KEY = ("device_sn", "mrid", "timestamp_utc", "port_number", "measurement", "sub_sensor_index")
"""So many columns that no value can overwrite another: not a second probe on a port, not a wiped logger's record."""
