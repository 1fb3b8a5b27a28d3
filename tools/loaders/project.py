"""What meltano.yml says of a loader, for those who run it without Meltano."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tools.postgres.server import Warehouse

PROJECT = Path(__file__).resolve().parents[2]


def loader(name: str) -> dict[str, Any]:
    """The definition of a loader: its package (`pip_url`), program (`executable`) and settings (`config`).

    Settings refer to the variables of meltano.yml (`$ZENTRA_SCHEMA`), which Meltano fills in; so does this.
    """
    text = (PROJECT / "meltano.yml").read_text(encoding="utf-8")
    project = yaml.safe_load(Template(text).safe_substitute(yaml.safe_load(text)["env"]))
    (definition,) = (plugin for plugin in project["plugins"]["loaders"] if plugin["name"] == name)
    return dict(definition)


def postgres_config(warehouse: Warehouse, schema: str) -> dict[str, Any]:
    """The settings that let target-postgres load into a schema of a server: those of meltano.yml, and where it is."""
    prefix = "TARGET_POSTGRES_"
    there = {
        name.removeprefix(prefix).lower(): value
        for name, value in warehouse.environment.items()
        if name.startswith(prefix)
    }
    return {**loader("target-postgres")["config"], **there, "port": warehouse.port, "default_target_schema": schema}
