"""Many processes at once on one home: nobody ever meets a lock."""

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest
from portal_home import home

__all__ = ["home"]

SECONDS = float(os.environ.get("DEVLIB_TORTURE_SECONDS", "8"))
PROCESSES = 16

# Each process plays one part in a loop until the time is over, and prints what it did and every error.
WORKER = """
    import json, sys, time
    from pathlib import Path

    from devlib.clock import SystemClock
    from devlib.config import Settings, SimulatorSettings
    from devlib.errors import ExportQueueTimeout, ExportRejected
    from devlib.export import ReportRequest
    from devlib.model import Identity, Role
    from devlib.portal import connect

    home, part = Path(sys.argv[1]), sys.argv[2]
    done, errors = 0, []
    settings = Settings(home=home, account="tester", networks=(SimulatorSettings(gaps=False),))
    identity = Identity(f"{part}-{sys.argv[3]}", Role.SERVICE_PROVIDER)
    acts = {
        "collect": lambda p: p.collect("Bakery"),
        "query": lambda p: p.sql("SELECT state, count(*) FROM observations GROUP BY state"),
        "export": lambda p: p.export_line_states(ReportRequest("Bakery"), home / "out" / sys.argv[3]),
        "snapshot export": lambda p: p.export_line_states(
            ReportRequest("Clinic"), home / "out" / sys.argv[3], from_snapshot=True
        ),
        "change": lambda p: p.remove(
            p.add(f"00:15:65:{int(sys.argv[3]):02X}:00:01", "Nice", "8851", customer="Bakery").mac
        ),
        "look": lambda p: p.devices("Bakery"),
    }
    print("ready", flush=True)
    end = float(sys.stdin.readline())
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
    print(json.dumps({"part": part, "done": done, "errors": errors}))
"""


@pytest.mark.torture
@pytest.mark.timeout(SECONDS + 300)
def test_sixteen_processes_never_meet_a_lock(home):
    """Processes that export, collect, query and change at the same time all succeed, all the time."""
    home.portal().collect()
    parts = ["collect", "query", "export", "snapshot export", "change", "look"]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), str(home.folder), parts[n % 6], str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    # They start together, once all have loaded their libraries.
    assert [process.stdout.readline() for process in running] == ["ready\n"] * PROCESSES
    end = time.time() + SECONDS
    results = []
    for process in running:
        process.stdin.write(f"{end}\n")
        process.stdin.flush()
    for process in running:
        out, err = process.communicate(timeout=SECONDS + 250)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
    assert [each for each in results if each["errors"]] == []
    assert all(each["done"] > 0 for each in results), results
    # What readers saw is still whole: every snapshot of the manifest can be read.
    frame = home.portal().sql("SELECT count(*) AS n FROM observations")
    assert frame["n"][0] > 24
