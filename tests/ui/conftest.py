"""Fixtures of the widgets' and the dashboards' tests."""

from dashboards_fixture import served

__all__ = ["served"]
