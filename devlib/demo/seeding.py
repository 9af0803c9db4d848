"""Puts the demonstration's fleet into an inventory, and plays its history."""

from collections.abc import Callable
from datetime import datetime, timedelta

from devlib.clock import FakeClock
from devlib.config import Settings
from devlib.demo.fleet import PROVIDER, demo_fleet
from devlib.model import EVERYTHING, Catalogue
from devlib.portal import open_services
from devlib.storage import Inventory

Tell = Callable[[int, int], None]

HISTORY = timedelta(days=30)
_RECENT = timedelta(days=3)


def seed_fleet(inventory: Inventory, catalogue: Catalogue, lines: int, seed: int = 1) -> int:
    """Add the demonstration's provider, customers, sites, devices and lines, in one transaction.

    Args:
        inventory: an empty one.
        catalogue: line counts of the types.
        lines: about how many assigned lines in all.
        seed: of the choices.

    Returns:
        How many lines were assigned.
    """
    added = 0
    known: set[str] = set()
    with inventory.write() as writer:
        writer.add_provider(PROVIDER, line_state_export=True)
        for site in demo_fleet(catalogue, lines, seed):
            if site.customer not in known:
                writer.add_customer(PROVIDER, site.customer)
                known.add(site.customer)
            writer.add_site(EVERYTHING, site.customer, site.name, site.types)
            writer.add_devices(EVERYTHING, site.customer, [device for device, _ in site.devices])
            held = [(device.mac, line) for device, lines_of in site.devices for line in lines_of]
            added += writer.assign_lines(EVERYTHING, catalogue, held)
    return added


def history_moments(now: datetime, length: timedelta = HISTORY) -> list[datetime]:
    """Return when the history is observed: every six hours, and every hour in the last three days.

    Args:
        now: its end, UTC.
        length: how long it is; of a short one, the last tenth is observed every hour.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    hours = range(int(length / timedelta(hours=1)), 0, -1)
    recent = int(min(_RECENT, length / 10) / timedelta(hours=1))
    return [hour - timedelta(hours=each) for each in hours if each <= recent or each % 6 == 0]


def play_history(settings: Settings, now: datetime, tell: Tell, length: timedelta = HISTORY) -> int:
    """Collect snapshots of the last days from the simulator, with a clock that is moved through them.

    Args:
        settings: with the simulator as network, and its own home folder.
        now: where the history ends, UTC.
        tell: called with snapshots done and snapshots in all.
        length: how long it is.

    Returns:
        How many snapshots were written.
    """
    moments = history_moments(now, length)
    clock = FakeClock(moments[0])
    services = open_services(settings, clock)
    try:
        collector = services.collector
        for done, moment in enumerate(moments, start=1):
            clock.advance((moment - clock.now()).total_seconds())
            collector.collect(EVERYTHING)
            tell(done, len(moments))
    finally:
        services.close()
    return len(moments)
