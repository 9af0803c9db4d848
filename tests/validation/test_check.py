"""The rules for whole files and single devices."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from validation.files import (
    APPROVED,
    FOREIGN,
    HEADER,
    HERE,
    MOVED,
    catalogue,
    checked,
    codes,
    fleet,
    mac,
    planted,
    stream,
)

from devlib.errors import FileUnreadable
from devlib.model import Mac, NewDevice, mac_number
from devlib.validation import (
    CheckedRow,
    Code,
    FixedFleet,
    Located,
    Severity,
    SiteRules,
    WrittenDevice,
    check_device,
    check_one,
    check_rows,
    neutralise_text,
    open_table,
    restore_text,
    site_key,
)
from devlib.validation import rules as rules_module
from devlib.validation.macs import mac_numbers
from devlib.validation.rules import DeviceRules


def one(*cells) -> CheckedRow:
    """The one row of a file with these cells."""
    return checked(f"{HEADER}\n" + ",".join(f'"{cell}"' for cell in cells))[0]


def test_a_faultless_row_gives_its_device():
    """A row without faults gives the device in the words of inventory and catalogue."""
    row = one(" montréal ", "T46U", "0200.0000.0001", "Accueil", "Étage 2")
    assert row.device == NewDevice(Mac(0x020000000001), "Yealink T46U", "Montréal", "Accueil", "Étage 2")
    assert (row.mac, row.device_type, row.site) == ("0200.0000.0001", "T46U", " montréal ")
    assert not row.refused
    assert row.problems == ()


def test_all_problems_of_a_row_are_found():
    """Site, type, address, name and description are all told at once, in this order."""
    row = one("", "Yealnk T46U", "x", "n" * 81, "\u202e")
    assert codes(row) == ["SITE_MISSING", "TYPE_UNKNOWN", "MAC_INVALID", "TEXT_TOO_LONG", "TEXT_INVALID"]
    assert [each.field for each in row.problems] == ["site", "device_type", "mac", "name", "description"]
    assert {each.row for each in row.problems} == {2}
    assert row.device is None
    assert row.refused
    assert "Yealink T46U" in str(row.problems[1].message)


def test_a_mangled_address_says_what_happened():
    """An address that a spreadsheet turned into a number says so and what to do."""
    (fault,) = one("Montréal", APPROVED[0], "4.13742E+11", "", "").problems
    assert fault.code is Code.MAC_MANGLED
    assert "copy the twelve digits" in str(fault.message)


def test_duplicates_name_the_first_row():
    """Every further row with an address names the first one that has it, however it is written."""
    rows = checked(
        f"{HEADER}\n\nMontréal,{APPROVED[0]},{mac(1)},,\nnowhere,{APPROVED[0]},{mac(2)},,\n"
        f"Québec,{APPROVED[0]},{mac(1).replace(':', '').lower()},,\nMontréal,{APPROVED[0]},{mac(2)},,\n"
        f"Montréal,{APPROVED[0]},{mac(1)},,\n"
    )
    firsts = [each.message.values.get("row") for row in rows for each in row.problems]
    assert [codes(row) for row in rows] == [[], ["SITE_UNKNOWN"], *[["DUPLICATE_IN_FILE"]] * 3]
    assert firsts == [None, 3, 4, 3]


def test_what_exists_already():
    """The same device is no error; another type or site is; a hidden site is never named."""
    rows = checked(
        f"{HEADER}\nMontréal,{APPROVED[0]},{Mac(HERE)},,\nMontréal,{APPROVED[1]},{Mac(HERE)},,\n"
        f"Montréal,{APPROVED[0]},{Mac(MOVED)},,\nMontréal,{APPROVED[0]},{Mac(FOREIGN)},,\n"
        f"Laval,{APPROVED[0]},{Mac(HERE)},,\n"
    )
    assert rows[0].present
    assert rows[0].device is None
    assert not rows[0].refused
    assert codes(rows[0]) == ["ALREADY_PRESENT"]
    assert rows[0].problems[0].severity is Severity.NOTICE
    assert codes(rows[1]) == ["DUPLICATE_IN_FILE", "ALREADY_EXISTS"]
    assert codes(rows[2]) == ["ALREADY_EXISTS_OTHER_SITE"]
    assert "Québec" in str(rows[2].problems[0].message)
    assert codes(rows[3]) == ["ALREADY_EXISTS_OTHER_SITE"]
    assert "Montréal" not in str(rows[3].problems[0].message)
    assert codes(rows[4]) == ["SITE_UNKNOWN", "DUPLICATE_IN_FILE", "ALREADY_EXISTS_OTHER_SITE"]
    assert not rows[4].present


def test_sites_of_two_customers_are_two_sites():
    """A site of the same name at another customer is another site."""
    known = FixedFleet(
        [SiteRules("Paris", APPROVED, "A")], {5: Located("Paris", APPROVED[0], visible=True, customer="B")}
    )
    written = WrittenDevice("00:00:00:00:00:05", APPROVED[0], "paris")
    assert [each.code for each in check_device(written, known, catalogue())] == [
        Code.ALREADY_EXISTS_OTHER_SITE
    ]


def test_types_must_be_approved_and_the_approved_ones_are_named():
    """A type that the site has not approved is refused, with the approved ones; names are aliases."""
    known = FixedFleet([SiteRules("A", ("SIP-T46U", "own type")), SiteRules("B", ())])
    assert check_device(WrittenDevice(mac(1), "yealink t46u", "A"), known, catalogue()) == ()
    (fault,) = check_device(WrittenDevice(mac(1), "Cisco 8851", "A"), known, catalogue())
    assert (
        str(fault.message)
        == "Cisco 8851 is not approved for the site A. Approved are: Yealink T46U, own type."
    )
    (fault,) = check_device(WrittenDevice(mac(1), "Cisco 8851", "B"), known, catalogue())
    assert "Approved" not in str(fault.message)
    many = FixedFleet([SiteRules("A", [each.name for each in catalogue().types[:50]])])
    (fault,) = check_device(WrittenDevice(mac(1), "Yealink T58W", "A"), many, catalogue())
    assert str(fault.message).endswith(", ….")


def test_another_vendors_address_is_a_warning():
    """An address of another vendor's range warns and lets the row in; unknown ranges say nothing."""
    row = one("Montréal", "Snom D785", "00:15:65:00:00:01", "", "")
    assert codes(row) == ["OUI_MISMATCH"]
    assert row.problems[0].severity is Severity.WARNING
    assert row.device is not None
    assert "Yealink" in str(row.problems[0].message)
    assert codes(one("Montréal", "Yealink T46U", "00:15:65:00:00:01", "", "")) == []
    assert codes(one("Montréal", "nothing", "00:15:65:00:00:01", "", "")) == ["TYPE_UNKNOWN"]
    assert codes(one("", "Snom D785", "00:15:65:00:00:01", "", "")) == ["SITE_MISSING", "OUI_MISMATCH"]


def test_texts_are_kept_clean():
    """Texts lose an export's apostrophe and outer blanks and become NFC; a description may have lines."""
    row = one("Montréal", APPROVED[0], mac(1), " '=Accueil ", "ligne 1\nligne 2\te\u0301\u00a0!")
    assert row.device is not None
    assert row.device.name == "'=Accueil"
    row = one("Montréal", APPROVED[0], mac(1), "'=Accueil ", "ligne 1\nligne 2\te\u0301\u00a0!")
    assert row.device is not None
    assert (row.device.name, row.device.description) == ("=Accueil", "ligne 1\nligne 2\té\u00a0!")
    assert codes(one("Montréal", APPROVED[0], mac(1), "a\nb", "")) == ["TEXT_INVALID"]
    assert codes(one("Montréal", APPROVED[0], mac(1), "n" * 80, "d" * 255)) == []


def test_an_exported_list_is_imported_again():
    """An export with all columns, in French and neutralised, is what it was."""
    header = "Adresse MAC;Type d’appareil;Lignes disponibles;Site;Nom de l’appareil;Client"
    known = FixedFleet([SiteRules("=Montréal", APPROVED)])
    with open_table(
        stream(f"{header}\n{mac(1)};Yealink T46U;16;'=Montréal;'+1 Accueil;ACME\n", "utf-8-sig")
    ) as table:
        (row,) = check_rows(table, known, catalogue())
    assert row.device == NewDevice(Mac.parse(mac(1)), "Yealink T46U", "=Montréal", "+1 Accueil")


def test_one_device_is_taken_as_typed():
    """The Add form's texts never were in an export, so nothing is undone; faults have row 0."""
    known = FixedFleet([SiteRules("'=A", APPROVED)])
    row = check_one(WrittenDevice(mac(1), APPROVED[0], "'=A", "'=name"), known, catalogue())
    assert row.device is not None
    assert (row.site, row.device.name) == ("'=A", "'=name")
    faults = check_device(WrittenDevice("", "", ""), known, catalogue())
    assert [each.code for each in faults] == [Code.SITE_MISSING, Code.TYPE_MISSING, Code.MAC_MISSING]
    assert {each.row for each in faults} == {0}


def test_hostile_text_is_shown_bounded_and_visible():
    """A message never holds control characters or more than 80 characters of a cell."""
    nasty = "\x1b[31m\u202e\u2028" + "x" * 5000
    row = one(nasty, nasty, nasty, nasty, nasty)
    for fault in row.problems:
        text = str(fault.message)
        assert len(text) < 400
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "x" * 81 not in text


def test_a_file_of_different_names_stays_bounded(monkeypatch):
    """Caches are emptied, and the catalogue is searched for a few hundred wrong names only."""
    monkeypatch.setattr(rules_module, "_MOST_PAIRS", 10)
    monkeypatch.setattr(rules_module, "_MOST_SUGGESTIONS", 3)
    rules = DeviceRules(fleet(), catalogue())
    verdicts = [rules.pairs["Montréal", f"Yealink T4{number}UX"] for number in range(30)]
    assert len(rules.pairs) <= 10
    suggested = ["nearest" in str(verdict.problems[0].message) for verdict in verdicts]
    assert suggested == [True] * 3 + [False] * 27


def test_planted_faults_are_found_and_no_others():
    """In 100,000 rows with a fault in every tenth, each fault gives its code in its row, and nothing else."""
    lines, expected = [HEADER], {}
    for row, (cells, code) in enumerate(planted(100_000, seed=2026), 2):
        lines.append(",".join(cells))
        if code:
            expected[row] = [code]
    assert len(expected) > 9_500
    rows = checked("\r\n".join(lines))
    assert {row.row: codes(row) for row in rows if row.problems} == expected
    assert sum(row.device is not None for row in rows) == 100_000 - len(expected)
    assert [row.row for row in rows] == list(range(2, 100_002))


def test_rows_come_before_the_file_breaks():
    """What can be checked is yielded; then the file's own fault is raised."""
    with open_table(stream(f'{HEADER}\nMontréal,{APPROVED[0]},{mac(1)},,\n"open')) as table:
        rows = check_rows(table, fleet(), catalogue())
        assert next(rows).device is not None
        with pytest.raises(FileUnreadable):
            next(rows)


def test_every_code_has_a_severity():
    """Only a vendor mismatch and a repeated import are no errors."""
    harmless = {code for code in Code if code.severity is not Severity.ERROR}
    assert harmless == {Code.OUI_MISMATCH, Code.ALREADY_PRESENT}


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 30))
def test_duplicates_are_the_same_with_and_without_spill(numbers, spill_after):
    """Whether addresses stay in memory or go to disk, the same rows name the same first rows."""
    text = HEADER + "".join(
        f"\nMontréal,{APPROVED[0]},{mac(number + 1)},,{place}" for place, number in enumerate(numbers)
    )
    assert checked(text, spill_after=spill_after) == checked(text)


spellings = st.one_of(
    st.text(max_size=20),
    st.text("0123456789abcdefABCDEF", min_size=12, max_size=12),
    st.text("0123456789abcdefABCDEF:.- é", min_size=17, max_size=17),
    st.builds(
        lambda number, separator, upper: _spelt(number, separator, upper=upper),
        st.integers(0, 2**48 - 1),
        st.sampled_from(["", ":", "-", ".", "dotted"]),
        st.booleans(),
    ),
)


def _spelt(number, separator, *, upper):
    digits = f"{number:012X}" if upper else f"{number:012x}"
    size, joiner = (4, ".") if separator == "dotted" else (2, separator)
    return joiner.join(digits[place : place + size] for place in range(0, 12, size))


@given(st.lists(spellings, max_size=30))
def test_many_addresses_are_read_like_one(texts):
    """Reading a column at once gives what reading each cell gives."""
    assert mac_numbers(texts) == [mac_number(text) for text in texts]


@given(st.text(st.sampled_from("'=+-@\t\rab \n"), max_size=8))
def test_neutralising_is_undone(text):
    """What an export did to a text is undone, and the result is no formula."""
    neutral = neutralise_text(text)
    assert restore_text(neutral) == text
    assert neutral[:1] not in {"=", "+", "-", "@", "\t", "\r"}


@given(st.text(st.sampled_from("'=+-@\t\rab \n"), max_size=8))
def test_neutralising_reaches_every_neutral_text(text):
    """Restoring and neutralising again gives the same cell, unless the cell was dangerous as it was."""
    if neutralise_text(restore_text(text)) != text:
        assert text[:1] in {"=", "+", "-", "@", "\t", "\r"}


@given(st.text(max_size=10))
def test_site_names_are_compared_loosely(text):
    """Case, outer blanks and the form of accents do not tell sites apart."""
    assert site_key(f" {text}\n") == site_key(text) == site_key(unicodedata.normalize("NFD", text))
    assert site_key(site_key(text)) == site_key(text)
    assert site_key("ÉCOLE") == site_key("e\u0301cole")


def test_a_random_file_never_breaks_the_check():
    """Rows of random bytes give problems, or an unreadable file; never another exception."""
    chance = random.Random(3)
    for _ in range(200):
        body = bytes(chance.choice(b"\",;\n\r\t a:5\xe9\xc3\xa9='") for _ in range(300))
        try:
            rows = checked(HEADER.encode() + b"\n" + body)
        except FileUnreadable:
            continue
        assert all(row.problems for row in rows)
