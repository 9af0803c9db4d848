"""A whole collection of 20 000 line ports from a real Kamailio against the bare lookups."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.bench_network import run as run_network
from devlib.clock import SystemClock
from devlib.collect import Collector, Networks, Served
from devlib.config import KamailioSettings
from devlib.model import EVERYTHING, LineState, Mac, NewDevice, User, load_catalogue
from devlib.network import open_network
from devlib.storage import Inventory, Lake, NewLine, open_inventory

_LINES_PER_DEVICE = 4


class _Collection:
    """An inventory of the line ports, made at the first call; each call is one collection."""

    def __init__(self, home: Path) -> None:
        self._clock = SystemClock()
        self._catalogue = load_catalogue()
        self._inventory = open_inventory(f"sqlite:///{home / 'inventory.db'}", self._clock)
        self._lake = Lake(home / "lake", self._inventory, self._clock)
        self._seeded = False

    def __call__(self, settings: KamailioSettings, line_ports: Sequence[str]) -> None:
        if not self._seeded:
            seed_lines(self._inventory, line_ports)
            self._seeded = True
        served = Served("kamailio", frozenset(), lambda: open_network(settings, self._clock))
        collector = Collector(
            self._inventory,
            self._lake,
            Networks([served]),
            catalogue=self._catalogue,
            clock=self._clock,
            aged_retention=86_400,
        )
        states = collector.collect(EVERYTHING).states
        if states[LineState.REGISTERED] != len(line_ports):
            raise RuntimeError(f"not all lines are registered: {states}")

    def close(self) -> None:
        """Close database and lake."""
        self._lake.close()
        self._inventory.close()


def seed_lines(inventory: Inventory, line_ports: Sequence[str]) -> None:
    """Put these line ports into an empty inventory, four to a device, all of one site."""
    catalogue = load_catalogue()
    kind = catalogue.get("Yealink T46S").name
    macs = [Mac(0x805EC0 << 24 | n) for n in range(-(-len(line_ports) // _LINES_PER_DEVICE))]
    assigned = [
        (macs[n // _LINES_PER_DEVICE], NewLine(port, User(f"user{n}"), port=n % _LINES_PER_DEVICE + 1))
        for n, port in enumerate(line_ports)
    ]
    with inventory.write() as writer:
        writer.add_provider("P")
        writer.add_customer("P", "C")
        writer.add_site(EVERYTHING, "C", "S", [kind])
        writer.add_devices(EVERYTHING, "C", [NewDevice(mac, kind, "S") for mac in macs])
        writer.assign_lines(EVERYTHING, catalogue, assigned)


def run(lines: int = 20_000) -> dict[str, object]:
    """Return seconds of the collection and of the lookups, medians of five rounds, and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        collection = _Collection(Path(folder))
        try:
            found = run_network(lines, collection)
        finally:
            collection.close()
    return {
        "what": f"collection of {lines} line ports from Kamailio",
        "devlib_s": round(found["collection"], 2),
        "bare_lookups_s": round(found["bare"], 2),
        "raw_lookups_s": round(found["raw"], 2),
        "ratio_to_bare": round(found["ratio"], 2),
        "ratio_to_raw": round(found["ratio_to_raw"], 2),
        "goal": "ratio_to_bare <= 1.5",
    }
