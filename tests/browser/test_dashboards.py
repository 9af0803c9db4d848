"""The dashboards in a real browser: what a manager does, and what must hold while it is done."""

import re
import subprocess
import sys
from importlib import resources

import pytest
from dashboards_fixture import ALICE, LINES, OF_ALICE, OF_BOB, OLGA
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PAGES = ("overview", "lines", "devices", "exports", "outages")


def rows(page):
    """Return the count that the first table tells."""
    return int(re.sub(r"\D", "", page.locator(".dl-count").first.inner_text()))


def tiles(page):
    """Return the lines by state that the tiles tell."""
    found = {}
    for item in page.locator("li.dl-tile[data-state]").all():
        found[item.get_attribute("data-state")] = int(re.sub(r"\D", "", item.locator("b").inner_text()))
    return found


def test_lines_load_filter_sort_scroll_and_share(visit, served):
    """Figures are those of SQL; a filter changes figures, table and link; the link shows the same elsewhere."""
    with served.portal(OLGA) as portal:
        found = portal.sql("SELECT state, count(*) AS n FROM line_states GROUP BY state")
        counts = dict(found.values.tolist())
    olga = visit(OLGA)
    page = olga.open("lines")
    assert {state: count for state, count in tiles(page).items() if count} == counts
    total = sum(counts.values())
    assert rows(page) == total
    page.get_by_role("checkbox", name="aged", exact=True).check()
    expect(page.locator(".dl-count").first).to_have_text(f"{counts['aged']} rows")
    assert page.url.endswith("states=aged&lang=en")
    assert tiles(page)["registered"] == 0
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".dl-count").first).to_have_text(f"{total} rows")
    head = page.get_by_role("columnheader", name="Line Port")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    grid = page.get_by_role("grid", name="Line states")
    grid.focus()
    page.keyboard.press("End")
    expect(page.locator(f'[aria-rowindex="{total + 1}"]')).to_be_visible()
    with served.portal(OLGA) as portal:
        first = portal.sql("SELECT min(line_port) AS p FROM line_states")["p"][0]
    expect(page.locator(f'[aria-rowindex="{total + 1}"]')).to_contain_text(first)
    page.keyboard.press("Enter")
    expect(page.locator(".dl-details dd").filter(has_text=first).first).to_be_visible()
    expect(page.locator(".dl-chart .barlayer .point").first).to_be_attached()
    page.get_by_label("Search").fill("yealink")
    expect(page).to_have_url(re.compile("search=yealink"))
    shared, few = page.url, rows(page)
    assert 0 < few < total
    page.reload()
    olga.wait()
    expect(page.get_by_label("Search")).to_have_value("yealink")
    assert rows(page) == few
    alice = visit(ALICE)
    alice.page.goto(shared)
    alice.wait()
    assert 0 < rows(alice.page) < few
    assert OF_BOB not in alice.page.content()


def test_the_download_equals_the_command(visit, served, tmp_path):
    """What the button downloads is byte for byte what `devlib export` writes of the same rows."""
    page = visit(OLGA).open("lines", f"lang=en&customer={OF_ALICE}&types=Yealink T46S")
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name="Download these lines (CSV)").click()
    waiting.value.save_as(tmp_path / "page.csv")
    command = [
        sys.executable, "-c", "import sys; from devlib.cli import main; sys.exit(main())", "--as", OLGA, "export",
        "--customer", OF_ALICE, "--type", "Yealink T46S", "--from-snapshot", "--folder", str(tmp_path / "command"),
    ]  # fmt: skip
    subprocess.run(command, env=served.environment, check=True, capture_output=True, timeout=60)
    written = next((tmp_path / "command").glob("*.csv"))
    assert written.read_bytes() == (tmp_path / "page.csv").read_bytes()
    assert written.name == waiting.value.suggested_filename
    expect(page.get_by_role("status").filter(has_text=written.name)).to_be_visible()


def test_devices_import_and_restart(visit, tmp_path):
    """A bad file is told row by row and changes nothing, a good one is imported; a restart asks first."""
    page = visit(OLGA).open("devices", f"lang=en&customer={OF_ALICE}")
    expect(page.locator(".dl-count").first).not_to_have_text("0 rows")
    before = rows(page)
    head = "Site,Device Type,MAC Address\n"
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text(head + "Lyon Bellecour,Yealink T46S,00:15:65:00\nNowhere,Cisco 8851,00:15:65:12:34:56\n")
    good.write_text(
        head + "Lyon Bellecour,Yealink T46S,00:15:65:AA:00:01\nLyon Bellecour,Cisco 8851,00:15:65:AA:00:02\n"
    )
    page.locator("input[type=file]").set_input_files(bad)
    page.get_by_role("button", name="Import all or nothing").click()
    page.get_by_role("button", name="Yes, do it").click()
    problems = page.get_by_role("grid", name="Problems in the file")
    expect(problems).to_contain_text("MAC_INVALID")
    expect(problems).to_contain_text("SITE_UNKNOWN")
    expect(page.locator(".dl-actions").filter(has_text="Nothing was imported")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the result").click()
    assert "SITE_UNKNOWN" in waiting.value.path().read_text()
    page.locator("input[type=file]").set_input_files(good)
    page.get_by_role("button", name="Check only").click()
    expect(page.locator(".dl-actions").filter(has_text="nothing was changed")).to_be_visible()
    page.get_by_role("button", name="Import all or nothing").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator(".dl-actions").filter(has_text="The import is done")).to_be_visible()
    expect(page.locator(".dl-count").first).to_have_text(f"{before + 2} rows")
    page.locator('.dl-body [role="row"]').filter(has_text="registered").first.click()
    acts = page.locator(".dl-actions").first
    acts.get_by_role("button", name="Status now").click()
    expect(acts.get_by_text(re.compile(r"lines registered \(asked simulator"))).to_be_visible()
    acts.get_by_role("button", name="Restart").click()
    page.get_by_role("button", name="No", exact=True).click()
    acts.get_by_role("button", name="Restart").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(acts.get_by_text(re.compile("confirmed: it registered again|accepted, but"))).to_be_visible()


def test_a_viewer_is_offered_no_changes(visit):
    """Who may only look finds no button that changes something, in either language."""
    page = visit(ALICE).open("devices", "lang=fr")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.locator('.dl-body [role="row"]').first.click()
    acts = page.locator(".dl-actions [data-act]")
    expect(acts).to_have_count(1)
    assert acts.get_attribute("data-act") == "status"
    assert page.locator("input[type=file]").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_accessible_in_both_themes_and_widths(visit, name):
    """axe finds nothing serious, and no page scrolls sideways, wide and narrow, light and dark."""
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    visitor = visit(OLGA, bypass_csp=True)
    page = visitor.open(name)
    page.evaluate(script)
    for width, scheme in ((1440, "light"), (1440, "dark"), (375, "light"), (375, "dark"), (2560, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        if width == 2560:
            continue
        # A transition from one theme to the other is no colour of either.
        page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert not serious, [(e["id"], [n["html"][:200] for n in e["nodes"][:3]]) for e in serious]


@pytest.mark.parametrize(("name", "word"), [("overview", "Vue d’ensemble"), ("lines", "États des lignes")])
def test_french_by_the_switch(visit, name, word):
    """The switch gives the page in French, with the filters kept in the link."""
    visitor = visit(OLGA)
    page = visitor.open(name, f"lang=en&customer={OF_ALICE}")
    page.get_by_role("link", name="Français").click()
    visitor.wait()
    assert f"lang=fr" in page.url
    assert "customer=" in page.url
    expect(page.get_by_role("heading", level=1)).to_have_text(word)


def test_hostile_names_are_text(visit, served):
    """A site called like markup is shown as it is written, and runs nothing."""
    evil = "<img src=x onerror=document.title='owned'>"
    with served.portal(OLGA) as portal:
        portal.add_site(evil, OF_BOB)
        portal.add("00:15:65:66:66:66", evil, "8851", customer=OF_BOB, name=evil)
    page = visit(OLGA).open("devices", f"lang=en&customer={OF_BOB}&search=00:15:65:66:66:66")
    expect(page.locator('.dl-body [role="row"]').first).to_contain_text(evil)
    page.locator('.dl-body [role="row"]').first.click()
    expect(page.locator(".dl-details")).to_contain_text(evil)
    assert page.title() != "owned"
    assert page.locator("img").count() == 0


def test_a_lost_server_is_not_an_outage(visit, served):
    """When the connection is lost, the page says so and keeps its figures; no line turns red by it."""
    visitor = visit(OLGA)
    page = visitor.open("overview")
    before = tiles(page)
    assert sum(before.values()) <= LINES + 50
    page.clock.install()
    visitor.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert tiles(page) == before
    visitor.context.set_offline(False)
