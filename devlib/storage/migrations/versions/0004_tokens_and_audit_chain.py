"""Tokens of the HTTP service, and an audit that can only be appended to, each entry chained to the last."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PAGE = 5_000


def upgrade() -> None:
    """Add the tables, chain what the audit holds already, and shut it against changes."""
    _make_tokens()
    digest: sa.Column[str] = sa.Column("digest", sa.Text(), nullable=False, server_default="")
    op.add_column("audit", digest)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    _chain_what_is_there()
    for statement in _SHUT[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Open the audit again, and take tokens and chain away."""
    for statement in _OPEN[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))
    op.drop_table("audit_head")
    with op.batch_alter_table("audit") as table:
        table.drop_column("digest")
    op.drop_table("api_tokens")


def _make_tokens() -> None:
    def moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
        return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)

    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("principal", "digest", "label")),
        sa.Column("created_by", sa.Text(), nullable=False),
        moment("created_at", nullable=False),
        moment("expires_at", nullable=False),
        moment("revoked_at"),
        moment("last_used_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
    )
    op.create_index(op.f("ix_api_tokens_principal"), "api_tokens", ["principal"])


def _chain_what_is_there() -> None:
    # Written out once more: a migration must not change when the code of today does.
    names = ("at", "principal", "role", "session", "act", "target", "outcome", "detail")
    audit = sa.table("audit", sa.column("id"), sa.column("digest"), *map(sa.column, names))
    moment = sa.column("at", sa.DateTime(timezone=True))
    connection = op.get_bind()
    digest, entries, last = "", 0, 0
    while True:
        found = sa.select(audit.c.id, moment, *(audit.c[name] for name in names[1:])).select_from(audit)
        rows = connection.execute(found.where(audit.c.id > last).order_by(audit.c.id).limit(_PAGE)).all()
        if not rows:
            break
        for row in rows:
            at = f"{row.at:%Y-%m-%dT%H:%M:%S.%f}" if row.at.tzinfo is None else _utc(row.at)
            values = [digest, at, *row[2:]]
            digest = sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()
            connection.execute(sa.update(audit).where(audit.c.id == row.id).values(digest=digest))
            entries, last = entries + 1, row.id
    head = sa.table("audit_head", *map(sa.column, ("id", "entries", "last_id", "digest")))
    connection.execute(sa.insert(head).values(id=1, entries=entries, last_id=last, digest=digest))


def _utc(moment: object) -> str:
    from datetime import UTC  # noqa: PLC0415 - PostgreSQL only

    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"  # type: ignore[attr-defined]


_SHUT = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit can only be appended to'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        (
            "CREATE FUNCTION devlib_audit_is_shut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'the audit can only be appended to'; END $$"
        ),
        (
            "CREATE TRIGGER audit_is_shut BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION devlib_audit_is_shut()"
        ),
        (
            "CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION devlib_audit_is_shut()"
        ),
    ],
}
_OPEN = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": [
        "DROP TRIGGER audit_is_shut ON audit",
        "DROP TRIGGER audit_is_not_emptied ON audit",
        "DROP FUNCTION devlib_audit_is_shut()",
    ],
}
