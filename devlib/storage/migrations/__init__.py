"""Alembic migrations of the inventory."""
