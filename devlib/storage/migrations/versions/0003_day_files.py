"""Files that hold a whole closed day: its observations in one file, and its state periods."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and to each snapshot the day file that its rows moved to."""
    op.create_table(
        "day_files",
        sa.Column("id", _long(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("layout", sa.Integer(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("newest_entry", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_files")),
        sa.UniqueConstraint("path", name=op.f("uq_day_files_path")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_day_files_since"), "day_files", ["since"])
    op.add_column("snapshots", sa.Column("day_file_id", _long(), nullable=True))


def downgrade() -> None:
    """Take them away; snapshots whose rows moved to a day file go too, for their own files are gone."""
    op.execute(sa.text("DELETE FROM snapshots WHERE day_file_id IS NOT NULL"))
    with op.batch_alter_table("snapshots") as table:
        table.drop_column("day_file_id")
    op.drop_table("day_files")


def _long() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
