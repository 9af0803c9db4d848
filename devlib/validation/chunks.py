"""The rules applied to some hundred rows at once: the hot path of a check, column by column.

All addresses of a chunk are read at once and looked up in the file so far and in the fleet. A few comparisons
of whole columns then find the rows about which there may be something to say; only those are examined.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import NamedTuple

from devlib.errors import FileUnreadable
from devlib.language import message
from devlib.model import Catalogue, Mac
from devlib.validation.header import Header
from devlib.validation.known import KnownFleet, Located
from devlib.validation.macs import mac_numbers
from devlib.validation.problems import CheckedRow, Code, Problem, Severity, problem
from devlib.validation.reading import Chunk
from devlib.validation.rules import OUI_SHIFT, DeviceRules, Pair, mac_problem, vendor_of_oui, vendor_problem
from devlib.validation.seen import SeenMacs
from devlib.validation.texts import clean_texts, odd_places, text_problem

_CHUNKS_AT_ONCE = 16


class WrittenDevice(NamedTuple):
    """A device as a person wrote it: the Add form (article), or the cells of one row."""

    mac: str
    device_type: str
    site: str
    name: str = ""
    description: str = ""


class _Columns(NamedTuple):
    """The cells of a chunk, one sequence for each field of a device."""

    macs: Sequence[str]
    device_types: Sequence[str]
    sites: Sequence[str]
    names: Sequence[str]
    descriptions: Sequence[str]


@dataclass(slots=True)
class Gathered:
    """Some thousand rows as columns, in the order of `WrittenDevice`.

    Args:
        columns: the cells, as written.
        rows: their row numbers.
        lines: the lines on which they begin.
        broken: rows with a wrong number of cells, by place; their cells are empty.
        failure: why the file cannot be read beyond these rows.
    """

    columns: tuple[list[str], ...]
    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: dict[int, CheckedRow] = field(default_factory=dict)
    failure: FileUnreadable | None = None


class _Found(NamedTuple):
    """What is known of the addresses and pairs of a chunk, one item a row; and which addresses exist."""

    numbers: Sequence[int | None]
    firsts: Sequence[int]
    pairs: Sequence[Pair]
    located: Mapping[int, Located]


class ChunkCheck:
    """The check of one file: rules, columns, and the addresses seen so far."""

    def __init__(self, header: Header, known: KnownFleet, catalogue: Catalogue, seen: SeenMacs) -> None:
        self._known = known
        self._rules = DeviceRules(known, catalogue)
        self._seen = seen
        self._width = header.width
        self._places = [header.positions.get(name) for name in WrittenDevice._fields]

    def gather(self, chunks: Iterator[Chunk]) -> Gathered:
        """Return the next rows as columns; none at the end of the file."""
        # A list a row, kept alive, makes the garbage collector walk the whole heap again and again: measured
        # at a third of the time. Columns of texts do not; so rows are cut up here and made again one by one.
        gathered = Gathered(tuple([] for _ in self._places))
        try:
            for chunk in islice(chunks, _CHUNKS_AT_ONCE):
                for place, row in self._set_aside(chunk).items():
                    gathered.broken[len(gathered.rows) + place] = row
                turned = list(zip(*chunk.cells, strict=True))
                empty = ("",) * len(chunk.rows)
                for column, position in zip(gathered.columns, self._places, strict=True):
                    column.extend(empty if position is None else turned[position])
                gathered.rows.extend(chunk.rows)
                gathered.lines.extend(chunk.lines)
        except FileUnreadable as failure:
            gathered.failure = failure
        return gathered

    def checked(self, gathered: Gathered) -> Iterator[CheckedRow]:
        """Yield the rows that were gathered, checked."""
        macs, device_types, sites, names, descriptions = gathered.columns
        columns = _Columns(macs, device_types, sites, clean_texts(names), clean_texts(descriptions))
        found = self._look_up(columns, gathered.rows)
        targets = (pair.target for pair in found.pairs)
        values = zip(
            gathered.rows, gathered.lines, *columns, found.numbers, targets, repeat(False), repeat(())
        )
        # As if all were faultless, which nearly all are; this takes a third of CheckedRow(*each).
        rows = map(tuple.__new__, repeat(CheckedRow), values)
        places = _worth_a_look(columns, found, gathered.rows)
        for place, row in enumerate(rows):
            if place in gathered.broken:
                yield gathered.broken[place]
            elif place in places:
                yield self._examined(row, found, place)
            else:
                yield row

    def _set_aside(self, chunk: Chunk) -> dict[int, CheckedRow]:
        """Take the rows with a wrong number of cells out of the chunk; blank ones keep their places."""
        broken: dict[int, CheckedRow] = {}
        if set(map(len, chunk.cells)) == {self._width}:
            return broken
        for place, cells in enumerate(chunk.cells):
            if len(cells) != self._width:
                broken[place] = self._broken(chunk.rows[place], chunk.lines[place], cells)
                chunk.cells[place] = [""] * self._width
        return broken

    def _broken(self, row: int, line: int, cells: list[str]) -> CheckedRow:
        if cells:
            text = message(
                "The row has {found} cells, the header {expected}.", found=len(cells), expected=self._width
            )
            fault = problem(Code.FIELD_COUNT, "", text, row)
        else:
            text = message("The quotation marks on line {line} do not match.", line=line)
            fault = problem(Code.QUOTES_INVALID, "", text, row)
        written = WrittenDevice(
            *(cells[place] if place is not None and place < len(cells) else "" for place in self._places)
        )
        return CheckedRow(row, line, *written, None, None, False, (fault,))

    def _look_up(self, columns: _Columns, rows: list[int]) -> _Found:
        numbers = mac_numbers(columns.macs)
        pairs = list(
            map(self._rules.pairs.__getitem__, zip(columns.sites, columns.device_types, strict=True))
        )
        good = [number for number in numbers if number is not None]
        located = self._known.locate(good)
        if len(good) == len(numbers):
            return _Found(numbers, self._seen.first_rows(good, rows), pairs, located)
        good_rows = [row for row, number in zip(rows, numbers, strict=True) if number is not None]
        first_rows = iter(self._seen.first_rows(good, good_rows))
        firsts = [
            row if number is None else next(first_rows) for row, number in zip(rows, numbers, strict=True)
        ]
        return _Found(numbers, firsts, pairs, located)

    def _examined(self, row: CheckedRow, found: _Found, place: int) -> CheckedRow:
        pair = found.pairs[place]
        problems = [Problem(row.row, *each[1:]) for each in pair.problems]
        problems += self._of_address(row, found, place)
        for kind, text in (("name", row.name), ("description", row.description)):
            if text and (fault := text_problem(kind, text, row.row)) is not None:
                problems.append(fault)
        refused = present = False
        for each in problems:
            refused = refused or each.severity is Severity.ERROR
            present = present or each.code is Code.ALREADY_PRESENT
        present = present and not refused
        target = None if refused or present else pair.target
        return CheckedRow(*row[:8], target, present, tuple(problems))

    def _of_address(self, row: CheckedRow, found: _Found, place: int) -> list[Problem]:
        number, first, pair = row.number, found.firsts[place], found.pairs[place]
        if number is None:
            return [mac_problem(row.mac, row.row)]
        problems = []
        if first != row.row:
            text = message(
                "The device {mac} stands in the file already, in row {row}.", mac=Mac(number), row=first
            )
            problems.append(problem(Code.DUPLICATE_IN_FILE, "mac", text, row.row))
        if number in found.located:
            problems.append(self._rules.existing(number, found.located[number], pair, row.row))
        if pair.kind is not None and (warning := vendor_problem(number, pair.kind, row.row)) is not None:
            problems.append(warning)
        return problems


def _worth_a_look(columns: _Columns, found: _Found, rows: Sequence[int]) -> set[int]:
    """Return the places of the rows about which there may be something to say."""
    places = odd_places("name", columns.names) | odd_places("description", columns.descriptions)
    if None in found.numbers:
        places |= {place for place, number in enumerate(found.numbers) if number is None}
    places |= {place for place, pair in enumerate(found.pairs) if pair.target is None}
    places |= _differing(found.firsts, rows)
    if found.located:
        places |= {place for place, number in enumerate(found.numbers) if number in found.located}
    vendors = [pair.vendor for pair in found.pairs]
    makers = (0 if number is None else number >> OUI_SHIFT for number in found.numbers)
    return places | _differing(list(map(vendor_of_oui().get, makers, vendors)), vendors)


def _differing(left: Sequence[object], right: Sequence[object]) -> set[int]:
    if left == right:
        return set()
    return {place for place, (one, other) in enumerate(zip(left, right, strict=True)) if one != other}
