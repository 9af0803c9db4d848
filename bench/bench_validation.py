"""How fast a bulk file is checked, against a plain loop of one pydantic model a row with the same rules.

`python bench/bench_validation.py [rows]` prints one JSON object. `pydantic` asks the catalogue for each row;
`pydantic_cached` remembers the catalogue's answers, which is the strongest form of such a loop. Each side
runs in its own process, so that the peak memory is its own, and all must refuse the same rows for the same
reasons.
"""

import functools
import hashlib
import importlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

SITES = 200
FAULTY = 0.1
SEED = 7
_FIGURES = ("seconds", "cpu_seconds", "peak_mib")


def run(rows: int = 1_000_000) -> dict[str, object]:
    """Return seconds and peak memory (MiB) of all sides, over the same file of `rows` rows.

    Raises:
        AssertionError: two sides do not refuse the same rows for the same reasons.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.csv"
        write_file(path, rows)
        measured = {side: _measure(side, path) for side in _SIDES}
    ours = measured["ours"]
    found: dict[str, object] = {"rows": rows, "refused": ours["refused"]}
    for side, figures in measured.items():
        if (figures["digest"], figures["refused"]) != (ours["digest"], ours["refused"]):
            raise AssertionError(f"the sides differ: {ours} and {side} {figures}")
        # Processor time, since other work of the machine must not decide.
        ratio = float(str(figures["cpu_seconds"])) / float(str(ours["cpu_seconds"]))
        found[side] = {name: figures[name] for name in _FIGURES} | {"times_ours": round(ratio, 2)}
    return found


def write_file(path: Path, rows: int) -> None:
    """Write a bulk file of which about one row in ten has one fault of each kind in turn."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    types = [each.name for each in _catalogue().types]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("Site,Device Type,MAC Address,Device Name,Description\r\n")
        for number in range(rows):
            site = f"Site {number % SITES:03}"
            cells = [
                site,
                types[number * 7 % 60],
                _mac(0x02_00_00_00_00_00 + number * 977),
                f"Desk {number}",
                "",
            ]
            if chance.random() < FAULTY:
                _spoil(cells, chance.randrange(6), chance)
            file.write(",".join(cells) + "\r\n")


def _spoil(cells: list[str], fault: int, chance: random.Random) -> None:
    spoilt = (
        (2, cells[2][:-1]),
        (2, ""),
        (1, f"Acme {chance.randrange(300)}"),
        (0, f"Nowhere {chance.randrange(300)}"),
        (1, "Yealink W90B"),  # Approved nowhere.
        (2, _mac(0x02_00_00_00_00_00 + 977)),  # The address of the second row.
    )
    place, text = spoilt[fault]
    cells[place] = text


def _mac(number: int) -> str:
    digits = f"{number:012X}"
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def _catalogue():  # noqa: ANN202
    from devlib.model import load_catalogue  # noqa: PLC0415 - each process imports only what it measures

    return load_catalogue()


def _approved() -> dict[str, frozenset[str]]:
    names = frozenset(each.name for each in _catalogue().types[:60])
    return {f"Site {number:03}": names for number in range(SITES)}


def check_ours(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the refused rows with their codes, as `devlib.validation` finds them."""
    from devlib.validation import (  # noqa: PLC0415
        FixedFleet,
        Severity,
        SiteRules,
        check_rows,
        open_table,
    )

    fleet = FixedFleet(SiteRules(name, types) for name, types in _approved().items())
    with open_table(path) as table:
        for row in check_rows(table, fleet, _catalogue()):
            if row.refused:
                yield row.row, sorted(each.code for each in row.problems if each.severity is Severity.ERROR)


def check_pydantic(path: Path, *, cached: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the refused rows with their codes, as a loop with one pydantic model a row finds them."""
    import csv  # noqa: PLC0415

    from pydantic import ValidationError  # noqa: PLC0415

    model, context = _row_model(), _Context(cached=cached)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row, cells in enumerate(csv.DictReader(file), 2):
            try:
                if None in cells or None in cells.values():
                    yield row, ["FIELD_COUNT"]
                    continue
                model.model_validate(cells, context=context)
            except ValidationError as error:
                yield row, sorted(each["type"] for each in error.errors(include_url=False))


class _Context:
    """What the validators look things up in."""

    def __init__(self, *, cached: bool) -> None:
        from devlib.validation.rules import vendor_of_oui  # noqa: PLC0415

        catalogue = _catalogue()
        self.find = functools.cache(catalogue.find) if cached else catalogue.find
        self.sites = {name.casefold(): types for name, types in _approved().items()}
        self.seen: set[int] = set()
        self.devices: dict[int, str] = {}
        self.makers = vendor_of_oui()
        self.warnings = 0


def _row_model():  # noqa: ANN202, C901 - one model, written as anyone would
    import re  # noqa: PLC0415
    import unicodedata  # noqa: PLC0415

    from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator  # noqa: PLC0415
    from pydantic_core import PydanticCustomError  # noqa: PLC0415

    pattern = re.compile(
        r"[0-9A-Fa-f]{12}|[0-9A-Fa-f]{2}([:.-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
        r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
    )
    formula = re.compile(r"^'(?='*[=+\-@\t\r])")
    separators = str.maketrans("", "", ":-.")

    class Row(BaseModel):
        site: str = Field(alias="Site")
        device_type: str = Field(alias="Device Type")
        mac: int = Field(alias="MAC Address")
        name: str = Field("", alias="Device Name", max_length=80)
        description: str = Field("", alias="Description", max_length=255)

        @field_validator("site")
        @classmethod
        def _site(cls, text: str, info: ValidationInfo) -> str:
            if text.strip().casefold() not in info.context.sites:
                raise PydanticCustomError("SITE_UNKNOWN", "There is no such site")
            return text

        @field_validator("device_type")
        @classmethod
        def _type(cls, text: str, info: ValidationInfo) -> str:
            if (kind := info.context.find(text.strip())) is None:
                raise PydanticCustomError("TYPE_UNKNOWN", "There is no such type")
            return kind.name

        @field_validator("mac", mode="before")
        @classmethod
        def _mac(cls, text: str, info: ValidationInfo) -> int:
            text = text.strip()
            if not text:
                raise PydanticCustomError("MAC_MISSING", "The address is missing")
            if not pattern.fullmatch(text):
                raise PydanticCustomError("MAC_INVALID", "That is no address")
            number = int(text.translate(separators), 16)
            if number == 0 or number & (1 << 40):
                raise PydanticCustomError("MAC_INVALID", "That is no address of a device")
            if number in info.context.seen:
                raise PydanticCustomError("DUPLICATE_IN_FILE", "The address stands in the file already")
            info.context.seen.add(number)
            if number in info.context.devices:
                raise PydanticCustomError("ALREADY_EXISTS", "The device exists already")
            return number

        @field_validator("name", "description")
        @classmethod
        def _text(cls, text: str) -> str:
            text = unicodedata.normalize("NFC", formula.sub("", text).strip())
            if not text.isprintable():
                raise PydanticCustomError("TEXT_INVALID", "The text holds control characters")
            return text

        @model_validator(mode="after")
        def _approved(self, info: ValidationInfo) -> "Row":
            if self.device_type not in info.context.sites[self.site.strip().casefold()]:
                raise PydanticCustomError("TYPE_NOT_APPROVED_FOR_SITE", "The type is not approved there")
            vendor = info.context.find(self.device_type).vendor
            if info.context.makers.get(self.mac >> 24, vendor) != vendor:
                info.context.warnings += 1
            return self

    return Row


_SIDES: dict[str, Callable[[Path], Iterable[tuple[int, list[str]]]]] = {
    "ours": check_ours,
    "pydantic": check_pydantic,
    "pydantic_cached": functools.partial(check_pydantic, cached=True),
}


def _measure(side: str, path: Path) -> dict[str, object]:
    command = [sys.executable, __file__, side, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _one_side(side: str, path: Path) -> dict[str, object]:
    # Imported before the clock starts: the rows are measured, not the libraries.
    importlib.import_module("devlib.validation" if side == "ours" else "pydantic")
    digest, refused = hashlib.sha256(), 0
    start, cpu = time.perf_counter(), time.process_time()
    for row, codes in _SIDES[side](path):
        refused += 1
        digest.update(f"{row} {' '.join(codes)}\n".encode())
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mib": round(peak),
        "refused": refused,
        "digest": digest.hexdigest(),
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case [side, path]:
            print(json.dumps(_one_side(side, Path(path))))
        case [rows]:
            print(json.dumps(run(int(rows)), indent=2))
        case _:
            print(json.dumps(run(), indent=2))
