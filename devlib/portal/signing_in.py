"""Who acts: identities of the store, read again whenever it matters."""

import os
from dataclasses import replace
from typing import Protocol

from devlib.config import Settings
from devlib.errors import NotAllowed
from devlib.language import Message, message
from devlib.model import Identity, Role
from devlib.portal.acts import may_stand_for
from devlib.portal.services import Services
from devlib.storage import Reader


class SignedIn(Protocol):
    """Who acts, as a portal asks it before each act."""

    @property
    def by(self) -> str:
        """Who acts in the identity's name; empty for itself."""
        ...

    @property
    def via(self) -> str:
        """What the audit names in the place of the login session; empty for nothing else."""
        ...

    def read(self) -> Identity:
        """Return the identity as it is now, or raise `NotAllowed`."""
        ...


class SignIn:
    """The account of this process, acting in its own name or in that of a stored identity.

    Args:
        services: hold the store and the settings.
        principal: the identity to act as; `None` for the account's own.
        session: the login session that the identity is given.
    """

    def __init__(self, services: Services, principal: str | None = None, session: str = "") -> None:
        self._services = services
        self._session = session
        self._account = services.settings.account
        self._other = None if principal == self._account else principal
        self._was_stored = False

    @property
    def by(self) -> str:
        """Who acts in the name of another one; empty where the account acts for itself."""
        return "" if self._other is None else self._account

    @property
    def via(self) -> str:
        """Nothing but the login session."""
        return ""

    def read(self) -> Identity:
        """Return the identity as the store has it now, in this login session.

        Raises:
            NotAllowed: it is not stored, or no longer; or the account may not act in its name.
        """
        found = self._read()
        return replace(found, session=self._session) if self._session else found

    def _read(self) -> Identity:
        with self._services.inventory.read() as reader:
            own = self._own(reader)
            if self._other is None:
                return own
            other = known_identity(reader, self._services.settings, self._other)
        if other is None and may_stand_for(own, Identity("", Role.SERVICE_PROVIDER)):
            raise NotAllowed(not_stored(self._other), remedy=store_it(self._other))
        if other is None or not may_stand_for(own, other):
            # Whether there is such an identity is not told to who may not act for everybody.
            raise NotAllowed(
                message(
                    "{account} may not act as {name}.", account=self._account[:80], name=self._other[:80]
                ),
                remedy=message("Act as an identity whose role and scope lie within your own."),
            )
        return other

    def _own(self, reader: Reader) -> Identity:
        stored = stored_identity(reader, self._account)
        self._was_stored = self._was_stored or stored is not None
        if stored is not None:
            return stored
        if not self._was_stored and owns_everything(self._services.settings):
            return Identity(self._account, Role.SERVICE_PROVIDER)
        if reader.identities():
            raise NotAllowed(not_stored(self._account), remedy=store_it(self._account))
        raise NotAllowed(
            not_stored(self._account),
            remedy=message(
                'Whoever keeps the database stores the first identity: python -c "from devlib import *; '
                "me = Identity('{name}', Role.SERVICE_PROVIDER); connect(me).put_identity(me)\"",
                name=self._account[:80],
            ),
        )


def owns_everything(settings: Settings) -> bool:
    """Return whether the account needs no stored identity: home folder and database are its own files."""
    embedded = settings.database_url == settings.model_copy(update={"database": ""}).database_url
    try:
        return embedded and settings.home.stat().st_uid == os.geteuid()
    except OSError:
        return False


def known_identity(reader: Reader, settings: Settings, principal: str) -> Identity | None:
    """Return a stored identity, or that of the account that owns everything; `None` for nobody known."""
    stored = stored_identity(reader, principal)
    if stored is None and principal == settings.account and owns_everything(settings):
        return Identity(principal, Role.SERVICE_PROVIDER)
    return stored


def stored_identity(reader: Reader, principal: str) -> Identity | None:
    """Return a stored identity, its customer with the service provider, which older entries may lack.

    Raises:
        NotAllowed: several service providers have a customer of that name.
    """
    return completed(reader, reader.identity(principal))


def completed(reader: Reader, found: Identity | None) -> Identity | None:
    """Return an identity as it is stored with the service provider of its customer; see `stored_identity`."""
    if found is None or found.scope.customer is None or found.scope.provider is not None:
        return found
    providers = {each.provider for each in reader.customers(found.scope)}
    if len(providers) > 1:
        raise NotAllowed(
            message(
                "The scope of {principal} names a customer that several providers have.",
                principal=found.principal,
            ),
            remedy=store_it(found.principal),
        )
    return replace(found, scope=replace(found.scope, provider=next(iter(providers), None)))


def not_stored(name: str) -> Message:
    """Return the text about an identity that is not there."""
    return message("No identity called {name} is stored.", name=name[:80])


def store_it(name: str) -> Message:
    """Return how an identity is stored."""
    return message("An operator stores one: devlib identity {name} --role …", name=name[:80])
