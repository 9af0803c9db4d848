"""Fixtures of the collection's tests."""

from kamailio_fixture import kamailio
from portal_home import home
from postgresql_fixture import postgresql

__all__ = ["home", "kamailio", "postgresql"]
