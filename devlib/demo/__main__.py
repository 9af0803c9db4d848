"""The demonstration: `python -m devlib.demo`, also `devlib demo` and `make demo`."""

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from devlib.config import load_settings
from devlib.demo.practice import build_practice_home
from devlib.demo.real import show_real_phones
from devlib.demo.simulated import show_simulated_fleet
from devlib.demo.stage import Stage
from devlib.errors import DevlibError, UsageError
from devlib.language import Language, choose_language, message

_MARK = ".devlib-demo"


def main() -> int:
    """Run the demonstration and return the exit code."""
    started = time.monotonic()
    given = _arguments()
    language = choose_language(given.language) if given.language else load_settings().language
    try:
        home = _own_home(language, _own_name(given))
        if given.practice:
            return _show_practice(home, language)
        stage = Stage(home, language, started)
        report = (
            show_real_phones(stage, given.phones)
            if given.network == "kamailio"
            else show_simulated_fleet(stage, given.lines)
        )
        stage.say_goodbye(report)
    except DevlibError as error:
        print(error.in_language(language), file=sys.stderr)  # noqa: T201 - a door
        return error.exit_code
    if os.environ.get("NO_BROWSER") != "1":
        _open_dashboard(home, language)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devlib demo")
    parser.add_argument("--network", choices=("simulator", "kamailio"), default="simulator")
    parser.add_argument("--practice", action="store_true")
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--phones", type=int, default=500)
    parser.add_argument("--language", choices=("en", "fr"))
    return parser.parse_args()


def _own_name(given: argparse.Namespace) -> str:
    if given.practice:
        return "demo-home-practice"
    return "demo-home-kamailio" if given.network == "kamailio" else "demo-home"


def _show_practice(home: Path, language: Language) -> int:
    """Make the home for practice, and say how to use it."""
    build_practice_home(home, language)
    done = message("The home for practice is made: 300 simulated lines, and time stands still.")
    print(done.in_language(language))  # noqa: T201 - a door
    print(f"    export DEVLIB_HOME={home}\n    make lab")  # noqa: T201 - a door
    return 0


def _own_home(language: Language, default: str = "demo-home") -> Path:
    """Return an empty home folder of the demonstration; nothing is ever deleted.

    An earlier demonstration may hold somebody's work by now, so its folder is moved aside; a folder that the
    demonstration did not make is not touched at all.
    """
    home = Path(os.environ.get("DEVLIB_HOME") or default).resolve()
    if (home / _MARK).exists():
        aside = home.with_name(f"{home.name}-before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        home.rename(aside)
        moved = message("The earlier demonstration is now {folder}; delete it when you like.", folder=aside)
        print(moved.in_language(language))  # noqa: T201 - a door
    elif home.exists() and any(home.iterdir()):
        raise UsageError(
            message("The folder holds something that the demonstration did not make."),
            where=str(home),
            remedy=message("Set DEVLIB_HOME to a new folder, or unset it to use ./demo-home."),
        )
    home.mkdir(parents=True, exist_ok=True)
    (home / _MARK).touch()
    return home


def _open_dashboard(home: Path, language: Language) -> None:
    """Serve the dashboards on loopback until Ctrl+C; the server opens the browser itself."""
    environment = os.environ | {"DEVLIB_HOME": str(home), "DEVLIB_LANGUAGE": language}
    command = [sys.executable, "-P", "-m", "devlib.ui.server", "--language", language]
    try:
        subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own command
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
