"""`python -m benchmarks`: measures, prints tables, and fails only on broken limits and missing readings."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks import (
    batch,
    idle,
    lookback,
    makespan,
    many_devices,
    memory,
    page,
    startup,
    streams,
    throughput,
    transform,
)
from benchmarks.children import BenchmarkError
from benchmarks.pipelines import models, postgres, target
from benchmarks.v5 import idle as idle_v5
from benchmarks.v5 import makespan as makespan_v5
from benchmarks.v5 import memory as memory_v5
from benchmarks.v5 import page as page_v5
from benchmarks.v5 import stages as stages_v5

DEFAULT = {
    "startup": startup.measure,
    "makespan": makespan.measure,
    "throughput": throughput.measure,
    "streams": streams.measure,
    "memory": memory.measure,
    "idle": idle.measure,
    "lookback": lookback.measure,
    "many-devices": many_devices.measure,
    "batch": batch.measure,
    "v5-makespan": makespan_v5.measure,
    "v5-idle": idle_v5.measure,
    "v5-page": page_v5.measure,
    "v5-stages": stages_v5.measure,
    "v5-memory": memory_v5.measure,
}
# Hours, and what needs a browser, programs from the package index, or half an hour.
ALL = DEFAULT | {
    "memory-long": memory.measure_long,
    "page": page.measure,
    "transform": transform.measure,
    "pipelines": postgres.measure,
    "pipelines-dbt": models.measure,
    "target-settings": target.measure_settings,
    "target-profile": target.measure_profile,
}


@click.command()
@click.option("--quick", is_flag=True, help="Small fleets, two minutes: shows that all is read and no limit broken.")
@click.option("--only", type=click.Choice(list(ALL)), multiple=True, help="One benchmark; can be repeated.")
def main(only: tuple[str, ...], *, quick: bool) -> None:
    """Measure what a sync takes and what it would take at best."""
    click.echo(machine())
    faults: list[str] = []
    for name in only or DEFAULT:
        begun = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                table = ALL[name](Path(folder), quick=quick)
        except BenchmarkError as error:
            faults.append(f"{name}: {error}")
            continue
        click.echo(f"\n{table}")
        click.echo(f"{name}: {time.monotonic() - begun:.0f} s", err=True)
        faults += table.faults
    for fault in faults:
        click.echo(f"Error: {fault}", err=True)
    sys.exit(1 if faults else 0)


def machine() -> str:
    """Return what the figures were measured on."""
    cpus = Path("/proc/cpuinfo")
    names = cpus.read_text().splitlines() if cpus.exists() else []
    model = next((line.split(":")[1].strip() for line in names if line.startswith("model name")), platform.machine())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    libraries = ", ".join(f"{name} {version(name)}" for name in ("singer-sdk", "msgspec", "requests"))
    return f"{os.cpu_count()} cores ({model}), {platform.system()}, {python}, {libraries}"


if __name__ == "__main__":
    main()
