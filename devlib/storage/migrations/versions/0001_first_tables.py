"""The first tables: organisation, fleet, identities, audit and the manifest of snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Children before their parents: the order in which they can be dropped.
_TABLES = (
    "snapshots", "audit", "identities", "lines", "devices",
    "approved_types", "sites", "customers", "providers",
)  # fmt: skip


def upgrade() -> None:
    """Make all tables."""
    _make_organisation()
    _make_devices()
    _make_lines()
    _make_ledger()
    _make_snapshots()


def downgrade() -> None:
    """Drop all tables, with everything in them."""
    for name in _TABLES:
        op.drop_table(name)


def _long() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key() -> sa.Column[int]:
    return sa.Column("id", _long(), sa.Identity(), nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*(columns or ("id",)), name=op.f(f"pk_{table}"))


def _once(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _points(table: str, column: str) -> sa.ForeignKeyConstraint:
    target = column.removesuffix("_id") + "s.id"
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _make_organisation() -> None:
    op.create_table(
        "providers",
        _key(),
        *_texts("name"),
        sa.Column("line_state_export", sa.Boolean(), server_default=sa.false(), nullable=False),
        _primary("providers"),
        _once("providers", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "customers",
        _key(),
        sa.Column("provider_id", _long(), nullable=False),
        *_texts("name"),
        _points("customers", "provider_id"),
        _primary("customers"),
        _once("customers", "provider_id", "name"),
        sqlite_autoincrement=True,
    )
    _make_sites()


def _make_sites() -> None:
    op.create_table(
        "sites",
        _key(),
        sa.Column("customer_id", _long(), nullable=False),
        *_texts("name", "folded_name"),
        _points("sites", "customer_id"),
        _primary("sites"),
        _once("sites", "customer_id", "folded_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "approved_types",
        sa.Column("site_id", _long(), nullable=False),
        *_texts("device_type"),
        _points("approved_types", "site_id"),
        _primary("approved_types", "site_id", "device_type"),
    )


def _make_devices() -> None:
    op.create_table(
        "devices",
        _key(),
        sa.Column("site_id", _long(), nullable=False),
        sa.Column("mac", sa.BigInteger(), nullable=False),
        *_texts("device_type", "name", "description", "base_station_id", "chain_id"),
        _moment("created_at"),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("mac > 0 AND mac < 281474976710656", name=op.f("ck_devices_mac")),
        _points("devices", "site_id"),
        _primary("devices"),
        _once("devices", "mac"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_devices_site_id"), "devices", ["site_id"])


def _make_lines() -> None:
    op.create_table(
        "lines",
        _key(),
        sa.Column("device_id", _long(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        *_texts("line_port", "line_type", "user_id", "first_name", "last_name", "phone_number", "extension"),
        sa.CheckConstraint("port >= 1", name=op.f("ck_lines_port")),
        _points("lines", "device_id"),
        _primary("lines"),
        _once("lines", "device_id", "port"),
        _once("lines", "line_port"),
        sqlite_autoincrement=True,
    )


def _make_ledger() -> None:
    op.create_table(
        "identities",
        *_texts("principal", "role"),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("provider", "customer", "sites")),
        _primary("identities", "principal"),
    )
    op.create_table(
        "audit",
        _key(),
        _moment("at"),
        *_texts("principal", "role", "session", "act", "target", "outcome", "detail"),
        _primary("audit"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])


def _make_snapshots() -> None:
    parts = ("provider_id", "customer_id", "site_id")
    op.create_table(
        "snapshots",
        _key(),
        *_texts("path"),
        *(sa.Column(name, _long(), nullable=True) for name in parts),
        _moment("observed_at"),
        _moment("finished_at"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "bytes")),
        _moment("retired_at", nullable=True),
        *(_points("snapshots", name) for name in parts),
        _primary("snapshots"),
        _once("snapshots", "path"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_snapshots_observed_at"), "snapshots", ["observed_at"])
