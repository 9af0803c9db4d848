"""Fixtures of the collection's tests."""

from portal_home import home

__all__ = ["home"]
