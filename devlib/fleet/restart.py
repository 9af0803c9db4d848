"""Restarts of one device or a fleet: planned, run, resumed; all through the same ledger.

A 200 only means that the NOTIFY arrived; the proof is a REGISTER with a new Call-ID after it (SIP study §4).
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from devlib.clock import Clock
from devlib.collect import Networks, Served, run_blocking
from devlib.errors import Conflict
from devlib.fleet.restart_book import Beside, RestartBook, at_once
from devlib.fleet.restart_outcome import UNTOUCHED, RestartResult
from devlib.fleet.restart_plan import DEFAULT_RATE, Candidate, RestartOptions, RestartPlan, make_plan
from devlib.fleet.restart_queue import RestartQueue, said_macs
from devlib.fleet.restart_report import RestartReport
from devlib.fleet.restart_run import RestartProgress, RestartRunner, Tell
from devlib.fleet.restart_wire import RestartWire
from devlib.language import Message, message
from devlib.model import Catalogue, Device, Line, LineType, Mac, Scope, User
from devlib.network import Answers
from devlib.storage import DeviceFilter, Inventory, LineRow, RestartRun, RunState

_LOOK_BACK = timedelta(hours=1)  # no device boots for longer
_LONE = 1  # for one device, asking costs less than a feed of the whole network


@dataclass(frozen=True, slots=True)
class Restart:
    """The outcome for one device.

    Args:
        device: which.
        result: what became of it.
        line_port: the line through which it was addressed; empty where there was none.
        reason: what the phone or the network said; hostile text.
    """

    device: Device
    result: RestartResult
    line_port: str = ""
    reason: Message | None = None


class Restarting:
    """Plans and runs restarts.

    Args:
        inventory: the devices, and the ledger of restarts.
        networks: through which.
        catalogue: tells vendor and kind.
        clock: the time.
        beside: runs the transactions of a fleet's run while phones are heard.
    """

    def __init__(
        self,
        inventory: Inventory,
        networks: Networks,
        catalogue: Catalogue,
        clock: Clock,
        *,
        beside: Beside = asyncio.to_thread,
    ) -> None:
        self._inventory = inventory
        self._networks = networks
        self._catalogue = catalogue
        self._clock = clock
        self._beside = beside

    def plan(
        self,
        scope: Scope,
        target: str,
        where: DeviceFilter,
        options: RestartOptions,
        macs: Collection[str] = (),
    ) -> RestartPlan:
        """Work out what a restart would do; the networks are asked, nothing is sent.

        Args:
            scope: which devices.
            target: what for, in words.
            where: which of them.
            options: how.
            macs: only these; empty for all.
        """
        chosen = self._candidates(scope, where)
        candidates = [each for each in chosen.values() if not macs or str(each.device.mac) in macs]
        answers = run_blocking(self._ask(candidates, options.answer_seconds))
        now = self._clock.now()
        with self._inventory.read() as reader:
            known = reader.locate(said_macs(answers.values()))
            last = reader.last_restarts(
                [str(each.device.mac) for each in candidates],
                since=now - _LOOK_BACK,
                untouched=[each.value for each in UNTOUCHED],
            )
        steps = make_plan(candidates, answers, options, now=now, last_restarts=last, known_macs=known)
        rate = self._rate({each.network for each in candidates}, options.rate)
        return RestartPlan(now, target, scope, rate, options, tuple(steps))

    def start(self, plan: RestartPlan, principal: str) -> int:
        """Keep a plan in the ledger before anything of it is sent; return the number of its run."""
        options = plan.options
        run = RestartRun(
            0, plan.planned_at, principal, plan.target, plan.scope, RunState.OPEN, plan.rate,
            canary=min(options.canary, len(plan.to_send)), stop_after=options.stop_after,
            stop_share=options.stop_share, patience=options.patience,
            answer_seconds=options.answer_seconds, window=options.window,
        )  # fmt: skip
        with self._inventory.write() as writer:
            return writer.start_restart_run(run, plan.steps)

    def run(
        self, number: int, tell: Tell, halted: Callable[[], bool], *, force: bool = False
    ) -> RestartReport:
        """Run a run, from its beginning or from where it stopped, until it ends or has to stop.

        Args:
            number: of the run.
            tell: is given the progress now and then; what it raises ends the run in order.
            halted: whether somebody wants it to stop.
            force: restarts also devices that another run restarted a moment ago.

        Raises:
            NotFound: there is no such run.
            Conflict: it is done, or another process runs it.
        """
        with self._inventory.read() as reader:
            run, steps = reader.restart_run(number), reader.restart_steps(number)
        if run.state is RunState.DONE:
            raise Conflict(
                message("The restart run {number} is done.", number=number),
                remedy=message("Plan a new one."),
            )
        beside = self._beside if len(steps) > _LONE else at_once
        book = RestartBook(self._inventory, run, steps, self._clock, beside=beside, force=force)
        book.take()
        candidates = self._candidates(run.scope, DeviceFilter(), {step.mac for step in steps})
        run_blocking(self._run(book, candidates, tell, halted))
        return RestartReport(book.run, tuple(book.steps))

    def one(self, device: Device, principal: str, *, wait: float = 0.0, force: bool = False) -> Restart:
        """Restart one device with one NOTIFY to its best line.

        Args:
            device: with its lines.
            principal: who wants it.
            wait: seconds to wait for the new registration; 0 for none.
            force: also if it was restarted a moment ago.

        Returns:
            The outcome; a device that cannot be restarted is an outcome, not an error.
        """
        options = RestartOptions(canary=0, stop_after=0, stop_share=0, patience=0, force=force)
        scope = Scope(device.provider, device.customer, frozenset({device.site}))
        plan = self.plan(
            scope, str(device.mac), DeviceFilter(search=str(device.mac)), options, {str(device.mac)}
        )
        steps = tuple(replace(step, confirm_seconds=wait) for step in plan.steps)
        if any(replace(plan, steps=steps).to_send):
            number = self.start(replace(plan, steps=steps), principal)
            steps = self.run(number, _no_matter, lambda: False, force=force).steps
        (step,) = steps
        return Restart(device, RestartResult(step.outcome), step.line_port, step.reason)

    async def _run(
        self,
        book: RestartBook,
        candidates: Mapping[str, Candidate],
        tell: Tell,
        halted: Callable[[], bool],
    ) -> None:
        networks = {each.network for each in candidates.values()} | {step.network for step in book.steps}
        wires = {
            served.name: RestartWire(served.name, served.open, self._clock, book.run.answer_seconds)
            for served in self._served(networks)
        }
        queue = RestartQueue(book, wires, candidates, self._known_macs, self._clock)
        if len(book.steps) > _LONE:
            for wire in wires.values():
                wire.listen()
        await RestartRunner(book, wires, queue, self._clock, tell=tell, halted=halted).run()

    async def _ask(self, candidates: Iterable[Candidate], answer_seconds: float) -> dict[str, Answers]:
        ports: dict[str, list[str]] = {}
        for each in candidates:
            ports.setdefault(each.network, []).extend(line.line_port for line in each.device.lines)
        answers = {}
        for served in self._served(ports):
            wire = RestartWire(served.name, served.open, self._clock, answer_seconds)
            try:
                answers[served.name] = await wire.look(ports[served.name])
            finally:
                await wire.close()
        return answers

    def _served(self, names: Collection[str]) -> list[Served]:
        return [each for each in self._networks.served if each.name in names]

    def _rate(self, networks: Collection[str], wished: float | None) -> float:
        limits = [each.restart_rate for each in self._served(networks) if each.restart_rate is not None]
        return min([*limits, wished or (min(limits) if limits else DEFAULT_RATE)])

    def _known_macs(self, macs: Collection[int]) -> Collection[int]:
        if not macs:
            return ()
        with self._inventory.read() as reader:
            return reader.locate(macs)

    def _candidates(
        self, scope: Scope, where: DeviceFilter, macs: Collection[str] | None = None
    ) -> dict[str, Candidate]:
        """Return the devices of the scope with their lines, by MAC."""
        lines: dict[str, list[Line]] = {}
        found = []
        with self._inventory.read() as reader:
            for row in reader.devices(scope, self._catalogue, where):
                if macs is None or str(row.mac) in macs:
                    found.append(Device(0, *row[:9]))
                    lines[str(row.mac)] = []
            for batch in reader.line_batches(scope):
                for each in batch:
                    if each.mac in lines:
                        lines[each.mac].append(_line(each))
        return {
            str(device.mac): self._candidate(replace(device, lines=tuple(lines[str(device.mac)])))
            for device in found
        }

    def _candidate(self, device: Device) -> Candidate:
        served = self._networks.for_customer(device.provider, device.customer)
        kind = self._catalogue.find(device.device_type)
        return Candidate(device, kind, served.name if served else "")


def _line(row: LineRow) -> Line:
    user = User(row.user_id, row.first_name, row.last_name, row.phone_number, row.extension)
    return Line(row.line_key, Mac.parse(row.mac), row.port, row.line_port, LineType(row.line_type), user)


def _no_matter(progress: RestartProgress) -> None:
    """Take progress that nobody wants."""


def until_interrupted(work: Callable[[Callable[[], bool]], RestartReport]) -> RestartReport:
    """Run `work` with a function that tells whether somebody has interrupted it.

    In a notebook the run has a thread of its own, which an interruption of the cell does not reach.
    """
    halted = threading.Event()
    try:
        return work(halted.is_set)
    except KeyboardInterrupt:
        halted.set()
        raise
