"""The download of 1 000 000 filtered lines from a dashboard, beside `devlib export` of the same rows."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from bench.bench_collection import seed_lines
from bench.bench_dashboards import account, chromium, largest_kernel, quiet, served, until, usable
from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.portal import connect
from devlib.storage import open_inventory
from devlib.ui.server.tickets import link_key, new_ticket, sign_in_link

_LONGEST = 1_800_000  # ms: the networks are asked for every line first
_TYPE = "Yealink T46S"
_COMMAND = "import sys; from devlib.cli import main; sys.exit(main())"


def run(lines: int = 1_000_000) -> dict[str, object]:
    """Return seconds, bytes, whether they are the command's, and by how much the page's kernel grew."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder) / "home"
        home.mkdir()
        toml = '[[networks]]\nkind = "simulator"\nname = "simulator"\ngaps = false\n'
        (home / "devlib.toml").write_text(toml, encoding="utf-8")
        customer = _fill(home, lines)
        with served(home) as (port, server):
            until(lambda: any((home / "line-index").glob("*.lines")))
            base = f"http://127.0.0.1:{port}/"
            context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
            context.set_default_timeout(240_000)
            context.request.get(sign_in_link(base, new_ticket(account(), link_key(home), SystemClock())))
            page = context.new_page()
            page.goto(f"{base}lines?lang=en&customer={customer}&types={_TYPE}")
            usable(page)
            quiet(server)
            before = largest_kernel(server)
            start = time.perf_counter()
            path, peak = _downloaded(page, server)
            took = time.perf_counter() - start
            same, rows = _compare(home, path, customer, Path(folder) / "command")
    return {
        "what": f"download of {lines} filtered lines in the browser, asked of the simulator",
        "lines": rows,
        "bytes_equal_the_commands": same,
        "seconds_with_the_asking": round(took, 1),
        "kernel_before_mb": before >> 20,
        "kernel_grew_mb": (peak - before) >> 20,
        "goal_grew": "< 200",
    }


def _fill(home: Path, lines: int) -> str:
    settings = load_settings({"DEVLIB_HOME": str(home)})
    with open_inventory(settings.database_url, SystemClock()) as inventory:
        seed_lines(inventory, [f"{n}@bench.example" for n in range(lines)])
    with connect(settings=settings) as portal:
        portal.collect()
        found = portal.customers()[0]
        portal.switch_export(found.provider, allowed=True)
        return found.name


def _downloaded(page: Page, server: object) -> tuple[Path, int]:
    peak = 0
    with page.expect_download(timeout=_LONGEST) as waiting:
        page.get_by_role("button", name="Download these lines (CSV)").click()
        while page.evaluate("document.querySelector('.dl-export').dataset.export") == "running":
            peak = max(peak, largest_kernel(server))
            page.wait_for_timeout(500)
    path = waiting.value.path()
    return path, max(peak, largest_kernel(server))


def _compare(home: Path, downloaded: Path, customer: str, folder: Path) -> tuple[bool, int]:
    words = ["export", "--customer", customer, "--type", _TYPE, "--from-snapshot", "--folder", str(folder)]
    subprocess.run(
        [sys.executable, "-c", _COMMAND, *words],
        env=os.environ | {"DEVLIB_HOME": str(home)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    written = next(folder.glob("*.csv"))
    with downloaded.open("rb") as ours, written.open("rb") as theirs:
        same = hashlib.file_digest(ours, "sha256").digest() == hashlib.file_digest(theirs, "sha256").digest()
    with written.open("rb") as file:
        return same, sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b"")) - 1
