"""A service that only sends: answers of full size, built before the first call, at almost no cost for each.

`python -m benchmarks.canned --pages 18 --records 2000 --call-log FILE`. Every device holds the same pages, with its
own serial number; no limit holds. The bodies are the emulator's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlsplit

import click
import msgspec

from tap_zentra.emulator import Device, Request
from tap_zentra.emulator.bodies import json_body
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.query import ReadingsQuery

if TYPE_CHECKING:
    from typing import TextIO

PROTOTYPE = "z6-00000"
PATH = "/api/v4/get_readings/"
OPTIONS = Options(seed=1)


def build(pages: int, records: int, *, error_rate: float | None = None, unknown_fields: bool = False) -> list[bytes]:
    """Return the bodies of a device's pages, one for each.

    Args:
        pages: How many.
        records: Of each page; 24 readings each.
        error_rate: Share of the values that are errors; 0 also keeps the word NaN out. None: the emulator's.
        unknown_fields: Whether each metadata and each reading has a field more that nobody knows.
    """
    device = Device(PROTOTYPE, records=pages * records)
    if error_rate is not None:
        device = Device(PROTOTYPE, records=pages * records, error_rate=error_rate)
    params = {
        "device_sn": PROTOTYPE,
        "per_page": str(records),
        "sort_by": "ascending",
        "output_format": "json",
        "device_depth": "true",
    }
    request = Request(PATH, params)
    query = ReadingsQuery.parse(params)
    firsts = range(1, pages * records + 1, records)
    bodies = [json_body(device, OPTIONS, query, range(first, first + records), request) for first in firsts]
    return [_with_unknown_fields(body) for body in bodies] if unknown_fields else bodies


def _with_unknown_fields(body: bytes) -> bytes:
    """Return a page with a field more in each metadata, as in METER's example, and in each reading."""
    return body.replace(b'"metadata":{', b'"metadata":{"errors":[],').replace(b',"mrid":', b',"quality":1,"mrid":')


def readings_in(pages: int, records: int) -> int:
    """Return how many readings a device holds."""
    return pages * records * len(Device(PROTOTYPE).series)


class Handler(BaseHTTPRequestHandler):
    """Answers a call with the page that begins at its `start_mrid`.

    Attributes:
        pages: The bodies, cut where the serial number stands.
        records: Of each page.
        log: The call log.
    """

    protocol_version = "HTTP/1.1"
    pages: ClassVar[list[list[bytes]]]
    records: ClassVar[int]
    log: ClassVar[TextIO]

    def do_GET(self) -> None:
        """Send a page."""
        arrived = datetime.now(UTC).isoformat()
        params = dict(parse_qsl(urlsplit(self.path).query))
        device_sn = params["device_sn"]
        page = max(0, int(params.get("start_mrid", "0")) - 1) // self.records
        body = device_sn.encode().join(self.pages[page])
        call = {"time": arrived, "device_sn": device_sn, "status": 200, "injected": None}
        self.log.write(msgspec.json.encode(call).decode() + "\n")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """A thread for each connection, and room for many that come at once."""

    request_queue_size = 64
    daemon_threads = True


@click.command()
@click.option("--pages", type=int, required=True, help="Pages of each device.")
@click.option("--records", type=int, default=2000, help="Records of each page.")
@click.option("--error-rate", type=float, help="Share of the values that are errors.")
@click.option("--unknown-fields", is_flag=True, help="A field more in each metadata and reading.")
@click.option("--call-log", type=click.Path(path_type=Path), required=True, help="A line of JSON for every call.")
def serve(pages: int, records: int, error_rate: float | None, *, unknown_fields: bool, call_log: Path) -> None:
    """Serve until killed."""
    bodies = build(pages, records, error_rate=error_rate, unknown_fields=unknown_fields)
    Handler.pages = [body.split(PROTOTYPE.encode()) for body in bodies]
    Handler.records = records
    with call_log.open("a", encoding="utf-8", buffering=1) as Handler.log:
        server = Server(("127.0.0.1", 0), Handler)
        click.echo(f"Serving at http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    serve()
