"""Tokens of the HTTP service: made, listed and revoked; shown once, kept as a digest."""

import secrets
from base64 import b32encode
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from devlib.errors import NotAllowed, UsageError
from devlib.language import message, visible
from devlib.model import Scope
from devlib.portal.acts import Act, may_stand_for
from devlib.portal.desk import Desk, outside
from devlib.portal.signing_in import not_stored, store_it, stored_identity
from devlib.storage import ApiToken, Reader
from devlib.storage.token_ledger import no_token

PREFIX = "devlib"
"""First word of every token, so that scanners of repositories and logs recognise one."""

LONGEST_DAYS = 366
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; the only time that its text is seen.

    Args:
        text: the token itself, a secret.
        token: what the inventory keeps of it.
    """

    text: str
    token: ApiToken

    def __repr__(self) -> str:
        return f"IssuedToken(text='…', token={self.token!r})"


class Tokens(Desk):
    """The acts around tokens."""

    def new_token(self, principal: str, *, label: str = "", days: int = 90) -> IssuedToken:
        """Make a token for a stored identity, whose role and scope must lie within one's own.

        Args:
            principal: the identity for which the token speaks; its role and scope are read at each use.
            label: what it is for.
            days: from now on for which it is good, at most 366.

        Returns:
            The token, shown this once; only a digest of its secret is kept.

        Raises:
            NotAllowed: there is no such identity, or it reaches beyond one's own.
            UsageError: `days` is no number from 1 to 366.
        """
        with self._gate.act(Act.MANAGE_TOKENS, f"new for {principal}") as doing:
            if not 1 <= days <= LONGEST_DAYS:
                raise UsageError(message("A token is good for 1 to {most} days.", most=LONGEST_DAYS))
            now = self._services.clock.now()
            number, secret = b32encode(secrets.token_bytes(5)).decode().lower(), secrets.token_urlsafe(32)
            kept = ApiToken(
                number, principal, digest_of(secret), visible(label, 200), self.identity.principal,
                now, now + days * _DAY,
            )  # fmt: skip
            with self._services.inventory.write() as writer:
                self._require_holder(writer, principal)
                writer.add_api_token(kept)
            doing.detail = f"token {number}, {days} days"
            return IssuedToken(f"{PREFIX}_{number}_{secret}", replace(kept, digest=""))

    def tokens(self) -> list[ApiToken]:
        """Return the tokens of identities within one's own role and scope, newest first, without digests."""
        with self._gate.act(Act.MANAGE_TOKENS, "list"), self._services.inventory.read() as reader:
            return [replace(each, digest="") for each in reader.api_tokens() if self._covers(reader, each)]

    def revoke_token(self, number: str) -> None:
        """Revoke a token for ever; it is worth nothing from the next request on.

        Args:
            number: its name, as `tokens` gives it.

        Raises:
            NotFound: there is none of that name for an identity within one's own.
        """
        act = self._gate.act(Act.MANAGE_TOKENS, f"revoke {visible(number, 40)}")
        with act, self._services.inventory.write() as writer:
            found = writer.api_token(number)
            if found is None or not self._covers(writer, found):
                raise no_token(number)
            writer.revoke_api_token(number)

    def _covers(self, reader: Reader, token: ApiToken) -> bool:
        # Tokens of a forgotten identity are left to those who see everything.
        try:
            stored = stored_identity(reader, token.principal)
        except NotAllowed:
            stored = None
        if stored is None:
            return self.identity.scope == Scope()
        return may_stand_for(self.identity, stored)

    def _require_holder(self, reader: Reader, principal: str) -> None:
        stored = stored_identity(reader, principal)
        if stored is not None and may_stand_for(self.identity, stored):
            return
        if stored is None and self.identity.scope == Scope():
            raise NotAllowed(not_stored(principal), remedy=store_it(principal))
        # Whether there is such an identity is not told to who may not act for everybody.
        raise outside()


def digest_of(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits; so much chance needs no slow hash."""
    return sha256(secret.encode()).hexdigest()
