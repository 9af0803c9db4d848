"""How one gets a portal."""

from types import TracebackType
from typing import Self

from devlib.clock import Clock, SystemClock
from devlib.config import Settings, environment_token, load_settings
from devlib.model import Identity
from devlib.portal.analysing import Analysing
from devlib.portal.changing import Changing
from devlib.portal.examining import Examining
from devlib.portal.following import Following
from devlib.portal.keeping import Keeping
from devlib.portal.organising import Organising
from devlib.portal.probing import Probing
from devlib.portal.restarting import RestartDesk
from devlib.portal.services import Services, open_services
from devlib.portal.signing_in import SignIn
from devlib.portal.tokens import Tokens


class Portal(Analysing, Examining, Probing, Changing, Following, RestartDesk, Keeping, Organising, Tokens):
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
    identity: Identity | str | None = None,
    *,
    token: str | None = None,
    principal: str | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Portal:
    """Return a portal: on this machine's inventory, lake and networks, or on a service over HTTP.

    Args:
        identity: for whom, taken as it is; or the address of a service, which says by the token who acts
            (`https://HOST`, or `http://127.0.0.1:PORT` on this machine). By default the account of the
            operating system, by the identity of that name in the store, which is read again at every act;
            where none is stored, the account may do everything if home folder and database are its own
            files, and nothing elsewhere.
        token: for a service; by default the environment variable DEVLIB_TOKEN.
        principal: name of a stored identity to act as; its role and scope must lie within the account's own.
        settings: by default those of `devlib.toml` and the environment.
        clock: by default the system's.

    Returns:
        The portal.

    Raises:
        NotAllowed: no identity called `principal`, or none for this account, is stored; or the account may
            not act as `principal`.
        ConfigurationError: the settings are wrong.
        StorageUnavailable: the database cannot be opened.
        UsageError: the address is none, or would send the token in clear over a network.
    """
    if isinstance(identity, str):
        from devlib.portal.remote import connect_over_http  # noqa: PLC0415 - it is made from this class

        language = settings.language if settings else load_settings().language
        return connect_over_http(identity, environment_token() if token is None else token, language)
    chosen = settings or load_settings()
    services = open_services(chosen, clock or SystemClock())
    try:
        if identity is not None:
            return Portal(identity, services)
        signed_in = SignIn(services, principal)
        return Portal(signed_in.read(), services, signed_in)
    except BaseException:
        services.close()
        raise
