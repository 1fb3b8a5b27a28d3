"""The words of a service as parts of a message."""

from __future__ import annotations

import pytest

from tap_zentra.calls.errors import counted, excerpt, one_line


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "''"),
        (b"a\n\t b", "'a b'"),
        (b"x" * 80, repr("x" * 80)),
        (b"x" * 81, repr("x" * 80 + "…")),
        (b"\xff", repr("\ufffd")),
        ("ä".encode() * 9000, repr("ä" * 80 + "…")),
        (b" <html><style a='b'>\n<title>Down</title><p>Back\n soon</p", "'Down Back soon</p'"),
        (b'{"a": "<b>"}', repr('{"a": "<b>"}')),
        (b"<" + b"x" * 7998 + b">too far", "''"),
    ],
)
def test_an_excerpt_is_one_short_line(body: bytes, text: str) -> None:
    """The beginning of a body, for a person, whatever bytes it is of; of a page for browsers the words."""
    assert excerpt(body) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Not found.", "Not found."),
        (" a\r\n\tb ", "a b"),
        ("red \x1b[31m", "red \ufffd[31m"),
        ("a\u202eb", "a\ufffdb"),
        ("x" * 301, "x" * 300),
    ],
)
def test_a_text_of_the_service_is_one_printable_line(text: str, line: str) -> None:
    """Neither line ends nor colours of the service reach a log, and no more than 300 letters."""
    assert one_line(text) == line


@pytest.mark.parametrize(("number", "words"), [(0, "0 devices"), (1, "1 device"), (2, "2 devices")])
def test_one_thing_is_told_in_the_singular(number: int, words: str) -> None:
    """Everything else, none included, in the plural."""
    assert counted(number, "device") == words
