"""Which sensors there are, what they measure and under which names and units; knows no device and no record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_zentra.emulator.data import Conditions

CELSIUS = "°C"
FAHRENHEIT = "°F"

USUAL_DEPTH = 25.0
"""Depth of a soil sensor in cm when the user has not set one."""


@dataclass(frozen=True)
class Measurement:
    """What a sensor measures.

    Attributes:
        name: As the service names it.
        units: As a person writes them, such as `m³/m³`; empty for a bare number.
        precision: Decimal places.
        compute: From the conditions and the depth in cm to the value.
        scatter: Width of the random part of a value, relative to the value.
    """

    name: str
    units: str
    precision: int
    compute: Callable[[Conditions, float], float]
    scatter: float = 0.02

    @property
    def wire_units(self) -> str:
        """Units as the service sends them, see `wire_units`."""
        return wire_units(self.units)


@dataclass(frozen=True)
class Sensor:
    r"""A sensor on a port.

    Attributes:
        name: Such as `TEROS 11`.
        port: 1 to 8; 7 is the battery and 8 the barometer inside the logger.
        measurements: What it measures, each once for each depth.
        serial: First part of its serial number, such as `T11-`; None or empty: it tells none.
        depths: Texts such as `10 cm`; a profile probe has several. Empty or `Not Set`: the user gave none.
        number: Which one of the device's probes it is: the rest of its serial number depends on it. None: the port's
            own. A probe that was moved keeps the number of its first port; one that came later has one above 8.
    """

    name: str
    port: int
    measurements: tuple[Measurement, ...]
    serial: str | None = None
    depths: tuple[str, ...] = ("",)
    number: int | None = None


@dataclass(frozen=True)
class Series:
    """One measurement of one sensor at one depth: what the service answers as one entry."""

    sensor: Sensor
    measurement: Measurement
    depth: str

    @property
    def centimetres(self) -> float:
        """Depth in cm, a usual one where the user has set none."""
        digits = self.depth.removesuffix(" cm")
        return float(digits) if digits.isdecimal() else USUAL_DEPTH


def series_of(sensors: Iterable[Sensor]) -> tuple[Series, ...]:
    """Return all series of the sensors in the order of the service's entries: by measurement, port and depth."""
    series = [
        Series(sensor, measurement, depth)
        for sensor in sensors
        for measurement in sensor.measurements
        for depth in sensor.depths
    ]
    return tuple(sorted(series, key=lambda one: (one.measurement.name, one.sensor.port)))


def wire_units(units: str) -> str:
    r"""Return units as the service sends them.

    A leading blank, but for bare numbers, `%` and degrees of an angle, and what is not ASCII as a literal
    escape: the text of six characters `\u00b0` for the degree sign (seen in an answer of the service).
    """
    escaped = "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in units)
    return escaped if units in {"", "%", "°"} else f" {escaped}"


def to_fahrenheit(celsius: float) -> float:
    """Return °F."""
    return celsius * 1.8 + 32


def _gust(now: Conditions, _: float) -> float:
    return now.wind * 1.7


def _leaf_wetness(now: Conditions, _: float) -> float:
    return now.minutes if now.rain > 0 or now.humidity > 0.97 else 0.0  # noqa: PLR2004 - the dew point is near


def _lightning(now: Conditions, _: float) -> float:
    return float(int(now.rain * 4)) if now.temperature > 18 else 0.0  # noqa: PLR2004 - summer rain is thunder


def _battery_percent(now: Conditions, _: float) -> float:
    return min(100.0, 96 + now.radiation / 100)


def _soil_temperature(now: Conditions, depth: float) -> float:
    lag = 0.625 + depth / 100
    damped = now.swing * math.exp(-depth / 12)
    return now.mean_temperature + damped * math.cos(2 * math.pi * (now.day_fraction - lag))


def _water_content(now: Conditions, depth: float) -> float:
    return min(0.46, 0.14 + depth / 1000 + 0.006 * now.soil_water * math.exp(-depth / 40))


AIR_TEMPERATURE = Measurement("Air Temperature", CELSIUS, 1, lambda now, _: now.temperature)
WATER_CONTENT = Measurement("Water Content", "m³/m³", 3, _water_content, 0.01)
SOIL_TEMPERATURE = Measurement("Soil Temperature", CELSIUS, 1, _soil_temperature, 0.01)

ATMOS_41 = Sensor(
    "ATMOS 41",
    1,
    (
        AIR_TEMPERATURE,
        Measurement("Atmospheric Pressure", "kPa", 2, lambda now, _: now.pressure, 0.0005),
        Measurement("Gust Speed", "m/s", 2, _gust, 0.5),
        Measurement("Lightning Activity", "", 0, _lightning),
        Measurement("Lightning Distance", "km", 0, lambda now, depth: 9 * (_lightning(now, depth) > 0)),
        Measurement("Max Precip Rate", "mm/h", 1, lambda now, _: now.rain * 150 / now.minutes, 0.6),
        Measurement("Precipitation", "mm", 3, lambda now, _: now.rain, 0.3),
        Measurement("RH Sensor Temp", CELSIUS, 1, lambda now, _: now.temperature + 0.4),
        Measurement("Relative Humidity", "%", 1, lambda now, _: 100 * now.humidity),
        Measurement("Solar Radiation", "W/m²", 1, lambda now, _: now.radiation, 0.15),
        Measurement("VPD", "kPa", 2, lambda now, _: now.vapour_deficit, 0.1),
        Measurement("Wind Direction", "°", 0, lambda now, _: now.direction * 0.9 + 15, 0.08),
        Measurement("Wind Speed", "m/s", 2, lambda now, _: now.wind, 0.4),
        Measurement("X-axis Level", "°", 1, lambda _now, _: 0.9, 1.2),
        Measurement("Y-axis Level", "°", 1, lambda _now, _: -0.2, 5.0),
    ),
    "ATM-41",
)
PHYTOS_31 = Sensor(
    "PHYTOS 31",
    2,
    (
        Measurement("Leaf Wetness", "min", 0, _leaf_wetness, 0.0),
        Measurement("Wetness Level", "", 0, lambda now, depth: 445 + 18 * _leaf_wetness(now, depth)),
    ),
    "",
)
TEROS_11 = Sensor("TEROS 11", 3, (SOIL_TEMPERATURE, WATER_CONTENT), "T11-", ("10 cm",))
TEROS_10 = Sensor("TEROS 10", 5, (WATER_CONTENT,), "", ("Not Set",))
TEROS_54 = Sensor("TEROS 54", 5, (SOIL_TEMPERATURE, WATER_CONTENT), "T54-", ("15 cm", "30 cm", "45 cm", "60 cm"))
BATTERY = Sensor(
    "Battery",
    7,
    (
        Measurement("Battery Percent", "%", 0, _battery_percent, 0.0),
        Measurement("Battery Voltage", "mV", 0, lambda now, _: 8250 + now.radiation / 8, 0.001),
    ),
)
BAROMETER = Sensor(
    "Barometer",
    8,
    (
        Measurement("Logger Temperature", CELSIUS, 1, lambda now, _: now.temperature + now.radiation / 150),
        Measurement("Reference Pressure", "kPa", 2, lambda now, _: now.pressure, 0.0003),
    ),
    "16",
)

STANDARD_STATION = (ATMOS_41, PHYTOS_31, TEROS_11, TEROS_10, BATTERY, BAROMETER)
"""A weather station with two soil probes: 24 values in a record, two of them `Water Content`."""

PROFILE_STATION = (ATMOS_41, PHYTOS_31, TEROS_11, TEROS_54, BATTERY, BAROMETER)
"""The same with a profile probe: four values of `Water Content` on one port."""
