"""`devlib serve` as a process: starts, answers, logs JSON lines, and ends in order on SIGTERM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from devlib.api.__main__ import main as service
from devlib.cli import main
from devlib.errors import StorageUnavailable


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


class Served:
    """A service with two workers, and what it logs."""

    def __init__(self, process):
        self.process = process
        self.events = [json.loads(process.stderr.readline())]
        self.port = self.events[0]["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.events.append(json.loads(line))

    def workers(self):
        """Return the processes that said that they are workers."""
        return [each["process"] for each in list(self.events) if each["event"] == "worker"]

    def until(self, condition):
        """Wait until something holds; a minute at most."""
        until = time.monotonic() + 60
        while not (found := condition()) and time.monotonic() < until:
            time.sleep(0.05)
        assert found
        return found

    def end(self):
        """Wait for its end; return its exit code."""
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        return code


@contextmanager
def two_workers(tmp_path):
    """Run `devlib serve` with two workers."""
    environment = {**os.environ, "DEVLIB_HOME": str(tmp_path / "home"), "DEVLIB_LANGUAGE": "en"}
    command = [sys.executable, "-m", "devlib.api", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        served = Served(process)
        try:
            yield served
        finally:
            process.kill()
            served.end()  # its workers end too; until then they write into the log that is read here


def counts_in(tmp_path):
    """Return the folders in which workers of this home count."""
    return sorted((tmp_path / "home").glob(".service-counts-*"))


def counted(served):
    """Return how often `/health` was answered, as any worker tells."""
    text = httpx.get(f"{served.url}/metrics", trust_env=False, timeout=60).text
    found = re.search(r'devlib_requests_total{method="GET",route="/health",status="200"} (\d+)', text)
    return int(found[1]) if found else 0


def test_workers_count_together_are_replaced_and_end_in_order(tmp_path):
    """Two processes answer behind one address; one that is killed is started anew; SIGTERM ends all."""
    with two_workers(tmp_path) as served:
        assert served.events[0]["workers"] == 2
        served.until(lambda: len(served.workers()) == 2)
        for _ in range(20):  # each on a connection of its own
            assert httpx.get(f"{served.url}/health", trust_env=False, timeout=60).status_code == 200
        assert counted(served) == 20
        first = served.workers()[0]
        os.kill(first, signal.SIGKILL)
        served.until(lambda: len(served.workers()) == 3)
        assert httpx.get(f"{served.url}/health", trust_env=False, timeout=60).status_code == 200
        assert counted(served) == 21
        served.process.terminate()
        assert served.end() == 0
        assert served.events[-1]["event"] == "stopped"
        refused = socket.socket()
        assert refused.connect_ex(("127.0.0.1", served.port)) != 0
        refused.close()


def test_workers_end_when_the_first_process_is_killed(tmp_path):
    """Where the process that watches them is killed with -9, the address is free again soon."""
    with two_workers(tmp_path) as served:
        served.until(lambda: len(served.workers()) == 2)
        served.process.kill()
        assert served.end() == -signal.SIGKILL  # its log ends only when the last worker has ended
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", served.port))


def test_what_a_killed_service_counted_is_removed_by_the_next(tmp_path):
    """The folder of counts of a service that was killed goes; that of one that runs beside it stays."""
    with two_workers(tmp_path) as first:
        first.until(lambda: len(first.workers()) == 2)
        (of_first,) = counts_in(tmp_path)
        with two_workers(tmp_path) as second:
            second.until(lambda: len(second.workers()) == 2)
            assert of_first in counts_in(tmp_path)
            second.process.kill()
            second.end()
        assert len(counts_in(tmp_path)) == 2
        with two_workers(tmp_path) as third:
            third.until(lambda: len(third.workers()) == 2)
            assert of_first in counts_in(tmp_path)
            assert len(counts_in(tmp_path)) == 2
            third.process.terminate()
            assert third.end() == 0
        assert counts_in(tmp_path) == [of_first]


@pytest.mark.parametrize("count", [1, 2])
def test_a_service_that_cannot_keep_exports_says_so_and_ends(tmp_path, count):
    """It ends before it takes any connection or starts any worker, and says what is wrong, and where."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "service-exports").write_text("in the way")
    ended = subprocess.run(
        [sys.executable, "-m", "devlib.api", "--port", "0", "--workers", str(count)],
        env={**os.environ, "DEVLIB_HOME": str(tmp_path / "home"), "DEVLIB_LANGUAGE": "en"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == StorageUnavailable.exit_code
    (said,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert said["event"] == "not started"
    assert "service-exports" in said["text"]


@pytest.mark.parametrize("count", ["0", "65", "two", "-1", "9" * 30])
def test_a_wrong_number_of_workers_is_refused(count, capsys):
    """It says which numbers are good, and starts nothing."""
    with pytest.raises(SystemExit) as caught:
        service([f"--workers={count}"])
    assert caught.value.code == 2
    assert "from 1 to 64" in capsys.readouterr().err


def test_the_command_refuses_it_too(capsys, monkeypatch, tmp_path):
    """`devlib serve` says it in the words of the commands."""
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path / "home"))
    assert main(["serve", "--workers", "65"]) == 2
    assert "64" in capsys.readouterr().err
