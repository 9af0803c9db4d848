"""The service: the portal over HTTP, for programs and customers' own scripts."""

from devlib.api.application import create_application

__all__ = ["create_application"]
