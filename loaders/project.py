"""What meltano.yml says of a loader, for those who run it without Meltano."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent


def loader(name: str) -> dict[str, Any]:
    """The definition of a loader: its package (`pip_url`), program (`executable`) and settings (`config`)."""
    project = yaml.safe_load((PROJECT / "meltano.yml").read_text(encoding="utf-8"))
    (definition,) = (plugin for plugin in project["plugins"]["loaders"] if plugin["name"] == name)
    return dict(definition)
