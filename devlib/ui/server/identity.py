"""Who asks: by a cookie that a link gave, or by the header of a proxy that proves itself with a secret."""

import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from jupyter_server.auth import IdentityProvider, User
from tornado.web import RequestHandler

from devlib.config import DashboardSettings
from devlib.language import Language

COOKIE = "devlib-dashboards"
PROXY_HEADER = "X-Devlib-Proxy"
_COOKIE_DAYS = 1.0


@dataclass
class Visitor(User):  # type: ignore[misc]
    """A signed-in identity, as the server knows it: its account name and its login session."""

    session: str = ""


class DashboardIdentity(IdentityProvider):  # type: ignore[misc]
    """Tells the server who asks; nobody is anybody without a cookie of this server or a proxy's header.

    No token in an address and no password: a link's ticket becomes a cookie at once.
    """

    settings_of_dashboards = DashboardSettings()

    @property
    def auth_enabled(self) -> bool:
        """Always: there is no anonymous visitor."""
        return True

    def get_user(self, handler: RequestHandler) -> Visitor | None:
        """Return who asks, `None` for nobody known."""
        return self._from_proxy(handler) or self._from_cookie(handler)

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return none: pages for signing in are the server's own."""
        return []

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Return false: requests never come with a token that would excuse them from the XSRF check."""
        return False

    def sign_in(self, handler: RequestHandler, principal: str) -> None:
        """Give the browser a cookie for `principal`."""
        value = json.dumps({"principal": principal, "session": secrets.token_hex(16)})
        handler.set_secure_cookie(
            self._cookie_name(handler),
            value,
            expires_days=_COOKIE_DAYS,
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
            path=handler.settings["base_url"],
        )

    def sign_out(self, handler: RequestHandler) -> None:
        """Take the cookie back."""
        handler.clear_cookie(self._cookie_name(handler), path=handler.settings["base_url"])

    def _from_cookie(self, handler: RequestHandler) -> Visitor | None:
        given = handler.get_secure_cookie(self._cookie_name(handler), max_age_days=_COOKIE_DAYS)
        if not given:
            return None
        claims: dict[str, Any] = json.loads(given)
        return Visitor(username=claims["principal"], session=claims["session"])

    def _from_proxy(self, handler: RequestHandler) -> Visitor | None:
        settings = self.settings_of_dashboards
        if not settings.user_header or settings.proxy_secret is None:
            return None
        proof = handler.request.headers.get(PROXY_HEADER, "")
        names = handler.request.headers.get_list(settings.user_header)
        if len(names) != 1 or not names[0].strip():
            return None
        if not hmac.compare_digest(proof.encode(), settings.proxy_secret.reveal().encode()):
            return None
        name = names[0].strip()
        return Visitor(username=name, session=f"proxy {name}")

    def _cookie_name(self, handler: RequestHandler) -> str:
        # Cookies do not tell ports apart: two servers on one machine must not sign each other out.
        return f"{COOKIE}-{handler.settings['devlib_port']}"


def language_of(handler: RequestHandler, default: Language) -> Language:
    """Return the language of a request: of its link, else the browser's first wish, else `default`."""
    wish = handler.get_query_argument("lang", "")
    if wish in ("en", "fr"):
        return "fr" if wish == "fr" else "en"
    for part in handler.request.headers.get("Accept-Language", "").split(","):
        tag = part.split(";")[0].strip().lower()[:2]
        if tag in ("en", "fr"):
            return "fr" if tag == "fr" else "en"
    return default
