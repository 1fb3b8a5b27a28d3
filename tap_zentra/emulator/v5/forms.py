"""Optional fields of v5 in odd forms: how they come, and what the tap makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zentra.emulator.forms import NAN_EVERY, with_nul

if TYPE_CHECKING:
    from tap_zentra.emulator.v5.readings import Row


def make_odd(row: Row, mrid: int) -> None:
    """Give a row's optional fields odd forms: the error code is a text, every seventh local time is null."""
    row.error_code = str(row.error_code)
    if mrid % NAN_EVERY == 0:
        row.datetime = None


def odd_columns(told: dict[str, Any], extra: dict[str, Any], mrid: int) -> None:
    """Do to columns what `make_odd` does to a row: a column whose form is odd is None, what came is in `extra`."""
    extra["error_code"] = str(told["error_code"])
    told.update(dict.fromkeys(("error_code", "error_flag", "error_description")))
    if mrid % NAN_EVERY == 0:
        told["local_datetime"] = None


def sent_name(name: str, odd: bool) -> str:  # noqa: FBT001 - an option
    """Return a device's name as the service sends it: in an odd form with a NUL in its middle."""
    return with_nul(name) if odd else name


def displayed_name(name: str, odd: bool) -> str:  # noqa: FBT001 - an option
    """Return what becomes of the name."""
    return sent_name(name, odd).replace("\0", "\N{REPLACEMENT CHARACTER}")


def odd_device(told: dict[str, Any]) -> dict[str, Any]:
    """Return a device of the list with numbers as texts where they are optional."""
    groups = {"settings": ("logging_interval", "upload_frequency"), "hardware": ("firmware_version",)}
    odd = {
        group: told[group] | {name: str(told[group][name]) for name in names}
        for group, names in groups.items()
        if told.get(group) is not None
    }
    return told | odd
