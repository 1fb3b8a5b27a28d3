"""What the catalog says of each stream, which is what makes users' tables."""

from __future__ import annotations

import pytest

from tests.catalogs import FOLDER, VERSIONS, entries, text_of

ENTRIES = {name: entry for api_version in VERSIONS for name, entry in entries(api_version).items()}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_catalog_entry_of_a_stream_is_the_one_that_users_have(name: str) -> None:
    """A column, type, key or description changes on purpose only: `python -m tests.catalogs` writes it anew."""
    assert text_of(ENTRIES[name]) == (FOLDER / name).read_text(encoding="utf-8")


def test_every_stream_has_its_entry_kept() -> None:
    """And no file is of a stream that is gone."""
    assert {path.name for path in FOLDER.glob("*.json")} == ENTRIES.keys()


@pytest.mark.parametrize("name", ENTRIES)
def test_every_column_has_a_type_and_a_description(name: str) -> None:
    """They are what people see of a table."""
    for column, schema in ENTRIES[name]["schema"]["properties"].items():
        assert schema.get("type"), column
        assert schema.get("description"), column
