"""A real Chromium for the dashboards: no request may leave the machine, no console error may happen."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboards_fixture import served
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["served"]

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check",
]  # fmt: skip
expect.set_options(timeout=90_000)  # a busy machine is no fault of a page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests; skipped where there is none, but CI must have it."""
    if (program := shutil.which("chromium")) is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have Chromium: apt-get install chromium")
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A browser of one identity; what goes wrong in it is collected.

    Args:
        browser: the Chromium.
        served: the server.
        principal: who is signed in.
        options: of the browser context.
    """

    def __init__(self, browser: Browser, served, principal: str, **options) -> None:
        settings = {
            "viewport": {"width": 1440, "height": 1000},
            "locale": "en-GB",
            "timezone_id": "Europe/Paris",
        }
        # axe is a script of the test, not of the page: the policy is checked in test_served.
        self.context = browser.new_context(bypass_csp=True, **(settings | options))
        self.context.set_default_timeout(120_000)
        self.faults: list[str] = []
        self._served = served
        self.context.route("**/*", self._stay_here)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("console", self._hear)
        # The link leads to a page; the cookie is all that is wanted of it.
        answer = self.context.request.get(served.link(principal), max_redirects=0)
        assert answer.status == 302

    def open(self, name: str, query: str = "lang=en") -> Page:
        """Open a dashboard and wait until it is usable."""
        self.page.goto(f"{self._served.base}{name}?{query}")
        self.wait()
        return self.page

    def wait(self) -> None:
        """Wait until the page has greeted its kernel and has its widgets."""
        self.page.wait_for_function("document.documentElement.dataset.devlib === 'ready'")
        self.page.wait_for_selector(".dl-stack > .dl:nth-child(2)")

    def close(self) -> None:
        """Leave the page, so that its kernel ends."""
        self.page.goto("about:blank")
        self.context.close()

    def _stay_here(self, route) -> None:
        address = route.request.url
        if address.startswith((self._served.base, "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"request off the host: {address}")
            route.abort()

    def _hear(self, said) -> None:
        if said.type == "error":
            self.faults.append(f"console: {said.text}")


@pytest.fixture
def visit(chromium, served, request) -> Iterator:
    """Opens browsers of identities; at the end none of them may have had an error."""
    opened: list[Visitor] = []

    def begin(principal: str, **options) -> Visitor:
        opened.append(Visitor(chromium, served, principal, **options))
        return opened[-1]

    yield begin
    ARTEFACTS.mkdir(exist_ok=True)
    for place, each in enumerate(opened):
        each.page.screenshot(
            path=ARTEFACTS / f"{request.node.name[:80].replace('/', '-')}-{place}.png", full_page=True
        )
        faults = each.faults[:]
        each.close()
        assert not faults, faults
