"""A tap of the same SDK with one stream and nothing in it: what a tap's start costs at least."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream, Tap
from singer_sdk import typing as th

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class EmptyStream(Stream):
    """No records."""

    name = "empty"
    schema = th.PropertiesList(th.Property("id", th.IntegerType)).to_dict()

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        return []


class EmptyTap(Tap):
    """One stream without records."""

    name = "tap-empty"
    config_jsonschema = th.PropertiesList().to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        return [EmptyStream(self)]


if __name__ == "__main__":
    EmptyTap.cli()
