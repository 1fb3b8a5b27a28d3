"""The options that `zentra-emulator serve` and `run` have in common, and how they are read; knows no command."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from tap_zentra.emulator.devices import fleet
from tap_zentra.emulator.faults import KINDS, PASSING_KINDS, Fault
from tap_zentra.emulator.limits import DEVICE_LIMIT, USER_LIMIT, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.limits import RetryAfter
    from tap_zentra.emulator.pages import Pages

GAP = re.compile(r"(?:(?P<device>.+):)?(?P<first>\d+)-(?P<last>\d+)")


class Options(TypedDict):
    """The options that `serve` and `run` have in common."""

    devices: int
    records: list[int]
    interval: int
    seed: int
    user_limit: int
    device_limit: int
    window: float
    latency: float
    pages: Pages
    gaps: tuple[Gap, ...]
    growth: int
    growth_interval: float
    fault: tuple[Fault, ...]
    fault_rate: float
    fault_kinds: list[str]
    retry_after: RetryAfter
    extend_lockouts: bool
    token: str
    call_log: Path | None


@dataclass(frozen=True)
class Gap:
    """Records that do not exist; `device_sn` None: of every device."""

    device_sn: str | None
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Gap:
        """Return the gap that is written as [DEVICE:]FIRST-LAST.

        Raises:
            ValueError: It is written otherwise.
        """
        match = GAP.fullmatch(text.strip())
        if match is None or not 1 <= int(match["first"]) <= int(match["last"]):
            raise ValueError(f"'{text}' is not of the form 200-300 or z6-00002:200-300")
        return cls(match["device"], int(match["first"]), int(match["last"]))


def _parse_records(text: str) -> list[int]:
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdecimal() and number.isascii() for number in numbers):
        raise ValueError(f"'{text}' is not a number or a list of numbers such as 10,250,3000")
    return [int(number) for number in numbers]


def _parse_kinds(text: str) -> list[str]:
    return [Fault(kind.strip()).name for kind in text.split(",")]


def _reading(parse: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, Any], object]:
    """Let an option's text, or each of its texts, be read by a function that raises ValueError."""

    def read(_ctx: click.Context, _param: click.Parameter, given: str | tuple[str, ...]) -> object:
        try:
            return parse(given) if isinstance(given, str) else tuple(parse(text) for text in given)
        except ValueError as problem:
            raise click.BadParameter(str(problem)) from None

    return read


def _a_number(_ctx: click.Context, _param: click.Parameter, given: float) -> float:
    if math.isnan(given):  # click's ranges let it pass
        raise click.BadParameter("it is not a number.")
    return given


MAX_SECONDS = 86_400
COUNT = click.IntRange(1, 1_000_000)

OPTIONS = (
    click.option("--devices", type=click.IntRange(1, 99_999), default=3, help="How many data loggers the account has."),
    click.option(
        "--records",
        metavar="NUMBER[,NUMBER...]",
        callback=_reading(_parse_records),
        default="100",
        help="How many records each device holds. A list such as 10,250,3000 is given out in turn.",
    ),
    click.option("--interval", type=COUNT, default=900, help="Seconds between two records of a device."),
    click.option(
        "--seed", type=int, default=1, help="The same number always gives the same devices, values and faults."
    ),
    click.option("--user-limit", type=COUNT, default=USER_LIMIT, help="Calls that the account may make in one window."),
    click.option("--device-limit", type=COUNT, default=DEVICE_LIMIT, help="Calls for each device in one window."),
    click.option(
        "--window",
        type=click.FloatRange(0.001, MAX_SECONDS),
        callback=_a_number,
        default=WINDOW,
        help="Seconds over which calls are counted. The real service has 60; less saves waiting.",
    ),
    click.option(
        "--latency",
        type=click.FloatRange(0, MAX_SECONDS),
        default=0.0,
        callback=_a_number,
        help="Seconds that every answer takes.",
    ),
    click.option(
        "--pages",
        type=click.Choice(["records", "ids"]),
        default="records",
        help="What a page of N is where records are missing: the next N records that exist, or the next N "
        "record numbers, of which some or all may be missing.",
    ),
    click.option(
        "--gaps",
        metavar="[DEVICE:]FIRST-LAST",
        callback=_reading(Gap.parse),
        multiple=True,
        help="Records that are missing: 200-300 for every device, z6-00002:200-300 for one. Can be repeated.",
    ),
    click.option(
        "--growth",
        type=click.IntRange(0, 1_000_000),
        default=0,
        help="New records that every device makes in each --growth-interval while the emulator runs.",
    ),
    click.option(
        "--growth-interval",
        type=click.FloatRange(0.01, MAX_SECONDS),
        default=60.0,
        callback=_a_number,
        help="Seconds, see --growth.",
    ),
    click.option(
        "--fault",
        metavar="KIND[@DEVICE][xTIMES]",
        callback=_reading(Fault.parse),
        multiple=True,
        help="Something that goes wrong, as KIND[@DEVICE][xTIMES]: '500' hits every call, '500@z6-00002' every "
        "call for that device, '500@z6-00002x3' the first three. The kinds are below. Can be repeated.",
    ),
    click.option(
        "--fault-rate",
        type=click.FloatRange(0, 1),
        callback=_a_number,
        default=0.0,
        help="Share of all calls, from 0 to 1, on which something goes wrong by chance.",
    ),
    click.option(
        "--fault-kinds",
        metavar="KIND[,KIND...]",
        callback=_reading(_parse_kinds),
        default=",".join(PASSING_KINDS),
        help="What goes wrong by chance, see --fault-rate: kinds of --fault, with commas.",
    ),
    click.option(
        "--retry-after",
        type=click.Choice(["none", "seconds", "date"]),
        default="none",
        help="Whether and how a refused call (429) is told in the header Retry-After when to come again.",
    ),
    click.option("--extend-lockouts", is_flag=True, help="A call that is refused starts the waiting time anew."),
    click.option("--token", default="", help="Token of the account, any text. Without: one that depends on --seed."),
    click.option(
        "--call-log",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="File to which one line of JSON is added for every call. The token is never in it.",
    ),
)


KINDS_EPILOG = "\b\nWhat can go wrong (--fault, --fault-kinds):\n" + "\n".join(
    f"  {kind:<17}{meaning}" for kind, meaning in KINDS.items()
)


def emulator_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command all these options."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def devices_of(options: Options) -> list[Device]:
    """Return the fleet that the options describe.

    Raises:
        click.UsageError: A fault or a gap is that of a device that is not in the fleet, or the first record
            would be older than the calendar.
    """
    try:
        devices = fleet(options["devices"], options["records"], seed=options["seed"], interval=options["interval"])
    except OverflowError:
        raise click.UsageError("So many --records at such an --interval began before the calendar.") from None
    known = {device.device_sn for device in devices}
    named = {fault.device_sn for fault in options["fault"]} | {gap.device_sn for gap in options["gaps"]}
    unknown = sorted(device_sn for device_sn in named if device_sn and device_sn not in known)
    if unknown:
        last = devices[-1].device_sn
        raise click.UsageError(f"There is no device {unknown[0]}; the last one is {last}.")
    return [replace(device, gaps=_gaps(device, options["gaps"])) for device in devices]


def _gaps(device: Device, gaps: Sequence[Gap]) -> tuple[tuple[int, int], ...]:
    return tuple((gap.first, gap.last) for gap in gaps if gap.device_sn in {None, device.device_sn})
