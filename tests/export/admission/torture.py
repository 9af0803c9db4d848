"""Many processes under fire, judged from outside: `torture.py URL FOLDER PROCESSES SECONDS SEED`.

Processes export, cancel, fail, are killed with -9 and stopped for a while, at any instant. Each writes down
when it held a slot; the judge adds when he killed it, and looks only at these intervals. Prints one JSON
object; `faults` must be empty.
"""

import itertools
import json
import mmap
import os
import random
import signal
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from devlib.clock import SystemClock
from devlib.config import ExportPolicy
from devlib.errors import DevlibError, StorageUnavailable
from devlib.export.admission import ExportKey
from devlib.export.coordinator import open_coordinator
from devlib.export.coordinator_values import ExportRequest
from devlib.export.coordinator_waiting import acquire

POLICY = ExportPolicy(period=0.5, cache_ttl=0.5, queue_timeout=10.0)
IDLE, WAITING, HOLDING = 0, 1, 2
PATIENCE = 30.0
FROZEN = 0.6


class GivenUp(Exception):
    """A worker changes its mind."""


class Worker:
    """One process that exports until its time is over."""

    def __init__(self, coordinator, phases, place, log, seed, pause):
        self.coordinator, self.phases, self.place, self.log = coordinator, phases, place, log
        self.dice = random.Random(seed)
        self.pause = pause

    def write(self, *what):
        """Append one line; short enough to be written whole."""
        os.write(self.log, (json.dumps([os.getpid(), *what]) + "\n").encode())

    def told(self, _):
        """Hear the place in the queue; sometimes lose patience."""
        self.phases[self.place] = WAITING
        if self.dice.random() < 0.05:
            raise GivenUp

    def export(self):
        """Make one request."""
        dice = self.dice
        customer, session = f"c{dice.randrange(60)}", f"s{dice.randrange(120)}"
        request = ExportRequest(session, session, ExportKey("Opale", customer))
        with acquire(self.coordinator, request, authorise=lambda: None, on_progress=self.told) as grant:
            if not grant.real:
                return self.write("shared", time.monotonic(), customer, session, grant.at)
            self.phases[self.place] = HOLDING
            self.write("began", time.monotonic(), customer, session, grant.at)
            time.sleep(dice.uniform(0.05, 0.3))
            grant.check()
            self.phases[self.place] = IDLE
            self.write("ended", time.monotonic(), customer, session, grant.at)
            luck = dice.random()
            if luck < 0.05:
                raise GivenUp
            if luck < 0.1:
                raise ConnectionError
            grant.finish("r")
        return None

    def loop(self, until):
        """Make requests until the time is over."""
        while time.monotonic() < until:
            asked = time.monotonic()
            try:
                self.export()
                outcome = 200
            except GivenUp:
                outcome = 0
            except StorageUnavailable:
                outcome = 503
            except DevlibError as error:
                outcome = error.http_status
            self.phases[self.place] = IDLE
            self.write("answer", asked, time.monotonic() - asked, outcome)
            # Paced, so that two cores are under fire but not merely overloaded.
            time.sleep(self.dice.uniform(0.02, self.pause))


class Judge:
    """Starts, kills, stops and judges the workers."""

    def __init__(self, url, folder, processes, seconds, seed):
        self.url, self.folder, self.seconds = url, Path(folder), seconds
        self.dice = random.Random(seed)
        # A step in PostgreSQL costs several times one in SQLite.
        self.pause = 0.02 + processes / (100 if url.startswith("sqlite") else 25)
        self.path = self.folder / "torture.log"
        self.log = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self.phases = mmap.mmap(-1, processes)
        self.pids: list[int] = [0] * processes
        self.kills: list[tuple[int, float, int, int]] = []
        self.stopped: dict[int, int] = {}
        self.stops = 0
        self.most_waiting = 0

    def start(self, place):
        """Fork one worker."""
        self.phases[place] = IDLE
        seed = self.dice.random()
        child = os.fork()
        if child == 0:
            try:
                coordinator = self.open()
                Worker(coordinator, self.phases, place, self.log, seed, self.pause).loop(self.until)
                coordinator.close()
            finally:
                os._exit(0)
        self.pids[place] = child

    def open(self):
        """Open a coordinator; a full server is tried again."""
        while True:
            try:
                return open_coordinator(self.url, self.folder / "queue", POLICY, SystemClock())
            except StorageUnavailable:
                time.sleep(0.2)

    def run(self):
        """Torture for the given time, then wait for all."""
        # Before the others, who may take all connections that the server has.
        watcher = self.open()
        self.until = time.monotonic() + self.seconds + 1.0
        for place in range(len(self.pids)):
            self.start(place)
        while time.monotonic() < self.until:
            time.sleep(self.dice.uniform(0.02, 0.15))
            self.let_go()
            if self.dice.random() < 0.75:
                self.kill()
            else:
                self.stop()
            self.most_waiting = max(self.most_waiting, len(watcher.overview(1).waiting))
        hung = self.wait()
        self.let_go()
        return hung

    def _victim(self):
        holding = [n for n in range(len(self.pids)) if self.phases[n] == HOLDING]
        waiting = [n for n in range(len(self.pids)) if self.phases[n] == WAITING]
        chosen = holding if holding and self.dice.random() < 0.6 else waiting
        free = [n for n in chosen or range(len(self.pids)) if self.pids[n] not in self.stopped]
        return self.dice.choice(free) if free else None

    def kill(self):
        """Kill one with -9 and start another in its place."""
        place = self._victim()
        if place is None:
            return
        pid, phase = self.pids[place], self.phases[place]
        waiting = sum(self.phases[n] == WAITING for n in range(len(self.pids)))
        self.kills.append((pid, time.monotonic(), phase, waiting))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.start(place)

    def stop(self):
        """Freeze one."""
        place = self._victim()
        if place is not None:
            pid = self.pids[place]
            os.kill(pid, signal.SIGSTOP)
            self.stops += 1
            # Thawed by a process of its own: who is frozen in the middle of a step holds up the judge too.
            thawer = os.fork()
            if thawer == 0:
                time.sleep(FROZEN)
                os.kill(pid, signal.SIGCONT)
                os._exit(0)
            self.stopped[pid] = thawer

    def let_go(self):
        """Forget those that were thawed."""
        for pid, thawer in list(self.stopped.items()):
            if os.waitpid(thawer, os.WNOHANG)[0]:
                del self.stopped[pid]

    def wait(self):
        """Return the processes that never ended; they are killed."""
        hung = []
        end = time.monotonic() + PATIENCE
        for pid in self.pids:
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > end:
                    hung.append(pid)
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    break
                time.sleep(0.01)
        return hung

    def judge(self, hung):
        """Return figures and faults."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        killed = {pid: at for pid, at, _, _ in self.kills}
        faults = [f"{len(hung)} processes hang"] if hung else []
        held = intervals(lines, killed)
        running = most_at_once([(began, ended) for began, ended, _ in held])
        if running > POLICY.max_running:
            faults.append(f"{running} real exports at once")
        if self.most_waiting > POLICY.max_waiting:
            faults.append(f"{self.most_waiting} waited")
        faults += overlaps(held) + narrow_gaps(lines)
        answers = [(line[3], line[4]) for line in lines if line[1] == "answer"]
        longest = max((seconds for seconds, _ in answers), default=0.0)
        if longest > POLICY.queue_timeout + 10.0:
            faults.append(f"an answer took {longest:.1f} s")
        outcomes = defaultdict(int)
        for _, outcome in answers:
            outcomes[str(outcome)] += 1
        return {
            "requests": len(answers), "outcomes": dict(outcomes), "real": len(held), "running": running,
            "waiting": self.most_waiting, "kills": len(self.kills), "stops": self.stops,
            "longest_s": round(longest, 2), "regrant_ms": self.regrants(lines), "faults": faults,
        }  # fmt: skip

    def regrants(self, lines):
        """Return milliseconds from the kill of a holder to the next grant, where somebody waited."""
        server = not self.url.startswith("sqlite")
        grants = sorted(line[2] if server else line[5] for line in lines if line[1] == "began")
        waits = []
        for _, at, phase, waiting in self.kills:
            later = [grant for grant in grants if grant >= at]
            if phase == HOLDING and waiting and later:
                waits.append((later[0] - at) * 1000)
        if len(waits) < 2:
            return None
        cuts = statistics.quantiles(waits, n=10, method="inclusive")
        return {
            "count": len(waits),
            "p50": round(cuts[4], 1),
            "p90": round(cuts[8], 1),
            "max": round(max(waits), 1),
        }


def intervals(lines, killed):
    """Return for each real export when it surely held its slot, and of which customer it was."""
    held, open_by = [], {}
    for line in sorted((line for line in lines if line[1] in ("began", "ended")), key=lambda line: line[2]):
        pid, kind, at, customer = line[:4]
        if kind == "began":
            open_by[pid] = (at, customer)
        elif pid in open_by:
            began, customer = open_by.pop(pid)
            held.append((began, at, customer))
    held += [(began, killed[pid], customer) for pid, (began, customer) in open_by.items() if pid in killed]
    return held


def most_at_once(spans):
    """Return how many intervals overlap at most."""
    changes = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def overlaps(held):
    """Return a fault for each customer with two real exports at once; each has one key."""
    of = defaultdict(list)
    for began, ended, customer in held:
        of[customer].append((began, ended))
    return [
        f"{customer}: two real exports at once" for customer, spans in of.items() if most_at_once(spans) > 1
    ]


def narrow_gaps(lines):
    """Return a fault for each two starts of one session or customer within the period."""
    starts = defaultdict(list)
    for line in lines:
        if line[1] == "began":
            starts[line[3]].append(line[5])
            starts[line[4]].append(line[5])
    faults = []
    for name, times in starts.items():
        times.sort()
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        faults += [f"{name}: starts {gap:.4f} s apart" for gap in gaps if gap < POLICY.period - 1e-6]
    return faults


def main():
    """Torture and print."""
    url, folder, processes, seconds, seed = sys.argv[1:]
    judge = Judge(url, folder, int(processes), float(seconds), int(seed))
    print(json.dumps(judge.judge(judge.run())))  # noqa: T201


if __name__ == "__main__":
    main()
