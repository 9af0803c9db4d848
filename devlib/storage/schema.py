"""The tables of the inventory, as SQLite and PostgreSQL both hold them.

What must be true stands here as a constraint: a MAC once, a line port once, a port of a device once, no line
without its device. Keys of lines are never used again, because snapshots keep them for ever.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

HEAD = "0006"
"""The newest migration; a test holds it against the folder of migrations."""

_NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps it without its zone, PostgreSQL with it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC; one without a zone is refused, for nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored moment with zone UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _key() -> Column[int]:
    # SQLite counts up by itself only in INTEGER, PostgreSQL wants the room of BIGINT.
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column("id", kind, Identity(), primary_key=True)


def _reference(name: str, *, nullable: bool = False) -> Column[int]:
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, ForeignKey(f"{name.removesuffix('_id')}s.id"), nullable=nullable)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


metadata = MetaData(naming_convention=_NAMES)

providers = Table(
    "providers",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True),
    Column("line_state_export", Boolean, nullable=False, server_default=false()),
    sqlite_autoincrement=True,
)

customers = Table(
    "customers",
    metadata,
    _key(),
    _reference("provider_id"),
    _text("name"),
    UniqueConstraint("provider_id", "name"),
    sqlite_autoincrement=True,
)

sites = Table(
    "sites",
    metadata,
    _key(),
    _reference("customer_id"),
    _text("name"),
    _text("folded_name"),
    UniqueConstraint("customer_id", "folded_name"),
    sqlite_autoincrement=True,
)

approved_types = Table(
    "approved_types",
    metadata,
    Column("site_id", sites.c.id.type, ForeignKey("sites.id"), primary_key=True),
    Column("device_type", Text, primary_key=True),
)

devices = Table(
    "devices",
    metadata,
    _key(),
    _reference("site_id"),
    Column("mac", BigInteger, nullable=False, unique=True),
    _text("device_type"),
    _text("name"),
    _text("description"),
    _text("base_station_id"),
    _text("chain_id"),
    Column("created_at", Moment, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint("mac > 0 AND mac < 281474976710656", name="mac"),
    Index(None, "site_id"),
    sqlite_autoincrement=True,
)

lines = Table(
    "lines",
    metadata,
    _key(),
    _reference("device_id"),
    Column("port", Integer, nullable=False),
    Column("line_port", Text, nullable=False, unique=True),
    _text("line_type"),
    _text("user_id"),
    _text("first_name"),
    _text("last_name"),
    _text("phone_number"),
    _text("extension"),
    CheckConstraint("port >= 1", name="port"),
    UniqueConstraint("device_id", "port"),
    sqlite_autoincrement=True,
)

identities = Table(
    "identities",
    metadata,
    Column("principal", Text, primary_key=True),
    _text("role"),
    Column("provider", Text),
    Column("customer", Text),
    Column("sites", Text),  # a JSON list of names; NULL for all sites
)

audit = Table(
    "audit",
    metadata,
    _key(),
    Column("at", Moment, nullable=False, index=True),
    _text("principal"),
    _text("role"),
    _text("session"),
    _text("act"),
    _text("target"),
    _text("outcome"),
    _text("detail"),
    Column("digest", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

# One row: how many entries the audit has, the key of the newest one, and the end of the chain.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("entries", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    _text("digest"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal", Text, nullable=False, index=True),
    _text("digest"),
    _text("label"),
    _text("created_by"),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)

snapshots = Table(
    "snapshots",
    metadata,
    _key(),
    Column("path", Text, nullable=False, unique=True),
    _reference("provider_id", nullable=True),
    _reference("customer_id", nullable=True),
    _reference("site_id", nullable=True),
    Column("observed_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("retired_at", Moment),
    Column("changes", Boolean, nullable=False, server_default=false()),
    Column("layout", Integer, nullable=False, server_default="1"),
    # The day file in which its rows are now; the path stays that of its own file, which is swept away.
    Column("day_file_id", BigInteger().with_variant(Integer, "sqlite")),
    Index(None, "observed_at"),
    sqlite_autoincrement=True,
)

day_files = Table(
    "day_files",
    metadata,
    _key(),
    _text("kind"),
    Column("path", Text, nullable=False, unique=True),
    Column("since", Moment, nullable=False, index=True),
    Column("until", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("layout", Integer, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("newest_entry", BigInteger, nullable=False),
    Column("retired_at", Moment),
    sqlite_autoincrement=True,
)

restart_runs = Table(
    "restart_runs",
    metadata,
    _key(),
    Column("created_at", Moment, nullable=False),
    _text("principal"),
    _text("target"),
    _text("scope"),  # provider, customer and sites as JSON
    _text("state"),
    _text("reason"),
    Column("rate", Float, nullable=False),
    Column("canary", Integer, nullable=False),
    Column("stop_after", Integer, nullable=False),
    Column("stop_share", Float, nullable=False),
    Column("patience", Float, nullable=False),
    Column("answer_seconds", Float, nullable=False),
    Column("window", Integer, nullable=False),
    Column("holder", Text),
    Column("held_until", Moment),
    Column("finished_at", Moment),
    sqlite_autoincrement=True,
)

restart_devices = Table(
    "restart_devices",
    metadata,
    Column(
        "run_id",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("restart_runs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("position", Integer, primary_key=True),
    _text("mac"),
    _text("device_type"),
    _text("provider"),
    _text("customer"),
    _text("site"),
    _text("network"),
    _text("line_port"),
    _text("event"),
    Column("boot_seconds", Float, nullable=False),
    Column("confirm_seconds", Float, nullable=False),
    Column("canary", Boolean, nullable=False),
    _text("state"),
    _text("outcome"),
    _text("reason"),
    Column("code", Integer),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Moment),
    _text("calls_before"),  # Call-IDs as a JSON list
    _text("phone_before"),
    Column("ended_at", Moment),
    Index(None, "mac"),
    Index(None, "sent_at"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("holder"),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    # For people only, who want to know who leads: no rule reads them.
    Column("place", Text, nullable=False, server_default=""),
    Column("since", Moment),
)

# One row where this inventory was copied from another one, or is being copied.
copies = Table(
    "copies",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("source"),
    Column("begun_at", Moment, nullable=False),
    Column("finished_at", Moment),
)
