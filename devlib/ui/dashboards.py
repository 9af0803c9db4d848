"""The dashboards by name: what the one code cell of each notebook calls."""

from importlib import import_module

from devlib.errors import UsageError
from devlib.language import message
from devlib.ui.page import Stack, dashboard_of
from devlib.ui.titles import DASHBOARDS


def dashboard(name: str) -> Stack:
    """Return a dashboard.

    Args:
        name: overview, lines, devices, exports or outages.

    Raises:
        UsageError: there is no such dashboard.
    """
    if name not in DASHBOARDS:
        raise UsageError(
            message("There is no dashboard {name}.", name=name),
            remedy=message("Choose from: {names}", names=", ".join(DASHBOARDS)),
        )
    return dashboard_of(import_module(f"devlib.ui.pages.{name}").build)
