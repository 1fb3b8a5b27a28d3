"""The command `zentra-emulator`: what it runs and what it prints; knows not how the service works."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

import tap_zentra.emulator as zentra_emulator
from tap_zentra.emulator.options import KINDS_EPILOG, behaviour_of, devices_of, emulator_options
from tap_zentra.emulator.processes import CommandError, handled, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_zentra.emulator import Emulator

USAGE_ERROR = 2
QUICK_SWITCH = 0.0005
"""Seconds. While answers are built, the next call's time of arrival is taken no later than this."""


api_option = click.option(
    "--api",
    type=click.Choice(["v4", "v5"]),
    default="v4",
    help="Version of the API that the printed or exported settings tell the tap to use.",
)


@click.group(no_args_is_help=False, context_settings={"show_default": True, "max_content_width": 110})
def group() -> None:
    """Run a ZENTRA Cloud emulator on this machine, to try out tap-zentra without an account.

    It responds as METER's service does, with made-up weather data, and enforces the same call limits. A POST to
    /control/let-window-pass resets the call limits, as if the minute were over.
    """


@group.command(epilog=KINDS_EPILOG)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port to listen on. 0: any free port.")
@api_option
@emulator_options
def serve(port: int, api: str, **options: object) -> int:
    """Run until Ctrl-C, and print the settings that make the tap use it."""
    stop = threading.Event()
    with handled(lambda _number: stop.set()), _emulator(options, port) as emulator:
        click.echo(_introduction(emulator, _environment(emulator, api)))
        stop.wait()
    click.echo(_summary(emulator))
    return 0


@group.command(epilog=KINDS_EPILOG, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@api_option
@emulator_options
def run(command: tuple[str, ...], api: str, **options: object) -> int:
    """Run COMMAND with an emulator, and return its exit code.

    The environment variables TAP_ZENTRA_API_URL, TAP_ZENTRA_AUTH_TOKEN and TAP_ZENTRA_DEVICE_SNS (with --api v5 also
    TAP_ZENTRA_API_VERSION) point the command to the emulator; its call limits are set in the same way where they
    differ from the real service's.

    Example: zentra-emulator run --devices 5 --window 1 -- meltano run tap-zentra target-jsonl
    """
    with _emulator(options, port=0) as emulator:
        try:
            code = run_command(command, os.environ | _environment(emulator, api))
        except CommandError as error:
            _complain(str(error))
            code = error.exit_code
    click.echo(_summary(emulator), err=True)
    return code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 2 for options that make no sense, told in one line."""
    if find_spec("aiohttp") is None:
        _complain("the emulator is not installed: pip install 'tap-zentra[emulator]'")
        sys.exit(USAGE_ERROR)
    sys.setswitchinterval(QUICK_SWITCH)
    try:
        code = group.main(arguments, prog_name="zentra-emulator", standalone_mode=False)
    except click.ClickException as problem:
        _complain(f"{problem.format_message().rstrip('.')}. See 'zentra-emulator --help'.")
        code = USAGE_ERROR
    except click.Abort:
        code = 128 + signal.SIGINT
    sys.exit(code)


def _complain(message: str) -> None:
    click.echo(f"zentra-emulator: {' '.join(message.split())}", err=True)


@contextmanager
def _emulator(options: Mapping[str, Any], port: int) -> Iterator[Emulator]:
    """Run the emulator that the options describe.

    Raises:
        click.UsageError: The options contradict each other, or the port or the call log cannot be had.
    """
    emulator = zentra_emulator.Emulator(devices_of(options), port=port, **behaviour_of(options))
    with ExitStack() as running:
        try:
            running.enter_context(emulator)
        except OSError as problem:
            raise click.UsageError(f"Cannot start: {problem.strerror or problem}.") from None
        yield emulator


def _environment(emulator: Emulator, api: str) -> dict[str, str]:
    return emulator.environment_v5 if api == "v5" else emulator.environment


def _introduction(emulator: Emulator, environment: Mapping[str, str]) -> str:
    devices = [emulator.device(device_sn) for device_sn in emulator.device_sns]
    told = [
        f"  {device.device_sn}  {device.name}, {device.records} records, newest mrid {device.max_mrid}"
        for device in devices[:10]
    ]
    if len(devices) > len(told):
        told.append(f"  and {len(devices) - len(told)} more")
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    limits = f"{emulator.user_limit} for the account (not in v5), {emulator.device_limit} for each device"
    return "\n".join(
        [
            f"ZENTRA Cloud emulator at {emulator.url} (Ctrl-C stops it)",
            f"Token: {emulator.token}",
            f"Calls allowed in {emulator.window:g} s: {limits}",
            "Devices:",
            *told,
            "",
            "To make tap-zentra read from this emulator, paste these lines into its terminal:",
            *exports,
        ]
    )


def _summary(emulator: Emulator) -> str:
    refused = sum(call.status == 429 for call in emulator.calls)  # noqa: PLR2004 - Too Many Requests
    return f"zentra-emulator: calls received: {len(emulator.calls)}, of which rejected (429): {refused}"
