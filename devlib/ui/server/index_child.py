"""One writing of the line index, in a process of its own: its memory is given back when it ends."""

import os
import sys

from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.errors import DevlibError
from devlib.model import EVERYTHING
from devlib.portal import VIEW_COLUMNS, open_services

_NICE = 5


def main() -> int:
    """Write the index of the newest states; return 0 where there is one."""
    os.nice(_NICE)  # people who wait for a page come first
    settings = load_settings()
    services = open_services(settings, SystemClock())
    try:
        if snapshots := services.lake.current(EVERYTHING):
            columns = ("provider", *VIEW_COLUMNS)
            services.line_indexes.write(services.lake, snapshots, columns, services.clock.now())
    except DevlibError as error:
        print(error.in_language(settings.language), file=sys.stderr)  # noqa: T201 - the server's log
        return error.exit_code
    finally:
        services.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
