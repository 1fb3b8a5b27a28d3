"""The catalog entry of each stream as it was released: whoever changes one sees what users' tables will get.

`python -m tests.catalogs` writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tap_zentra.tap import TapZentra

FOLDER = Path(__file__).parent
VERSIONS = ("v4", "v5")


def entries(api_version: str) -> dict[str, dict[str, Any]]:
    """Return the catalog entry of each stream of an API, by the name of its file."""
    found: dict[str, dict[str, Any]] = {}
    for compact in (False, True):
        tap = TapZentra(config={"api_version": api_version, "compact_readings": compact}, validate_config=False)
        found |= {f"{api_version}-{entry['tap_stream_id']}.json": entry for entry in tap.catalog_dict["streams"]}
    return found


def text_of(entry: dict[str, Any]) -> str:
    """Return an entry as it stands in its file."""
    return json.dumps(entry, indent=2, ensure_ascii=False) + "\n"
