"""A service of API v5 that only sends: months that were built before the first call, at almost no cost for each.

`python -m benchmarks.v5.canned --devices 16 --months 4 --kind five-minutes --call-log FILE`. Every device holds the
same months, with its own serial number; no limit holds. The bodies are the emulator's.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlsplit

import click
import msgspec

from benchmarks import canned
from benchmarks.services import serial_numbers
from benchmarks.v5.months import KINDS, PROTOTYPE, build

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class Handler(canned.Handler):
    """Answers a call with the list, or with the month whose number is its `next_token`.

    Attributes:
        device_list: The body of the list.
    """

    device_list: ClassVar[bytes]

    @override
    def do_GET(self) -> None:
        """Send the list, or a month."""
        arrived = datetime.now(UTC).isoformat()
        address = urlsplit(self.path)
        _, _, _, *more = address.path.split("/")
        call = {"time": arrived, "device_sn": more[0] if more else None, "status": 200, "injected": None}
        self.log.write(msgspec.json.encode(call).decode() + "\n")
        if not more:
            return self._send([self.device_list])
        head, rest = self.pages[int(dict(parse_qsl(address.query)).get("next_token", 0))]
        return self._send([head, more[0].encode(), rest])

    def _send(self, pieces: Sequence[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)


@click.command()
@click.option("--devices", type=int, required=True, help="How many.")
@click.option("--months", type=int, required=True, help="Of each device.")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="Of device.")
@click.option("--call-log", type=click.Path(path_type=Path), required=True, help="A line of JSON for every call.")
def serve(devices: int, months: int, kind: str, call_log: Path) -> None:
    """Serve until killed."""
    Handler.pages = [body.split(PROTOTYPE.encode(), 1) for body in build(KINDS[kind], months)]
    Handler.device_list = msgspec.json.encode(
        {"devices": [{"device_id": one} for one in serial_numbers(devices)], "pagination": {"total_pages": 1}}
    )
    with call_log.open("a", encoding="utf-8", buffering=1) as Handler.log:
        server = canned.Server(("127.0.0.1", 0), Handler)
        click.echo(f"Serving at http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    serve()
