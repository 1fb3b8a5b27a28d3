"""Pages as people see them: marimo serves or exports one, a headless Chromium shows it. Knows no table.

marimo hides the error of a cell from the readers of a served page, but tells the browser's console of it. What the
notebook's last cell writes has the attribute `data-parts`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import marimo
import requests
from playwright.sync_api import sync_playwright
from urllib3.util import Retry

from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, Route

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebook" / "fleet.py"
PATIENCE = 900.0
"""Seconds after which a page is never there, on whichever machine."""

MARIMO = Path(sys.executable).with_name("marimo")
FRONTEND = "https://cdn.jsdelivr.net/npm/@marimo-team/frontend@*/dist/**"
"""Where an exported page has its scripts from; the package has the same ones."""

SCRIPTS = Path(marimo.__file__).parent / "_static"


class BrowserError(Exception):
    """There is no browser, or no page for it."""


@dataclass
class Shown:
    """A page in the browser.

    Attributes:
        page: To look at it, and to click.
        problems: Errors in the console, those of cells included, and what Vega warns of.
        outside: Requests to other machines.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, url: str, *, charts: int) -> None:
        """Open an address, and wait until all cells have run and so many charts are drawn.

        Raises:
            BrowserError: A cell has failed, or the console says of another problem.
        """
        self.page.goto(url)
        self.page.wait_for_function(_DRAWN, arg=charts)
        if self.problems:
            raise BrowserError("\n".join(self.problems))

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table's rows, its header left out, once it is there."""
        self.page.get_by_role("cell").first.wait_for()
        return [row.get_by_role("cell").all_inner_texts() for row in self.page.get_by_role("row").all()[1:]]

    @property
    def notes(self) -> list[str]:
        """The sentences that stand in boxes."""
        self.page.locator("marimo-callout-output p").first.wait_for()
        return self.page.locator("marimo-callout-output p").all_inner_texts()

    def note_message(self, message: ConsoleMessage) -> None:
        """Note a message of the console if it is a problem."""
        # Vega says WARN; other warnings are marimo's own, of pictures that it loads early, and cells without output.
        if message.type == "error" or message.text.startswith("WARN") or "[STDERR]" in message.text:
            self.problems.append(f"{message.type}: {message.text}")

    def note_request(self, request: Request) -> None:
        """Note a request if it leaves this machine."""
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
            self.outside.append(request.url)


# What marimo's web components are made of is in shadows, where `querySelectorAll` does not look. A page of which a cell
# has failed never gets ready.
_DRAWN = """charts => {
    const all = root => [...root.querySelectorAll("*")].flatMap(
        one => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
    const found = all(document);
    const drawn = found.filter(one => one.matches("canvas.marks")).length;
    return window.failed || (drawn === charts && found.some(one => one.matches("[data-parts]")));
}"""

_NOTE_FAILED_CELLS = """
    const log = console.log;
    console.log = (...words) => {
        log(...words);
        window.failed ||= words.join(" ").includes("[STDERR]");
    };
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a Chromium."""
    with sync_playwright() as playwright:
        # Its sandbox needs privileges that containers do not give; it shows our own pages only.
        browser = playwright.chromium.launch(executable_path=_program(playwright), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def shown(browser: Browser, *, width: int = 1200, height: int = 900) -> Iterator[Shown]:
    """Open an empty page, which notes what goes wrong."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE * 1000)
    seen = Shown(page)
    page.on("console", seen.note_message)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("request", seen.note_request)
    page.add_init_script(_NOTE_FAILED_CELLS)
    page.route(FRONTEND, _from_package)
    yield seen
    page.close()


@contextmanager
def served(variables: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Serve the notebook with `marimo run`, and yield its address.

    Args:
        variables: Of the environment; they name the database.
        folder: For a log.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = (MARIMO, "run", NOTEBOOK, "--headless", "--no-token", "--port", str(port))
    with (folder / "marimo.log").open("wb") as log:
        process = subprocess.Popen(command, env=_environment(variables, folder), stdout=log, stderr=log)  # noqa: S603 - no shell, and nothing that a user typed
    address = f"http://127.0.0.1:{port}"
    try:
        with requests.Session() as session:
            retries = Retry(total=None, connect=1000, backoff_factor=0.05, backoff_max=0.2)
            session.mount(address, requests.adapters.HTTPAdapter(max_retries=retries))
            session.get(f"{address}/health", timeout=PATIENCE).raise_for_status()
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)


def export(variables: Mapping[str, str], folder: Path) -> Path:
    """Export the notebook with `marimo export html`, and return the page."""
    page = folder / "fleet.html"
    command = (MARIMO, "export", "html", NOTEBOOK, "--no-include-code", "--output", page, "--force")
    done = subprocess.run(  # noqa: S603 - as above
        command, env=_environment(variables, folder), capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode or done.stderr:
        raise BrowserError(f"`marimo export html` failed with exit code {done.returncode}: {done.stderr}")
    return page


def _environment(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    # What the user has told marimo, or which database is theirs, must not count.
    own = {"XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    return environment_without("DBT_", "TARGET_", "PG", "ZENTRA_", "MARIMO_") | own | dict(variables)


def _from_package(route: Route) -> None:
    route.fulfill(path=SCRIPTS / route.request.url.partition("/dist/")[2])


def _program(playwright: Playwright) -> str:
    """Return the path of a Chromium: one that is here, or else the distribution's or playwright's, newly installed."""
    for install in (_install_from_distribution, _install_from_playwright):
        if not _installed(playwright):
            install()
    if found := _installed(playwright):
        return found
    raise BrowserError(
        "There is no Chromium here; install one, for example with: playwright install --with-deps chromium"
    )


def _install_from_distribution() -> None:
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        for command in (("update",), ("install", "--yes", "--no-install-recommends", "chromium")):
            subprocess.run((apt, "--quiet", *command), check=False)  # noqa: S603 - no shell, and nothing that a user typed


def _install_from_playwright() -> None:
    subprocess.run((sys.executable, "-m", "playwright", "install", "chromium"), check=False)


def _installed(playwright: Playwright) -> str | None:
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)
