"""Wrong versions of the reducer, each made by one replacement, and the loader that makes them importable."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

SOURCES = Path(__file__).parents[3] / "devlib" / "export"


@dataclass(frozen=True)
class Mutant:
    """One wrong version: `old` stands exactly once in the module `admission<part>.py`."""

    name: str
    part: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "one real export too many",
        "_rules",
        "if len(running(turn.state)) >= turn.policy.max_running:",
        "if len(running(turn.state)) > turn.policy.max_running:",
    ),
    Mutant(
        "customers are not spaced",
        "_turn",
        "stamps = (last_start.get(session_name(ticket)), last_start.get(customer_name(ticket)))",
        "stamps = (last_start.get(session_name(ticket)),)",
    ),
    Mutant(
        "sessions are not spaced at the start",
        "_turn",
        "stamps = (last_start.get(session_name(ticket)), last_start.get(customer_name(ticket)))",
        "stamps = (last_start.get(customer_name(ticket)),)",
    ),
    Mutant(
        "last come, first served",
        "_rules",
        "for ticket in candidates(turn.state):\n        if not ticket.candidate or",
        "for ticket in reversed(candidates(turn.state)):\n        if not ticket.candidate or",
    ),
    Mutant(
        "a delayed request blocks those behind it",
        "_rules",
        "turn.now < ticket.not_before:\n            continue",
        "turn.now < ticket.not_before:\n            break",
    ),
    Mutant(
        "burying works on a stale list",
        "",
        "        elif ticket.state.live:\n            leave(turn, ticket, TicketState.CANCELLED)\n    for",
        "        else:\n            leave(turn, ticket, TicketState.CANCELLED)\n    for",
    ),
    Mutant(
        "expiring comes a moment late",
        "_rules",
        "if ticket.state.live and turn.now >= ticket.give_up:",
        "if ticket.state.live and turn.now > ticket.give_up:",
    ),
    Mutant("the clock is not clamped", "", "max(state.now, now)", "now"),
    Mutant(
        "an outdated result is cached",
        "_rules",
        "if not ticket.outdated:\n        state.results",
        "if True:\n        state.results",
    ),
    Mutant(
        "an outdated export is shared",
        "_turn",
        "if runner is not None and not runner.outdated:",
        "if runner is not None:",
    ),
    Mutant(
        "a change leaves the cache",
        "",
        "if not concerned(ExportKey.from_text(text))",
        "if not concerned(ExportKey.from_text(text)) or True",
    ),
    Mutant("old epochs may finish", "", " or ticket.epoch != event.epoch:", ":"),
    Mutant(
        "one seat too many", "_arrival", "if taken >= policy.max_waiting:", "if taken > policy.max_waiting:"
    ),
    Mutant(
        "one seat too few",
        "_arrival",
        "if taken >= policy.max_waiting:",
        "if taken >= policy.max_waiting - 1:",
    ),
    Mutant(
        "no bound for followers",
        "_arrival",
        "if len(followers(turn.state, leader)) >= turn.policy.max_followers:",
        "if len(followers(turn.state, leader)) < 0:",
    ),
    Mutant(
        "no bound for followers from the queue",
        "_rules",
        "return ticket.orphan or behind <= turn.policy.max_followers",
        "return ticket.orphan or behind > 0",
    ),
    Mutant(
        "a parallel session is not delayed",
        "_turn",
        "return turn.now + turn.policy.period",
        "return turn.now",
    ),
    Mutant(
        "cache before the session's delay",
        "_arrival",
        "    if turn.now >= ticket.not_before:\n",
        "    if turn.now >= ticket.arrived:\n",
    ),
    Mutant(
        "spacing before the cache",
        "_arrival",
        "    if turn.now >= ticket.not_before:\n",
        "    if turn.now >= ticket.not_before and not turn.state.last_start:\n",
    ),
    Mutant(
        "the cache never expires by itself",
        "_rules",
        "Result(ref, now, now + turn.policy.cache_ttl)",
        "Result(ref, now, now + 10 * turn.policy.cache_ttl)",
    ),
    Mutant(
        "results are kept by customer",
        "_rules",
        "state.results[ticket.key.text] = result",
        "state.results[ticket.key.customer_text[:-1] + ', null]'] = result",
    ),
    Mutant("the youngest follower inherits", "_rules", "heir, *rest = heirs", "*rest, heir = heirs"),
    Mutant(
        "the heir goes to the end of the queue",
        "_rules",
        'heir.leader, heir.number, heir.attempts = "", ticket.number, ticket.attempts',
        'heir.leader, heir.attempts = "", ticket.attempts',
    ),
    Mutant(
        "attempts are not inherited",
        "_rules",
        'heir.leader, heir.number, heir.attempts = "", ticket.number, ticket.attempts',
        'heir.leader, heir.number = "", ticket.number',
    ),
    Mutant(
        "a lost leader fails his followers",
        "",
        "leave(turn, ticket, TicketState.FAILED, Why.LOST)",
        "fail(turn, ticket, Why.EXPORT_FAILED)",
    ),
    Mutant(
        "a cancelled leader leaves orphans",
        "_rules",
        "    for other in rest:\n        other.leader = heir.id\n",
        "",
    ),
    Mutant(
        "the clock does not stand behind a running export",
        "_rules",
        "if leader is not None and leader.state is TicketState.RUNNING:\n            continue",
        "if leader is None and ticket.state is TicketState.RUNNING:\n            continue",
    ),
    Mutant(
        "the time behind a lost leader is not given back",
        "_rules",
        "other.give_up += turn.now - max(ticket.started, other.joined)",
        "other.give_up += 0.0",
    ),
    Mutant(
        "a start is silent",
        "_rules",
        '    ring(turn, ticket)\n    note(turn, ticket, "started")',
        '    note(turn, ticket, "started")',
    ),
    Mutant(
        "408 without a time to come back",
        "_rules",
        "ticket.retry_after = whole_seconds(mean_run(turn))",
        "pass",
    ),
    Mutant(
        "a sleeper never asks again by himself",
        "_estimate",
        "min([SAFETY_POLL, *ahead])",
        "min([60.0, *ahead])",
    ),
    Mutant("the stamps are not stored", "_state", '"last_start": state.last_start,', '"last_start": {},'),
    Mutant(
        "anybody's idempotency key",
        "_arrival",
        "(ticket.principal, ticket.idempotency) == asked:",
        "ticket.idempotency == event.idempotency:",
    ),
    Mutant(
        "a slot is taken from a living holder",
        "",
        "if silent < turn.policy.hard_ttl and not force:",
        "if silent < 1.0 and not force:",
    ),
    Mutant(
        "a free slot stays empty after a failure",
        "_rules",
        "def fail(turn: Turn, ticket: Ticket, why: Why) -> None:\n",
        "def fail(turn: Turn, ticket: Ticket, why: Why) -> None:\n    turn.state.epoch += 1\n"
        "    turn.policy = turn.policy.model_copy(update={'max_running': 0})\n",
    ),
)


def source_of(mutant: Mutant) -> str:
    """Return the text of the module that the mutant changes."""
    return (SOURCES / f"admission{mutant.part}.py").read_text(encoding="utf-8")


@contextmanager
def mutated(mutant: Mutant, folder: Path, package: str) -> Iterator[ModuleType]:
    """Import a copy of the reducer with the mutant's replacement, under the name `package`."""
    home = folder / package
    home.mkdir()
    for path in SOURCES.glob("admission*.py"):
        shutil.copy(path, home)
    target = home / f"admission{mutant.part}.py"
    target.write_text(source_of(mutant).replace(mutant.old, mutant.new), encoding="utf-8")
    for path in home.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("devlib.export.", f"{package}."), encoding="utf-8")
    (home / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(f"{package}.admission")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
