"""Events of the feed become rows of the lake: the inventory's lines only, each with exact evidence."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from devlib.clock import Clock
from devlib.collect.answers import Asked, held_table
from devlib.collect.asking import reason_of
from devlib.collect.collection import Collector, lines_sql
from devlib.collect.networks import Networks, Served
from devlib.collect.rule import network_form_sql
from devlib.collect.told import Before, Told, fold
from devlib.collect.waiting import run_blocking
from devlib.model import LineState, Scope
from devlib.network import Answers, Change, network_form
from devlib.storage import Lake, Snapshot, naive, utc

_READ_AGAIN = timedelta(seconds=30)  # a line that was added since is found after this
_BEFORE = """
SELECT line_key, if(state = 'unknown', state_before, state), contact, user_agent, call_id, expires_at,
    if(state = 'unknown', NULL, coalesce(bindings, 0) + coalesce(ghosts, 0)), state_known_at
FROM {past} WHERE {chosen}
"""


@dataclass(slots=True)
class Written:
    """What became of some events.

    Args:
        snapshot: the entry of the lake; `None` where nothing was written.
        rows: lines written.
        put_off: lines of which only the expiry moved; they are written later.
        unknown: events of line ports that are in no line of the scope.
        states: lines written by state.
    """

    snapshot: Snapshot | None = None
    rows: int = 0
    put_off: int = 0
    unknown: int = 0
    states: dict[LineState, int] = field(default_factory=dict)


class Flusher:
    """Writes what events told of the lines of one scope.

    Args:
        collector: writes the rows.
        lake: what is known of the lines.
        networks: which of them answers for a customer; what another one tells of its lines does not count.
        scope: whose lines.
        clock: when it is.
        fences: of the leases under which it is written, by name.
    """

    def __init__(
        self,
        collector: Collector,
        lake: Lake,
        networks: Networks,
        scope: Scope,
        clock: Clock,
        fences: Mapping[str, int] | None = None,
    ) -> None:
        self._collector = collector
        self._lake = lake
        self._networks = networks
        self._scope = scope
        self._clock = clock
        self._fences = fences
        self._lines: pa.Table | None = None
        self._read_at: datetime | None = None
        # The last refresh of each line that only moved its expiry, by network and form of its line port.
        self._put_off: dict[tuple[str, str], Change] = {}

    def read_lines(self) -> None:
        """Read the inventory's lines anew."""
        lines = self._collector.lines(self._scope)
        sql = f"SELECT *, {network_form_sql('line_port')} AS form FROM lines"  # noqa: S608 - own texts
        with self._lake.connection({"lines": lines}) as cursor:
            self._lines = cursor.sql(sql).to_arrow_table()
        self._read_at = self._clock.now()

    def forget(self) -> None:
        """Drop what was put off: a whole collection has read it."""
        self._put_off.clear()

    def write(self, served: Served, changes: Sequence[Change], *, all_of_them: bool = False) -> Written:
        """Write what these events leave of their lines.

        Args:
            served: the network that told.
            changes: in the order in which they happened.
            all_of_them: also those that only moved an expiry which readers see as far ahead.

        Raises:
            StorageUnavailable: nothing was written.
            LeadLost: another follower has taken over; nothing was written.
        """
        by_form: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            by_form[network_form(change.line_port)].append(change)
        places = self._places(served, by_form)
        keys = [place[0] for place in places.values()]
        before = self._before(keys)
        result = Written(unknown=sum(len(each) for form, each in by_form.items() if form not in places))
        found: list[tuple[int, str, Told]] = []
        put_off: dict[tuple[str, str], Change] = {}
        for form, (key, line_port) in places.items():
            told = fold(before.get(key, Before()), by_form[form])
            if told is not None and told.mere_refresh and not all_of_them:
                put_off[served.name, form] = by_form[form][-1]
            elif told is not None:
                found.append((key, line_port, told))
        if found:
            self._append(served, found, result)
        # Only now: where the lake cannot be written, everything stays as it was and is tried again.
        for form in places:
            self._put_off.pop((served.name, form), None)
        self._put_off |= put_off
        result.put_off = len(put_off)
        return result

    def write_put_off(self, served: Served) -> Written:
        """Write the last refresh of each line of which only the expiry moved."""
        theirs = [each for (name, _), each in self._put_off.items() if name == served.name]
        if not theirs:
            return Written()
        return self.write(served, theirs, all_of_them=True)

    def _places(self, served: Served, forms: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Return key and line port of the network's lines of these forms."""
        wanted = list(forms)
        found = self._find(served, wanted)
        stale = self._read_at is None or self._clock.now() - self._read_at >= _READ_AGAIN
        if len(found) < len(wanted) and stale:
            self.read_lines()
            found = self._find(served, wanted)
        return found

    def _find(self, served: Served, forms: Sequence[str]) -> dict[str, tuple[int, str]]:
        if self._lines is None:
            return {}
        rows = self._lines.filter(pc.is_in(self._lines.column("form"), pa.array(forms, pa.string())))
        names = ("form", "line_key", "line_port", "provider", "customer")
        columns = [rows.column(name).to_pylist() for name in names]
        return {
            form: (key, line_port)
            for form, key, line_port, provider, customer in zip(*columns, strict=True)
            if self._networks.for_customer(provider, customer) is served
        }

    def _before(self, keys: Sequence[int]) -> dict[int, Before]:
        sql = _BEFORE.format(past=self._lake.last_relation(self._scope), chosen=lines_sql(keys))
        with self._lake.connection() as cursor:
            rows = cursor.execute(sql).fetchall()
        return {row[0]: _before(*row[1:]) for row in rows}

    def _append(self, served: Served, found: Sequence[tuple[int, str, Told]], result: Written) -> None:
        asked = Asked(self._clock.now())
        clear = [each for each in found if not each[2].unclear]
        if clear:
            asked.add_told(
                served.name,
                _keys(clear),
                held_table({port: told.held for _, port, told in clear}),
                [told.ended for *_, told in clear],
                pa.array([naive(min(told.at, asked.since)) for *_, told in clear], pa.timestamp("us")),
            )
        if unclear := [each for each in found if each[2].unclear]:
            ports = [port for _, port, _ in unclear]
            answers = run_blocking(_look_up(served, ports))
            ended = [told.ended for *_, told in unclear]
            asked.add(served.name, _keys(unclear), answers, self._clock.now(), ended)
        keys = pa.array([key for key, *_ in found], pa.int64())
        lines = _require(self._lines)
        lines = lines.filter(pc.is_in(lines.column("line_key"), keys)).drop_columns(["form"])
        result.snapshot = self._collector.write_told(self._scope, lines, asked, self._fences)
        result.rows = len(found)


def _require(lines: pa.Table | None) -> pa.Table:
    if lines is None:
        raise AssertionError("lines are read before their events are written")
    return lines


def _keys(found: Sequence[tuple[int, str, Told]]) -> pa.Table:
    columns: Mapping[str, Any] = {
        "line_key": pa.array([key for key, *_ in found], pa.int64()),
        "line_port": pa.array([port for _, port, _ in found], pa.string()),
    }
    return pa.table(columns)


def _before(
    state: str | None,
    contact: str | None,
    user_agent: str | None,
    call_id: str | None,
    expires_at: datetime | None,
    contacts: int | None,
    known_at: datetime | None,
) -> Before:
    known = None if state is None else LineState(state)
    return Before(known, contact, user_agent, call_id, utc(expires_at), contacts, utc(known_at))


async def _look_up(served: Served, line_ports: Sequence[str]) -> Answers:
    try:
        source = served.open()
        try:
            return await source.lookup(line_ports)
        finally:
            await source.close()
    except Exception as error:  # noqa: BLE001 - a network is foreign code: its fault is data, as in a collection
        return Answers({}, dict.fromkeys(line_ports, reason_of(error)))
