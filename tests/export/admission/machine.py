"""The state machine of Hypothesis around the world of clients: invariants I1 to I17."""

from types import ModuleType

from export.admission.judge import demand
from export.admission.world import World, policy_with
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

POLICIES = (
    policy_with(),
    policy_with(max_running=2, max_waiting=3, max_followers=2, max_waiting_per_session=1),
    policy_with(max_running=1, max_waiting=2, queue_timeout=8.0, max_attempts=1, hard_ttl=10.0),
    policy_with(max_running=3, max_waiting=5, queue_counts_running=True, cache_ttl=2.0, max_attempts=3),
)

SESSIONS = st.sampled_from(["s1", "s2", "s3", "s4", "s5", "s6"])
CUSTOMERS = st.sampled_from(["c1", "c2", "c3", "c4", "c5"])
SITES = st.sampled_from([None, "north"])
PAUSES = st.sampled_from([0.25, 1.0, 2.5, 4.75, 5.0, 5.25, 8.0, 15.0, 60.0, 130.0])


def machine_for(rules: ModuleType) -> type[RuleBasedStateMachine]:  # noqa: C901 - one class
    """Return the state machine that judges `rules`."""

    class AdmissionMachine(RuleBasedStateMachine):
        world: World

        @initialize(policy=st.sampled_from(POLICIES))
        def begin(self, policy):
            self.world = World(rules, policy)

        @rule(session=SESSIONS, customer=CUSTOMERS, site=SITES)
        def submit(self, session, customer, site):
            self.world.submit(session, customer, site)

        @rule(customer=CUSTOMERS, size=st.integers(2, 5))
        def crowd(self, customer, size):
            """Several users ask for one export at once."""
            for number in range(size):
                self.world.submit(f"crowd {self.world.steps} {number}", customer)

        @rule(size=st.integers(3, 15))
        def flood(self, size):
            """Many users of many customers come at once."""
            for number in range(size):
                self.world.submit(f"flood {self.world.steps} {number}", f"flood {number}")

        @rule(seconds=PAUSES)
        def pass_time(self, seconds):
            self.world.advance(seconds)
            self.world.step(rules.Look())

        @rule(seconds=st.sampled_from([1.0, 30.0]))
        def clock_steps_back(self, seconds):
            self.world.step(rules.Look(), at=self.world.now - seconds)

        @rule()
        def poll_all(self):
            for client in self.world.live():
                self.world.poll(client.ticket)

        @precondition(lambda self: self.world.live())
        @rule(data=st.data())
        def cancel(self, data):
            self.world.cancel(data.draw(st.sampled_from([c.ticket for c in self.world.live()])))

        @precondition(lambda self: self.world.running())
        @rule(data=st.data(), end=st.sampled_from(["finish", "finish", "fail", "check"]))
        def holder_acts(self, data, end):
            name = data.draw(st.sampled_from([t.id for t in self.world.running()]))
            getattr(self.world, end)(name)

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def kill_runner(self, data):
            self.world.kill(data.draw(st.sampled_from([t.owner for t in self.world.running()])))

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def cancel_runner(self, data):
            self.world.cancel(data.draw(st.sampled_from([t.id for t in self.world.running()])))

        @rule()
        def lose_every_leader(self):
            """One export is begun again so many times at most, however many would inherit it."""
            world = self.world
            customer = f"lost {world.steps}"
            names = [world.submit(f"{customer} {n}", customer).ticket for n in range(4)]
            for _ in range(5):
                for ticket in world.running():
                    if ticket.id in names:
                        world.kill(ticket.owner)
                world.advance(5.25)
                world.step(rules.Look())
            starts = sum(run.ticket in names for run in world.runs)
            demand(starts <= world.policy.max_attempts, "attempts", f"{starts} starts of one export")

        @precondition(lambda self: self.world.live())
        @rule(data=st.data())
        def kill(self, data):
            self.world.kill(data.draw(st.sampled_from([c.owner for c in self.world.live()])))

        @rule(customer=CUSTOMERS)
        def change_fleet(self, customer):
            self.world.change_fleet(customer)

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def change_under_way(self, data):
            """The fleet changes while an export of it runs, and the one who changed it asks at once."""
            ticket = data.draw(st.sampled_from(self.world.running()))
            self.world.change_fleet(ticket.key.customer)
            self.world.submit(f"changer {self.world.steps}", ticket.key.customer, ticket.key.site)

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def insist(self, data):
            """Two sessions ask again and again for one export that runs for long."""
            key = data.draw(st.sampled_from(self.world.running())).key
            sessions = [f"insisting {self.world.steps} {n}" for n in range(2)]
            for _ in range(4):
                for session in sessions:
                    self.world.submit(session, key.customer, key.site)
                self.world.advance(5.25)
                self.world.step(rules.Look())

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def change_afterwards(self, data):
            """The fleet changes as soon as an export of it is over, and a newcomer asks for the same."""
            ticket = data.draw(st.sampled_from(self.world.running()))
            self.world.finish(ticket.id)
            self.world.change_fleet(ticket.key.customer)
            self.world.submit(f"newcomer {self.world.steps}", ticket.key.customer, ticket.key.site)

        @precondition(lambda self: self.world.running())
        @rule(data=st.data(), force=st.booleans())
        def release(self, data, force):
            name = data.draw(st.sampled_from([t.id for t in self.world.running()]))
            if self.world.release(name, force=force).state == "failed":
                self.world.finish(name)  # the released holder wakes up and is refused

        @precondition(lambda self: self.world.running())
        @rule(data=st.data())
        def finish_with_an_old_epoch(self, data):
            ticket = data.draw(st.sampled_from(self.world.running()))
            self.world.finish(ticket.id, epoch=ticket.epoch - 1)

        @rule(
            user=st.sampled_from(["u1", "u2"]),
            customer=CUSTOMERS,
            idempotency=st.sampled_from(["a", "b"]),
        )
        def submit_with_idempotency_key(self, user, customer, idempotency):
            """I16: while the first request lives, or its outcome is kept, a replay is no new ticket."""
            world = self.world
            live = [t for t in world._live(world.now) if (t.principal, t.idempotency) == (user, idempotency)]
            stored = world.outcomes.get((user, idempotency))
            before = world.state.sequence
            answer = world.submit(f"of {user}", customer, principal=user, idempotency=idempotency)
            if live or stored is not None:
                assert world.state.sequence == before, "I16: a replay made a ticket"
                wanted = live[0].key.customer == customer if live else f'"{customer}"' in stored.payload
                assert (answer.http == 422) == (not wanted), f"I16: {answer}"
            if live and answer.http != 422:
                assert answer.ticket == live[0].id, "I16: a replay got another ticket"
            elif stored is not None and not live and answer.http != 422:
                assert (answer.ticket, answer.ref) == (stored.ticket, stored.ref), "I16: another outcome"

        def teardown(self):
            # After a broken invariant, a second one would only hide the first.
            if hasattr(self, "world") and not self.world.broken:
                self.world.drain()

    return AdmissionMachine


def machine_settings(examples: int, *, shrink: bool = True) -> settings:
    """Return settings for so many examples of forty steps."""
    phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if shrink else [])
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=not shrink,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
