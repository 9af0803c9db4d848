"""The dashboards at 1 000 000 lines in Chromium, beside a bare Voila page with one plotly figure."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
from playwright.sync_api import Page, Route, sync_playwright

from bench.bench_report import big_snapshot
from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.model import EVERYTHING
from devlib.portal import connect
from devlib.ui.server.tickets import link_key, new_ticket, sign_in_link

_OPENINGS = 10
_SETTLE = 8.0
_ROOT = Path(__file__).parents[1]
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
_FIGURE = """
import plotly.graph_objects as go
go.Figure(data=[{"type": "bar", "x": ["a", "b"], "y": [1, 2]}])
"""
# The wait ends when the rows of the new filter are there; its numbers come before them.
_FILTERED = """
async (change) => {
  const grid = document.querySelector(".dl-grid-box"), before = Number(grid.dataset.ready);
  const start = performance.now();
  if (change.state) document.querySelector(`input[value="${change.state}"]`).click();
  if (change.site !== undefined) {
    const list = document.querySelector('[data-field="site"] select');
    if (![...list.options].some((each) => each.value === change.site)) list.append(new Option(change.site));
    list.value = change.site;
    list.dispatchEvent(new Event("change"));
  }
  if (change.search !== undefined) {
    const field = document.querySelector('[data-field="search"] input');
    field.value = change.search;
    field.dispatchEvent(new Event("input"));
  }
  while (Number(grid.dataset.ready) <= before) {
    if (performance.now() - start > 30000) throw new Error("no answer");
    await new Promise((done) => setTimeout(done, 2));
  }
  return performance.now() - start;
}
"""
# When the pixels of the first number were painted, by the browser's own clock. A driver that asks for the
# element has to wait for the page's one thread, which starts Voila's scripts meanwhile.
_PAINTED = """
new PerformanceObserver((seen) => {
  window.benchPainted ??= performance.timeOrigin + seen.getEntries()[0].renderTime;
}).observe({ type: "element", buffered: true });
new MutationObserver((_, watch) => {
  const number = document.querySelector("#devlib-first .dl-tile b");
  if (number) { number.setAttribute("elementtiming", "first"); watch.disconnect(); }
}).observe(document, { subtree: true, childList: true });
"""
_CHANGES = (
    {"state": "aged"}, {"site": "site 00100"}, {"site": ""}, {"state": "aged"}, {"state": "registered"},
    {"site": "site 04000"}, {"state": "registered"}, {"site": "site 07999"}, {"site": ""},
)  # fmt: skip
_SEARCHES = ({"search": "first77"}, {"search": "00:15:65:01"}, {"search": ""}, {"search": "user1234"})


def run(rows: int = 1_000_000) -> dict[str, object]:
    """Return medians in seconds and milliseconds, and the ratio to the bare page."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder) / "home"
        _fill(home, rows)
        bare = _bare_page(Path(folder), browser)
        with served(home) as (port, server):
            until(lambda: any((home / "line-index").glob("*.lines")))
            base = f"http://127.0.0.1:{port}/"
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            context.set_default_timeout(120_000)
            context.request.get(sign_in_link(base, new_ticket(account(), link_key(home), SystemClock())))
            context.add_init_script(_PAINTED)
            opened = [_open(context.new_page(), base, server) for _ in range(_OPENINGS)]
            page = context.new_page()
            page.goto(f"{base}lines?lang=en")
            usable(page)
            quiet(server)
            memory = largest_kernel(server)
            filtered = [page.evaluate(_FILTERED, change) for change in _CHANGES]
            searched = [page.evaluate(_FILTERED, change) for change in _SEARCHES]
            grown = largest_kernel(server) - memory
    first, asked, whole = (statistics.median(each) for each in zip(*opened, strict=True))
    return {
        "what": f"Line states of {rows} lines, {_OPENINGS} openings with a warm kernel",
        "first_number_s": round(first, 2),
        "goal_first": "<= 1.5",
        "first_number_by_the_driver_s": round(asked, 2),
        "usable_s": round(whole, 2),
        "goal_usable": "<= 4",
        "bare_voila_page_s": round(bare, 2),
        "usable_to_bare": round(whole / bare, 2),
        "filter_ms": round(statistics.median(filtered)),
        "goal_filter": "<= 300",
        "filters_ms": [round(each) for each in filtered],
        "search_ms": round(statistics.median(searched)),
        "searches_ms": [round(each) for each in searched],
        "first_numbers_s": [round(each[0], 2) for each in opened],
        "all_usable_s": [round(each[2], 2) for each in opened],
        "kernel_mb": round(memory / 2**20),
        "kernel_grew_mb": round(grown / 2**20),
        "load_average": [round(each, 1) for each in os.getloadavg()],
    }


def account() -> str:
    """Return the account of the operating system."""
    return load_settings().account


def _fill(home: Path, rows: int) -> None:
    with connect(settings=load_settings({"DEVLIB_HOME": str(home)})) as portal:
        with portal.services.inventory.write() as writer:
            writer.add_provider("P", line_state_export=True)
            writer.add_customer("P", "C")
            for site in sorted({each["site"] for each in _CHANGES if each.get("site")}):
                writer.add_site(EVERYTHING, "C", site, ("Yealink T46S",))
        big_snapshot(portal.services.lake, rows)


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_FLAGS))
        yield browser
        browser.close()


@contextmanager
def served(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Serve the dashboards of a home; give the port and the process."""
    port = _free_port()
    command = [sys.executable, "-P", "-m", "devlib.ui.server", "--port", str(port), "--no-browser"]
    command += ["--folder", str(_ROOT / "dashboards")]
    with _running(
        command,
        f"http://127.0.0.1:{port}/assets/devlib.css",
        _variables(home),
    ) as server:
        yield port, server


def _variables(home: Path) -> dict[str, str]:
    # Without the second one a server could run another installed devlib than the one that is measured.
    return {"DEVLIB_HOME": str(home), "PYTHONPATH": str(_ROOT)}


@contextmanager
def _running(command: list[str], address: str, variables: dict[str, str]) -> Iterator[psutil.Process]:
    started = subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until(lambda: _answers(address))
        time.sleep(2 * _SETTLE)  # the kernels that are to be warm
        yield psutil.Process(started.pid)
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(60)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


def until(there: Callable[[], bool]) -> None:
    """Wait until something is there."""
    for _ in range(1500):
        if there():
            return
        time.sleep(0.2)
    raise TimeoutError("the server does not answer")


def _open(page: Page, base: str, server: psutil.Process) -> tuple[float, float, float]:
    began, start = time.time(), time.perf_counter()
    page.goto(f"{base}lines?lang=en", wait_until="commit")
    page.wait_for_selector("#devlib-first .dl-tile b", state="visible")
    asked = time.perf_counter() - start
    usable(page)
    whole = time.perf_counter() - start
    painted = float(page.evaluate("window.benchPainted")) / 1000 - began
    page.goto("about:blank")
    page.close()
    quiet(server)
    return painted, asked, whole


def usable(page: Page) -> None:
    """Wait until rows and filters are there."""
    page.wait_for_selector(".dl-grid-box[data-ready]")
    page.wait_for_selector(".dl-filters[data-ready] select")


def quiet(server: psutil.Process) -> None:
    """Wait until the kernel that replaces the used one is ready: nothing computes any more."""
    time.sleep(1.5)  # Voila waits a second before it starts one
    for _ in range(60):
        with suppress(psutil.NoSuchProcess):  # the kernel of the page that was closed just now
            if sum(each.cpu_percent(0.25) for each in server.children(recursive=True)[-2:]) < 5:  # noqa: PLR2004
                return


def largest_kernel(server: psutil.Process) -> int:
    """Return bytes that a kernel holds for itself: the index that all of them map is not among them."""
    sizes = [0]
    for each in server.children(recursive=True):
        with suppress(psutil.NoSuchProcess, OSError):
            if "ipykernel_launcher" not in each.cmdline():
                continue  # an export or the writing of the index, which end
            told = Path(f"/proc/{each.pid}/smaps_rollup").read_text(encoding="ascii")
            found = re.search(r"Anonymous: +(\d+) kB", told)
            sizes.append(int(found[1]) << 10 if found else 0)
    return max(sizes)


def _bare_page(folder: Path, browser: Any) -> float:  # noqa: ANN401
    path = folder / "bare.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(_FIGURE)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    port = _free_port()
    command = [sys.executable, "-P", "-m", "voila", str(path), f"--Voila.port={port}", "--no-browser"]
    command += ["--Voila.ip=127.0.0.1", "--preheat_kernel=True", "--pool_size=1"]
    times = []
    with _running(command, f"http://127.0.0.1:{port}/voila/static/voila.js", {}) as server:
        for _ in range(3):
            page = browser.new_page()
            # It asks two icon sheets of a CDN; without a way there it would wait for them.
            page.route("**/*", lambda route: _only_here(route, port))
            start = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector(".js-plotly-plot .main-svg", state="attached", timeout=180_000)
            times.append(time.perf_counter() - start)
            page.close()
            quiet(server)
    return statistics.median(times)


def _only_here(route: Route, port: int) -> None:
    here = route.request.url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
    route.continue_() if here else route.abort()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
