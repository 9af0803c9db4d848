"""Who sends a request: the bearer of a token, or of a signed token of an OpenID provider."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from devlib.model import Identity
from devlib.portal import Portal, Services
from devlib.portal.signing_in import SignedIn
from devlib.portal.token_sign_in import TokenSignIn, not_signed_in
from devlib.portal.tokens import PREFIX

_LONGEST = 16_384


@dataclass(frozen=True, slots=True)
class Bearer:
    """One who is signed in, for one request.

    Args:
        identity: as read at this moment.
        signed_in: reads it again before each act.
    """

    identity: Identity
    signed_in: SignedIn

    def portal(self, services: Services) -> Portal:
        """Return the portal of this identity."""
        return Portal(self.identity, services, self.signed_in)


SignInSigned = Callable[[str], Bearer]
"""Signs in the bearer of a signed token, or raises `NotSignedIn`."""


class Doorkeeper:
    """Signs requests in.

    Args:
        services: hold the tokens.
        signed: signs in bearers of tokens of OpenID providers; `None` where none is configured.
    """

    def __init__(self, services: Services, signed: SignInSigned | None = None) -> None:
        self._services = services
        self._signed = signed

    def needs_nobody(self, request: Request) -> bool:
        """Return whether `sign_in` asks the inventory only; a provider's keys may have to be fetched."""
        return self._signed is None or _presented(request)[1].startswith(f"{PREFIX}_")

    def sign_in(self, request: Request) -> Bearer:
        """Return who sends the request; called where the database may be asked.

        Raises:
            NotSignedIn: no token, or one that is worth nothing.
        """
        scheme, presented = _presented(request)
        if scheme.lower() != "bearer" or not presented or len(presented) > _LONGEST:
            raise not_signed_in()
        if self._signed is not None and not presented.startswith(f"{PREFIX}_"):
            return self._signed(presented)
        signed_in = TokenSignIn(self._services, presented)
        return Bearer(signed_in.sign_in(), signed_in)


def _presented(request: Request) -> tuple[str, str]:
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    return scheme, presented.strip()
