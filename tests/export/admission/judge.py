"""A judge of the reducer who keeps his own books.

He trusts only what was asked, when, and what was answered; he recomputes delays, spacing and freshness from
his own log and compares after every step. `rules` is the module under judgement, so that mutants of it can be
judged too.
"""

from collections import defaultdict
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from devlib.config import ExportPolicy


class Broken(AssertionError):
    """An invariant does not hold; the text begins with its name."""


def demand(holds: bool, name: str, text: object = "") -> None:
    """Raise `Broken` unless the invariant holds."""
    if not holds:
        raise Broken(f"{name}: {text}")


@dataclass
class Client:
    """One asker, as the judge sees him."""

    ticket: str
    owner: str
    principal: str
    session: str
    key: Any
    arrived: float
    not_before: float
    idempotency: str = ""
    arrived_step: int = 0
    stood: float = 0.0
    alive: bool = True
    cancelled: bool = False
    final: Any = None
    epoch: int = 0


@dataclass
class Run:
    """One real export in the judge's log."""

    ticket: str
    key: Any
    began: float
    began_step: int
    ref: str = ""
    finished: float = -1.0
    finished_step: int = -1


class Judge:
    """Stored document, clock, and the judge's books."""

    def __init__(self, rules: ModuleType, policy: ExportPolicy | None = None) -> None:
        self.rules = rules
        self.policy = policy or ExportPolicy()
        self.text = rules.to_json(rules.AdmissionState())
        self.now = 100.0
        self.steps = 0
        self.clients: dict[str, Client] = {}
        self.runs: list[Run] = []
        self.starts: dict[str, list[float]] = defaultdict(list)
        self.changes: list[tuple[int, str | None]] = []
        self.ended: dict[str, str] = {}
        self.outcomes: dict[tuple[str, str], Any] = {}
        self.happenings: list[Any] = []
        self.broken = False

    @property
    def state(self):
        """The stored state."""
        return self.rules.from_json(self.text)

    def running(self):
        """Return the real exports."""
        return [t for t in self.state.tickets.values() if t.state == "running"]

    def step(self, event, at=None):
        """Bring `event`, and judge what came of it."""
        try:
            return self._step(event, at)
        except Broken:
            self.broken = True
            raise

    def _step(self, event, at):
        rules, before = self.rules, self.state
        self.steps += 1
        after, answer, bells = rules.step(before, event, self.now if at is None else at, self.policy)
        demand(rules.to_json(before) == self.text, "purity", "a step changed the state it was given")
        self.text = rules.to_json(after)
        demand(rules.from_json(self.text) == after, "I17", "the document does not hold the state")
        demand(after.now >= before.now, "clock", "the stored clock ran backwards")
        self._book_happenings(answer)
        self._judge_starts(before, after)
        self._judge_ends(before, after, answer, event)
        self._judge_rest(before, after, answer, bells, event)
        return answer

    def _book_happenings(self, answer):
        self.happenings += answer.happenings
        for each in answer.happenings:
            if each.outcome is not None:
                self.outcomes[each.principal, each.idempotency] = each.outcome

    def _judge_starts(self, before, after):
        policy = self.policy
        known = {t.id for t in before.tickets.values() if t.state == "running"}
        began = [t for t in after.tickets.values() if t.epoch > before.epoch and t.id not in known]
        for ticket in sorted(began, key=lambda t: t.epoch):
            client = self.clients[ticket.id]
            demand(ticket.started == after.now, "start", "a start is stamped with another moment")
            demand(after.now >= client.not_before, "S1", f"{ticket.id} was delayed to {client.not_before}")
            for name in (f"s:{ticket.session}", f"c:{ticket.key.customer}"):
                last = max(self.starts[name], default=-1000.0)
                demand(after.now >= last + policy.period, "I6", f"{name}: {last} and {after.now}")
            for other in after.tickets.values():
                if other.number < ticket.number and other.candidate:
                    demand(not self._eligible(other, after), "I7", f"{ticket.id} overtook {other.id}")
            for name in (f"s:{ticket.session}", f"c:{ticket.key.customer}"):
                self.starts[name].append(after.now)
            client.epoch = ticket.epoch
            self.runs.append(Run(ticket.id, ticket.key, after.now, self.steps))
            demand(ticket.attempts <= policy.max_attempts, "attempts", ticket)
        running = [t for t in after.tickets.values() if t.state == "running"]
        demand(len(running) <= policy.max_running, "I1", f"{len(running)} run")
        demand(len({t.key for t in running}) == len(running), "I3", "two real exports of one key")
        waiting = [t for t in after.tickets.values() if t.state == "waiting"]
        counted = len(waiting) + (len(running) if policy.queue_counts_running else 0)
        limit = policy.max_waiting + (policy.max_running if policy.queue_counts_running else 0)
        demand(counted <= limit and len(waiting) <= policy.max_waiting, "I2", f"{len(waiting)} wait")
        if len(running) < policy.max_running:
            for ticket in after.tickets.values():
                demand(not self._eligible(ticket, after), "I5", f"{ticket.id} could start")

    def _eligible(self, ticket, state):
        if not ticket.candidate or state.now < self.clients[ticket.id].not_before:
            return False
        if any(t.state == "running" and t.key == ticket.key for t in state.tickets.values()):
            return False
        names = (f"s:{ticket.session}", f"c:{ticket.key.customer}")
        return all(
            state.now >= max(self.starts[name], default=-1000.0) + self.policy.period for name in names
        )

    def _judge_ends(self, before, after, answer, event):
        final = {t.id: t for t in after.tickets.values() if not t.state.live}
        for name, ticket in final.items():
            demand(self.ended.get(name, ticket.state) == ticket.state, "I12", f"{name} changed its end")
        happened = [h for h in answer.happenings if h.event not in ("waiting", "following", "started")]
        for each in happened:
            demand(each.ticket not in self.ended, "I12", f"{each.ticket} ended twice")
            self.ended[each.ticket] = each.event
            self._judge_end(self.clients[each.ticket], each, after)
            if each.why == "export-failed":
                demand(type(event).__name__ == "Fail", "500", f"{each.ticket} failed though nobody said so")
        for ticket in after.tickets.values():
            demand(ticket.state.live == (ticket.id not in self.ended), "I12", f"{ticket.id} came back")
        for name, ticket in before.tickets.items():
            if ticket.state.live and name not in after.tickets:
                demand(name in self.ended, "I11", f"{name} vanished without an end")

    def _judge_end(self, client, happening, after):
        now, policy = after.now, self.policy
        waited = now - client.arrived - client.stood
        if happening.event == "cancelled":
            demand(client.cancelled or not client.alive, "I13", f"{client.ticket} did not cancel")
        if happening.event == "expired":
            demand(waited >= policy.queue_timeout, "408", f"after {waited} s")
            demand(happening.http == 408, "408", happening)
        if happening.event == "cached":
            demand(now >= client.not_before, "S1", f"{client.ticket} was delayed to {client.not_before}")
        if happening.why == "export-failed":
            demand(happening.http == 500, "500", happening)

    def _judge_result(self, client, answer):
        """Judge an answer with rows when it is handed over."""
        run = next((r for r in self.runs if r.ref == answer.ref), None)
        demand(run is not None and run.finished >= 0, "I8", f"no run made {answer.ref!r}")
        demand(run.key == client.key, "I14", f"{answer.ref} holds rows of {run.key}, not {client.key}")
        if answer.state == "done":
            demand(run.ticket == client.ticket, "I8", "done by somebody else's run")
            return
        changed = [s for s, c in self.changes if c in (None, run.key.customer)]
        if answer.why == "hit":
            handed = next(h for h in reversed(self.happenings) if h.ticket == client.ticket)
            at = client.arrived + handed.wait_ms / 1000
            demand(at - run.finished < self.policy.cache_ttl, "I9", f"{at - run.finished} s old")
            step = client.arrived_step
            demand(not any(run.began_step < s <= step for s in changed), "generation", "outdated hit")
        else:
            demand(client.arrived <= run.finished, "I9", "shared a run that was over")
            late = [s for s in changed if run.began_step < s <= client.arrived_step]
            demand(not late, "generation", "shared a run from before the change")

    def _judge_rest(self, before, after, answer, bells, event):
        policy = self.policy
        for ticket in after.tickets.values():
            if ticket.state == "following" and ticket.leader:
                leader = after.tickets.get(ticket.leader)
                demand(leader is not None and leader.state.live, "I4", f"{ticket.id} follows nobody")
                demand(leader.key == ticket.key, "I4", f"{ticket.id} follows another export")
                demand(leader.state == "running" or leader.candidate, "I4", "a follower leads")
            if ticket.candidate:
                waited = after.now - ticket.arrived - self.clients[ticket.id].stood
                demand(waited < policy.queue_timeout, "408", f"{ticket.id} waits for {waited} s")
        self._judge_bells(before, after, bells, event)
        self._judge_heirs(before, after)
        # A replay is answered under another's name; that other one has not heard it yet.
        if answer.ticket in self.clients and answer.ticket == getattr(event, "ticket", None):
            self._judge_answer(self.clients[answer.ticket], answer, event)

    def _judge_bells(self, before, after, bells, event):
        own = getattr(event, "ticket", None)
        for name, ticket in after.tickets.items():
            old = before.tickets.get(name)
            moved = old is not None and old.state != ticket.state
            if moved and name != own and (not ticket.state.live or ticket.state == "running"):
                demand(ticket.bell in bells, "bell", f"{name} became {ticket.state} in silence")
            if ticket.state == "running":
                demand(ticket.leader == "", "I4", f"{name} runs and follows")

    def _judge_heirs(self, before, after):
        for name, leader in before.tickets.items():
            gone = self.ended.get(name) in ("cancelled", "expired") or (
                self.ended.get(name) == "failed" and name not in after.tickets
            )
            if not leader.state.live or not gone:
                continue
            left = [
                after.tickets[t.id]
                for t in before.tickets.values()
                if t.leader == name and t.id in after.tickets and after.tickets[t.id].state.live
            ]
            heads = [t for t in left if not t.leader]
            elsewhere = any(after.tickets[t.leader].number < leader.number for t in left if t.leader)
            if (
                left
                and not elsewhere
                and all(t.leader == "" or t.leader in {h.id for h in heads} for t in left)
            ):
                demand(heads[0].number == leader.number, "heir", f"{heads[0].id} lost the place of {name}")
                demand(heads[0].id == min(left, key=lambda t: before.tickets[t.id].number).id, "heir", "age")

    def _judge_answer(self, client, answer, event):
        if answer.state.live:
            demand(0 < answer.wake_in <= 1.0, "wake", f"asks again in {answer.wake_in} s")
            demand(answer.http is None, "http", answer)
            demand(answer.seconds_to_go >= 0, "estimate", answer)
            return
        if answer.why in ("lost", "unknown", "released", "alive", "other-payload"):
            return
        client.final = answer
        wanted = {"done": 200, "cached": 200, "rejected": 429, "expired": 408, "failed": 500}
        demand(answer.http == wanted.get(answer.state), "http", answer)
        if answer.http in (408, 429):
            demand(answer.retry_after is not None, "retry", answer)
            demand(answer.retry_after >= 1 and answer.retry_after == int(answer.retry_after), "retry", answer)
        if answer.state in ("done", "cached"):
            self._judge_result(client, answer)

    def _judge_arrival(self, client, answer):
        """Judge the order of the gates at arrival."""
        state, policy = self.state, self.policy
        delayed = self.now < client.not_before
        result = self._fresh(client.key)
        if delayed:
            demand(answer.state in ("waiting", "rejected"), "S1", f"not delayed: {answer}")
        elif result is not None:
            demand(answer.state == "cached", "S3", f"{result} was there: {answer}")
        if answer.why == "export-queue-full":
            taken = [t for t in state.tickets.values() if t.state == "waiting"]
            taken += self.running() if policy.queue_counts_running else []
            demand(len(taken) >= policy.max_waiting, "I10", "refused though there were seats")
        if answer.why == "session-queue-full":
            own = [t for t in state.tickets.values() if t.session == client.session and t.state == "waiting"]
            demand(len(own) >= (policy.max_waiting_per_session or 99), "I10", "refused a session with seats")
        if answer.why == "followers-full":
            sharing = [t for t in state.tickets.values() if t.key == client.key and t.state == "following"]
            demand(len(sharing) >= policy.max_followers, "I10", "refused though there was room behind")
        if answer.state == "following":
            demand(any(t.key == client.key for t in state.tickets.values() if t.id != client.ticket), "I4")
        self._judge_sharing(client, answer, state, delayed=delayed or result is not None)

    def _judge_sharing(self, client, answer, state, *, delayed):
        for leader in {t.leader for t in state.tickets.values() if t.leader}:
            behind = sum(t.leader == leader for t in state.tickets.values())
            # Heirs bring those that were behind them.
            demand(behind <= 2 * self.policy.max_followers + 1, "followers", behind)
        if delayed:
            return
        for other in self.running():
            outdated = any(
                c in (None, client.key.customer) and s > self._run_of(other.id).began_step
                for s, c in self.changes
            )
            if other.key == client.key and other.id != client.ticket and not outdated:
                demand(answer.state == "following" or answer.why == "followers-full", "S3", answer)

    def _fresh(self, key):
        runs = [r for r in self.runs if r.key == key and r.finished >= 0]
        for run in runs:
            changed = any(c in (None, key.customer) and s > run.began_step for s, c in self.changes)
            if not changed and self.now - run.finished < self.policy.cache_ttl:
                return run
        return None

    def _run_of(self, name):
        return next((r for r in reversed(self.runs) if r.ticket == name), None)

    def _running(self, name):
        ticket = self.state.tickets.get(name)
        # A step may end it by time before the event: only waiting ones end by time, so this is exact.
        return ticket is not None and ticket.state == "running"
