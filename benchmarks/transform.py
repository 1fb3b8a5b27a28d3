"""How long the models take: all of them from nothing, and again after an hour more; in a PostgreSQL of its own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import psycopg

from benchmarks.dbt import run_dbt
from benchmarks.tables import Table, judged
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OF_FULL = 1 / 20
A_DAY = 96
AN_HOUR = 4
"""Records of a device, one each quarter of an hour."""

TABLES = """
    create table readings (
        device_sn text, mrid bigint, timestamp_utc timestamp, port_number bigint, measurement text,
        sub_sensor_index bigint, value numeric, units text, precision bigint, error_flag boolean,
        error_description text, local_datetime text, tz_offset bigint, device_name text, sensor_name text,
        sensor_sn text, depth text, extra jsonb
    );
    create table devices (
        device_sn text primary key, device_name text, outcome text, error text, last_mrid bigint, synced_at timestamp
    )
"""
"""As target-postgres makes them."""

KEY = (
    "alter table readings add primary key (device_sn, mrid, timestamp_utc, port_number, measurement, sub_sensor_index)"
)

FILL = """
    insert into readings (
        device_sn, mrid, timestamp_utc, port_number, measurement, sub_sensor_index, value, units, precision,
        error_flag, local_datetime, tz_offset, device_name, sensor_name, sensor_sn
    )
    select
        'z6-' || lpad(device::text, 5, '0'), mrid, moment, 1 + channel / 8, 'Measurement ' || channel, 0,
        round((random() * 100)::numeric, 2), '°C', 2, random() < 0.002,
        to_char(moment - interval '4 hours', 'YYYY-MM-DD HH24:MI:SS') || '-04:00', -14400, 'Station ' || device,
        'TEROS 12', 'T12-' || device
    from
        generate_series(1, %(devices)s::int) as device,
        generate_series(%(first)s::int, %(last)s::int) as mrid,
        generate_series(1, 24) as channel,
        lateral (select %(start)s::timestamp + mrid * interval '15 minutes' as moment) as record
    order by device, mrid
"""
"""Records of 24 values."""

TELL = """
    insert into devices
    select 'z6-' || lpad(device::text, 5, '0'), 'Station ' || device, 'current', null, %(last)s::int, now()
    from generate_series(1, %(devices)s::int) as device
    on conflict (device_sn) do update set last_mrid = excluded.last_mrid, synced_at = excluded.synced_at
"""


def measure(work: Path, *, quick: bool) -> Table:
    """Build the models in full, then after one more hour of the fleet."""
    devices, days = (5, 10) if quick else (60, 365)
    table = Table(
        "dbt models, PostgreSQL", ("fleet", "run", "readings", "seconds", "of the full build", "to reach", "slowest")
    )
    with Warehouse(work / "warehouse", fsync=False) as warehouse, psycopg.connect(warehouse.dsn, autocommit=True) as to:
        to.execute(f"create schema zentra; set search_path = zentra; {TABLES}".encode())
        last = days * A_DAY - AN_HOUR
        _fill(to, devices, 1, last, days)
        to.execute(KEY)
        to.execute("vacuum analyze")
        full = _build(work, warehouse.environment)
        _fill(to, devices, last + 1, last + AN_HOUR, days)
        hour = _build(work, warehouse.environment)
        fleet = f"{devices} × {days} days"
        table.add(fleet, "full", _count(to), f"{full[0]:.1f}", "", "", full[1])
        share = hour[0] / full[0]
        goal = "" if quick else f"≤ {OF_FULL:g}"
        shown = judged(share, OF_FULL if not quick else 1, f"{share:.3f}")
        table.add(fleet, "one hour more", f"{devices * AN_HOUR * 24:,}", f"{hour[0]:.1f}", shown, goal, hour[1])
        table.note(fleet, _faults(to))
    return table


def _fill(to: psycopg.Connection[tuple[object, ...]], devices: int, first: int, last: int, days: int) -> None:
    start = time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86400))
    to.execute(FILL.encode(), {"devices": devices, "first": first, "last": last, "start": start})
    to.execute(TELL.encode(), {"devices": devices, "last": last})


def _count(to: psycopg.Connection[tuple[object, ...]]) -> str:
    [[count]] = to.execute(b"select count(*) from stg_zentra__readings").fetchall()
    return f"{count:,}"


def _faults(to: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Readings that the models lack, or have twice."""
    counted = b"select (select count(*) from readings), (select count(*) from stg_zentra__readings)"
    counted += b", (select sum(readings + flagged) from zentra_hourly)"
    [found] = to.execute(counted).fetchall()
    return [] if len(set(found)) == 1 else [f"readings, staged and in the hours: {found}"]


def _build(work: Path, variables: Mapping[str, str]) -> tuple[float, str]:
    """Return the seconds of `dbt build`, and which models took longest.

    Raises:
        BenchmarkError: It failed.
    """
    seconds = run_dbt(work, variables, "build")
    results = json.loads((work / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    slowest = sorted(results, key=lambda one: -one["execution_time"])[:3]
    named = (f"{one['unique_id'].split('.')[2]} {one['execution_time']:.1f} s" for one in slowest)
    return seconds, ", ".join(named)
