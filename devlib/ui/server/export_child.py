"""One export of the dashboards, in a process of its own: its memory and its time are nobody else's.

It reads one request from its input, passes the portal like every other export (authorised, audited, admitted),
and tells on its output, one JSON value on each line, where it stands. SIGTERM cancels it.
"""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.errors import DevlibError
from devlib.export import Progress, ReportRequest
from devlib.language import Language
from devlib.portal import open_services, sign_in
from devlib.ui.link import LineQuery


def main() -> int:
    """Export what the input says; return 0 where there is a file."""
    signal.signal(signal.SIGTERM, _interrupt)
    wanted: dict[str, Any] = json.loads(sys.stdin.readline())
    language: Language = "fr" if wanted["language"] == "fr" else "en"
    try:
        _export(wanted, language)
    except DevlibError as error:
        tell(
            {
                "kind": "error",
                "status": error.http_status,
                "text": error.in_language(language),
                "retry_after": error.retry_after,
            }
        )
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _export(wanted: dict[str, Any], language: Language) -> None:
    settings = load_settings().model_copy(update={"language": language})
    services = open_services(settings, SystemClock())
    try:
        portal = sign_in(services, wanted["principal"], wanted["session"])
        query = LineQuery.from_values(wanted["query"])
        request = ReportRequest(query.customer, query.site, query.line_filter(services.clock), language)
        report = portal.export_line_states(
            request, Path(wanted["folder"]), progress=_asked, waiting=_waits, idempotency=wanted["id"]
        )
        tell({"kind": "done", "name": report.path.name, "rows": report.rows})
    finally:
        services.close()


def _asked(done: int, total: int) -> None:
    tell({"kind": "asked", "done": done, "total": total})


def _waits(progress: Progress) -> None:
    tell(
        {
            "kind": "waiting",
            "place": progress.place,
            "seconds": round(progress.seconds_to_go, 1),
            "delayed": progress.delayed,
        }
    )


def tell(value: dict[str, Any]) -> None:
    """Write one line for the server."""
    print(json.dumps(value), flush=True)  # noqa: T201 - what the server reads


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as `signal` calls it
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
