"""Everything an open portal holds: inventory, lake, networks, catalogue, clock and settings."""

from dataclasses import dataclass

from devlib.clock import Clock
from devlib.collect import Collector, Networks, configured_networks
from devlib.config import Settings
from devlib.model import Catalogue, load_catalogue
from devlib.storage import Inventory, Lake, open_inventory


@dataclass(frozen=True, slots=True)
class Services:
    """What the acts of a portal work with; opened once, shared by its parts."""

    settings: Settings
    clock: Clock
    catalogue: Catalogue
    inventory: Inventory
    lake: Lake
    networks: Networks

    @property
    def collector(self) -> Collector:
        """A collector over these services."""
        return Collector(
            self.inventory,
            self.lake,
            self.networks,
            catalogue=self.catalogue,
            clock=self.clock,
            aged_retention=self.settings.aged_retention,
        )

    def close(self) -> None:
        """Close connections; nothing that was promised is still in memory."""
        self.lake.close()
        self.inventory.close()


def open_services(settings: Settings, clock: Clock, networks: Networks | None = None) -> Services:
    """Open everything that the settings name, making the embedded default where nothing is yet.

    Args:
        settings: of this user.
        clock: the time.
        networks: other networks than the configured ones.

    Returns:
        The services; close them after use.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    inventory = open_inventory(settings.database_url, clock)
    limits = settings.query
    return Services(
        settings=settings,
        clock=clock,
        catalogue=load_catalogue(settings.device_types_file),
        inventory=inventory,
        lake=Lake(settings.lake_folder, inventory, clock, memory=limits.memory, threads=limits.threads),
        networks=networks or configured_networks(settings, clock),
    )
