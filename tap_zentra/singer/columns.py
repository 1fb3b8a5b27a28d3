"""Columns that readings have whichever API they come from."""

from __future__ import annotations

from singer_sdk import typing as th

DEVICE_SN = th.Property("device_sn", th.StringType, required=True, description="Serial number of the device.")

TIMESTAMP_UTC = th.Property(
    "timestamp_utc", th.DateTimeType, required=True, description="Moment of the reading, ISO 8601, UTC."
)

PORT_NUMBER = th.Property(
    "port_number", th.IntegerType, required=True, description="Port of the device; -1 when the service names none."
)

MEASUREMENT = th.Property(
    "measurement",
    th.StringType,
    required=True,
    description="What was measured, as the service names it, for example `Water Content`.",
)

VALUE = th.Property("value", th.NumberType, description="The value, in `units`; null when the sensor gave none.")

LOCAL_DATETIME = th.Property(
    "local_datetime", th.StringType, description="Moment in the device's local time, with its offset."
)

DEVICE_NAME = th.Property("device_name", th.StringType, description="Name of the device.")

EXTRA = th.Property(
    "extra",
    # Without `properties`, an empty set of which would have flattening drop the column.
    th.CustomType({"type": ["object"], "additionalProperties": True}),
    description="Fields that the columns above do not know, or not in the form in which they came.",
)
