"""Starts real processes that export, and prints what each of them met: `python crew.py < plan.json`.

The plan holds the database's URL, the folder, the policy and the workers. The script imports once and forks,
since importing twenty times would take longer than the exports.
"""

import json
import os
import sys
import time
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import ExportPolicy
from devlib.errors import DevlibError
from devlib.export.admission import ExportKey
from devlib.export.coordinator import open_coordinator
from devlib.export.coordinator_values import ExportRequest
from devlib.export.coordinator_waiting import acquire

SETTLING = 1.5


def export(coordinator, worker, report):
    """Make one export as the worker's plan says."""
    key = ExportKey("Opale", worker["customer"], worker.get("site"))
    request = ExportRequest(worker["session"], worker["session"], key)
    with acquire(coordinator, request, authorise=lambda: None) as grant:
        report.update(began=time.monotonic(), granted=grant.at, real=grant.real)
        if grant.real:
            time.sleep(worker.get("seconds", 1.0))
            if worker.get("fails"):
                raise ConnectionError("the network does not answer")
            grant.finish(worker["session"])
        report.update(http=200, ref=grant.result)


def work(plan, worker, start):
    """Run one worker, and print one line."""
    policy = ExportPolicy(**plan.get("policy", {}))
    coordinator = open_coordinator(plan["url"], Path(plan["folder"]), policy, SystemClock())
    time.sleep(max(0.0, start + worker.get("after", 0.0) - time.monotonic()))
    report = {"session": worker["session"], "asked": time.monotonic()}
    try:
        export(coordinator, worker, report)
    except DevlibError as error:
        report.update(http=error.http_status, retry_after=error.retry_after)
    report["answered"] = time.monotonic()
    os.write(1, (json.dumps(report) + "\n").encode())


def main():
    """Fork the workers and wait for them."""
    plan = json.load(sys.stdin)
    if plan["url"].startswith("postgresql"):
        import devlib.export.postgresql_coordinator  # noqa: F401 - once here, not in each worker
    start = time.monotonic() + SETTLING
    children = []
    for worker in plan["workers"]:
        child = os.fork()
        if child == 0:
            try:
                work(plan, worker, start)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
