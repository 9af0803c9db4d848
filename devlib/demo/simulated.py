"""The demonstration on the embedded default: a simulated network with 30 days of history."""

import sys

from devlib.clock import SystemClock
from devlib.demo.seeding import play_history, seed_fleet
from devlib.demo.stage import Stage
from devlib.export import ReportFile
from devlib.language import message
from devlib.portal import connect

_CUSTOMER = "Boulangeries Martin"


def show_simulated_fleet(stage: Stage, lines: int) -> ReportFile:
    """Seed the fleet, play its history, and export all sites of one customer.

    Args:
        stage: where.
        lines: about how many lines.

    Returns:
        The report.
    """
    settings = stage.settings
    clock = SystemClock()
    with connect(settings=settings, clock=clock) as portal:
        services = portal.services
        assigned = seed_fleet(services.inventory, services.catalogue, lines)
        stage.say(
            message("A fleet of 3 customers, 40 sites and {lines} lines is in the inventory.", lines=assigned)
        )
    played = play_history(settings, clock.now(), _draw)
    stage.say(message("{count} snapshots tell the last 30 days (simulated).", count=played))
    with connect(settings=settings, clock=clock) as portal:
        portal.collect()
        stage.say(message("The network was asked for all lines; now the report of all sites of a customer."))
        return stage.report(portal, _CUSTOMER)


def _draw(done: int, total: int) -> None:
    if not sys.stderr.isatty():
        if done % (total // 5) == 0:
            print(f"    {done}/{total}", flush=True)  # noqa: T201 - a door
        return
    end = "\n" if done == total else ""
    print(f"\r    {done}/{total}", end=end, file=sys.stderr, flush=True)  # noqa: T201 - a door
