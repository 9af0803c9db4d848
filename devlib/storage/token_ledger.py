"""What the inventory keeps of tokens: whose they are and the digest of their secret, never the secret."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from devlib.errors import NotFound
from devlib.language import message, visible
from devlib.model import Identity
from devlib.storage.connected import Connected
from devlib.storage.records import ApiToken, identity_of
from devlib.storage.schema import api_tokens, identities

_BY_NUMBER = select(api_tokens).where(api_tokens.c.id == bindparam("number"))
_ITS_BEARER = (
    select(api_tokens, *(each.label(f"bearer_{each.name}") for each in identities.c))
    .select_from(api_tokens.outerjoin(identities, api_tokens.c.principal == identities.c.principal))
    .where(api_tokens.c.id == bindparam("number", required=False))
)
_TOKEN_COLUMNS = len(api_tokens.c)


class TokenReader(Connected):
    """Answers questions about tokens."""

    def api_token(self, number: str) -> ApiToken | None:
        """Return the token of that name, also an expired or revoked one; `None` for none."""
        row = self.connection.execute(_BY_NUMBER, {"number": number}).one_or_none()
        return None if row is None else ApiToken(**row._asdict())

    def bearer(self, number: str) -> tuple[ApiToken, Identity | None] | None:
        """Return the token of that name and the stored identity for which it speaks; `None` for no token.

        One question, since every request of a program asks it.
        """
        rows = self._kept_question(_ITS_BEARER, {"number": number})
        if not rows:
            return None
        token, stored = rows[0][:_TOKEN_COLUMNS], rows[0][_TOKEN_COLUMNS:]
        return ApiToken(*token), None if stored[0] is None else identity_of(*stored)

    def api_tokens(self) -> list[ApiToken]:
        """Return all tokens, newest first."""
        found = select(api_tokens).order_by(api_tokens.c.created_at.desc(), api_tokens.c.id)
        return [ApiToken(**row._asdict()) for row in self.connection.execute(found)]


class TokenWriter(Connected):
    """Keeps tokens."""

    def add_api_token(self, token: ApiToken) -> None:
        """Keep a new token."""
        self.connection.execute(insert(api_tokens).values(**asdict(token)))

    def revoke_api_token(self, number: str) -> None:
        """Revoke a token for ever; one that is revoked already keeps its moment.

        Raises:
            NotFound: there is none of that name.
        """
        theirs = api_tokens.c.id == number
        if self.connection.execute(select(api_tokens.c.id).where(theirs)).one_or_none() is None:
            raise no_token(number)
        living = theirs & api_tokens.c.revoked_at.is_(None)
        self.connection.execute(update(api_tokens).where(living).values(revoked_at=self._clock.now()))

    def note_token_use(self, number: str, at: datetime) -> None:
        """Keep when a token was used."""
        self.connection.execute(update(api_tokens).where(api_tokens.c.id == number).values(last_used_at=at))


def no_token(number: str) -> NotFound:
    """Return the error for a token that is not there."""
    return NotFound(
        message("There is no token {number}.", number=visible(number)),
        remedy=message("`devlib token list` names them."),
    )
