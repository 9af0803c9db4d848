"""What the rules must know of the fleet, as a Protocol; the floors above answer from the inventory."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol


class SiteRules(NamedTuple):
    """A site in which devices may be added.

    Args:
        name: its name as the inventory writes it.
        approved_types: names of the device types approved there.
        customer: its customer; needed only where the asker sees several.
    """

    name: str
    approved_types: Iterable[str]
    customer: str = ""


class Located(NamedTuple):
    """Where a device is that exists already.

    Args:
        site: name of its site.
        device_type: name of its type in the catalogue.
        visible: whether the asker may see that site. The name of another site is never told.
        customer: the site's customer; compared with that of `SiteRules`.
    """

    site: str
    device_type: str
    visible: bool
    customer: str = ""


class KnownFleet(Protocol):
    """The part of the inventory against which rows are checked."""

    def site(self, name: str) -> SiteRules | None:
        """Return the site in the asker's scope that `name` means; names are compared by `site_key`."""
        ...

    def locate(self, macs: Sequence[int]) -> Mapping[int, Located]:
        """Return those of the addresses that exist anywhere in the inventory, visible or not.

        Args:
            macs: the addresses of one chunk of rows, as integers; a few thousand.
        """
        ...


def site_key(name: str) -> str:
    """Return what is compared of a site's name: trimmed, Unicode NFC, case folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


class FixedFleet:
    """A known fleet that is held in memory whole: for small fleets, trials and tests.

    Args:
        sites: the sites in the asker's scope.
        devices: every device that exists, by the integer of its MAC address.
    """

    def __init__(self, sites: Iterable[SiteRules], devices: Mapping[int, Located] | None = None) -> None:
        self._sites = {site_key(site.name): site for site in sites}
        self._devices = devices or {}

    def site(self, name: str) -> SiteRules | None:
        """Return the site that `name` means."""
        return self._sites.get(site_key(name))

    def locate(self, macs: Sequence[int]) -> Mapping[int, Located]:
        """Return those of the addresses that exist."""
        return {mac: self._devices[mac] for mac in macs if mac in self._devices}
