"""Who asks: principal, role, scope and session."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an identity is; `portal` says what each role may do."""

    SERVICE_PROVIDER = "service provider"
    OPERATOR = "operator"
    CUSTOMER_ADMINISTRATOR = "customer administrator"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the fleet that an identity may see; narrower fields cut, empty ones do not.

    Args:
        provider: name of the one service provider, or `None` for all.
        customer: name of the one customer, or `None` for all.
        sites: names of the sites, or `None` for all; needs `customer`, since names repeat between customers.
    """

    provider: str | None = None
    customer: str | None = None
    sites: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.sites is not None and self.customer is None:
            raise ValueError("a scope of sites needs their customer")

    def covers_customer(self, provider: str, customer: str) -> bool:
        """Return whether at least a part of the customer is in the scope."""
        return self.provider in (None, provider) and self.customer in (None, customer)

    def covers_site(self, provider: str, customer: str, site: str) -> bool:
        """Return whether the site is in the scope."""
        return self.covers_customer(provider, customer) and (self.sites is None or site in self.sites)

    def lies_within(self, outer: "Scope") -> bool:
        """Return whether everything of this scope is in the `outer` one too, by the names that both give."""
        return (
            outer.provider in (None, self.provider)
            and outer.customer in (None, self.customer)
            and (outer.sites is None or (self.sites is not None and self.sites <= outer.sites))
        )

    def narrowed(self, customer: str | None = None, site: str | None = None) -> "Scope":
        """Return the part of this scope that lies in one customer and, if given, one of its sites.

        Another customer than the scope's own gives a scope without any site: never more than before.
        """
        if customer is not None and self.customer not in (None, customer):
            return Scope(self.provider, customer, frozenset())
        sites = self.sites if site is None else frozenset({site})
        if site is not None and self.sites is not None:
            sites = self.sites & {site}
        return Scope(self.provider, customer or self.customer, sites)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Identity:
    """The one for whom an act is done.

    Args:
        principal: account name.
        role: what that account may do.
        scope: the part of the fleet it may see and change.
        session: the login session; exports are spaced by it. The principal where there is none.
    """

    principal: str
    role: Role
    scope: Scope = EVERYTHING
    session: str = ""

    @property
    def session_key(self) -> str:
        """The login session, or the principal in its place."""
        return self.session or self.principal
