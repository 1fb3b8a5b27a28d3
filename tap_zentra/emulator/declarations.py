"""How an option is declared, once for programs and for the command; knows none of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SECONDS = 86_400
COUNT = click.IntRange(1, 1_000_000)


def a_number(_ctx: click.Context, _param: click.Parameter, given: float) -> float:
    """Let a number pass, and refuse what is none."""
    if math.isnan(given):  # click's ranges let it pass
        raise click.BadParameter("not a number.")
    return given


def option(meaning: str, flag: str = "", **settings: object) -> dict[str, object]:
    """Return what makes a field of `Options` an option of the command as well.

    Args:
        meaning: What the command says of it.
        flag: How it is written; empty: as the field is called.
        settings: Of `click.option`; the default is the field's unless it is among them.
    """
    return {"help": meaning, "flag": flag, **settings}


def seconds(meaning: str, least: float) -> dict[str, object]:
    """Return what makes a field an option that is a number of seconds."""
    return option(meaning, type=click.FloatRange(least, MAX_SECONDS), callback=a_number)


def choice(meaning: str, choices: Sequence[str]) -> dict[str, object]:
    """Return what makes a field an option that is one of some words."""
    return option(meaning, type=click.Choice(choices))


def flag(meaning: str) -> dict[str, object]:
    """Return what makes a field an option that is there or not."""
    return option(meaning, is_flag=True)
