"""The audit: entries that can only be added, each one chained to the one before.

The digest of an entry covers its values and the digest of the entry before it, so that whoever changes,
removes or inserts one must write all later ones anew; `audit_head` tells how many there are. The database
itself refuses changes (triggers of migration 0004). Who owns the database can still write a new chain:
against that, the end of the chain is noted elsewhere (`devlib audit-verify` prints it).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import bindparam, func, insert, select, update

from devlib.storage.connected import Connected
from devlib.storage.records import AuditEntry, NewAuditEntry
from devlib.storage.schema import audit, audit_head

_PAGE = 5_000
_NAMES = ("principal", "role", "session", "act", "target", "outcome", "detail")


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What checking the chain of the audit found.

    Args:
        entries: how many entries were checked.
        digest: the end of the chain; note it elsewhere to prove later that nothing before it changed.
        broken_at: number of the first entry that is not as it was written, 0 where entries are missing at
            the end; `None` where all is as it was written.
        known: whether the digest that was asked for is in the chain; `None` where none was.
    """

    entries: int
    digest: str
    broken_at: int | None
    known: bool | None = None

    @property
    def whole(self) -> bool:
        """Whether the audit is as it was written, and holds what it was asked for."""
        return self.broken_at is None and self.known is not False


class AuditReader(Connected):
    """Answers questions about the audit."""

    def audit_entries(self, limit: int = 100, since: datetime | None = None) -> list[AuditEntry]:
        """Return entries of the audit, newest first.

        Args:
            limit: most entries.
            since: the earliest moment, UTC; `None` for the beginning.
        """
        found = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        if since is not None:
            found = found.where(audit.c.at >= since)
        return [AuditEntry(*row) for row in self.connection.execute(found)]

    def check_audit(self, known: str = "") -> AuditCheck:
        """Compute the chain anew and compare it with what is stored.

        Args:
            known: a digest noted earlier; empty for none.
        """
        head = self.connection.execute(select(audit_head)).one()
        digest, last, count, seen = "", 0, 0, None if not known else False
        while rows := self._page(last, head.last_id):
            for row in rows:
                digest, last, count = chained(digest, row), row.id, count + 1
                if digest != row.digest:
                    return AuditCheck(count, digest, row.id, seen)
                seen = seen or (None if not known else digest == known)
        complete = count == head.entries and digest == head.digest
        return AuditCheck(count, digest, None if complete else 0, seen)

    def _page(self, after: int, until: int) -> list[AuditEntry]:
        wanted = audit.c.id.between(after + 1, until)
        rows = self.connection.execute(select(audit).where(wanted).order_by(audit.c.id).limit(_PAGE))
        return [AuditEntry(*row) for row in rows]


class AuditWriter(Connected):
    """Adds to the audit."""

    def audit(
        self,
        *,
        principal: str,
        role: str,
        session: str,
        act: str,
        target: str = "",
        outcome: str,
        detail: str = "",
    ) -> None:
        """Add an entry to the audit, dated now.

        Args:
            principal: who acted.
            role: as what.
            session: in which login session.
            act: what was done.
            target: to what: a MAC, a site, a file.
            outcome: how it ended.
            detail: more, in words.
        """
        now = self._clock.now()
        self.audit_all([NewAuditEntry(now, principal, role, session, act, target, outcome, detail)])

    def audit_all(self, entries: Sequence[NewAuditEntry]) -> None:
        """Add entries in their order; one transaction for many costs hardly more than for one."""
        # Who holds the head is the only one that appends; on SQLite the write lock says the same.
        head = self.connection.execute(_HEAD).one()
        digest, rows = head.digest, []
        for each in entries:
            values = {name: _storable(getattr(each, name)) for name in _NAMES}
            digest = chained(digest, NewAuditEntry(each.at, **values))
            rows.append({"at": each.at, **values, "digest": digest})
        # One after the other, so that the keys rise in the order of the chain.
        self.connection.execute(_ADD, rows)
        last = self.connection.execute(_LAST).scalar_one()
        change = {"entries": head.entries + len(rows), "last_id": last, "digest": digest}
        self.connection.execute(_MOVE_HEAD, change)


_HEAD = select(audit_head).with_for_update()
_ADD = insert(audit).values({name: bindparam(name) for name in ("at", *_NAMES, "digest")})
_LAST = select(func.max(audit.c.id))
_MOVE_HEAD = update(audit_head).values({name: bindparam(name) for name in ("entries", "last_id", "digest")})


def chained(before: str, entry: AuditEntry | NewAuditEntry) -> str:
    """Return the digest of an entry that follows the digest `before`."""
    at = f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
    values = [before, at, *(getattr(entry, name) for name in _NAMES)]
    return sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()


def _storable(text: str) -> str:
    """Return text as every database can keep it: an audit must not fail for what somebody typed."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
