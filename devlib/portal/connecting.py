"""How one gets a portal."""

from types import TracebackType
from typing import Self

from devlib.clock import Clock, FakeClock, SystemClock
from devlib.config import Settings, environment_token, load_settings
from devlib.model import Identity
from devlib.portal.analysing import Analysing
from devlib.portal.changing import Changing
from devlib.portal.copying import Copying
from devlib.portal.examining import Examining
from devlib.portal.following import Following
from devlib.portal.keeping import Keeping
from devlib.portal.organising import Organising
from devlib.portal.probing import Probing
from devlib.portal.restarting import RestartDesk
from devlib.portal.running import Running
from devlib.portal.services import Services, open_services
from devlib.portal.signing_in import SignIn
from devlib.portal.tokens import Tokens
from devlib.portal.viewing import Viewing


class Portal(
    Viewing,
    Analysing,
    Examining,
    Probing,
    Changing,
    Following,
    RestartDesk,
    Running,
    Keeping,
    Copying,
    Organising,
    Tokens,
):
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
        clock: by default the system's; in a home for practice, one that stands still.

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
    services = open_services(chosen, clock or _clock(chosen))
    try:
        return (
            sign_in(services, principal or chosen.principal or None)
            if identity is None
            else Portal(identity, services)
        )
    except BaseException:
        services.close()
        raise


def sign_in(services: Services, principal: str | None = None, session: str = "") -> Portal:
    """Return a portal for a stored identity on services that are open already.

    Args:
        services: shared by all who sign in here; closing one portal closes them for all.
        principal: name of the identity; `None` for the account's own.
        session: the login session, by which exports are spaced; by default the principal.

    Raises:
        NotAllowed: there is no such identity, or the account may not act as it.
    """
    signed_in = SignIn(services, principal, session)
    return Portal(signed_in.read(), services, signed_in)


def _clock(settings: Settings) -> Clock:
    moment = settings.practice_moment
    return SystemClock() if moment is None else FakeClock(moment)
