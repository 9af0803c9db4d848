"""The pages: a warm page is the same for everybody; who asks, and the first numbers, are put in then."""

import asyncio
import re
from datetime import timedelta
from html import escape
from typing import Any, cast
from urllib.parse import urlencode

import tornado.web
from tornado.web import HTTPError
from voila.handler import VoilaHandler

from devlib.errors import DevlibError
from devlib.language import LANGUAGES, Language, Message, message
from devlib.ui.server.first import First
from devlib.ui.server.identity import DashboardIdentity, Visitor, language_of
from devlib.ui.server.kernels import Kernels
from devlib.ui.session import signed
from devlib.ui.titles import DASHBOARDS, title_of

_KERNEL = re.compile(r'"kernelId":\s*"([0-9a-f-]{36})"')
_SESSION_VALID = timedelta(minutes=5)
# Widgets are scripts of the kernel's own; `blob:` is how anywidget loads them. Nothing from elsewhere.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: wss: blob: data:; worker-src 'self' blob:; frame-ancestors 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'"
)


class Guarded:
    """What all of the server's handlers share: the security headers and the visitor."""

    def set_default_headers(self) -> None:
        """Set the headers that keep a page to itself."""
        handler = cast("tornado.web.RequestHandler", self)
        for name, value in {
            "Content-Security-Policy": CONTENT_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }.items():
            handler.set_header(name, value)


class PageHandler(Guarded, VoilaHandler):  # type: ignore[misc]
    """Hands out one dashboard to a visitor who is signed in."""

    def initialize(self, *, first: First, **given: Any) -> None:  # noqa: ANN401 - Voila's own arguments
        """Take what Voila needs, and where the first numbers come from."""
        super().initialize(**given)
        self._first = first

    async def prepare(self) -> None:
        """Make the page set the XSRF cookie: without it, closing a tab could not end its kernel."""
        await super().prepare()
        assert self.xsrf_token  # noqa: S101 - reading it sets the cookie

    @tornado.web.authenticated
    async def get(self, name: str) -> None:
        """Write the page `name`."""
        visitor = cast("Visitor", self.current_user)
        language = language_of(self, self._first.language)
        try:
            # An identity that is no longer stored is refused before it costs a kernel.
            numbers = await asyncio.get_running_loop().run_in_executor(
                None, self._first.html, visitor.username, name, language, dict(self.request.query_arguments)
            )
        except DevlibError as error:
            raise HTTPError(error.http_status, error.in_language(language)) from None
        await self._write_page(name, visitor, language, numbers)

    async def _write_page(self, name: str, visitor: Visitor, language: Language, numbers: str) -> None:
        top = header(name, language, self.base_url, visitor.username, self.request.query_arguments)
        kernels = cast("Kernels", self.kernel_manager)
        waiting = ""
        async for piece in self.get_generator(path=f"{name}.ipynb"):
            waiting += piece
            if not self._session and (found := _KERNEL.search(waiting)) is not None:
                kernels.give(found[1], visitor.username)
                self._session = self._word(visitor, found[1], language)
            if "<!--devlib:top-->" in waiting:
                waiting = waiting.replace("<!--devlib:head-->", head(name, language, self.base_url))
                before, _, waiting = waiting.partition("<!--devlib:top-->")
                self.write(before + top + numbers)
                # The first numbers are on their way while a kernel may still start.
                await self.flush()
        self.write(waiting.replace("<!--devlib:bottom-->", self._session))

    _session = ""

    def _word(self, visitor: Visitor, kernel: str, language: Language) -> str:
        claims = {
            "principal": visitor.username,
            "session": visitor.session,
            "kernel": kernel,
            "language": language,
        }
        kernels = cast("Kernels", self.kernel_manager)
        word = signed("session", claims, kernels.key, self._first.clock.now() + _SESSION_VALID)
        return f'<meta name="devlib-session" content="{escape(word)}">'

    def write_error(self, status_code: int, **given: Any) -> None:  # noqa: ANN401 - tornado's own arguments
        """Write an error as a page that says what to do."""
        write_error(self, status_code, self._first.language, **given)


def head(name: str, language: Language, base: str) -> str:
    """Return the head of a page: title, look, where plotly is."""
    title = title_of(name).in_language(language)
    return (
        f"<title>{escape(title)} – devlib</title>"
        f'<link rel="stylesheet" href="{base}assets/devlib.css"><link rel="icon" href="data:;base64,=">'
        f'<meta name="devlib-plotly" content="{base}assets/plotly.min.js">'
        f'<link rel="prefetch" as="script" href="{base}assets/plotly.min.js">'
        f'<script>document.documentElement.lang = "{language}";</script>'
    )


def header(name: str, language: Language, base: str, principal: str, query: dict[str, list[bytes]]) -> str:
    """Return the bar over each page: the dashboards, the languages, who is signed in."""
    links = "".join(
        f'<a href="{base}{each}?lang={language}"{_current(each == name)}>'
        f"{escape(title_of(each).in_language(language))}</a>"
        for each in DASHBOARDS
    )
    texts = {key: values[-1].decode(errors="replace") for key, values in query.items()}
    languages = "".join(
        f'<a href="?{escape(urlencode(texts | {"lang": each}))}" lang="{each}" data-language'
        f"{_current(each == language)}>{_LANGUAGE_NAMES[each]}</a>"
        for each in LANGUAGES
    )
    skip = escape(message("Skip to the figures").in_language(language))
    label = escape(message("Dashboards").in_language(language))
    of_language = escape(message("Language").in_language(language))
    out = escape(message("Sign out").in_language(language))
    title = escape(title_of(name).in_language(language))
    return (
        f'<a class="dl-skip" href="#rendered_cells">{skip}</a><header class="dl dl-header">'
        f'<nav aria-label="{label}">{links}</nav>'
        f'<nav class="dl-languages" aria-label="{of_language}">{languages}</nav>'
        f'<span class="dl-who">{escape(principal)} · <a href="{base}sign-out">{out}</a></span></header>'
        f'<div class="dl dl-title"><h1>{title}</h1></div>'
    )


_LANGUAGE_NAMES = {"en": "English", "fr": "Français"}


def _current(yes: bool) -> str:
    return ' aria-current="page"' if yes else ""


def write_error(
    handler: tornado.web.RequestHandler,
    status: int,
    default: Language,
    **given: Any,  # noqa: ANN401 - tornado's own arguments
) -> None:
    """Write an error page in the visitor's language; it tells nothing of the inside."""
    language = language_of(handler, default)
    error = (given.get("exc_info") or (None, None, None))[1]
    told = getattr(error, "log_message", None) if status in (403, 502, 503) else None
    text = _ERRORS.get(status, _OTHER_ERROR).in_language(language)
    more = f"<p>{escape(str(told))}</p>" if told and not isinstance(error, AssertionError) else ""
    base = handler.settings["base_url"]
    handler.set_header("Content-Type", "text/html; charset=utf-8")
    handler.finish(
        f'<!DOCTYPE html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>devlib</title><link rel="stylesheet" href="{base}assets/devlib.css">'
        f'<body class="devlib-page"><main class="dl dl-message"><h1>{status}</h1>'
        f"<p>{escape(text)}</p>{more}</main>"
    )


_ERRORS: dict[int, Message] = {
    401: message("You are not signed in. Ask for a link: devlib dashboards --link"),
    403: message("You may not do this. Ask for a new link (devlib dashboards --link) or for a wider role."),
    404: message("There is no such page. Start at the overview."),
    503: message("Too many dashboards are open. Close some, wait a minute, and load the page again."),
}
_OTHER_ERROR = message("Something failed here. Load the page again; the server's log says more.")


class SignInHandler(Guarded, tornado.web.RequestHandler):
    """Turns a link's ticket into a cookie, and leaves the ticket behind."""

    def initialize(self, *, first: First, identity: DashboardIdentity) -> None:
        """Take what checks tickets and gives cookies."""
        self._first = first
        self._identity = identity

    def get(self) -> None:
        """Sign in."""
        try:
            principal = self._first.tickets.take(self.get_query_argument("ticket", ""))
        except DevlibError as error:
            raise HTTPError(403, error.in_language(language_of(self, self._first.language))) from None
        self._identity.sign_in(self, principal)
        assert self.xsrf_token  # noqa: S101 - reading it sets the cookie
        self.set_header("Cache-Control", "no-store")
        self.redirect(f"{self.settings['base_url']}overview")

    def write_error(self, status_code: int, **given: Any) -> None:  # noqa: ANN401
        """Write an error as a page that says what to do."""
        write_error(self, status_code, self._first.language, **given)


class PlainHandler(SignInHandler):
    """Signing out, the way in, and the page for everything that does not exist."""

    def get(self, path: str = "") -> None:
        """Send people on, or tell them that there is no such page."""
        if path == "sign-out":
            self._identity.sign_out(self)
            raise HTTPError(401)
        if path == "sign-in-first":
            raise HTTPError(401)
        if path:
            raise HTTPError(404)
        self.redirect(f"{self.settings['base_url']}overview")
