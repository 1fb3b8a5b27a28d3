"""Run in chDB's environment: the HTTP interface of ClickHouse on this machine, answered by the same engine."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from chdb.session import Session  # type: ignore[import-not-found]

port, folder = int(sys.argv[1]), sys.argv[2]
session = Session(folder)
one_at_a_time = Lock()


class Statement(BaseHTTPRequestHandler):
    """Each request is one statement: in the query, in the body, or begun in the one and continued in the other."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Run it."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        sql = f"{query.get('query', '')}\n{body}".strip()
        try:
            with one_at_a_time:
                if "database" in query:
                    session.query(f"USE {query['database']}")
                status, text = 200, session.query(sql, query.get("default_format", "TabSeparated")).bytes() or b""
        except RuntimeError as error:
            status, text = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", port), Statement).serve_forever()
