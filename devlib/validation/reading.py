"""A bulk file as people have it, read row by row in bounded memory.

Encoding, delimiter and the order of the columns are found out (`encoding`, `header`); CRLF, LF and CR all end
a line; quoted cells may hold line ends. A row is known by the number that a spreadsheet shows beside it: the
header is row 1, empty rows count but are skipped, and a quoted line end does not start a row.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import accumulate, chain, compress, islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from devlib.errors import FileUnreadable
from devlib.language import Message, message
from devlib.validation.encoding import BlockDecoder, decoded_blocks
from devlib.validation.header import Header, find_header, ignored_notice, is_blank, match_header, not_closed

DELIMITERS = (",", ";", "\t")
LONGEST_LINE = 1 << 20  # Characters.
CHUNK_ROWS = 256
_HEAD = 1 << 16  # Characters in which the header must be.
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?(?:\r\n|\n|\r)', re.IGNORECASE)


class Record(NamedTuple):
    """One row: its number, the line of the file on which it begins, and its cells.

    `cells` is empty for a row whose quotation marks do not match.
    """

    row: int
    line: int
    cells: list[str]


class Chunk(NamedTuple):
    """Some rows that follow each other, column by column; see `Record`."""

    rows: list[int]
    lines: list[int]
    cells: list[list[str]]


class BulkTable:
    """The rows of an open bulk file; they can be read once, forward.

    Args:
        blocks: the text of the file.
        decoder: where that text comes from.
        name: name of the file, for messages.

    Raises:
        FileUnreadable: the file has no usable header.
    """

    def __init__(self, blocks: Iterator[str], decoder: BlockDecoder, name: str = "") -> None:
        self._decoder = decoder
        self._name = name
        first = next(blocks, "").removeprefix("\ufeff")
        wish = _SEPARATOR_LINE.match(first)
        self._lines_before = 0 if wish is None else 1
        first = first if wish is None else first[wish.end() :]
        cells, self.delimiter = find_header(first[:_HEAD], (wish[1],) if wish else DELIMITERS)
        self.header: Header = match_header(cells)
        lines = chain.from_iterable(_whole_lines(chain((first,), blocks), self._lines_before))
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        next(each for each in self._reader if not is_blank(each))
        self._row = 2
        self._line = self._lines_before + self._reader.line_num + 1
        self._failure: FileUnreadable | None = None

    @property
    def encoding(self) -> str:
        """The encoding, as far as the rows read so far show it."""
        return self._decoder.encoding

    @property
    def notices(self) -> tuple[Message, ...]:
        """What the owner of the file should know, though it is no fault."""
        return (ignored_notice(self.header.ignored),) if self.header.ignored else ()

    def __iter__(self) -> Iterator[Record]:
        for chunk in self.chunks():
            yield from map(Record, *chunk)

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """Yield the rows, at most `size` at a time.

        Raises:
            FileUnreadable: a quotation mark is not closed, a line or cell is endless, or the encoding
                changes; the rows before it have been yielded.
        """
        with _located(self._name):
            while (chunk := self._next(size)) is not None:
                if chunk.rows:
                    yield chunk

    def _next(self, size: int) -> Chunk | None:
        if self._failure is not None:
            raise self._failure
        records: list[list[str]] = []
        mismatch = None
        try:
            # Where the reader raises, the list keeps what came before.
            records.extend(islice(self._reader, size - 1))
        except FileUnreadable as failure:
            self._failure = failure
        except csv.Error as error:
            mismatch = error
        read_to = self._lines_before + self._reader.line_num + 1
        chunk = _numbered(records, self._row, self._line, read_to)
        self._row += len(records)
        if mismatch is not None:
            self._mismatch(mismatch, chunk, self._line + sum(map(_line_count, records)))
        self._line = read_to
        ended = not records and mismatch is None and self._failure is None
        return None if ended else chunk

    def _mismatch(self, error: csv.Error, chunk: Chunk, line: int) -> None:
        row, text = self._row, str(error)
        if "field limit" in text:
            what = message(
                "In row {row} a cell is longer than {limit} characters.",
                row=row,
                limit=f"{csv.field_size_limit():,}",
            )
            remedy = message("Often a quotation mark is not closed there. Correct that row.")
            self._failure = FileUnreadable(what, where=str(line), remedy=remedy)
        elif "unexpected end" in text:
            self._failure = not_closed(row, str(line))
        else:
            self._row = row + 1
            chunk.rows.append(row)
            chunk.lines.append(line)
            chunk.cells.append([])


@contextmanager
def open_table(source: Path | str | BinaryIO, name: str = "") -> Iterator[BulkTable]:
    """Open a bulk file for reading; use it in a `with` statement.

    Args:
        source: path of the file, or a binary stream at its beginning, which stays open.
        name: what messages call it; by default its path.

    Yields:
        The table, with its header already read.

    Raises:
        FileUnreadable: the file cannot be opened, is no CSV, or has no usable header; says what to do.
    """
    if isinstance(source, Path | str):
        name = name or str(source)
        opened = _open(Path(source), name)
    else:
        opened = nullcontext(source)
    with opened as stream:
        with _located(name):
            decoder, blocks = decoded_blocks(stream)
            table = BulkTable(blocks, decoder, name)
        yield table


def _open(path: Path, name: str) -> "io.BufferedReader | nullcontext[BinaryIO]":
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero character in the name.
        raise FileUnreadable(
            message("The file cannot be opened: {error}", error=getattr(error, "strerror", None) or error),
            where=name,
            remedy=message("Check the name, and that this account may read the file."),
        ) from None


@contextmanager
def _located(name: str) -> Iterator[None]:
    """Put the file's name in front of the line number of an error."""
    try:
        yield
    except FileUnreadable as error:
        where = ":".join(part for part in (name, error.where) if part)
        raise FileUnreadable(error.what, where=where, remedy=error.remedy) from None


def _whole_lines(blocks: Iterable[str], line: int) -> Iterator[io.StringIO]:
    """Yield the text in portions that end with a line; iterating one gives its lines, ends untouched."""
    rest = ""
    for block in blocks:
        text = rest + block
        # A CR at the very end may be the first half of CRLF.
        end = max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1
        rest = text[end:]
        if end:
            line += text.count("\n", 0, end) or text.count("\r", 0, end)
            yield io.StringIO(text[:end], newline="")
        if len(rest) > LONGEST_LINE:
            raise FileUnreadable(
                message("A line is longer than {limit} characters.", limit=f"{LONGEST_LINE:,}"),
                where=str(line + 1),
                remedy=message("Choose the CSV file, or save the table as “CSV UTF-8”."),
            )
    if rest:
        yield io.StringIO(rest, newline="")


def _numbered(records: list[list[str]], row: int, line: int, read_to: int) -> Chunk:
    """Return a chunk of the records, without blank ones; `row` and `line` are those of the first."""
    rows = list(range(row, row + len(records)))
    if read_to - line == len(records):
        lines = list(range(line, read_to))
    else:
        lines = list(accumulate(map(_line_count, records), initial=line))[: len(records)]
    # A blank record is found by its first cell; only where there is one, all cells are looked at.
    if all(records):
        firsts = list(map(itemgetter(0), records))
        if all(firsts) and not any(map(str.isspace, firsts)):
            return Chunk(rows, lines, records)
    kept = [not is_blank(cells) for cells in records]
    return Chunk(list(compress(rows, kept)), list(compress(lines, kept)), list(compress(records, kept)))


def _line_count(cells: list[str]) -> int:
    """Return the number of lines that a record takes, by the line ends that its cells hold."""
    return 1 + sum(
        cell.count("\n") + cell.count("\r") - cell.count("\r\n")
        for cell in cells
        if "\n" in cell or "\r" in cell
    )
