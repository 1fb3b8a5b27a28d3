"""Writes the catalog entry of each stream anew."""

from __future__ import annotations

from tests.catalogs import FOLDER, VERSIONS, entries, text_of

for api_version in VERSIONS:
    for name, entry in entries(api_version).items():
        (FOLDER / name).write_text(text_of(entry), encoding="utf-8")
