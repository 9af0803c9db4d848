"""What people see in notebooks and dashboards."""

from devlib.ui.overview import Overview, overview

__all__ = ["Overview", "overview"]
