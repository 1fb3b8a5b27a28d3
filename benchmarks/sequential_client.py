"""A client as METER's example shows it: a loop of plain requests, one device after the other.

It waits for a window between the pages of a device. `TAP_ZENTRA_*` say where, with which token and for which devices.
"""

from __future__ import annotations

import json
import os
import time

import requests


def main() -> None:
    """Read all pages of all devices."""
    url = f"{os.environ['TAP_ZENTRA_API_URL']}/api/v4/get_readings/"
    headers = {"Authorization": f"Token {os.environ['TAP_ZENTRA_AUTH_TOKEN']}"}
    window = float(os.environ["TAP_ZENTRA_CALL_LIMIT_WINDOW"])
    for device_sn in json.loads(os.environ["TAP_ZENTRA_DEVICE_SNS"]):
        start_mrid, max_mrid = 0, 0
        while start_mrid <= max_mrid:
            if start_mrid:
                time.sleep(window)
            params: dict[str, str | int] = {
                "device_sn": device_sn,
                "start_mrid": start_mrid,
                "per_page": os.environ["TAP_ZENTRA_PAGE_SIZE"],
                "sort_by": "ascending",
            }
            answer = requests.get(url, headers=headers, params=params, timeout=120)
            answer.raise_for_status()
            pagination = json.loads(answer.content)["pagination"]
            start_mrid, max_mrid = pagination["page_end_mrid"] + 1, pagination["max_mrid"]


if __name__ == "__main__":
    main()
