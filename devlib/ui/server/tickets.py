"""Links that sign in: each works once, for one identity, for a short time."""

import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from devlib.clock import Clock
from devlib.errors import NotAllowed
from devlib.language import message
from devlib.ui.session import claims_of, signed

_KEY_BYTES = 32
_VALID = timedelta(minutes=15)


def link_key(home: Path) -> bytes:
    """Return the key that signs links of this home; made when it is first needed, for its owner only."""
    path = home / "dashboards.key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = home / f".dashboards.key.{secrets.token_hex(8)}"
        whole.touch(mode=0o600)
        whole.write_bytes(secrets.token_bytes(_KEY_BYTES))
        # A link appears whole or not at all, and only once: two who start at the same time get one key.
        with suppress(FileExistsError):
            path.hardlink_to(whole)
        whole.unlink()
    return path.read_bytes()


def new_ticket(principal: str, key: bytes, clock: Clock) -> str:
    """Return a ticket with which whoever holds it becomes `principal`, once."""
    return signed(
        "sign in", {"principal": principal, "once": secrets.token_hex(16)}, key, clock.now() + _VALID
    )


def sign_in_link(base: str, ticket: str) -> str:
    """Return the link for a ticket; `base` is the address of the dashboards with a slash at its end."""
    return f"{base}sign-in?ticket={quote(ticket)}"


class Tickets:
    """Takes tickets, each once.

    Args:
        key: that signed them.
        clock: for their end.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._used: dict[str, float] = {}

    def take(self, ticket: str) -> str:
        """Return the principal of a ticket, which is used up by it.

        Raises:
            NotAllowed: it was used before, is too old, or was not made here.
        """
        now = self._clock.now()
        claims = claims_of("sign in", ticket, self._key, now)
        self._used = {once: until for once, until in self._used.items() if until > now.timestamp()}
        if claims["once"] in self._used:
            raise NotAllowed(
                message("This link was used already."),
                remedy=message("Ask for a new link: devlib dashboards --link"),
            )
        self._used[claims["once"]] = claims["until"]
        return str(claims["principal"])
