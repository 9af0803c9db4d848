"""The demonstration's fleet: three customers, forty sites, from one seed."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from devlib.model import Catalogue, DeviceKind, DeviceType, LineType, Mac, NewDevice, User
from devlib.storage import NewLine

PROVIDER = "Demo Telecom"
_CUSTOMERS = {
    "Boulangeries Martin": (
        "Lyon Part-Dieu", "Lyon Bellecour", "Villeurbanne", "Grenoble", "Annecy", "Chambéry", "Valence",
        "Saint-Étienne", "Mâcon", "Dijon", "Besançon", "Clermont-Ferrand", "Marseille", "Aix-en-Provence",
        "Nîmes", "Montpellier",
    ),
    "Nordlicht Kliniken": (
        "Hamburg Altona", "Hamburg Barmbek", "Kiel", "Lübeck", "Flensburg", "Rostock", "Schwerin", "Bremen",
        "Oldenburg", "Wilhelmshaven", "Cuxhaven", "Stade", "Lüneburg", "Celle",
    ),
    "Harbour Hotels": (
        "Dover", "Brighton", "Plymouth", "Falmouth", "Bristol", "Swansea", "Liverpool", "Whitby", "Aberdeen",
        "Cork",
    ),
}  # fmt: skip
_TYPES = (
    ("Yealink T46S", 22), ("Yealink T54W", 14), ("Cisco 8851", 14), ("Cisco 7841", 8), ("Poly VVX450", 10),
    ("Poly Edge E350", 8), ("Snom D785", 8), ("Grandstream GXP2170", 5), ("Fanvil X4U", 5),
    ("Cisco ATA192", 3), ("Yealink CP925", 1), ("Yealink W70B", 2), ("Snom M700", 1), ("Cisco DBS210", 1),
)  # fmt: skip
_OUI = {
    "Yealink": "805EC0", "Cisco": "00562B", "Poly": "482567", "Snom": "000413", "Grandstream": "000B82",
    "Fanvil": "0C383E",
}  # fmt: skip
_FIRST = (
    "Alice", "Amir", "Anna", "Ben", "Chloé", "Clara", "David", "Emil", "Farah", "Grace", "Hugo", "Ida",
    "Jonas", "Karim", "Lea", "Louis", "Maja", "Nora", "Oskar", "Paul", "Rosa", "Samir", "Tom", "Zoé",
)  # fmt: skip
_LAST = (
    "Adler", "Bernard", "Carter", "Dubois", "Evans", "Fischer", "Garnier", "Hansen", "Irving", "Jansen",
    "Keller", "Lambert", "Moreau", "Nielsen", "O’Brien", "Petit", "Quinn", "Roux", "Schmidt", "Turner",
)  # fmt: skip
_PREFIX = {"Boulangeries Martin": "+334", "Nordlicht Kliniken": "+4940", "Harbour Hotels": "+4420"}


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site of the demonstration, with its devices and their lines."""

    customer: str
    name: str
    types: tuple[str, ...]
    devices: tuple[tuple[NewDevice, tuple[NewLine, ...]], ...]


def demo_fleet(catalogue: Catalogue, lines: int, seed: int = 1) -> Iterator[DemoSite]:
    """Yield the sites of the fleet; the same for the same arguments.

    Args:
        catalogue: line counts of the types.
        lines: about how many assigned lines in all.
        seed: of the choices.
    """
    places = [(customer, site) for customer, sites in _CUSTOMERS.items() for site in sites]
    builder = _Builder(catalogue, random.Random(seed))  # noqa: S311 - a demonstration needs no secrets
    weights = [builder.random.uniform(0.4, 1.6) for _ in places]
    for (customer, name), weight in zip(places, weights, strict=True):
        yield builder.site(customer, name, round(lines * weight / sum(weights)))


class _Builder:
    def __init__(self, catalogue: Catalogue, chooser: random.Random) -> None:
        self.random = chooser
        self._catalogue = catalogue
        self._devices = 0
        self._lines = 0

    def site(self, customer: str, name: str, lines: int) -> DemoSite:
        types = tuple(sorted({kind for kind, _ in _TYPES}))
        domain = f"{_slug(name)}.{_slug(customer)}.example"
        devices: list[tuple[NewDevice, tuple[NewLine, ...]]] = []
        left = max(lines, 1)
        while left > 0:
            kind = self._type()
            held = tuple(self._line(customer, domain, port) for port in range(1, self._used(kind, left) + 1))
            devices.append((self._device(kind, name), held))
            left -= len(held)
        return DemoSite(customer, name, types, tuple(devices))

    def _type(self) -> DeviceType:
        names, weights = zip(*_TYPES, strict=True)
        return self._catalogue.get(self.random.choices(names, weights)[0])

    def _used(self, kind: DeviceType, left: int) -> int:
        if kind.kind is DeviceKind.DECT_BASE:
            wanted = self.random.randint(6, min(kind.lines, 20))
        else:
            # One phone in twelve is in stock: in the inventory, with no user yet.
            wanted = self.random.choices((0, 1, 2, 3), (1, 8, 2, 1))[0]
        return min(wanted, kind.lines, left)

    def _device(self, kind: DeviceType, site: str) -> NewDevice:
        self._devices += 1
        dect = kind.kind is DeviceKind.DECT_BASE
        return NewDevice(
            mac=Mac(int(_OUI[kind.vendor], 16) << 24 | self._devices),
            device_type=kind.name,
            site=site,
            name=f"{kind.model} {self._devices:04d}",
            base_station_id=str(self.random.randint(1, 250)) if dect else "",
            chain_id=str(1_356_800_000 + self._devices) if dect else "",
        )

    def _line(self, customer: str, domain: str, port: int) -> NewLine:
        self._lines += 1
        number = 2000 + self._lines
        first, last = self.random.choice(_FIRST), self.random.choice(_LAST)
        user = User(
            user_id=f"{_slug(first)}.{_slug(last)}.{self._lines}",
            first_name=first,
            last_name=last,
            phone_number=f"{_PREFIX[customer]}{5_500_000 + self._lines}",
            extension=str(number),
        )
        kind = LineType.SHARED if self.random.random() < 0.04 else LineType.PRIMARY  # noqa: PLR2004 - a share
        return NewLine(f"{number}@{domain}", user, kind, port)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "".join(each if each.isalnum() else "-" for each in plain).strip("-")
