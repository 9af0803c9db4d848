"""Who holds a lease, and since when, in words for people."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add where the holder of a lease runs, and since when it holds it, as far as it is known."""
    op.add_column("leases", sa.Column("place", sa.Text(), nullable=False, server_default=""))
    op.add_column("leases", sa.Column("since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Take the columns away."""
    with op.batch_alter_table("leases") as table:
        table.drop_column("since")
        table.drop_column("place")
