"""The import menu's files: the template, what may be imported, where to, and how (article, "Importer")."""

import csv
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

from devlib.language import LANGUAGES, Language
from devlib.model import (
    IMPORT_TEMPLATE,
    SITE_TYPES,
    SUPPORTED_DEVICES,
    Catalogue,
    DeviceType,
    Scope,
    Site,
    Table,
)
from devlib.storage import Inventory, write_whole
from devlib.validation import neutralise_text


def write_templates(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, folder: Path, *, language: Language = "en"
) -> list[Path]:
    """Write the template of the bulk file, with all that belongs to it.

    Args:
        inventory: knows the sites and the types approved there.
        catalogue: knows the types.
        scope: what the asker may see: only its sites and their types are listed.
        folder: where the files go; made where it is missing.
        language: of the headers; the instructions come in both languages.

    Returns:
        `devices_template.csv`, `supported_devices.csv`, `sites.csv`, `instructions.en.md` and
        `instructions.fr.md`, as paths.
    """
    with inventory.read() as reader:
        sites = reader.sites(scope)
    written = [
        _write_table(folder / "devices_template.csv", IMPORT_TEMPLATE, (), language),
        _write_table(folder / "supported_devices.csv", SUPPORTED_DEVICES, _types(sites, catalogue), language),
        _write_table(folder / "sites.csv", SITE_TYPES, _places(sites), language),
    ]
    for each in LANGUAGES:
        path = folder / f"instructions.{each}.md"
        write_whole(path, _text_writer(instructions(each)))
        written.append(path)
    return written


def instructions(language: Language) -> str:
    """Return how to fill in the template, every code with its remedy, and the traps of spreadsheets."""
    file = resources.files("devlib.fleet").joinpath(f"instructions.{language}.md")
    return file.read_text(encoding="utf-8")


def _types(sites: Iterable[Site], catalogue: Catalogue) -> Iterable[tuple[object, ...]]:
    approved = {name for site in sites for name in site.approved_types}
    return (_type_row(each) for each in catalogue.types if each.name in approved)


def _type_row(kind: DeviceType) -> tuple[object, ...]:
    return (kind.name, kind.vendor, kind.kind.value, kind.lines, kind.certainty.value)


def _places(sites: Iterable[Site]) -> Iterable[tuple[object, ...]]:
    return ((site.customer, site.name, name) for site in sites for name in site.approved_types)


def _write_table(path: Path, table: Table, rows: Iterable[tuple[object, ...]], language: Language) -> Path:
    hostile = [column.hostile for column in table]

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(column.header(language) for column in table)
            for row in rows:
                cells = zip(row, hostile, strict=True)
                writer.writerow(neutralise_text(str(cell)) if wild else cell for cell, wild in cells)

    write_whole(path, write)
    return path


def _text_writer(text: str) -> Callable[[Path], None]:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    return write
