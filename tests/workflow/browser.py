"""A page in headless Chromium, which must neither fail nor ask the network for anything."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from needed import absent

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
PANEL = "nav:has(h1)"  # where a report lists its results
DESKTOP, PHONE = (1280, 800), (390, 844)  # pixels


def find_browser() -> str:
    """The path of a Chromium. Without one the test is skipped, but never in CI."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        absent(f"no browser: none of {', '.join(BROWSERS)} (apt-get install chromium)")
    return found


@contextmanager
def opened(path: Path, size: tuple[int, int] = DESKTOP) -> Iterator[Page]:
    """A local page in a browser. Fails if it says an error or requests more than itself."""
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if asks(request) else None)
        page.goto(path.as_uri())
        page.locator(PANEL).wait_for()
        yield page
        browser.close()
    assert wrong == []


def asks(request) -> bool:
    """Whether a request leaves the page: anything but the page's own file, and data within it."""
    return not request.url.startswith(("data:", "file:", "blob:"))
