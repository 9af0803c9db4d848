"""Who presents a token: looked up, compared in constant time, and read again at every act."""

import re
from datetime import timedelta
from hmac import compare_digest

from devlib.errors import NotAllowed, NotSignedIn, StorageUnavailable
from devlib.language import Message, message
from devlib.model import Identity
from devlib.portal.services import Services
from devlib.portal.signing_in import completed, not_stored, store_it, stored_identity
from devlib.portal.tokens import PREFIX, digest_of
from devlib.storage import ApiToken, Reader

_FORM = re.compile(rf"{PREFIX}_([a-z2-7]{{8}})_([A-Za-z0-9_-]{{43}})")
_NOTED_EVERY = timedelta(minutes=1)
# Compared where there is no such token, so that a wrong name takes as long as a wrong secret.
_NOBODY = digest_of("")


class TokenSignIn:
    """One who presents a token, for one request.

    Args:
        services: hold the store and the clock.
        presented: the whole token; kept no longer than this object lives, shown nowhere.

    Raises:
        NotSignedIn: it has not the form of a token.
    """

    by = ""

    def __init__(self, services: Services, presented: str) -> None:
        found = _FORM.fullmatch(presented)
        if found is None:
            raise not_signed_in()
        self._services = services
        self._fresh: Identity | None = None
        self._number, self._digest = found[1], digest_of(found[2])

    @property
    def via(self) -> str:
        """The token by its name, which is no secret."""
        return f"token {self._number}"

    def read(self) -> Identity:
        """Return the identity for which the token speaks, as the store has it now.

        The first act of a request takes what `sign_in` read a moment ago; every later look is a new one.

        Raises:
            NotSignedIn: the token is unknown, expired or revoked, or its secret is wrong.
            NotAllowed: its identity is stored no longer, or not clear.
        """
        if (fresh := self._fresh) is not None:
            self._fresh = None
            return fresh
        with self._services.inventory.read() as reader:
            return self._identity(reader, *self._kept(reader))

    def sign_in(self) -> Identity:
        """Do as `read`, and note that the token was used.

        A refusal of a token that exists goes into the audit: it may be stolen. One that does not exist is
        only counted, or everybody could fill the audit.
        """
        with self._services.inventory.read() as reader:
            token, stored = self._kept(reader)
            try:
                identity = self._identity(reader, token, stored)
            except NotAllowed as error:
                refusal: NotAllowed | None = error
            else:
                refusal = None
        if refusal is not None:
            if token is not None:
                self._record_refusal(token, refusal)
            raise refusal
        if token is not None:
            self._note_use(token)
        self._fresh = identity
        return identity

    def _kept(self, reader: Reader) -> tuple[ApiToken | None, Identity | None]:
        return reader.bearer(self._number) or (None, None)

    def _identity(self, reader: Reader, token: ApiToken | None, stored: Identity | None) -> Identity:
        self._check(token)
        identity = completed(reader, stored)
        if identity is None:
            raise NotAllowed(
                message("The identity of this token is not stored any more."), remedy=_ask_for_one()
            )
        return identity

    def _check(self, token: ApiToken | None) -> None:
        right = compare_digest(self._digest, _NOBODY if token is None else token.digest)
        if token is None or not right:
            raise not_signed_in()
        if token.revoked_at is not None:
            raise not_signed_in(message("The token was revoked."))
        if token.expires_at <= self._services.clock.now():
            raise not_signed_in(message("The token has expired."))

    def _record_refusal(self, token: ApiToken, error: NotAllowed) -> None:
        with self._services.inventory.write() as writer:
            writer.audit(
                principal=token.principal, role="", session=self.via, act="sign in", outcome="refused",
                detail=f"{type(error).__name__}: {error.what}",
            )  # fmt: skip

    def _note_use(self, token: ApiToken) -> None:
        now = self._services.clock.now()
        if token.last_used_at is not None and now - token.last_used_at < _NOTED_EVERY:
            return
        try:
            with self._services.inventory.write() as writer:
                writer.note_token_use(self._number, now)
        except StorageUnavailable:
            return  # when it was last used is good to know, and nothing more


class StoredSignIn:
    """A stored identity for which the service goes on with an export after it was started anew.

    Args:
        services: hold the store.
        principal: whose export it is.
        via: how it was signed in when it asked.
    """

    by = ""

    def __init__(self, services: Services, principal: str, via: str) -> None:
        self._services = services
        self._principal = principal
        self.via = via

    def read(self) -> Identity:
        """Return the identity as the store has it now.

        Raises:
            NotAllowed: it is stored no longer, or not clear.
        """
        with self._services.inventory.read() as reader:
            identity = stored_identity(reader, self._principal)
        if identity is None:
            raise NotAllowed(not_stored(self._principal), remedy=store_it(self._principal))
        return identity


def not_signed_in(why: Message | None = None) -> NotSignedIn:
    """Return the error for who is not known; it never repeats what was presented."""
    return NotSignedIn(why or message("A valid token is needed."), remedy=_ask_for_one())


def _ask_for_one() -> Message:
    return message("Ask an operator for a token (devlib token new) and send it as: Authorization: Bearer …")
