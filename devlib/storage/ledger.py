"""What the inventory keeps besides the fleet: identities and the manifest of snapshots."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from devlib.errors import NotFound, UsageError
from devlib.language import message
from devlib.model import OBSERVATIONS_LAYOUT, Identity, Scope
from devlib.storage.day_ledger import DayReader, DayWriter
from devlib.storage.filters import PLACES, in_scope, in_scope_customer
from devlib.storage.manifest import Collected, Snapshot
from devlib.storage.records import identity_of
from devlib.storage.schema import (
    customers,
    day_files,
    identities,
    providers,
    sites,
    snapshots,
)

_MANIFEST_PAGE = 100
_MANIFEST = (
    snapshots.outerjoin(providers, snapshots.c.provider_id == providers.c.id)
    .outerjoin(customers, snapshots.c.customer_id == customers.c.id)
    .outerjoin(sites, snapshots.c.site_id == sites.c.id)
    .outerjoin(day_files, snapshots.c.day_file_id == day_files.c.id)
)

# Read for every act of everybody: a statement that is kept costs a third of one that is made anew.
_BY_PRINCIPAL = select(identities).where(identities.c.principal == bindparam("principal"))


class LedgerReader(DayReader):
    """Answers questions about identities and the manifest."""

    def identity(self, principal: str) -> Identity | None:
        """Return who `principal` is, without a session; `None` for nobody known."""
        row = self.connection.execute(_BY_PRINCIPAL, {"principal": principal}).one_or_none()
        return None if row is None else identity_of(*row)

    def identities(self) -> list[Identity]:
        """Return all identities, by principal."""
        found = sorted(self.connection.execute(select(identities)), key=lambda row: row.principal)
        return [identity_of(*row) for row in found]

    def manifest(
        self, scope: Scope, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Snapshot]:
        """Yield the living snapshots that may hold lines of the scope, newest first.

        Read page by page: who needs the newest only does not pay for the rest, and no writer waits meanwhile.

        Args:
            scope: the part of the fleet that is asked about.
            since: the earliest `observed_at`, UTC, itself included; `None` for the beginning.
            until: the latest, itself included; `None` for now.
        """
        found = _manifest().where(snapshots.c.retired_at.is_(None), _touches(scope)).limit(_MANIFEST_PAGE)
        if since is not None:
            found = found.where(snapshots.c.observed_at >= since)
        if until is not None:
            found = found.where(snapshots.c.observed_at <= until)
        page = found
        while rows := self.connection.execute(page).all():
            yield from map(_snapshot, rows)
            page = found.where(_older_than(rows[-1]))

    def snapshot(self, number: int) -> Snapshot:
        """Return one entry of the manifest.

        Raises:
            NotFound: it was swept away, or never was.
        """
        row = self.connection.execute(_manifest().where(snapshots.c.id == number)).one_or_none()
        if row is None:
            raise NotFound(
                message("There is no snapshot {number}.", number=number),
                remedy=message("Collect or export again."),
            )
        return _snapshot(row)

    def snapshot_paths(self, *, moved_since: datetime | None = None) -> set[str]:
        """Return the paths of all files that the manifest names, retired ones too.

        Args:
            moved_since: leave out the own files of snapshots whose rows moved to a day file before this
                moment, UTC: nobody reads them any more.
        """
        found = select(snapshots.c.path)
        if moved_since is not None:
            found = found.select_from(_MANIFEST).where(
                or_(day_files.c.made_at.is_(None), day_files.c.made_at >= moved_since)
            )
        return set(self.connection.scalars(found)) | self.day_file_paths()

    def observed_between(
        self, scope: Scope, until: datetime | None = None
    ) -> tuple[datetime, datetime] | None:
        """Return the moments of the first and the last living snapshot that touches the scope.

        Args:
            scope: the part of the fleet that is asked about.
            until: the latest moment that counts, UTC; `None` for now.
        """
        moments = (func.min(snapshots.c.observed_at), func.max(snapshots.c.observed_at))
        found = select(*moments).where(snapshots.c.retired_at.is_(None), _touches(scope))
        if until is not None:
            found = found.where(snapshots.c.observed_at <= until)
        first, last = self.connection.execute(found).one()
        return None if first is None else (first, last)

    def retired_snapshots(self, *, before: datetime) -> list[Snapshot]:
        """Return the snapshots that were retired before a moment, UTC."""
        found = _manifest().where(snapshots.c.retired_at < before)
        return [_snapshot(row) for row in self.connection.execute(found)]


class LedgerWriter(DayWriter):
    """Changes identities and the manifest."""

    def put_identity(self, identity: Identity) -> None:
        """Keep who a principal is, in the place of what was kept before; the session is not kept."""
        self.connection.execute(delete(identities).where(identities.c.principal == identity.principal))
        scope = identity.scope
        values = {
            "principal": identity.principal,
            "role": identity.role.value,
            "provider": scope.provider,
            "customer": scope.customer,
            "sites": None if scope.sites is None else json.dumps(sorted(scope.sites)),
        }
        self.connection.execute(insert(identities).values(values))

    def remove_identity(self, principal: str) -> None:
        """Forget a principal; harmless where it is unknown."""
        self.connection.execute(delete(identities).where(identities.c.principal == principal))

    def add_snapshot(
        self,
        collected: Collected,
        *,
        path: str,
        rows: int,
        bytes: int,  # noqa: A002 - the name of the column
        finished_at: datetime,
    ) -> Snapshot:
        """Enter a finished file in the manifest.

        Args:
            collected: the scope that was asked, and when.
            path: of the file, relative to the lake's folder.
            rows: lines in it.
            bytes: size of the file.
            finished_at: when the file was published, UTC.

        Returns:
            The entry, with its number.

        Raises:
            NotFound: the provider, customer or site collected does not exist (any more).
            Conflict: the manifest names that file already.
        """
        values = {
            **_keys_of(collected, self._place(collected)),
            "path": path,
            "observed_at": collected.observed_at,
            "finished_at": finished_at,
            "rows": rows,
            "bytes": bytes,
            "changes": collected.changes,
            "layout": OBSERVATIONS_LAYOUT,
        }
        key = self.connection.execute(insert(snapshots).values(values).returning(snapshots.c.id)).scalar_one()
        return Snapshot(key, path, collected, finished_at, rows, bytes, OBSERVATIONS_LAYOUT)

    def retire_snapshots(self, ids: Iterable[int], at: datetime) -> int:
        """Take snapshots out of the manifest's living ones; their files stay until they are swept.

        One whose rows are in a day file stays, for the others in that file do.

        Args:
            ids: their numbers.
            at: the moment to note, UTC.

        Returns:
            How many were taken out.
        """
        free = and_(snapshots.c.retired_at.is_(None), snapshots.c.day_file_id.is_(None))
        change = update(snapshots).where(snapshots.c.id.in_(list(ids)), free).values(retired_at=at)
        return self.connection.execute(change).rowcount

    def forget_snapshots(self, ids: Iterable[int]) -> None:
        """Remove entries from the manifest; their numbers are never used again."""
        self.connection.execute(delete(snapshots).where(snapshots.c.id.in_(list(ids))))

    def _place(self, collected: Collected) -> tuple[int | None, ...]:
        """Return the keys of what was collected: provider, customer and site."""
        sites_meant = None if collected.site is None else frozenset({collected.site})
        scope = Scope(collected.provider, collected.customer, sites_meant)
        if scope == Scope():
            return (None, None, None)
        keys = (providers.c.id, customers.c.id, sites.c.id)
        whole = providers.outerjoin(customers).outerjoin(sites, sites.c.customer_id == customers.c.id)
        found = select(*keys).select_from(whole).where(in_scope(scope))
        rows = self.connection.execute(found).all()
        name = collected.site or collected.customer or collected.provider
        if not rows:
            raise NotFound(message("{name} is not in the inventory any more.", name=name))
        if collected.customer is not None and len({row[1] for row in rows}) > 1:
            raise UsageError(
                message("Several service providers have a customer {name}.", name=collected.customer),
                remedy=message("Name the service provider too."),
            )
        return tuple(rows[0])


def _keys_of(collected: Collected, place: tuple[int | None, ...]) -> dict[str, int | None]:
    columns = ("provider_id", "customer_id", "site_id")
    names = (collected.provider, collected.customer, collected.site)
    # Only what was named is kept, so that the entry is read again as it was given.
    return {column: key if name else None for column, name, key in zip(columns, names, place, strict=True)}


def _manifest() -> Select[Any]:
    names = (providers.c.name, customers.c.name, sites.c.name)
    columns = [each.label(kind) for each, kind in zip(names, ("provider", "customer", "site"), strict=True)]
    columns += [day_files.c.path.label("day_path"), day_files.c.layout.label("day_layout")]
    newest_first = (snapshots.c.observed_at.desc(), snapshots.c.id.desc())
    return select(snapshots, *columns).select_from(_MANIFEST).order_by(*newest_first)


def _touches(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a snapshot may hold lines of the scope."""
    if scope == Scope():
        return true()
    cuts = []
    visible_customers = customers.join(providers)
    chosen = {
        snapshots.c.provider_id: select(providers.c.id).select_from(visible_customers),
        snapshots.c.customer_id: select(customers.c.id).select_from(visible_customers),
    }
    for column, keys in chosen.items():
        cuts.append(or_(column.is_(None), column.in_(keys.where(in_scope_customer(scope)).correlate(None))))
    theirs = select(sites.c.id).select_from(PLACES).where(in_scope(scope)).correlate(None)
    return and_(*cuts, or_(snapshots.c.site_id.is_(None), snapshots.c.site_id.in_(theirs)))


def _older_than(row: Row[Any]) -> ColumnElement[bool]:
    same_moment = and_(snapshots.c.observed_at == row.observed_at, snapshots.c.id < row.id)
    return or_(snapshots.c.observed_at < row.observed_at, same_moment)


def _snapshot(row: Row[Any]) -> Snapshot:
    collected = Collected(row.provider, row.customer, row.site, row.observed_at, row.changes)
    moved = row.day_file_id is not None
    path, layout = (row.day_path, row.day_layout) if moved else (row.path, row.layout)
    return Snapshot(row.id, path, collected, row.finished_at, row.rows, row.bytes, layout, moved)
