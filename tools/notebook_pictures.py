"""Pictures of every notebook, run in JupyterLab: `python tools/notebook_pictures.py FOLDER`.

Each notebook runs in a fresh copy of the home for practice, in English and in French, in a real Chromium that
may reach this machine only. Into the folder go one picture for each notebook and language, and `sheet-en.png`
and `sheet-fr.png` with all of them side by side. What a picture may hide is counted: cells that did not run,
errors that no cell raises on purpose, widgets that could not be shown, messages on stderr, page errors.
"""

import argparse
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, sync_playwright
from playwright.sync_api import TimeoutError as TooSlow

from devlib.demo.practice import build_practice_home

ROOT = Path(__file__).parents[1]
_SETTINGS = {
    # All cells are in the page, so that one picture shows them all.
    "@jupyterlab/notebook-extension/tracker": '{"windowingMode": "none", "scrollPastEnd": false}',
    "@jupyterlab/apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
_ON_PURPOSE = '"nbval-raises-exception"'
_WIDTH, _TALLEST = 1280, 16_000
_DOORS = {"lab": "doc/tree", "notebook": "notebooks"}
_FAULTS = {
    # Which of the two an error is, is Jupyter's affair; a message on stderr is a fault too.
    "errors": ".jp-OutputArea-output:is([data-mime-type$='.error'], [data-mime-type$='.stderr'])",
    "broken widgets": ".jupyter-widgets.jupyter-error, .jp-RenderedWidget .lm-Widget.jp-mod-error",
}
_COUNT_UNRUN = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .filter((each) => !/\\[\\d+\\]/.test(each.textContent)).length"""
_CONNECTED = """() => {
    const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
_TO_THE_TOP = """() => document.querySelectorAll('.jp-Notebook, .jp-Notebook *, .jp-WindowedPanel-outer')
    .forEach((each) => { if (each.scrollTop) each.scrollTop = 0; })"""
_SIDEWAYS = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .filter((each) => each.scrollWidth > each.clientWidth + 1).length"""
_HEIGHT = """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')]
    .reduce((sum, each) => sum + each.getBoundingClientRect().height, 0)"""


@dataclass
class Served:
    """A Jupyter server of its own, on 127.0.0.1.

    Args:
        folder: with the notebooks (copies) and homes.
        door: of `_DOORS`.
        language: of everything that devlib shows.
        port: that it listens on.
        token: that lets in.
    """

    folder: Path
    door: str
    language: str
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def base(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it for the time of the block."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", self.door if self.door == "notebook" else "jupyterlab"]
        command += ["--ip=127.0.0.1", f"--port={self.port}", "--no-browser", "--allow-root"]
        command += ["--expose-app-in-browser", f"--ServerApp.root_dir={self.folder / 'notebooks'}"]
        with (self.folder / f"server-{self.language}.log").open("w") as log:
            process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
            try:
                self._wait(process)
                yield
            finally:
                process.terminate()
                process.wait(30)

    def fresh_home(self) -> None:
        """Give the next notebook a home in which nothing happened yet."""
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        shutil.copytree(self.folder / "seed", self.folder / "home")

    def _environment(self) -> dict[str, str]:
        ours = {
            "DEVLIB_HOME": str(self.folder / "home"),
            "DEVLIB_LANGUAGE": self.language,
            "JUPYTER_TOKEN": self.token,
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        return os.environ | ours

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + 180
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.base}api", timeout=5).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
            else:
                return
        raise SystemExit(f"Jupyter did not start; see {self.folder}")


@dataclass
class Seen:
    """What a picture of a notebook showed.

    Args:
        name: of the notebook, with its folder.
        seconds: from opening it to the last output.
        faults: count of each kind, where there are any.
    """

    name: str
    seconds: float
    faults: dict[str, int]


def main(words: Sequence[str]) -> int:
    """Take the pictures; return how many notebooks have faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the pictures; outside of the repository")
    parser.add_argument("names", nargs="*", help="of notebooks, such as history; all by default")
    parser.add_argument("--language", choices=["en", "fr"], action="append", help="default: both")
    parser.add_argument("--door", choices=list(_DOORS), default="lab", help="JupyterLab or notebook 7")
    given = parser.parse_args(words)
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="devlib-pictures-") as name:
        folder = Path(name)
        _prepare(folder)
        faulty = 0
        for language in given.language or ["en", "fr"]:
            served = Served(folder, given.door, language)
            faulty += sum(bool(each.faults) for each in _pictures(served, given.folder, given.names))
    return faulty


def _prepare(folder: Path) -> None:
    build_practice_home(folder / "seed")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    for book in (folder / "notebooks").glob("*/*.ipynb"):
        # What fails on purpose shall not keep the cells after it from running: Jupyter's word for that.
        text = book.read_text(encoding="utf-8")
        book.write_text(text.replace(_ON_PURPOSE, f'{_ON_PURPOSE}, "raises-exception"'), encoding="utf-8")
    for name, text in _SETTINGS.items():
        path = folder / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _pictures(served: Served, pictures: Path, names: Sequence[str]) -> list[Seen]:
    books = sorted((served.folder / "notebooks").glob("*/*.ipynb"))
    chosen = [each for each in books if not names or each.stem in names]
    seen: list[Seen] = []
    with served.running(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        for book in chosen:
            served.fresh_home()
            found = _picture(browser, served, book, pictures / f"{book.stem}-{served.language}.png")
            seen.append(found)
            print(served.language, f"{found.name:42} {found.seconds:5.1f} s", found.faults or "", flush=True)
        _sheet(browser, pictures, [each.stem for each in chosen], served.language)
        browser.close()
    return seen


def _picture(browser: Browser, served: Served, book: Path, target: Path) -> Seen:
    context = browser.new_context(viewport={"width": _WIDTH, "height": 1000}, locale="en-GB")
    context.set_default_timeout(120_000)
    page = context.new_page()
    faults: dict[str, int] = {}

    def stay_here(route: Route) -> None:
        if route.request.url.startswith((served.base, "data:", "blob:")):
            route.continue_()
        else:
            faults["requests off the host"] = faults.get("requests off the host", 0) + 1
            route.abort()

    context.route("**/*", stay_here)
    page.on("pageerror", lambda _: faults.update({"page errors": faults.get("page errors", 0) + 1}))
    name = str(book.relative_to(served.folder / "notebooks"))
    start = time.monotonic()
    page.goto(f"{served.base}{_DOORS[served.door]}/{name}?token={served.token}")
    try:
        _run_all(page)
    except TooSlow:
        faults["too slow"] = 1
    seconds = time.monotonic() - start
    _stretch(page)
    page.screenshot(path=target)
    faults |= _faults(page, book)
    _end_kernels(page, served)
    context.close()
    return Seen(name, seconds, faults)


def _run_all(page: Page) -> None:
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function(_CONNECTED, timeout=60_000)
    # Not awaited: how far it is can be seen, and an answer that never comes has no time limit.
    page.evaluate("() => { void jupyterapp.commands.execute('notebook:clear-all-cell-outputs'); }")
    page.evaluate("() => { void jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(f"() => ({_COUNT_UNRUN})() === 0", timeout=120_000)


def _stretch(page: Page) -> None:
    """Make the window as high as the notebook, and wait until its tables and figures are drawn."""
    height = 1000
    for _ in range(3):
        page.wait_for_timeout(1500)
        needed = min(int(page.evaluate(_HEIGHT)) + 260, _TALLEST)
        if needed == height:
            break
        height = needed
        page.set_viewport_size({"width": _WIDTH, "height": height})
    page.evaluate(_TO_THE_TOP)
    page.wait_for_timeout(300)


def _end_kernels(page: Page, served: Served) -> None:
    allowed = {"Authorization": f"token {served.token}"}
    for kernel in page.request.get(f"{served.base}api/kernels", headers=allowed).json():
        page.request.delete(f"{served.base}api/kernels/{kernel['id']}", headers=allowed)


def _faults(page: Page, book: Path) -> dict[str, int]:
    found = {name: page.locator(selector).count() for name, selector in _FAULTS.items()}
    found["errors"] -= book.read_text(encoding="utf-8").count('"raises-exception"')
    found["cells that did not run"] = page.evaluate(_COUNT_UNRUN)
    found["outputs wider than the page"] = page.evaluate(_SIDEWAYS)
    return {name: count for name, count in found.items() if count}


def _sheet(browser: Browser, pictures: Path, names: Sequence[str], language: str) -> None:
    """Put the pictures side by side."""
    cells = "".join(
        f"<figure><figcaption>{name}</figcaption><img src='{name}-{language}.png'></figure>" for name in names
    )
    style = (
        "body{display:flex;flex-wrap:wrap;gap:8px;margin:8px;font:13px sans-serif;align-items:flex-start}"
        "figure{margin:0;width:380px}img{width:100%;border:1px solid #888}"
    )
    sheet = pictures / f"sheet-{language}.html"
    sheet.write_text(f"<meta charset='utf-8'><style>{style}</style>{cells}", encoding="utf-8")
    page = browser.new_page(viewport={"width": 1980, "height": 1000})
    page.goto(sheet.resolve().as_uri())
    page.screenshot(path=pictures / f"sheet-{language}.png", full_page=True)
    page.close()
    sheet.unlink()


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
