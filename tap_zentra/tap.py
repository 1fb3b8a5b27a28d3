"""TapZentra: settings, the streams, and what they share."""

from __future__ import annotations

import copy
import io
import json
import signal
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError

from tap_zentra.call_limits import CallLimits
from tap_zentra.client import Client
from tap_zentra.settings import SCHEMA, Settings, SettingsError, read_settings
from tap_zentra.streams import Account, ReadingsStream
from tap_zentra.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.plugin_base import _ConfigInput

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class TapZentra(Tap):
    """Readings of METER's environmental data loggers (soil moisture, weather, water potential) from ZENTRA Cloud."""

    name = "tap-zentra"
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SCHEMA)  # to which the SDK adds its own settings
    message_writer_class = Writer

    _settings: Settings | None = None

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return [ReadingsStream(self, self._account(self._settings))]

    def _account(self, settings: Settings | None) -> Account | None:
        if settings is None:
            return None
        client = Client(
            api_url=settings.api_url,
            api_version=settings.api_version,
            token=settings.auth_token,
            timeout=settings.request_timeout,
            user_agent=settings.user_agent or f"{self.name}/{self.plugin_version}",
        )
        call_limits = CallLimits(
            user_limit=settings.user_call_limit,
            device_limit=settings.device_call_limit,
            window=settings.call_limit_window,
        )
        return Account(settings, client, call_limits)

    @property
    def _env_var_config(self) -> dict[str, Any]:
        """Return the settings from `TAP_ZENTRA_*`; the tap's own as text, which `read_settings` judges."""
        self.append_builtin_config(self.config_jsonschema)
        as_text = {name: {"type": ["string"]} for name in SCHEMA["properties"]}
        properties = {**self.config_jsonschema["properties"], **as_text}
        return parse_environment_config({"properties": properties}, self._env_var_prefix)

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Refuse what is invalid, in words for people; `--discover` works without valid settings."""
        try:
            self._settings = read_settings(self._config)
        except SettingsError as error:
            if raise_errors:
                raise ConfigValidationError(
                    "The settings are not valid", errors=error.faults, schema=self.config_jsonschema
                ) from None
            return error.faults
        self._config = {**self._config, **self._settings.as_config()}
        return super()._validate_config(raise_errors=raise_errors)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Have the streams end at the next whole message; a second signal ends the process at once."""
        signal.signal(signum, signal.SIG_DFL)
        for stream in (self._streams or {}).values():
            if isinstance(stream, ReadingsStream):
                stream.stop(signum)

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            raise click.BadParameter(f"not a JSON file of settings: {error}", ctx, param) from None

    @classmethod
    @override
    def invoke(cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any) -> None:
        super().invoke(
            state=None if state is None else _json_object(state, "--state"),
            catalog=None if catalog is None else _json_object(catalog, "--catalog"),
            **kwargs,
        )


def _json_object(file: IO[str], option: str) -> IO[str]:
    """Return a file's text again, as a file, after a look whether it is a JSON object."""
    text = file.read()
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise click.BadParameter(f"{file.name} does not hold a JSON object", param_hint=option)
    return io.StringIO(text)
