"""Twenty people with a tab each: all are answered, none sees another's lines, kernels end with their tabs."""

import os
import re
import time
from pathlib import Path

import psutil
import pytest
from dashboards_fixture import ALICE, BOB, OF_ALICE, OF_BOB, OLGA
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(1500)]

SECONDS = float(os.environ.get("DEVLIB_TABS_SECONDS", "20"))
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
TABS = int(os.environ.get("DEVLIB_TABS", "20"))
OTHERS = {ALICE: OF_BOB, BOB: OF_ALICE, OLGA: None}
KERNEL = "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"


def kernels(served):
    """Return the kernels that live, by the processes of the server."""
    found = []
    for each in psutil.Process(served.process.pid).children(recursive=True):
        try:
            if "ipykernel_launcher" in each.cmdline():
                found.append(each.pid)
        except psutil.Error:
            continue
    return found


class Tab:
    """One tab of somebody, on the page of line states."""

    def __init__(self, visitor, principal) -> None:
        self.visitor, self.principal = visitor, principal
        self.page = visitor.open("lines")
        self.count = self.page.locator(".dl-count").first
        self.total = self.count.inner_text()

    def answer(self, text):
        """Search, and wait for the answer; then clear it again."""
        field = self.page.get_by_role("searchbox", name="Search", exact=True)
        field.fill(text)
        expect(self.page).to_have_url(re.compile(f"search={text}"))
        expect(self.count).not_to_have_text(self.total)
        self.sees_only_its_own()
        field.fill("")
        expect(self.count).to_have_text(self.total)

    def sees_only_its_own(self):
        """Check that no text of another customer is on the page, and that its kernel is there."""
        expect(self.page.get_by_text("No connection to the server")).to_be_hidden()
        other = OTHERS[self.principal]
        assert other is None or other not in self.page.content()


def test_twenty_tabs(visit, served):
    """For as long as DEVLIB_TABS_SECONDS says every tab answers its filters with its own lines only.

    After they are closed, their kernels end; those that are kept warm stay.
    """
    ARTEFACTS.mkdir(exist_ok=True)
    tabs = []
    for number in range(TABS):
        principal = (ALICE, BOB, OLGA)[number % 3]
        tabs.append(Tab(visit(principal), principal))
    assert len({each.page.evaluate(KERNEL) for each in tabs}) == TABS, "each tab has a kernel of its own"
    until, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < until or not rounds:
        rounds += 1
        for each in tabs:
            each.page.bring_to_front()
            each.answer(("yealink", "cisco", "snom")[rounds % 3])
    full = len(kernels(served))
    assert full >= TABS
    for each in tabs:
        # Chromium loses the last word of a closed page, that its kernel may end, where requests are held up.
        each.visitor.context.unroute("**/*")
        each.page.goto("about:blank")
    ended = time.monotonic() + 120
    while len(kernels(served)) > full - TABS + 1 and time.monotonic() < ended:
        tabs[0].page.wait_for_timeout(500)
    assert len(kernels(served)) <= full - TABS + 1
    told = f"{TABS} tabs, {SECONDS:g} s, {rounds} rounds, {full} kernels, {len(kernels(served))} after\n"
    (ARTEFACTS / "tabs.txt").write_text(told)
