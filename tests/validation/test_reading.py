"""Bulk files as people have them: encodings, delimiters, line ends, headers, quotes."""

import csv
import gzip
import io
import zipfile
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from validation.files import APPROVED, HEADER, checked, codes, mac, stream

from devlib.errors import FileUnreadable
from devlib.model import DEVICE_LIST, IMPORT_TEMPLATE
from devlib.validation import CheckedRow, open_table
from devlib.validation.header import known_headers
from devlib.validation.reading import LONGEST_LINE

ROW = f"Montréal,{APPROVED[0]},{mac(1)},Accueil,"


def read(source):
    """All rows of a file, as read."""
    with open_table(source if isinstance(source, io.IOBase) else io.BytesIO(source)) as table:
        return list(table)


def refusal(source, name=""):
    """The error with which a file is refused."""
    stream_of = source if isinstance(source, io.IOBase) else io.BytesIO(source)
    with pytest.raises(FileUnreadable) as caught, open_table(stream_of, name) as table:
        list(table)
    assert caught.value.remedy is not None
    return caught.value


def accepted(row: CheckedRow):
    """Whether a row is the one that these files hold."""
    return row.device is not None and row.device.site == "Montréal" and row.device.name == "Accueil"


@pytest.mark.parametrize(
    ("encoding", "mark", "named"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8"),
        ("utf-16-le", b"\xff\xfe", "utf-16-le"),
        ("utf-16-be", b"\xfe\xff", "utf-16-be"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32-le"),
        ("cp1252", b"", "windows-1252"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_every_form_people_have(encoding, mark, named, delimiter, end):
    """Each encoding with each delimiter and line end gives the same rows."""
    text = end.join([HEADER, ROW, ""]).replace(",", delimiter)
    with open_table(io.BytesIO(mark + text.encode(encoding))) as table:
        (row,) = table
        assert (row.row, row.line, row.cells) == (2, 2, ROW.split(","))
        assert (table.encoding, table.delimiter) == (named, delimiter)
    assert accepted(checked(mark + text.encode(encoding))[0])


@pytest.mark.parametrize("language", ["en", "fr"])
def test_template_headers_in_both_languages(language):
    """The headers of the template and of the exported device list are understood in both languages."""
    for table_of in (IMPORT_TEMPLATE, DEVICE_LIST):
        header = ";".join(column.header(language) for column in table_of)
        with open_table(stream(header)) as table:
            assert set(table.header.positions) == set(IMPORT_TEMPLATE.names)
            assert bool(table.notices) == (table_of is DEVICE_LIST)


@pytest.mark.parametrize(
    "header",
    [
        "site,device_type,mac",
        "MAC,Emplacement,Modèle",
        "  ADRESSE_MAC ;location;TYPE D'APPAREIL",
        "mac-address\tSITE\tdevice  type",
        "Adresse Mac,Nom du site,Modele de telephone",
        '"Site","Device\nType","MAC Address"',
        "sep=;\r\nSite;Device Type;MAC Address",
        "\n\n,,\nSite,Type,MAC",
    ],
)
def test_loose_headers(header):
    """Case, accents, order, joiners, aliases, quoted line ends and Excel's `sep=` line do not matter."""
    with open_table(stream(header + "\n")) as table:
        assert {"site", "device_type", "mac"} <= set(table.header.positions)
        assert not list(table)


def test_headers_are_unambiguous():
    """No alias of one column is the name of another."""
    assert {name for name in known_headers().values() if name} == set(IMPORT_TEMPLATE.names)
    for column in DEVICE_LIST:
        wanted = column.name if column.name in IMPORT_TEMPLATE.names else ""
        assert known_headers()["".join(filter(str.isalnum, column.name))] == wanted


def test_unknown_columns_are_ignored_with_a_notice():
    """A column that nobody knows is named, bounded and harmless."""
    with open_table(stream(f"{HEADER},\x07{'z' * 200},Colour,\n{ROW},1,2,3\n")) as table:
        (notice,) = table.notices
        assert "\\x07zz" in str(notice)
        assert "Colour" in str(notice)
        assert len(str(notice)) < 200
        assert len(list(table)) == 1
    with open_table(stream(HEADER + "".join(f",x{place}" for place in range(300)))) as table:
        assert str(table.notices[0]).count("x") == 20


def test_rows_and_lines_are_those_of_the_spreadsheet():
    """Quoted line ends belong to their row; blank rows count, but are skipped."""
    text = 'Site,Type,MAC,Description\n\na,b,c,"one\r\ntwo\nthree"\n , ,,\n"x\ry",b,c,\nlast,b,c,d\n'
    assert [(row.row, row.line, row.cells[0]) for row in read(text.encode())] == [
        (3, 3, "a"),
        (5, 7, "x\ry"),
        (6, 9, "last"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_stay_right_over_many_blocks(end):
    """Row and line numbers hold over block borders, also between CR and LF."""
    rows = [f'{number},"{"x" * (number % 7)}{end * (number % 2)}",c' for number in range(40_000)]
    found = read(end.join(["Site,Type,MAC", *rows]).encode())
    assert len(found) == 40_000
    line = 2
    for number, row in enumerate(found):
        assert (row.row, row.line, row.cells[0]) == (number + 2, line, str(number))
        line += 1 + number % 2


def test_header_only_is_fine():
    """A file with a header and no rows holds no rows."""
    assert read(HEADER.encode()) == []
    assert checked(HEADER) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\n \r\n\n", "empty"),
        (b"Site,Type,MAC\na\x00b,c,d\n" + b"x" * 100, "zero bytes"),
        (bytes(range(256)), "zero bytes"),
        (HEADER.encode() + b"\n" + b"x" * 100 + b"\0\n", "zero bytes"),
        (b"\x00\x00\x00\x01", "zero bytes"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (gzip.compress(HEADER.encode()), "gzip"),
        (b"%PDF-1.7\n", "PDF"),
        (b"{\\rtf1 text}", "text document"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"  <html><table>", "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\x81\x8d\x8f", "neither"),
        (ROW.encode(), "already a device"),
        (b"Montreal;Yealink T46U;4.41E+11\n", "already a device"),
        (b"a,b,c\n1,2,3\n", "no header"),
        (b"Site,Name\nx,y\n", "Device Type, MAC Address"),
        (b"Site|Type|MAC\nx|y|z\n", "no header"),
        (b"MAC,Site,Type,Adresse MAC\n", "“MAC” and “Adresse MAC”"),
        (b'Site,Type,"MAC\n', "not closed"),
        (HEADER.encode() + b'\na,b,"c,d,e\nf,g,h,i,j\n', "row 2 a quotation mark is not closed"),
        (HEADER.encode() + b'\n"' + b"x\n" * 70_000, "row 2 a cell is longer than 131,072"),
        (HEADER.encode() + b"\n" + b"x" * 200_000, "row 2 a cell is longer than 131,072"),
        (HEADER.encode() + b"\nok\n" + b"x" * (LONGEST_LINE + 300_000), "line is longer"),
        (HEADER.encode() + "\né".encode() + b"\xe9\xe9\n" * 200_000, "neither"),
        (HEADER.encode() + "\né\n".encode() * 200_000 + b"\xe9\n", "no longer UTF-8"),
        (("\ufeff" + HEADER).encode("utf-16-le") + b"\x00", "no longer UTF-16-LE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unreadable_files_say_what_to_do(content, said):
    """Every file that is no bulk file is refused with what, where and a remedy."""
    if said == "neither" and len(content) > 100:
        # What is no UTF-8 in its first block is read as Windows-1252, which has nearly every byte.
        assert len(read(content)) == 200_000
        return
    error = refusal(content, "liste.csv")
    assert said in str(error)
    assert error.where.startswith("liste.csv")


def test_the_last_byte_may_decide_the_encoding():
    """A letter of Windows-1252 at the very end could begin a UTF-8 character until the file ends."""
    assert read(b"Site,Type,MAC\na,b,caf\xe9")[0].cells == ["a", "b", "café"]
    with open_table(io.BytesIO(b"Site,Type,MAC\na,b,c")) as table:
        assert table.encoding == "ascii"


def test_office_files_are_called_by_name():
    """A workbook, an OpenDocument spreadsheet and another archive are told apart."""
    for member, said in (
        ("[Content_Types].xml", "Excel workbook"),
        ("mimetype", "OpenDocument spreadsheet"),
        ("photo.png", "ZIP archive"),
    ):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(
                member, "application/vnd.oasis.opendocument.spreadsheet" if member == "mimetype" else ""
            )
        assert said in str(refusal(packed.getvalue()))


def test_errors_name_the_line():
    """An error inside a file says its line; the rows before it were read."""
    error = refusal((HEADER + "\n" + ROW + '\n"open\n').encode(), "liste.csv")
    assert error.where == "liste.csv:3"
    with open_table(stream(HEADER + "\n" + ROW + '\n"open\n')) as table:
        rows = iter(table)
        assert next(rows).row == 2
        with pytest.raises(FileUnreadable):
            next(rows)


def test_late_bad_bytes_come_after_the_good_rows():
    """Rows before a broken encoding are yielded before the error."""
    content = HEADER.encode() + "\né,b,c,d,e".encode() * 100_000 + b"\n\xff\xff\n"
    with open_table(io.BytesIO(content)) as table:
        rows = iter(table)
        assert sum(1 for _ in islice(rows, 90_000)) == 90_000
        with pytest.raises(FileUnreadable):
            list(rows)


def test_files_that_cannot_be_opened(tmp_path):
    """A missing file, a folder and an impossible name are refused as unreadable."""
    for path in (tmp_path / "missing.csv", tmp_path, "a\0b"):
        with pytest.raises(FileUnreadable) as caught, open_table(path):
            pass
        assert caught.value.http_status == 422
        assert caught.value.where == str(path)


def test_a_path_is_closed_and_a_stream_is_not(tmp_path):
    """A path is opened and closed here; a stream belongs to the caller."""
    path = tmp_path / "liste.csv"
    path.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    with open_table(path) as table:
        assert len(list(table)) == 1
    with open_table(str(path)) as table:
        assert table.encoding in {"ascii", "utf-8"}
    given_stream = stream(HEADER)
    with open_table(given_stream):
        pass
    assert not given_stream.closed


class Trickle(io.RawIOBase):
    """A stream that gives one byte at a time, and fails at the end if asked to."""

    def __init__(self, content, *, fails=False):
        super().__init__()
        self._content = iter(content)
        self._fails = fails

    def read(self, size=-1):
        """Return one byte."""
        byte = next(self._content, None)
        if byte is None and self._fails:
            raise OSError(5, "Input/output error")
        return b"" if byte is None else bytes([byte])


def test_slow_and_broken_streams():
    """A stream that gives little at a time is read whole; one that breaks is an unreadable file."""
    content = b"\xef\xbb\xbf" + f"{HEADER}\r\n{ROW}\r\n".encode()
    assert [row.cells for row in read(Trickle(content))] == [ROW.split(",")]
    assert "Input/output error" in str(refusal(Trickle(content, fails=True)))


def test_mismatched_quotes_are_a_problem_of_their_row():
    """A text after a closing quotation mark spoils its row only."""
    rows = checked(f'{HEADER}\n"5" screen",a,b,c,d\n{ROW}\n')
    assert [(row.row, row.line, codes(row)) for row in rows] == [(2, 2, ["QUOTES_INVALID"]), (3, 3, [])]


def test_wrong_number_of_cells_is_a_problem_of_its_row():
    """Too few or too many cells give FIELD_COUNT, with what could be read."""
    rows = checked(f"{HEADER}\nMontréal,{APPROVED[0]}\n{ROW},,\n{ROW}\n")
    assert [codes(row) for row in rows] == [["FIELD_COUNT"], ["FIELD_COUNT"], []]
    assert rows[0].site == "Montréal"
    assert rows[0].mac == ""
    assert "2 cells, the header 5" in str(rows[0].problems[0].message)


# Text that a dialect can carry: no zero character, and no lone surrogate.
ansi_texts = st.text("ab09 \"',;\t\n\r=éÀ’€œ\xa0", max_size=12)
cell_texts = st.text("ab09 \"',;\t\n\r=éÀ’€œ\xa0\x0b\x1c\x85\u2028e\u0301日😀", max_size=12)


@st.composite
def files(draw):
    """An encoding, rows that it can write, and a dialect of the csv module."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]))
    texts = ansi_texts if encoding == "cp1252" else cell_texts
    rows = draw(st.lists(st.lists(texts, min_size=3, max_size=3), max_size=8))
    dialect = {
        "delimiter": draw(st.sampled_from([",", ";", "\t"])),
        # Python 3.11 leaves a CR unquoted where lines end with LF, and an LF where they end with CR.
        "quoting": csv.QUOTE_ALL
        if any(end in cell for row in rows for cell in row for end in "\r\n")
        else draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n", "\r"])),
    }
    return encoding, rows, dialect


@given(files())
def test_what_csv_writes_is_read_back(given_file):
    """A file that the csv module wrote in any dialect and encoding is read back equal."""
    encoding, rows, dialect = given_file
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect)
    writer.writerows([["Site", "Device Type", "MAC Address"], *rows])
    content = text.getvalue().encode(encoding)
    if encoding == "cp1252" and not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return  # Bytes that are good UTF-8 too are read as such.
    found = read(content)
    kept = [(number, row) for number, row in enumerate(rows, 2) if any(cell.strip() for cell in row)]
    assert [(row.row, row.cells) for row in found] == kept
