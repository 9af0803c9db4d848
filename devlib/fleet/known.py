"""The inventory as the rules of validation want to know it: one customer's sites, and where every MAC is."""

from collections.abc import Mapping, Sequence

from devlib.model import Scope
from devlib.storage import Reader
from devlib.validation import Located, SiteRules, site_key


class ScopedFleet:
    """The sites of one customer in the asker's scope; the MACs of the whole inventory.

    Args:
        reader: asked for the sites now and for MACs later.
        scope: what the asker may see.
        customer: name of the customer in it.

    Raises:
        NotFound: the scope has no such customer.
    """

    def __init__(self, reader: Reader, scope: Scope, customer: str) -> None:
        owner = reader.customer(scope, customer)
        self._reader = reader
        self._scope = scope
        self.target = Scope(owner.provider, owner.name, scope.sites)
        self._sites = {
            site_key(site.name): SiteRules(site.name, frozenset(site.approved_types), site.customer)
            for site in reader.sites(self.target)
        }

    def site(self, name: str) -> SiteRules | None:
        """Return the site that `name` means, in any case."""
        return self._sites.get(site_key(name))

    def locate(self, macs: Sequence[int]) -> Mapping[int, Located]:
        """Return where those of the addresses are that exist; `visible` says whether the asker may know."""
        return {
            mac: Located(
                place.site,
                place.device_type,
                self._scope.covers_site(place.provider, place.customer, place.site),
                place.customer,
            )
            for mac, place in self._reader.locate(macs).items()
        }

    def approves(self, site: str, device_type: str) -> bool:
        """Return whether the site is still there and the type still approved for it."""
        rules = self.site(site)
        return rules is not None and device_type in rules.approved_types
