"""A Kamailio registrar: asked over JSON-RPC, and with SQL and over its event feed where they are set.

What it can know follows from that.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from devlib.clock import Clock
from devlib.config import KamailioSettings
from devlib.errors import CapabilityMissing, NetworkUnreachable
from devlib.language import message
from devlib.model import Binding
from devlib.network.hostile import clean_integer, clean_text
from devlib.network.json_rpc import RpcAnswer, read_answer
from devlib.network.kamailio_answers import Unreadable, next_hop, read_dump, uptime
from devlib.network.kamailio_completing import completed
from devlib.network.kamailio_events import EventFeed
from devlib.network.kamailio_location import Location
from devlib.network.kamailio_lookup import UNREADABLE, Place, Sweep
from devlib.network.kamailio_probe import Probe
from devlib.network.kamailio_sip import ProxyPath, restart_outcome
from devlib.network.kamailio_uac import RpcPath, read_uac, send_by_rpc
from devlib.network.protocol import (
    CHECK_SYNC,
    Answers,
    Capabilities,
    Change,
    FeedEvent,
    Health,
    RestartAnswer,
    RestartOutcome,
    network_form,
    require_restartable,
)
from devlib.network.reach import Reach
from devlib.network.rpc_client import Limits, NoAnswerInTime, RpcClient

MOST_DUMPED = 5_000  # contacts; `ul.dump` is quadratic beyond (SIP study §2)

_DUMP = Limits.of(seconds=30.0, answer_bytes=16 << 20)  # 5 000 contacts are about 3 MB
_NO_UPTIME = message("The registrar does not tell since when it runs: what it forgot cannot be told.")


class Kamailio:
    """A Kamailio with `jsonrpcs`; its connections stay open between two calls, and `close` ends them.

    It belongs to the event loop that first asks through it.

    Args:
        settings: where it is.
        clock: turns what is left of a binding into the moment of its end.
    """

    def __init__(self, settings: KamailioSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = RpcClient(settings)
        self._place = Place(settings.name, self._client, settings.table, clock)
        self._proxy = ProxyPath(settings, self._client, settings.sip_proxy) if settings.sip_proxy else None
        self._location = Location(settings, clock) if settings.database else None
        self._capabilities = Capabilities(
            user_agent=True,
            instance=True,
            snapshot=True,
            delta=self._location is not None,
            push=settings.events is not None,
            explicit_unregister=settings.events is not None,
            restart=True,
            whole=self._location is not None,
            probe=True,
        )

    @property
    def name(self) -> str:
        """The name of the network in `devlib.toml`."""
        return self._settings.name

    @property
    def capabilities(self) -> Capabilities:
        """What it tells: over RPC alone no changes, and nothing of a binding that is gone."""
        return self._capabilities

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports`: with SQL, or asked one by one with `ul.lookup`.

        After several failures in a row, without any answer between, the rest is not asked: a dead registrar
        costs one time limit or two, not one for each line port. One that answers now and then is given up
        after `lookup_seconds`.
        """
        if self._location is not None:
            return await self._while_it_answers(await self._location.lookup(line_ports))
        settings = self._settings
        sweep = Sweep(self._place, line_ports, 2 * settings.connections, settings.lookup_seconds)
        workers = min(self._settings.connections, sweep.size)
        await asyncio.gather(*(sweep.work() for _ in range(workers)))
        answers = sweep.answers
        if all(answers.bindings.values()):
            return answers
        return await self._with_memory(answers)

    async def _while_it_answers(self, answers: Answers) -> Answers:
        """Take the table's word only while the registrar answers.

        A table outlives its registrar: while that is down no phone can refresh, and each would look aged.
        """
        try:
            await self._client.call("core.version", [])
        except NetworkUnreachable as error:
            return Answers({}, {**dict.fromkeys(answers.bindings, error.what), **answers.unanswered})
        return answers

    async def _with_memory(self, answers: Answers) -> Answers:
        """Add since when the registrar's memory reaches back, for the line ports of which it holds nothing.

        Asked after the last answer: a restart in the middle of the lookup is seen.
        """
        try:
            since = uptime(await self._client.call("core.uptime", []), self._clock.now())
        except (NetworkUnreachable, Unreadable):
            since = None
        if since is not None:
            return replace(answers, knows_since=since)
        # Whether it forgot them or never held them cannot be told: then nothing is said of them.
        gone = [port for port, found in answers.bindings.items() if not found]
        for port in gone:
            del answers.bindings[port]
            answers.unanswered[port] = _NO_UPTIME
        return answers

    async def whole(self) -> pa.Table:
        """Return every row of the location table.

        Raises:
            CapabilityMissing: no `database` is set.
            NetworkUnreachable: the database does not answer as it should.
        """
        return await self._require_location().whole()

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield what happens, for ever; what a REGISTER set is looked up, for the feed tells what was wished.

        Raises:
            CapabilityMissing: no `events` is set.
        """
        settings = self._settings
        if settings.events is None:
            raise CapabilityMissing(
                message("This registrar tells no events."),
                where=self.name,
                remedy=message("Set `events` in devlib.toml to host:port of its module evapi."),
            )
        feed = EventFeed(settings.events, self.name, self._clock, settings.seconds)
        async for event in completed(feed.events(), self.lookup):
            yield event

    def _require_location(self) -> Location:
        if self._location is None:
            raise CapabilityMissing(
                message("The location table of this registrar cannot be read."),
                where=self.name,
                remedy=message("Set `database` in devlib.toml, or look up line ports one by one."),
            )
        return self._location

    async def snapshot(self) -> AsyncIterator[Binding]:
        """Yield every live binding, with `ul.dump` or SQL; its line ports are as the registrar writes them.

        Raises:
            CapabilityMissing: more than 5 000 contacts; a dump would hold up the registrar for minutes.
            NetworkUnreachable: the registrar does not answer as it should.
        """
        if self._location is not None:
            async for binding in self._location.snapshot():
                yield binding
            return
        count = await self._count()
        if count is None or count > MOST_DUMPED:
            raise CapabilityMissing(
                message(
                    "The registrar holds {count} contacts; more than {most} cannot be read in one go.",
                    count="?" if count is None else count,
                    most=MOST_DUMPED,
                ),
                where=self.name,
                remedy=message("Look up the line ports of the inventory instead."),
            )
        answer = await self._client.call("ul.dump", [], limits=_DUMP)
        try:
            for binding in read_dump(answer.result, self.name, self._place.now()):
                yield binding
        except Unreadable:
            raise NetworkUnreachable(UNREADABLE, where=self._client.where) from None

    async def changes(self, since: datetime) -> AsyncIterator[Change]:
        """Yield what was set after `since`, with SQL; over RPC Kamailio keeps no changes.

        Raises:
            CapabilityMissing: no `database` is set.
            NetworkUnreachable: the database does not answer.
        """
        if self._location is not None:
            async for change in self._location.changes(since):
                yield change
            return
        raise CapabilityMissing(
            message("Kamailio keeps no list of changes (asked for since {since}).", since=since.isoformat()),
            where=self.name,
            remedy=message("Compare two snapshots of the suite instead."),
        )

    async def check(self) -> Health:
        """Return whether Kamailio answers, its version and its number of contacts; does not raise."""
        start = self._clock.monotonic()
        try:
            version = await self._client.call("core.version", [])
            count = await self._count()
            if self._location is not None:
                count = await self._location.check()
        except NetworkUnreachable as error:
            return Health(self.name, False, error.what, None, self._clock.monotonic() - start)
        if count is None:
            detail = message(
                "The table {table} has no statistics: check `table`.", table=self._settings.table
            )
        else:
            detail = message("{version} answers.", version=clean_text(version.result, 80) or "?")
        return Health(self.name, count is not None, detail, count, self._clock.monotonic() - start)

    async def restart(
        self, line_port: str, event: str = CHECK_SYNC, limit_seconds: float = 8.0
    ) -> RestartAnswer:
        """Ask a phone to restart: one NOTIFY, routed by the registrar to the line port's contacts.

        It goes through `sip_proxy`, with digest where the phone asks for it; where none is set, through the
        registrar's own `tm.t_uac_wait`, which can answer no challenge.

        Raises:
            UsageError: line port or event is not of that form; nothing was sent.
        """
        require_restartable(line_port, event)
        try:
            status, body = await self._place.ask(network_form(line_port))
            held = read_answer(status, body, self._client.where)
            if not self._place.bindings(held, line_port, self._place.now()):
                return RestartAnswer(line_port, RestartOutcome.NOT_REGISTERED)
        except NetworkUnreachable as error:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        except Unreadable:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(UNREADABLE))
        if self._proxy is not None:
            return await self._proxy.notify(line_port, event, limit_seconds)
        return await self._notify(line_port, event, next_hop(held.result), limit_seconds)

    async def probe(self, line_ports: Iterable[str]) -> AsyncIterator[Reach]:
        """Yield whether each phone answers OPTIONS, within `probe_window` and `probe_seconds`.

        They go through `sip_proxy`; where none is set, through the registrar's own `tm.t_uac_wait`.
        """
        path = self._proxy or RpcPath(self._place, self._settings)
        probe = Probe(self.lookup, path, self._clock, self._settings.probe_window)
        async with aclosing(probe.run(line_ports)) as found:
            async for reach in found:
                yield reach

    async def _notify(
        self, line_port: str, event: str, hop: str | None, limit_seconds: float
    ) -> RestartAnswer:
        headers = f"Event: {event}\r\nSubscription-State: terminated\r\n"
        try:
            # A NOTIFY that reached the phone twice would be two restarts.
            answer = await send_by_rpc(self._client, "NOTIFY", line_port, hop, headers, limit_seconds)
        except NoAnswerInTime:
            # The registrar answered a moment ago: the silence is the phone's where it still does.
            return await self._no_answer(line_port)
        except NetworkUnreachable as error:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        return _classify(line_port, answer)

    async def _no_answer(self, line_port: str) -> RestartAnswer:
        try:
            await self._client.call("core.version", [])
        except NetworkUnreachable as error:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        return RestartAnswer(line_port, RestartOutcome.NO_ANSWER)

    async def close(self) -> None:
        """Close the connections; calling twice is harmless."""
        if self._proxy is not None:
            await self._proxy.close()
        await self._client.close()

    async def _count(self) -> int | None:
        table = self._settings.table
        answer = await self._client.call("stats.fetchn", [f"usrloc:{table}_contacts"])
        counts = answer.result
        return clean_integer(counts.get(f"usrloc.{table}_contacts")) if isinstance(counts, dict) else None


def _classify(line_port: str, answer: RpcAnswer) -> RestartAnswer:
    """Return what `tm.t_uac_wait` answered to a NOTIFY."""
    if answer.fault is not None:
        return RestartAnswer(line_port, RestartOutcome.UNROUTABLE, reason=answer.fault)
    if (said := read_uac(answer.result)) is None:
        return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(UNREADABLE))
    code, reason, _ = said
    return RestartAnswer(line_port, restart_outcome(code), code, reason)
