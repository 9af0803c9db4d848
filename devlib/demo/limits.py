"""The limits of the line-state report, met on purpose: real rules and real errors, in nobody's way.

Each function gives a portal of the same identity on the same inventory and lake, whose export queue is its
own and lies in memory: what is tried there blocks no export of anybody else.
"""

from dataclasses import replace

from devlib.clock import FakeClock
from devlib.collect import Networks, Served
from devlib.config import SimulatorSettings
from devlib.errors import NotAllowed
from devlib.export import ExportKey, ExportRequest, MemoryCoordinator, MemoryStore
from devlib.language import message
from devlib.network import Simulator
from devlib.portal import Portal, Services


def portal_with_full_queue(portal: Portal) -> Portal:
    """Return a portal whose queue is full of others' exports: the next one is rejected (429).

    Args:
        portal: whose identity, inventory and lake.
    """
    policy = portal.services.settings.export
    return _crowded(portal, policy.max_running + policy.max_waiting)


def portal_with_slow_queue(portal: Portal) -> Portal:
    """Return a portal where others' exports run and do not end: the next one waits for too long (408).

    Args:
        portal: whose identity, inventory and lake.
    """
    return _crowded(portal, portal.services.settings.export.max_running)


def portal_with_silent_network(portal: Portal) -> Portal:
    """Return a portal whose networks do not answer: an export fails (500), and its lines are unknown then.

    Args:
        portal: of a home for practice; elsewhere, lines would be called unknown that are not.

    Raises:
        NotAllowed: it is of another home.
    """
    if portal.services.settings.practice_moment is None:
        raise NotAllowed(
            message("This is done in a home for practice only: it writes a snapshot of unknown lines."),
            remedy=message("Make one with `devlib demo --practice`, and set DEVLIB_HOME to it."),
        )
    apart = replace(_apart(portal), clock=portal.services.clock)
    network = Simulator(SimulatorSettings(name="silent", registrars=1), apart.clock)
    network.registrar_down()
    networks = Networks([Served("silent", frozenset(), lambda: network)])
    return Portal(portal.identity, replace(apart, networks=networks))


def _crowded(portal: Portal, exports: int) -> Portal:
    apart = _apart(portal)
    for number in range(exports):
        other = f"other-{number}"
        # One session and one customer each: else they would wait for each other.
        request = ExportRequest(other, other, ExportKey("others", other, None))
        apart.coordinator.submit(request, ticket=other)
    return Portal(portal.identity, apart)


def _apart(portal: Portal) -> Services:
    services = portal.services
    clock = FakeClock(services.clock.now())
    coordinator = MemoryCoordinator(MemoryStore(clock), services.settings.export)
    return replace(services, clock=clock, coordinators=[coordinator])
