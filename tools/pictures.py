"""Takes the README's pictures of the page, over the database that the environment names.

For what the demo has loaded, set `ZENTRA_SCHEMA=zentra_demo`, and run
`python -m tools.postgres run -- python -m tools.pictures`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.browser import BrowserError, chromium, served, shown

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).resolve().parents[1] / "docs"
WIDTH = 1200
CHARTS = 4
MARGIN = 30
NAMES = ("DBT_", "TARGET_POSTGRES_", "ZENTRA_")


def main() -> None:
    """Write docs/page-overview.png, from the title to the availability, and docs/page-readings.png: the rest."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(NAMES)}
    with (
        tempfile.TemporaryDirectory() as folder,
        served(variables, Path(folder)) as url,
        chromium() as browser,
        shown(browser, width=WIDTH) as seen,
    ):
        seen.open(url, charts=CHARTS)
        _grow(seen.page)
        middle = _top(seen.page, "Readings")
        end = _bottom(seen.page)
        _take(seen.page, "page-overview.png", 0, middle - MARGIN)
        _take(seen.page, "page-readings.png", middle - MARGIN, end + MARGIN)


def _grow(page: Page) -> None:
    """Make the window as high as the page, which scrolls within it otherwise; hide what is there for the mouse only."""
    page.add_style_tag(
        content="[data-testid=notebook-actions-dropdown], .vega-embed summary {display: none !important}"
    )
    height = page.evaluate("document.querySelector('#App').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": height})


def _top(page: Page, heading: str) -> float:
    box = page.get_by_role("heading", name=heading).bounding_box()
    return box["y"] if box else 0.0


def _bottom(page: Page) -> float:
    box = page.locator("[data-parts]").bounding_box()
    return box["y"] + box["height"] if box else 0.0


def _take(page: Page, name: str, top: float, bottom: float) -> None:
    page.screenshot(path=DOCS / name, clip={"x": 0, "y": top, "width": WIDTH, "height": bottom - top})


if __name__ == "__main__":
    try:
        main()
    except BrowserError as error:
        sys.exit(f"Error: {error}")
