"""TapZentra: settings, the streams that the account's service has, and the end of a run for all of them."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import signal
import sys
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError, FatalSyncError

from tap_zentra.settings import SCHEMA, SettingsError, read_settings, wants_compact_readings
from tap_zentra.singer.bookmarks import HAND_OVER, read_state
from tap_zentra.singer.maps import name_failures, unknown_streams
from tap_zentra.singer.run import Run
from tap_zentra.singer.sensors import SensorsStream
from tap_zentra.singer.stream import FleetStream, StreamOfRun, SyncFailedError
from tap_zentra.singer.writer import Writer
from tap_zentra.v4.api import Account as ClassicAccount
from tap_zentra.v4.devices import DevicesStream
from tap_zentra.v4.env_model import EnvModelStream
from tap_zentra.v4.readings import CompactReadingsStream, ReadingsStream
from tap_zentra.v5.account import Account as V5Account
from tap_zentra.v5.devices import DevicesV5Stream
from tap_zentra.v5.readings import CompactReadingsV5Stream, ReadingsV5Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    from singer_sdk.plugin_base import _ConfigInput

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


BATCH_FORMATS = ["jsonl"]
"""Formats of batch files. The SDK's Parquet guesses each file's types from its records, and fails on an object without
fields and on a field that is a number here and text there: `extra` may hold both."""


INVALID = "The settings are not valid"


class StoppedError(FatalSyncError):
    """A run that a signal ended. What was read has been written.

    Attributes:
        signal_number: The signal.
    """

    def __init__(self, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; everything read so far has been written; the next run resumes from there")
        self.signal_number = signal_number


class TapZentra(Tap):
    """Readings of METER's environmental data loggers (soil moisture, weather, water potential) from ZENTRA Cloud."""

    name = "tap-zentra"
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SCHEMA)  # to which the SDK adds its own settings
    message_writer_class = Writer

    run: Run
    """What its streams do together; there once they are."""

    _stopped_by: int | None = None

    @cached_property
    def classic_account(self) -> ClassicAccount:
        """What the streams of ZENTRA Cloud Classic share, made when one of them first needs it.

        Raises:
            SettingsError: The settings are not valid, as they may be for `--discover`.
        """
        return ClassicAccount.of(read_settings(self._config), user_agent=self._user_agent)

    @cached_property
    def v5_account(self) -> V5Account:
        """What the streams of ZENTRA Cloud 2.0 share, likewise.

        Raises:
            SettingsError: As above.
        """
        return V5Account.of(read_settings(self._config), user_agent=self._user_agent)

    @property
    def _user_agent(self) -> str:
        return f"{self.name}/{self.plugin_version}"

    @override
    def setup_mapper(self) -> None:
        super().setup_mapper()
        for stream_maps in self.mapper.stream_maps.values():
            name_failures(stream_maps)
        for name in unknown_streams(self.config.get("stream_maps") or {}, self.streams):
            self.logger.warning(
                "stream_maps has an entry for %s, but there is no such stream; the streams are: %s",
                name,
                ", ".join(self.streams),
            )

    @override
    def discover_streams(self) -> Sequence[Stream]:
        is_compact = wants_compact_readings(self.config)
        if self.config.get("api_version") == "v5":
            of_v5 = CompactReadingsV5Stream if is_compact else ReadingsV5Stream
            return [
                of_v5(self, lambda: self.v5_account),
                DevicesV5Stream(self, lambda: self.v5_account),
                SensorsStream(self, has_mrids=False),
            ]
        of_classic = CompactReadingsStream if is_compact else ReadingsStream
        return [
            of_classic(self, lambda: self.classic_account),
            EnvModelStream(self, lambda: self.classic_account),
            DevicesStream(self),
            SensorsStream(self, has_mrids=True),
        ]

    @override  # type: ignore[misc] # it is final, but the order of streams is settled nowhere else
    def load_streams(self) -> list[Stream]:
        """Return the streams, the readings first: they lead the run, also where BATCH has them write files."""
        streams = sorted(super().load_streams(), key=_place)
        self.run = self.new_run(stream for stream in streams if isinstance(stream, StreamOfRun))
        return streams

    def new_run(self, streams: Iterable[StreamOfRun]) -> Run:
        """Return what streams do together."""
        return Run(streams, logger=self.logger)

    @override  # type: ignore[misc] # it is final, but the SDK has no other place for the end of a run
    def sync_all(self) -> None:
        """Sync all streams, then say what failed in any of them.

        Raises:
            StoppedError: A signal ended the run.
            SyncFailedError: The token was refused, or a device was not read to its end and the settings do not say
                that a warning is enough.
        """
        with self._ending():
            super().sync_all()
            self.run.report()
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning(
                "no stream is selected, so nothing was read; select one in the catalog or, with Meltano, in `select`; "
                "the streams are: %s",
                ", ".join(self.streams),
            )
        if self.run.token_error is not None:
            raise SyncFailedError([str(self.run.token_error)], self.run.so_far)
        failures = self.run.failures
        if failures and not self._a_warning_is_enough:
            raise SyncFailedError(failures, self.run.so_far)
        if failures:
            self.logger.warning(
                "not everything was read, but the exit code is 0 because on_device_failure is warn: %s; %s",
                "; ".join(failures),
                self.run.so_far,
            )

    @property
    def _a_warning_is_enough(self) -> bool:
        """Whether the settings let a run end well that has read some devices to their end."""
        return read_settings(self._config).on_device_failure == "warn" and not self.run.failed_entirely

    @override  # type: ignore[misc] # as sync_all
    def run_connection_test(self) -> bool:
        with self._ending():
            passed = super().run_connection_test()
        self.logger.info("the connection test passed")  # else the last line would be one of the SDK's metrics
        return passed

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Close the connections once the last stream is done, and tell of the signal that has ended it, if any."""
        try:
            yield
        finally:
            for account in ("classic_account", "v5_account"):
                if account in self.__dict__:
                    getattr(self, account).close()
        if self._stopped_by is not None:
            raise StoppedError(self._stopped_by)

    @property
    def _fleet_streams(self) -> list[FleetStream[Any]]:
        return [stream for stream in (self._streams or {}).values() if isinstance(stream, FleetStream)]

    @property
    def _env_var_config(self) -> dict[str, Any]:
        """Return the settings from `TAP_ZENTRA_*`; the tap's own as text, which `read_settings` judges."""
        self.append_builtin_config(self.config_jsonschema)
        as_text = {name: {"type": ["string"]} for name in SCHEMA["properties"]}
        properties = {**self.config_jsonschema["properties"], **as_text}
        try:
            return parse_environment_config({"properties": properties}, self._env_var_prefix)
        except ValueError:
            faults = [fault for name in properties if (fault := self._unfit_in_environment(name)) is not None]
            raise ConfigValidationError(INVALID, errors=faults, schema=self.config_jsonschema) from None

    def _unfit_in_environment(self, name: str) -> str | None:
        """Return what is wrong with one of the SDK's settings in the environment; None: nothing, or it is not there."""
        schema = self.config_jsonschema["properties"][name]
        try:
            parse_environment_config({"properties": {name: schema}}, self._env_var_prefix)
        except ValueError:
            expected = "a whole number" if "integer" in schema["type"] else "JSON"
            variable = f"{self._env_var_prefix}{name.upper()}"
            return f"{name} should be {expected}, not {os.environ[variable]!r} (environment variable {variable})"
        return None

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add the SDK's own settings; of its batch formats the one that can hold these records."""
        super().append_builtin_config(config_jsonschema)
        batch_config = copy.deepcopy(config_jsonschema["properties"]["batch_config"])  # the original is every tap's
        batch_config["properties"]["encoding"]["properties"]["format"]["enum"] = BATCH_FORMATS
        config_jsonschema["properties"]["batch_config"] = batch_config

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Refuse what is invalid, in words for people; `--discover` works without valid settings."""
        try:
            settings = read_settings(self._config)
            _require_batch_format(self._config)
        except SettingsError as error:
            if raise_errors:
                raise ConfigValidationError(INVALID, errors=error.faults, schema=self.config_jsonschema) from None
            return error.faults
        self._config = {**self._config, **settings.as_config()}
        return super()._validate_config(raise_errors=raise_errors)

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state of an earlier run.

        Raises:
            StateError: It is none; nothing has been called or written yet.
        """
        super().load_state(read_state(state))
        for stream in self._fleet_streams:
            if stream.name in self.state.get("bookmarks", {}):
                stream.bookmarks()

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Have all streams end at the next whole message; a second signal ends the process at once."""
        signal.signal(signum, signal.SIG_DFL)
        self._stopped_by = signum
        if self._streams is not None:
            self.run.stop()

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            raise click.BadParameter(f"cannot be read as a JSON file of settings: {error}", ctx, param) from None

    @classmethod
    @override
    def invoke(cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any) -> None:
        state = None if state is None else _json_object(state, "--state", hint=HAND_OVER)
        catalog = None if catalog is None else _json_object(catalog, "--catalog")
        try:
            super().invoke(state=state, catalog=catalog, **kwargs)
        except ConfigValidationError as error:
            # The SDK's command would add a last line that says nothing.
            raise SettingsError(error.errors) from None


def _require_batch_format(config: Mapping[str, Any]) -> None:
    """Refuse a format of batch files that can't hold the records, and a size that is none.

    Raises:
        SettingsError: It is Parquet, or unknown; or no whole number.
    """
    match config.get("batch_config"):
        case {"encoding": {"format": found}} if found not in BATCH_FORMATS:
            reason = "; Parquet cannot store the column `extra`, whose fields vary" if found == "parquet" else ""
            fault = f"batch_config.encoding.format should be {' or '.join(BATCH_FORMATS)}, not {found!r}{reason}"
            raise SettingsError([fault])
        case {"batch_size": size} if size is not None and (type(size) is not int or size < 1):
            raise SettingsError([f"batch_config.batch_size should be a whole number, 1 or more, not {size!r}"])


def _place(stream: Stream) -> int:
    """Return where a stream stands among the others: first those that others follow, last those that follow."""
    return 2 - stream.is_followed if isinstance(stream, FleetStream) else 3


def _json_object(file: IO[str], option: str, *, hint: str | None = None) -> IO[str]:
    """Return a file's text again, as a file, after a look whether it is a JSON object."""
    text = file.read()
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        fault = f"{file.name} does not contain a JSON object"
        raise click.BadParameter("; ".join(filter(None, (fault, hint))), param_hint=option)
    return io.StringIO(text)
