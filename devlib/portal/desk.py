"""What every part of the portal shares: the identity, the services, the gate, and finding things in scope."""

from collections import Counter
from dataclasses import dataclass, replace

from devlib.clock import Clock
from devlib.errors import NotAllowed, NotFound, UsageError
from devlib.language import Language, Message, message
from devlib.model import EVERYTHING, Customer, Device, Identity, Mac, Scope, Site
from devlib.portal.acts import Gate
from devlib.portal.services import Services
from devlib.portal.signing_in import SignedIn
from devlib.storage import LineFilter


@dataclass(frozen=True, slots=True)
class Place:
    """A customer, and maybe one of its sites, that the identity may see."""

    customer: Customer
    site: str | None
    scope: Scope

    @property
    def text(self) -> str:
        """For the audit and for people."""
        return f"{self.customer.name} / {self.site or '*'}"


class Desk:
    """Base of the portal's parts.

    Attributes:
        warnings: what people should know of acts that were done all the same.

    Args:
        identity: who acts.
        services: with what.
        signed_in: reads the identity again before each act; without it, the identity stays as it is given.
    """

    def __init__(self, identity: Identity, services: Services, signed_in: SignedIn | None = None) -> None:
        self._services = services
        self.warnings: list[Message] = []
        if signed_in is None:
            self._gate = Gate(services.inventory, identity)
        else:
            self._gate = Gate(services.inventory, identity, signed_in.read, signed_in.by, signed_in.via)

    @property
    def identity(self) -> Identity:
        """Who acts, as last read."""
        return self._gate.identity

    def _require_everything(self) -> None:
        """Check that the identity's scope has no limit, for what cannot be done to a part.

        Raises:
            NotAllowed: it has one.
        """
        if self.identity.scope != EVERYTHING:
            raise outside()

    @property
    def clock(self) -> Clock:
        """What "now" is to whoever shows the answers."""
        return self._services.clock

    @property
    def language(self) -> Language:
        """Of headers and texts."""
        return self._services.settings.language

    @property
    def simulated(self) -> bool:
        """Whether states come from the simulator and not from phones, which must be said with them."""
        return any(network.kind == "simulator" for network in self._services.settings.networks)

    def _place(self, customer: str | None, site: str | None = None) -> Place:
        """Return the customer and site that the names mean in the identity's scope.

        Raises:
            NotFound: the scope has no such customer or site; says the same where it exists elsewhere.
            UsageError: no customer was named and the scope has several.
        """
        with self._services.inventory.read() as reader:
            seen = reader.customers(self.identity.scope)
            if customer is None and site is not None:
                seen = self._with_site(reader.sites(self.identity.scope), site, seen)
            found = self._customer(seen, customer)
            provider_scope = Scope(found.provider, self.identity.scope.customer, self.identity.scope.sites)
            scope = provider_scope.narrowed(found.name)
            if site is None:
                return Place(found, None, scope)
            name = reader.site(scope, found.name, site).name
        return Place(found, name, scope.narrowed(site=name))

    def _scope(self, customer: str | None, site: str | None) -> Scope:
        if customer is None and site is None:
            return self.identity.scope
        return self._place(customer, site).scope

    @staticmethod
    def _with_site(sites: list[Site], name: str, seen: list[Customer]) -> list[Customer]:
        """Return the customers that have a site of that name; all of them where none has."""
        wanted = name.strip().casefold()
        theirs = {(each.provider, each.customer) for each in sites if each.name.casefold() == wanted}
        return [each for each in seen if (each.provider, each.name) in theirs] or seen

    @staticmethod
    def _customer(seen: list[Customer], name: str | None) -> Customer:
        """Return the one that `name` means: as it is written, as Provider/Customer, or but for case."""
        fitting = seen if name is None else _fitting(seen, name.strip())
        if len(fitting) == 1:
            return fitting[0]
        known = ", ".join(sorted(_names(seen))[:20])
        if not fitting:
            raise NotFound(
                message("There is no customer {name} here.", name=(name or "")[:80])
                if name
                else message("There is no customer yet."),
                remedy=message("Customers that you may see: {known}", known=known or "–"),
            )
        raise UsageError(
            message("Several customers are meant; name one of them."),
            remedy=message("Customers that you may see: {known}", known=known),
        )

    def _known_types(self, line_filter: LineFilter) -> LineFilter:
        """Return the filter with the types' own names.

        Raises:
            NotFound: the catalogue has no such type.
        """
        get = self._services.catalogue.get
        return replace(line_filter, device_types=tuple(get(each).name for each in line_filter.device_types))

    def _device(self, mac: str | Mac) -> Device:
        """Return a device of the scope, with its lines.

        Raises:
            MacInvalid: the text is no MAC address.
            NotFound: the scope has no such device.
        """
        address = mac if isinstance(mac, Mac) else Mac.parse(mac)
        with self._services.inventory.read() as reader:
            return reader.device(self.identity.scope, address)


def outside() -> NotAllowed:
    """Return the error for what the identity may see, or knows of, but may not change."""
    return NotAllowed(
        message("This reaches beyond your scope."),
        remedy=message("Ask someone whose scope covers it."),
    )


def _label(customer: Customer) -> str:
    return f"{customer.provider}/{customer.name}"


def _fitting(seen: list[Customer], name: str) -> list[Customer]:
    folded = name.casefold()
    for fits in (
        lambda each: each.name == name,
        lambda each: _label(each) == name,
        lambda each: each.name.casefold() == folded,
        lambda each: _label(each).casefold() == folded,
    ):
        if found := [each for each in seen if fits(each)]:
            return found
    return []


def _names(seen: list[Customer]) -> list[str]:
    """Return the names to choose from, with the service provider where a name alone does not tell."""
    count = Counter(each.name.casefold() for each in seen)
    return [_label(each) if count[each.name.casefold()] > 1 else each.name for each in seen]
