"""Units of v5: how they are written, and the other ones that a call can ask for; knows no device and no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_zentra.emulator.sensors import CELSIUS, FAHRENHEIT, to_fahrenheit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zentra.emulator.sensors import Measurement
    from tap_zentra.emulator.v5.options import UnitSpelling

SUPERSCRIPT = ("m3/m3", "m³/m³")
"""Both spellings of the units of water content that clients report."""

IMPERIAL: dict[str, tuple[str, Callable[[float], float]]] = {
    CELSIUS: (FAHRENHEIT, to_fahrenheit),
    "mm": ("in", lambda value: value / 25.4),
    "mm/h": ("in/h", lambda value: value / 25.4),
    "m/s": ("mph", lambda value: value / 0.44704),
    "km": ("mi", lambda value: value / 1.609344),
}
"""Made up but for °F: which units the service has is not known. What is not among them stays metric."""


def spelled(unit: str, spelling: UnitSpelling) -> str:
    """Return a unit as the service writes it."""
    plain, superscript = SUPERSCRIPT
    return plain if spelling == "plain" and unit == superscript else unit


def imperial(measurement: Measurement) -> tuple[str, Callable[[float], float] | None]:
    """Return the imperial unit of a measurement and the way to it, None where it stays metric."""
    if measurement.units not in IMPERIAL:
        return measurement.units, None
    unit, convert = IMPERIAL[measurement.units]
    digits = measurement.precision + 2
    return unit, lambda value: round(convert(value), digits)
