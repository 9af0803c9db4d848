"""The catalogue of device types: facts with their source and certainty, corrected in a file.

The shipped table counts SIP accounts (not line keys): where sources disagree, the certainty says so. An
administrator adds types or corrects line counts in a CSV file with the same columns; no code changes.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path

from devlib.errors import ConfigurationError, NotFound
from devlib.language import message, visible

_COLUMNS = ("model", "vendor", "kind", "max_lines", "source", "confidence")
_NOISE = re.compile(
    r"\b(?:dms|cisco|polycom|poly|yealink|snom|grandstream|gigaset|fanvil"
    r"|ip phone|phone|multiplatform|mpp|3pcc)\b"
)
_MAKER = re.compile(r"\b(?:cisco|poly|yealink|snom|grandstream|gigaset|fanvil)")
_PREFIX = re.compile(r"^(?:cp|sip)(?=[a-z]?[0-9])")
_JOINERS = re.compile(r"[\s\-_/()]+")


class DeviceKind(StrEnum):
    """What a device is; it decides how its lines are read (a DECT base carries many handsets)."""

    DESK = "desk"
    CONFERENCE = "conference"
    ATA = "ata"
    DECT_BASE = "dect_base"


class Certainty(StrEnum):
    """How well a line count is known."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class DeviceType:
    """One model of device.

    Args:
        name: vendor and model, the text that files and screens show.
        vendor: maker.
        model: the maker's name of it.
        kind: desk phone, conference phone, ATA or DECT base.
        lines: SIP accounts that it can register.
        source: where the line count was found.
        certainty: how well it is known.
    """

    name: str
    vendor: str
    model: str
    kind: DeviceKind
    lines: int
    source: str
    certainty: Certainty


def normal_form(name: str) -> str:
    """Return what is left of a type's name when vendor, prefix, case and joiners are taken away.

    "Cisco 8851", "CP-8851", "DMS Cisco 8851" and "8851-3PCC" all give "8851".
    """
    text = _JOINERS.sub(" ", name.casefold()).strip()
    bare = _JOINERS.sub("", _NOISE.sub(" ", text))
    return _PREFIX.sub("", bare) or _JOINERS.sub("", text)


class Catalogue:
    """The device types that the suite knows, found by any name that people use for them.

    Args:
        types: later entries replace earlier ones that have the same normal form.
    """

    def __init__(self, types: Iterable[DeviceType]) -> None:
        self._types = {normal_form(kind.name): kind for kind in types}

    def find(self, name: str) -> DeviceType | None:
        """Return the type that `name` means, or `None`; a name that says another maker means none."""
        found = self._types.get(normal_form(name))
        if found is None or all(
            found.vendor.casefold().startswith(maker[:4]) for maker in _MAKER.findall(name.casefold())
        ):
            return found
        return None

    def get(self, name: str) -> DeviceType:
        """Return the type that `name` means.

        Raises:
            NotFound: the catalogue has no such type.
        """
        if (found := self.find(name)) is None:
            raise NotFound(
                message("The device type {name} is not in the catalogue.", name=visible(name)),
                remedy=message(
                    "See the known types with `devlib types`; an administrator can add one in "
                    "device-types.csv."
                ),
            )
        return found

    @cached_property
    def types(self) -> tuple[DeviceType, ...]:
        """All types, by name."""
        return tuple(sorted(self._types.values(), key=lambda kind: kind.name))

    @cached_property
    def lines(self) -> Mapping[str, int]:
        """Line count of each type, by the type's name."""
        return {kind.name: kind.lines for kind in self.types}


def load_catalogue(administrator_file: Path | None = None) -> Catalogue:
    """Return the shipped types, with those of the administrator's file over them.

    Args:
        administrator_file: a CSV file with the columns model, vendor, kind, max_lines and optionally
            source and confidence; a missing file is no error.

    Raises:
        ConfigurationError: a row of the file is wrong; says which.
    """
    shipped = resources.files("devlib.model").joinpath("device_types.csv").read_text(encoding="utf-8")
    types = _read(shipped.splitlines(), "device_types.csv")
    if administrator_file is not None and administrator_file.exists():
        text = _administrator_text(administrator_file)
        types += _read(text.splitlines(), str(administrator_file), default_source="administrator")
    return Catalogue(types)


def _administrator_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            message("The device types cannot be read: {error}", error=error),
            where=str(path),
            remedy=message("Make it a CSV file in UTF-8 that this account may read."),
        ) from None


def _read(lines: Iterable[str], where: str, default_source: str = "") -> list[DeviceType]:
    reader = csv.DictReader(lines)
    missing = [name for name in _COLUMNS[:4] if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigurationError(
            message("Columns are missing: {columns}.", columns=", ".join(missing)),
            where=where,
            remedy=message("The header must be: {header}", header=",".join(_COLUMNS)),
        )
    return [_one_type(row, f"{where}:{reader.line_num}", default_source) for row in reader]


def _one_type(row: Mapping[str, str | None], where: str, default_source: str) -> DeviceType:
    values = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    try:
        if not values["model"] or not values["vendor"]:
            raise ValueError("model, vendor")
        lines = int(values["max_lines"])
        if lines < 1:
            raise ValueError(values["max_lines"])
        return DeviceType(
            name=f"{values['vendor']} {values['model']}",
            vendor=values["vendor"],
            model=values["model"],
            kind=DeviceKind(values["kind"]),
            lines=lines,
            source=values["source"] or default_source,
            certainty=Certainty(values["confidence"] or Certainty.HIGH),
        )
    except ValueError as error:
        raise ConfigurationError(
            message("This device type cannot be read: {error}", error=visible(str(error))),
            where=where,
            remedy=message(
                "Give model, vendor, kind (desk, conference, ata or dect_base), max_lines (1 or more) and a "
                "confidence of high, medium or low."
            ),
        ) from None
