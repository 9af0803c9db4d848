"""What all networks said in one collection, gathered as two tables.

Every answer is a part of its own: a binding counts only for the lines for which that network was asked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from devlib.collect.rule import Evidence
from devlib.language import Message
from devlib.model import Binding
from devlib.network import WHOLE, Answers
from devlib.storage import naive

_MOMENT = pa.timestamp("us")
_WITH_ZONE = pa.timestamp("us", tz="UTC")

ASKED = pa.schema(
    [
        ("line_key", pa.int64()),
        ("line_port", pa.string()),
        ("part", pa.int64()),
        ("network", pa.string()),
        ("answered", pa.bool_()),
        ("asked_at", _MOMENT),
        ("knows_since", _MOMENT),
        ("told", pa.string()),
        ("reason", pa.string()),
    ]
)
"""One row for each line: who was asked for it, and whether there was an answer."""

HELD = pa.schema([pa.field("part", pa.int64()), *WHOLE])
"""One row for each binding; moments are UTC without a zone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A network that did not answer for some lines."""

    network: str
    lines: int
    reason: Message


@dataclass(slots=True)
class Asked:
    """Answers of all networks, gathered for the alignment.

    Args:
        since: when asking began, UTC.
        lines: number of lines of which something was said, or was said to be unanswered.
    """

    since: datetime
    lines: int = 0
    _asked: list[pa.Table] = field(default_factory=list)
    _held: list[pa.Table] = field(default_factory=list)
    _unanswered: Counter[str] = field(default_factory=Counter)
    _reasons: dict[str, Message] = field(default_factory=dict)

    def add(
        self,
        network: str,
        lines: pa.Table,
        answers: Answers,
        at: datetime,
        told: Sequence[Evidence | None] | None = None,
    ) -> None:
        """Keep what a network said, or did not say, of a few lines at that moment.

        Args:
            network: its name; empty for none.
            lines: `line_key` and `line_port` of those that were asked.
            answers: what it said.
            at: when the answer had arrived, UTC.
            told: for each line how its last binding ended, where an event feed said so.
        """
        ports = lines.column("line_port").to_pylist()
        reasons = [answers.unanswered.get(port) for port in ports]
        self._note_failures(network, reasons)
        asked = {
            "answered": pa.array([reason is None for reason in reasons], pa.bool_()),
            "reason": pa.array([None if each is None else str(each) for each in reasons], pa.string()),
        }
        if told is not None:
            asked["told"] = _texts(told)
        self._add(network, lines, held_table(answers.bindings), at, asked, knows_since=answers.knows_since)

    def add_whole(self, network: str, lines: pa.Table, held: pa.Table, at: datetime) -> None:
        """Keep all bindings of a network as the answer for these lines.

        Args:
            network: its name.
            lines: `line_key` and `line_port` of those that were asked.
            held: every binding, with the schema `WHOLE`.
            at: when they had arrived, UTC.
        """
        self._add(network, lines, held, at, {"answered": pa.repeat(pa.scalar(True), len(lines))})

    def add_told(
        self, network: str, lines: pa.Table, held: pa.Table, told: Sequence[Evidence | None], at: pa.Array
    ) -> None:
        """Keep what an event feed told of single lines.

        Args:
            network: whose feed.
            lines: `line_key` and `line_port`.
            held: the bindings that the events left, with the schema `WHOLE`.
            told: for each line how its last binding ended, or `None` where one lives.
            at: for each line when that happened, UTC without a zone.
        """
        asked = {
            "answered": pa.repeat(pa.scalar(True), len(lines)),
            "told": _texts(told),
            "asked_at": at,
        }
        self._add(network, lines, held, self.since, asked)

    def _add(
        self,
        network: str,
        lines: pa.Table,
        held: pa.Table,
        at: datetime,
        columns: Mapping[str, Any],
        knows_since: datetime | None = None,
    ) -> None:
        part = len(self._asked)
        constant = {
            "part": part,
            "network": network or None,
            "asked_at": naive(at),
            "knows_since": None if knows_since is None else naive(knows_since),
            "told": None,
            "reason": None,
        }
        given = {"line_key": lines.column("line_key"), "line_port": lines.column("line_port"), **columns}
        filled = [
            given[each.name]
            if each.name in given
            else pa.repeat(pa.scalar(constant[each.name], each.type), len(lines))
            for each in ASKED
        ]
        self._asked.append(pa.table(filled, schema=ASKED))
        self._held.append(held.add_column(0, HELD.field(0), pa.repeat(pa.scalar(part), len(held))))
        self.lines += len(lines)

    def _note_failures(self, network: str, reasons: Sequence[Message | None]) -> None:
        for reason in reasons:
            if reason is not None:
                self._unanswered[network] += 1
                self._reasons.setdefault(network, reason)

    def relations(self) -> tuple[pa.Table, pa.Table]:
        """Return who was asked for each line, with the schema `ASKED`, and what is held, with `HELD`."""
        return (
            pa.concat_tables([ASKED.empty_table(), *self._asked]),
            pa.concat_tables([HELD.empty_table(), *self._held]),
        )

    def failures(self) -> Iterator[Failure]:
        """Yield one failure for each network that left lines without an answer."""
        for network, count in sorted(self._unanswered.items()):
            yield Failure(network, count, self._reasons[network])


def held_table(bindings: Mapping[str, Sequence[Binding]]) -> pa.Table:
    """Return bindings, by the line port as it was asked for, as a table with the schema `WHOLE`."""
    rows = [_held_row(port, each) for port, held in bindings.items() for each in held]
    columns = list(zip(*rows, strict=True)) or [()] * len(WHOLE)
    # Python's moments have a zone, the lake's columns have none.
    zoned = [_WITH_ZONE if pa.types.is_timestamp(each.type) else each.type for each in WHOLE]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, zoned, strict=True)]
    return pa.table(arrays, names=WHOLE.names).cast(WHOLE)


def _texts(told: Sequence[Evidence | None]) -> pa.Array:
    return pa.array([None if each is None else each.value for each in told], pa.string())


def _held_row(line_port: str, binding: Binding) -> tuple[object, ...]:
    return (
        line_port,
        binding.contact,
        binding.user_agent,
        binding.received,
        binding.instance,
        binding.call_id,
        binding.expires_at,
        binding.registered_at,
    )
