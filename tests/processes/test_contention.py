"""Many processes at once on one home: nobody ever meets a lock."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from portal_home import home

__all__ = ["home"]

SECONDS = float(os.environ.get("DEVLIB_TORTURE_SECONDS", "8"))
PROCESSES = 16

# The libraries are loaded once; then each process is forked, plays one part in a loop until the time is over,
# and prints in one line what it did and every error.
CREW = """
    import json, os, sys, time, traceback
    from pathlib import Path

    from devlib.clock import SystemClock
    from devlib.config import Settings, SimulatorSettings
    from devlib.errors import ExportQueueTimeout, ExportRejected
    from devlib.export import ReportRequest
    from devlib.model import Identity, Role
    from devlib.portal import connect

    home, processes, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    parts = ["collect", "query", "export", "snapshot export", "change", "look"]

    def play(part, number, end):
        done, errors = 0, []
        settings = Settings(home=home, account="tester", networks=(SimulatorSettings(gaps=False),))
        identity = Identity(f"{part}-{number}", Role.SERVICE_PROVIDER)
        out = home / "out" / str(number)
        acts = {
            "collect": lambda p: p.collect("Bakery"),
            "query": lambda p: p.sql("SELECT state, count(*) FROM observations GROUP BY state"),
            "export": lambda p: p.export_line_states(ReportRequest("Bakery"), out),
            "snapshot export": lambda p: p.export_line_states(
                ReportRequest("Clinic"), out, from_snapshot=True
            ),
            "change": lambda p: p.remove(
                p.add(f"00:15:65:{number:02X}:00:01", "Nice", "8851", customer="Bakery").mac
            ),
            "look": lambda p: p.devices("Bakery"),
        }
        while time.time() < end:
            try:
                with connect(identity, settings=settings) as portal:
                    for _ in range(5):
                        if time.time() < end:
                            acts[part](portal)
                            done += 1
            except (ExportRejected, ExportQueueTimeout):
                # The queue's own honest answer under load; it is no lock.
                done += 1
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
        return {"part": part, "done": done, "errors": errors}

    end, children = time.time() + seconds, []
    for number in range(processes):
        children.append(os.fork())
        if children[-1] == 0:
            code = 1
            try:
                told = json.dumps(play(parts[number % 6], number, end))
                os.write(1, (told + chr(10)).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
    sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


@pytest.mark.torture
@pytest.mark.timeout(SECONDS + 300)
def test_sixteen_processes_never_meet_a_lock(home):
    """Processes that export, collect, query and change at the same time all succeed, all the time."""
    home.portal().collect()
    words = [str(home.folder), str(PROCESSES), str(SECONDS)]
    crew = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CREW), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 250,
    )
    assert crew.returncode == 0, crew.stderr
    results = [json.loads(line) for line in crew.stdout.splitlines()]
    assert len(results) == PROCESSES
    assert [each for each in results if each["errors"]] == []
    assert all(each["done"] > 0 for each in results), results
    # What readers saw is still whole: every snapshot of the manifest can be read.
    frame = home.portal().sql("SELECT count(*) AS n FROM observations")
    assert frame["n"][0] > 24
