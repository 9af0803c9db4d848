"""`python -P -m devlib.ui.server`: what `devlib dashboards` starts."""

import argparse
import sys
import webbrowser
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import Settings, load_settings
from devlib.errors import DevlibError
from devlib.language import Message, message
from devlib.portal import connect
from devlib.ui.server.tickets import link_key, new_ticket, sign_in_link


def main() -> int:
    """Serve the dashboards, or print a link that signs in; return the exit code."""
    given = _arguments()
    settings = load_settings()
    if given.language:
        settings = settings.model_copy(update={"language": given.language})
    try:
        return _link(given, settings) if given.link else _serve(given, settings)
    except DevlibError as error:
        print(error.in_language(settings.language), file=sys.stderr)  # noqa: T201 - a door
        return error.exit_code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devlib dashboards")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--base", default="/")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--link", action="store_true")
    parser.add_argument("--as", dest="principal")
    parser.add_argument("--language", choices=("en", "fr"))
    return parser.parse_args()


def _link(given: argparse.Namespace, settings: Settings) -> int:
    with connect(principal=given.principal, settings=settings) as portal:
        principal = portal.identity.principal
    print(_new_link(given, settings, principal))  # noqa: T201 - a door
    return 0


def _new_link(given: argparse.Namespace, settings: Settings, principal: str) -> str:
    ticket = new_ticket(principal, link_key(settings.home), SystemClock())
    return sign_in_link(f"http://127.0.0.1:{given.port}{given.base}", ticket)


def _serve(given: argparse.Namespace, settings: Settings) -> int:
    # Heavy, and not needed for a link.
    from devlib.ui.server.application import DashboardServer, configuration

    folder = (given.folder or _own_folder()).resolve()
    with connect(principal=given.principal, settings=settings) as portal:
        found = configuration(settings, folder, given.port, given.base)
        server = DashboardServer(config=found)
        server.set_up(portal.services, SystemClock())
        server.initialize([])
        link = _new_link(given, settings, portal.identity.principal)
        _say(
            settings,
            message("The dashboards are on 127.0.0.1:{port}. This link signs in, once:", port=given.port),
        )
        print(f"    {link}", flush=True)  # noqa: T201 - a door
        _say(settings, message("Another link: devlib dashboards --link. Ctrl+C ends."))
        if not given.no_browser:
            webbrowser.open(link)
        server.start()
    return 0


def _own_folder() -> Path:
    here = Path("dashboards")
    return here if here.is_dir() else Path(__file__).parents[3] / "dashboards"


def _say(settings: Settings, text: Message) -> None:
    print(text.in_language(settings.language), flush=True)  # noqa: T201 - a door


if __name__ == "__main__":
    sys.exit(main())
