"""`devlib serve` as a process: starts, answers, logs JSON lines, and ends in order on SIGTERM."""

import json
import os
import subprocess
import sys

import httpx


def test_the_command_serves_and_ends_in_order(tmp_path):
    """It says where it listens, answers there, and exits with 0 after SIGTERM, each log line being JSON."""
    environment = {**os.environ, "DEVLIB_HOME": str(tmp_path / "home"), "DEVLIB_LANGUAGE": "en"}
    command = [sys.executable, "-c", "import sys; from devlib.cli import main; sys.exit(main())"]
    with subprocess.Popen(
        [*command, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        serving = json.loads(process.stderr.readline())
        assert (serving["event"], serving["host"]) == ("serving", "127.0.0.1")
        address = f"http://127.0.0.1:{serving['port']}"
        answer = httpx.get(f"{address}/health", trust_env=False, timeout=60)
        assert answer.json() == {"status": "alive"}
        assert "server" not in answer.headers
        process.terminate()
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 0
    events = [json.loads(line)["event"] for line in rest.splitlines()]
    assert events[-1] == "stopped"
    assert "request" in events
