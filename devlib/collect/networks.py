"""Which network serves which customer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devlib.clock import Clock
from devlib.config import KamailioSettings, NetworkSettings, Settings
from devlib.network import DeviceOf, Network, open_network


@dataclass(frozen=True, slots=True)
class Served:
    """A network and whom it serves.

    Args:
        name: of the network.
        customers: names of the customers; empty for all.
        open: gives a fresh connection; it is called inside a running event loop.
        providers: names of the service providers; empty for all.
        restart_rate: most restarts per second; `None` for no limit of its own.
    """

    name: str
    customers: frozenset[str]
    open: Callable[[], Network]
    providers: frozenset[str] = frozenset()
    restart_rate: float | None = None

    def serves(self, provider: str, customer: str) -> bool:
        """Return whether this network answers for that provider's customer."""
        ours = not self.providers or provider in self.providers
        return ours and (not self.customers or customer in self.customers)


class Networks:
    """The configured networks; the first that serves a customer answers for it.

    Args:
        served: the networks in the order of the configuration.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self.served = tuple(served)

    def for_customer(self, provider: str, customer: str) -> Served | None:
        """Return the network that answers for that provider's customer, or `None`."""
        return next((each for each in self.served if each.serves(provider, customer)), None)


def configured_networks(settings: Settings, clock: Clock, device_of: DeviceOf | None = None) -> Networks:
    """Return the networks of the configuration; none is connected to yet.

    Args:
        settings: names them.
        clock: the time.
        device_of: for the simulator: type and MAC of a line port, so that user agents fit the devices.
    """
    return Networks(
        Served(
            each.name,
            frozenset(each.customers),
            _opener(each, clock, device_of),
            frozenset(each.providers),
            each.restart_rate if isinstance(each, KamailioSettings) else None,
        )
        for each in settings.networks
    )


def _opener(network: NetworkSettings, clock: Clock, device_of: DeviceOf | None) -> Callable[[], Network]:
    if isinstance(network, KamailioSettings):
        return lambda: open_network(network, clock)
    # A simulator holds no connection, but remembers restarts and what it has worked out: one for all calls.
    simulator: list[Network] = []

    def open_once() -> Network:
        if not simulator:
            simulator.append(open_network(network, clock, device_of=device_of))
        return simulator[0]

    return open_once
