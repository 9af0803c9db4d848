"""Everything an open portal holds: inventory, lake, networks, catalogue, clock and settings."""

from dataclasses import dataclass, field

from devlib.clock import Clock
from devlib.collect import Collector, Networks, configured_networks
from devlib.config import Settings
from devlib.export import Coordinator, MemoryCoordinator, MemoryStore, open_coordinator
from devlib.model import EVERYTHING, Catalogue, load_catalogue
from devlib.storage import (
    BucketFiles,
    FolderFiles,
    IndexShelf,
    Inventory,
    Lake,
    LakeFiles,
    open_inventory,
    spare_memory,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What the acts of a portal work with; opened once, shared by its parts."""

    settings: Settings
    clock: Clock
    catalogue: Catalogue
    inventory: Inventory
    lake: Lake
    networks: Networks
    coordinators: list[Coordinator] = field(default_factory=list)

    @property
    def coordinator(self) -> Coordinator:
        """Where exports are entered; opened when it is first needed, since few acts need it."""
        return self.open_coordinator()

    @property
    def line_indexes(self) -> IndexShelf:
        """Where the dashboards' server keeps the index of the newest states."""
        return IndexShelf(self.settings.home / "line-index")

    def open_coordinator(self) -> Coordinator:
        """Open the coordinator, if it is not open yet.

        Raises:
            StorageUnavailable: it cannot be opened.
        """
        if not self.coordinators:
            self.coordinators.append(self._opened_coordinator())
        return self.coordinators[0]

    def _opened_coordinator(self) -> Coordinator:
        settings, policy = self.settings, self.settings.export
        if settings.practice_moment is not None:
            # Where time stands still, only a queue whose waiting moves the clock ever ends.
            return MemoryCoordinator(MemoryStore(self.clock), policy)
        return open_coordinator(settings.database_url, settings.home / "exports", policy, self.clock)

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
        for coordinator in self.coordinators:
            coordinator.close()
        self.coordinators.clear()
        self.lake.close()
        self.inventory.close()


class SimulatedDevices:
    """Tells the simulator which device a line port belongs to, so that its user agent fits.

    Args:
        inventory: read once, when the first line port is asked for.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._known: dict[str, tuple[str, str]] | None = None

    def __call__(self, line_port: str) -> tuple[str, str] | None:
        """Return type and MAC of the device of `line_port`, if the inventory had it when first asked."""
        if self._known is None:
            with self._inventory.read() as reader:
                rows = (row for batch in reader.line_batches(EVERYTHING) for row in batch)
                self._known = {row.line_port: (row.device_type, row.mac) for row in rows}
        return self._known.get(line_port)


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
    spare_memory()
    inventory = open_inventory(settings.database_url, clock)
    limits = settings.query
    device_of = SimulatedDevices(inventory)
    return Services(
        settings=settings,
        clock=clock,
        catalogue=load_catalogue(settings.device_types_file),
        inventory=inventory,
        lake=Lake(
            lake_place(settings, clock), inventory, clock, memory=limits.memory, threads=limits.threads
        ),
        networks=networks or configured_networks(settings, clock, device_of),
    )


def lake_place(settings: Settings, clock: Clock) -> LakeFiles:
    """Return where the files of the lake lie.

    Args:
        settings: name a folder or a bucket.
        clock: the time.

    Raises:
        ConfigurationError: the address of the bucket is none.
    """
    bucket = settings.lake_bucket
    return FolderFiles(settings.lake_folder) if bucket is None else BucketFiles(bucket, clock)
