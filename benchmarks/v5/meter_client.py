"""METER's own client, as its users use it. Runs in an environment of its own, which has nothing but that client.

`meter_client.py sync URL KEY END THREADS DEVICE…` reads devices, one after the other or all at once;
`meter_client.py page BODY RESULT` makes its models of a page, and writes the seconds of CPU that took into a file.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx  # type: ignore[import-not-found]
from zentracloud import ZentraClient  # type: ignore[import-not-found]


def sync(url: str, key: str, end: str, threads: str, *devices: str) -> None:
    """Read devices to their ends."""
    with ZentraClient(key, base_url=url) as client, ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(lambda device: len(client.v5.devices.data(device, end=end)), devices))


def page(body: str, result: str) -> None:
    """Make the models of a page; the second time counts, as for the others."""
    content = Path(body).read_bytes()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    with ZentraClient("benchmark", base_url="http://127.0.0.1", transport=transport) as client:
        client.v5.devices.data("z6-00000")
        begun = time.process_time()
        client.v5.devices.data("z6-00000")
        Path(result).write_text(json.dumps(time.process_time() - begun))


if __name__ == "__main__":
    (sync if sys.argv[1] == "sync" else page)(*sys.argv[2:])
