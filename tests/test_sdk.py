"""The SDK's own standard tests of a tap, against the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_zentra.emulator import Device, Emulator
from tap_zentra.tap import TapZentra

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = Device("z6-00001", records=20)

# The tests are collected before there is a server, so its address follows in the fixture.
CONFIG: dict[str, Any] = {"auth_token": "secret-token", "device_sns": [DEVICE.device_sn], "call_limit_window": 0.05}

# A run that ends after some records reads the readings of one device, and no weather station besides.
SUITE = SuiteConfig(ignore_no_records_for_streams=["env_model_data"])

# The service sends no field that the columns do not know, so `extra` is always null here.
pytestmark = pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")

StandardTests = get_tap_test_class(TapZentra, config=CONFIG, parse_env_config=False, suite_config=SUITE)


class TestStandard(StandardTests):  # type: ignore[valid-type, misc] # a class made at run time
    """What every SDK tap promises."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def emulator(cls) -> Iterator[None]:
        """A service for all tests of the class."""
        with Emulator([DEVICE], token=CONFIG["auth_token"], window=0.05) as emulator:
            CONFIG["api_url"] = emulator.url
            yield
