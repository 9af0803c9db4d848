"""Collects every text from the code, shows which have no French yet, and compiles the catalogue."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "devlib" / "locale" / "fr" / "LC_MESSAGES"
PO, MO = FOLDER / "devlib.po", FOLDER / "devlib.mo"
# The header would change at each run otherwise, and with it every commit.
_FIRST_DAY = datetime(2026, 11, 22, tzinfo=UTC)
_KEYWORDS = {"message": None, "translate": None}


def texts() -> dict[str, list[tuple[str, int]]]:
    """Return every text in the code with its places."""
    found: dict[str, list[tuple[str, int]]] = {}
    extracted = extract_from_dir(ROOT / "devlib", [("**.py", "python")], keywords=_KEYWORDS)
    for name, line, text, *_ in sorted(extracted, key=lambda each: (each[0], each[1])):
        for one in (text,) if isinstance(text, str) else text[:1]:
            found.setdefault(one, []).append((f"devlib/{name}", line))
    return found


def known() -> Catalog:
    """Return the French catalogue as it stands."""
    if not PO.exists():
        return Catalog(locale="fr", domain="devlib")
    with PO.open("rb") as file:
        return read_po(file, locale="fr", domain="devlib")


def updated() -> Catalog:
    """Return the catalogue of exactly the texts in the code, with the French that is known."""
    old = known()
    new = Catalog(
        locale="fr", domain="devlib", project="devlib", charset="utf-8",
        header_comment="# French texts of devlib.", fuzzy=False, creation_date=_FIRST_DAY,
        revision_date=_FIRST_DAY, last_translator="devlib", language_team="devlib", version="2026",
        msgid_bugs_address="none",
    )  # fmt: skip
    for text, places in sorted(texts().items(), key=lambda each: each[1][0]):
        before = old.get(text)
        french = before.string if before else ""
        new.add(text, french, locations=[(place, None) for place, _ in places[:1]])
    return new


def main() -> int:
    """Write catalogue and compiled catalogue; the exit code says whether French is missing."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    catalogue = updated()
    with PO.open("wb") as file:
        write_po(file, catalogue, width=0, omit_header=False, sort_by_file=False)
    with MO.open("wb") as file:
        write_mo(file, catalogue)
    missing = [str(each.id) for each in catalogue if each.id and not each.string]
    for text in missing:
        print("no French:", repr(text))  # noqa: T201 - a tool
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
