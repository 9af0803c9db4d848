"""The location table of a Kamailio, read with SQL from its PostgreSQL (SIP study, section 2).

Its rows are the registrar's own: with `db_mode` 1 each is there before the phone gets its answer. Expiries
must be whole seconds (`expires_type` 1), for timestamps without a zone are local time, and `use_domain` must
be 1.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

from devlib.clock import Clock
from devlib.config import KamailioSettings
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.hostile import TEXT_LIMIT, USER_AGENT_LIMIT, clean_integer, clean_moment, clean_text
from devlib.network.protocol import (
    NO_LINE_PORT,
    WHOLE,
    Answers,
    Change,
    ChangeKind,
    is_line_port,
    network_form,
)

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_AT_ONCE = 5_000  # line ports in one question; 5 000 took 0.29 s of a million rows (SIP study §2)
_PART = 4 << 20  # bytes of the copy that are read at once
_ABSENT = pa.array(["", "[not set]", "n/a"])
_COLUMNS = (
    "username, domain, contact, expires, last_modified, user_agent, received, callid, cseq, instance, path"
)
_COPY = (  # own names only; the table goes in as an identifier
    "COPY (SELECT username || '@' || coalesce(domain, ''), contact, "  # noqa: S608 - own names
    "user_agent, received, instance, callid, "
    f"CASE WHEN expires = 0 THEN NULL ELSE greatest(1, least(expires, {_LAST_SECOND})) END, "
    f"CASE WHEN last_modified BETWEEN 1 AND {_LAST_SECOND} THEN last_modified END "
    "FROM {table}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
)
_THESE = f"SELECT {_COLUMNS} FROM {{table}} WHERE username = ANY(%s) OR domain IS NULL"  # noqa: S608 - own names
_SINCE = f"SELECT {_COLUMNS} FROM {{table}} WHERE last_modified >= %s ORDER BY last_modified"  # noqa: S608 - own names
_SECONDS = ("expires_at", "registered_at")
_UNREADABLE = message("The location table holds text that is no UTF-8.")


class Location:
    """Reads the location table; every call opens a connection of its own and closes it.

    Args:
        settings: `database`, `table`, `look_back` and time limits.
        clock: the moment at which a binding must be live.
    """

    def __init__(self, settings: KamailioSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._table = sql.Identifier(settings.table)

    async def whole(self) -> pa.Table:
        """Return every row as one table with the schema `WHOLE`, also those whose expiry has passed.

        Raises:
            NetworkUnreachable: the database does not answer, or not with such a table.
        """
        parts = await self._in_thread(self._copy, self._settings.lookup_seconds)
        return pa.concat_tables([WHOLE.empty_table(), *parts])

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports`; all are unanswered where the database is silent."""
        answers = Answers()
        wanted: dict[str, list[str]] = defaultdict(list)
        for line_port in line_ports:
            if is_line_port(line_port):
                wanted[network_form(line_port)].append(line_port)
            else:
                answers.unanswered[line_port] = NO_LINE_PORT
        remaining = iter(wanted.items())
        while asked := dict(islice(remaining, _AT_ONCE)):
            try:
                found = await self._in_thread(self._select, self._settings.seconds, asked)
            except NetworkUnreachable as error:
                for port in (port for ports in asked.values() for port in ports):
                    answers.unanswered[port] = error.what
                continue
            self._sort_in(found, asked, answers)
        return answers

    async def changes(self, since: datetime) -> AsyncIterator[Change]:
        """Yield the bindings that were set after `since`, and those of the look-back before it.

        A row may appear later than its own `last_modified` (write-back, clocks), hence the look-back: what is
        yielded twice is the same. What is gone is not among them; compare with `whole` from time to time.

        Raises:
            NetworkUnreachable: the database does not answer.
        """
        beginning = since - timedelta(seconds=self._settings.look_back)
        rows = await self._in_thread(
            self._select_since, self._settings.lookup_seconds, int(beginning.timestamp())
        )
        for row in rows:
            binding = _binding(row, self._settings.name, None)
            if binding is not None and binding.registered_at is not None:
                yield Change(ChangeKind.REFRESHED, binding.line_port, binding.registered_at, binding)

    async def snapshot(self) -> AsyncIterator[Binding]:
        """Yield every live binding.

        Raises:
            NetworkUnreachable: the database does not answer, or not with such a table.
        """
        now = self._clock.now()
        for batch in (await self.whole()).to_batches(_AT_ONCE):
            for row in batch.to_pylist():
                binding = _from_whole(row, self._settings.name)
                if binding.live(now):
                    yield binding

    async def check(self) -> int:
        """Return the number of bindings.

        Raises:
            NetworkUnreachable: the database does not answer, or its table has not the form that is needed.
        """
        kinds, without_domain, count = await self._in_thread(self._look, self._settings.seconds)
        where = f"{self._settings.name}: {self._settings.table}"
        if kinds != {"bigint"} and not kinds <= {"bigint", "integer"}:
            raise NetworkUnreachable(
                message(
                    "The table keeps expiries as {kinds}, not as whole seconds.",
                    kinds=", ".join(sorted(kinds)),
                ),
                where=where,
                remedy=message("Set usrloc `expires_type` to 1, and make the columns BIGINT."),
            )
        if without_domain:
            raise _no_domain(where)
        return int(count)

    async def _in_thread(self, work: Any, seconds: float, *arguments: object) -> Any:  # noqa: ANN401 - of `work`
        url = self._settings.database.reveal() if self._settings.database else ""

        def run() -> object:
            with _connected(url, seconds) as connection:
                return work(connection, *arguments)

        try:
            async with asyncio.timeout(seconds + 1.0):
                return await asyncio.to_thread(run)
        except TimeoutError:
            reason = message("The database did not answer within {seconds} s.", seconds=seconds)
        except psycopg.Error as error:
            reason = _why(error)
        raise NetworkUnreachable(
            reason,
            where=f"{self._settings.name}: {self._settings.table}",
            remedy=message("Check `database` and `table` in devlib.toml, and that this account may read it."),
        )

    def _copy(self, connection: psycopg.Connection) -> list[pa.Table]:
        where = f"{self._settings.name}: {self._settings.table}"
        parts: list[pa.Table] = []
        gathered = bytearray()
        with connection.cursor() as cursor, cursor.copy(sql.SQL(_COPY).format(table=self._table)) as copy:
            # PostgreSQL sends whole rows (protocol, COPY operations): a part can be read after any of them.
            for row in copy:
                gathered += row
                if len(gathered) >= _PART:
                    parts.append(_read_csv(gathered, where))
                    gathered = bytearray()
        return [*parts, _read_csv(gathered, where)]

    def _select(self, connection: psycopg.Connection, asked: dict[str, list[str]]) -> list[Any]:
        users = [form.rpartition("@")[0] for form in asked]
        question = sql.SQL(_THESE)
        return connection.execute(question.format(table=self._table), [users]).fetchall()

    def _select_since(self, connection: psycopg.Connection, beginning: int) -> list[Any]:
        question = sql.SQL(_SINCE)
        return connection.execute(question.format(table=self._table), [beginning]).fetchall()

    def _look(self, connection: psycopg.Connection) -> tuple[set[str], bool, int]:
        question = sql.SQL(
            "SELECT pg_typeof(expires)::text, pg_typeof(last_modified)::text FROM "
            "(SELECT 1) one LEFT JOIN (SELECT expires, last_modified FROM {table} LIMIT 1) row ON true"
        )
        kinds = set(connection.execute(question.format(table=self._table)).fetchone() or ())
        count = sql.SQL("SELECT count(*), bool_or(domain IS NULL) FROM {table}").format(table=self._table)
        rows, without_domain = connection.execute(count).fetchone() or (0, False)
        return kinds, bool(without_domain), rows

    def _sort_in(self, rows: Sequence[Any], asked: dict[str, list[str]], answers: Answers) -> None:
        where = f"{self._settings.name}: {self._settings.table}"
        if any(row[1] is None for row in rows):
            reason = _no_domain(where).what
            answers.unanswered.update((port, reason) for ports in asked.values() for port in ports)
            return
        now = self._clock.now()
        for ports in asked.values():
            answers.bindings.update(dict.fromkeys(ports, ()))
        for row in rows:
            for port in asked.get(network_form(f"{row[0]}@{row[1]}"), ()):
                binding = _binding(row, self._settings.name, port)
                if binding is not None and binding.live(now):
                    answers.bindings[port] += (binding,)


def _connected(url: str, seconds: float) -> psycopg.Connection:
    limit = int(seconds * 1000)
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=max(2, int(seconds)),
        options=f"-c statement_timeout={limit} -c default_transaction_read_only=on",
        application_name="devlib",
        client_encoding="utf8",
    )


def _why(error: psycopg.Error) -> Message:
    # The text of a failed connection names host, port and user, but never the password.
    text = clean_text(str(error).partition("\n")[0], 200) or type(error).__name__
    return message("The database of the registrar does not answer: {error}", error=text)


def _no_domain(where: str) -> NetworkUnreachable:
    return NetworkUnreachable(
        message("The table keeps bindings without a domain."),
        where=where,
        remedy=message("Set usrloc `use_domain` to 1: line ports are user@domain."),
    )


def _binding(row: Sequence[Any], registrar: str, line_port: str | None) -> Binding | None:
    username, domain, contact, expires, modified, user_agent, received, call_id, cseq, instance, path = row
    if not isinstance(expires, int):
        return None
    said = clean_text(instance)
    return Binding(
        line_port or f"{username}@{domain}",
        clean_text(contact) or "",
        None if expires == 0 else clean_moment(max(1, min(expires, _LAST_SECOND))),
        clean_moment(modified),
        clean_text(user_agent, USER_AGENT_LIMIT),
        clean_text(received),
        clean_text(call_id),
        clean_integer(cseq),
        said.strip("<>") if said else None,
        clean_text(path),
        registrar,
    )


def _from_whole(row: dict[str, Any], registrar: str) -> Binding:
    moments = {name: row[name].replace(tzinfo=UTC) if row[name] else None for name in _SECONDS}
    texts = {name: row[name] for name in ("user_agent", "received", "call_id", "instance")}
    return Binding(row["line_port"], row["contact"], registrar=registrar, **moments, **texts)


def _read_csv(copied: bytearray, where: str) -> pa.Table:
    names = ["line_port", "contact", "user_agent", "received", "instance", "call_id", *_SECONDS]
    if not copied:
        return WHOLE.empty_table()
    types: dict[str, pa.DataType] = {name: pa.string() for name in names}
    types |= {name: pa.int64() for name in _SECONDS}
    try:
        table = csv.read_csv(
            pa.py_buffer(copied),
            # With threads it takes twice the processor's time, of which other work needs the half.
            csv.ReadOptions(column_names=names, use_threads=False),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=types,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid:
        raise NetworkUnreachable(_UNREADABLE, where=where) from None
    if pc.any(pc.ends_with(table.column("line_port"), "@")).as_py():
        raise _no_domain(where)
    return pa.table(dict(_cleaned(table)), schema=WHOLE)


def _cleaned(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    for field in WHOLE:
        column = table.column(field.name)
        if field.name in _SECONDS:
            yield field.name, column.cast(pa.timestamp("s")).cast(field.type)
            continue
        limit = USER_AGENT_LIMIT if field.name == "user_agent" else TEXT_LIMIT
        column = _clean(column, limit)
        if field.name == "instance":
            column = pc.utf8_trim(column, characters="<>")
        if field.name != "line_port":
            column = pc.if_else(pc.is_in(column, _ABSENT), pa.scalar(None, pa.string()), column)
        if field.name == "contact":
            column = pc.fill_null(column, "")
        yield field.name, column


def _clean(column: pa.ChunkedArray, limit: int) -> pa.ChunkedArray:
    """Return the texts as `clean_text` gives them; only those that need it are gone through one by one."""
    plain = pc.and_(pc.ascii_is_printable(column), pc.less_equal(pc.binary_length(column), limit))
    rest = pc.fill_null(pc.invert(plain), fill_value=False)
    if not pc.any(rest).as_py():
        return column
    cleaned = [clean_text(each, limit) or "" for each in column.filter(rest).to_pylist()]
    return pc.replace_with_mask(
        column.combine_chunks(), rest.combine_chunks(), pa.array(cleaned, pa.string())
    )
