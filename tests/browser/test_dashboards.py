"""The dashboards in a real browser: what a manager does, and what must hold while it is done."""

import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dashboards_fixture import ALICE, OF_ALICE, OF_BOB, OLGA
from playwright.sync_api import expect

from devlib.ui.titles import DASHBOARDS

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
EVIL = "<img src=x onerror=document.title='owned'>"


def count_of(page):
    return page.locator(".dl-count").first


def rows(page):
    """Return the count that the first table tells."""
    return int(re.sub(r"\D", "", count_of(page).inner_text()))


def tiles(page):
    """Return the lines by state that the tiles tell."""
    return {
        item.get_attribute("data-state"): int(re.sub(r"\D", "", item.locator("b").inner_text()))
        for item in page.locator("li.dl-tile[data-state]").all()
    }


LOOKS = [(width, scheme) for width in (375, 1440, 2560) for scheme in ("light", "dark")]


def accessible(page, name):
    """Check that axe finds nothing serious and nothing scrolls sideways, in both themes and every width."""
    ARTEFACTS.mkdir(exist_ok=True)
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(script)
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.scrollingElement.scrollWidth <= {width}")
        # A transition from one theme to the other is no colour of either.
        page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        page.screenshot(path=ARTEFACTS / f"{name}-{width}-{scheme}.png", full_page=True)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert not serious, [(e["id"], [n["html"][:200] for n in e["nodes"][:3]]) for e in serious]


@pytest.fixture(scope="module")
def first_line(served):
    """The line port that sorts first."""
    with served.portal(OLGA) as portal:
        return portal.sql("SELECT min(line_port) AS p FROM line_states")["p"][0]


def test_lines(visit, served, first_line, tmp_path):
    """Figures are those of SQL; filter, sort and scroll; the download is the command's, byte for byte."""
    with served.portal(OLGA) as portal:
        found = portal.sql("SELECT state, count(*) AS n FROM line_states GROUP BY state")
    counts = dict(found.values.tolist())
    page = visit(OLGA).open("lines")
    total = sum(counts.values())
    expect(count_of(page)).to_have_text(f"{total} rows")
    page.wait_for_selector(".dl-tiles-box[data-ready]")
    page.wait_for_selector(".dl-grid-box[data-ready]")
    # Its script would keep the page busy for a second, and no line is chosen yet.
    assert page.evaluate("typeof window.Plotly") == "undefined"
    assert {state: count for state, count in tiles(page).items() if count} == counts
    page.get_by_role("checkbox", name="unregistered", exact=True).check()
    expect(count_of(page)).to_have_text(f"{counts['unregistered']} rows")
    # The link is set last: figures and rows are those of the filter by then.
    expect(page).to_have_url(re.compile("states=unregistered&lang=en$"))
    assert tiles(page)["registered"] == 0
    page.get_by_role("button", name="Clear filters").click()
    expect(count_of(page)).to_have_text(f"{total} rows")
    sort_and_scroll(page, total, first_line)
    page.goto(f"{served.base}lines?lang=en&customer={OF_ALICE}&types=Yealink T46S")
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name="Download these lines (CSV)").click()
    written = served.exported(tmp_path / "command", "--customer", OF_ALICE, "--type", "Yealink T46S")
    assert written.read_bytes() == waiting.value.path().read_bytes()
    assert written.name == waiting.value.suggested_filename


def sort_and_scroll(page, total, first_line):
    """Sort by line port downwards; the last row is the first line, and choosing it shows its history."""
    head = page.get_by_role("columnheader", name="Line Port")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    page.get_by_role("grid", name="Line states").focus()
    page.keyboard.press("End")
    last = page.locator(f'[aria-rowindex="{total + 1}"]')
    expect(last).to_contain_text(first_line)
    page.keyboard.press("Enter")
    expect(page.locator(".dl-details dd").filter(has_text=first_line).first).to_be_visible()
    expect(page.locator(".dl-chart .barlayer .point").first).to_be_attached()


def test_a_link_is_shared_between_people_and_languages(visit):
    """A link shows the same filters after a refresh, in French, and to others within their scope."""
    olga = visit(OLGA)
    page = olga.open("lines")
    search_field(page).fill("yealink")
    expect(page).to_have_url(re.compile("search=yealink"))
    shared, few = page.url, rows(page)
    page.get_by_role("link", name="Français").click()
    olga.wait()
    expect(page.get_by_role("heading", level=1)).to_have_text("États des lignes")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("input[type=search]").first).to_have_value("yealink")
    assert rows(page) == few
    alice = visit(ALICE)
    alice.page.goto(shared)
    alice.wait()
    assert 0 < rows(alice.page) < few
    assert OF_BOB not in alice.page.content()


def search_field(page):
    return page.get_by_role("searchbox", name="Search", exact=True)


def answer(page, question, reply):
    page.get_by_role("button", name=question, exact=True).click()
    page.get_by_role("button", name=reply, exact=True).click()


def test_devices(visit, served, tmp_path):
    """A bad file is told row by row and changes nothing, a good one is imported; a restart asks first."""
    with served.portal(OLGA) as portal:
        portal.add_site(EVIL, OF_ALICE)
        portal.add("00:15:65:66:66:66", EVIL, "8851", customer=OF_ALICE, name=EVIL)
    page = visit(OLGA).open("devices", f"lang=en&customer={OF_ALICE}")
    expect(count_of(page)).not_to_have_text("0 rows")
    before = rows(page)
    import_files(page, tmp_path)
    expect(count_of(page)).to_have_text(f"{before + 2} rows")
    page.locator('.dl-body [role="row"]').filter(has_text="registered").first.click()
    acts = page.locator(".dl-actions").first
    acts.get_by_role("button", name="Status now").click()
    expect(acts.get_by_text(re.compile(r"lines registered \(asked simulator"))).to_be_visible()
    answer(page, "Restart", "No")
    answer(page, "Restart", "Yes, do it")
    expect(acts.get_by_text(re.compile("confirmed: it registered again|accepted, but"))).to_be_visible()
    search_field(page).fill("00:15:65:66:66:66")
    expect(count_of(page)).to_have_text("1 rows")
    page.locator('.dl-body [role="row"]').first.click()
    expect(page.locator(".dl-details")).to_contain_text(EVIL)
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    accessible(page, "devices-import")


def import_files(page, folder):
    head = "Site,Device Type,MAC Address\n"
    bad, good = folder / "bad.csv", folder / "good.csv"
    bad.write_text(head + "Lyon Bellecour,Yealink T46S,00:15:65:00\nNowhere,Cisco 8851,00:15:65:12:34:56\n")
    macs = ("00:15:65:AA:00:01", "00:15:65:AA:00:02")
    good.write_text(head + "".join(f"Lyon Bellecour,Yealink T46S,{mac}\n" for mac in macs))
    told = page.locator(".dl-actions")
    page.locator("input[type=file]").set_input_files(bad)
    answer(page, "Import all or nothing", "Yes, do it")
    problems = page.get_by_role("grid", name="Problems in the file")
    expect(problems).to_contain_text("MAC_INVALID")
    expect(problems).to_contain_text("SITE_UNKNOWN")
    expect(told.filter(has_text="Nothing was imported")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the result").click()
    assert "SITE_UNKNOWN" in waiting.value.path().read_text()
    page.locator("input[type=file]").set_input_files(good)
    page.get_by_role("button", name="Check only").click()
    expect(told.filter(has_text="nothing was changed")).to_be_visible()
    answer(page, "Import all or nothing", "Yes, do it")
    expect(told.filter(has_text="The import is done")).to_be_visible()


def test_a_viewer_is_offered_no_changes(visit):
    """Who may only look finds no button that changes something."""
    page = visit(ALICE).open("devices", "lang=fr")
    page.locator('.dl-body [role="row"]').first.click()
    acts = page.locator(".dl-actions [data-act]")
    expect(acts).to_have_count(1)
    assert acts.get_attribute("data-act") == "status"
    assert page.locator("input[type=file]").count() == 0


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_page(visit, name, language):
    """Each dashboard is whole and accessible in both languages and themes, and fits every width.

    That none has a console error or asks another host is checked at the end of every test.
    """
    page = visit(OLGA).open(name, f"lang={language}")
    expect(page.locator("html")).to_have_attribute("lang", language)
    settled(page)
    if name in ("lines", "devices"):
        page.locator('.dl-body [role="row"]').first.click()
        expect(page.locator(".dl-details dd").first).to_be_visible()
        settled(page)
    expect(page.locator(".dl-stack .dl-fault:visible")).to_have_count(0)
    accessible(page, f"{name}-{language}")


def settled(page):
    """Wait until nothing is being looked for any more."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)


def test_the_past_is_told_from_now(visit, served):
    """A moment in the link shows the states of then, says so, and offers no download of the present."""
    page = visit(OLGA).open("lines", "lang=en&at=2026-01-01T08:00Z")
    expect(page.locator(".dl-past")).to_contain_text("This is the past, not now")
    expect(count_of(page)).to_have_text("0 rows")
    expect(page.get_by_role("button", name="Download these lines (CSV)")).to_be_disabled()
    field = page.get_by_label("States as of (empty: now)")
    expect(field).to_have_value("2026-01-01T09:00")  # the reader's own time
    later = datetime.now(UTC) + timedelta(hours=1)
    field.fill(f"{later.astimezone(ZoneInfo('Europe/Paris')):%Y-%m-%dT%H:%M}")
    field.blur()
    expect(page).to_have_url(re.compile(f"at={later:%Y-%m-%dT%H}%3A{later:%M}Z"))
    expect(page.locator(".dl-past")).to_have_count(0)
    expect(count_of(page)).not_to_have_text("0 rows")
    page.get_by_role("button", name="Clear filters").click()
    expect(field).to_have_value("")
    expect(page.get_by_role("button", name="Download these lines (CSV)")).to_be_enabled()


def test_a_lost_connection_is_not_an_outage(visit):
    """When the server cannot be reached, the page says so and keeps its figures as they were."""
    page = visit(OLGA).open("overview")
    before = tiles(page)
    page.clock.install()
    page.evaluate("WebSocket.prototype.send = () => {}")
    page.clock.run_for(60_000)
    expect(page.get_by_text("No connection to the server")).to_be_visible()
    assert tiles(page) == before
