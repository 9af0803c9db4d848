"""From a section of `devlib.toml` to the network that it describes."""

from collections.abc import Iterable

from devlib.clock import Clock
from devlib.config import NetworkSettings, SimulatorSettings
from devlib.network.protocol import Network
from devlib.network.simulator import Simulator
from devlib.network.simulator_devices import DeviceOf


def open_network(
    settings: NetworkSettings,
    clock: Clock,
    *,
    device_of: DeviceOf | None = None,
    known: Iterable[str] = (),
) -> Network:
    """Return the network that `settings` describe; nothing is asked yet.

    Args:
        settings: one of the sections of `networks`.
        clock: time of the simulator, and of what is read from a registrar.
        device_of: for the simulator: device type and MAC of a line port, so that its user agent fits.
        known: for the simulator: the line ports of a snapshot.
    """
    if isinstance(settings, SimulatorSettings):
        return Simulator(settings, clock, device_of=device_of, known=known)
    # Its clients take a third of a second to load; a home without a registrar does not pay for them.
    from devlib.network.kamailio import Kamailio  # noqa: PLC0415

    return Kamailio(settings, clock)
