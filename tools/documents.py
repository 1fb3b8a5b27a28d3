"""The examples of the documents, for what shows them and what tests them."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def example(name: str, document: str = "README.md") -> str:
    """Return an example of the README or another document, by the name in the comment before it.

    Raises:
        LookupError: There is none of that name.
    """
    text = (PROJECT / document).read_text(encoding="utf-8")
    try:
        return example_in(text, name)
    except LookupError:
        raise LookupError(f"{document} has no example {name}") from None


def example_in(text: str, name: str) -> str:
    """Return an example of a text in Markdown, by the name in the comment before it.

    Raises:
        LookupError: There is none of that name.
    """
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```\n", text, re.DOTALL)
    if found is None:
        raise LookupError(f"no example {name}")
    return found[1]
