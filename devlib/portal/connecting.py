"""How one gets a portal."""

from types import TracebackType
from typing import Self

from devlib.clock import Clock, SystemClock
from devlib.config import Settings, load_settings
from devlib.errors import NotAllowed
from devlib.language import message
from devlib.model import Identity, Role
from devlib.portal.changing import Changing
from devlib.portal.looking import Looking
from devlib.portal.organising import Organising
from devlib.portal.reporting import Reporting
from devlib.portal.services import Services, open_services


class Portal(Looking, Changing, Reporting, Organising):
    """Everything that one identity may do, each act authorised and audited.

    Use it as a context manager, or close it.
    """

    @property
    def services(self) -> Services:
        """What the portal works with, for doors that show it (`devlib doctor`)."""
        return self._services

    def close(self) -> None:
        """Close database and lake connections."""
        self._services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    identity: Identity | None = None,
    *,
    principal: str | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Portal:
    """Return a portal on this machine's inventory, lake and networks.

    Args:
        identity: for whom; by default the account of the operating system, which owns the home folder and so
            may do everything, unless an identity of that name is stored.
        principal: name of a stored identity to act as.
        settings: by default those of `devlib.toml` and the environment.
        clock: by default the system's.

    Returns:
        The portal.

    Raises:
        NotAllowed: no identity called `principal` is stored.
        ConfigurationError: the settings are wrong.
        StorageUnavailable: the database cannot be opened.
    """
    chosen = settings or load_settings()
    services = open_services(chosen, clock or SystemClock())
    try:
        return Portal(identity or _identity(services, principal), services)
    except BaseException:
        services.close()
        raise


def _identity(services: Services, principal: str | None) -> Identity:
    name = principal or services.settings.account
    with services.inventory.read() as reader:
        stored = reader.identity(name)
    if stored is not None:
        return stored
    if principal is not None:
        raise NotAllowed(
            message("No identity called {name} is stored.", name=principal[:80]),
            remedy=message("An operator stores one: devlib identity {name} --role …", name=principal[:80]),
        )
    return Identity(name, Role.SERVICE_PROVIDER)
