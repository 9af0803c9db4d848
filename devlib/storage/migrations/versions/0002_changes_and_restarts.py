"""Entries of the manifest that hold single changed lines, the version of their columns, and restart runs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables."""
    flag: sa.Column[bool] = sa.Column("changes", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("snapshots", flag)
    op.add_column("snapshots", sa.Column("layout", sa.Integer(), nullable=False, server_default="1"))
    _make_restart_runs()
    _make_restart_devices()


def downgrade() -> None:
    """Take them away, with everything in them."""
    op.drop_table("restart_devices")
    op.drop_table("restart_runs")
    op.execute(sa.text("DELETE FROM snapshots WHERE changes"))
    with op.batch_alter_table("snapshots") as table:
        table.drop_column("layout")
        table.drop_column("changes")


def _long() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _make_restart_runs() -> None:
    op.create_table(
        "restart_runs",
        sa.Column("id", _long(), sa.Identity(), nullable=False),
        _moment("created_at", nullable=False),
        *_texts("principal", "target", "scope", "state", "reason"),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("canary", sa.Integer(), nullable=False),
        sa.Column("stop_after", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("stop_share", "patience")),
        sa.Column("answer_seconds", sa.Float(), nullable=False),
        sa.Column("window", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text()),
        _moment("held_until"),
        _moment("finished_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restart_runs")),
        sqlite_autoincrement=True,
    )


def _make_restart_devices() -> None:
    op.create_table(
        "restart_devices",
        sa.Column("run_id", _long(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        *_texts("mac", "device_type", "provider", "customer", "site", "network", "line_port", "event"),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("boot_seconds", "confirm_seconds")),
        sa.Column("canary", sa.Boolean(), nullable=False),
        *_texts("state", "outcome", "reason"),
        sa.Column("code", sa.Integer()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _moment("sent_at"),
        *_texts("calls_before", "phone_before"),
        _moment("ended_at"),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_restart_devices")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["restart_runs.id"], name=op.f("fk_restart_devices_run_id"), ondelete="CASCADE"
        ),
    )
    for column in ("mac", "sent_at"):
        op.create_index(op.f(f"ix_restart_devices_{column}"), "restart_devices", [column])
