"""Bulk files for the tests, and the small fleet against which they are checked."""

import io
import random
from collections.abc import Iterator

from devlib.model import Catalogue, Mac, load_catalogue
from devlib.validation import CheckedRow, FixedFleet, Located, SiteRules, check_rows, open_table

HEADER = "Site,Device Type,MAC Address,Device Name,Description"
APPROVED = ("Yealink T46U", "Yealink T54W", "Snom D785", "Poly VVX450")
FIRST_MAC = 0x02_00_00_00_00_00

HERE, MOVED, FOREIGN = 0x02_AA_00_00_00_01, 0x02_AA_00_00_00_02, 0x02_AA_00_00_00_03


def catalogue() -> Catalogue:
    """The shipped catalogue."""
    return load_catalogue()


def fleet() -> FixedFleet:
    """Two sites, and three devices: in Montréal, in Québec, and where the asker may not look."""
    return FixedFleet(
        (SiteRules("Montréal", APPROVED), SiteRules("Québec", APPROVED[:1])),
        {
            HERE: Located("Montréal", "Yealink T46U", visible=True),
            MOVED: Located("Québec", "Yealink T46U", visible=True),
            FOREIGN: Located("Montréal", "Yealink T46U", visible=False),
        },
    )


def mac(number: int) -> str:
    """An address that belongs to no vendor."""
    return str(Mac(FIRST_MAC + number))


def stream(text: str, encoding: str = "utf-8") -> io.BytesIO:
    """A file in memory."""
    return io.BytesIO(text.encode(encoding))


def checked(text: str | bytes, **options: int) -> list[CheckedRow]:
    """All rows of a file, checked against `fleet`."""
    source = stream(text) if isinstance(text, str) else io.BytesIO(text)
    with open_table(source) as table:
        return list(check_rows(table, fleet(), catalogue(), **options))


def codes(row: CheckedRow) -> list[str]:
    """The codes of a row's problems."""
    return [str(problem.code) for problem in row.problems]


def planted(rows: int, seed: int) -> Iterator[tuple[list[str], str]]:
    """Rows of which one in ten has one fault, each with the code that it must give (empty: none)."""
    chance = random.Random(seed)
    for number in range(rows):
        cells = ["Montréal", APPROVED[number % 4], mac(number), f"Poste {number}", ""]
        yield spoilt(cells, chance.choice(FAULTS)) if chance.random() < 0.1 else (cells, "")


def spoilt(cells: list[str], fault: tuple[int, str, str]) -> tuple[list[str], str]:
    """The cells with one fault, and its code."""
    place, text, code = fault
    if place < 0:
        return [*cells, "more"], code
    return [*cells[:place], text, *cells[place + 1 :]], code


FAULTS = (
    (-1, "", "FIELD_COUNT"),
    (0, "", "SITE_MISSING"),
    (0, "Laval", "SITE_UNKNOWN"),
    (1, "", "TYPE_MISSING"),
    (1, "Acme 3000", "TYPE_UNKNOWN"),
    (1, "Cisco 8851", "TYPE_NOT_APPROVED_FOR_SITE"),
    (2, "", "MAC_MISSING"),
    (2, "00:15:65:AA:BB", "MAC_INVALID"),
    (2, "00:00:00:00:00:00", "MAC_INVALID"),
    (2, "4.13742E+11", "MAC_MANGLED"),
    (2, "413741767", "MAC_MANGLED"),
    (2, "01:00:5E:00:00:01", "MAC_MULTICAST"),
    (3, "n" * 81, "TEXT_TOO_LONG"),
    (3, "a\x07b", "TEXT_INVALID"),
    (4, "d" * 256, "TEXT_TOO_LONG"),
    (4, "\u202egpj.exe", "TEXT_INVALID"),
)
