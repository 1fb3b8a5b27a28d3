"""The rooms of the package: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tap_zentra

PACKAGE = Path(tap_zentra.__file__).parent

MAY_IMPORT = {
    "__main__": {"tap", "settings", "singer"},
    "tap": {"settings", "singer", "v4", "v5"},
    "settings": set(),
    "singer": {"settings", "calls"},
    "calls": set(),
    "bodies": {"calls.errors"},
    "http": {"calls.errors", "calls.memory"},
    "v4": {"settings", "singer", "bodies", "http", "calls"},
    "v5": {"settings", "singer", "bodies", "http", "calls"},
    "emulator": set(),
}
"""Each room and the rooms, or modules, that it may import; imports run one way."""

PURE = (
    *("calls.limits", "calls.memory", "calls.refusals", "calls.schedule", "settings", "bodies"),
    *("singer.bookmarks", "singer.moments", "singer.overlap", "v4.places"),
    *("v4.pagination", "v4.responses", "v5.pagination", "v5.responses"),
)
"""Modules that know neither the network nor the real clock."""

IMPURE = {"requests", "urllib3", "socket", "http", "time", "subprocess", "os", "queue"}


def _modules() -> dict[str, Path]:
    """Return all modules by their name within the package; a package is its `__init__`."""
    paths = PACKAGE.rglob("*.py")
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def _imports(path: Path) -> set[str]:
    """Return what a module imports, wherever in it, as full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _room(name: str) -> str:
    return name.split(".", 1)[0]


def test_every_module_is_in_a_room() -> None:
    """A new room needs a reason, and a line here."""
    assert {_room(name) for name in _modules()} - {"__init__"} == set(MAY_IMPORT)


def test_no_room_may_import_one_that_imports_it() -> None:
    """The arrows themselves run one way."""

    def reachable(room: str) -> set[str]:
        direct = {_room(other) for other in MAY_IMPORT[room]}
        return direct | {far for other in direct for far in reachable(other)}

    assert [room for room in MAY_IMPORT if room in reachable(room)] == []


@pytest.mark.parametrize("name", sorted(set(_modules()) - {"__init__"}))
def test_imports_run_one_way(name: str) -> None:
    """A module imports its own room, and those that its room may import."""
    own = {other.removeprefix("tap_zentra.") for other in _imports(_modules()[name]) if other.startswith("tap_zentra.")}
    allowed = {_room(name), *MAY_IMPORT[_room(name)]}

    assert [other for other in sorted(own) if not any(f"{other}.".startswith(f"{room}.") for room in allowed)] == []


@pytest.mark.parametrize("name", PURE)
def test_pure_rooms_know_neither_network_nor_clock(name: str) -> None:
    """Their tests hand them plain values and moments."""
    assert {_room(other) for other in _imports(_modules()[name])} & IMPURE == set()


def test_calls_know_neither_the_sdk_nor_an_api() -> None:
    """Whatever is read, and whatever becomes of it, the order of calls is the same."""
    names = [name for name in _modules() if _room(name) == "calls"]

    assert {_room(other) for name in names for other in _imports(_modules()[name])} & {
        "singer_sdk",
        "requests",
    } == set()
