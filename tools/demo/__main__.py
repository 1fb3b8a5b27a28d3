"""`python -m tools.demo`, which says what to do when it is run by a Python that lacks what it needs."""

from __future__ import annotations

import sys

try:
    from tools.demo.story import command_line
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as missing:
    sys.exit(
        f"Error: {missing.name} is not installed in {sys.executable}. "
        "Run this in the project's environment: uv run --extra emulator --group demo python -m tools.demo"
    )

if __name__ == "__main__":
    command_line()
