"""A world of clients around the reducer, under the eyes of a judge."""

from export.admission.judge import Broken, Client, Judge, demand

from devlib.config import ExportPolicy


class World(Judge):
    """Clients who ask, hold, cancel and die."""

    def advance(self, seconds: float) -> None:
        """Let time pass; the time behind a running export is booked for its followers."""
        tickets = self.state.tickets
        for ticket in tickets.values():
            leader = tickets.get(ticket.leader)
            if ticket.state == "following" and leader is not None and leader.state == "running":
                self.clients[ticket.id].stood += seconds
        self.now += seconds

    def submit(
        self, session, customer="c1", site=None, *, owner=None, principal=None, idempotency="", payload=""
    ):
        """A request arrives; returns the answer."""
        rules = self.rules
        name = f"t{len(self.clients)}"
        key = rules.ExportKey("sp", customer, site)
        principal = principal or f"user of {session}"
        live = [t for t in self._live(self.now) if t.session == session]
        last = max(self.starts[f"s:{session}"], default=-1000.0)
        not_before = self.now + self.policy.period if live else last + self.policy.period
        earlier = self.outcomes.get((principal, idempotency)) if idempotency else None
        event = rules.Submit(
            name, owner or f"o{name}", f"b{name}", principal, session, key, idempotency, payload, earlier
        )
        client = Client(
            name, event.owner, principal, session, key, self.now, not_before, idempotency, self.steps + 1
        )
        self.clients[name] = client
        answer = self.step(event)
        if answer.ticket != name or answer.why == "other-payload":
            del self.clients[name]
            return answer
        self._judge_arrival(client, answer)
        return answer

    def _live(self, now):
        # Time may end tickets at the head of the step that brings the new request.
        state, _, _ = self.rules.step(self.state, self.rules.Look(), now, self.policy)
        return [t for t in state.tickets.values() if t.state.live]

    def poll(self, name):
        """The client asks where it stands."""
        return self.step(self.rules.Poll(name))

    def cancel(self, name):
        """The client no longer wants it."""
        self.clients[name].cancelled = True
        return self.step(self.rules.Cancel(name))

    def finish(self, name, epoch=None):
        """The holder has stored its rows."""
        client = self.clients[name]
        ref = f"r{self.steps}"
        run = self._run_of(name)
        right = epoch is None and self._running(name)
        if right and run is not None:
            run.ref, run.finished, run.finished_step = ref, self.now, self.steps + 1
        answer = self.step(self.rules.Finish(name, client.epoch if epoch is None else epoch, ref))
        demand(answer.state == ("done" if right else "failed"), "I15", f"finish {name}: {answer}")
        return answer

    def fail(self, name):
        """The holder's export failed."""
        return self.step(self.rules.Fail(name, self.clients[name].epoch))

    def check(self, name):
        """The holder shows that it lives."""
        return self.step(self.rules.Check(name, self.clients[name].epoch))

    def kill(self, owner):
        """A process dies, and the store sees it."""
        for client in self.clients.values():
            if client.owner == owner:
                client.alive = False
        return self.step(self.rules.OwnersDied(frozenset({owner})))

    def change_fleet(self, customer=None):
        """The fleet of a customer changes."""
        self.changes.append((self.steps + 1, customer))
        return self.step(self.rules.Invalidate("sp", customer))

    def release(self, name, *, force=False):
        """An operator frees a slot."""
        before = self.state.tickets[name]
        answer = self.step(self.rules.Release(name, force=force))
        old = self.now - before.seen >= self.policy.hard_ttl
        freed = answer.state == "failed"
        demand(freed == (force or old), "release", f"{answer} after {self.now - before.seen} s")
        return answer

    def waiting(self):
        """Return the tickets in the queue."""
        return [t for t in self.state.tickets.values() if t.state == "waiting"]

    def live(self):
        """Return the clients that may still act."""
        return [c for c in self.clients.values() if c.alive and not c.cancelled and c.final is None]

    def drain(self):
        """I11: whoever keeps asking gets an answer; the holders end their exports meanwhile."""
        for _ in range(200):
            for ticket in self.running():
                if self.clients[ticket.id].alive:
                    self.finish(ticket.id)
            for client in self.live():
                if client.ticket in self.state.tickets:
                    self.poll(client.ticket)
            if not self.state.tickets:
                return
            self.advance(1.0)
        raise Broken(f"I11: still there after 200 s: {self.state.tickets}")


def policy_with(**values) -> ExportPolicy:
    """Return the default policy with other values."""
    return ExportPolicy().model_copy(update=values)
