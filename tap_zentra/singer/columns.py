"""Columns that readings have whichever API they come from."""

from __future__ import annotations

from singer_sdk import typing as th

DEVICE_SN = th.Property("device_sn", th.StringType, required=True, description="Serial number of the device.")

TIMESTAMP_UTC = th.Property(
    "timestamp_utc", th.DateTimeType, required=True, description="Time of the reading, ISO 8601, UTC."
)

PORT_NUMBER = th.Property(
    "port_number", th.IntegerType, required=True, description="Port of the device; -1 if the service gives none."
)

MEASUREMENT = th.Property(
    "measurement",
    th.StringType,
    required=True,
    description="What was measured, as the service names it, for example `Water Content`.",
)

VALUE = th.Property("value", th.NumberType, description="Measured value, in `units`; null if the sensor returned none.")

LOCAL_DATETIME = th.Property(
    "local_datetime", th.StringType, description="Time of the reading in the device's local time, with its UTC offset."
)

DEVICE_NAME = th.Property("device_name", th.StringType, description="Name of the device.")

EXTRA = th.Property(
    "extra",
    # Without `properties`, an empty set of which would have flattening drop the column.
    th.CustomType({"type": ["object"], "additionalProperties": True}),
    description="Fields for which there is no column above, or whose form does not fit it.",
)
