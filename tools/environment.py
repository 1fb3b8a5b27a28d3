"""The environment of programs that are run from here: this one's, without what would make their run another one."""

from __future__ import annotations

import os


def environment_without(*prefixes: str, **more: str) -> dict[str, str]:
    """Return this process's environment variables but those whose names begin so, and with some others."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | more
