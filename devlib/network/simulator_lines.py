"""The lines of the simulated network: what chance gives a line port, worked out once and kept."""

from dataclasses import dataclass

from devlib.network.hostile import clean_text
from devlib.network.protocol import is_line_port, network_form
from devlib.network.simulator_behaviour import Temper, Weather, roll
from devlib.network.simulator_devices import DeviceOf, identify, made_up_device

NOWHERE = -1  # the registrar of what is no line port

_CACHE_LIMIT = 120_000  # lines, about 1 kB each
_TEST_NETS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: addresses that belong to nobody


@dataclass(frozen=True, slots=True)
class SimulatedLine:
    """What stays the same of a line port."""

    site: str
    registrar: int
    device: str
    bits: int
    temper: Temper
    contact: str
    received: str
    user_agent: str | None
    instance: str | None


class LineBook:
    """Every line port's line; the same for the same seed.

    Args:
        seed: of the network.
        weather: tells which registrar serves a site.
        device_of: device type and MAC of a line port, so that user agent and fate fit its device.
    """

    def __init__(self, seed: int, weather: Weather, device_of: DeviceOf) -> None:
        self._seed = seed
        self._weather = weather
        self._device_of = device_of
        self._lines: dict[str, SimulatedLine] = {}

    def line(self, line_port: str) -> SimulatedLine:
        """Return the line of `line_port`, which may be any text."""
        found = self._lines.get(line_port)
        if found is None:
            if len(self._lines) >= _CACHE_LIMIT:
                self._lines.clear()
            found = self._lines[line_port] = self._make(line_port)
        return found

    def _make(self, line_port: str) -> SimulatedLine:
        user, _, domain = line_port.rpartition("@")
        site = domain.lower()
        known = self._device_of(line_port)
        device = network_form(line_port) if known is None else known[1]
        bits = roll(self._seed, "device", device)
        device_type, mac = known or made_up_device(bits)
        said = identify(device_type, mac, bits >> 3)
        place = roll(self._seed, "place", site)
        public = f"{_TEST_NETS[place % 3]}.{place // 3 % 254 + 1}"
        private = f"192.168.{place % 250}.{bits % 250 + 2}"
        return SimulatedLine(
            site,
            self._weather.registrar(site) if is_line_port(line_port) else NOWHERE,
            device,
            bits,
            Temper.of(bits),
            contact=clean_text(f"sip:{user}@{private}:5060") or "",
            received=f"sip:{public}:{1024 + bits % 60_000}",
            user_agent=said.user_agent,
            instance=said.instance,
        )
