"""The emulator's options, each declared once: its name, type, default and meaning, for programs and for the command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tap_zentra.emulator.declarations import COUNT, a_number, choice, option, seconds
from tap_zentra.emulator.devices import fleet
from tap_zentra.emulator.eventful import eventful_fleet
from tap_zentra.emulator.faults import DEVICE_LIST, KINDS, PASSING_KINDS, Fault
from tap_zentra.emulator.limits import DEVICE_LIMIT, USER_LIMIT, WINDOW
from tap_zentra.emulator.v5.options import V5Options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.env_model import EmptyDays
    from tap_zentra.emulator.limits import LimitWords, RetryAfter
    from tap_zentra.emulator.pages import Pages, Sorting
    from tap_zentra.emulator.readings import EntryOrder, LateValues

GAP = re.compile(r"(?:(?P<device>.+):)?(?P<first>\d+)-(?P<last>\d+)")


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
            raise ValueError(f"'{text}' does not have the form 200-300 or z6-00002:200-300")
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


def _parse_moment(text: str) -> datetime:
    """Return a moment; a whole minute for now, and UTC where no zone is named."""
    if text == "now":
        return datetime.now(UTC).replace(second=0, microsecond=0)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _a_period(_ctx: click.Context, _param: click.Parameter, given: int) -> int:
    if given == 1:
        raise click.BadParameter("1 would leave no record numbers; use 0, or 2 or more.")
    return given


@dataclass(eq=False, kw_only=True)
class ServiceOptions:
    """How the service behaves, in v4 or in all versions."""

    user_limit: int = field(
        default=USER_LIMIT, metadata=option("v3, v4: calls that the account may make per window.", type=COUNT)
    )
    device_limit: int = field(
        default=DEVICE_LIMIT, metadata=option("Calls that each device allows per window.", type=COUNT)
    )
    window: float = field(
        default=WINDOW,
        metadata=seconds(
            "Length of the call limits' window in seconds. The real service uses 60; less saves waiting.", 0.001
        ),
    )
    latency: float = field(default=0.0, metadata=seconds("Seconds that every response takes.", 0))
    pages: Pages = field(
        default="records",
        metadata=option(
            "What a page of N contains where records are missing: the next N existing records, or the next N record "
            "numbers, some or all of which may be missing.",
            type=click.Choice(["records", "ids"]),
        ),
    )
    sorting: Sorting = field(
        default="mrid",
        metadata=option(
            "What sort_by sorts by, and therefore which N of the requested records come first: record numbers, or "
            "times, which differ where a device's clock was wrong; 'descending': sort_by is ignored and the newest "
            "record comes first.",
            type=click.Choice(["mrid", "time", "descending"]),
        ),
    )
    page_days: int = field(
        default=0,
        metadata=option(
            "A page in ascending order also ends at the device's local midnight this many days after its start: the "
            "requested date, or the time when the first requested record number was due. It is therefore empty where "
            "a device was silent for longer. Version 3 of the service uses 21. 0: no limit.",
            type=click.IntRange(0, 36_500),
        ),
    )
    late_values: LateValues = field(
        default="none",
        metadata=option(
            "Whether values are missing from a device's newest record until the next one is made: those of every "
            "second sensor are absent, or null with an error.",
            type=click.Choice(["none", "absent", "null"]),
        ),
    )
    duplicates: bool = field(
        default=False,
        metadata=option("Send the readings of every fifth record number twice in a row.", is_flag=True),
    )
    odd_fields: bool = field(
        default=False,
        metadata=option(
            "Send optional fields in the odd forms that clients have met: numbers as text and vice versa, a datetime "
            "that is NaN, a NUL in a name.",
            is_flag=True,
        ),
    )
    empty_days: EmptyDays = field(
        default="null",
        metadata=choice(
            "How get_env_model_data writes the value of a day without records: as null, or as the bare word NaN.",
            ["null", "nan"],
        ),
    )
    entry_order: EntryOrder = field(
        default="steady",
        metadata=option(
            "Whether the entries of a measurement have the same order in every response, or a different order in each.",
            type=click.Choice(["steady", "shuffled"]),
        ),
    )
    seed: int = field(
        default=1,
        metadata=option(
            "The same number always gives the same devices and faults and, with the same --until, the same values.",
            type=int,
        ),
    )
    growth: int = field(
        default=0,
        metadata=option(
            "New records that every device makes per --growth-interval while the emulator is running.",
            type=click.IntRange(0, 1_000_000),
        ),
    )
    growth_interval: float = field(default=60.0, metadata=seconds("Seconds; see --growth.", 0.01))
    faults: Sequence[Fault] = field(
        default=(),
        metadata=option(
            "A fault, as KIND[@DEVICE][xTIMES]: '500' affects every call, '500@z6-00002' every call for that device, "
            "'500@z6-00002x3' the first three of them, '500@devices' every call for v5's device list. The kinds are "
            "listed below. Can be repeated.",
            "--fault",
            metavar="KIND[@DEVICE][xTIMES]",
            callback=_reading(Fault.parse),
            multiple=True,
        ),
    )
    fault_rate: float = field(
        default=0.0,
        metadata=option(
            "Share of calls, from 0 to 1, that are affected by a random fault.",
            type=click.FloatRange(0, 1),
            callback=a_number,
        ),
    )
    fault_kinds: Sequence[str] = field(
        default=PASSING_KINDS,
        metadata=option(
            "Kinds of random faults (see --fault-rate), separated by commas.",
            metavar="KIND[,KIND...]",
            callback=_reading(_parse_kinds),
            default=",".join(PASSING_KINDS),
        ),
    )
    retry_after: RetryAfter = field(
        default="none",
        metadata=option(
            "Whether and how the Retry-After header of a rejected call (429) says when to call again.",
            type=click.Choice(["none", "seconds", "date"]),
        ),
    )
    limit_words: LimitWords = field(
        default="own",
        metadata=option(
            "Whether the message for a call that exceeds the account's limit names that limit, or the device's.",
            type=click.Choice(["own", "device"]),
        ),
    )
    extend_lockouts: bool = field(
        default=False, metadata=option("Every rejected call restarts the waiting time.", is_flag=True)
    )
    token: str = field(
        default="",
        repr=False,
        metadata=option("Token of the account; any text. If not given: one that depends on --seed."),
    )
    call_log: Path | None = field(
        default=None,
        metadata=option(
            "File to which a line of JSON is appended for every call. It never contains the token.",
            type=click.Path(dir_okay=False, writable=True, path_type=Path),
        ),
    )


@dataclass(eq=False, kw_only=True)
class Options(V5Options, ServiceOptions):
    """How the service behaves, whatever devices it has; what each option means is said once, for the command too."""


FLEET_OPTIONS = (
    click.option("--devices", type=click.IntRange(1, 99_999), default=3, help="Number of devices in the account."),
    click.option(
        "--records",
        metavar="NUMBER[,NUMBER...]",
        callback=_reading(_parse_records),
        default="100",
        help="Number of records of each device. The numbers of a list such as 10,250,3000 are used in turn.",
    ),
    click.option(
        "--eventful",
        is_flag=True,
        help="Use eight devices with two weeks of records that contain, once each, the events that make readings easy "
        "to misinterpret: a swapped probe, a moved port, changed units, another time zone, the end of daylight saving "
        "time, days of silence, a wrong clock, a device of another user. --devices and --records are ignored.",
    ),
    click.option("--interval", type=COUNT, default=900, help="Seconds between the records of a device."),
    click.option(
        "--until",
        metavar="MOMENT",
        callback=_reading(_parse_moment),
        default="now",
        help="When the next record of each device is due: an ISO 8601 date (UTC unless a time zone is given) or 'now'. "
        "The newest record is one --interval older. With --growth, use a date in the past: records are stamped one "
        "--interval apart, however fast they are made.",
    ),
    click.option(
        "--gaps",
        metavar="[DEVICE:]FIRST-LAST",
        callback=_reading(Gap.parse),
        multiple=True,
        help="Missing records: 200-300 for every device, z6-00002:200-300 for one. Can be repeated.",
    ),
    click.option(
        "--skip-every",
        type=click.IntRange(0, 1_000_000),
        callback=_a_period,
        default=0,
        help="Never use record numbers divisible by this number, although no record is missing. 0: use all numbers.",
    ),
)
"""Options of the command alone: programs make their devices themselves."""


KINDS_EPILOG = "\b\nKinds of faults (--fault, --fault-kinds):\n" + "\n".join(
    f"  {kind:<17}{meaning}" for kind, meaning in KINDS.items()
)


def emulator_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command all these options."""
    for one in reversed(fields(Options)):
        settings = {"default": one.default, **one.metadata}
        flag = settings.pop("flag") or f"--{one.name.replace('_', '-')}"
        command = click.option(flag, one.name, **settings)(command)
    for decorate in reversed(FLEET_OPTIONS):
        command = decorate(command)
    return command


def behaviour_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the command's options that say how the service behaves, as `Emulator` takes them."""
    return {one.name: options[one.name] for one in fields(Options)}


def devices_of(options: Mapping[str, Any]) -> list[Device]:
    """Return the fleet that the command's options describe.

    Raises:
        click.UsageError: A fault or a gap is that of a device that is not in the fleet, or the first record
            would be older than the calendar.
    """
    interval, end = options["interval"], options["until"]
    try:
        devices = (
            eventful_fleet(interval=interval, end=end)
            if options["eventful"]
            else fleet(options["devices"], options["records"], seed=options["seed"], interval=interval, end=end)
        )
    except OverflowError:
        raise click.UsageError(
            "The first record would be before the year 1; use a later --until, fewer --records or a shorter --interval."
        ) from None
    known = {device.device_sn for device in devices}
    named = {fault.device_sn for fault in options["faults"]} | {gap.device_sn for gap in options["gaps"]}
    unknown = sorted(device_sn for device_sn in named if device_sn and device_sn not in {*known, DEVICE_LIST})
    if unknown:
        last = devices[-1].device_sn
        raise click.UsageError(f"There is no device {unknown[0]}; the last device is {last}.")
    skip_every = options["skip_every"]
    return [replace(device, gaps=_gaps(device, options["gaps"]), skip_every=skip_every) for device in devices]


def _gaps(device: Device, gaps: Sequence[Gap]) -> tuple[tuple[int, int], ...]:
    return tuple((gap.first, gap.last) for gap in gaps if gap.device_sn in {None, device.device_sn})
