"""Which column of a file means what, however its header is written.

The display names of the device list in both languages, the column names, and what people and other products
call the same things (domain study §6) are all accepted; case, accents, spaces, underscores and apostrophes do
not matter.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from devlib.errors import FileUnreadable, MacInvalid
from devlib.language import Message, message, visible
from devlib.model import DEVICE_LIST, IMPORT_TEMPLATE, Mac

REQUIRED = ("site", "device_type", "mac")
_MOST_NAMED = 20

# fmt: off
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "mac": ("mac", "mac addr", "mac id", "adresse mac de l’appareil", "device mac", "device address",
            "ethernet address", "adresse ethernet", "adresse physique"),
    "device_type": ("type", "model", "modèle", "device", "appareil", "device model", "phone type",
                    "phone model", "modèle d’appareil", "type de l’appareil", "type d’appareils",
                    "type de téléphone", "modèle de téléphone", "type de périphérique", "périphérique"),
    "site": ("location", "emplacement", "site name", "nom du site", "lieu", "location name"),
    "name": ("name", "nom", "nom d’appareil", "nom du périphérique", "label", "libellé", "étiquette",
             "device label"),
    "description": ("notes", "note", "comment", "commentaire", "remarque", "remarques", "device description"),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Header:
    """What the first row of a file says.

    Args:
        positions: place of each known column, from 0, by column name.
        width: number of cells that every row must have.
        ignored: headers of the columns that are not read.
    """

    positions: Mapping[str, int]
    width: int
    ignored: tuple[str, ...]


def header_key(text: str) -> str:
    """Return a header without case, accents and anything that is no letter or digit."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in plain if each.isalnum())


@lru_cache(maxsize=1)
def known_headers() -> Mapping[str, str]:
    """Return the column name for every header that is understood, by `header_key`."""
    known = {}
    for column in IMPORT_TEMPLATE:
        for text in (column.name, column.english, column.french, *_ALIASES[column.name]):
            known[header_key(text)] = column.name
    # What the device list shows besides is known, and is not read: an export can be imported again.
    for column in DEVICE_LIST:
        for text in (column.name, column.english, column.french):
            known.setdefault(header_key(text), "")
    return known


def recognised(cells: Sequence[str]) -> int:
    """Return how many of the cells are headers that are understood."""
    known = known_headers()
    return sum(header_key(cell) in known for cell in cells)


def find_header(head: str, delimiters: Iterable[str]) -> tuple[list[str], str]:
    """Return the first row that is not empty, and the delimiter that gives the most known headers.

    Args:
        head: the beginning of the file.
        delimiters: those that may be meant.

    Raises:
        FileUnreadable: there is no such row, or it has a quotation mark that is not closed.
    """
    found = [(_first_record(head, each), each) for each in delimiters]
    candidates = [(cells, each) for cells, each in found if cells is not None]
    best = max(candidates, key=lambda each: (recognised(each[0]), len(each[0])), default=([], ""))
    if len(candidates) < len(found) and not recognised(best[0]):
        raise not_closed(1, "1")
    if not best[0]:
        raise FileUnreadable(
            message("The file is empty."),
            remedy=message("Download the template and fill in one row for each device."),
        )
    return best


def _first_record(head: str, delimiter: str) -> list[str] | None:
    try:
        records = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, strict=True)
        return next((cells for cells in records if not is_blank(cells)), [])
    except csv.Error:
        return None


def match_header(cells: Sequence[str]) -> Header:
    """Return the meaning of the first row.

    Args:
        cells: its cells, as written.

    Raises:
        FileUnreadable: it is no header, a needed column is missing, or two columns mean the same.
    """
    known = known_headers()
    positions: dict[str, int] = {}
    ignored = []
    for place, cell in enumerate(cells):
        name = known.get(header_key(cell), "")
        if not name:
            if cell.strip():
                ignored.append(cell)
        elif name in positions:
            raise _twice(cells[positions[name]], cell, name)
        else:
            positions[name] = place
    if missing := [name for name in REQUIRED if name not in positions]:
        raise _incomplete(cells, missing)
    return Header(positions, len(cells), tuple(ignored))


def column_title(name: str) -> Message:
    """Return the display name of a column of the bulk file, in both languages."""
    return message(IMPORT_TEMPLATE.column(name).english)


def ignored_notice(ignored: Sequence[str]) -> Message:
    """Return the notice that names the columns that are not read."""
    named = ", ".join(visible(text.strip(), 40) for text in ignored[:_MOST_NAMED])
    if len(ignored) > _MOST_NAMED:
        named += ", …"
    return message("These columns are not read: {columns}.", columns=named)


def not_closed(row: int, line: str) -> FileUnreadable:
    """Return the error for a quotation mark in row `row`, which begins on line `line`, that is not closed."""
    return FileUnreadable(
        message("In row {row} a quotation mark is not closed.", row=row),
        where=line,
        remedy=message("Close it, or write two quotation marks where one is meant as text."),
    )


def is_blank(cells: Sequence[str]) -> bool:
    """Return whether a row has no cell with text."""
    return not any(cell.strip() for cell in cells)


def _twice(first: str, second: str, name: str) -> FileUnreadable:
    return FileUnreadable(
        message(
            "Two columns mean the same, {column}: “{first}” and “{second}”.",
            column=column_title(name),
            first=visible(first.strip()),
            second=visible(second.strip()),
        ),
        remedy=message("Take one of the two columns away."),
    )


def _incomplete(cells: Sequence[str], missing: Sequence[str]) -> FileUnreadable:
    remedy = message(
        "The first row must name the columns {site}, {device_type} and {mac}, separated by comma, semicolon "
        "or tab. Download the template to see them.",
        **{name: column_title(name) for name in REQUIRED},
    )
    if _looks_like_data(cells):
        return FileUnreadable(
            message("The file has no header: its first row is already a device."), remedy=remedy
        )
    if not recognised(cells):
        return FileUnreadable(
            message(
                "The first row is no header that is known: “{row}”.",
                row=visible(" | ".join(cell[:80] for cell in cells[:_MOST_NAMED])),
            ),
            remedy=remedy,
        )
    named = column_title(missing[0])
    for name in missing[1:]:
        named = message("{first}, {second}", first=named, second=column_title(name))
    return FileUnreadable(message("Columns are missing: {columns}.", columns=named), remedy=remedy)


def _looks_like_data(cells: Sequence[str]) -> bool:
    for cell in cells:
        try:
            Mac.parse(cell)
        except MacInvalid as error:
            if error.code == "MAC_MANGLED":
                return True
        else:
            return True
    return False
