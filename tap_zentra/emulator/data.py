"""Weather and soil at a place and a time, as pure functions; knows neither sensors nor mrids nor units' texts."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from tap_zentra.emulator.chance import noise

DAY = 86_400
"""Seconds."""

RAIN_CHANCE = 0.25
"""Share of the days on which it rains."""

DRYING_DAYS = 7.0
"""After this many days without rain the topsoil holds 1/e of what fell."""

SOIL_MEMORY = 30
"""Days after which rain no longer shows in the soil."""


class Rain(NamedTuple):
    """The rain event of one day; `begin` and `length` are fractions of the day, `total` is in mm."""

    begin: float
    length: float
    total: float


class Day(NamedTuple):
    """What a day brings at a place, at its midnight where it changes smoothly."""

    anomaly: float
    """°C above the mean of the season."""
    cloud: float
    """Cover, 0 to 1."""
    wind: float
    """m/s."""
    direction: float
    """Degrees."""
    pressure: float
    """kPa."""
    soil_water: float
    """mm of the past weeks' rain that the topsoil still holds."""
    rain: Rain


class Conditions(NamedTuple):
    """Weather and soil at one moment."""

    day_fraction: float
    """0 is midnight, 0.5 is noon."""
    temperature: float
    """°C."""
    mean_temperature: float
    """°C, over the day."""
    swing: float
    """°C, half the difference of day and night."""
    humidity: float
    """Relative humidity, 0 to 1."""
    vapour_deficit: float
    """kPa."""
    pressure: float
    """kPa."""
    radiation: float
    """W/m²."""
    rain: float
    """mm since the record before."""
    wind: float
    """m/s."""
    direction: float
    """Degrees."""
    soil_water: float
    """mm of rain that the topsoil still holds."""
    minutes: float
    """Since the record before."""


def conditions(place: int, local: int, interval: int) -> Conditions:
    """Return the weather and the soil.

    Args:
        place: Any number; another number is another place.
        local: Seconds since 1970-01-01 in the place's local time.
        interval: Seconds since the record before, over which rain is summed up.
    """
    number, second = divmod(local, DAY)
    at = second / DAY
    today, tomorrow = day(place, number), day(place, number + 1)
    season = _season(number)
    cloud = _between(today.cloud, tomorrow.cloud, at)
    mean = 11 + 11 * season + _between(today.anomaly, tomorrow.anomaly, at)
    swing = 2 + 5 * (1 - cloud)
    temperature = mean + swing * math.cos(2 * math.pi * (at - 0.625))
    saturation = _saturation_pressure(temperature)
    humidity = min(1.0, _saturation_pressure(mean - 6 + 5 * cloud) / saturation)
    rain = _rain_between(place, local - interval, local)
    return Conditions(
        day_fraction=at,
        temperature=temperature,
        mean_temperature=mean,
        swing=swing,
        humidity=humidity,
        vapour_deficit=saturation * (1 - humidity),
        pressure=_between(today.pressure, tomorrow.pressure, at),
        radiation=_radiation(at, season, cloud),
        rain=rain,
        wind=_between(today.wind, tomorrow.wind, at) * (1 + 0.6 * math.sin(2 * math.pi * (at - 0.35))),
        direction=today.direction,
        soil_water=today.soil_water * math.exp(-at / DRYING_DAYS) + _fallen(today.rain, at),
        minutes=interval / 60,
    )


@lru_cache(maxsize=8192)
def day(place: int, number: int) -> Day:
    """Return what the day with this number, counted from 1970-01-01, brings at the place."""
    rain = _rain(place, number)
    cloud = 0.8 if rain.total else 0.7 * _draw(place, number, 3)
    return Day(
        anomaly=7 * _draw(place, number, 4) - 3.5,
        cloud=cloud,
        wind=0.8 + 3 * _draw(place, number, 5),
        direction=360 * _draw(place, number, 6),
        pressure=99.2 + 1.6 * _draw(place, number, 7) - 0.8 * cloud,
        soil_water=sum(
            _rain(place, number - age).total * math.exp(-age / DRYING_DAYS) for age in range(1, SOIL_MEMORY)
        ),
        rain=rain,
    )


def evapotranspiration(place: int, number: int, elevation: float, latitude: float, wind_height: float) -> float:
    """Return the grass reference evapotranspiration of a day in mm.

    After Hargreaves (1975), ETo = 0.0135 · Rs · (T + 17.8), with the radiation Rs of the day as mm of
    evaporated water; thinner air at height lets a little more of it through. What latitude and wind do is made up.

    Args:
        place: As in `conditions`.
        number: The day, counted from 1970-01-01.
        elevation: Metres above the sea.
        latitude: Degrees.
        wind_height: Metres above the ground at which wind is measured.
    """
    hours = [conditions(place, number * DAY + hour * 3600, 3600) for hour in range(24)]
    megajoules = sum(hour.radiation for hour in hours) * 3600 / 1e6
    mean = sum(hour.temperature for hour in hours) / 24
    site = (1 + 2e-5 * elevation) * (1 + 0.2 * math.cos(math.radians(latitude))) * math.exp(-wind_height / 20)
    return max(0.0, 0.0135 * 0.408 * megajoules * (mean + 17.8) * site)


def _draw(place: int, number: int, which: int) -> float:
    return noise(place, number * 31 + which * 7919)


def _between(start: float, end: float, at: float) -> float:
    return start + (end - start) * at


def _season(number: int) -> float:
    """-1 in mid-January, 1 in mid-July."""
    return -math.cos(2 * math.pi * ((number - 15) % 365.25) / 365.25)


def _radiation(at: float, season: float, cloud: float) -> float:
    daylight = (12 + 3.5 * season) / 24
    height = math.cos(math.pi * (at - 0.5) / daylight) if abs(at - 0.5) < daylight / 2 else 0.0
    return max(0.0, (700 + 280 * season) * height * (1 - 0.75 * cloud))


def _saturation_pressure(temperature: float) -> float:
    """Of water vapour in kPa, after Tetens."""
    return 0.6108 * math.exp(17.27 * temperature / (temperature + 237.3))


@lru_cache(maxsize=65_536)
def _rain(place: int, number: int) -> Rain:
    if _draw(place, number, 0) >= RAIN_CHANCE:
        return Rain(0.0, 1.0, 0.0)
    length = 0.05 + 0.3 * _draw(place, number, 1)
    begin = (1 - length) * _draw(place, number, 2)
    return Rain(begin, length, 0.5 + 24 * _draw(place, number, 8) ** 2)


def _fallen(rain: Rain, at: float) -> float:
    """Return the mm that have fallen since midnight; an event begins and ends gently."""
    if at <= rain.begin or not rain.total:
        return 0.0
    done = min(1.0, (at - rain.begin) / rain.length)
    return rain.total * done * done * (3 - 2 * done)


def _rain_between(place: int, start: int, end: int) -> float:
    fallen = 0.0
    for number in range(start // DAY, end // DAY + 1):
        rain = _rain(place, number)
        if rain.total:
            midnight = number * DAY
            fallen += _fallen(rain, min(1.0, (end - midnight) / DAY))
            fallen -= _fallen(rain, max(0.0, (start - midnight) / DAY))
    return fallen
