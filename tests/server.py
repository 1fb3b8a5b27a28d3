"""A function from request to response in place of the network, and servers on raw sockets."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

TOKEN = "0123456789abcdef0123456789abcdef01234567"


class Response(HTTPResponse):
    """What a server answers: a status, a body, headers."""

    def __init__(self, status: int, body: object = b"{}", reason: str = "Reason", **headers: str) -> None:
        super().__init__(
            body=io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode()),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            status=status,
            reason=reason,
            preload_content=False,
        )


class Server:
    """A whole server: answers each request with the next of some answers, and remembers the requests."""

    def __init__(self) -> None:
        self.answers: Iterator[Response | Exception] = iter(())
        self.requests: list[requests.PreparedRequest] = []
        self.connections: list[tuple[int, requests.adapters.HTTPAdapter]] = []
        self.options: list[dict[str, Any]] = []

    def answer_with(self, *answers: Response | Exception) -> None:
        """Set what the next requests are answered with."""
        self.answers = iter(answers)

    def send(
        self, adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Take the place of a connection."""
        self.requests.append(request)
        self.connections.append((threading.get_ident(), adapter))
        self.options.append(options)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return adapter.build_response(request, answer)

    @property
    def urls(self) -> list[str]:
        """Return the URLs that were asked for, without parameters."""
        return [str(request.url).split("?")[0] for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        """Return what each request said of its sender."""
        return [request.headers.get("Authorization") for request in self.requests]
