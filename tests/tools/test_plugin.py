"""What Meltano reads of the tap is what the tap says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from tools import plugin


@pytest.fixture(scope="module")
def definition() -> plugin.Definition:
    """The definition, made anew."""
    return plugin.definition()


def test_the_definition_is_up_to_date(definition: plugin.Definition) -> None:
    """The file from which other projects add the tap is what `python -m tools.plugin` writes."""
    assert plugin.DEFINITION.read_text(encoding="utf-8") == plugin.definition_file(definition)


def test_the_lock_file_is_up_to_date(definition: plugin.Definition) -> None:
    """So is the file through which this repository's meltano.yml knows the tap."""
    assert plugin.LOCK_FILE.read_text(encoding="utf-8") == plugin.lock_file(definition)


def test_no_title_is_left_of_what_is_gone(definition: plugin.Definition) -> None:
    """Each title belongs to a setting, or to a value, that there is."""
    settings: list[dict[str, Any]] = definition["settings"]
    names = {setting["name"] for setting in settings}
    values = {option["value"] for setting in settings for option in setting.get("options", [])}

    assert set(plugin.LABELS) <= names
    assert set(plugin.PLACEHOLDERS) <= names
    assert set(plugin.OPTIONS) == values
