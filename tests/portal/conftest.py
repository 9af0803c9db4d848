"""Fixtures of the portal's tests."""

from portal_home import home

__all__ = ["home"]
