"""A Chromium for simulated observers and tests: found, and started the same way."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from data.command_line import say
from data.errors import MissingExtraError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VARIABLE = "UNITSCOPE_CHROMIUM"
"""Environment variable that names a Chromium's program file."""

PACKAGED = Path(__file__).resolve().parent.parent / ".tools" / "chromium"
"""Folder that ``make setup`` unpacks a Chromium to where none is installed."""

INSTALLED = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
"""Names and places of installed browsers, in the order in which they are tried."""

ARGUMENTS = (
    # Nothing but the page under test uses the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Containers have neither a graphics card nor much shared memory.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # The same glyphs in every screenshot.
    "--font-render-hinting=none",
)


class LaunchOptions(TypedDict):
    """Keyword arguments of Playwright's ``chromium.launch``."""

    executable_path: Path
    headless: bool
    chromium_sandbox: bool
    args: list[str]
    env: dict[str, str | float | bool]


def find_chromium() -> Path:
    """Return a Chromium's program file: named, else installed, else packaged.

    Raises
    ------
    MissingExtraError
        ``UNITSCOPE_CHROMIUM`` names no program, or there is no Chromium at all.
    """
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return Path(found)
        raise MissingExtraError(
            f"{VARIABLE} is {named!r}; it must be a Chromium's program file."
            " Correct it, or unset it to use the one that is found."
        )
    for name in (*INSTALLED, str(PACKAGED / "chromium")):
        if found := shutil.which(name):
            return Path(found)
    raise MissingExtraError(
        "A real browser needs a Chromium, Chrome or Edge; none is installed."
        f" Run 'make setup', or name one in {VARIABLE}."
    )


def launch_options() -> LaunchOptions:
    """Return what Playwright's ``chromium.launch`` takes to start it unseen.

    The sandbox is off: it can't start as root or in most containers, and the only
    pages visited are our own.
    """
    chromium = find_chromium()
    return LaunchOptions(
        executable_path=chromium,
        headless=True,
        chromium_sandbox=False,
        args=list(ARGUMENTS),
        env={**os.environ, **_packaged_environment(chromium)},
    )


@contextmanager
def running_chromium() -> Iterator["Browser"]:
    """Start a Chromium and close it at the end.

    Raises
    ------
    MissingExtraError
        Playwright is not installed, or there is no Chromium.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtraError(
            "A real browser is driven by the package 'playwright'."
            " Install it with: pip install '.[simulate]'"
        ) from error
    options = launch_options()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        try:
            yield browser
        finally:
            browser.close()


def _packaged_environment(chromium: Path) -> dict[str, str]:
    """Libraries and fonts that come with the packaged Chromium, where it needs them."""
    if chromium.parent != PACKAGED:
        return {}
    environment = {"FONTCONFIG_FILE": str(PACKAGED / "fonts.conf")}
    if find_library("nss3") is None:
        libraries = [str(PACKAGED / "al2023" / "lib")]
        if already := os.environ.get("LD_LIBRARY_PATH"):
            libraries.append(already)
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    return environment


def main() -> int:
    """Print which Chromium is used; exit status 2 where there is none."""
    try:
        sys.stdout.write(f"{find_chromium()}\n")
    except MissingExtraError as error:
        say(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
