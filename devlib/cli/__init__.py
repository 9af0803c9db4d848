"""The command `devlib`."""

from devlib.cli.main import COMMANDS, main

__all__ = ["COMMANDS", "main"]
