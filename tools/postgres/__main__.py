"""`python -m tools.postgres`, which says what to do when it is run by a Python that lacks what it needs."""

from __future__ import annotations

import sys

try:
    from tools.postgres.command import command_line
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as missing:
    sys.exit(
        f"Error: {missing.name} is not installed in {sys.executable}. "
        "Run this in the project's environment: .venv/bin/python -m tools.postgres (made by: uv sync --group demo)"
    )

if __name__ == "__main__":
    command_line()
